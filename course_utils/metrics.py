"""Metrics as ``evaluate.Metric`` objects over scikit-learn: the same online and offline, nothing downloaded.

``evaluate.load("accuracy")`` fetches a program from the Hub and runs it without asking. A subclass needs no Hub and
has the same methods: ``compute``, ``add_batch``.
"""

from __future__ import annotations

from collections.abc import Callable

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score, precision_recall_fscore_support


class ClassificationMetrics(evaluate.Metric):
    """Accuracy, precision, recall and F1 of single-label predictions.

    ``compute(predictions=..., references=..., average="binary", zero_division=0)`` takes integers of shape (n,).
    ``average`` is scikit-learn's: "binary" for the positive class 1, else "macro", "micro" or "weighted".
    """

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(description=self.__doc__, citation="", inputs_description="integers of shape (n,)",
                                   features=datasets.Features(features))

    def add_batch(self, *, predictions=None, references=None, **kwargs) -> None:
        """``compute`` comes by here too. A probability would be cut down to class 0 without a word."""
        for values in map(np.asarray, (predictions, references)):
            if values.dtype.kind == "f" and (values % 1 != 0).any():
                raise ValueError(f"{values[values % 1 != 0][0]} is no class number. Take logits.argmax(-1) first.")
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def _compute(self, predictions, references, average: str = "binary", zero_division: int = 0) -> dict[str, float]:
        precision, recall, f1, _ = precision_recall_fscore_support(
            references, predictions, average=average, zero_division=zero_division)
        return {"accuracy": float(accuracy_score(references, predictions)), "precision": float(precision),
                "recall": float(recall), "f1": float(f1)}


def bootstrap_interval(metric: Callable[..., float], *arrays, level: float = 0.95, resamples: int = 2000,
                       seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron 1979) of ``metric(*arrays)`` over rows drawn with replacement.

    All arrays have the same first dimension n and are resampled together. For a paired comparison of two models give
    references and both predictions, and a metric that returns the difference.

    Raises
    ------
    ValueError : where the arrays' lengths differ, there is no row, or the metric of a draw isn't finite.
    """
    arrays = tuple(np.asarray(a) for a in arrays)
    lengths = [len(a) if a.ndim else 0 for a in arrays]
    if 0 in lengths or len(set(lengths)) != 1:
        raise ValueError(f"bootstrap_interval needs arrays of one length above 0, got {lengths}.")
    n = lengths[0]
    rng = np.random.default_rng(seed)
    rows = (rng.integers(n, size=n) for _ in range(resamples))
    values = [metric(*(a[r] for a in arrays)) for r in rows]
    if not np.isfinite(values).all():
        raise ValueError("bootstrap_interval: the metric is NaN or infinite for some draws of the rows. Look for NaN in the "
                         "arrays, and for a metric that divides by 0 where a class isn't drawn.")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
