"""Lesson 02."""

from __future__ import annotations

from tools.draw import BLUE, GREY, PALE, SAND, SOFT, Drawing


def cut_out() -> Drawing:
    d = Drawing(
        860,
        372,
        "Teacher and student side by side. The teacher has embeddings, six layers numbered 0 to 5, "
        "and a head. Arrows copy its embeddings, its layers 0, 2 and 5 and its head into the "
        "student, which has three layers; layers 1, 3 and 4 stay behind. So layer 2, made to read "
        "what layer 1 wrote, now gets what layer 0 wrote, and layer 5, made to read what layer 4 "
        "wrote, gets what layer 2 wrote.",
    )
    d.text(190, 22, "teacher: six layers", 16, "middle", True)
    d.text(570, 22, "student: layers 0, 2 and 5", 16, "middle", True)
    d.text(380, 45, "copied, number by number", 13, "middle", colour=BLUE)
    layers = [(f"layer {n}", PALE) for n in (5, 4, 3, 2, 1, 0)]
    places = {"head": 38, "layer 5": 94, "layer 2": 150, "layer 0": 206, "embeddings": 290}
    for n, (name, fill) in enumerate([("head", SAND), *layers, ("embeddings", SAND)]):
        y, goes = 38 + 36 * n, name in places
        d.box(100, y, 180, 29, name, fill if goes else "white", 14, goes, dashed=not goes)
        if goes:
            d.box(480, places[name], 180, 29, name, fill, 14, True)
            d.arrow(282, y + 14.5, 476, places[name] + 14.5, 1.4, BLUE)
        else:
            d.text(90, y + 19, "stays behind", 12, "end", colour=GREY)
    for below, above in (("embeddings", "layer 0"), ("layer 0", "layer 2"), ("layer 2", "layer 5")):
        d.arrow(570, places[below] - 1, 570, places[above] + 31, 1.3, GREY)
    d.arrow(570, places["layer 5"] - 1, 570, places["head"] + 31, 1.3, GREY)
    for layer, read, now in ((5, 4, 2), (2, 1, 0)):
        d.text(
            676,
            places[f"layer {layer}"] + 20,
            f"made for layer {read}'s output;\nnow it gets layer {now}'s",
            13,
        )
    d.box(280, 338, 200, 28, "the same text", "white", 14)
    d.arrow(278, 350, 196, 322, 1.3, GREY)
    d.arrow(482, 350, 564, 322, 1.3, GREY)
    return d


def answer(d: Drawing, x: float, y: float, shares: dict[str, float], fill: str) -> None:
    """A small bar chart of guesses, four rows of 20 pixels."""
    for n, (word, share) in enumerate(shares.items()):
        d.text(x, y + 20 * n + 12, word, 13, "end")
        d.bar(x + 8, y + 20 * n + 2, 260 * share, 12, fill)


def vectors(d: Drawing, x: float, y: float, fill: str, off: int = 0) -> None:
    """Four vectors as little columns of numbers; ``off`` changes some of them."""
    for n in range(4):
        d.box(x + 50 * n, y, 40, 30, "", "white")
        for k, h in enumerate(
            ((8, 17, 12, 5, 20), (15, 6, 19, 11, 7), (5, 12, 8, 21, 14), (18, 9, 5, 13, 20))[n]
        ):
            h = min(25, max(3, h + off * ((n + 2 * k) % 3 - 1)))
            d.bar(x + 50 * n + 5 + 6 * k, y + 27 - h, 4, h, fill)


def three_losses() -> Drawing:
    d = Drawing(
        900,
        400,
        "The same text with a gap goes into the teacher, whose weights stay fixed, and into the "
        "student, which learns. Three comparisons: loss 1, soft targets, between the two answers "
        "for the gap, one bar a word; loss 2, masked LM, between the student's answer and the word "
        "that stood there; loss 3, cosine, between the last vectors of both.",
    )
    d.text(150, 22, "teacher", 16, "middle", True)
    d.text(530, 22, "student", 16, "middle", True)
    answer(d, 90, 40, {"film": 0.34, "ending": 0.22, "story": 0.14, "…": 0.3}, SOFT)
    answer(d, 470, 40, {"film": 0.2, "ending": 0.08, "story": 0.22, "…": 0.5}, BLUE)
    d.text(340, 46, "1", 20, "middle", True)
    d.text(340, 67, "soft targets", 14, "middle", True)
    d.arrow(300, 83, 250, 83)
    d.arrow(380, 83, 424, 83)
    d.text(340, 103, "all words,\nsoftened by T", 12, "middle", colour=GREY)
    d.box(760, 58, 120, 44, "ending", SAND, 16, True)
    d.text(820, 120, "stood in the gap", 12, "middle", colour=GREY)
    d.text(690, 46, "2", 20, "middle", True)
    d.text(690, 67, "masked LM", 14, "middle", True)
    d.arrow(668, 83, 628, 83)
    d.arrow(712, 83, 754, 83)
    for x, fill, off in ((60, SOFT, 0), (440, BLUE, 5)):
        d.arrow(x + 95, 202, x + 95, 128, 1.3, GREY)
        d.text(x + 103, 168, "head", 13, colour=GREY)
        vectors(d, x, 206, fill, off)
        d.arrow(x + 95, 274, x + 95, 240, 1.3, GREY)
    d.text(340, 204, "3", 20, "middle", True)
    d.text(340, 226, "cosine", 14, "middle", True)
    d.arrow(304, 221, 260, 221)
    d.arrow(376, 221, 432, 221)
    d.text(340, 256, "last vector of each piece:\nsame direction?", 12, "middle", colour=GREY)
    d.box(45, 276, 220, 44, "all layers, fixed", "white", 14)
    d.box(425, 276, 220, 44, "half the layers, learning", PALE, 14, True)
    d.box(150, 352, 390, 36, "I liked this film, but the [MASK] was too long.", "white", 14)
    d.arrow(200, 350, 160, 323, 1.3)
    d.arrow(490, 350, 530, 323, 1.3)
    d.text(680, 276, "a step moves the student\nso that 1, 2 and 3 shrink", 13, colour=GREY)
    return d


DRAWINGS = {"cut-out-student": cut_out, "three-losses": three_losses}
