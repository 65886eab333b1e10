"""Clean splits: no text in two of them, and rows of every class in each."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import datasets
import numpy as np

from course_utils.tables import DataError, Table

SPLITS = ("train", "validation", "test")
SHARES = {"test": 0.15, "validation": 0.1}  # of train, where the source lacks the split
LEAST_ROWS = 2  # of a class in a split: with one row, no further stratified split can be made
Draw = Callable[[datasets.Dataset, float, int], tuple[list[int], list[int]]]


def fingerprint(text: str) -> str:
    """What two texts share that differ only in case, white space, or how accents are coded."""
    return " ".join(unicodedata.normalize("NFC", text.lower()).split())


def stratified(labels: Sequence[int], size: int, seed: int) -> tuple[list[int], list[int]]:
    """Row numbers of a stratified random sample of ``size`` rows, and of the rest.

    Unlike scikit-learn's ``train_test_split`` it takes at least two rows of every class, however
    rare, and leaves any number of rows.

    Raises DataError where ``size`` is smaller than twice the number of classes.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = np.asarray(labels[:])[order]
    classes = np.unique(shuffled)
    if size < LEAST_ROWS * len(classes):
        raise DataError(
            f"{size} rows can't hold {LEAST_ROWS} of each of {len(classes)} classes. Ask for "
            f"{LEAST_ROWS * len(classes)} or more."
        )
    rank = np.zeros(len(order))  # of a row in its class, from 0 to 1: the lowest are chosen
    for label in classes:
        rows = np.flatnonzero(shuffled == label)
        rank[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        rank[rows[:LEAST_ROWS]] = 0
    chosen = np.zeros(len(order), dtype=bool)
    chosen[np.argsort(rank, kind="stable")[:size]] = True
    return order[chosen].tolist(), order[~chosen].tolist()


def by_label(split: datasets.Dataset, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Row numbers of a stratified sample of ``share`` of the rows, rounded up, and of the rest."""
    least = LEAST_ROWS * split.features["label"].num_classes
    return stratified(split["label"], max(math.ceil(share * len(split) - 1e-9), least), seed)


def separate(
    splits: Mapping[str, datasets.Dataset],
    tables: Mapping[str, Table],
    text: str,
    seed: int,
    shares: Mapping[str, float] = SHARES,
    draw: Draw = by_label,
    cure: str = "This is another data set or a part of it: fetch the file again.",
) -> dict[str, datasets.Dataset]:
    """Drop repeated texts, make missing splits, and check that each split has every class.

    A text that stands in two splits is kept in the last of train, validation, test that has it,
    so that no training text is in a test split. A split that is missing is drawn from train:
    ``shares`` gives its part of the rows, and ``draw`` chooses them, by default by label.

    Raises
    ------
    DataError : where a split is left with fewer than two rows of a class. ``tables`` names the
        file of each split, ``cure`` what to do.
    """
    seen: dict[str, int] = {}
    clean = {}
    missing = [split for split in shares if split not in splits]
    for split in reversed([s for s in SPLITS if s in splits]):
        rows, keep, dropped, contradicted = splits[split], [], [], []
        for row, (value, label) in enumerate(zip(rows[text][:], rows["label"][:], strict=True)):
            mark = fingerprint(value)
            (dropped if mark in seen else keep).append(row)
            if seen.setdefault(mark, label) != label:
                contradicted.append(row)
        if dropped:
            print(
                f"  {split}: {len(dropped):,} texts dropped that stand twice or also in a later "
                f"split, the first in {tables[split].row(dropped[0] + 1)}"
            )
        if contradicted:
            print(
                f"  {split}: {len(contradicted):,} of them had another label there, the first in "
                f"{tables[split].row(contradicted[0] + 1)}"
            )
        if not keep:
            later = ", ".join(tables[s].file.name for s in SPLITS if s in clean)
            raise DataError(
                f"{tables[split].file}: no rows are left, after {len(dropped):,} repeated texts "
                f"were dropped: all of them stand in {later} too. Give each split texts of its "
                "own, or fetch the files again."
            )
        clean[split] = rows.select(keep) if dropped else rows
        parts = 1 + len(missing) if split == "train" else 1
        check_classes(clean[split], tables[split], keep, parts, cure)
    for split in missing:
        chosen, rest = draw(clean["train"], shares[split], seed)
        clean[split], clean["train"] = clean["train"].select(chosen), clean["train"].select(rest)
    return clean


def check_classes(
    split: datasets.Dataset, table: Table, rows: Sequence[int], parts: int, cure: str
) -> None:
    """Raise DataError unless ``split`` has the rows of each class that ``parts`` splits need.

    ``rows`` are the places of its rows in the table.
    """
    needed, names = parts * LEAST_ROWS, split.features["label"].names
    labels = split["label"][:]
    repeats = len(table.columns["label"]) - len(labels)
    after = f", after {repeats:,} repeated texts were dropped" if repeats else ""
    few = []
    for number, name in enumerate(names):
        if (count := labels.count(number)) < needed:
            first = f", first in {table.row(rows[labels.index(number)] + 1)}" if count else ""
            few.append(f"{name!r} ({count}{first})")
    if few:
        more = f" and {len(few) - 5:,} more" if len(few) > 5 else ""
        there = Counter(names[label] for label in labels).most_common(5)
        listed = ", ".join(f"{name!r} ({count:,})" for name, count in there)
        shared = f", {LEAST_ROWS} for each of the {parts} splits made of it" if parts > 1 else ""
        raise DataError(
            f"{table.file}: too few rows of the class {', '.join(few[:5])}{more}{after}. Each "
            f"class needs at least {needed} in this file{shared}. Its most frequent classes: "
            f"{listed}. {cure}"
        )


def cut(split: datasets.Dataset, rows: int | None, seed: int) -> datasets.Dataset:
    """At most ``rows`` rows, chosen at random with every class by its share."""
    if rows is None or len(split) <= rows:
        return split
    return split.select(stratified(split["label"], rows, seed)[0])
