"""Lesson 06."""

from __future__ import annotations

from tools.draw import BLUE, GREY, INK, PALE, SAND, Drawing

# Messages by their probability of spam, ten columns from 0 to 1: two hills that overlap.
HAM = (3, 7, 9, 6, 5, 2, 1, 0, 0, 0)
SPAM = (0, 0, 0, 1, 1, 2, 3, 2, 1, 0)


def stack(d: Drawing, x: float, base: float, count: int, up: bool, wrong: bool) -> None:
    """``count`` messages on top of each other, wanted ones above the line as circles, spam below as squares."""
    fill = INK if wrong else PALE if up else SAND
    for n in range(count):
        y = base - 8 - 12.5 * n if up else base + 8 + 12.5 * n
        if up:
            d.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="5.2" fill="{fill}" stroke="{INK}"/>')
        else:
            d.parts.append(
                f'<rect x="{x - 5:g}" y="{y - 5:g}" width="10" height="10" fill="{fill}" '
                f'stroke="{INK}"/>'
            )


def two_hills() -> Drawing:
    panels = []
    for first in (3, 5, 7):
        alarms, caught = sum(HAM[first:]), sum(SPAM[first:])
        misses = sum(SPAM) - caught
        panels.append((first, alarms, caught, misses))
    said = "; ".join(
        f"at 0.{first} {alarms} wanted messages are lost and {misses} spams get through, precision "
        f"{caught / (caught + alarms):.2f}, recall {caught / (caught + misses):.2f}, F1 "
        f"{2 * caught / (2 * caught + alarms + misses):.2f}, bill {3 * alarms + misses} at three to one"
        for first, alarms, caught, misses in panels
    )
    d = Drawing(
        860,
        414,
        f"The same {sum(HAM)} wanted messages and {sum(SPAM)} spams three times, piled up by their "
        "probability of spam: a large hill on the left, a small one on the right, and they overlap. "
        f"A dashed line, the threshold, stands at 0.3, 0.5 and 0.7. {said}.",
    )
    d.text(92, 150, "wanted", 13, "end")
    d.text(92, 196, "spam", 13, "end")
    for panel, (first, alarms, caught, misses) in enumerate(panels):
        left, base = 106 + 252 * panel, 170
        for column, (ham, spam) in enumerate(zip(HAM, SPAM, strict=True)):
            x = left + 11 + 22 * column
            stack(d, x, base, ham, True, column >= first)
            stack(d, x, base, spam, False, column < first)
        d.parts.append(
            f'<line x1="{left}" y1="{base}" x2="{left + 220}" y2="{base}" stroke="{INK}"/>'
        )
        line = left + 22 * first
        d.parts.append(
            f'<line x1="{line}" y1="44" x2="{line}" y2="222" stroke="{BLUE}" stroke-width="2.5" '
            'stroke-dasharray="7 4"/>'
        )
        d.text(line, 30, f"threshold 0.{first}", 14, "middle", True)
        d.text(left + 2, 238, "0", 12, colour=GREY)
        d.text(left + 218, 238, "1", 12, "end", colour=GREY)
        d.text(left + 110, 238, "probability of spam", 12, "middle", colour=GREY)
        f1 = 2 * caught / (2 * caught + alarms + misses)
        rows = [
            ("wanted, lost", f"{alarms}"),
            ("spam, let through", f"{misses}"),
            ("precision", f"{caught} of {caught + alarms} = {caught / (caught + alarms):.2f}"),
            ("recall", f"{caught} of {caught + misses} = {caught / (caught + misses):.2f}"),
            ("F1", f"{f1:.2f}" + " (best)" * (panel == 1)),
            ("bill at 3 : 1", f"3 × {alarms} + {misses} = {3 * alarms + misses}"),
        ]
        for n, (name, value) in enumerate(rows):
            bold = (n, panel) in {(4, 1), (5, 2)}
            d.text(left + 104, 266 + 19 * n, name, 13, "end", bold)
            d.text(left + 114, 266 + 19 * n, value, 13, bold=bold)
    d.text(
        14,
        396,
        "Black = wrong. Slide the line to the right: fewer wanted messages are lost, more spam gets "
        "through.\nWhich place is best? F1 says the middle; at three spams for a lost message the right. (Flag nothing: 10.)",
        13,
        colour=GREY,
    )
    return d


