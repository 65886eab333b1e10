# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# {{badge}}
#
# # When is one machine not enough, and what do more of them cost?
#
# More processes promise less waiting. They also bring wrong losses without an error, rows read
# twice, workers that die, and time spent on talk. Here you train, stream and search with several
# processes of this machine; the programs are those that run on a hundred. Then you compute how many
# would be worth it.
#
# **After this lesson you can**
#
# 1. train with `torchrun` and prove from losses and row numbers that it does what one process does;
# 2. lose a worker in the middle of a training or a search, and nothing that was finished;
# 3. measure what a step costs, and say from which number of workers on more of them are wasted.
#
# **What it costs**
#
# {{cost}}

# %% [markdown]
# ## Setup

# %% tags=["setup"]
# {{setup}}

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": the largest that this machine and network allow

# %%
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. What is divided, and what is not?
#
# The plainest way to use several workers is [data
# parallelism](glossary.md#data-parallelism): each has the whole model and a part of the batch.

# %%
from course_utils import plots

plots.picture("two-workers")

# %% [markdown]
# The data are prepared once, into a folder that all processes read. Each row keeps its number, so
# that you can count afterwards who saw what. The model is the embedded `mini-student`, on CPU, in
# every profile: the questions here are about processes, and a small model asks them faster.

# %%
import shutil

from transformers import AutoTokenizer

from course_utils.data import load_task
from course_utils.lab import EMBEDDED_MODELS

folder = str(EMBEDDED_MODELS["mini-student"])
requests = load_task("requests", lab.profile)
names = requests["train"].features["label"].names
tokenizer = AutoTokenizer.from_pretrained(folder)


def prepare(split, name, rows=128):
    """The first ``rows`` of ``split``, tokenised and numbered, in a folder; returns its path."""
    some = split.select(range(min(rows, len(split))))
    tokenised = some.map(
        lambda row, number: {**tokenizer(row["text"], truncation=True, max_length=32),
                             "labels": row["label"], "id": number},
        with_indices=True, remove_columns=some.column_names)
    tokenised.save_to_disk(work / name)
    return str(work / name)


# %%
work = lab.workdir / "scale"
shutil.rmtree(work, ignore_errors=True)  # of an earlier visit to this cell
base = {"data": prepare(requests["train"], "train"), "model": folder, "labels": len(names)}
judge = prepare(requests["validation"], "validation")

# %% [markdown]
# The training is an ordinary [Trainer](https://huggingface.co/docs/transformers/main_classes/trainer)
# in a file, [`scale/train.py`](../scale/train.py). Nothing in it says how many processes there are.
# First in this notebook, one process with 16 rows a batch:

# %%
from scale.train import Run, train

alone = train(Run(**base, out=str(work / "alone"), per_device=16))
print(*[f"{loss:.4f}" for loss in alone["losses"]])

# %% [markdown]
# `torchrun` starts a program several times and tells each copy, by environment variables, its
# number ([rank](glossary.md#rank)), how many there are, and where to meet
# ([rendezvous](glossary.md#rendezvous)). This is how the notebook calls it:

# %%
import inspect

from IPython.display import Code

from scale.launch import torchrun

Code(inspect.getsource(torchrun), language="python")

# %% [markdown]
# Now two processes with 8 rows each, the rest unchanged; and once more without one line that
# section 2 is about. Between CPUs the processes speak through *gloo*, between GPUs through *NCCL*.

# %%
import json


def as_json(**fields):
    """One run of ``scale.train``; its folder is named after its fields."""
    name = "-".join(f"{k}{v}" for k, v in fields.items() if k != "judge")
    return json.dumps(base | {"out": str(work / name)} | fields)


two, unfixed = torchrun("scale.train", as_json(fixed=True), as_json(fixed=False))

# %%
held = {name: size / 1e6 for name, size in two["held"].items()}
first = two["first_rows"]
plots.finding(
    "Each of the two processes holds " + ", ".join(f"{mb:.0f} MB of {part}"
                                                   for part, mb in held.items())
    + f": {sum(held.values()):.0f} MB, as much as the single one "
    f"({sum(alone['held'].values()) / 1e6:.0f} MB). Of the first batch process 0 had rows {first[0]}, "
    f"process 1 rows {first[1]}; together the single process' batch: "
    f"{sorted(sum(first, [])) == sorted(alone['first_rows'][0])}.")

