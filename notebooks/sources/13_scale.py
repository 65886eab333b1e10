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
# twice, workers that die, and time spent on communication. Here you train, stream and search with
# several processes of this machine; the programs are those that run on a hundred. Then you compute
# how many would be worth it.
#
# **After this lesson you can**
#
# 1. train with `torchrun` and prove from losses and row numbers that it does what one process does;
# 2. lose a worker in the middle of a training or a search, and nothing that was saved;
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
profile = "auto"  # "mini", "cpu", "gpu", or "auto": gpu where CUDA and the Hub are there, else mini

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
# that you can count afterwards who saw what. In every profile the requests are those of `mini` and
# the model is the embedded `mini-student`, on CPU: the questions here are about processes, and a
# small model asks them faster.

# %%
import shutil

from transformers import AutoTokenizer

from course_utils.data import from_embedded
from course_utils.lab import EMBEDDED_MODELS, ROOT

folder = str(EMBEDDED_MODELS["mini-student"])
requests = from_embedded("requests", ROOT / "data/requests")
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
# The training is an ordinary
# [Trainer](https://huggingface.co/docs/transformers/main_classes/trainer) in a file,
# [`scale/train.py`](../scale/train.py). Nothing in it says how many processes there are. First in
# this notebook, one process with 16 rows a batch:

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
# section 2 is about. Between CPUs the processes communicate through *gloo*, between GPUs through
# *NCCL*.

# %%
import json


def as_json(**fields):
    """One run of ``scale.train``; its folder is named after its fields."""
    name = "-".join(f"{k}{v}" for k, v in fields.items() if k != "judge")
    return json.dumps(base | {"out": str(work / name)} | fields)


two, unfixed = torchrun("scale.train", as_json(fixed=True), as_json(fixed=False))

# %%
from itertools import chain

held = {name: size / 1e6 for name, size in two["held"].items()}
first = two["first_rows"]
plots.finding(
    "Each of the two processes holds " + ", ".join(f"{mb:.0f} MB of {part}"
                                                   for part, mb in held.items())
    + f": {sum(held.values()):.0f} MB, as much as the single one "
    f"({sum(alone['held'].values()) / 1e6:.0f} MB). Of the first batch process 0 had rows "
    f"{first[0]}, process 1 rows {first[1]}; together the single process' batch: "
    f"{sorted([*chain(*first)]) == sorted(alone['first_rows'][0])}.")

# %% tags=["assert"]
assert two["held"] == alone["held"] and two["processes"] == 2 and alone["processes"] == 1
assert sorted([*chain(*first)]) == sorted(alone["first_rows"][0])
assert not set(first[0]) & set(first[1])

# %% [markdown]
# A model that doesn't fit one worker needs another division: FSDP or ZeRO also divide weights,
# gradients and optimiser states and, once the weights are divided too, send about half as much
# again (ZeRO's paper). DistilBERT seldom needs it.
#
# ## 2. Is it the same training?
#
# It should be: the mean of the means over its two halves is the mean over the batch. Dropout is off
# here, because each process would draw its own. For your own proof give `from_pretrained`
# `dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0`, and then leave them out again. And
# the run without that one line?

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
# The line is `model.accepts_loss_kwargs = False`. Without it the Trainer believes that the model
# has summed its loss and divided it by the rows of all processes already. DistilBERT's head takes
# the mean of its own rows instead, and the Trainer multiplies by the processes (with gradient
# accumulation by its steps: lesson [03](03_batches.ipynb)). With plain SGD, and nothing that clips,
# the steps would be doubled too.
#
# ## 3. Which batch, which rate?
#
# `per_device_train_batch_size` counts rows **in each process**. Leave it when you go from one
# process to two, and the [effective batch](glossary.md#effective-batch-size) doubles:
#
# effective batch = rows a process × processes × accumulation steps
#
# So an epoch has half as many steps. A popular cure is to double the rate as well; whether it cures
# the batch, or the rate was too low anyway, batch 16 with that rate tells. None of this needs a
# second process, since accumulation gives the same effective batch.

