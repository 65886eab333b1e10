"""Lesson 12."""

from __future__ import annotations

from tools.draw import BLUE, GREY, PALE, SAND, Drawing


def through_the_service() -> Drawing:
    d = Drawing(
        860,
        262,
        "A request on its way through the service. From the left: the caller sends a text; the gate "
        "checks its size and shape; a queue with a fixed number of places, three of five taken; the "
        "worker takes what waits; the model answers, and the answer goes back to the caller. Below "
        "each station the refusal it can give: the gate 400, 413 or 422, mend the request; the full "
        "queue 429, wait and try again; too long a wait 503, try again later.",
    )
    d.box(10, 62, 100, 56, "caller", "white", bold=True)
    d.arrow(112, 90, 158, 90)
    d.box(162, 62, 130, 56, "gate\nsize and shape", SAND)
    d.arrow(294, 90, 338, 90)
    for place in range(5):
        taken = place >= 2
        d.box(
            342 + 36 * place,
            66,
            32,
            48,
            "text" if taken else "",
            PALE if taken else "white",
            12,
            dashed=not taken,
        )
    d.text(430, 40, "queue: a fixed number of places", 14, "middle", True)
    d.arrow(524, 90, 564, 90)
    d.box(568, 62, 116, 56, "worker\none pass", PALE)
    d.arrow(686, 90, 730, 90)
    d.box(734, 62, 112, 56, "model\nint8", PALE, bold=True)
    # the way back
    d.parts.append(
        f'<polyline points="790,60 790,16 60,16" fill="none" stroke="{BLUE}" stroke-width="1.8"/>'
    )
    d.arrow(60, 16, 60, 60, 1.8, BLUE)
    d.box(626, 4, 120, 24, "200: an answer", "white", 13, bold=True)
    for x, status, words in (
        (227, "400, 413, 422", "“too long”, “no JSON”:\nmend the request"),
        (430, "429", "“no place free”:\nwait, then try again"),
        (626, "503", "“waited too long”:\ntry again later"),
    ):
        d.arrow(x, 120, x, 160, 1.6, GREY)
        d.box(x - 66, 164, 132, 28, status, "white", 14, bold=True, dashed=True)
        d.text(x, 220, words, 13, "middle")
    d.text(14, 252, "Each way ends in an answer. None waits without a limit.", 13, colour=GREY)
    return d


def micro_batching() -> Drawing:
    d = Drawing(
        820,
        236,
        "Two time lines with the same five texts arriving. Without batching the worker makes five "
        "passes, one text each, one after the other. With micro-batching the first text is passed "
        "alone; the four that arrived meanwhile share one longer pass. Whether that pass ends before "
        "the four single ones would have is the question: it depends on the model and the chip.",
    )
    d.text(14, 24, "five texts arrive", 14, bold=True)
    for n in range(5):
        x = 196 + 26 * n
        d.box(x, 8, 22, 24, "ABCDE"[n], SAND, 13)
    d.text(14, 88, "one text a pass", 14, bold=True)
    for n in range(5):
        d.box(196 + 98 * n, 68, 92, 38, "ABCDE"[n], PALE, 15, bold=True)
    d.text(700, 92, "5 passes", 13, colour=GREY)
    d.text(14, 158, "who waits is taken\nalong", 14, bold=True)
    d.box(196, 134, 92, 38, "A", PALE, bold=True)
    d.box(294, 134, 250, 38, "B  C  D  E, padded to one length", PALE, 13, bold=True)
    d.text(700, 158, "2 passes", 13, colour=GREY)
    d.parts.append(
        '<line x1="544" y1="128" x2="544" y2="196" stroke="#222222" stroke-width="1.2" '
        'stroke-dasharray="4 4"/>'
    )
    d.text(549, 158, "← here, or later?", 13)
    d.arrow(196, 206, 680, 206, 1.2, GREY)
    d.text(690, 211, "time", 13, colour=GREY)
    d.text(
        196,
        228,
        "A pass over four pays if it is shorter than four passes over one.",
        13,
        colour=GREY,
    )
    return d


def graceful_stop() -> Drawing:
    d = Drawing(
        820,
        214,
        "A time line of a graceful stop. At the signal to stop the service says that it is not ready, "
        "so that no more is sent its way. It takes no new connection. Requests that it has accepted, "
        "A and B on the way and C in the queue, are answered. Then the process ends. A request D that "
        "comes after the door has closed is not accepted: its caller sees so at once and turns to "
        "another server.",
    )
    d.arrow(20, 176, 800, 176, 1.3, GREY)
    for x, words in ((200, "SIGTERM"), (360, "door closed"), (640, "process ends")):
        d.parts.append(
            f'<line x1="{x}" y1="30" x2="{x}" y2="176" stroke="#222222" stroke-width="1.2" '
            'stroke-dasharray="4 4"/>'
        )
        d.text(x, 22, words, 14, "middle", True)
    for y, x, w, name in (
        (40, 120, 190, "A"),
        (74, 270, 200, "B"),
        (108, 330, 270, "C, from the queue"),
    ):
        d.box(x, y, w, 26, f"{name}: answered", PALE, 13, bold=True)
    d.box(400, 142, 110, 26, "D: refused", "white", 13, bold=True, dashed=True)
    d.text(96, 200, "ready", 13, "middle", colour=GREY)
    d.text(280, 200, "not ready,\nstill answering", 13, "middle", colour=GREY)
    d.text(500, 200, "finishes what it accepted", 13, "middle", colour=GREY)
    return d


DRAWINGS = {
    "through-the-service": through_the_service,
    "micro-batching": micro_batching,
    "graceful-stop": graceful_stop,
}
