"""Lesson 07."""

from __future__ import annotations

from math import exp, log

from tools.draw import BLUE, GREY, INK, PALE, SAND, Drawing


def three_ways() -> Drawing:
    d = Drawing(
        820,
        268,
        "Three ways from a text to a wish, one in each row. Counting words: the text becomes counts "
        "of words, and one weight per word and wish is learned. Frozen vectors: six pretrained "
        "layers that stay as they are make one vector, and only the weights behind it are learned. "
        "Fine-tuning: the layers and the head are learned together. What is learned is sand-coloured "
        "with a thick frame, what stays is pale and dashed.",
    )
    rows = [
        ("counting words", "TF-IDF:\ncounts of words", False, "logistic\nregression"),
        ("frozen vectors", "six layers, mean\nof the last vectors", False, "logistic\nregression"),
        ("fine-tuning", "six layers,\nvector of [CLS]", True, "head"),
    ]
    for n, (name, body, learned, head) in enumerate(rows):
        y = 16 + 76 * n
        d.text(12, y + 33, name, 15, bold=True)
        d.box(146, y + 6, 118, 46, "where is\nmy parcel?", "white", 13)
        d.arrow(266, y + 29, 300, y + 29)
        learn_box(d, 304, y, 182, 58, body, learned)
        d.arrow(488, y + 29, 522, y + 29)
        learn_box(d, 526, y, 118, 58, head, True)
        d.arrow(646, y + 29, 680, y + 29)
        d.text(686, y + 34, "30 scores", 14)
    learn_box(d, 146, 242, 22, 18, "", True)
    d.text(176, 256, "learned from your labels", 13, colour=GREY)
    learn_box(d, 366, 242, 22, 18, "", False)
    d.text(
        396, 256, "stays as it is: nothing to learn, or learned before you came", 13, colour=GREY
    )
    return d


def learn_box(d: Drawing, x, y, w, h, text, learned) -> None:
    if learned:
        d.parts.append(
            f'<rect x="{x - 2}" y="{y - 2}" width="{w + 4}" height="{h + 4}" rx="8" fill="{INK}"/>'
        )
    d.box(x, y, w, h, text, SAND if learned else PALE, 14, bold=learned, dashed=not learned)


def three_messages() -> Drawing:
    d = Drawing(
        820,
        300,
        "Logits of three messages as bars, four wishes each. A clear wish has one tall bar: largest "
        "probability, margin and energy are all high. A message between two wishes has two tall "
        "bars: the largest probability is a half, the margin 0, the energy high. A message outside "
        "has only low bars: probability, margin and energy are all low.",
    )
    messages = [
        ("a clear wish", "where is my parcel?", (7.0, 1.0, 0.5, 1.5), "answer"),
        ("between two", "the parcel came, one mug\nshort and one broken", (5.5, 1.0, 5.5, 0.5), "ask back"),
        ("outside", "is it going to rain\non Sunday?", (1.2, 0.8, 1.5, 0.6), "hand over"),
    ]  # fmt: skip
    d.text(12, 128, "logits", 14, bold=True)
    for n, name in enumerate(("largest probability", "margin (first minus second)", "energy")):
        d.text(12, 196 + 24 * n, name, 13, bold=True)
    d.text(12, 286, "so the desk should", 13, bold=True)
    for n, (name, text, logits, action) in enumerate(messages):
        x = 222 + 204 * n
        d.text(x + 80, 20, name, 15, "middle", True)
        d.text(x + 80, 48, text, 12, "middle", colour=GREY)
        for k, z in enumerate(logits):
            d.bar(x + 16 + 34 * k, 166 - 12 * z, 24, 12 * z, BLUE)
        d.parts.append(f'<path d="M{x} 166 H{x + 160}" stroke="{INK}" stroke-width="1.2"/>')
        total = sum(map(exp, logits))
        first, second = sorted((exp(z) / total for z in logits), reverse=True)[:2]
        values = (first, first - second, log(total))
        for k, (value, high) in enumerate(zip(values, (0.9, 0.8, 4), strict=True)):
            low = value < high
            d.text(
                x + 80,
                196 + 24 * k,
                f"{value:.2f}  {'low' if low else 'high'}",
                14,
                "middle",
                not low,
            )
        d.box(x + 24, 266, 112, 28, action, "white" if n else SAND, 14, bold=True)
    return d


def long_letter() -> Drawing:
    d = Drawing(
        820,
        262,
        "A letter of 700 pieces as a bar, the request near its end marked. Head reads the first 512 "
        "pieces and misses the request. Head and tail reads the first 128 and the last 382 and "
        "finds it. Windows of 512 pieces, the second overlapping the first, read everything; their "
        "probabilities are averaged. Sentence by sentence reads everything too, each sentence alone, and "
        "the surest one counts.",
    )
    left, scale = 190, 0.86
    request = (left + 600 * scale, 44 * scale)

    def bar(y, start, end, fill=PALE, text="", h=26):
        d.box(left + start * scale, y, (end - start) * scale, h, text, fill, 13)

    d.text(12, 34, "the letter", 14, bold=True)
    bar(16, 0, 700, "white")
    d.box(request[0], 16, request[1], 26, "", SAND, 12)
    d.text(left + 4, 60, "piece 0", 12, colour=GREY)
    d.text(left + 512 * scale, 60, "512", 12, "middle", colour=GREY)
    d.text(left + 700 * scale, 60, "700", 12, "end", colour=GREY)
    d.text(request[0] + request[1] / 2, 60, "request", 12, "middle", True)
    d.parts.append(
        f'<path d="M{request[0]} 66 V250 M{request[0] + request[1]} 66 V250" stroke="{INK}" '
        'stroke-width="1" stroke-dasharray="3 4" fill="none"/>'
    )
    d.text(12, 94, "head", 14, bold=True)
    bar(76, 0, 512, text="the first 512: the rest is never read")
    d.text(12, 134, "head and tail", 14, bold=True)
    bar(116, 0, 128, text="128")
    bar(116, 318, 700, text="the last 382")
    d.text(12, 182, "windows averaged", 14, bold=True)
    bar(154, 0, 512, text="window 1", h=22)
    bar(179, 448, 700, text="window 2", h=22)
    d.text(12, 234, "surest sentence", 14, bold=True)
    lengths = (34, 52, 25, 61, 40, 30, 55, 46, 28, 58, 37, 50, 42, 42, 48, 29, 23)
    start = 0
    for length in lengths:
        bar(217, start, start + length - 4, SAND if start <= 600 < start + length else PALE, h=22)
        start += length
    return d


DRAWINGS = {
    "three-ways": three_ways,
    "three-messages": three_messages,
    "long-letter": long_letter,
}
