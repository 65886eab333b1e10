"""``load_own``: read own texts and labels, with the same checks as the course's data."""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import datasets
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from course_utils.data import to_dataset
from course_utils.splits import LEAST_ROWS, SPLITS, by_label, separate
from course_utils.tables import FORMATS, DataError, Table, read_table, readable

CURE = "Add texts of this class, give its rows another label, or delete them."


def load_own(
    path: str | Path,
    text: str = "text",
    label: str = "label",
    *,
    group: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    encoding: str | None = None,
    seed: int = 0,
) -> datasets.DatasetDict:
    """Load own labelled texts for classification, and print what was found.

    Parameters
    ----------
    path : a file (CSV with commas, semicolons or tabs, as Excel and others export it; JSON lines;
        parquet), or a folder with ``train`` and, where there are such, ``validation`` and ``test``
        in one of these formats.
    text, label : the columns with the texts and the labels.
    group : a column, such as the writer: all rows of one group go into the same split.
    validation, test : shares of the rows, above 0 and at most 0.25, where there is no such file.
    encoding : of text files; by default UTF-8, or UTF-16 with a byte order mark. Older exports
        from Windows are often "cp1252".
    seed : chooses the rows of validation and test.

    Returns
    -------
    DatasetDict with train, validation and test, which have the columns ``text``, ``label`` (a
    ClassLabel of all labels, sorted) and ``group`` where one is named. Texts and labels are not
    changed. Repeated texts are dropped, and rows without any value at the end of a file, as Excel
    leaves them; both are printed. Each split has at least two rows of every class.

    Raises
    ------
    DataError : for a file that can't be read as it is, or not be split. The message names file,
        row and cure.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share <= 0.25:  # more could leave train without a rare class
            raise ValueError(f"{name}={share}: expected a share of the rows above 0, at most 0.25.")
    needed = dict.fromkeys([text, *([group] if group else []), label])  # the label is the last
    try:
        files = own_files(Path(path).expanduser())
    except (OSError, RuntimeError) as error:  # a name too long, a locked folder, no such home
        raise DataError(f"{path}: can't be opened ({error}). Correct the path.") from None
    tables = {}
    for split, file in files.items():
        table = without_blank_end(read_table(file, list(needed), encoding))
        columns = {"text": table.columns[text], "label": read_labels(table, label)}
        if group:
            columns["group"] = list(map(str, table.columns[group]))
        tables[split] = replace(table, columns=columns)
    check_spellings(tables)
    names = in_order({word for table in tables.values() for word in table.columns["label"]})
    if len(names) < 2:
        raise DataError(
            f"{path}: every row has the label {names[0]!r}. Expected two classes or more: name the "
            "column with the labels, or add texts of another class."
        )
    splits = {split: to_dataset(table, "text", names) for split, table in tables.items()}
    rest = 1 if "test" in files else 1 - test  # what is left when validation is drawn
    shares = {"test": test, "validation": validation / rest}
    if group:
        check_groups(splits, files)
    draw = partial(by_group, path=path) if group else by_label
    splits = separate(splits, tables, "text", seed, shares, draw, CURE)
    forms = ", ".join(dict.fromkeys(table.form for table in tables.values()))
    counts = Counter(names[n] for split in splits.values() for n in split["label"])
    print(
        f"{path} ({forms}): "
        + ", ".join(f"{split} {len(splits[split]):,}" for split in SPLITS)
        + f"; {len(names)} classes: "
        + ", ".join(f"{name} {counts[name]:,}" for name in names[:10])
        + (" …" if len(names) > 10 else "")
    )
    return datasets.DatasetDict({split: splits[split] for split in SPLITS})


def without_blank_end(table: Table) -> Table:
    """The table without the rows at its end in which no column has a value; prints their number."""
    rows = list(zip(*table.columns.values(), strict=True))
    kept = len(rows)
    while kept and not any(str("" if value is None else value).strip() for value in rows[kept - 1]):
        kept -= 1
    if kept in (0, len(rows)):  # all blank: what reads the labels names the first row
        return table
    print(f"  {table.file.name}: {len(rows) - kept:,} blank rows at the end left out")
    columns = {name: values[:kept] for name, values in table.columns.items()}
    return replace(table, columns=columns, lines=table.lines[:kept])


def own_files(path: Path) -> dict[str, Path]:
    """The file of each split; one file alone is called train. Raises DataError."""
    if not path.is_dir():
        if not path.exists():
            beside = ", ".join(sorted(f.name for f in path.parent.glob("*"))[:10]) or "nothing"
            raise DataError(
                f"{path}: there is no such file. Beside it: {beside}. Correct the path."
            )
        return {"train": path}
    found, others = {}, []
    for file in sorted(path.iterdir()):
        if file.suffix.lower() not in FORMATS or file.stem not in SPLITS:
            if file.suffix.lower() in FORMATS or file.name.lower().split(".")[0] in SPLITS:
                others.append(file.name)  # test.xlsx too: a test split is made in its place
            continue
        if file.stem in found:
            raise DataError(f"{file}: {found[file.stem].name} is there too. Keep one of the two.")
        found[file.stem] = file
    if "train" not in found:
        raise DataError(
            f"{path}: no file called train. Expected train, and where there are such, validation "
            f"and test, as {', '.join(FORMATS)}; or name one file: it is split in three."
        )
    if others:
        names = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
        print(
            f"  {path.name}: not read, for they are not called {', '.join(SPLITS)} with one "
            f"of the endings {', '.join(FORMATS)}: {names}"
        )
    return {split: found[split] for split in SPLITS if split in found}


def by_group(
    split: datasets.Dataset, share: float, seed: int, path: str | Path
) -> tuple[list[int], list[int]]:
    """Row numbers of groups with about ``share`` of each class's rows, and of the other rows."""
    groups = list(map(spelling, split["group"]))  # 1 and 1.0 are one writer
    number = max(2, min(round(1 / share), len(set(groups))))
    folds = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    try:
        with warnings.catch_warnings(action="ignore"):  # about rare classes: counted below
            rest, chosen = next(folds.split(groups, split["label"][:], groups))
    except ValueError as error:
        raise DataError(f"{path}: can't be split by group ({error}). Name no group.") from None
    names = split.features["label"].names
    for rows in (rest, chosen):
        labels = np.asarray(split["label"])[rows]
        counts = np.bincount(labels, minlength=len(names))
        if counts.min() < LEAST_ROWS:
            raise DataError(
                f"{path}: split by group, {len(rows):,} rows hold {counts.min()} of the class "
                f"{names[counts.argmin()]!r}; {LEAST_ROWS} are needed. Add groups with rows of "
                "this class, or name no group."
            )
    return chosen.tolist(), rest.tolist()


