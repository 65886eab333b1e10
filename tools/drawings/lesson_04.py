"""Lesson 04."""

from __future__ import annotations

from tools.draw import BLUE, GREY, INK, PALE, SAND, Drawing


def settings_in_training() -> Drawing:
    d = Drawing(
        860,
        300,
        "Where each setting acts. A text is cut at max_length; texts are gathered into a batch of "
        "batch_size; the model, whose lower blocks may be frozen, gives scores; the loss compares "
        "them with the labels; a step moves the weights by the learning rate, which warm-up raises "
        "and the schedule lowers, while weight decay pulls them towards 0. An arrow leads back to "
        "the next batch: all batches once is an epoch. The seed draws the head and the order.",
    )
    stages = [
        (10, 118, "texts, cut\ninto pieces", "max_length", "how much of a\ntext is read"),
        (168, 118, "a batch", "batch_size", "how many texts\nmake one step"),
        (326, 150, "model\nand new head", "frozen", "which blocks\nlearn nothing"),
        (516, 118, "loss", "", "how wrong it is;\nno setting"),
        (674, 176, "step: all weights\nmove a little", "rate, warmup,\nweight_decay", ""),
    ]
    for n, (x, w, text, setting, what) in enumerate(stages):
        d.box(x, 96, w, 60, text, "white" if n == 3 else PALE, 15, bold=n == 2)
        if n:
            d.arrow(stages[n - 1][0] + stages[n - 1][1] + 3, 126, x - 4, 126)
        if setting:
            middle = x + w / 2
            two = "\n" in setting
            d.box(middle - 66, 14, 132, 46 if two else 32, setting, SAND, 14, True)
            d.arrow(middle, 62 if two else 48, middle, 93)
        if what:
            d.text(x + w / 2, 184, what, 13, "middle", colour=GREY)
    d.text(762, 184, "how far, and\nhow far at which step", 13, "middle", colour=GREY)
    d.parts.append(
        f'<path d="M762 212 V250 H227 V214" fill="none" stroke="{INK}" stroke-width="1.6" '
        'marker-end="url(#tip)"/>'
    )
    d.box(428, 232, 132, 34, "epochs", SAND, 14, True)
    d.text(494, 286, "how often all batches are read", 13, "middle", colour=GREY)
    d.box(10, 232, 118, 34, "seed", SAND, 14, True)
    d.text(69, 286, "draws head and order", 13, "middle", colour=GREY)
    return d


def dots(d: Drawing, x: float, y: float, values, fill=BLUE) -> None:
    for value in values:
        d.parts.append(
            f'<circle cx="{x + value:g}" cy="{y:g}" r="6" fill="{fill}" stroke="{INK}"/>'
        )


def axis(d: Drawing, x: float, y: float, w: float) -> None:
    d.parts.append(
        f'<line x1="{x}" y1="{y}" x2="{x + w}" y2="{y}" stroke="{INK}" stroke-width="1"/>'
    )
    for share, at in (("70 %", 0), ("accuracy", w / 2), ("90 %", w)):
        d.text(x + at, y + 18, share, 12, "middle", colour=GREY)


def two_chances() -> Drawing:
    d = Drawing(
        820,
        258,
        "Two kinds of chance. Left, the chance of training: three models from three seeds, judged on "
        "the same rows, get three different accuracies; more seeds show their spread. "
        "Right, the chance of the rows: one trained model, judged on three other samples of rows, "
        "gives three different accuracies; only more rows make that smaller.",
    )
    d.text(200, 24, "The chance of training", 16, "middle", True)
    d.text(620, 24, "The chance of the rows", 16, "middle", True)
    for n in range(3):
        d.box(20, 48 + 34 * n, 92, 26, f"seed {n}", SAND, 13)
        d.arrow(114, 61 + 34 * n, 148, 61 + 34 * n, 1.2, GREY)
        d.box(152, 48 + 34 * n, 92, 26, f"model {n}", PALE, 13)
        d.arrow(246, 61 + 34 * n, 282, 95, 1.2, GREY)
    d.box(286, 78, 94, 36, "same rows", "white", 13)
    axis(d, 40, 190, 320)
    dots(d, 40, 180, (128, 214, 168))
    d.text(200, 236, "Train again with more seeds to see this spread.", 13, "middle", colour=GREY)
    d.box(440, 78, 92, 36, "one model", PALE, 13)
    for n, rows in enumerate(("these rows", "other rows", "yet others")):
        d.arrow(534, 96, 586, 61 + 34 * n, 1.2, GREY)
        d.box(590, 48 + 34 * n, 106, 26, rows, "white", 13)
    axis(d, 460, 190, 320)
    dots(d, 460, 180, (90, 236, 176), SAND)
    d.text(620, 236, "Only more rows make this spread smaller.", 13, "middle", colour=GREY)
    return d


def winners_curse() -> Drawing:
    d = Drawing(
        800,
        270,
        "Six runs of equal quality, drawn as a line at one height. On the rows that choose, good luck "
        "adds a piece above the line, bad luck leaves a hollow gap below it, and the run with the most "
        "good luck stands highest and is chosen. On fresh rows its good luck is gone: there it has a "
        "small gap, and scores less than it did when it was chosen.",
    )
    d.text(190, 24, "On the rows that choose", 16, "middle", True)
    d.text(610, 24, "The same run on fresh rows", 16, "middle", True)
    base, top = 216, 96

    def piece(x, y, w, h, luck):
        """Good luck is filled, bad luck hollow."""
        look = f'fill="{SAND}"' if luck > 0 else 'fill="white" stroke-dasharray="3 3"'
        d.parts.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" {look} stroke="{INK}"/>')

    def run(x, luck, name, bold=False):
        gap = max(0, -luck)
        d.bar(x, top + gap, 38, base - top - gap)
        piece(x, top - max(0, luck), 38, abs(luck), luck)
        d.text(x + 19, base + 20, name, 13, "middle", bold)

    for n, luck in enumerate((6, -16, 20, 40, -8, 12)):
        run(30 + 56 * n, luck, f"run {n + 1}", n == 3)
    d.text(217, 44, "chosen", 14, "middle", True)
    d.parts.append(
        f'<line x1="20" y1="{top}" x2="790" y2="{top}" stroke="{INK}" stroke-dasharray="6 4"/>'
    )
    d.text(786, top - 10, "the quality that all six share", 13, "end", colour=GREY)
    d.arrow(378, 150, 470, 150, 2)
    run(520, -10, "run 4", True)
    d.text(574, 140, "its luck is gone:\nfresh rows have\nluck of their own", 14)
    d.bar(30, 248, 16, 12)
    d.text(52, 258, "quality that shows", 13)
    piece(190, 248, 16, 12, 1)
    d.text(212, 258, "added by good luck", 13)
    piece(358, 248, 16, 12, -1)
    d.text(380, 258, "hidden by bad luck", 13)
    return d


DRAWINGS = {
    "settings-in-training": settings_in_training,
    "two-chances": two_chances,
    "winners-curse": winners_curse,
}