# %%
def four_epochs(effective, rate):
    """Loss on the training rows after four epochs."""
    run = Run(**base, out=str(work / "rates"), per_device=16, accumulation=effective // 16,
              steps=4 * 128 // effective, rate=rate, judge=base["data"])
    return train(run)["judged"]


after = {words: four_epochs(*setting) for words, setting in {
    "batch 16": (16, 3e-4), "batch 32, same rate": (32, 3e-4),
    "batch 16, doubled rate": (16, 6e-4), "batch 32, doubled rate": (32, 6e-4)}.items()}
halves = train(Run(**base, out=str(work / "halves"), per_device=8, accumulation=2))

# %%
small, same, control, doubled = after.values()
lost = same - small
plots.finding(
    f"In one run each, the loss after four epochs is {small:.2f} with batch 16 and {same:.2f} "
    "with batch 32: "
    + ("half the steps learn less. " if lost > 0.02 else "half the steps cost nothing here. ")
    + f"With the doubled rate it is {control:.2f} with batch 16 and {doubled:.2f} with batch 32: "
    + ("no help for the larger batch here. " if doubled > same - 0.02 else
       "a help for the larger batch alone. " if control > small - 0.02 else
       "a help for both, so the first rate was too low, and this is no proof of the cure: find "
       "each batch its best rate before you compare. ")
    + "One process that accumulates two batches of 8 has the losses of two processes, within "
    f"{np.abs(np.array(halves['losses']) - both).max():.0e}.")

# %% tags=["assert"]
assert np.abs(np.array(halves["losses"]) - both).max() < 1e-3

# %% [markdown]
# ### Exercise 13.1 The same batch on more workers ●○○ 6 minutes
#
# A recipe says "effective batch 64". Write `divide(effective, workers, most)`: the pair (rows a
# worker, accumulation steps) so that rows × steps × `workers` is exactly `effective`, with the
# largest number of rows that is at most `most`; `None` where nothing fits.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e13_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def divide(effective, workers, most):
    ### BEGIN SOLUTION
    if effective % workers:
        return None
    each = effective // workers
    rows = next((r for r in range(min(most, each), 0, -1) if each % r == 0), None)
    return rows and (rows, each // rows)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First the share of a worker: `effective / workers` must be a whole number. Then divide the share
# into equal batches.
# </details>
# <details><summary>Hint 2</summary>
#
# Try `rows` from `min(most, share)` downwards; the first that divides the share is the answer.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t13_1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
import numpy as np

from course_utils.exercises import check

def any_recipe():
    draw = np.random.default_rng()
    workers, most, steps = (int(n) for n in draw.integers(2, 40, 3))
    return divide(workers * most * steps, workers, most) == (most, steps)


check("13.1 The same batch on more workers",
      ("64 on 2 workers, at most 8 rows: 8 rows, 4 steps", lambda: divide(64, 2, 8) == (8, 4),
       "each worker's share is 32 rows, in steps of 8"),
      ("with room for all: one step", lambda: divide(64, 4, 100) == (16, 1),
       "never more rows than the worker's share"),
      ("48 on 2, at most 10: 8 rows, 3 steps", lambda: divide(48, 2, 10) == (8, 3),
       "rows must divide the share exactly; try smaller numbers of rows"),
      ("64 can't be shared by 3", lambda: divide(64, 3, 8) is None,
       "return None where the share is no whole number"),
      ("nor by 128", lambda: divide(64, 128, 8) is None, "a worker with less than a row: None"),
      ("any recipe that fits", any_recipe, "compute it, whatever the three numbers are"));
### BEGIN HIDDEN TESTS
assert all(any_recipe() for _ in range(20))
assert divide(35, 5, 4) == (1, 7) and divide(512, 8, 16) == (16, 4) and divide(7, 1, 7) == (7, 1)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Who reads which rows?
#
# Data that are too large for a disk come as a stream. `datasets` divides a stream with
# `split_dataset_by_node`; the Trainer divides it as well. Sixty-four numbered rows in four files,
# two processes, and a "model" that writes down which rows it is shown:

# %%
from datasets import Dataset

files = work / "stream"
files.mkdir()
numbers = Dataset.from_dict({"id": list(range(64))})
for part in range(4):
    numbers.shard(4, part, contiguous=True).to_parquet(files / f"{part}.parquet")
(ways,) = torchrun("scale.stream", files)

# %%
plots.picture("stream-split")

# %%
from collections import Counter


def counted(seen):
    times = Counter([*chain(*seen)])
    return f"{len(times)} of 64 rows, {sum(n > 1 for n in times.values())} of them more than once"


plots.finding("; ".join(f"*{way}*: {counted(seen)}" for way, seen in ways.items()) + ". Each pass "
              "took the same number of batches and none gave an error: only row numbers show it.")

# %% tags=["assert"]
every = list(range(64))
assert all(sorted([*chain(*ways[way])]) == every
           for way in ("whole stream to Trainer", "split, own loop"))
assert Counter(Counter([*chain(*ways["split, then Trainer"])]).values()) == {2: 32}

# %% [markdown]
# Divide once. The Trainer reads in process 0 and deals rows out: simple, but one process reads for
# all. In your own loop each process opens only its files, which is what many machines need, if the
# number of files is a multiple of the processes; else each reads everything and skips. Give all the
# same number of batches there, or some wait at the end for those that have none left.
#
# A stream can also be **resumed**: its place is a small dictionary, which your loop saves for each
# process with the checkpoint. After `shuffle` the rows in its buffer are skipped when you resume.

# %%
from itertools import islice

from datasets.distributed import split_dataset_by_node

from scale.stream import open_stream


def share():
    return split_dataset_by_node(open_stream(files), rank=1, world_size=2)


stream = share()
before = [row["id"] for row in islice(stream, 10)]
place = stream.state_dict()
again = share()  # after the interruption
again.load_state_dict(place)
rest = [row["id"] for row in again]
plots.finding(f"Process 1 stopped after {len(before)} rows and went on with row {rest[0]}: "
              f"{len(set(before) & set(rest))} rows twice, "
              f"{len(set(ways['split, own loop'][1]) - set(before) - set(rest))} missing.")

# %% tags=["assert"]
assert before + rest == ways["split, own loop"][1]

# %% [markdown]
# ### Exercise 13.2 Keep the books ●●○ 7 minutes
#
# Write the audit that every new cluster deserves. `audit(seen, rows)`: `seen` has a list of row
# numbers for each worker, `rows` all numbers that one pass should cover. Return two sorted lists:
# rows that nobody met, and rows met more than once, by one worker or by several. (Where an epoch
# doesn't fill its last batch, the Trainer fills it with first rows: a few repeats, and no fault.)

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e13_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
from collections import Counter


def audit(seen, rows):
    ### BEGIN SOLUTION
    times = Counter(row for worker in seen for row in worker)
    return sorted(set(rows) - set(times)), sorted(row for row, n in times.items() if n > 1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Count each number over all workers together: `Counter` does it.
# </details>
# <details><summary>Hint 2</summary>
#
# Missing: `set(rows)` without the numbers counted. Repeated: those whose count is above 1.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t13_2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("13.2 Keep the books",
      ("a clean pass", lambda: audit([[0, 2], [1, 3]], range(4)) == ([], []),
       "nothing is missing, nothing twice"),
      ("rows that nobody met", lambda: audit([[4], [1]], [4, 3, 2, 1])[0] == [2, 3],
       "compare with rows, and sort"),
      ("twice in one worker", lambda: audit([[5, 5], [6]], [5, 6])[1] == [5],
       "a worker may meet a row twice itself"),
      ("once in each of two workers", lambda: audit([[5, 6], [6, 5]], [5, 6])[1] == [5, 6],
       "count over all workers together"),
      ("three times is named once", lambda: audit([[7, 7], [7]], [7]) == ([], [7]),
       "each row is in the list once"),
      ("both lists sorted", lambda: audit([[9, 6], [6, 9], [1]], [1, 40, 3, 6, 9])
       == ([3, 40], [6, 9]), "sorted(...) both"));
### BEGIN HIDDEN TESTS
assert audit([], [2, 1]) == ([1, 2], [])
assert audit([[9, 1], [9], [9, 1]], {1, 9, 4}) == ([4], [1, 9])
### END HIDDEN TESTS

# %% [markdown]
# ## 5. What if a worker dies?
#
# On one machine that is bad luck, on five hundred it is routine. `torchrun --max-restarts 1` starts
# all workers anew when one is gone; going on where they were is the program's part, and needs
# checkpoints on storage that every machine reads.

# %%
plots.picture("restart")

# %% [markdown]
# The same run as in section 1, with a checkpoint every five steps. After step 8 process 1 kills
# itself with SIGKILL, the signal that nobody can catch.

# %%
(survived,) = torchrun("scale.train", as_json(save_every=5, die_at=8), restarts=1)

# %%
undisturbed, disturbed = both[-1], survived["losses"][-1]
plots.finding(
    f"Started {survived['lives']} times, the second time from step {survived['resumed_from']}: "
    f"{8 - survived['resumed_from']} steps were computed twice. The last loss is {disturbed:.6f}, "
    f"undisturbed {undisturbed:.6f}.")

# %% tags=["assert"]
assert survived["lives"] == 2 and survived["resumed_from"] == 5
assert abs(disturbed - undisturbed) < 1e-3 and len(survived["losses"]) == len(both)

# %% [markdown]
# A checkpoint too often costs writing, too seldom costs steps. And a folder on one worker's own
# disk is no checkpoint: the machine that died takes it along. Nor is a folder that was being
# written when the worker died, yet transformers' `get_last_checkpoint` takes it, and each restart
# fails. The Trainer writes `trainer_state.json` last, so `scale.train` takes the newest folder that
# has this file.
#
# ### Exercise 13.3 How often to save? ●●○ 7 minutes
#
# One machine fails every `hours` on average, and any failure stops all. Writing a checkpoint takes
# `save` seconds. Young's rule: write one every $\sqrt{2 \cdot \text{save} \cdot M}$ seconds, with
# $M$ the mean seconds between failures of the whole group. Write `save_every(save, hours,
# machines)`, in seconds.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e13_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
import math


def save_every(save, hours, machines):
    ### BEGIN SOLUTION
    return math.sqrt(2 * save * hours * 3600 / machines)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Ten machines fail ten times as often as one: divide the time between failures by `machines`.
# </details>
# <details><summary>Hint 2</summary>
#
# All in seconds: `hours * 3600 / machines` goes under the root, with `2 * save`.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t13_3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("13.3 How often to save?",
      ("2 s, one failure an hour: every two minutes", lambda: abs(save_every(2, 1, 1) - 120) < 1e-9,
       "the root of 2 * 2 * 3600; hours are 3600 seconds"),
      ("four machines: twice as often",
       lambda: abs(save_every(2, 1, 4) * 2 - save_every(2, 1, 1)) < 1e-9,
       "with more machines failures come sooner"),
      ("four times as dear to write: half as often",
       lambda: abs(save_every(8, 5, 3) - 2 * save_every(2, 5, 3)) < 1e-9,
       "the price of a checkpoint goes under the root"),
      ("safer machines: less often", lambda: save_every(1, 400, 2) > 1.9 * save_every(1, 100, 2),
       "hours go under the root, above the machines"));
### BEGIN HIDDEN TESTS
assert abs(save_every(10, 1000, 100) - math.sqrt(720_000)) < 1e-6
assert abs(save_every(0.5, 3, 27) - 20) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# ## 6. A search over several processes
#
# A search needs no gradients from others, so its processes share only a list of
# trials. [Optuna](https://optuna.readthedocs.io) keeps it in one file that all append to
# (`JournalStorage`), on a shared folder if they sit on several machines. Each trial is a short
# training with another rate; start two workers.

# %%
import os
import subprocess
import sys

from scale.search import finished, open_study

journal, wanted = work / "study.journal", 8
task = as_json(steps=4, judge=judge, per_device=16)
study = open_study(journal)


def worker(seed):
    return subprocess.Popen(
        [sys.executable, "-m", "scale.search", str(journal), "--run", task, "--trials",
         str(wanted), "--seed", str(seed)], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE, text=True)


# %%
import time

from optuna.trial import TrialState


def in_hand(process):
    """Numbers of the trials that ``process`` is working on."""
    return [t.number for t in study.get_trials(states=(TrialState.RUNNING,))
            if t.params and t.user_attrs.get("owner", "").endswith(f":{process.pid}")]


workers = [worker(seed=1), worker(seed=2)]
while len(finished(study)) < 3 or not in_hand(workers[0]):
    if workers[0].poll() is not None:
        raise RuntimeError(workers[0].stderr.read()[-2000:])
    time.sleep(0.2)
workers[0].kill()
workers[0].wait()
kept, torn = finished(study), in_hand(workers[0])

# %% [markdown]
# Its neighbour goes on. A third worker on the same machine starts, meets a trial whose process is
# gone, marks it as failed, and queues its settings anew: `requeue` in
# [`scale/search.py`](../scale/search.py).

# %%
workers.append(worker(seed=3))
for process in workers[1:]:
    if process.wait(timeout=600):
        raise RuntimeError(process.stderr.read()[-2000:])
done, states = finished(study), Counter(t.state.name for t in study.trials)
repeated = [t for t in study.trials if t.user_attrs.get("again") in torn and t.number in done]
plots.finding(
    f"When worker 1 was killed, {len(kept)} trials were finished and {len(torn)} was in its hands. "
    f"At the end {len(done)} are finished of {wanted} wanted, all {len(kept)} early ones with "
    f"their values ({kept.items() <= done.items()}); the torn one was done again "
    f"{len(repeated)} time. Best rate: {study.best_params['rate']:.1e}, "
    f"loss {study.best_value:.2f}: the best of {len(done)} short runs, one each, and no advice yet "
    "for a long one.")

# %% tags=["assert"]
assert kept.items() <= done.items() and len(torn) == len(repeated) == states["FAIL"] == 1
assert wanted <= len(done) <= wanted + 2 and states["RUNNING"] == states["WAITING"] == 0

# %% [markdown]
# A few trials too many are normal: each worker counts before it begins, not while others work.
#
# ## 7. How many workers are worth it?
#
# Time steps with 2 to 16 texts in each process: alone on one thread, then in two processes with one
# thread each. The same launch times the all-reduce by itself, for 1 to 64 MB.

# %%
import torch

from scale.steps import step_seconds

(timed,) = torchrun("scale.steps", folder)
pair, reduce = ({float(k): v for k, v in timed[part].items()} for part in ("steps", "allreduce"))
threads = torch.get_num_threads()
torch.set_num_threads(1)
single = step_seconds(folder)
brain = step_seconds(folder, (16,), bf16=True)[16]
short = step_seconds(folder, (16,), pieces=16)[16]
torch.set_num_threads(os.cpu_count())
cores = step_seconds(folder, (16,))[16]
torch.set_num_threads(threads)

# %% [markdown]
# The model of the cost has two parts. Computing: a fixed part (the optimiser touches every weight)
# and so much a text. Communication: a ring [all-reduce](glossary.md#all-reduce) among $N$ workers
# takes $2(N-1)$ rounds; in each round every worker sends $\frac{1}{N}$ of the gradients. Both are
# straight lines; fit them.

# %%
from scipy.optimize import nnls


def line(x, seconds):
    """Fixed part and slope, neither below 0, with the smallest relative errors."""
    x, seconds = np.array(x, float), np.array(seconds)
    return nnls(np.stack([1 / seconds, x / seconds], 1), np.ones(len(x)))[0]


fixed, each = line(list(single), list(single.values()))
start, per_mb = line(list(reduce), list(reduce.values()))
gradients, latency, here = two["held"]["gradients"], start / 2, 1e6 / per_mb


def step_time(workers, texts, bandwidth=here, speed=1):
    """Seconds of a step with ``texts`` a worker, at bytes a second, ``speed`` times as fast."""
    rounds = 2 * (workers - 1)
    return (fixed + each * texts) / speed + rounds * (latency + gradients / workers / bandwidth)


# %%
error = {texts: step_time(2, texts) / seconds - 1 for texts, seconds in pair.items()}
low, high = min(error.values()), max(error.values())
off = (f"{-high:.0%} to {-low:.0%} below" if high < 0 else f"{low:.0%} to {high:.0%} above"
       if low > 0 else f"between {-low:.0%} below and {high:.0%} above")
ratio = single[16] / pair[8]
plots.finding(
    f"A step takes {fixed:.2f} s and {each * 1e3:.0f} ms a text; the exchange runs at "
    f"{here / 1e9:.1f} GB/s with {latency * 1e3:.1f} ms a round. For two processes the model lies "
    f"{off} what was measured"
    + (", probably because two busy cores also share caches and memory. "
       if high < -0.02 else ". ")
    + f"Sixteen texts take {single[16]:.2f} s in one process and {pair[8]:.2f} s in two: "
    f"{ratio:.2f} times as fast: "
    + ("slower." if ratio < 1 else "not twice."))

# %% tags=["assert"]
assert each > 0 and gradients > 1e7 and max(map(abs, error.values())) < 0.75

# %% [markdown]
# Now extrapolate. **Weak scaling**: each worker keeps 16 texts, the effective batch grows.
# **[Strong scaling](glossary.md#strong-scaling)**: 512 texts are shared, each worker gets fewer.
# Efficiency is the speed-up divided by the number of workers: 1 if twice the workers do twice the
# work; at one half, the black line, each text costs twice the worker hours.
#
# Assumed, so name it when you quote it: workers as fast as this core, all equally; communication
# begins when computing ends (PyTorch's DistributedDataParallel (DDP) overlaps them, which helps;
# shared caches and memory, left out too, hurt); this machine's latency in each round; and the
# bandwidth, which is therefore drawn as a range.

# %%
bandwidths = {"1 Gbit/s": 0.125e9, "10 Gbit/s": 1.25e9, "100 Gbit/s": 12.5e9}
counts = [2**n for n in range(10)]


def weak(workers, bandwidth, speed=1):
    return step_time(1, 16, speed=speed) / step_time(workers, 16, bandwidth, speed)


def strong(workers, bandwidth, speed=1):
    return (step_time(1, 512, speed=speed)
            / step_time(workers, 512 / workers, bandwidth, speed) / workers)


# %%
figure, axes = plots.new_figure(columns=2, width=10, height=3.6)
titles = "Weak, 16 texts each: the network decides", "Strong, 512 shared: falls on every network"
for ax, law, title in zip(axes, (weak, strong), titles):
    for number, (name, bandwidth) in enumerate(bandwidths.items()):
        plots.curve(ax, counts, [law(n, bandwidth) for n in counts], name, number)
    ax.axhline(0.5, color="black", linewidth=0.8)
    ax.set_xscale("log", base=2)
    ax.set_xticks([1, 8, 64, 512], [1, 8, 64, 512])
    ax.set(xlabel="workers", ylabel="efficiency", ylim=(0, 1.05), title=title)
found = single[16] / pair[16]
cross = axes[0].plot(2, found, "kx", markersize=9, label="measured: two processes here")
axes[0].legend(handles=cross)
axes[1].legend()
plots.show(figure, "Efficiency over 1 to 512 workers by the model, three bandwidths; a cross: two "
           f"processes here, measured, weak, {found:.2f}. At 64 workers, 10 Gbit/s: "
           f"weak {weak(64, 1.25e9):.0%}, strong {strong(64, 1.25e9):.0%}; at 512 "
           f"{weak(512, 1.25e9):.0%} and {strong(512, 1.25e9):.0%}.")


# %%
def below_half(law, bandwidth, speed=1):
    return next((str(n) for n in counts if law(n, bandwidth, speed) < 0.5),
                f"none up to {counts[-1]}")


def fastest(bandwidth):
    best = max(counts, key=lambda n: n * strong(n, bandwidth))
    return f"{best} or more" if best == counts[-1] else str(best)


plots.finding(f"All this by the model, which gives two processes here {weak(2, here):.2f} (weak) "
              f"where {found:.2f} was measured; separate machines share no caches, but have a "
              "network. Numbers of workers (powers of two tried) at which efficiency first falls "
              "below one half. " + "; ".join(
    f"{name}: {below_half(weak, b)} (weak), {below_half(strong, b)} (strong)"
    for name, b in bandwidths.items()) + ". A shared step is shortest with "
    + ", ".join(f"{fastest(b)} ({name})" for name, b in bandwidths.items())
    + f" workers; more than that make it longer. Weak, {counts[-1]} workers make a batch of "
    f"{16 * counts[-1]:,}: efficiency counts texts, not what is learnt from them (section 3). "
    "With workers ten times as fast and 10 Gbit/s: "
    f"{below_half(weak, 1.25e9, 10)} (weak), {below_half(strong, 1.25e9, 10)} (strong), for they "
    "then wait for the network.")

# %% tags=["assert"]
assert strong(512, 1.25e9) < 0.5 and strong(8, 12.5e9) > strong(512, 12.5e9)
assert weak(64, 1.25e9, 10) < weak(64, 1.25e9)

# %% [markdown]
# Strong scaling ends on every network, because two parts of each step don't shrink with the texts:
# the fixed part, in which the optimiser touches all weights, and the communication. The limit set
# by the fixed part alone is [Amdahl's law](https://en.wikipedia.org/wiki/Amdahl%27s_law).
#
# ## 8. What could this one machine have done?
#
# The cheap rival of a second worker is the first one, used better. All bars compute 16 texts a
# step; "texts half as long" reads half of each, so it does less work. A CPU without instructions
# for bf16 imitates it, and is slower.

# %%
rivals = {"one process, one thread": single[16], "two processes": pair[8],
          "one process, all cores": cores, "bf16, one thread": brain,
          "texts half as long": short}
if torch.cuda.is_available():
    rivals["one GPU"] = step_seconds(folder, (16,), device="cuda")[16]
speedup = {name: single[16] / seconds for name, seconds in rivals.items()}
figure, ax = plots.new_figure(height=3)
plots.bars(ax, list(speedup), list(speedup.values()), fmt="{:.1f}")
better = sum(s > speedup["two processes"] for s in speedup.values())
ax.set(xlabel="times as fast", title=f"{better} of these beat the second process")
plots.show(figure, "Speed beside one process with one thread: " + ", ".join(
    f"{name} {s:.1f}" for name, s in speedup.items()) + ".")

# %%
best = max(speedup, key=speedup.get)
used = ("Processes and threads used the same cores." if os.cpu_count() <= 2 else
        f"The two processes used two cores, the threads all {os.cpu_count()}.")
plots.finding(
    f"Two processes {speedup['two processes']:.1f} times as fast, all cores of this machine as "
    f"threads of one process {speedup['one process, all cores']:.1f} times, bf16 "
    f"{speedup['bf16, one thread']:.1f}; best: {best} ({speedup[best]:.1f}). {used} Gradient "
    "accumulation gives the larger effective batch without any of them, at the price of time.")

# %% [markdown]
# Each process updates every weight, and the two exchange gradients; threads share one update and
# exchange nothing.
#
# ### Question 13.4 The trap in accumulation ●●○ 6 minutes, in writing
#
# Section 2's trap also waits in accumulation. Before you run the lines below in a cell of their
# own, predict two numbers and a yes or no: the first loss; its ratio to `one[0]`; and is the last
# loss, divided by that ratio, the right one (difference near 0)? Then explain: who multiplies, and
# why does the model hardly notice?
#
# ```python
# trap = train(Run(**base, out=str(work / "trap"), per_device=4, accumulation=4, fixed=False))
# times = trap["losses"][0] / one[0]
# print(trap["losses"][0], times, trap["losses"][-1] / times - one[-1])
# ```

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w13_4", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# The first loss is `4 * one[0]`, the ratio 4, and yes. The loss is as many times too large as there
# are accumulation steps, because the Trainer leaves out the division by their number: it believes
# that the model divided by all rows already. Divided by that ratio it is nearly the right one at
# each step, since clipping cuts the gradient to the same length and AdamW divides by its running
# size. Two things must be in it: the factor with its reason, and clipping or AdamW as what hides
# it.

# %% [markdown]
# ## 9. On several machines
#
# The programs stay; the launch changes. On each of two machines, with a shared folder:
#
# ```
# export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # a restart forgets the addresses of dead workers
# torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint first-machine:29500 \
#     --rdzv-id run-1 --max-restarts 3 -m scale.train '{…}'
# ```
#
# These are eight processes, so divide the batch by eight; this program uses the CPUs alone, the one
# at the end of this page takes GPUs too. That port is only the meeting place; gloo and NCCL open
# others for the gradients. Let the machines reach one another on all of them, and nobody else: who
# reaches the first can join.
#
# If a machine dies, start the same lines on another: by torch's source the rest wait for it, and
# all go on from the last checkpoint. Only the first machine, the meeting place, may not die. This
# was tested with two launchers on one machine, one of which dies and is replaced, but not on two
# machines. Try it before you need it.
#
# Even on one machine the meeting place, then with a random port, listens on every network interface
# while a run lasts, as `ss -ltn` shows: stay behind a firewall. The course's own model is distilled
# by the same engine, as `torchrun --standalone --nproc-per-node 2 -m tools.pretrain student …`.
#
# **[Ray Train](https://docs.ray.io/en/latest/train/train.html)** wraps the same training, and adds
# what starts machines and replaces them:
#
# ```python
# from ray.train import FailureConfig, RunConfig, ScalingConfig
# from ray.train.torch import TorchTrainer
#
# trainer = TorchTrainer(train_loop, scaling_config=ScalingConfig(num_workers=8, use_gpu=True),
#                        run_config=RunConfig(storage_path="/shared/runs",
#                                             failure_config=FailureConfig(max_failures=3)))
# trainer.fit()
# ```
#
# `train_loop` is your function that makes a Trainer and trains; without `FailureConfig` nothing is
# started anew. It isn't run here. Ray is larger than most of the course's other packages, writes to
# your home folder whatever `storage_path` says, and its release must support your Python. It pays
# with a cluster that several people share.
#
# Not everything large needs any of this: 2,000 hand-ins to grade are 2,000 separate jobs, so `make
# grade SUBMISSIONS=export.zip` on two machines, half of them each, is all the scaling there is.
#
# ## What to remember
#
# 1. Data parallelism divides rows and nothing else; it saves time, but no memory for weights,
#    gradients and optimiser.
# 2. Prove it: losses against one process, row numbers against the list of rows.
# 3. Effective batch = rows × processes × accumulation. Decide it, then the rate.
# 4. A worker will die. Checkpoints on shared storage, and a launcher that starts anew.
# 5. Measure a step and an all-reduce before you buy; first use all of one machine.
#
# ## Take this with you
#
# Runs alone, and as `torchrun --standalone --nproc-per-node 2 program.py`: on CPUs, or with at most
# as many processes as GPUs. If a worker dies, start it again: it goes on from the newest checkpoint
# that was written to its end. Delete the folder `run` between the two: else the second finds a
# finished training and prints its losses again. The losses won't equal one process' to the last
# digit: dropout is on. On a machine with several GPUs use `torchrun` there too: started plainly,
# the Trainer uses DataParallel and multiplies the batch by the GPUs. It needs `pip install
# transformers accelerate torch`.
#
# ```python
# import os
# from pathlib import Path
#
# from transformers import (AutoModelForSequenceClassification, AutoTokenizer, Trainer,
#                           TrainingArguments, set_seed)
#
# set_seed(0)
# texts = ["where is my parcel", "it broke after a day", "still not here", "the lid is cracked"] * 8
# labels = [0, 1, 0, 1] * 8  # yours: your own rows
# name, out = "distilbert/distilbert-base-uncased", "run"  # out: on storage that all machines read
# tokenizer = AutoTokenizer.from_pretrained(name)
# rows = [{**tokenizer(t, truncation=True, max_length=64), "labels": y} for t, y in zip(texts, labels)]
# model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2, use_safetensors=True)
# model.accepts_loss_kwargs = False  # or the loss is multiplied by the number of processes
#
# world, effective = int(os.environ.get("WORLD_SIZE", 1)), 8
# if effective % world:
#     raise SystemExit(f"{world} processes can't share {effective} rows: change one of the numbers")
# settings = TrainingArguments(
#     out, per_device_train_batch_size=effective // world, max_steps=4, learning_rate=5e-5,
#     logging_steps=1, save_steps=2, save_total_limit=2, report_to="none", disable_tqdm=True)
# trainer = Trainer(model, settings, train_dataset=rows, processing_class=tokenizer)
# whole = [f.parent for f in Path(out).glob("checkpoint-*/trainer_state.json")]  # written last
# last = max(whole, key=lambda folder: int(folder.name.split("-")[1]), default=None)
# trainer.train(resume_from_checkpoint=last and str(last))
# if trainer.is_world_process_zero():
#     print(world, "processes:", [h["loss"] for h in trainer.state.log_history if "loss" in h])
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | the loss is twice as large with two processes | the Trainer takes the mean for a sum | `model.accepts_loss_kwargs = False` |
# | it learns less since there are more GPUs | the effective batch grew, the steps fell | section 3 |
# | half of a stream is never read | it was divided twice | section 4; audit row numbers |
# | all hang at the first step | a worker is missing, or a firewall is in between | look for the one that didn't start; open the port |
# | all hang at the first step, on several machines | a machine's own name means `127.0.1.1` (Debian, Ubuntu) | `GLOO_SOCKET_IFNAME`, `NCCL_SOCKET_IFNAME`: its network card's name, on each machine |
# | all hang at the last step | some have no batch left | the same number of batches for each: section 4 |
# | every process prints everything | each runs the whole program | `is_world_process_zero()` |
# | two processes are slower than one | their threads fight for the cores, or the exchange costs more than it saves | `OMP_NUM_THREADS`: cores divided by processes (`torchrun` sets 1); more rows a process: section 7 |
#
# ## Further reading
#
# * Li et al. 2020, [*PyTorch Distributed*](https://arxiv.org/abs/2006.15704): how DDP overlaps
#   computing and communication.
# * Goyal et al. 2017, [*Accurate, large minibatch SGD*](https://arxiv.org/abs/1706.02677): the rate
#   that grows with the batch, and its warm-up.
# * McCandlish et al. 2018, [*An empirical model of large-batch
#   training*](https://arxiv.org/abs/1812.06162): from which batch on more rows are wasted.
# * Rajbhandari et al. 2019, [*ZeRO*](https://arxiv.org/abs/1910.02054): dividing what is kept
#   twice.
#
# This was the last lesson. Next: back to [the route through the lessons](README.md), or [what can
# your machine do?](appendix_machine.ipynb)

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"two processes: losses within {apart:.0e} of one, {ratio:.2f} times as fast; all cores "
           f"of one process {speedup['one process, all cores']:.2f}; killed worker's last loss "
           f"{disturbed:.4f} against {undisturbed:.4f}; {len(done)} trials, none lost")
