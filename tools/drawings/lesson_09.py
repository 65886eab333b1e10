"""Lesson 09."""

from __future__ import annotations

from tools.draw import BLUE, GREY, INK, PALE, SAND, SOFT, Drawing


def start_and_end() -> Drawing:
    words = [
        "[CLS]",
        "when",
        "built",
        "?",
        "[SEP]",
        "the",
        "mill",
        "opened",
        "in",
        "May",
        "1911",
        ".",
    ]
    start = [8, 0, 0, 0, 0, 6, 4, 3, 8, 52, 30, 2]
    end = [8, 0, 0, 0, 0, 2, 8, 4, 3, 14, 58, 4]
    d = Drawing(
        900,
        266,
        "Pieces of a question and a passage side by side: [CLS] when built ? [SEP] the mill opened in "
        "May 1911. Above each piece a bar for its start score, highest at May; below each a bar for "
        "its end score, highest at 1911. A bracket joins May and 1911 to the answer. Question pieces "
        "are not allowed. The bars of [CLS] together say: no answer.",
    )
    d.text(92, 54, "start", 14, "end", True)
    d.text(92, 212, "end", 14, "end", True)
    for n, (word, s, e) in enumerate(zip(words, start, end, strict=True)):
        x = 104 + 65 * n
        passage = n > 4
        chosen = word in ("May", "1911")
        d.box(x, 112, 61, 34, word, PALE if passage else SAND if n == 0 else "white", 13, chosen)
        d.bar(x + 18, 106 - s, 24, s, BLUE if word == "May" else SOFT)
        d.bar(x + 18, 152, 24, e, BLUE if word == "1911" else SOFT)
    left, right = 104 + 65 * 9, 104 + 65 * 10 + 61
    d.parts.append(
        f'<path d="M{left} 222 v8 H{right} v-8" fill="none" stroke="{INK}" stroke-width="1.6"/>'
    )
    d.text((left + right) / 2, 250, "highest sum: “May 1911”", 14, "middle", True)
    d.text(134, 238, "both here:\nno answer", 13, "middle", colour=GREY)
    d.text(300, 238, "the question:\nnot allowed", 13, "middle", colour=GREY)
    d.text(536, 238, "the passage: any start, the\nend there or later", 13, "middle", colour=GREY)
    return d


def low_rank() -> Drawing:
    d = Drawing(
        860,
        300,
        "Left: a vector x goes into the frozen square matrix W, 384 by 384, 147,456 weights. Beside "
        "it x goes through A, 16 by 384, which makes 16 numbers of it, and through B, 384 by 16. The "
        "two results are added. A and B have 12,288 weights and are all that is trained. B starts at "
        "zero, so that nothing changes at first.",
    )
    d.box(20, 128, 60, 40, "x", "white", 16, True)
    d.arrow(82, 138, 196, 92)
    d.arrow(82, 158, 196, 222)
    d.box(200, 20, 150, 150, "W\n384 × 384\nfrozen", PALE, 15, True)
    d.text(275, 188, "147,456 weights", 13, "middle", colour=GREY)
    d.box(200, 208, 150, 30, "A  16 × 384", SAND, 14, True)
    d.arrow(352, 223, 408, 223)
    d.text(275, 258, "makes 16 numbers of x", 13, "middle", colour=GREY)
    d.box(412, 148, 46, 150, "B", SAND, 15, True)
    d.text(468, 286, "384 × 16, starts at 0", 13, colour=GREY)
    d.arrow(352, 92, 566, 124)
    d.arrow(460, 214, 566, 158)
    d.box(570, 120, 44, 44, "+", "white", 20, True)
    d.arrow(616, 142, 664, 142)
    d.box(668, 122, 172, 40, "W x + 2 · B A x", "white", 15, True)
    d.text(
        754,
        206,
        "A and B, trained and stored:\n12,288 weights, a twelfth\nof the matrix",
        13,
        "middle",
        colour=GREY,
    )
    return d


DRAWINGS = {"start-and-end": start_and_end, "low-rank": low_rank}
