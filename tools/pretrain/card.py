"""The model cards, written from the training logs and the measured scores: what was done, not what was planned."""

from __future__ import annotations

import json
import math
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from safetensors import safe_open

from tools.pretrain.benchmarks import EMBEDDED, REAL
from tools.pretrain.corpus import REVIEW_REPEATS, VALIDATION_SHARE
from tools.pretrain.plans import Plan
from tools.pretrain.train import Stage

# Sanh et al. 2019, table 4: change of the GLUE macro score against all three losses and the teacher's layers.
PAPER_ABLATION = {"no soft targets": -2.96, "no cosine": -1.46, "no masked LM": -0.31, "random start": -3.69}
HEADS = {
    "student": """A DistilBERT small enough to ship with a course: 6 layers, 256 wide, 4 heads, uncased WordPiece vocabulary of
8,192 pieces. It was cut out of `mini-bert` (layers {layers}) and distilled from it. The published model has 6 layers and
is 768 wide.""",
    "teacher": """A BERT small enough to ship with a course: 12 layers, 256 wide, 4 heads, uncased WordPiece vocabulary of
8,192 pieces. It was trained on masked language modelling alone (no next-sentence task, so `pooler` has no trained weights)
and is the teacher of `mini-distilbert`. The published model has 12 layers and is 768 wide.""",
}
INTENDED = """## Intended use

Teaching: it makes fine-tuning, evaluation and inspection run in seconds on a CPU without a network. It is no substitute for
`{published}`: it has seen a small part of that model's text. Use the published model for real work.

## Training data

A sample of English Wikipedia of 2014 (CC BY-SA 3.0 and GFDL) and the unlabelled reviews of IMDb (Maas et al. 2011, released
for research), the reviews written {repeats} times. Reviews that also stand in IMDb's labelled splits were left out.
{held:.1%} of all texts, chosen by a hash, were held out for validation. The text itself is not part of the repository.
"""
NOT_BEHIND = """A student that equals its teacher doesn't say that distillation costs nothing. The likely reason is that the
teacher got little out of its depth, having read few tokens at it."""
README_MARKS = ("<!-- made by python -m tools.pretrain evaluate -->", "<!-- end of the pair -->")
SCORES_INTRODUCTION = """## Evaluation

Test scores in percent: the mean of three seeds and their range; a value alone is one seed, a dash is not measured yet.
Each task has one recipe, the same for all models. "Random weights" is the student's architecture, untrained. TF-IDF with
logistic regression reads the same pieces of each text. For SST-2 the official validation split serves as test. F1 of spam
counts a message as spam from a probability of 0.5 on; the lessons choose that threshold, and rank by average precision.
"""
# What a pair trained for hours on a CPU should reach, in percent, set before it was trained; a GPU's plan should reach more.
AIMS = {"SST-2, 2,000 labels": 79.0, "SST-2, all labels": 86.5, "IMDb, 2,000 labels, 128 pieces": 82.0,
        "IMDb, 2,000 labels, 256 pieces": 84.5, "SMS spam, 4,000 labels": 96.0, "CLINC150 with out-of-scope": 86.0}
AIM_SHARE = 97.0
SMOOTHED = (
    "Where a smoothing is named, tokens of frequency f were chosen with a weight of f to the power -smoothing, as in",
    "DistilBERT's recipe. Rare words are harder, so the training loss is higher there. For the held-out loss, and before a",
    "stage without smoothing, smoothing x ln f was added to the output bias: by Bayes' rule that undoes the choice.")
ABLATION_INTRODUCTION = """\
Ablation: the same short distillation ({tokens:.1f} million tokens) with one thing left out:
held-out masked-LM loss, and the score on "{task}" (three seeds; change in points). Beside it the paper's table 4
(change of the GLUE macro score, quoted).
"""
LIMITS = """
## Limits

English only, lower case. It has read few facts and little dialogue; what it knows of the world is what a short reading of an
encyclopedia of 2014 and of film reviews gives, with their biases. It was not tested for any use that affects people.

## Licence and command

Weights: Apache-2.0. Made with `python -m tools.pretrain corpus`, `vocab`, `teacher`, `student`, `evaluate`, each with
`--plan {plan}`{start}; a longer plan replaces the files here and changes nothing else.
"""