NAMES = ("refund", "return", "exchange", "cancel")
COUNTS = ((8, 2, 0, 0), (3, 15, 2, 0), (0, 3, 2, 0), (0, 0, 0, 15))


def rows_and_columns() -> Drawing:
    sizes = [sum(row) for row in COUNTS]
    called = [sum(column) for column in zip(*COUNTS, strict=True)]
    right = [COUNTS[k][k] for k in range(4)]
    f1 = [2 * r / (a + b) for r, a, b in zip(right, sizes, called, strict=True)]
    macro = sum(f1) / 4
    weighted = sum(f * n for f, n in zip(f1, sizes, strict=True)) / sum(sizes)
    micro = sum(right) / sum(sizes)
    per_class = ", ".join(
        f"{name} has recall {r / a:.2f}, precision {r / b:.2f} and F1 {f:.2f}"
        for name, r, a, b, f in zip(NAMES, right, sizes, called, f1, strict=True)
    )
    d = Drawing(
        860,
        330,
        "A confusion matrix of four classes. Along the row of a true class you read its recall, down "
        f"the column of a predicted class its precision: {per_class}. Macro F1, the plain mean of the "
        f"four, is {macro:.2f}; weighted by the rows of each class {weighted:.2f}; micro, the share "
        f"on the diagonal, {micro:.2f}.",
    )
    left, top, w, h = 112, 62, 70, 38
    d.text(left + 2 * w, 22, "predicted", 14, "middle", True)
    d.text(left - 8, 50, "true", 14, "end", bold=True)
    for k, name in enumerate(NAMES):
        d.text(left + w * (k + 0.5), 50, name, 13, "middle")
        d.text(left - 8, top + h * (k + 0.5) + 5, name, 13, "end")
        for j in range(4):
            marked = SAND if 2 in (k, j) else "white"
            d.box(
                left + w * j + 2,
                top + h * k + 2,
                w - 4,
                h - 4,
                str(COUNTS[k][j]),
                PALE if k == j else marked,
                15,
                k == j,
            )
    right_edge, bottom = left + 4 * w, top + 4 * h
    d.text(right_edge + 66, 50, "recall", 13, "middle", True)
    d.text(right_edge + 142, 50, "F1", 13, "middle", True)
    d.text(right_edge + 196, 50, "rows", 13, "middle", True)
    for k in range(4):
        y = top + h * (k + 0.5)
        d.arrow(right_edge + 4, y, right_edge + 24, y, 1.2, GREY)
        d.text(
            right_edge + 66,
            y + 5,
            f"{right[k]}/{sizes[k]} = {right[k] / sizes[k]:.2f}",
            13,
            "middle",
            k == 2,
        )
        d.text(right_edge + 142, y + 5, f"{f1[k]:.2f}", 13, "middle", k == 2)
        d.text(right_edge + 196, y + 5, f"{sizes[k]}", 13, "middle", k == 2)
        x = left + w * (k + 0.5)
        d.arrow(x, bottom + 4, x, bottom + 22, 1.2, GREY)
        d.text(
            x,
            bottom + 46,
            f"{right[k]}/{called[k]}\n{right[k] / called[k]:.2f}",
            13,
            "middle",
            k == 2,
        )
    d.text(left - 8, bottom + 46, "precision", 13, "end", True)
    boxes = [
        ("macro: every class counts alike", f"mean of the four F1 = {macro:.2f}"),
        ("weighted: every row counts alike", f"mean of F1, weighted by rows = {weighted:.2f}"),
        ("micro: the diagonal over all", f"{sum(right)}/{sum(sizes)} = {micro:.2f}, the accuracy"),
    ]
    for n, (head, body) in enumerate(boxes):
        y = top + 54 * n
        d.box(614, y, 238, 46, "", PALE)
        d.text(733, y + 19, head, 13, "middle", True)
        d.text(733, y + 37, body, 13, "middle")
    d.text(
        14,
        bottom + 98,
        "Darker: the row and column of the small class, the worst one. Macro feels it most; micro and weighted hardly notice.",
        13,
        colour=GREY,
    )
    return d


DRAWINGS = {"two-hills": two_hills, "rows-and-columns": rows_and_columns}
