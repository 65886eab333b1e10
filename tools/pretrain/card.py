"""The model cards, written from the training logs and the measured scores: what was done, not what was planned."""

from __future__ import annotations

import math
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from safetensors import safe_open

from tools.pretrain.benchmarks import EMBEDDED, REAL
from tools.pretrain.corpus import REVIEW_REPEATS, VALIDATION_SHARE
from tools.pretrain.models import STUDENT_LAYERS
from tools.pretrain.plans import Plan
from tools.pretrain.source import REPOSITORY, REVISION
from tools.pretrain.train import Stage, read_log

ALL = EMBEDDED + REAL
COLUMNS = {
    "TF-IDF": "TF-IDF",
    "mini-distilbert": "mini-distilbert, 6 layers",
    "mini-student": "mini-student, 3 layers",
    "cut out": "3 layers cut out, not distilled",
    "random": "3 layers, random weights",
}
# Sanh et al. 2019, table 4: change of the GLUE macro score against all three losses and the teacher's layers.
PAPER_ABLATION = {
    "no soft targets": -2.96,
    "no cosine": -1.46,
    "no masked LM": -0.31,
    "random start": -3.69,
}
HEADS = {
    "mini-distilbert": f"""A DistilBERT at half the published width, small enough to ship with a course: 6 layers, 384 wide,
12 heads, and exactly the vocabulary of `distilbert-base-uncased` (30,522 uncased pieces). The published model has 6 layers
and is 768 wide.

Its weights begin as [{REPOSITORY}](https://huggingface.co/{REPOSITORY}) (revision `{REVISION}`, Apache-2.0), a MiniLM (Wang
et al. 2020) that was itself distilled from a model of BERT's size and then tuned to tell alike sentences from others. MiniLM
has BERT's architecture: here the segment embedding of a single text is added to the position embeddings, and the pooler is
left out. That changes no hidden state (largest difference 2.4e-6). A masked-LM head was added and the whole went on with
masked LM, as told below.""",
    "mini-student": f"""Three layers cut out of [`mini-distilbert`](../mini-distilbert/README.md) (layers
{", ".join(map(str, STUDENT_LAYERS))}, counted from 0) and distilled from it by the recipe of the DistilBERT paper: 5 soft
targets (T = 2) : 2 masked LM : 1 cosine of the last hidden states. It is the student of lesson 02, and the fast model where
a lesson needs dozens of trainings.""",
}
INTENDED = f"""## Intended use

Teaching: it makes fine-tuning, evaluation and inspection run on a CPU without a network. For real work take
`distilbert/distilbert-base-uncased` or a larger model.

## Training data

Of the first weights: see the card of {REPOSITORY} and the MiniLM paper. Here: a sample of English Wikipedia of 2014 (CC BY-SA
3.0 and GFDL) and the unlabelled reviews of IMDb (Maas et al. 2011, released for research), each review written
{REVIEW_REPEATS} times. Reviews that also stand in IMDb's labelled splits were left out. {VALIDATION_SHARE:.1%} of all texts,
chosen by a hash, were held out. The text itself is not part of the repository.
"""
INTRODUCTION = """## Evaluation

Test scores in percent: the mean of the seeds and their range; a value alone is one seed, a dash is not measured yet. Each
task has one recipe for all models. TF-IDF with logistic regression reads the same pieces of each text. F1 is taken at the
threshold that is best on the validation rows, for every model by the same rule. For SST-2 the official validation split
serves as test.
"""
LIMITS = """## Limits

English only, lower case. It knows of the world what its texts say, with their age and biases. It was not tested for any use
that affects people.

## Licence and command

Weights: Apache-2.0 (see NOTICE in the repository's root). Made with `python -m tools.pretrain corpus`, `teacher`, `student`,
`evaluate`; a longer plan replaces the files here and changes nothing else.
"""


@dataclass
class Measured:
    """What ``evaluate`` found: scores {(benchmark, model): one per seed}, speed rows, ablation {variant: figures}, the
    headlines of lessons on public data {lesson: headline}."""

    scores: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    speed: list[dict[str, float]] = field(default_factory=list)
    ablation: dict[str, dict] = field(default_factory=dict)
    lessons: dict[str, str] = field(default_factory=dict)


