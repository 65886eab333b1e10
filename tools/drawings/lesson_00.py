"""Lesson 00."""

from __future__ import annotations

from tools.draw import BLUE, GREY, PALE, SAND, SOFT, Drawing


def masked_word() -> Drawing:
    d = Drawing(
        760,
        236,
        "The words It, was, the, [MASK], time, that, he, had, seen, her in boxes. Arrows lead from "
        "the words on both sides of the mask into DistilBERT, and from it to a list of guesses with "
        "bars: first, last, second; one probability for every piece of the vocabulary, together 1.",
    )
    x = 14
    for word, w in zip(
        ["It", "was", "the", "[MASK]", "time", "that", "he", "had", "seen", "her"],
        (36, 50, 46, 80, 54, 50, 40, 50, 58, 46),
        strict=True,
    ):
        mask = word == "[MASK]"
        d.box(x, 16, w, 36, word, SAND if mask else PALE, bold=mask, dashed=mask)
        middle = x + w / 2
        if not mask:
            d.arrow(middle, 54, 205 + 0.45 * (middle - 205), 104, 1.1, GREY)
        x += w + 8
    d.box(50, 108, 340, 52, "DistilBERT reads the words on both sides", "white", bold=True)
    d.arrow(392, 134, 486, 134)
    for n, (word, share) in enumerate(
        [("first", 0.8), ("last", 0.66), ("second", 0.14), ("…", 0.08)]
    ):
        y = 84 + 26 * n
        d.text(548, y + 13, word, 14, "end")
        d.bar(556, y + 1, 130 * share, 15)
    d.text(
        492, 214, "a probability for each of 30,522 pieces;\nall together make 1", 13, colour=GREY
    )
    d.text(50, 190, "It must answer, also where nobody could know the word.", 13, colour=GREY)
    return d


def text_to_label() -> Drawing:
    d = Drawing(
        860,
        240,
        "From left to right: the text 'Where is my parcel?' is cut by the tokenizer into the pieces "
        "[CLS], where, is, my, parcel, ?, [SEP]; six pretrained layers turn them into one vector "
        "each; the vector of [CLS] goes into a new head, which gives one score per wish; the "
        "highest, track_order, is the answer.",
    )
    d.box(10, 84, 116, 54, "Where is\nmy parcel?", "white")
    d.arrow(128, 111, 160, 111)
    d.text(196, 22, "pieces", 14, "middle", True)
    for n, piece in enumerate(["[CLS]", "where", "is", "my", "parcel", "?", "[SEP]"]):
        y = 32 + 24 * n
        d.box(164, y, 64, 21, piece, SAND if n == 0 else PALE, 12)
        d.arrow(230, y + 10.5, 262, y + 10.5, 1, GREY)
    for n in range(6):
        d.box(266 + 26 * n, 30, 22, 172, "", PALE)
    d.text(344, 22, "six layers, pretrained", 14, "middle", True)
    d.text(344, 222, "training moves these weights a little", 13, "middle", colour=GREY)
    for n in range(7):
        y = 32 + 24 * n
        d.arrow(424, y + 10.5, 452, y + 10.5, 1, GREY)
        d.box(456, y, 58, 21, "", SAND if n == 0 else PALE)
        for k, h in enumerate((9, 5, 12, 7, 10, 4)):
            d.bar(
                461 + 8 * k,
                y + 16 - (h + 3 * (n * k % 3)) * 0.8,
                5,
                (h + 3 * (n * k % 3)) * 0.8,
                GREY,
            )
    d.text(485, 22, "vectors", 14, "middle", True)
    d.arrow(516, 42, 566, 42)
    d.box(570, 28, 84, 40, "head", SAND, bold=True)
    d.text(612, 92, "new: random\nbefore training", 13, "middle", colour=GREY)
    d.arrow(656, 48, 690, 48)
    d.text(768, 22, "one score per wish", 14, "middle", True)
    for n, (wish, score) in enumerate(
        [("track_order", 62), ("refund_status", 20), ("cancel_order", 12), ("…", 6)]
    ):
        y = 34 + 26 * n
        d.text(792, y + 13, wish, 13, "end", n == 0)
        d.bar(798, y + 2, score * 0.85, 14, BLUE if n == 0 else SOFT)
    d.text(768, 164, "the highest is the answer", 13, "middle", colour=GREY)
    return d


DRAWINGS = {"masked-word": masked_word, "text-to-label": text_to_label}
