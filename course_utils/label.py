"""Label a file of new texts: ``python -m course_utils.label MODEL_FOLDER texts.csv``."""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from course_utils.tables import (
    DELIMITERS,
    DataError,
    Table,
    check_text,
    decode,
    read_table,
    readable,
)

ADDED = ("label", "probability")
EXISTS = "this file is there already, and it is not overwritten. Move it away, or name another."


def label_texts(folder: Path, texts: Sequence[str]) -> tuple[list, int]:
    """Label and probability of each text, and how many texts are longer than the model's limit."""
    import torch  # here: importing these takes seconds, and a wrong path is reported before
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModelForSequenceClassification.from_pretrained(str(folder), use_safetensors=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names, model = model.config.id2label, model.to(device).eval()
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    lengths = [len(ids) for ids in tokenizer(list(texts))["input_ids"]] if texts else []
    order = sorted(range(len(texts)), key=lambda row: lengths[row])  # little padding
    found: list = [None] * len(texts)
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        inputs = tokenizer(
            [texts[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=limit,
            return_tensors="pt",
        ).to(device)
        with torch.no_grad():
            probabilities = model(**inputs).logits.float().softmax(-1).cpu()
        for row, line in zip(rows, probabilities, strict=True):
            found[row] = names[int(line.argmax())], round(float(line.max()), 4)
    return found, sum(length > limit for length in lengths)


def check_model(folder: Path) -> None:
    """Raise DataError unless ``folder`` holds a saved classifier with its tokenizer."""
    cure = "Name the folder in which lesson 10, or trainer.save_model, saved the trained model."
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. {cure}")
    for name in ("config.json", "model.safetensors", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: no file {name}, so this is no saved model. {cure}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = ", ".join(config.get("architectures") or ["no model"])
    except (ValueError, AttributeError, TypeError):
        raise DataError(f"{folder / 'config.json'}: not readable as JSON. {cure}") from None
    if not kind.endswith("ForSequenceClassification"):
        raise DataError(f"{folder}: a {kind} gives no labels to texts. {cure}")


def label_file(
    folder: str | Path,
    file: str | Path,
    text: str = "text",
    out: str | Path | None = None,
    encoding: str | None = None,
) -> Path:
    """Write a copy of ``file`` with two more columns, and print what was done.

    Parameters
    ----------
    folder : where a classifier and its tokenizer were saved.
    file : CSV, JSON lines or parquet, as ``load_own`` reads them.
    text : the column with the texts.
    out : the file to write; by default beside ``file``, with ``_labelled`` in its name.
    encoding : of ``file``, where it is neither UTF-8 nor marked.

    Returns
    -------
    The file written. It has all rows and columns of ``file`` in their order, then ``label`` and
    ``probability``. A row without a text gets neither, which is printed.

    Raises
    ------
    DataError : for a folder or file that can't be used, a file that would be overwritten, or one
    that can't be written. Then there is no new file, not even a part of one.
    """
    folder, file = Path(folder).expanduser(), Path(file).expanduser()
    target = Path(out).expanduser() if out else file.with_stem(f"{file.stem}_labelled")
    check_model(folder)
    table = read_table(file, [text], encoding)
    raw = file.read_bytes()
    parquet = pq.read_table(pa.BufferReader(raw)) if table.form == "parquet" else None
    objects, whole = (
        read_objects(decode(file, raw, encoding)) if table.form == "JSON lines" else ([], False)
    )
    check_names(table, objects or [table.columns if parquet is None else parquet.column_names])
    if target.suffix.lower() != file.suffix.lower():
        raise DataError(f"{target}: expected a name that ends in {file.suffix}, as {file.name}.")
    if target.exists():
        raise DataError(f"{target}: {EXISTS}")
    if not target.parent.is_dir():
        raise DataError(f"{target.parent}: there is no such folder. Make it, or name another.")
    values = table.columns[text]
    empty = [row for row, value in enumerate(values) if not readable(str(value or ""))]
    filled = sorted(set(range(len(values))).difference(empty))
    for row in filled:
        check_text(table.place(row + 1), text, values[row])
    answers, cut = label_texts(folder, [values[row] for row in filled])
    found: list = [(None, None)] * len(values)
    for row, answer in zip(filled, answers, strict=True):
        found[row] = answer
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        if parquet is not None:
            for number, name in enumerate(ADDED):
                added = pa.array([answer[number] for answer in found])
                parquet = parquet.append_column(name, added)
            pq.write_table(parquet, part)
        elif table.form == "JSON lines":
            write_json(objects, whole, found, part)
        else:
            marked = encoding or not raw[:2].isascii()  # Excel reads UTF-8 by its mark alone
            write_csv(table, found, part, "utf-8-sig" if marked else "utf-8")
        rename_new(part, target)
    except OSError as error:
        raise DataError(
            f"{target}: can't be written ({error.strerror or error}). Make room on the disk, or "
            "name a file in a folder that you may write to."
        ) from None
    finally:
        part.unlink(missing_ok=True)
    counts = Counter(label for label, _ in answers)
    summary = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    print(f"{target}: {len(values):,} rows; {summary}")
    if empty:
        first = table.row(empty[0] + 1)
        print(f"  {len(empty):,} without a text have no label, the first in {first}")
    if cut:
        print(f"  {cut:,} texts are longer than the model reads; it judged their beginnings")
    return target


def read_objects(content: str) -> tuple[list[dict], bool]:
    """The objects of a JSON file, and whether they are one list; else each is on its own line."""
    if content.lstrip().startswith("["):
        return json.loads(content), True
    return [json.loads(line) for line in content.split("\n") if line.strip()], False


def check_names(table: Table, rows: Sequence[Collection[str]]) -> None:
    """Raise DataError where a row has one of the added names; ``rows`` may be the header alone."""
    for number, names in enumerate(rows, start=1):
        for name in ADDED:
            if name in names:
                where = table.file if len(rows) == 1 else table.place(number)
                raise DataError(
                    f"{where}: there is a column {name!r} already, and it is not overwritten. "
                    "Rename it in a copy of the file."
                )


def write_json(objects: Sequence[dict], whole: bool, found: Sequence[tuple], target: Path) -> None:
    """The objects as they were, each with two more names: one a line, or one list."""
    rows = [
        row | dict(zip(ADDED, answer, strict=True))
        for row, answer in zip(objects, found, strict=True)
    ]
    text = (
        json.dumps(rows, ensure_ascii=False, indent=1)
        if whole
        else "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    )
    target.write_text(text + "\n", encoding="utf-8")


def write_csv(table: Table, found: Sequence[tuple], target: Path, encoding: str) -> None:
    """The rows as they were, with the delimiter they had, and two more columns."""
    signs = {f"{name}-separated": sign for sign, name in DELIMITERS.items()}
    bare = any("\r" in cell for cells in table.columns.values() for cell in cells)
    quoting = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL  # csv quotes "\n", but not each "\r"
    with open(target, "w", encoding=encoding, newline="") as lines:
        writer = csv.writer(
            lines, delimiter=signs.get(table.form, ","), lineterminator="\n", quoting=quoting
        )
        writer.writerow([*table.columns, *ADDED])
        for cells, answer in zip(zip(*table.columns.values(), strict=True), found, strict=True):
            writer.writerow([*cells, *("" if part is None else part for part in answer)])


def rename_new(part: Path, target: Path) -> None:
    """Give the finished file ``part`` the name ``target``.

    Raises
    ------
    DataError : where ``target`` was created in the meantime; it is not changed.
    OSError : where the folder can't be written to.
    """
    try:
        open(target, "x").close()  # fails where the file exists, which os.replace would overwrite
    except FileExistsError:
        raise DataError(f"{target}: {EXISTS}") from None
    try:
        os.replace(part, target)
    except OSError:
        target.unlink()
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course_utils.label", description=__doc__)
    parser.add_argument("model", help="folder with the saved classifier")
    parser.add_argument("file", help="CSV, JSON lines or parquet with the new texts")
    parser.add_argument("--text", default="text", help="column with the texts (default: text)")
    parser.add_argument("--out", help="file to write (default: beside the file, ..._labelled)")
    parser.add_argument("--encoding", help='of the file, such as "cp1252"')
    given = parser.parse_args(arguments)
    try:
        label_file(given.model, given.file, given.text, given.out, given.encoding)
    except (DataError, OSError) as error:  # a DataError's message names load_own's arguments
        message = re.sub(r'load_own\(\.\.\., encoding="([^"]+)"\)', r"--encoding \1", str(error))
        message = message.replace("load_own(..., text=..., label=...)", "--text")
        print(f"Nothing was written. {message}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
