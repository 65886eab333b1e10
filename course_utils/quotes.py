"""Find whole rows of a CSV file inside one of its cells, as between two stray quotation marks."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence


def swallowed_rows(
    rows: Sequence[Sequence[str]], label: int, delimiter: str
) -> tuple[int, list[str]] | None:
    """The number of the first row with whole rows inside a cell, and that cell's lines; or None.

    A cell of several lines holds rows where its first line completes the cells before it to a row
    and its last line those behind it, and where at least half of the lines between are rows. A
    row has as many cells as the others, and in the place ``label`` the label of another row: one
    outside, or one of several lines between, which may be all rows of a class. Where there are
    rows between, the first and the last text may hold the delimiter.
    """
    labels = {cells[label] for cells in rows if cells[label].strip()}
    for number, cells in enumerate(rows, start=1):
        width = len(cells)
        for column, cell in enumerate(cells):
            if len(lines := re.split(r"\r\n|\r|\n", cell)) == 1:
                continue
            first, *between, last = [next(csv.reader([x], delimiter=delimiter), []) for x in lines]
            found = Counter(line[label] for line in between if len(line) == width)
            known = labels | {name for name, times in found.items() if times > 1 and name.strip()}
            inside = sum(found[name] for name in known)
            blank = [""] if inside else []  # the quotation mark stands in an empty cell

            ends = [*cells[:column], *(first or blank)], [*(last or blank), *cells[column + 1 :]]
            surplus = [len(end) - width for end in ends]  # delimiters within these texts
            if (
                2 * inside >= len(between)
                and (min(surplus) >= 0 if inside else not any(surplus))
                and ends[0][label + surplus[0] * (label > column)] in known
                and ends[1][label + surplus[1] * (label > column)] in known
            ):
                return number, lines
    return None
