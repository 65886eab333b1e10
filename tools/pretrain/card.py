"""The model card, written from the training log, so that it says what was done and not what was planned."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tools.pretrain.corpus import REVIEW_REPEATS, VALIDATION_SHARE
from tools.pretrain.plans import Plan
from tools.pretrain.train import Stage

HEADER = """---
language: en
license: apache-2.0
library_name: transformers
pipeline_tag: fill-mask
tags: [distilbert, masked-lm, teaching]
---

# mini-distilbert

A DistilBERT small enough to ship with a course: 6 layers, 256 wide, 4 heads, uncased WordPiece vocabulary of 8,192 pieces,
{parameters:,} parameters without the masked-LM head. The published model has 6 layers, 768 wide, and 66,362,880.

## Intended use

Teaching: it makes fine-tuning, evaluation and inspection run in seconds on a CPU without a network. It is no substitute for
`distilbert/distilbert-base-uncased`: it has seen a small part of that model's text. Use the published model for real work.

## Training data

A sample of English Wikipedia of 2014 (CC BY-SA 3.0 and GFDL) and the unlabelled reviews of IMDb (Maas et al. 2011, released
for research), the reviews written {repeats} times. Reviews that also stand in IMDb's labelled splits were left out.
{held:.1%} of all texts, chosen by a hash, were held out for validation. The text itself is not part of the repository.
"""

TAIL = """
## Limits

English only, lower case. It has read few facts and little dialogue; what it knows of the world is what a short reading of an
encyclopedia of 2014 and of film reviews gives, with their biases. It was not tested for any use that affects people.

## Licence and command

Weights: Apache-2.0. Made with `python -m tools.pretrain corpus`, `vocab`, `teacher`, `student`, each with `--plan {plan}`;
a longer plan replaces the files here and changes nothing else.
"""


def stage_rows(name: str, stages: tuple[Stage, ...], log: list[dict]) -> list[str]:
    """One table row per stage: what was trained, on how many tokens, and the losses that the log holds."""
    rows = []
    for number, stage in enumerate(stages):
        done = [line for line in log if line["stage"] == number and "validation_mlm" in line]
        last = [line["mlm"] for line in log if line["stage"] == number and "mlm" in line][-5:]
        if done:
            rows.append(f"| {name} {number + 1} | {stage.layers} | {stage.length} x {stage.batch_size} | "
                        f"{stage.steps * stage.length * stage.batch_size / 1e6:.1f} M | {stage.rate:g} | "
                        f"{sum(last) / len(last):.2f} | {done[-1]['validation_mlm']:.2f} |")
    return rows


DISTILLED = "The student was cut out of the teacher and distilled (5 soft targets : 2 masked LM : 1 cosine, T = 2)."
CUT_OUT = """**This is a first, briefly trained version**: the masked-LM training ends at six layers, and the model *is* that
six-layer model in DistilBERT's form (segment vector 0 added to the positions). No distillation yet."""


def write_card(folder: Path, work: Path, plan_name: str, plan: Plan, parameters: int, note: str = "") -> None:
    """Write ``README.md`` beside the model from the logs below ``work/plan_name``; ``note`` follows the training's facts."""
    rows, tokens, seconds = [], 0, 0.0
    for name, stages in (("teacher", plan.teacher), ("student", plan.student)):
        file = work / plan_name / name / "log.jsonl"
        if stages and file.exists():
            log = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            rows += stage_rows(name, stages, log)
            tokens, seconds = tokens + log[-1]["tokens"], seconds + log[-1]["seconds"]
    training = "\n".join([
        "\n## Training\n",
        f"Plan `{plan_name}`: {tokens / 1e6:.0f} million tokens in {seconds / 3600:.1f} hours on {os.cpu_count()} cores.",
        DISTILLED if plan.student else CUT_OUT, note,
        "Word vectors (PPMI, truncated SVD) start the embeddings; 3 layers are stacked to 6 (Gong et al. 2019). Masking is",
        "dynamic, 20 % of the tokens while training and 15 % in validation; AdamW, bf16 where it pays, no dropout, one pass.\n",
        "| stage | layers | length x batch | tokens | rate | training loss at its end | held-out loss |",
        "|---|---|---|---|---|---|---|", *rows, "",
        "The loss is the masked-LM cross-entropy in nats. `config.json` has dropout 0 in the body (the published model: 0.1):",
        "in one run of two epochs on the course's reviews it learned faster without. Larger or longer runs may want it back.\n",
        "## Evaluation\n",
        "Lessons 05 and 06 fine-tune it and state the results with intervals; the repository's README has those on",
        "real data.",
    ])
    text = HEADER.format(parameters=parameters, repeats=REVIEW_REPEATS, held=VALIDATION_SHARE) + training + "\n"
    text += TAIL.format(plan=plan_name)
    (folder / "README.md").write_text(text, encoding="utf-8")