# %% tags=["assert"]
assert two["held"] == alone["held"] and two["processes"] == 2 and alone["processes"] == 1
assert sorted(sum(first, [])) == sorted(alone["first_rows"][0]) and not set(first[0]) & set(first[1])

# %% [markdown]
# A model that doesn't fit one worker needs another division: FSDP or ZeRO also divide weights,
# gradients and optimiser states, and send more. DistilBERT fits everywhere.
#
# ## 2. Is it the same training?
#
# It should be: the mean of two means over 8 rows is the mean over 16. Dropout is off here, because
# each process would draw its own. And the run without that one line?

# %%
import numpy as np

one, both, wrong = (np.array(r["losses"]) for r in (alone, two, unfixed))
figure, ax = plots.new_figure(height=3.2)
steps = range(1, len(one) + 1)
plots.curve(ax, steps, one, "one process", 0)
plots.curve(ax, steps, both, "two processes", 1, linestyle="none", markersize=8, fillstyle="none")
plots.curve(ax, steps, wrong, "two, without the line", 2)
ax.set(xlabel="step", ylabel="loss", ylim=(0, None), xticks=steps,
       title="Two processes make the steps of one")
ax.legend()
plots.show(figure, f"Loss over {len(one)} steps. One and two processes lie on one another, from "
           f"{one[0]:.2f} to {one[-1]:.2f}; without the line the loss starts at {wrong[0]:.2f}.")

# %%
apart, factor = np.abs(one - both).max(), (wrong / both).mean()
plots.finding(
    f"Over {len(one)} steps the losses differ by at most {apart:.0e}: rounding. Without "
    f"`accepts_loss_kwargs = False` the loss is {factor:.2f} times as large, and yet the weights "
    f"go nearly the same way: divided by {factor:.0f} it is off by at most "
    f"{np.abs(wrong / factor - both).max():.0e}. Gradient clipping and AdamW hide the factor, so "
    "nothing but the number itself tells you.")

# %% tags=["assert"]
assert apart < 1e-3 and abs(factor - 2) < 0.02
assert abs(one[0] - np.log(len(names))) < 0.5

# %% [markdown]
# The line is `model.accepts_loss_kwargs = False`. Without it the Trainer believes that the model's
# loss is a sum, divided later by the number of rows over all processes. DistilBERT's head takes a
# mean, ignores the number, and the Trainer multiplies by the processes (with gradient accumulation
# by its steps: lesson [03](03_batches.ipynb)). With plain SGD the steps would be doubled too.
#
# ## 3. Which batch, which rate?
#
# `per_device_train_batch_size` counts rows **in each process**. Leave it when you go from one
# process to two, and the [effective batch](glossary.md#effective-batch-size) doubles:
#
# effective batch = rows a process × processes × accumulation steps
#
# So an epoch has half as many steps. A popular cure is to double the rate as well. Both need no
# second process to be tried, since accumulation gives the same effective batch.

# %%
def four_epochs(effective, rate):
    """Loss on the training rows after four epochs."""
    run = Run(**base, out=str(work / "rates"), per_device=16, accumulation=effective // 16,
              steps=4 * 128 // effective, rate=rate, judge=base["data"])
    return train(run)["judged"]


after = {words: four_epochs(*setting) for words, setting in {
    "batch 16": (16, 3e-4), "batch 32, same rate": (32, 3e-4),
    "batch 32, doubled rate": (32, 6e-4)}.items()}
halves = train(Run(**base, out=str(work / "halves"), per_device=8, accumulation=2))

# %%
small, same, doubled = after.values()
lost = same - small
won = (same - doubled) / lost if lost > 0 else 0
plots.finding(
    f"After four epochs the loss is {small:.2f} with batch 16 and {same:.2f} with batch 32: "
    + ("half the steps learn less. " if lost > 0.02 else "half the steps cost nothing here. ")
    + f"With the doubled rate {doubled:.2f}"
    + (f", which wins {won:.0%} of that back. " if lost > 0.02 else ". ")
    + "One process that accumulates two batches of 8 has the losses of two processes, within "
    f"{np.abs(np.array(halves['losses']) - both).max():.0e}.")

# %% tags=["assert"]
assert np.abs(np.array(halves["losses"]) - both).max() < 1e-3
