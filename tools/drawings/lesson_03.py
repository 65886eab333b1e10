"""Lesson 03."""

from __future__ import annotations

from tools.draw import BLUE, GREY, PALE, SAND, Drawing

TOKEN = "#5BA3D0"
LENGTHS = {"A": 3, "B": 9, "C": 2, "D": 7, "E": 4, "F": 3, "G": 10, "H": 5}
LIMIT, CELL, ROWS = 14, 14, 4  # the fixed length, a cell's side in pixels, rows in a batch


def padding() -> Drawing:
    """Eight texts in two batches of four, padded in three ways; the counts are those of the cells drawn."""
    d = Drawing(
        860,
        312,
        "Eight texts, A to H, of 2 to 10 tokens, in two batches of four rows; a square is a cell, "
        "filled for a token and hollow for padding. Fixed: every row is 14 cells wide, 112 cells, 62 % "
        "of them hollow. Dynamic: each batch is as wide as its longest text, 76 cells, 43 % hollow. "
        "Grouped by length: the short texts C, A, F, E share a batch and the long ones H, D, B, G the "
        "other, 56 cells, 23 % hollow.",
    )

    def cell(x: float, y: float, token: bool) -> None:
        if token:
            d.bar(x, y, CELL, CELL, TOKEN)
        else:
            d.parts.append(
                f'<rect x="{x + 0.5}" y="{y + 0.5}" width="{CELL - 1}" height="{CELL - 1}" fill="white" '
                f'stroke="{GREY}"/>'
            )

    given = list(LENGTHS)
    ordered = sorted(given, key=LENGTHS.get)
    for n, (title, how, order, fixed) in enumerate(
        [
            ("Fixed", "every row to one length", given, True),
            ("Dynamic", "to the longest of the batch", given, False),
            ("Grouped by length", "texts of like length share a batch", ordered, False),
        ]
    ):
        left, cells = 36 + 286 * n, 0
        d.text(left, 20, title, 16, bold=True)
        d.text(left, 42, how, 13, colour=GREY)
        for batch in range(2):
            names = order[batch * ROWS : (batch + 1) * ROWS]
            width = LIMIT if fixed else max(LENGTHS[name] for name in names)
            top = 78 + batch * (ROWS * (CELL + 2) + 28)
            d.text(left, top - 7, ("first batch", "second batch")[batch], 12, colour=GREY)
            for row, name in enumerate(names):
                y = top + row * (CELL + 2)
                d.text(left - 8, y + 11.5, name, 12, "end")
                for k in range(width):
                    cell(left + k * (CELL + 2), y, k < LENGTHS[name])
            cells += ROWS * width
        share = 1 - sum(LENGTHS.values()) / cells
        d.text(left, 256, f"{cells} cells, {100 * share:.0f} % padding", 14, bold=True)
    cell(36, 284, True)
    d.text(58, 296, "token", 13)
    cell(120, 284, False)
    d.text(142, 296, "[PAD]: computed like a token, then ignored", 13)
    return d


def accumulation() -> Drawing:
    """Eight rows at once, and in four parts whose divided gradients add up to the same."""
    d = Drawing(
        860,
        250,
        "Above: a batch of eight rows gives one gradient, then one update. Below: four batches of two "
        "rows come one after the other; each gradient is divided by four and added to the sum; after "
        "the fourth the sum equals the gradient above, and one update is made. Memory: eight rows "
        "above, two rows below.",
    )

    def rows(x: float, y: float, count: int, fill: str = TOKEN) -> None:
        for row in range(count):
            d.bar(x, y + 9 * row, 44, 7, fill)

    d.text(12, 20, "At once", 16, bold=True)
    rows(16, 34, 8)
    d.text(38, 122, "8 rows", 13, "middle", colour=GREY)
    d.arrow(66, 68, 586, 68)
    d.text(326, 56, "forward, backward", 13, "middle", colour=GREY)
    d.box(590, 48, 108, 40, "gradient", SAND)
    d.arrow(700, 68, 744, 68)
    d.box(748, 48, 100, 40, "update", PALE, bold=True)

    d.text(12, 152, "In four parts", 16, bold=True)
    for n in range(4):
        x = 16 + 140 * n
        rows(x, 176, 2)
        d.arrow(x + 48, 184, x + 62, 184, 1.2)
        d.box(x + 64, 166, 54, 36, "g ÷ 4", SAND, 13)
        d.text(x + 130, 190, "+" if n < 3 else "=", 20, "middle", True, BLUE)
    d.box(590, 164, 108, 40, "the same\ngradient", SAND, 14)
    d.arrow(700, 184, 744, 184)
    d.box(748, 164, 100, 40, "update", PALE, bold=True)
    d.text(
        16,
        234,
        "One part at a time is in memory: 2 rows. The division is easy to forget.",
        13,
        colour=GREY,
    )
    return d


DRAWINGS = {"batch-padding": padding, "gradient-accumulation": accumulation}
