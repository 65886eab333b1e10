"""The loss log as a picture, beside the log."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from course_utils.plots import COLOURS, curve, new_figure
from tools.pretrain.card import read_log


def draw_losses(folder: Path) -> Path | None:
    """Write ``loss.png`` from the logs of teacher and student below ``folder``; returns its path, None without a log."""
    figure, ax = new_figure(width=8)
    drawn = False
    for number, name in enumerate(("teacher", "student")):
        log = read_log(folder / name / "log.jsonl")
        train = [(line["tokens"] / 1e6, line["mlm"]) for line in log if "mlm" in line]
        held = [(line["tokens"] / 1e6, line["validation_mlm"]) for line in log if "validation_mlm" in line]
        if train:
            curve(ax, *zip(*train, strict=True), f"{name}, training", number, marker="", linewidth=1)
        if held:
            ax.plot(*zip(*held, strict=True), "o", color=COLOURS[number], label=f"{name}, held-out text", markersize=7)
        drawn = drawn or bool(train or held)
    if not drawn:
        plt.close(figure)
        return None
    ax.set(xlabel="million tokens seen", ylabel="masked-LM loss (nats)", title=f"Masked-LM loss, plan {folder.name}")
    ax.legend()
    figure.savefig(folder / "loss.png")
    plt.close(figure)
    return folder / "loss.png"
