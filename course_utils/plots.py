"""Figures, drawings and findings: one style, readable without colour, with alternative text."""

from __future__ import annotations

import base64
import io
import re
from html import unescape
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colour-blind safe palette. The first four differ in lightness too.
COLOURS = ("#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#D55E00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LIGHT = "#9CC9E8"  # for bars: whiskers and grid stay visible on it
PICTURES = Path(__file__).resolve().parents[1] / "notebooks/pictures"
DASHES = ("-", "--", ":", "-.", (0, (1, 1)), (0, (5, 1)), (0, (3, 1, 1, 1)))
STYLE = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def new_figure(
    columns: int = 1, width: float = 7.0, height: float = 3.8
) -> tuple[Figure, np.ndarray | Axes]:
    """A figure in the course's style, with one axes or an array of ``columns`` axes."""
    plt.rcParams.update(STYLE)
    return plt.subplots(1, columns, figsize=(width, height))


def show(figure: Figure, alt: str) -> None:
    """Display ``figure`` with its alternative text, which exported pages show too, and close it."""
    if not alt.strip():
        raise ValueError(
            "A figure needs alt text: one or two sentences that say what a reader would see in it."
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")  # no title is cut off
    plt.close(figure)
    png = base64.b64encode(buffer.getvalue()).decode()
    display({"image/png": png, "text/plain": alt}, raw=True, metadata={"image/png": {"alt": alt}})


def picture(name: str) -> None:
    """Display the drawing ``notebooks/pictures/<name>.svg``; its title is the alternative text."""
    svg = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    alt = unescape(re.search(r"<title>(.*?)</title>", svg, re.S)[1])
    display(
        {"image/svg+xml": svg, "text/plain": alt},
        raw=True,
        metadata={"image/svg+xml": {"alt": alt}},
    )


def finding(text: str) -> None:
    """Display a sentence that is formatted from measured numbers, so that it always fits them."""
    display(Markdown(f"**Found:** {text}"))


def curve(ax: Axes, x, y, name: str, number: int = 0, low=None, high=None, **kwargs) -> None:
    """A line with colour, dash and marker ``number``, and an optional band ``low`` to ``high``."""
    style = {
        "color": COLOURS[number],
        "linestyle": DASHES[number],
        "marker": MARKERS[number],
        "markersize": 4,
    } | kwargs
    ax.plot(x, y, label=name, **style)
    if low is not None:
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def bars(ax: Axes, names: list[str], values, intervals=None, fmt: str = "{:.2f}") -> None:
    """Horizontal bars with their values, the first on top; ``intervals`` (n, 2) as whiskers."""
    values = np.asarray(values, dtype=float)
    y = np.arange(len(names))
    ax.barh(y, values, color=LIGHT, height=0.62)
    right = values
    if intervals is not None:
        low, high = np.asarray(intervals, dtype=float).T
        ax.errorbar(
            values,
            y,
            xerr=[values - low, high - values],
            fmt="none",
            ecolor="#444444",
            elinewidth=1.5,
            capsize=4,
        )
        right = np.maximum(values, high)
    span = max(right.max(), 1e-9)
    for position, end, value in zip(y, right, values, strict=True):
        ax.text(end + 0.015 * span, position, fmt.format(value), va="center")
    if fmt.endswith("%}"):
        ax.xaxis.set_major_formatter("{x:.0%}")
    ax.set_yticks(y, names)
    ax.set_xlim(0, 1.13 * span)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)


def confusion(ax: Axes, matrix: np.ndarray, names: list[str]) -> None:
    """A confusion matrix (rows: true class) with counts, shaded by the share of the row."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        ax.text(
            column,
            row,
            f"{count:,}\n({share[row, column]:.0%})",
            ha="center",
            va="center",
            color="white" if share[row, column] > 0.5 else "black",
        )
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.grid(visible=False)
