"""Lesson 01."""

from __future__ import annotations

from math import exp

from tools.draw import BLUE, GREY, PALE, SAND, Drawing

KEPT = (0, 2, 4, 7, 9, 11)  # the teacher's layers that the authors' script copies, counted from 0


def model_row(d: Drawing, y: int, name: str, total: str, whole: bool) -> None:
    """One of the two models: tables, blocks, pooler; what DistilBERT leaves out is a dashed gap."""
    d.text(14, y + 36, name, 16, bold=True)
    d.text(14, y + 66, f"{total}\nparameters", 13, colour=GREY)
    for n, (table, there) in enumerate([("words", 1), ("positions", 1), ("segments", whole)]):
        fill, text = (SAND, table) if there else ("white", f"no {table}")
        d.box(138, y + 36 * n, 96, 30, text, fill, 13, dashed=not there)
    d.arrow(238, y + 51, 266, y + 51)
    for n in range(12):
        there = whole or n in KEPT
        d.box(270 + 36 * n, y, 30, 102, "", PALE if there else "white", dashed=not there)
        if there:
            number = n if whole else KEPT.index(n)
            d.text(285 + 36 * n, y + 56, f"{number}", 13, "middle")
    d.arrow(700, y + 51, 726, y + 51)
    d.box(
        730,
        y + 30,
        84,
        42,
        "pooler" if whole else "no pooler",
        PALE if whole else "white",
        13,
        dashed=not whole,
    )


def bert_and_distilbert() -> Drawing:
    d = Drawing(
        832,
        452,
        "Two models as rows of boxes. BERT-base, 109.5 million parameters: tables of words, positions "
        "and segments, then twelve blocks, 0 to 11, then a pooler. DistilBERT, 66.4 million: the tables "
        "of words and positions, then six blocks as wide as BERT's, 0 to 5, below BERT's 0, 2, 4, 7, 9 "
        "and 11, which they were copied from; dashed gaps show what is left out: segments, six blocks, "
        "the pooler. Below, one block opened: attention, in which the tokens exchange information; add "
        "the input and normalise; feed-forward, each token by itself; add the input and normalise.",
    )
    d.text(186, 24, "tables", 14, "middle", True)
    d.text(481, 24, "blocks, all of the same size: 7.1 million each", 14, "middle", True)
    model_row(d, 38, "BERT-base", "109.5 million", True)
    model_row(d, 172, "DistilBERT", "66.4 million", False)
    d.text(
        138,
        298,
        "dashed: left out; each block stands below the one that it began as a copy of",
        13,
        colour=GREY,
    )
    d.text(186, 157, "23.8 million", 13, "middle", colour=GREY)
    d.text(772, 130, "0.6 million", 13, "middle", colour=GREY)
    d.arrow(681, 278, 681, 332, 1.2, GREY)
    d.text(692, 312, "one block, opened", 14, bold=True)
    d.parts.append(
        '<rect x="14" y="336" width="804" height="102" rx="8" fill="white" stroke="#777777" '
        'stroke-dasharray="2 3"/>'
    )
    for x, w, text, fill in [
        (44, 206, "attention:\ntokens exchange information", PALE),
        (282, 120, "add the input,\nnormalise", "white"),
        (434, 206, "feed-forward:\neach token by itself", PALE),
        (672, 120, "add the input,\nnormalise", "white"),
    ]:
        d.box(x, 360, w, 54, text, fill, 14)
    for x1, x2 in [(18, 42), (252, 280), (404, 432), (642, 670), (794, 816)]:
        d.arrow(x1, 387, x2, 387)
    return d


QUERY = (2, 0, 1, 1)
WORDS = ("the", "river", "bank")
KEYS = ((0, 1, 0, 0), (1, 0, 1, 1), (0, 1, 1, 1))
VALUES = ((1, 0, 0, 0), (0, 4, 0, 2), (2, 0, 4, 0))
SHARES = (0.09, 0.67, 0.24)


def numbers(row: tuple) -> str:
    """Wide spaces, which SVG doesn't fold into one."""
    return "\u2003".join(f"{n}" for n in row)


def attention_by_hand() -> Drawing:
    d = Drawing(
        850,
        332,
        "Attention of the word bank on three tokens. Its query is 2 0 1 1. Times the key of the, "
        "0 1 0 0, it gives the score 0; of river, 1 0 1 1, 4; of bank itself, 0 1 1 1, 2. Halved: 0, "
        "2, 1. e to these powers: 1.00, 7.39, 2.72, together 11.11. Shares: 0.09, 0.67, 0.24. The "
        "result is 0.09 times the value of the, 1 0 0 0, plus 0.67 times that of river, 0 4 0 2, plus "
        "0.24 times that of bank, 2 0 4 0: 0.6 2.7 1.0 1.3.",
    )
    d.text(14, 35, "“bank” asks: its query", 14, bold=True)
    d.box(190, 14, 124, 32, numbers(QUERY), SAND)
    d.arrow(252, 48, 252, 70, 1.2, GREY)
    for x, text in [
        (120, "key"),
        (270, "score = query · key"),
        (386, "÷ √4"),
        (454, "e to that"),
        (566, "÷ sum = share"),
        (772, "value"),
    ]:
        d.text(x, 86, text, 14, "middle", True)
    for n, word in enumerate(WORDS):
        y, products = 100 + 46 * n, [f"{a}·{b}" for a, b in zip(QUERY, KEYS[n], strict=True)]
        score = sum(a * b for a, b in zip(QUERY, KEYS[n], strict=True))
        d.text(14, y + 22, word, 15, bold=word == "bank")
        d.box(60, y, 120, 32, numbers(KEYS[n]), PALE)
        d.text(270, y + 21, f"{' + '.join(products)} = {score}", 13, "middle")
        d.text(386, y + 21, f"{score // 2}", 15, "middle")
        d.text(454, y + 21, f"{exp(score / 2):.2f}", 15, "middle")
        d.bar(512, y + 6, 130 * SHARES[n], 20)
        d.text(520 + 130 * SHARES[n], y + 21, f"{SHARES[n]:.2f}", 15, bold=True)
        d.text(682, y + 21, "×", 16, "middle")
        d.box(712, y, 120, 32, numbers(VALUES[n]), PALE)
    d.text(454, 252, "sum 11.11", 13, "middle", colour=GREY)
    d.text(566, 252, "together 1", 13, "middle", colour=GREY)
    d.arrow(772, 236, 772, 274, 1.6, BLUE)
    d.text(784, 260, "add", 13, colour=GREY)
    d.text(664, 300, "“bank” receives the mixture", 14, "end", True)
    d.box(678, 280, 160, 34, numbers((0.6, 2.7, 1.0, 1.3)), SAND)
    return d


DRAWINGS = {"bert-and-distilbert": bert_and_distilbert, "attention-by-hand": attention_by_hand}
