"""Check own data before training: every class in each split, no near-copies across splits."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from course_utils.own_data import load_own
from course_utils.splits import LEAST_ROWS, SPLITS
from course_utils.tables import DataError

TRIES = 50  # seeds for a split by group
NEAR = 0.8  # the least cosine similarity of two near-copies


def load_checked(
    path: str | Path,
    text: str = "text",
    label: str = "label",
    *,
    group: str | None = None,
    seed: int = 0,
    **keywords,
) -> datasets.DatasetDict:
    """``load_own`` with further seeds where a split by group lacks a class; drops near-copies.

    Whole groups can't be divided evenly, and the first draw may leave a split without a rare
    class. Then the next seeds are tried; the choice depends on the class counts alone. Rows
    without a group count as one group. What differs from ``load_own`` is printed.

    Raises
    ------
    DataError : as ``load_own``; where no seed gives a split, with the message of the first.
    """
    refused = None
    for number in range(seed, seed + TRIES):
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                splits = load_own(path, text, label, group=group, seed=number, **keywords)
        except DataError as error:
            if "split by group, " not in str(error):
                print(printed.getvalue(), end="")
                raise
            refused = refused or error
            continue
        print(printed.getvalue(), end="")
        break
    else:
        raise refused
    if number != seed:
        print(f"  seed {number} in place of {seed}: it leaves every class in each split")
    if group:
        names = [name for split in SPLITS for name in splits[split]["group"]]
        if lone := sum(name.strip() in ("", "None", "nan") for name in names):
            print(f"  {lone:,} rows have no {group}: they stay together, as if they had one")
        print(
            "  "
            + ", ".join(f"{split} {len(set(splits[split]['group']))}" for split in SPLITS)
            + f" different values of {group}"
        )
    return drop_near_copies(splits, path)


def near_copies(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of rows, the earlier first, whose texts have a cosine similarity of at least ``NEAR``.

    The vectors are the TF-IDF weights of the three to five character n-grams within words.
    """
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(texts)
    pairs = []
    for start in range(0, len(texts), 500):  # 500 rows at a time: memory
        similar = (vectors[start : start + 500] @ vectors.T).tocoo()
        close = similar.data >= NEAR
        pairs += zip(similar.row[close] + start, similar.col[close], strict=True)
    return sorted((int(a), int(b)) for a, b in pairs if a < b)


def drop_near_copies(splits: datasets.DatasetDict, path: str | Path) -> datasets.DatasetDict:
    """Drop each row with a near-copy in a later split, so that no test text was trained on.

    Near-copies within one split stay. Both are printed. ``path`` is named in an error.

    Raises DataError where fewer than two rows of a class would be left in a split.
    """
    texts = [text for split in SPLITS for text in splits[split]["text"]]
    where = [(split, row) for split in SPLITS for row in range(len(splits[split]))]
    pairs = near_copies(texts)
    across = [(a, b) for a, b in pairs if where[a][0] != where[b][0]]
    if within := len(pairs) - len(across):
        print(f"  {within:,} pairs of near-copies within one split: kept")
    if not across:
        return splits
    first, second = across[0]
    dropped = {where[a] for a, _ in across}
    print(
        f"  {len(dropped):,} near-copies of texts of a later split dropped, the first in "
        f"{where[first][0]}: {texts[first][:70]!r}, of {texts[second][:70]!r}"
    )
    clean = {}
    for split in SPLITS:
        keep = [row for row in range(len(splits[split])) if (split, row) not in dropped]
        clean[split] = splits[split].select(keep)
        names = splits[split].features["label"].names
        counts = np.bincount(np.asarray(clean[split]["label"], dtype=int), minlength=len(names))
        if counts.min() < LEAST_ROWS:
            raise DataError(
                f"{path}, {split}: {counts.min()} rows of the class {names[counts.argmin()]!r} are "
                f"left without near-copies; {LEAST_ROWS} are needed. Add texts of this class."
            )
    return datasets.DatasetDict(clean)
