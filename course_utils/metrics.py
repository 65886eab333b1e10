"""Metrics as ``evaluate.Metric`` objects over scikit-learn, without a download.

``evaluate.load("accuracy")`` fetches a program from the Hub and runs it without asking. A subclass
needs no network and has the same methods: ``compute``, ``add_batch``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import datasets
import evaluate
import numpy as np
from scipy import stats
from sklearn.metrics import accuracy_score, precision_recall_fscore_support


class ClassificationMetrics(evaluate.Metric):
    """Accuracy, precision, recall and F1 of single-label predictions.

    ``compute(predictions=..., references=..., average="binary", zero_division=0)`` takes integers
    of shape (n,). ``average`` is scikit-learn's: "binary" for the positive class 1, else "macro",
    "micro" or "weighted".
    """

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            inputs_description="integers of shape (n,)",
            features=datasets.Features(features),
        )

    def add_batch(self, *, predictions=None, references=None, **kwargs) -> None:
        """Add predictions; ``compute`` calls this too.

        Raises ValueError for probabilities, which would be cast to 0.
        """
        for values in map(np.asarray, (predictions, references)):
            if values.dtype.kind == "f" and (values % 1 != 0).any():
                raise ValueError(
                    f"{values[values % 1 != 0][0]} is no class number. "
                    "Take logits.argmax(-1) first."
                )
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def _compute(
        self, predictions, references, average: str = "binary", zero_division: int = 0
    ) -> dict[str, float]:
        precision, recall, f1, _ = precision_recall_fscore_support(
            references, predictions, average=average, zero_division=zero_division
        )
        return {
            "accuracy": float(accuracy_score(references, predictions)),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
        }


def bootstrap_interval(
    metric: Callable[..., float], *arrays, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron 1979) of ``metric(*arrays)``.

    ``scipy.stats.bootstrap`` draws row numbers with replacement, so that all arrays, of the same
    first dimension n, are resampled together. For a paired comparison of two models give
    references and both predictions, and a metric that returns the difference.

    Raises
    ------
    ValueError : where the arrays' lengths differ, there are fewer than two rows, or the metric of
        a draw isn't finite.
    """
    arrays = tuple(np.asarray(a) for a in arrays)
    lengths = [len(a) if a.ndim else 0 for a in arrays]
    if min(lengths) < 2 or len(set(lengths)) != 1:
        raise ValueError(f"bootstrap_interval needs arrays of one length above 1, got {lengths}.")
    rows = (np.arange(lengths[0]),)
    with warnings.catch_warnings():
        # A metric that is the same for every draw has an interval of width 0.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            rows,
            lambda draw: metric(*(a[draw] for a in arrays)),
            vectorized=False,
            n_resamples=resamples,
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    if not np.isfinite(found.bootstrap_distribution).all():
        raise ValueError(
            "bootstrap_interval: the metric is NaN or infinite for some draws of the rows. Look for "
            "NaN in the arrays, and for a metric that divides by 0 where a class isn't drawn."
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
