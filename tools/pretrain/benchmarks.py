"""What the pair is judged by: the embedded sets, and real data from a mirror where there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow.parquet as pq
from sklearn.metrics import accuracy_score, f1_score

from course_utils.data import TASKS, fingerprint, from_embedded
from course_utils.lab import ROOT
from tools.pretrain.corpus import LINE_BREAK

Splits = dict[str, datasets.Dataset]  # train, validation, test; columns text (or words), label (or tags)


@dataclass(frozen=True)
class Benchmark:
    """A task with its fixed recipe. Rates, and the epochs of SST-2 with all labels, were chosen on validation rows, with
    the student; ``evaluate --choose`` compares them.

    ``score(references, predictions)`` is between 0 and 1. ``length`` cuts texts, in pieces. ``long`` runs come last.
    """

    name: str
    load: Callable[[Path], Splits]
    score: Callable[[list, list], float]
    metric: str
    epochs: int
    rate: float
    batch_size: int = 16
    length: int = 128
    long: bool = False


def spans(tags: list[str]) -> set[tuple[int, int, str]]:
    """Entities (start, end, type) of a sequence of BIO tags; an I- without its B- opens one (as conlleval does)."""
    found, start, kind = set(), 0, None
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind is not None and (prefix != "I" or name != kind):
            found.add((start, i, kind))
            kind = None
        if kind is None and prefix != "O":
            start, kind = i, name
    return found


def entity_f1(references: list[list[str]], predictions: list[list[str]]) -> float:
    """Micro F1 of whole entities: borders and type must both be right (Tjong Kim Sang and De Meulder 2003)."""
    pairs = [(spans(r), spans(p)) for r, p in zip(references, predictions, strict=True)]
    right = sum(len(r & p) for r, p in pairs)
    return 2 * right / max(1, sum(len(r) + len(p) for r, p in pairs))


def table(file: Path, text: str, label: str) -> datasets.Dataset:
    """Two columns of a parquet file as ``text`` and ``label``; repeated texts are kept once."""
    split = datasets.Dataset(pq.read_table(file)).select_columns([text, label])
    split = split.rename_columns({old: new for old, new in ((text, "text"), (label, "label")) if old != new})
    first = {fingerprint(t): i for i, t in reversed(list(enumerate(split["text"])))}
    return split.select(sorted(first.values()))


def without(split: datasets.Dataset, other: datasets.Dataset) -> datasets.Dataset:
    seen = {fingerprint(t) for t in other["text"]}
    return split.select([i for i, t in enumerate(split["text"]) if fingerprint(t) not in seen])


def parts(split: datasets.Dataset, *sizes: int | None) -> list[datasets.Dataset]:
    """Disjoint random parts of the given sizes, always the same; None takes the rest."""
    split, start, out = split.shuffle(seed=0), 0, []
    for size in sizes:
        stop = len(split) if size is None else start + size
        out.append(split.select(range(start, stop)))
        start = stop
    return out


def embedded(task: str) -> Callable[[Path], Splits]:
    def load(mirror: Path) -> Splits:
        text, out = TASKS[task].text, {}
        for name, split in from_embedded(task, ROOT / "data" / task).items():
            chosen = split.select_columns([text, "label"])
            out[name] = chosen if text == "text" else chosen.rename_column(text, "text")
        return out
    return load


def sst2(rows: int | None) -> Callable[[Path], Splits]:
    def load(mirror: Path) -> Splits:
        folder = mirror / "datasets/stanfordnlp/sst2"
        test = table(folder / "validation.parquet", "sentence", "label")  # the official test labels are secret
        validation, train = parts(without(table(folder / "train.parquet", "sentence", "label"), test), 1000, rows)
        return {"train": train, "validation": validation, "test": test}
    return load


def imdb(mirror: Path) -> Splits:
    folder = mirror / "datasets/stanfordnlp/imdb"
    test = table(folder / "test.parquet", "text", "label")
    validation, train = parts(without(table(folder / "train.parquet", "text", "label"), test), 500, 2000)
    splits = {"train": train, "validation": validation, "test": parts(test, 5000)[0]}
    return {s: rows.map(lambda row: {"text": row["text"].replace(LINE_BREAK, " ")}) for s, rows in splits.items()}


def sms(mirror: Path) -> Splits:
    all_rows = table(mirror / "datasets/ucirvine/sms_spam/train.parquet", "sms", "label")
    return dict(zip(("train", "validation", "test"), parts(all_rows, 4000, 400, None), strict=True))


def clinc(mirror: Path) -> Splits:
    folder = mirror / "datasets/clinc/clinc_oos/plus"
    return {s: table(folder / f"{s}.parquet", "text", "intent") for s in ("train", "validation", "test")}


def wnut(mirror: Path) -> Splits:
    folder = mirror / "datasets/leondz/wnut_17"
    out = {}
    for name in ("train", "validation", "test"):
        split = datasets.Dataset(pq.read_table(folder / f"{name}.parquet")).select_columns(["tokens", "ner_tags"])
        split = split.select([i for i, words in enumerate(split["tokens"]) if words])
        out[name] = split.rename_columns({"tokens": "words", "ner_tags": "tags"})
    return out


def binary_f1(references, predictions) -> float:
    return float(f1_score(references, predictions))


def accuracy(references, predictions) -> float:
    return float(accuracy_score(references, predictions))


EMBEDDED = (
    Benchmark("course reviews", embedded("reviews"), accuracy, "accuracy", epochs=3, rate=1e-4, length=256),
    Benchmark("course messages", embedded("messages"), binary_f1, "F1 of spam", epochs=6, rate=1e-4),
)
REAL = (
    Benchmark("SST-2, 2,000 labels", sst2(2000), accuracy, "accuracy", epochs=4, rate=1e-4),
    Benchmark("SMS spam, 4,000 labels", sms, binary_f1, "F1 of spam", epochs=3, rate=2e-4),
    Benchmark("WNUT-17", wnut, entity_f1, "entity F1", epochs=4, rate=2e-4),
    Benchmark("IMDb, 2,000 labels, 128 pieces", imdb, accuracy, "accuracy", epochs=4, rate=1e-4, long=True),
    Benchmark("CLINC150 with out-of-scope", clinc, accuracy, "accuracy", epochs=5, rate=5e-4, batch_size=64, long=True),
    Benchmark("SST-2, all labels", sst2(None), accuracy, "accuracy", epochs=2, rate=2e-4, batch_size=32, long=True),
    Benchmark("IMDb, 2,000 labels, 256 pieces", imdb, accuracy, "accuracy", epochs=4, rate=1e-4, length=256, long=True),
)