def check_groups(splits: Mapping[str, datasets.Dataset], files: Mapping[str, Path]) -> None:
    """Raise DataError where rows of one group are in two splits."""
    where: dict[str, str] = {}
    for split, rows in splits.items():
        for name in rows.unique("group"):
            if (first := where.setdefault(spelling(name), split)) != split:
                raise DataError(
                    f"{files[split]}: rows of the group {name!r} stand in {first} too. Move them "
                    "all to one of the files, or name no group."
                )


def read_labels(table: Table, column: str) -> list[str]:
    """Each row's label as a string. Raises DataError for an empty or unusable one."""
    words = []
    for row, value in enumerate(table.columns[column], start=1):
        if value is None or value != value or not readable(str(value)):  # None, NaN, blank
            raise DataError(
                f"{table.place(row)}: the label in column {column!r} is empty. Write a label, or "
                "delete the row."
            )
        if not isinstance(value, (str, bool, int, float)):
            raise DataError(
                f"{table.place(row)}: column {column!r} holds a {type(value).__name__}. Expected "
                "one label a row, as a word or a number."
            )
        if len(str(value).splitlines()) > 1:
            raise DataError(
                f"{table.place(row)}: the label {value!r} goes over several lines. Look in this "
                "row for a quotation mark too many, and delete it."
            )
        words.append(json.dumps(value) if isinstance(value, bool) else str(value))
    return words


def spelling(label: str) -> str:
    """A label without its case, white space, hyphens, decimals ("1.0") and invisible characters."""
    label = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
    label = "".join(c for c in label if unicodedata.category(c) not in ("Cc", "Cf"))
    label = re.sub("[\ufe00-\ufe0f]", "", label).replace("\u2019", "'")  # as Word writes it
    label = " ".join(re.sub(r"(?<=\w)[-_ \u2010-\u2015]+(?=\w)", " ", label).split())
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", label)


def check_spellings(tables: Mapping[str, Table]) -> None:
    """Raise DataError where one label is written in two ways. Name the rarer one's first row."""
    counts = Counter(word for table in tables.values() for word in table.columns["label"])
    common: dict[str, str] = {}
    for word, _ in counts.most_common():
        first = common.setdefault(spelling(word), word)
        if first == word:
            continue
        table = next(table for table in tables.values() if word in table.columns["label"])
        raise DataError(
            f"{table.place(table.columns['label'].index(word) + 1)}: the label {word!r} "
            f"({counts[word]}) looks like another spelling of {first!r} ({counts[first]}). "
            "Write the same word in every row; if they are two classes, give them names that "
            "differ in more than that."
        )


def in_order(names: Collection[str]) -> list[str]:
    """Sorted as numbers where all are numbers, else as words."""
    numbers = all(re.fullmatch(r"[+-]?\d+(\.\d+)?", name) for name in names)
    return sorted(sorted(names), key=float) if numbers else sorted(names)
