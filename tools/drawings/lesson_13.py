"""Lesson 13."""

from __future__ import annotations

from tools.draw import BLUE, GREY, PALE, SAND, Drawing


def two_workers() -> Drawing:
    d = Drawing(
        820,
        300,
        "One step of data-parallel training with two processes. Each process holds the whole model: "
        "all weights, all gradients, all optimiser states. The batch alone is divided: rows 1 to 8 go "
        "to process 0, rows 9 to 16 to process 1. Each computes gradients from its own rows. Then an "
        "all-reduce gives both the mean of the two gradients, so both make the same step and their "
        "weights stay equal.",
    )
    d.box(280, 8, 260, 34, "a batch of 16 rows", SAND, 14, bold=True)
    for x, rank, rows in ((20, 0, "rows 1 to 8"), (470, 1, "rows 9 to 16")):
        d.box(x, 72, 330, 176, "", "white")
        d.text(x + 14, 94, f"process {rank}", 15, bold=True)
        d.box(x + 150, 78, 168, 30, rows, SAND, 13, bold=True)
        d.box(x + 14, 118, 304, 32, "weights: all of them", PALE, 13)
        d.box(x + 14, 158, 304, 32, f"gradients: all, from {rows}", PALE, 13)
        d.box(x + 14, 198, 304, 40, "optimiser: two numbers a weight", PALE, 13)
    d.arrow(340, 44, 264, 76, 1.6, GREY)
    d.arrow(480, 44, 684, 76, 1.6, GREY)
    d.arrow(410, 174, 355, 174, 2, BLUE)
    d.arrow(410, 174, 465, 174, 2, BLUE)
    d.text(410, 152, "all-reduce", 14, "middle", True, BLUE)
    d.text(410, 204, "both get\nthe mean", 13, "middle", colour=BLUE)
    d.text(
        20,
        280,
        "Divided: the rows. Kept twice: everything else. More processes save time, not memory.",
        13,
        colour=GREY,
    )
    return d


def stream_split() -> Drawing:
    d = Drawing(
        820,
        248,
        "Two ways to divide a stream of eight batches, A to H, between two processes. Divided once, by "
        "split_dataset_by_node in your own loop: process 0 reads A, B, E, F, process 1 reads C, D, G, "
        "H; each batch is met once. The Trainer alone deals A, C, E, G and B, D, F, H. Divided "
        "twice: split_dataset_by_node leaves process 0 with A, B, E, F, then the Trainer reads in "
        "process 0 alone and deals these out to both. When they are used up it begins anew: A, B, E, F "
        "are met twice, C, D, G, H never.",
    )

    def row(x, y, name, batches, missing=False):
        d.text(x, y + 21, name, 13)
        for n, letter in enumerate(batches):
            d.box(
                x + 84 + 34 * n,
                y,
                30,
                30,
                letter,
                "white" if missing else PALE,
                14,
                bold=not missing,
                dashed=missing,
            )

    d.text(20, 24, "the stream", 14, bold=True)
    for n, letter in enumerate("ABCDEFGH"):
        d.box(120 + 34 * n, 6, 30, 30, letter, SAND, 14, bold=True)
    d.text(20, 76, "divided once: each batch met once", 14, bold=True)
    row(20, 94, "process 0", "ABEF")
    row(20, 134, "process 1", "CDGH")
    d.text(420, 76, "divided twice: half of it, twice", 14, bold=True)
    row(420, 94, "process 0", "AEAE")
    row(420, 134, "process 1", "BFBF")
    row(420, 182, "never read", "CDGH", missing=True)
    d.text(
        20,
        206,
        "By split_dataset_by_node, in your own loop.\n"
        "(The Trainer alone deals A C E G and B D F H.)",
        13,
        colour=GREY,
    )
    d.text(420, 238, "By both. No error, no warning.", 13, colour=GREY)
    return d


def restart() -> Drawing:
    d = Drawing(
        820,
        196,
        "A time line. Two processes train steps 1 to 8; a checkpoint is written to the shared folder "
        "after step 5. After step 8 process 1 is killed. torchrun notices, ends process 0 too and "
        "starts both anew. They read the checkpoint and go on with step 6: steps 6 to 8 are computed a "
        "second time. Then steps 9 to 12.",
    )
    for y, rank in ((24, 0), (66, 1)):
        d.text(14, y + 20, f"process {rank}", 13, bold=True)
        d.box(96, y, 150, 30, "steps 1 to 5", PALE, 13)
        d.box(250, y, 100, 30, "6, 7, 8", SAND, 13)
        d.box(500, y, 100, 30, "6, 7, 8", SAND, 13)
        d.box(604, y, 140, 30, "9 to 12", PALE, 13)
    d.text(366, 86, "✕ killed", 14, bold=True)
    d.text(366, 44, "ended by torchrun", 13, colour=GREY)
    d.box(150, 128, 200, 34, "checkpoint: step 5", "white", 13, bold=True)
    d.arrow(246, 98, 246, 126, 1.6, BLUE)
    d.parts.append(
        f'<polyline points="350,145 496,145 496,100" fill="none" stroke="{BLUE}" stroke-width="1.8"/>'
    )
    d.arrow(496, 120, 496, 98, 1.8, BLUE)
    d.text(510, 140, "both read it and go on", 13, colour=BLUE)
    d.text(
        14,
        186,
        "Lost: the steps since the last checkpoint, and the time to start anew.",
        13,
        colour=GREY,
    )
    return d


DRAWINGS = {"two-workers": two_workers, "stream-split": stream_split, "restart": restart}
