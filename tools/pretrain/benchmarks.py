"""The benchmarks of the embedded models: the course's tasks, and real data from a mirror where there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_recall_curve,
)

from course_utils.data import TASKS, from_embedded
from course_utils.lab import ROOT
from course_utils.splits import fingerprint
from tools.pretrain.corpus import LINE_BREAK

# train, validation, test; columns text (or words), label (or tags)
Splits = dict[str, datasets.Dataset]
Judged = tuple[np.ndarray, np.ndarray]  # labels (rows,) and probabilities (rows, classes)


@dataclass(frozen=True)
class Benchmark:
    """A task with its fixed recipe, chosen on validation rows (``evaluate --choose``).

    ``metric`` is one of ``METRICS``, ``beside`` another that is told with it; ``aim`` what the six-layer model should
    reach, in percent, and ``why`` what is known of the reason where it does not. ``length`` cuts texts, in pieces.
    ``long`` runs come last.
    """

    name: str
    load: Callable[[Path], Splits]
    metric: str
    epochs: int
    rate: float
    batch_size: int = 16
    length: int = 128
    long: bool = False
    aim: float | None = None
    beside: str | None = field(default=None, repr=False)
    why: str = field(default="", repr=False)


def accuracy(validation: Judged, test: Judged) -> float:
    return float(accuracy_score(test[0], test[1].argmax(1)))


def f1(validation: Judged, test: Judged) -> float:
    """F1 of class 1 at the threshold that is best on the validation rows: the same rule for every model."""
    precision, recall, thresholds = precision_recall_curve(validation[0], validation[1][:, 1])
    scores = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(f1_score(test[0], test[1][:, 1] >= thresholds[scores[:-1].argmax()]))


def average_precision(validation: Judged, test: Judged) -> float:
    return float(average_precision_score(test[0], test[1][:, 1]))


def spans(tags: list[str]) -> set[tuple[int, int, str]]:
    """Entities (start, end, type) of a sequence of BIO tags; an I- without a B- before it begins one (as in conlleval)."""
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
    """Micro F1 of entities: start, end and type must all be right (Tjong Kim Sang and De Meulder 2003)."""
    pairs = [(spans(r), spans(p)) for r, p in zip(references, predictions, strict=True)]
    right = sum(len(r & p) for r, p in pairs)
    return 2 * right / max(1, sum(len(r) + len(p) for r, p in pairs))


METRICS = {
    "accuracy": accuracy,
    "F1": f1,
    "average precision": average_precision,
    "entity F1": lambda validation, test: entity_f1(*test),
}


def table(file: Path, text: str, label: str) -> datasets.Dataset:
    """Two columns of a parquet file as ``text`` and ``label``; repeated texts are kept once."""
    split = datasets.Dataset(pq.read_table(file)).select_columns([text, label])
    split = split.rename_columns(
        {old: new for old, new in ((text, "text"), (label, "label")) if old != new}
    )
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
        test = table(
            folder / "validation.parquet", "sentence", "label"
        )  # the official test labels are secret
        validation, train = parts(
            without(table(folder / "train.parquet", "sentence", "label"), test), 1000, rows
        )
        return {"train": train, "validation": validation, "test": test}

    return load


def imdb(mirror: Path) -> Splits:
    folder = mirror / "datasets/stanfordnlp/imdb"
    test = table(folder / "test.parquet", "text", "label")
    validation, train = parts(
        without(table(folder / "train.parquet", "text", "label"), test), 500, 2000
    )
    splits = {"train": train, "validation": validation, "test": parts(test, 5000)[0]}
    return {
        s: rows.map(lambda row: {"text": row["text"].replace(LINE_BREAK, " ")})
        for s, rows in splits.items()
    }


def sms(mirror: Path) -> Splits:
    all_rows = table(mirror / "datasets/ucirvine/sms_spam/train.parquet", "sms", "label")
    # 900 to choose the threshold by: of 400 only 49 are spam, and one odd message of them cost TF-IDF 6 points of F1.
    return dict(zip(("train", "validation", "test"), parts(all_rows, 3500, 900, None), strict=True))


def clinc(mirror: Path) -> Splits:
    folder = mirror / "datasets/clinc/clinc_oos/plus"
    return {
        s: table(folder / f"{s}.parquet", "text", "intent") for s in ("train", "validation", "test")
    }


def wnut(mirror: Path) -> Splits:
    folder = mirror / "datasets/leondz/wnut_17"
    out = {}
    for name in ("train", "validation", "test"):
        split = datasets.Dataset(pq.read_table(folder / f"{name}.parquet")).select_columns(
            ["tokens", "ner_tags"]
        )
        split = split.select([i for i, words in enumerate(split["tokens"]) if words])
        out[name] = split.rename_columns({"tokens": "words", "ner_tags": "tags"})
    return out


def clinc_few(labels: int) -> Callable[[Path], Splits]:
    """CLINC150's 150 intents without the out-of-scope class, ``labels`` training rows of each."""

    def load(mirror: Path) -> Splits:
        splits, out = clinc(mirror), {}
        feature = splits["train"].features["label"]
        out_of_scope = feature.str2int("oos")
        classes = datasets.ClassLabel(names=[name for name in feature.names if name != "oos"])
        for name, split in splits.items():
            in_scope = split.filter(lambda label: label != out_of_scope, input_columns="label")
            in_scope = in_scope.map(
                lambda row: {"label": row["label"] - (row["label"] > out_of_scope)}
            )
            out[name] = in_scope.cast_column("label", classes)
        shuffled = out["train"].shuffle(seed=0)
        seen: dict[int, int] = {}
        kept = []
        for row, label in enumerate(shuffled["label"]):
            seen[label] = seen.get(label, 0) + 1
            if seen[label] <= labels:
                kept.append(row)
        return out | {"train": shuffled.select(kept)}

    return load


