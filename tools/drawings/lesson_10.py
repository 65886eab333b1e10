"""Lesson 10."""

from __future__ import annotations

from tools.draw import BLUE, GREY, PALE, SAND, Drawing

FACES = {"Ana": "white", "Ben": PALE, "Cem": SAND}


def split_by_sender() -> Drawing:
    d = Drawing(
        800,
        268,
        "Nine tickets of three senders, Ana, Ben and Cem, three each. Above, drawn at random: six "
        "to learn from and three to judge on, and each sender stands on both sides. Below, by "
        "sender: all tickets of Ana and Ben to learn from, all of Cem's to judge on, so that the "
        "test asks about a voice that was never heard.",
    )
    d.text(388, 24, "learn from", 14, "middle", True)
    d.text(704, 24, "judge on", 14, "middle", True)
    rows = [
        ("drawn at random", ["Ana", "Ben", "Cem", "Ben", "Ana", "Cem"], ["Ben", "Ana", "Cem"]),
        ("by sender", ["Ana"] * 3 + ["Ben"] * 3, ["Cem"] * 3),
    ]
    notes = ["the test asks for voices that it knows", "the test asks for a voice that is new"]
    for n, (name, learn, judge) in enumerate(rows):
        y = 42 + 112 * n
        d.text(14, y + 28, name, 15, bold=True)
        for k, who in enumerate(learn):
            d.box(184 + 70 * k, y, 62, 44, who, FACES[who], 14)
        for k, who in enumerate(judge):
            d.box(620 + 58 * k, y, 52, 44, who, FACES[who], 14, bold=True)
        d.text(794, y + 66, notes[n], 13, "end", colour=GREY)
        d.parts.append(f'<line x1="608" y1="{y}" x2="608" y2="{y + 44}" stroke="{GREY}"/>')
    d.text(14, 254, "one box = one ticket; the name is its sender", 13, colour=GREY)
    return d


def suspects_by_loss() -> Drawing:
    d = Drawing(
        860,
        262,
        "Left: the rows in five parts; four train a model, the fifth is judged by it, and so on in "
        "turn, until each row has a probability from a model that never saw it. Right: three rows "
        "with the probability that their given label got: 0.81, loss 0.2, fine; 0.30, loss 1.2, "
        "hard; 0.02, loss 3.9, read it first.",
    )
    d.text(118, 22, "five parts, in turn", 14, "middle", True)
    for n in range(5):
        for k in range(5):
            judged = n == k
            d.box(
                14 + 42 * k,
                34 + 34 * n,
                38,
                28,
                "?" if judged else "",
                SAND if judged else PALE,
                14,
                judged,
                judged,
            )
    d.text(118, 222, "pale: learned from", 13, "middle", colour=GREY)
    d.text(118, 242, "?: judged by that model", 13, "middle", colour=GREY)
    d.arrow(232, 118, 290, 118)
    d.text(450, 22, "a ticket and its given label", 14, "middle", True)
    d.text(652, 22, "label got", 14, "middle", True)
    d.text(722, 22, "loss", 14, "middle", True)
    rows = [
        ("printer eats paper", "hardware", 0.81, 0.2, "fine"),
        ("screen app is slow", "hardware", 0.30, 1.2, "hard"),
        ("wifi gone in hall 5", "purchase", 0.02, 3.9, "read first"),
    ]
    for n, (text, label, p, loss, note) in enumerate(rows):
        y = 46 + 58 * n
        last = n == 2
        d.box(296, y, 176, 42, text, "white", 14)
        d.box(480, y, 106, 42, label, SAND if last else PALE, 14, last, last)
        d.bar(604, y + 12, max(80 * p, 2), 18, BLUE)
        d.text(610 + 80 * p, y + 26, f"{p:.2f}", 13)
        d.text(722, y + 26, f"{loss:.1f}", 14, "middle", last)
        d.text(764, y + 26, note, 14, bold=last)
    d.text(296, 238, "loss = minus the logarithm of what the given label got", 13, colour=GREY)
    return d


def adapt_then_tune() -> Drawing:
    d = Drawing(
        820,
        232,
        "Two ways from the pretrained model to a classifier. Above: fine-tuning on your labelled "
        "texts at once. Below: first it fills gaps in all your texts, labels unseen, and then the "
        "same fine-tuning follows.",
    )
    d.box(14, 84, 130, 56, "DistilBERT,\npretrained", PALE, bold=True)
    d.arrow(146, 100, 522, 52)
    d.arrow(146, 124, 200, 166)
    d.box(204, 140, 228, 62, "the [MASK] in hall 5\nis down again", "white", 14, dashed=True)
    d.text(318, 220, "guess hidden words in all your texts; no labels", 13, "middle", colour=GREY)
    d.arrow(434, 170, 522, 170)
    for y, name in ((28, "at once"), (142, "adapted first")):
        d.box(526, y, 150, 52, "fine-tune on your\nlabelled texts", SAND, 14)
        d.arrow(678, y + 26, 716, y + 26)
        d.text(722, y + 31, name, 14, bold=True)
    d.text(601, 116, "same rows, seed and settings", 13, "middle", colour=GREY)
    return d


DRAWINGS = {
    "split-by-sender": split_by_sender,
    "suspects-by-loss": suspects_by_loss,
    "adapt-then-tune": adapt_then_tune,
}
