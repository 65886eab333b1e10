"""Lesson 05."""

from __future__ import annotations

from tools.draw import GREY, INK, PALE, SAND, Drawing


def batch_of_tokens() -> Drawing:
    d = Drawing(
        800,
        226,
        "A batch as a grid: four texts of 6, 9, 4 and 7 tokens in rows. Real tokens are blue and have "
        "a 1 in the attention mask; the places after a text's end are filled with [PAD], white and "
        "dashed, with a 0. The grid is as wide as its longest text.",
    )
    texts = [
        ["[CLS]", "a", "great", "film", ".", "[SEP]"],
        ["[CLS]", "i", "did", "not", "laugh", "once", ",", "sadly", "[SEP]"],
        ["[CLS]", "dull", "!", "[SEP]"],
        ["[CLS]", "we", "left", "after", "an", "hour", "[SEP]"],
    ]
    for row, text in enumerate(texts):
        for column in range(9):
            real = column < len(text)
            d.box(
                14 + 60 * column,
                14 + 38 * row,
                56,
                30,
                text[column] if real else "[PAD]",
                PALE if real else "white",
                12,
                dashed=not real,
            )
        d.text(566, 34 + 38 * row, "1 " * len(text) + "0 " * (9 - len(text)), 14)
    d.text(566, 186, "attention mask: read the 1s only", 13, colour=GREY)
    d.text(14, 186, "one batch: 4 texts × 9 places, as wide as its longest text", 13, colour=GREY)
    d.text(
        14,
        210,
        "padded to 512 places, the same four texts would be 57 times as wide",
        13,
        colour=GREY,
    )
    return d


def training_step() -> Drawing:
    d = Drawing(
        800,
        206,
        "One training step as a loop: a batch of texts goes forward through the model and gives "
        "logits; with the labels they give a loss, one number; backward from the loss comes a "
        "gradient for each weight; the optimiser moves every weight a little against its gradient; "
        "then the next batch comes.",
    )
    stations = [
        ("batch", "16 texts\nand labels"),
        ("model", "forward:\nlogits"),
        ("loss", "how wrong?\none number"),
        ("gradient", "backward: how the\nloss would change"),
        ("optimiser", "rate × gradient\noff each weight"),
    ]
    for n, (name, what) in enumerate(stations):
        x = 14 + 158 * n
        d.box(x, 30, 112, 44, name, SAND if name == "optimiser" else PALE, bold=True)
        d.text(x + 56, 100, what, 13, "middle", colour=GREY)
        if n:
            d.arrow(x - 44, 52, x - 4, 52)
    d.parts.append(
        f'<path d="M702 124 V150 H228 V124" fill="none" stroke="{INK}" stroke-width="1.6" '
        'marker-end="url(#tip)"/>'
    )
    d.text(465, 168, "the model is a little less wrong; the next batch comes", 13, "middle")
    d.text(465, 190, "the learning rate says how little", 13, "middle", colour=GREY)
    return d


DRAWINGS = {"batch-of-tokens": batch_of_tokens, "training-step": training_step}
