"""``load_task``: the same task from the embedded files, a mirror or the Hub, always as train, validation and test."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from course_utils import hub
from course_utils.lab import ROOT, Profile, choose_profile

SPLITS = ("train", "validation", "test")


class DataError(ValueError):
    """Something is wrong with a data file. The message names file and row, what was expected, and what to do."""


@dataclass(frozen=True)
class Task:
    """``text`` is the column with the text; ``labels`` the class names in the order of their numbers."""

    text: str
    labels: tuple[str, ...]


TASKS = {"reviews": Task("text", ("neg", "pos")), "messages": Task("sms", ("ham", "spam"))}


def load_task(name: str, profile: Profile | None = None, seed: int = 0) -> datasets.DatasetDict:
    """Load a task and print where it came from.

    Parameters
    ----------
    name : ``"reviews"`` (columns text, label) or ``"messages"`` (columns sms, label). The embedded sets have further
        columns: ``kind`` of text, and ``film`` for reviews.
    profile : decides source and number of rows; by default the one that ``start_lab`` would choose.
    seed : chooses the rows where a split is cut to the profile's size, and the validation rows where the source has
        no validation split.

    Returns
    -------
    DatasetDict with train, validation and test. No text stands in two of them.

    Raises
    ------
    DataError : for a file that can't be used; nothing is returned half-read.
    KeyError : for a task that doesn't exist.
    """
    if name not in TASKS:
        raise KeyError(f"There is no task {name!r}. Choose one of: {', '.join(TASKS)}.")
    profile = profile or choose_profile()[0]
    if folder := hub.mirror():
        splits, origin = from_mirror(name, folder), f"mirror, {hub.DATASETS[name].repo}"
    elif profile.source == "embedded":
        splits, origin = from_embedded(name, ROOT / "data" / name), "embedded, written for this course"
    else:
        splits, origin = from_hub(name), f"Hub, {hub.DATASETS[name].repo} at {hub.DATASETS[name].revision[:7]}"
    splits = separate(splits, TASKS[name].text, seed)
    caps = {"train": profile.train_rows, "validation": profile.validation_rows, "test": profile.test_rows}
    out = datasets.DatasetDict({s: cut(splits[s], caps[s], seed) for s in SPLITS})
    print(f"{name}: " + ", ".join(f"{s} {len(out[s]):,}" for s in SPLITS) + f" ({origin})")
    return out


def cut(split: datasets.Dataset, rows: int | None, seed: int) -> datasets.Dataset:
    """At most ``rows`` rows, chosen at random: the first rows of IMDb are all of one class."""
    return split if rows is None or len(split) <= rows else split.shuffle(seed=seed).select(range(rows))


def fingerprint(text: str) -> str:
    return " ".join(text.lower().split())


def separate(splits: dict[str, datasets.Dataset], text: str, seed: int) -> dict[str, datasets.Dataset]:
    """Drop repeated texts, then make the splits that the source lacks.

    A text that stands in two splits is kept in the last of train, validation, test that has it, so that no training
    text can be met again in a test. A missing test split takes 15 % of train, a missing validation split 10 %.
    """
    seen: set[str] = set()
    clean = {}
    for split in reversed([s for s in SPLITS if s in splits]):
        keep = []
        for row, value in enumerate(splits[split][text]):
            if (mark := fingerprint(value)) not in seen:
                seen.add(mark)
                keep.append(row)
        dropped = len(splits[split]) - len(keep)
        if dropped:
            print(f"  {split}: {dropped:,} texts dropped that stand twice or also in a later split")
        clean[split] = splits[split].select(keep) if dropped else splits[split]
    for split, share in (("test", 0.15), ("validation", 0.1)):
        if split not in clean:
            parts = clean["train"].train_test_split(test_size=share, stratify_by_column="label", seed=seed)
            clean["train"], clean[split] = parts["train"], parts["test"]
    return clean


def features_of(task: Task, columns: list[str]) -> datasets.Features:
    label = datasets.ClassLabel(names=list(task.labels))
    return datasets.Features({c: label if c == "label" else datasets.Value("string") for c in columns})


def from_embedded(name: str, folder: Path) -> dict[str, datasets.Dataset]:
    """Read ``train.csv``, ``validation.csv`` and ``test.csv`` of a folder (UTF-8, labels by name)."""
    return {split: read_csv(folder / f"{split}.csv", TASKS[name]) for split in SPLITS}


def read_csv(file: Path, task: Task) -> datasets.Dataset:
    """One split from a CSV file with a header; every row is checked before any is returned."""
    if not file.is_file():
        raise DataError(f"{file}: this file is missing. It belongs to the course: fetch the repository again.")
    raw = file.read_bytes().removeprefix(b"\xef\xbb\xbf")  # Excel's mark of UTF-8
    try:
        if (nul := raw.find(0)) >= 0:  # UTF-16, or no text at all
            raise UnicodeDecodeError("utf-8", raw, nul, nul + 1, "NUL")
        content = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n")
        raise DataError(f"{file}, row {row}: byte 0x{raw[error.start]:02x} is not UTF-8. Expected UTF-8 text; save the "
                        "file with the encoding UTF-8.") from None
    try:
        reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{file}: not readable as CSV ({error}). Expected a header and one quoted row a text; look for "
                        "a quotation mark that is never closed.") from None
    if not rows:
        raise DataError(f"{file}: no rows. Expected a header with {task.text},label and at least one row.")
    columns = [c for c in rows[0] if c is not None]
    if twice := {c for c in columns if reader.fieldnames.count(c) > 1}:
        raise DataError(f"{file}: two columns are named {', '.join(map(repr, twice))}. Delete or rename one of them.")
    for needed in (task.text, "label"):
        if needed not in columns:
            raise DataError(f"{file}: no column {needed!r}; it has {', '.join(columns)}. Rename the column that holds "
                            f"the {'label' if needed == 'label' else 'text'} to {needed!r}.")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise DataError(f"{file}, row {number}: {len(columns)} columns expected, found more or fewer. Put "
                            "quotation marks around a text that contains commas.")
        check_row(file, number, row[task.text], row["label"], task)
    return datasets.Dataset.from_dict({c: [r[c] for r in rows] for c in columns}, features=features_of(task, columns))


def check_row(where: object, number: int, text: object, label: object, task: Task) -> None:
    if text is not None and not isinstance(text, str):
        raise DataError(f"{where}, row {number}: column {task.text!r} holds a {type(text).__name__}, not a text. This is "
                        "another data set or another version of it.")
    if not text or not text.strip():
        raise DataError(f"{where}, row {number}: the text in column {task.text!r} is empty. A model can't learn from "
                        "it: write a text or delete the row.")
    if label not in task.labels and label not in range(len(task.labels)):
        raise DataError(f"{where}, row {number}: unknown label {label!r}. Expected one of {', '.join(task.labels)}; "
                        "correct the label.")


def check_rows(where: object, found: list[str], columns: Mapping[str, Sequence] | datasets.Dataset, task: Task) -> None:
    for needed in (task.text, "label"):
        if needed not in found:
            raise DataError(f"{where}: no column {needed!r}; it has {', '.join(found)}. This is another data set or another "
                            "version of it.")
    if not len(columns["label"]):
        raise DataError(f"{where}: no rows. Expected at least one; copy the file again.")
    for number, (text, label) in enumerate(zip(columns[task.text], columns["label"], strict=True), start=1):
        check_row(where, number, text, label, task)


def from_mirror(name: str, folder: Path) -> dict[str, datasets.Dataset]:
    """Read a task's parquet files below a mirror; where only ``train_subset`` is there, take it and say so."""
    task, source = TASKS[name], hub.DATASETS[name]
    out = {}
    for split in source.files:
        file = folder / source.folder / f"{split}.parquet"
        if not file.is_file() and file.with_stem("train_subset").is_file() and split == "train":
            file = file.with_stem("train_subset")
            print("  the mirror has only a part of the training split: train_subset")
        if not file.is_file():
            raise DataError(f"{file}: the mirror lacks this file. Expected the splits {', '.join(source.files)} of "
                            f"{source.repo}; fill the mirror again, or unset COURSE_MIRROR.")
        try:
            table = pq.read_table(file)
            columns = {c: table[c].to_pylist() for c in (task.text, "label") if c in table.column_names}
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{file}: not readable as parquet ({(str(error) or 'no reason given').splitlines()[0]}). Copy the "
                            "file again; an interrupted copy leaves a part of it.") from None
        check_rows(file, table.column_names, columns, task)
        out[split] = datasets.Dataset.from_dict(columns, features=features_of(task, list(columns)))
    return out


def from_hub(name: str) -> dict[str, datasets.Dataset]:
    """Download a task at its pinned revision (or take it from the Hub's cache on this machine)."""
    source = hub.DATASETS[name]
    try:
        paths = hub.fetch(source.repo, source.revision, source.files.values(), "dataset")
        loaded = datasets.load_dataset("parquet", data_files={s: str(p) for s, p in zip(source.files, paths, strict=True)})
    except (*hub.HUB_ERRORS, datasets.exceptions.DatasetsError) as error:
        raise DataError(hub.failure(source, error)) from error
    features = features_of(TASKS[name], [TASKS[name].text, "label"])
    for split, rows in loaded.items():
        check_rows(f"{source.repo}, {split}", rows.column_names, rows, TASKS[name])
    return {split: rows.select_columns(list(features)).cast(features) for split, rows in loaded.items()}