@dataclass
class Measured:
    """What ``evaluate`` found: scores {(benchmark, model): one per seed}, speed rows, ablation {variant: figures}."""

    scores: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    speed: list[dict[str, float]] = field(default_factory=list)
    ablation: dict[str, dict[str, float]] = field(default_factory=dict)


def parameters(folder: Path) -> tuple[int, int, float]:
    """Parameters with and without the masked-LM head, and the file's size in MB (10**6 bytes)."""
    file = folder / "model.safetensors"
    with safe_open(file, "pt") as tensors:
        sizes = {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118, not a dictionary
    head = ("cls.", "vocab_")
    return sum(sizes.values()), sum(n for name, n in sizes.items() if not name.startswith(head)), file.stat().st_size / 1e6


def percent(values: list[float] | None) -> str:
    """Mean and range over the seeds in percent: "84.1 (83.5–84.6)"; a single value alone."""
    if not values:
        return "–"
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({100 * min(values):.1f}–{100 * max(values):.1f})"


def share_of_teacher(scores: dict[tuple[str, str], list[float]]) -> float | None:
    """Mean over the benchmarks of the student's mean score divided by the teacher's; None until both have all of them."""
    names = [b.name for b in (*EMBEDDED, *REAL)]
    if any((name, model) not in scores for name in names for model in ("student", "teacher")):
        return None
    return statistics.mean(statistics.mean(scores[n, "student"]) / statistics.mean(scores[n, "teacher"]) for n in names)


def read_log(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def stage_rows(name: str, stages: tuple[Stage, ...], log: list[dict]) -> list[str]:
    """One table row per stage: what was trained, on how many tokens, and the losses that the log holds."""
    rows = []
    for number, stage in enumerate(stages):
        done = [line for line in log if line["stage"] == number and "validation_mlm" in line]
        last = [line["mlm"] for line in log if line["stage"] == number and "mlm" in line][-5:]
        if done:
            ended = f"{statistics.mean(last):.2f}" if last else "–"
            rows.append(f"| {name} {number + 1} | {stage.layers} | {stage.length} x {stage.batch_size} | "
                        f"{stage.steps * stage.length * stage.batch_size / 1e6:.1f} M | {stage.rate:g} | "
                        f"{stage.smoothing:g} | {ended} | {done[-1]['validation_mlm']:.2f} |")
    return rows


def training_section(logs: dict[str, list[dict]], plan_name: str, plan: Plan, note: str, before: str = "") -> str:
    rows, spent = [], []
    smoothed = any(stage.smoothing for stage in plan.teacher + plan.student)
    for name, stages in (("teacher", plan.teacher), ("student", plan.student)):
        rows += stage_rows(name, stages, logs[name])
        if log := logs[name]:
            spent.append(f"{name} {log[-1]['tokens'] / 1e6:.0f} million tokens in {log[-1]['seconds'] / 3600:.1f} h")
    return "\n".join([
        "## Training\n",
        f"Plan `{plan_name}` on {os.cpu_count()} cores: {'; '.join(spent)}.", *([note] if note else []),
        "It goes on from an earlier run's student (below)." if before else "Word vectors (PPMI, SVD) start the embeddings.",
        "A deeper stage starts from the layers of the one before, repeated as a stack (Gong et al. 2019) up to 6;",
        "from 6 to 12, new layers that pass on what they get stand between the trained ones (Net2DeeperNet, Chen et al. 2016).",
        "Masking is dynamic: 20 % of the tokens while training, 15 % in validation, where all are chosen alike.",
        *(SMOOTHED if smoothed else ()),
        "AdamW, bf16 where it pays, no dropout, one pass.",
        "The student's loss is 5 soft targets (T = 2) : 2 masked LM : 1 cosine of the last hidden states.\n",
        "| stage | layers | length x batch | tokens | rate | smoothing | training loss at its end | held-out loss |",
        "|---|---|---|---|---|---|---|---|", *rows, "",
        "Both losses are the masked-LM cross-entropy in nats. `config.json` has dropout 0 in the body (the published model:",
        "0.1): in one run of two epochs on the course's reviews a model of this size learned faster without.\n",
        *(["### The run before\n", before] if before else [])])


def score_rows(scores: dict[tuple[str, str], list[float]]) -> list[str]:
    names = ("TF-IDF", "random", "student", "teacher")
    return [f"| {b.name} | {b.metric} | " + " | ".join(percent(scores.get((b.name, m))) for m in names) + " |"
            for b in (*EMBEDDED, *REAL) if any((b.name, m) in scores for m in names)]


def readme_part(measured: Measured, folders: dict[str, Path], picture: Path) -> str:
    """What the course's README shows of the pair: size, all scores, and how often counting words wins."""
    (_, student, _), (_, teacher, _) = (parameters(folders[role]) for role in ("student", "teacher"))
    mean = {key: statistics.mean(values) for key, values in measured.scores.items()}
    both = [b.name for b in (*EMBEDDED, *REAL) if {(b.name, "TF-IDF"), (b.name, "student")} <= set(mean)]
    ahead = sum(mean[name, "student"] > mean[name, "TF-IDF"] for name in both)
    share = share_of_teacher(measured.scores)
    kept = f", {100 * share:.1f} % of the teacher's score" if share else ""
    lines = [f"{100 * student / teacher:.1f} % of the parameters{kept}. On {ahead} of {len(both)} tasks "
             "`mini-distilbert` beats counting words (TF-IDF with logistic regression)."
             + (f" {NOT_BEHIND}" if share and share >= 1 else ""),
             "", "| task | metric | TF-IDF | random weights | mini-distilbert | mini-bert |", "|---|---|---|---|---|---|",
             *score_rows(measured.scores)]
    if share:
        lines += ["", f"![The scores above, one mark a seed]({picture.parent.name}/{picture.name})"]
    return "\n".join(lines)


def size_section(folders: dict[str, Path]) -> str:
    (s_all, s_body, s_size), (t_all, t_body, t_size) = (parameters(folders[role]) for role in ("student", "teacher"))
    return "\n".join([
        "## Size\n",
        "| | mini-distilbert | mini-bert | ratio |", "|---|---|---|---|",
        f"| parameters without the head | {s_body:,} | {t_body:,} | {s_body / t_body:.1%} |",
        f"| with the masked-LM head | {s_all:,} | {t_all:,} | {s_all / t_all:.1%} |",
        f"| file (fp16) | {s_size:.1f} MB | {t_size:.1f} MB | {s_size / t_size:.1%} |\n"])


def aims_section(scores: dict[tuple[str, str], list[float]]) -> str:
    """How far the student is from what was aimed at: met, or missed by so many points."""
    reached = {name: (100 * statistics.mean(scores[name, "student"]), aim) for name, aim in AIMS.items()
               if (name, "student") in scores}
    if share := share_of_teacher(scores):
        reached["share of the teacher's score"] = (100 * share, AIM_SHARE)
    if not reached:
        return ""
    verdicts = [f"* {name}: {aim:.1f}, " + (f"missed by {aim - value:.1f}" if round(value, 1) < aim else "met")
                for name, (value, aim) in reached.items()]
    return "\n".join([
        "What a pair trained for hours on a CPU was meant to reach, set before the training, and whether it does:\n",
        *verdicts, "",
        "What most likely limits the scores is the text that was read: see Training for the millions of tokens. The published",
        "BERT read 3.3 billion words about 40 times (Devlin et al. 2019). A longer plan replaces the pair: see the end.\n"])


def evaluation_section(measured: Measured) -> str:
    if not measured.scores:
        return "## Evaluation\n\nNot measured yet: `python -m tools.pretrain evaluate` fills this section.\n"
    lines = [SCORES_INTRODUCTION,
             "| task | metric | TF-IDF | random weights | mini-distilbert | mini-bert |", "|---|---|---|---|---|---|",
             *score_rows(measured.scores), ""]
    if share := share_of_teacher(measured.scores):
        lines += [f"The student keeps {share:.1%} of its teacher's score (mean of the ratios above)."]
        lines += [*([NOT_BEHIND] if share >= 1 else []), ""]
    lines.append(aims_section(measured.scores))
    if measured.speed:
        lines += [f"Forward passes in fp32 on {os.cpu_count()} cores, median, the two models in turn:\n",
                  "| batch | length | mini-distilbert | mini-bert | speed-up |", "|---|---|---|---|---|",
                  *(f"| {r['batch']} | {r['length']} | {1e3 * r['student']:.1f} ms | {1e3 * r['teacher']:.1f} ms | "
                    f"{r['ratio']:.2f} × |" for r in measured.speed), "",
                  "The passes run the bare model: half the layers, about half the time. Tokenising, heads and the calls around",
                  "cost both models the same and pull the ratio towards 1.\n"]
    if measured.ablation:
        full = measured.ablation["all three losses"]
        lines += [ABLATION_INTRODUCTION.format(tokens=full["tokens"] / 1e6, task=full["task"]),
                  "| variant | held-out loss | score | change | paper |", "|---|---|---|---|---|"]
        for name, row in measured.ablation.items():
            change = 100 * (statistics.mean(row["scores"]) - statistics.mean(full["scores"]))
            beside = f"{change:+.1f} | {PAPER_ABLATION[name]:+.2f} |" if name in PAPER_ABLATION else "– | – |"
            lines.append(f"| {name} | {row['validation_mlm']:.2f} | {percent(row['scores'])} | {beside}")
        lines.append("")
    return "\n".join(lines)


def header(role: str, folder: Path, scores: dict[tuple[str, str], list[float]]) -> str:
    """The YAML block of the Hub, with the model's results in its ``model-index``."""
    results = [EvalResult(task_type="token-classification" if b.metric == "entity F1" else "text-classification",
                          dataset_type=b.name.split(",")[0].lower().replace(" ", "-"), dataset_name=b.name,
                          metric_type="f1" if "F1" in b.metric else "accuracy", metric_name=b.metric,
                          metric_value=round(statistics.mean(scores[b.name, role]), 4))
               for b in (*EMBEDDED, *REAL) if (b.name, role) in scores]
    data = ModelCardData(language="en", license="apache-2.0", library_name="transformers", pipeline_tag="fill-mask",
                         tags=["distilbert" if role == "student" else "bert", "masked-lm", "teaching"],
                         **({"model_name": folder.name, "eval_results": results} if results else {}))
    return f"---\n{data.to_yaml()}\n---\n\n# {folder.name}\n"


def section(card: Path, title: str) -> str:
    """A section of a card as it stands, with its title; empty where there is none."""
    _, found, rest = (card.read_text(encoding="utf-8") if card.is_file() else "").partition(f"{title}\n")
    return found + rest.split("\n## ")[0] if found else ""


def write_cards(folders: dict[str, Path], work: Path, plan_name: str, plan: Plan, layers: tuple[int, ...], note: str = "",
                measured: Measured | None = None) -> None:
    """Write ``README.md`` beside both models; ``note`` is kept in ``work`` and used again when none is given.

    Where ``work`` has no log of a training, what the cards say about it stays.
    """
    kept = work / plan_name / "note.txt"
    if note:
        kept.write_text(note, encoding="utf-8")
    note = kept.read_text(encoding="utf-8") if kept.exists() else ""
    earlier = work / plan_name / "before.md"  # how the student was trained that this run started from
    before = earlier.read_text(encoding="utf-8") if earlier.exists() else ""
    measured = measured or Measured()
    logs = {name: read_log(work / plan_name / name / "log.jsonl") for name in ("teacher", "student")}
    published = {"student": "distilbert/distilbert-base-uncased", "teacher": "google-bert/bert-base-uncased"}
    for role, folder in folders.items():
        trained = (training_section(logs, plan_name, plan, note, before) if any(logs.values()) else
                   section(folder / "README.md", "## Training"))
        text = "\n".join([
            header(role, folder, measured.scores), HEADS[role].format(layers=", ".join(map(str, layers))), "",
            INTENDED.format(published=published[role], repeats=REVIEW_REPEATS, held=VALIDATION_SHARE),
            trained, size_section(folders), evaluation_section(measured)])
        start = " (`teacher` with `--start` and the folder of the earlier student)" if before else ""
        limits = LIMITS.format(plan=plan_name, start=start)
        if not any(logs.values()) and (command := section(folder / "README.md", "## Licence and command")):
            limits = limits.split("## Licence")[0] + command.rstrip() + "\n"
        (folder / "README.md").write_text(text.rstrip() + "\n" + limits, encoding="utf-8")
