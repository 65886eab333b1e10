"""The table and the pictures of ``tools.bench``: what was measured beside its target, met or missed and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from course_utils import plots


@dataclass(frozen=True)
class Comparison:
    task: str
    limit: int  # the article's
    our_limit: int
    target: tuple[float, float]  # without and with fast 16-bit numbers


COMPARISONS = {
    "reviews, padded to 512": Comparison("reviews", 512, 256, (2, 5)),
    "reviews, padded to 128": Comparison("reviews", 128, 128, (1.2, 3)),
    "short texts, padded to 128": Comparison("short", 128, 128, (3, 8)),
}


NOTE = (
    "Operations: 6 × 42.5 million × tokens, and 12 × layers × width × length × tokens for attention; a third of that for "
    "inference. The tables of embeddings multiply nothing and aren't counted. Differences of accuracy: 95 % bootstrap "
    "interval, one seed. Articles pad a single text with `padding=True`, which pads nothing: *call as written*.")


def verdict(value: float, target: float, at_least: bool = True) -> str:
    margin = (value / target - 1) * (1 if at_least else -1)
    return f"met by {margin:.0%}" if margin >= 0 else f"**missed** by {-margin:.0%}"


def claims(done: dict, fast: bool) -> list[str]:
    """Rows of the table: what, measured, target, met or missed, accuracy."""
    rows = []

    def row(what: str, shown: str, target: str, judged: str, accuracy: str = "") -> None:
        rows.append(f"| {what} | {shown} | {target} | {judged} | {accuracy} |")

    for name, c in COMPARISONS.items():
        if name in done:
            factor, a = done[name]["factor"], done.get(f"accuracy, {name}", {})
            low, high = (100 * d for d in a.get("difference", (0, 0)))
            row(f"training, {name}: theirs / ours", f"{factor:.1f}×", f"≥ {c.target[fast]}×", verdict(factor, c.target[fast]),
                f"{a['article']:.1%} → {a['ours']:.1%} ({low:+.1f} to {high:+.1f} points)" if "ours" in a else "")
    for kind in ("training", "inference") if "share" in done else ():
        share, target = done["share"][kind]["share"], 0.55 if fast else 0.65
        row(f"full-size {kind}: share of the machine's product speed", f"{share:.0%}", f"≥ {target:.0%}",
            verdict(share, target))
    if "classify" in done:
        r = done["classify"]
        for way, target in (("call, padded to 512", 8), ("call as written", 8), ("pipeline()", 3)):
            value = r["seconds"][way] / r["seconds"]["ours"]
            row(f"{r['texts']:,} reviews, {way}: theirs / ours", f"{value:.1f}×", f"≥ {target}×", verdict(value, target),
                f"{r['equal_labels'][way]:.1%} equal labels")
    if "estimate" in done:
        r = done["estimate"]
        row(f"estimate before training, worst of {len(r['runs'])} (median {r['median']:.0%})", f"{r['worst']:.0%}", "≤ 20 %",
            verdict(r["worst"], 0.2, False))
    if "start" in done:
        r = done["start"]
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in r.items() if part != "total")
        row(f"import and `start_lab` ({parts})", f"{r['total']:.1f} s", "≤ 6 s", verdict(r["total"], 6, False))
    return rows


def table(done: dict, where: str, fast: bool, busy: list[str]) -> str:
    """The whole of bench.md."""
    lines = [f"Measured on {where}.", *([f"**The machine was busy** during: {'; '.join(busy)}."] if busy else []), "",
             "| what | measured | target | | accuracy |", "|---|---|---|---|---|", *claims(done, fast)]
    for name in [n for n in COMPARISONS if n in done]:
        lines += ["", f"Step by step, {name} ({done[name]['rows']:,} rows; an epoch and an evaluation):", "",
                  "| step | seconds | gain | |", "|---|---|---|---|"]
        for s in done[name]["steps"]:
            remark = "; ".join(filter(None, ["" if s["kept"] else "does not pay here, left out", s.get("why", "")]))
            seconds, gain = (f"{s[k]:.{d}f}{u}" if s[k] else "–" for k, d, u in (("seconds", 1, ""), ("gain", 2, "×")))
            lines.append(f"| {s['name']} | {seconds} | {gain} | {remark} |")
    if "growth" in done:
        powers = [f"{n} to the power {g['exponent']:.2f} (last doubling: {g['last_doubling']:.2f})"
                  for n, g in done["growth"].items()]
        lines += ["", f"A training step's time grows with {', '.join(powers)}."]
    return "\n".join([*lines, "", NOTE, ""])


def draw(done: dict, out: Path) -> None:
    name = next(iter(COMPARISONS))
    if name in done:
        kept = [s for s in done[name]["steps"] if s["kept"]]
        factors = np.cumprod([s["gain"] for s in kept])
        shares = np.log([s["gain"] for s in kept]) / np.log(factors[-1])
        best = int(np.argmax(shares))
        figure, ax = plots.new_figure(width=8, height=1.2 + 0.45 * len(kept))
        plots.bars(ax, [kept[0]["name"] + " recipe", *(f"+ {s['name']} ({p:.0%} of the gain)" for s, p in
                                                       zip(kept[1:], shares[1:], strict=True))], factors, fmt="{:.1f}×")
        ax.set(title=f"{kept[best]['name'].capitalize()} brings {shares[best]:.0%} of the gain", xlabel=(
            f"speed of training, {name} = 1\n(share of the gain: of the factor's logarithm)"))
        figure.savefig(out / "bench.png")
    if "growth" in done:
        figure, axes = plots.new_figure(columns=3, width=11, height=3.4)
        for ax, (name, g) in zip(axes, done["growth"].items(), strict=True):
            plots.curve(ax, g["x"], g["seconds"], name)
            ax.set_xscale("log", base=2)
            ax.set_xticks(g["x"], g["x"])
            ax.set(yscale="log", xlabel=name, ylabel="seconds", title=f"{name} to the power {g['exponent']:.2f}")
        figure.savefig(out / "growth.png")
