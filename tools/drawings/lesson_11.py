"""Lesson 11."""

from __future__ import annotations

from tools.draw import BLUE, GREY, PALE, SAND, Drawing


def what_can_shrink() -> Drawing:
    d = Drawing(
        900,
        330,
        "Five stacks side by side. The original: five pieces of text go into a wide box, the vectors "
        "of the vocabulary, and through six layers and a head. 8 bits: the same boxes, a quarter as "
        "wide. Fewer layers: three layers in place of six, the vocabulary as before. Zeros: all "
        "boxes as before, with holes in the layers. Shorter text: the same boxes, three pieces "
        "instead of five.",
    )
    columns = [
        ("the original", "", "32 bits a weight"),
        ("8 bits", "4", "the same boxes, each\na quarter as large"),
        ("fewer layers", "5", "half the work; the\nvocabulary stays"),
        ("zeros", "6", "every box as before:\nwhat is gained?"),
        ("shorter text", "7", "same file, less\nto work on"),
    ]
    for n, (title, section, says) in enumerate(columns):
        middle = 95 + 178 * n
        wide = 34 if n == 1 else 132
        layers = 3 if n == 2 else 6
        d.text(middle, 20, title, 15, "middle", True)
        if section:
            d.text(middle, 40, f"section {section}", 13, "middle", colour=GREY)
        d.box(middle - wide / 2, 54, wide, 22, "head" if n != 1 else "", SAND, 12)
        for layer in range(layers):
            y = 196 - 22 * layer
            d.box(middle - wide / 2, y, wide, 18, "", PALE)
            if n == 3:
                for hole in range(10):
                    if (hole * 7 + layer * 3) % 10 < 5:
                        d.parts.append(
                            f'<rect x="{middle - 60 + 12.2 * hole:g}" y="{y + 4}" width="9" height="10" '
                            f'fill="white" stroke="{GREY}"/>'
                        )
            if n == 0 and layer == 2:
                d.text(middle, y + 14, "six layers", 12, "middle")
            if n == 2 and layer == 1:
                d.text(middle, y + 14, "three layers", 12, "middle")
        if n == 2:
            d.arrow(middle, 150, middle, 80, 1.2, GREY)
        d.box(middle - wide / 2, 220, wide, 30, "vocabulary" if n != 1 else "", "white", 12)
        pieces = 3 if n == 4 else 5
        for piece in range(pieces):
            x = middle - 13 * pieces + 26 * piece
            inside = min(max(x + 13, middle - wide / 2 + 4), middle + wide / 2 - 4)
            d.arrow(x + 13, 268, inside, 253, 1, GREY)
            d.bar(x + 3, 270, 20, 12, BLUE)
        d.text(middle, 306, says, 13, "middle", colour="#222222")
    return d


def eight_bit_grid() -> Drawing:
    d = Drawing(
        820,
        300,
        "A number line with 15 marks from minus 7 to 7, the grid of 4 bits. Four weights stand above "
        "it: 0.70, the largest, gives the scale 0.70 / 7 = 0.1 and falls on mark 7; 0.36 goes to "
        "mark 4, 0.04 to mark 0, minus 0.22 to mark minus 2. Below, a table: weight, divided by the "
        "scale, whole number that is stored, read back, error.",
    )
    left, step, line = 70, 48, 112
    d.text(410, 20, "Every weight goes to the nearest mark", 15, "middle", True)
    d.text(
        410,
        40,
        "drawn for 4 bits: 7 marks on each side; 8 bits have 127 on each side",
        13,
        "middle",
        colour=GREY,
    )
    d.bar(left - 12, line - 1, 14 * step + 24, 2, "#222222")
    for mark in range(-7, 8):
        x = left + (mark + 7) * step
        d.bar(x - 0.7, line - 6, 1.4, 12, "#222222")
        d.text(x, line + 22, str(mark).replace("-", "−"), 13, "middle", colour=GREY)
    weights = [(0.70, 7), (0.36, 4), (0.04, 0), (-0.22, -2)]
    for weight, mark in weights:
        x = left + (weight / 0.1 + 7) * step
        d.bar(x - 4, 72, 8, 8, BLUE)
        d.text(x, 64, f"{weight:.2f}".replace("-", "−"), 13, "middle", True)
        d.arrow(x, 82, left + (mark + 7) * step, line - 8, 1.3)
    d.text(left + 14 * step, 160, "the largest weight: scale = 0.70 / 7 = 0.10", 13, "end")
    heads = ["weight", "÷ scale", "stored: whole number", "read back: × scale", "error"]
    places = [120, 240, 390, 560, 690]
    for place, head in zip(places, heads, strict=True):
        d.text(place, 190, head, 13, "middle", True)
    for n, (weight, mark) in enumerate(weights):
        y = 214 + 23 * n
        if n % 2 == 0:
            d.bar(66, y - 16, 688, 22, PALE)
        values = [
            f"{weight:.2f}",
            f"{weight / 0.1:.1f}",
            str(mark),
            f"{mark * 0.1:.2f}",
            f"{abs(mark * 0.1 - weight):.2f}",
        ]
        for place, value in zip(places, values, strict=True):
            d.text(place, y, value.replace("-", "−"), 14, "middle", place == 390)
    return d


DRAWINGS = {"what-can-shrink": what_can_shrink, "eight-bit-grid": eight_bit_grid}