# Name, loader, metric, epochs, rate, batch size, length, long. Rates and epochs by validation rows (``--choose``, seed 0): at
# 5e-5, 1e-4, 2e-4 and 3e-4 CLINC150 with 10 labels has 82.6, 88.0, 90.1 and 89.9 % right, and after 20 epochs 87.1, 89.7,
# 89.9 and 89.4; SST-2 with 2,000 labels 85.9, 85.9, 84.5 and 84.1, and after 8 epochs 86.0, 85.5, 84.8 and 84.3.
EMBEDDED = (
    Benchmark("course requests", embedded("requests"), "accuracy", 6, 3e-4, length=48),
    Benchmark("course reviews", embedded("reviews"), "accuracy", 4, 1e-4, length=256, aim=86.0),
    Benchmark("course messages", embedded("messages"), "average precision", 4, 2e-4),
)
REAL = (
    Benchmark(
        "CLINC150, 10 labels an intent",
        clinc_few(10),
        "accuracy",
        10,
        3e-4,
        length=48,
        aim=91.0,
        why="the aim was set on another draw of the labels, where TF-IDF had 77.8. On validation rows, neither other "
        "rates and epochs nor four times the tokens helped",
    ),
    Benchmark(
        "SST-2, 2,000 labels",
        sst2(2000),
        "accuracy",
        4,
        1e-4,
        aim=84.5,
        why="on validation rows, other rates and epochs brought 0.1 points and four times the tokens 0.5",
    ),
    Benchmark(
        "SMS spam, 3,500 labels",
        sms,
        "F1",
        3,
        1e-4,
        aim=97.0,
        beside="average precision",
        why="about a hundred spams choose the threshold, and the seeds lie further apart than the models",
    ),
    Benchmark("WNUT-17", wnut, "entity F1", 4, 2e-4, aim=35.0),
    Benchmark("IMDb, 2,000 labels, 128 pieces", imdb, "accuracy", 3, 5e-5, long=True, aim=83.0),
    Benchmark(
        "CLINC150 with out-of-scope", clinc, "accuracy", 5, 3e-4, 64, 48, long=True, aim=89.0
    ),
    Benchmark("SST-2, all labels", sst2(None), "accuracy", 2, 1e-4, 32, long=True, aim=89.5),
    Benchmark("IMDb, 2,000 labels, 256 pieces", imdb, "accuracy", 3, 5e-5, 16, 256, True, aim=87.0),
)
