"""The table and the pictures of ``tools.bench``: what was measured, and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from course_utils import plots


@dataclass(frozen=True)
class Comparison:
    """An article's recipe on one kind of text; ``cut`` is a shorter limit, tried as a separate step.

    Accuracies are compared over ``seeds`` trainings on the first ``labels`` rows (None: all).
    """

    task: str
    limit: int
    cut: int | None = None
    seeds: int = 3
    labels: int | None = None


COMPARISONS = {
    "reviews, padded to 512": Comparison("reviews", 512, cut=384, labels=500),
    "reviews, padded to 128": Comparison("reviews", 128, labels=500),
    "short texts, padded to 128": Comparison("short", 128),
}


INTRODUCTION = (
    "The recipes of two popular articles against ours: same model, same data, same text length, same epochs, one machine; "
    "every number is a ratio within one process. Both sides keep freed memory, as the lessons do; what that is worth has a "
    "row of its own. How much padding costs depends on your texts: the shorter they are beside the "
    "length they are padded to, the more there is to save. Lessons 03 and 05 explain each step. On your machine: `make "
    "bench`.\n"
)
NOTE = (
    "Operations: 6 × 42.5 million × tokens, and 12 × layers × width × length × tokens for attention; a third of that for "
    "inference. The tables of embeddings multiply nothing and aren't counted. Accuracies are means over the seeds; the "
    "interval of their difference is a 95 % bootstrap over the test rows, which knows nothing of training's luck; "
    "where a training's cell is empty, they were not measured. Gains and factors are medians over the rounds, each taken by "
    "itself: the gains of the steps needn't multiply to the factor, and differ from it more the noisier the machine. Articles "
    "pad a single text with `padding=True`, which pads nothing: *call as written*."
)


def claims(done: dict) -> list[str]:
    """Rows of the table: what, measured, accuracy."""
    rows = []

    def row(what: str, shown: str, accuracy: str = "") -> None:
        rows.append(f"| {what} | {shown} | {accuracy} |")

    for name, c in COMPARISONS.items():
        if name not in done:
            continue
        factor, a, accuracy = done[name]["factor"], done.get(f"accuracy, {name}", {}), ""
        if "ours" in a:
            low, high = (100 * d for d in a["difference"])
            trained = f"{a['labels']:,} labels, {a['seeds']} seeds"
            accuracy = f"{a['article']:.1%} → {a['ours']:.1%}, {trained} ({low:+.1f} to {high:+.1f} points)"
        steps = [s for s in done[name]["steps"] if s["kept"] and s["name"].startswith("cut")]
        equal = factor / steps[0]["gain"] if steps else factor
        row(f"training, {name}: theirs / ours", f"{equal:.1f}×", "" if steps else accuracy)
        if steps:
            row(f"the same, ours cut at {c.cut}", f"{factor:.1f}×", accuracy)
    if "memory" in done:
        gain = done["memory"]["gain"]
        row("a training step, freed memory given back / kept (`start_lab`, Linux)", f"{gain:.1f}×")
    for kind in ("training", "inference") if "share" in done else ():
        share = done["share"][kind]["share"]
        row(f"full-size {kind}: share of the machine's product speed", f"{share:.0%}")
    if "classify" in done:
        r = done["classify"]
        for way in ("call, padded to 512", "call as written", "pipeline()"):
            value = r["seconds"][way] / r["seconds"]["ours"]
            equal = f"{r['equal_labels'][way]:.1%} equal labels"
            row(f"{r['texts']:,} reviews, {way}: theirs / ours", f"{value:.1f}×", equal)
    if "estimate" in done:
        r = done["estimate"]
        row(
            f"estimate before {len(r['runs'])} trainings: error, median and worst; median with its sign",
            f"{r['median']:.0%}, {r['worst']:.0%}; {r['bias']:+.0%}",
        )
    if "start" in done:
        r = done["start"]
        parts = ", ".join(
            f"{part} {seconds:.1f} s" for part, seconds in r.items() if part != "total"
        )
        row(f"import and `start_lab` ({parts})", f"{r['total']:.1f} s")
    return rows


def price(done: dict) -> list[str]:
    """One sentence for each training whose accuracy was measured: what the speed costs, seed by seed."""
    said = []
    for name, c in COMPARISONS.items():
        a = done.get(f"accuracy, {name}", {})
        if "ours" not in a:
            continue
        low, high = a["difference"]
        each = zip(a["each"]["ours"], a["each"]["article"], strict=True)
        seeds = ", ".join(f"{100 * (ours - theirs):+.1f}" for ours, theirs in each)
        verdict = (
            "behind, beyond the rows' chance" if high < 0 else "ahead, beyond the rows' chance" if low > 0 else
            "not told apart from theirs"
        )  # fmt: skip
        what = f"{name}, ours cut at {c.cut}" if c.cut else name
        said.append(f"{what}: {verdict} (points seed by seed: {seeds}).")
    return [f"What the speed costs in accuracy. {' '.join(said)}"] if said else []


def head(done: dict, where: str, busy: list[str]) -> list[str]:
    return [
        f"Measured on {where}.",
        *([f"**The machine was busy** during: {'; '.join(busy)}."] if busy else []),
        "",
        "| what | measured | accuracy |",
        "|---|---|---|",
        *claims(done),
        "",
        *price(done),
    ]


def table(done: dict, where: str, busy: list[str]) -> str:
    """The whole of bench.md."""
    lines = head(done, where, busy)
    for name in [n for n in COMPARISONS if n in done]:
        lines += [
            "",
            f"Step by step, {name} ({done[name]['rows']:,} rows; an epoch and an evaluation):",
            "",
            "| step | seconds | gain | |",
            "|---|---|---|---|",
        ]
        for s in done[name]["steps"]:
            remark = "; ".join(
                filter(None, ["" if s["kept"] else "does not pay here, left out", s.get("why", "")])
            )
            seconds, gain = (
                f"{s[k]:.{d}f}{u}" if s[k] else "–"
                for k, d, u in (("seconds", 1, ""), ("gain", 2, "×"))
            )
            lines.append(f"| {s['name']} | {seconds} | {gain} | {remark} |")
    if "growth" in done:
        powers = [
            f"{n} to the power {g['exponent']:.2f} (last doubling: {g['last_doubling']:.2f})"
            for n, g in done["growth"].items()
        ]
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
        parts = [
            f"{p:.0%} of the gain" if s["gain"] > 1.02 else "no gain"
            for s, p in zip(kept, shares, strict=True)
        ]
        plots.bars(
            ax,
            [
                kept[0]["name"] + " recipe",
                *(f"+ {s['name']} ({part})" for s, part in zip(kept[1:], parts[1:], strict=True)),
            ],
            factors,
            fmt="{:.1f}×",
        )
        ax.set(
            title=f"“{kept[best]['name'].capitalize()}” brings {shares[best]:.0%} of the gain",
            xlabel=(
                f"speed of training, {name} = 1\n(share of the gain: of the factor's logarithm)"
            ),
        )
        ax.margins(x=0.1)
        figure.savefig(out / "bench.png")
    if "growth" in done:
        figure, axes = plots.new_figure(columns=3, width=11, height=3.4)
        for ax, (name, g) in zip(axes, done["growth"].items(), strict=True):
            plots.curve(ax, g["x"], g["seconds"], name)
            ax.set_xscale("log", base=2)
            ax.set_xticks(g["x"], g["x"])
            ax.set(
                yscale="log",
                xlabel=name,
                ylabel="seconds" if ax is axes[0] else "",
                title=f"Time grows with {name}$^{{{g['exponent']:.2f}}}$",
            )
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter(NullFormatter())
        figure.savefig(out / "growth.png")


def publish(measured: dict, root: Path) -> None:
    """Put a full run into ``assets/``."""
    assets = root / "assets"
    assets.mkdir(exist_ok=True)
    (assets / "bench.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    whole = table(measured["results"], measured["machine"], measured["busy"])
    draw(measured["results"], assets)
    steps = [s for s in measured["results"][next(iter(COMPARISONS))]["steps"] if s["kept"]]
    alt = "Bars of the factor reached after each change: " + ", ".join(
        f"{s['name']} {factor:.1f}"
        for s, factor in zip(steps, np.cumprod([s["gain"] for s in steps]), strict=True)
    )
    pictures = f"![{alt}](bench.png)\n\n![Time of a training step against length, batch and rows](growth.png)"
    (assets / "bench.md").write_text(
        f"# How fast is it?\n\n{INTRODUCTION}\n{whole}\n{pictures}\n", encoding="utf-8"
    )