def parameters(folder: Path) -> tuple[int, int, float]:
    """Parameters with and without the masked-LM head, and the file's size in MB (10**6 bytes)."""
    file = folder / "model.safetensors"
    with safe_open(file, "pt") as tensors:
        sizes = {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    body = sum(n for name, n in sizes.items() if not name.startswith("vocab_"))
    return sum(sizes.values()), body, file.stat().st_size / 1e6


def percent(values: list[float] | None) -> str:
    """Mean and range over the seeds in percent: "84.1 (83.5–84.6)"; a single value alone."""
    if not values:
        return "–"
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({100 * min(values):.1f}–{100 * max(values):.1f})"


def share_of_teacher(scores: dict[tuple[str, str], list[float]]) -> tuple[float, int] | None:
    """Mean over the benchmarks that both have of the student's score over the teacher's, and how many those are."""
    both = [
        [statistics.mean(scores[b.name, m]) for m in ("mini-student", "mini-distilbert")]
        for b in ALL
        if {(b.name, "mini-student"), (b.name, "mini-distilbert")} <= set(scores)
    ]
    return (statistics.mean(s / t for s, t in both), len(both)) if both else None


def stage_rows(stages: tuple[Stage, ...], log: list[dict]) -> list[str]:
    """One table row per finished stage: what was trained, on how many tokens, and the losses that the log holds."""
    rows = []
    for number, stage in enumerate(stages):
        done = [
            line
            for line in log
            if line["stage"] == number and "validation_mlm" in line and line["step"]
        ]
        last = [line["mlm"] for line in log if line["stage"] == number and "mlm" in line][-5:]
        if done:
            ended = f"{statistics.mean(last):.2f}" if last else "–"
            rows.append(
                f"| {number + 1} | {'head only' if stage.head_only else 'all'} | {stage.length} x {stage.batch_size} | "
                f"{stage.steps * stage.length * stage.batch_size / 1e6:.1f} M | {stage.rate:g} | {ended} | "
                f"{done[-1]['validation_mlm']:.2f} |"
            )
    return rows


def training_section(plan_name: str, stages: tuple[Stage, ...], log: list[dict], note: str) -> str:
    begun = next(
        (line["validation_mlm"] for line in log if "validation_mlm" in line and not line["step"]),
        None,
    )
    lines = [
        "## Training\n",
        f"Plan `{plan_name}` on {os.cpu_count()} cores: {log[-1]['tokens'] / 1e6:.1f} million tokens in "
        f"{log[-1]['seconds'] / 3600:.1f} h."
        + (f" Held-out loss before the first step: {begun:.2f}." if begun else ""),
        *([note] if note else []),
        "Masking is dynamic: 20 % of the tokens while training, 15 % in validation. AdamW, bf16 where the processor has it, no",
        "dropout, one pass. Losses are masked-LM cross-entropies in nats. The shipped configuration asks for no dropout in",
        "fine-tuning either (the published model has 0.1): chosen after one trial on the validation reviews, in which the",
        "number of epochs changed too.\n",
        "| stage | trained | length x batch | tokens | rate | training loss at its end | held-out loss |",
        "|---|---|---|---|---|---|---|",
        *stage_rows(stages, log),
        "",
        *(
            f"The shipped body is a mean of weights (Wortsman et al. 2022, WiSE-FT): {line['share']:.0%} distilled, the rest "
            f"the cut that it began as. Held-out loss of this mean: {line['validation_mlm']:.2f} at length {stages[0].length}; "
            "the distilled weights alone guess words better, and did worse on one task (`tools/pretrain/plans.py`).\n"
            for line in log[-1:]
            if "share" in line
        ),
    ]
    return "\n".join(lines)


def size_section(folders: dict[str, Path]) -> str:
    (t_all, t_body, t_size), (s_all, s_body, s_size) = (
        parameters(folder) for folder in folders.values()
    )
    lines = [
        "## Size\n",
        "| | mini-distilbert | mini-student | ratio |",
        "|---|---|---|---|",
        f"| parameters without the head | {t_body:,} | {s_body:,} | {s_body / t_body:.1%} |",
        f"| with the masked-LM head | {t_all:,} | {s_all:,} | {s_all / t_all:.1%} |",
        f"| file (fp16) | {t_size:.1f} MB | {s_size:.1f} MB | {s_size / t_size:.1%} |\n",
    ]
    return "\n".join(lines)


def aims(scores: dict[tuple[str, str], list[float]]) -> list[str]:
    """How far the six-layer model is from what was aimed at: met, or missed by so many points."""
    lines = []
    for b in ALL:
        if b.aim and (values := scores.get((b.name, "mini-distilbert"))):
            value = 100 * statistics.mean(values)
            verdict = "met"
            if round(value, 1) < b.aim:
                verdict = f"missed by {b.aim - value:.1f}" + (f": {b.why}" if b.why else "")
            lines.append(f"* {b.name}: {b.aim:.1f}, {verdict}")
    if not lines:
        return []
    return [
        "What the six-layer model was meant to reach, set before the training, and whether it does:\n",
        *lines,
        "",
    ]


def evaluation_section(measured: Measured) -> str:
    if not measured.scores:
        return "## Evaluation\n\nNot measured yet: `python -m tools.pretrain evaluate` fills this section.\n"
    lines = [
        INTRODUCTION,
        "| task | metric | " + " | ".join(COLUMNS.values()) + " |",
        "|---|---" + "|---" * len(COLUMNS) + "|",
    ]
    for b in ALL:
        for name, metric in ((b.name, b.metric), (f"{b.name}, {b.beside}", b.beside)):
            if any((name, m) in measured.scores for m in COLUMNS):
                cells = (percent(measured.scores.get((name, m))) for m in COLUMNS)
                lines.append(f"| {b.name} | {metric} | " + " | ".join(cells) + " |")
    lines.append("")
    if share := share_of_teacher(measured.scores):
        lines.append(
            f"`mini-student` keeps {share[0]:.1%} of `mini-distilbert`'s score (mean of the ratios, {share[1]} tasks).\n"
        )
    lines += aims(measured.scores)
    if measured.lessons:
        lines += [
            "Lessons that ran on public data in place of the course's texts (`make run` with a mirror): test rows,",
            "one training each.\n",
            *(f"* lesson {number}: {found}" for number, found in sorted(measured.lessons.items())),
            "",
        ]
    if measured.speed:
        lines += [
            f"Forward passes of the bare models in fp32 on {os.cpu_count()} cores, median, the two in turn:\n",
            "| batch | length | mini-distilbert | mini-student | speed-up |",
            "|---|---|---|---|---|",
            *(
                f"| {r['batch']} | {r['length']} | {1e3 * r['teacher']:.1f} ms | {1e3 * r['student']:.1f} ms | "
                f"{r['ratio']:.2f} × |"
                for r in measured.speed
            ),
            "",
        ]
    if measured.ablation:
        full = measured.ablation["all three losses"]
        lines += [
            f"Ablation: the same short distillation ({full['tokens'] / 1e6:.1f} million tokens) with one thing left out: "
            f'held-out masked-LM loss, and the score on "{full["task"]}" (change in points). Beside it the paper\'s table 4 '
            "(change of the GLUE macro score, quoted).\n",
            "| variant | held-out loss | score | change | paper |",
            "|---|---|---|---|---|",
        ]
        apart = []
        for name, row in measured.ablation.items():
            if max(row["scores"]) < min(full["scores"]) or min(row["scores"]) > max(full["scores"]):
                apart.append(name)
            change = 100 * (statistics.mean(row["scores"]) - statistics.mean(full["scores"]))
            beside = (
                f"{change:+.1f} | {PAPER_ABLATION[name]:+.2f} |"
                if name in PAPER_ABLATION
                else "– | – |"
            )
            lines.append(
                f"| {name} | {row['validation_mlm']:.2f} | {percent(row['scores'])} | {beside}"
            )
        lines += [
            "",
            f"Beyond the seeds' spread (ranges that don't overlap): {', '.join(apart) or 'nothing'}. All of distillation moves",
            "this task from the cut to the student no further than the table of tasks shows; one loss shows in the held-out",
            "loss (one training each) or not at all.\n",
        ]
    return "\n".join(lines)


def header(name: str, scores: dict[tuple[str, str], list[float]]) -> str:
    """The YAML block of the Hub, with the model's results in its ``model-index``."""
    results = [
        EvalResult(
            task_type="token-classification" if b.metric == "entity F1" else "text-classification",
            dataset_type=b.name.split(",")[0].lower().replace(" ", "-"),
            dataset_name=b.name,
            # Without it, results of one data set would stand as several metrics of one task.
            dataset_config=b.name.partition(", ")[2] or None,
            metric_type="f1" if "F1" in b.metric else b.metric.replace(" ", "_"),
            metric_name=b.metric,
            metric_value=round(statistics.mean(scores[b.name, name]), 4),
        )
        for b in ALL
        if (b.name, name) in scores
    ]
    data = ModelCardData(
        language="en", license="apache-2.0", library_name="transformers", pipeline_tag="fill-mask", base_model=REPOSITORY,
        tags=["distilbert", "masked-lm", "teaching"],
        **({"model_name": name, "eval_results": results} if results else {}),
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n\n# {name}\n"


def section(card: Path, title: str) -> str:
    """A section of a card as it stands, with its title; empty where there is none."""
    _, found, rest = (card.read_text(encoding="utf-8") if card.is_file() else "").partition(
        f"{title}\n"
    )
    return found + rest.split("\n## ")[0] if found else ""


def write_cards(
    folders: dict[str, Path],
    work: Path,
    plan_name: str,
    plan: Plan,
    note: str = "",
    measured: Measured | None = None,
) -> None:
    """Write ``README.md`` beside both models; ``note`` is kept in ``work`` and used again when none is given.

    Where ``work`` has no log of a training, what a card says about it stays.
    """
    kept = work / plan_name / "note.txt"
    if note:
        kept.write_text(note, encoding="utf-8")
    note = kept.read_text(encoding="utf-8") if kept.exists() else ""
    measured = measured or Measured()
    if not all((folder / "model.safetensors").is_file() for folder in folders.values()):
        return  # the student comes later, and each card compares both
    for (name, folder), (part, stages) in zip(
        folders.items(), (("teacher", plan.teacher), ("student", plan.student)), strict=True
    ):
        log = read_log(work / plan_name / part / "log.jsonl")
        card = folder / "README.md"
        trained = section(card, "## Training")
        if log:
            trained = training_section(plan_name, stages, log, note if part == "teacher" else "")
        top = [header(name, measured.scores), HEADS[name], "", INTENDED, trained]
        text = "\n".join([*top, size_section(folders), evaluation_section(measured), LIMITS])
        card.write_text(text.rstrip() + "\n", encoding="utf-8")
