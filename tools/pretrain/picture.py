"""Plots of the pretraining's losses and of the test scores."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from course_utils.plots import COLOURS, MARKERS, curve, new_figure
from tools.pretrain.card import ALL, COLUMNS, Measured, share_of_teacher
from tools.pretrain.train import read_log


def draw_losses(folder: Path) -> None:
    """Write ``loss.png`` from the logs of teacher and student below ``folder``."""
    figure, ax = new_figure(width=8)
    for number, name in enumerate(("teacher", "student")):
        log = read_log(folder / name / "log.jsonl")
        train = [(line["tokens"] / 1e6, line["mlm"]) for line in log if "mlm" in line]
        held = [
            (line["tokens"] / 1e6, line["validation_mlm"])
            for line in log
            if "validation_mlm" in line
        ]
        if train:
            curve(
                ax, *zip(*train, strict=True), f"{name}, training", number, marker="", linewidth=1
            )
        if held:
            ax.plot(
                *zip(*held, strict=True),
                "o",
                color=COLOURS[number],
                label=f"{name}, held-out text",
                markersize=7,
            )
    ax.set(
        xlabel="million tokens seen",
        ylabel="masked-LM loss (nats)",
        title=f"Masked-LM loss, plan {folder.name}",
    )
    ax.legend()
    figure.savefig(folder / "loss.png")
    plt.close(figure)


def draw_scores(measured: Measured, file: Path) -> None:
    """Write a picture of all test scores, one row a task, seeds as separate marks."""
    tasks = [b for b in ALL if (b.name, "mini-distilbert") in measured.scores]
    figure, ax = new_figure(width=9, height=0.6 * len(tasks) + 1.6)
    for number, (model, name) in enumerate(COLUMNS.items()):
        marks = [
            (100 * score, row + 0.16 * (number - 2))
            for row, task in enumerate(tasks)
            for score in measured.scores.get((task.name, model), [])
        ]
        if marks:
            face = "white" if model in ("TF-IDF", "random", "cut out") else COLOURS[number]
            ax.plot(
                *zip(*marks, strict=True),
                MARKERS[number],
                color=COLOURS[number],
                label=name,
                markerfacecolor=face,
            )
    for row in range(1, len(tasks)):
        ax.axhline(row - 0.5, color="#dddddd", linewidth=0.8)
    ax.grid(visible=False, axis="y")
    ax.set_yticks(range(len(tasks)), [f"{task.name} ({task.metric})" for task in tasks])
    ax.set_ylim(len(tasks) - 0.5, -0.5)  # the first task on top, and no mark cut at the edge
    share = share_of_teacher(measured.scores)
    title = f"Three layers keep {share[0]:.0%} of the score of six" if share else "Test scores"
    ax.set(xlabel="test score, percent; each mark is one seed", title=title)
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handletextpad=0.3)
    figure.savefig(file)
    plt.close(figure)
