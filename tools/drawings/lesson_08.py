"""Lesson 08."""

from __future__ import annotations

from tools.draw import GREY, INK, PALE, SAND, Drawing


def bracket(d: Drawing, x1: float, x2: float, y: float, text: str) -> None:
    """A bracket below a run of boxes, with what it stands for."""
    d.parts.append(
        f'<path d="M{x1:g} {y:g} v8 H{x2:g} v-8" fill="none" stroke="{INK}" stroke-width="1.6"/>'
    )
    d.text((x1 + x2) / 2, y + 26, text, 13, "middle", True)


def words_and_tags() -> Drawing:
    words = ["Marta", "Oyelaran", "took", "the", "Sona", "3", "kettle", "to", "Leeds"]
    tags = ["B-person", "I-person", "O", "O", "B-product", "I-product", "O", "O", "B-location"]
    d = Drawing(
        850,
        178,
        "A sentence in nine words, each with its tag below: "
        + ", ".join(f"{word} {tag}" for word, tag in zip(words, tags, strict=True))
        + ". Brackets join B and the I that follow to entities: words 0 to 2 a person, words 4 to 6 "
        "a product, word 8 a location.",
    )
    for n, (word, tag) in enumerate(zip(words, tags, strict=True)):
        x = 14 + 92 * n
        d.text(x + 43, 22, str(n), 12, "middle", colour=GREY)
        d.box(x, 30, 86, 32, word, PALE if tag != "O" else "white", 15, tag != "O")
        d.text(x + 43, 86, tag, 14, "middle", colour=INK if tag != "O" else GREY)
    for first, end, kind in ((0, 2, "person"), (4, 6, "product"), (8, 9, "location")):
        bracket(d, 16 + 92 * first, 98 + 92 * (end - 1), 98, f"({first}, {end}, {kind})")
    d.text(
        14,
        160,
        "In brackets: first word, one past the last, kind. B begins a name, I goes on, O is outside of all names.",
        13,
        colour=GREY,
    )
    return d


def pieces_and_labels() -> Drawing:
    pieces = ["[CLS]", "ring", "marta", "o", "##ye", "##lar", "##an", "at", "[SEP]"]
    word_ids = ["–", "0", "1", "2", "2", "2", "2", "3", "–"]
    labels = ["−100", "O", "B-person", "I-person", "−100", "−100", "−100", "O", "−100"]
    laid = ["O", "B-person", "I-person", "O", "", "", "", "", ""]
    d = Drawing(
        860,
        268,
        "Four words, Ring, Marta, Oyelaran, at, become nine pieces with [CLS] and [SEP]; Oyelaran is "
        "cut into four. word_ids gives each piece its word's number. Labels: the first piece of each "
        "word has the word's tag, all other pieces have minus 100. A last row shows what is wrong: the "
        "four tags laid on the first four pieces, so that B-person falls on ring and I-person on marta.",
    )
    spans = [("Ring", 1, 2), ("Marta", 2, 3), ("Oyelaran", 3, 7), ("at", 7, 8)]
    left, step = 110, 82
    rows = ("words", "pieces", "word_ids()", "labels", "tags laid on\nas they are")
    for row, y in zip(rows, (30, 92, 134, 170, 219), strict=True):
        d.text(100, y + 5, row, 13, "end", colour=GREY)
    for word, first, end in spans:
        x, w = left + step * first, step * (end - first) - 6
        d.box(x, 14, w, 32, word, "white", 15, True)
        for n in range(first, end):
            d.parts.append(
                f'<line x1="{x + w / 2:g}" y1="46" x2="{left + step * n + 38:g}" y2="74" '
                f'stroke="{GREY}"/>'
            )
    for n, piece in enumerate(pieces):
        x, counts = left + step * n, labels[n] != "−100"
        d.box(x, 76, 76, 32, piece, PALE if counts else "white", 14, counts, dashed=not counts)
        d.text(x + 38, 138, word_ids[n], 14, "middle")
        d.text(x + 38, 175, labels[n], 14, "middle", counts, INK if counts else GREY)
        if laid[n]:
            d.box(x, 204, 76, 30, laid[n], SAND, 14)
        else:
            d.text(x + 38, 224, "−100", 14, "middle", colour=GREY)
    d.text(
        left,
        256,
        "No error: the collator fills up the rest. But the person now begins at “ring”.",
        13,
        colour=GREY,
    )
    return d


def four_errors() -> Drawing:
    cases = [  # verdict, true words and kind, claimed words and kind
        ("found", ("Marta Oyelaran", "person"), ("Marta Oyelaran", "person")),
        ("border", ("Rosa Lind", "person"), ("Rosa", "person")),
        ("kind", ("Reading", "location"), ("Reading", "person")),
        ("missed", ("Sona 3", "product"), None),
        ("invented", None, ("Monday", "product")),
    ]
    d = Drawing(
        800,
        300,
        "Five cases in rows, true entity against claimed entity. Found: Marta Oyelaran, person, in "
        "both. Border: true Rosa Lind, claimed only Rosa. Kind: true Reading, location, claimed "
        "person. Missed: Sona 3, product, not claimed. Invented: Monday claimed as a product, true "
        "none. In all found 1, there 4, claimed 4: precision, recall and F1 are a quarter each.",
    )
    for x, text in ((110, "true"), (340, "claimed")):
        d.text(x, 24, text, 14, bold=True)
    for x, text in ((596, "found"), (668, "there"), (744, "claimed")):
        d.text(x, 24, text, 14, "middle", True)
    for row, (verdict, true, claimed) in enumerate(cases):
        y = 36 + 40 * row
        d.text(14, y + 21, verdict, 15, bold=True)
        for x, name in ((110, true), (340, claimed)):
            if name:
                width = 16 + 8.6 * len(name[0])
                d.box(x, y, width, 30, name[0], PALE if x == 110 else SAND, 15)
                d.text(x + width + 8, y + 20, name[1], 13, colour=GREY)
            else:
                d.text(x, y + 20, "no name" if x == 110 else "nothing", 14, colour=GREY)
        numbers = (int(verdict == "found"), int(bool(true)), int(bool(claimed)))
        for x, number in zip((596, 668, 744), numbers, strict=True):
            d.text(x, y + 20, str(number), 15, "middle", bool(number), INK if number else GREY)
    d.parts.append(f'<line x1="560" y1="240" x2="786" y2="240" stroke="{INK}"/>')
    for x, number in ((596, 1), (668, 4), (744, 4)):
        d.text(x, 262, str(number), 16, "middle", True)
    for x, text in (
        (14, "precision = found / claimed = 1/4"),
        (268, "recall = found / there = 1/4"),
        (490, "F1 = 2 · found / (there + claimed) = 1/4"),
    ):
        d.text(x, 288, text, 14)
    return d


DRAWINGS = {
    "words-and-tags": words_and_tags,
    "pieces-and-labels": pieces_and_labels,
    "four-errors": four_errors,
}
