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
# # Which settings matter, and how do you find good ones?
#
# Every article gives you a recipe: this learning rate, that batch size, so many epochs. It was
# found for other texts and another model, and often never tested. Here you train one small sorter
# dozens of times, change one setting at a time, and see which settings decide.
#
# **After this lesson you can**
#
# 1. find with one short run where a model's training breaks, and start below;
# 2. say which settings to check first, and tell a difference from luck;
# 3. run a search, and report its result honestly.
#
# **What it costs**
#
# {{cost}}
#
# ## Setup
#
# You need no other lesson for this one. Where a machine lacks Optuna, a library for searches, the
# next cell installs it.

# %% tags=["setup"]
# {{setup}}

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": gpu where CUDA and the Hub are there, else mini

# %%
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. The shortest training that you can repeat
#
# A [hyperparameter](glossary.md#hyperparameter) is a setting that training doesn't learn: you
# choose it. The drawing shows where each one acts.

# %%
import math
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import torch

from course_utils import plots

plots.picture("settings-in-training")

# %% [markdown]
# Comparing takes many runs, so one run must take seconds. The task: what does the writer of a
# request want? Of the data set `requests` we keep six wishes: on `mini` the first of the alphabet,
# on `cpu` and `gpu`, where requests go to an assistant, six that resemble each other. Each has 14
# requests to learn from and twice as many for validation, because judging needs rows. Where the
# writers are named, nobody who wrote a text to judge on wrote one to learn from. The test rows stay
# closed until section 8.

# %%
from datasets import concatenate_datasets

from course_utils.common import balanced_rows
from course_utils.data import load_task

everything = replace(lab.profile, train_rows=None, validation_rows=None, test_rows=None)
requests = load_task("requests", everything)
names = requests["train"].features["label"].names
wishes = names[:6] if lab.profile.source == "embedded" else [
    f"{thing}{what}" for thing in ("calendar", "reminder", "todo_list") for what in ("", "_update")]
numbers = [names.index(wish) for wish in wishes]
pool = concatenate_datasets([requests["train"], requests["validation"]])
if "writer" in pool.column_names:  # the Hub's requests don't name their writers
    pool = pool.select(np.argsort(pool["writer"][:], kind="stable"))


def some(split, per_wish, skip=0):
    split = split.filter(lambda label: label in numbers, input_columns="label")
    split = split.map(lambda row: {"label": numbers.index(row["label"])})
    return split.select(balanced_rows(split["label"], per_wish, skip))


parts = {"train": some(pool, 14), "validation": some(pool, 28, skip=14),
         "test": some(requests["test"], 28)}

# %%
for row in parts["train"].select([0, 14, 28]):
    print(f"[{wishes[row['label']]}] {row['text']}")
plots.finding(", ".join(
    f"{len(part)} {name} rows" + (f" by {len(set(part['writer']))} writers"
                                  if "writer" in part.column_names else "")
    for name, part in parts.items()) + ".")

# %% tags=["assert"]
assert len(parts["train"]) == 84 and len(parts["validation"]) == 168
assert not set(parts["train"]["text"]) & set(parts["validation"]["text"])
assert not {*pool["text"]} & {*parts["test"]["text"]}
if "writer" in pool.column_names:
    assert not set(parts["train"]["writer"]) & set(parts["validation"]["writer"])

# %% [markdown]
# The model is the [student](glossary.md#distillation) of your profile: on `mini` the embedded one
# with three layers, which is fast; on `cpu` and `gpu` DistilBERT itself,
# `"distilbert/distilbert-base-uncased"`. How many pieces do the texts have?

# %%
from transformers import (AutoModelForSequenceClassification, AutoTokenizer,
                          get_linear_schedule_with_warmup, set_seed, utils)

utils.logging.set_verbosity_error()
checkpoint, revision = lab.student
tokenizer = AutoTokenizer.from_pretrained(checkpoint, revision=revision)


@cache  # remembers what it returned
def tensors(part, max_length):
    """Token ids, shape (rows, longest), padded behind, and labels, shape (rows,)."""
    encoded = tokenizer(parts[part]["text"][:], truncation=True, max_length=max_length,
                        padding=True, return_tensors="pt")
    return encoded["input_ids"].to(lab.device), torch.tensor(parts[part]["label"][:])


pieces = (tensors("train", 64)[0] != tokenizer.pad_token_id).sum(1)
plots.finding(f"Half of the texts to learn from have {int(pieces.median())} pieces or fewer, the "
              f"longest has {pieces.max()}. We cut at 64, which cuts none.")

# %% tags=["assert"]
assert max(tensors(part, 512)[0].shape[1] for part in parts) <= 64, "64 must read all texts whole"

# %% [markdown]
# The model is loaded once. Before each run it gets back its pretrained weights and a new random
# head, drawn as the library draws it. The table of word vectors stays
# [frozen](glossary.md#freezing) in all runs: a few texts touch few of its rows.

# %%
model = AutoModelForSequenceClassification.from_pretrained(
    checkpoint, revision=revision, use_safetensors=True, num_labels=len(wishes)).to(lab.device)
pretrained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
BLOCKS = model.config.n_layers


def start_again(seed, frozen=0):
    set_seed(seed)  # head, order of the rows and dropout all follow from it
    model.load_state_dict(pretrained)
    for layer in (model.pre_classifier, model.classifier):
        torch.nn.init.normal_(layer.weight, std=model.config.initializer_range)
        torch.nn.init.zeros_(layer.bias)
    model.requires_grad_(True)
    for part in (model.distilbert.embeddings, *model.distilbert.transformer.layer[:frozen]):
        part.requires_grad_(False)


start_again(seed=0)
learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
plots.finding(f"The model has {BLOCKS} blocks; {learning / model.num_parameters():.0%} of its "
              "weights learn.")

# %%
def logits_of(ids):
    """One score per wish and text, shape (rows, wishes)."""
    mask = ids != tokenizer.pad_token_id
    width = int(mask.sum(1).max())  # no wider than the longest text of this batch
    with torch.autocast(lab.device, dtype=torch.bfloat16, enabled=lab.precision == "bf16"):
        return model(input_ids=ids[:, :width],
                     attention_mask=mask[:, :width].long()).logits.float().cpu()


@torch.no_grad()
def answer(part, max_length):
    model.eval()
    ids, _ = tensors(part, max_length)
    order = (ids != tokenizer.pad_token_id).sum(1).argsort()  # texts of like length together
    return torch.cat([logits_of(ids[rows]) for rows in order.split(28)])[order.argsort().cpu()]


def right(logits, part="validation"):
    return (logits.argmax(1) == tensors(part, 64)[1]).numpy()


plots.finding(f"Before any training {right(answer('validation', 64)).mean():.0%} of the validation "
              f"rows are right; a blind guess among {len(wishes)} gets {1 / len(wishes):.0%}.")

# %% [markdown]
# The defaults below are our *reference*, from which we will change one thing at a time. On `mini`
# its rate and its epochs were tried out before this lesson was written.

# %%
RATE = {"embedded": 5e-4, "hub": 1e-4}[lab.profile.source]  # section 2 shows where it stands


@dataclass(frozen=True)
class Settings:
    rate: float = RATE  # learning rate
    batch_size: int = 8
    epochs: int = 4
    max_length: int = 64  # pieces
    warmup: float = 0.1  # as a share of all steps
    weight_decay: float = 0.0
    frozen: int = 0  # blocks, counted from below
    seed: int = 0


def optimizer_for(settings):
    learning = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(learning, lr=settings.rate, weight_decay=settings.weight_decay,
                             fused=True)


# %% [markdown]
# The training: a batch goes in, the [loss](glossary.md#loss) comes out, every weight moves a
# little. A `Trainer` does the same (lesson [03](03_batches.ipynb)).

# %%
def one_step(ids, labels, optimizer):
    loss = torch.nn.functional.cross_entropy(logits_of(ids), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # as the Trainer does
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


# %% [markdown]
# After its last epoch a run answers the validation rows. Its answers to the test rows go into a
# drawer, and nobody looks at them before the end.

# %%
@dataclass
class Run:
    losses: list = field(default_factory=list)  # training loss of each step
    logits: list = field(default_factory=list)  # on validation, after the epochs that we watch
    drawer: torch.Tensor | None = None  # on test


@cache  # equal settings are trained once
def train(settings, every_epoch=False):
    start_again(settings.seed, settings.frozen)
    ids, labels = tensors("train", settings.max_length)
    steps = math.ceil(len(ids) / settings.batch_size) * settings.epochs
    optimizer, run = optimizer_for(settings), Run()
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(settings.warmup * steps), steps)
    for epoch in range(settings.epochs):
        model.train()
        for rows in torch.randperm(len(ids)).split(settings.batch_size):
            run.losses.append(one_step(ids[rows], labels[rows], optimizer))
            schedule.step()
        if every_epoch or epoch == settings.epochs - 1:
            run.logits.append(answer("validation", settings.max_length))
    run.drawer = answer("test", settings.max_length)
    return run


# %%
first = train(Settings())
print(f"{len(first.losses)} steps: {right(first.logits[-1]).mean():.1%} of the validation rows")

# %% [markdown]
# A cheap rival counts words ([TF-IDF](glossary.md#tf-idf) with
# [logistic regression](glossary.md#logistic-regression)) on the same rows.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

counting = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000))
counting.fit(parts["train"]["text"][:], parts["train"]["label"][:])
counted = {part: counting.predict(parts[part]["text"][:]) == np.array(parts[part]["label"])
           for part in ("validation", "test")}
lead = 100 * (right(first.logits[-1]).mean() - counted["validation"].mean())
plots.finding(f"Counting words gets {counted['validation'].mean():.1%} of the "
              f"{len(counted['validation'])} validation rows right; the model's first run is "
              f"{abs(lead):.1f} points {'ahead' if lead > 0 else 'behind'}. "
              "Would it be so with another seed? Section 3 asks.")

# %% [markdown]
# ## 2. From which learning rate on does training break?
#
# The [learning rate](glossary.md#learning-rate) scales each step. Too small, and a run learns
# little; too large, and the weights jump about until training no longer recovers. A
# [range test](glossary.md#learning-rate-range-test) looks for the upper end in one run: the rate
# grows by a constant factor at every step, and you watch the training loss.

# %%
def range_test(lowest, highest, steps=44, batch_size=8):
    """Rates and training losses, both of shape (steps,)."""
    start_again(seed=0)
    model.train()
    ids, labels = tensors("train", 64)
    optimizer = optimizer_for(Settings(rate=lowest))
    rates, losses = np.geomspace(lowest, highest, steps), []
    rows = torch.cat([torch.randperm(len(ids)) for _ in range(5)])
    for rate, batch in zip(rates, rows.split(batch_size)):
        optimizer.param_groups[0]["lr"] = float(rate)
        losses.append(one_step(ids[batch], labels[batch], optimizer))
    return rates, np.array(losses)


rates, raw = range_test(RATE / 100, RATE * 100)

# %% [markdown]
# Single batches jump, so the curve is smoothed: a running mean in which each step back counts 0.8
# times as much. The loss *falls* where the curve is 5 % below its first ten steps for good. It
# *breaks* where it has lost half of its gain for good: one bad batch is no break.

# %%
def smoothed(losses, decay=0.8):
    mean, out = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = decay * mean + (1 - decay) * loss
        out.append(mean / (1 - decay**step))  # corrects for the short memory at the start
    return np.array(out)


smooth = smoothed(raw)

# %%
level, lowest = smooth[:10].mean(), int(np.nanargmin(smooth))  # chosen on train
falls = int(np.flatnonzero(smooth[: lowest + 1] >= 0.95 * level).max(initial=-1)) + 1
halfway = (level + smooth[lowest]) / 2
breaks = min(int(np.flatnonzero(smooth <= halfway).max()) + 1, len(rates) - 1)  # chosen on train
falls_at, lowest_at, breaks_at = (float(rates[i]) for i in (falls, lowest, breaks))

figure, ax = plots.new_figure()
ax.plot(rates, raw, ".", color="#999999", markersize=5)
plots.curve(ax, rates[: breaks + 1], smooth[: breaks + 1], "smoothed", 0, marker="")
ax.set(xscale="log", xlabel="learning rate of the step; grey: single batches",
       ylabel="training loss", ylim=(0, 1.6 * level),
       title=f"Training breaks near {breaks_at:.0e}, {breaks_at / RATE:.0f} times our reference")
for place, text, side in ((falls_at, "falls", "right" if falls_at < RATE else "left"),
                          (lowest_at, "lowest", "right"),
                          (breaks_at, "broken", "left"),
                          (RATE, "our reference", "left" if falls_at < RATE else "right")):
    ax.axvline(place, color="black", linestyle=":" if place == RATE else "--", linewidth=1)
    ax.annotate(text, (place, 0.97), xycoords=("data", "axes fraction"),
                rotation=90, va="top", ha=side, fontsize=9,
                xytext=(4 if side == "left" else -4, 0), textcoords="offset points")
plots.show(figure, f"Training loss against learning rate, logarithmic, up to {rates[-1]:.0e}. "
           f"Smoothed, it is flat, falls from {falls_at:.1e} on, is lowest at {lowest_at:.1e}, and "
           f"is broken for good at {breaks_at:.1e}. The reference of this lesson is {RATE:.1e}.")

# %%
early = falls_at > RATE
plots.finding(f"The smoothed loss falls only from {falls_at:.0e} on, "
              + ("yet" if early else "and") + f" {len(first.losses)} steps at our reference, "
              f"{RATE:.0e}, got {right(first.logits[-1]).mean():.0%} right"
              + (": the test says little about small rates. " if early else ". ")
              + f"At {breaks_at:.0e} training breaks. A tenth of the lowest point is "
              f"{lowest_at / 10:.0e}, a tenth of the break {breaks_at / 10:.0e}.")

# %% tags=["assert"]
assert falls_at < lowest_at < breaks_at and breaks_at > RATE
assert breaks < len(rates) - 1 and (smooth[breaks:] > halfway).all(), "the break is in sight"

# %% [markdown]
# What the test shows is where training *breaks*. It makes one step at each rate, and its first
# steps are tiny, so its loss falls late; a training makes dozens of steps at one rate, and learns
# below that point. At the lowest point the loss is low thanks to all the smaller rates before it,
# and the break is near, so the usual rule starts at a tenth of it. It is a place to start from, no
# more: a whole training can fail at a rate that the test survives for one step.
#
# ### Exercise 4.1 Read a range test ●●○ 8 minutes
#
# Write `rate_to_try(rates, losses)`; the `losses` are already smoothed. Return a tenth of the rate
# where they are lowest. Two traps. After the break a loss can be `nan`. And where the lowest loss
# is at the *last* rate, the test never reached the break: raise a `ValueError`.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e4_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rate_to_try(rates, losses):
    ### BEGIN SOLUTION
    best = int(np.nanargmin(losses))
    if best == len(losses) - 1:
        raise ValueError("the loss was still falling at the last rate: test larger rates")
    return rates[best] / 10
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Try `np.argmin([0.5, float("nan"), 0.3])`. Is the answer the place of the lowest number?
# </details>
# <details><summary>Hint 2</summary>
#
# `np.nanargmin` ignores `nan`. Compare the place it returns with `len(losses) - 1` before you
# divide.
# </details>

# %% tags=["grading"]
# stands in for the range test when the exercise is graded
import math

import numpy as np

rates, smooth, lowest_at = [1e-5, 1e-4, 1e-3, 1e-2], [0.7, 0.6, 0.4, 0.9], 1e-3

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t4_1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from course_utils.exercises import check

def notices_a_short_test():
    try:
        rate_to_try([1e-5, 1e-4, 1e-3], [0.7, 0.6, 0.5])
    except ValueError:
        return True
    return False


broken = [1e-4, 1e-3, 1e-2, 1e-1], [0.7, 0.3, 0.9, math.nan]
check("4.1 Read a range test",
      ("lowest at 1e-3: try 1e-4",
       lambda: math.isclose(rate_to_try([1e-4, 1e-3, 1e-2], [0.7, 0.3, 0.9]), 1e-4),
       "at the lowest point the break is near; take a tenth of that rate, "
       "and return the rate, not its place"),
      ("nan after the break is no minimum", lambda: math.isclose(rate_to_try(*broken), 1e-4),
       "np.argmin takes nan for the lowest; use np.nanargmin"),
      ("a test that never breaks is refused", notices_a_short_test,
       "where the lowest loss stands at the last rate, raise a ValueError"),
      ("it works on our own test", lambda: math.isclose(rate_to_try(rates, smooth), lowest_at / 10),
       "compare with lowest_at / 10"));
### BEGIN HIDDEN TESTS
assert math.isclose(rate_to_try([1e-6, 1e-5, 1e-4, 1e-3], [math.nan, 0.6, 0.5, 0.55]), 1e-5)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 4.2 Choose from a noisy map ●●● 12 minutes
#
# Optional: no later section needs it. From the range test people go on to a
# [grid](glossary.md#grid-search): some rates by some batch sizes, one run each, and take the best
# cell. A made-up one:
#
# | rate | batches of `4` | `8` | `16` | `32` |
# |---|---|---|---|---|
# | `1e-5` | 0.95 | 0.50 | 0.50 | 0.50 |
# | `3e-5` | 0.50 | 0.86 | 0.88 | 0.86 |
# | `1e-4` | 0.50 | 0.85 | 0.87 | 0.86 |
#
# Its best cell has no good neighbour: luck will do that. A safer choice is a cell whose neighbours
# do well, too, here `(2, 2)`, counted from 0; as it lies on the edge, a larger rate is the next
# thing to try. Write `plateau(scores)`: for each cell take the mean of the cell and its direct
# neighbours (above, below, left, right, as many as exist), and return `(row, column)` of the cell
# with the highest mean.
#
# > Quoted: BERT's grid is 5e-5, 3e-5, 2e-5, batches of 16 or 32, 2 to 4 epochs
# > ([Devlin et al. 2019](https://arxiv.org/abs/1810.04805), appendix A.3). Articles repeat it for
# > every model. It was made for the published BERT.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e4_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def plateau(scores):
    ### BEGIN SOLUTION
    scores = np.asarray(scores, dtype=float)
    padded = np.pad(scores, 1, constant_values=np.nan)
    around = [scores, padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
    best = np.nanmean(around, axis=0).argmax()
    return tuple(int(i) for i in np.unravel_index(best, scores.shape))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A corner has two neighbours, an edge three. Divide by the number that exists. Beware of
# `scores[-1]`: in Python it is the last row, not "none".
# </details>
# <details><summary>Hint 2</summary>
#
# Two loops are fine. Or `np.pad(scores, 1, constant_values=np.nan)`, five shifted copies, and
# `np.nanmean`.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t4_2", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
wide = np.full((5, 6), 0.5)
wide[1:4, 1:4], wide[4, 5] = 0.9, 0.95  # a block of nine good cells, and a lonely better one
lucky = [[0.95, 0.50, 0.50, 0.50], [0.50, 0.86, 0.88, 0.86], [0.50, 0.85, 0.87, 0.86]]
corner, line = ([[0.90, 0.88, 0.40], [0.88, 0.60, 0.40], [0.40, 0.40, 0.40]],
                [[0.90, 0.60, 0.80, 0.80, 0.80, 0.50, 0.98]])


def agrees_with_a_loop(seed=0):
    scores, means = np.random.default_rng(seed).random((4, 5)), {}
    for i in range(4):
        for j in range(5):
            cells = [(i, j), (i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            means[i, j] = np.mean([scores[a, b] for a, b in cells if 0 <= a < 4 and 0 <= b < 5])
    return tuple(plateau(scores)) == max(means, key=means.get)


check("4.2 Choose from a noisy map",
      ("it isn't lured by a lonely peak", lambda: tuple(plateau(wide)) == (2, 2),
       "you took the single best cell; take the best mean with neighbours"),
      ("it finds the plateau", lambda: tuple(plateau(lucky)) == (2, 2),
       "the cell and its direct neighbours, not the diagonal ones; return (row, column)"),
      ("a corner isn't punished", lambda: tuple(plateau(corner)) == (0, 0),
       "divide by the neighbours that exist: a mean, not a sum"),
      ("the map has borders", lambda: tuple(plateau(line)) == (0, 3),
       "indexing with -1 takes the opposite border for a neighbour"),
      ("it agrees with a slow loop on a random map", agrees_with_a_loop,
       "go through every cell of the map that you were given"));
### BEGIN HIDDEN TESTS
assert tuple(plateau([[0.1, 0.2, 0.9, 0.9]])) == (0, 3) and tuple(plateau([[0.5]])) == (0, 0)
assert all(agrees_with_a_loop(seed) for seed in range(1, 6))
### END HIDDEN TESTS

# %% [markdown]
# ## 3. How far apart are equal runs?
#
# Before you compare settings, look at *equal runs*: repeated runs, with the same settings and other
# [seeds](glossary.md#seed). Another seed is another random head and another order of the rows (with
# the published model other dropout, too).

# %%
reference = [train(Settings(seed=seed)) for seed in range(5)]
hits = np.array([right(run.logits[-1]) for run in reference])  # (runs, rows), True where right
print("accuracy:", ", ".join(f"{share:.1%}" for share in hits.mean(1)))

# %% [markdown]
# Two kinds of chance show on these rows:

# %%
plots.picture("two-chances")

# %% [markdown]
# The spread over seeds you have just seen. For the rows: an accuracy $p$ on $n$ rows typically lies
# a [standard error](glossary.md#standard-error), $\sqrt{p(1-p)/n}$, from the one on endless rows;
# its square is the [variance](glossary.md#variance). Nineteen of twenty samples lie within 1.96
# standard errors to either side: this 95 % half-width is the *noise* below.

# %%
by_seed = hits.mean(1)
noise = 1.96 * math.sqrt(hits.mean() * (1 - hits.mean()) / hits.shape[1])

# %%
def strip(ax, names, groups):
    for place, values in enumerate(groups):
        shift = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else [0]
        ax.plot(100 * np.array(values), place + np.array(shift), "o",
                color=plots.COLOURS[0], markersize=6)
        ax.plot([100 * np.mean(values)] * 2, [place - 0.3, place + 0.3], color="black", linewidth=2)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


figure, ax = plots.new_figure(width=8, height=2)
ax.axvspan(100 * (by_seed.mean() - noise), 100 * (by_seed.mean() + noise), color="#dddddd")
strip(ax, [f"{len(by_seed)} seeds,\nequal settings", "counting words"],
      [by_seed, [counted["validation"].mean()]])
ax.set(xlabel="validation accuracy, %; grey: the noise of the rows",
       title=f"Equal settings: {100 * by_seed.min():.1f} to {100 * by_seed.max():.1f} %, "
             "by chance alone")
plots.show(figure, f"A point for each of {len(by_seed)} seeds, from {by_seed.min():.1%} to "
           f"{by_seed.max():.1%}, a bar at their mean of {by_seed.mean():.1%}, and a grey band of "
           f"{100 * noise:.1f} points to either side for the noise of the rows. Counting words: "
           f"{counted['validation'].mean():.1%}.")

# %%
rival = counted["validation"].mean()
side = "below" if rival < by_seed.min() else "above" if rival > by_seed.max() else "inside"
plots.finding(f"Equal runs span {100 * np.ptp(by_seed):.1f} points "
              f"(standard deviation {100 * by_seed.std(ddof=1):.1f}); the rows add "
              f"±{100 * noise:.1f} to whatever you measure on {hits.shape[1]} of them. "
              + ("The rival lies inside the span: which of the two wins depends on the seed."
                 if side == "inside" else f"The rival lies {side} all {len(by_seed)} runs; whether "
                 "that is more than the luck of these rows, section 4 asks."))

# %% tags=["assert"]
assert np.ptp(by_seed) > 0.005, "seeds must differ"
assert by_seed.std(ddof=1) < 0.08, "texts are read whole: equal runs may not lie far apart"
assert math.ceil(1.96**2 * 2 * 0.9 * (1 - 0.9) / 0.01**2) == 6915  # said below exercise 4.3

# %% [markdown]
# An interval for a difference counts both kinds. Pretend to repeat the experiment: pick as many
# runs and rows as there are, some twice, some never, and compute the difference again. After 2,000
# times, drop the lowest and the highest 2.5 %: what remains spans the 95 % interval. This
# [bootstrap](glossary.md#bootstrap) makes every interval from here on.
#
# A third kind of chance stays out of it: we train on *one* choice of texts, and on `mini` a few
# people wrote them and those to judge on (section 1 counts them). To count it, draw the training
# rows anew for each seed, and draw writers, not rows. *Beyond chance* below means that the interval
# leaves out 0 (in section 4's figure by two points or more): for these training texts and these
# writers.

# %%
def interval(runs, others=None, draws=2000):
    """95 % interval of the accuracy of ``runs``, or of its difference to ``others``.

    Both have the shape (runs, rows), True where a run answered a row rightly.
    """
    rng, groups = np.random.default_rng(0), [runs] if others is None else [runs, others]
    found = []
    for _ in range(draws):
        rows = rng.integers(runs.shape[1], size=runs.shape[1])
        means = [g[rng.integers(len(g), size=len(g))][:, rows].mean() for g in groups]
        found.append(means[0] - sum(means[1:]))
    return np.percentile(found, [2.5, 97.5])


# %% [markdown]
# ### Exercise 4.3 How many rows for one point? ●●○ 8 minutes
#
# Our settings are judged on the *same* rows, so much of the rows' luck cancels: only rows on which
# exactly one of two models is right tell them apart. Let `disagreement` be the share of such rows,
# and suppose the two models are about equally good. Write `rows_needed(disagreement, difference)`:
# the smallest number of rows at which the 95 % half-width of their difference in accuracy is at
# most `difference` (a fraction: one point is 0.01).

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e4_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rows_needed(disagreement, difference):
    ### BEGIN SOLUTION
    return math.ceil(1.96**2 * disagreement / difference**2)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# On each row the difference of the two is +1, 0 or −1, and its mean is about 0. What then is its
# variance, the mean of its square?
# </details>
# <details><summary>Hint 2</summary>
#
# It is the disagreement $q$. Solve $1.96 \sqrt{q/n} \le d$ for $n$, and round up.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t4_3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from numbers import Integral

check("4.3 How many rows for one point?",
      ("6 % disagreement, one point: 2,305 rows", lambda: rows_needed(0.06, 0.01) == 2305,
       "2,167: q (1 - q) is the variance of whether they differ, not of the difference; "
       "4,610: nothing is doubled on the same rows; "
       "1,176, 24 or less: square the 1.96 and the difference"),
      ("half the difference, four times the rows",
       lambda: 3.99 < rows_needed(0.06, 0.005) / rows_needed(0.06, 0.01) < 4.01,
       "rows grow with 1 / difference squared"),
      ("twice the disagreement, twice the rows",
       lambda: 1.99 < rows_needed(0.12, 0.01) / rows_needed(0.06, 0.01) < 2.01,
       "the variance of a row's difference is the disagreement, which must enter"),
      ("a whole number, rounded up",
       lambda: isinstance(rows_needed(0.1, 0.05), Integral) and rows_needed(0.1, 0.05) == 154,
       "math.ceil rounds up and returns an int"));
### BEGIN HIDDEN TESTS
assert rows_needed(0.2, 0.02) == 1921 and rows_needed(0.03, 0.003) == 12806
### END HIDDEN TESTS

# %% [markdown]
# On *different* rows the two variances add up, $2p(1-p)$ for two accuracies near $p$: at 90 % one
# point takes 6,915 rows each.
#
# > Quoted: BERT-large on RTE, 25 seeds, the usual recipe: best run 71.1 %, median 47.3 %, which is
# > what one answer to everything gets. With 20 epochs and a corrected optimiser: median 70.0 %,
# > standard deviation 2.4 ([Mosbach et al. 2021](https://arxiv.org/abs/2006.04884)).
#
# So at least half of those runs had *failed*: they were no better than one answer. Look at each
# run, not only at mean and deviation; a failed run is one to count, not noise to average.
#
# ## 4. Which setting decides?
#
# Now change one setting at a time, each to a value that a habit or a lack of time could give you.
# Three seeds each.

# %%
SHORT = {"embedded": 12, "hub": 6}[lab.profile.source]  # cuts most texts
CHANGES = {
    f"texts cut at {SHORT} pieces": {"max_length": SHORT},
    "1 epoch, not 4": {"epochs": 1},
    "a tenth of the learning rate": {"rate": RATE / 10},
    "batches of 32, not 8": {"batch_size": 32},
    "warm-up twice as long as the run": {"warmup": 2.0},
    "all blocks but one frozen": {"frozen": BLOCKS - 1},
}


def three_seeds(**changes):
    """Where three runs are right, shape (3, rows)."""
    return np.array([right(train(Settings(seed=seed, **changes)).logits[-1]) for seed in range(3)])


# %%
print(f"{SHORT} pieces cut {(pieces > SHORT).float().mean():.0%} of the texts")
pulled = 1 - (1 - RATE * 0.1) ** len(first.losses)
print(f"a weight decay of 0.1 takes off {pulled:.1%} of a weight at most in a whole run")
changed = {name: three_seeds(**change) for name, change in CHANGES.items()}
RIVAL = "no model: counting words"
compared = changed | {RIVAL: counted["validation"][None]}
effects = {name: (*interval(x, hits), x.mean() - hits.mean()) for name, x in compared.items()}
for name, (low, high, middle) in effects.items():
    print(f"{name:34} {100 * middle:+6.1f} points ({100 * low:+.1f} to {100 * high:+.1f})")

# %% [markdown]
# Three runs don't place the end of an interval to the point. Where an end lies within 2 points of
# 0, about three rows, call the change *borderline*; where the whole interval does and contains 0,
# *not shown*.

# %%
def reading(low, high):
    if -0.02 < low <= 0 <= high < 0.02:
        return "not shown"
    if min(abs(low), abs(high)) < 0.02:
        return "borderline"
    return "costs" if high < 0 else "gains" if low > 0 else "not shown"


ordered = sorted(effects, key=lambda name: effects[name][2])  # chosen on validation
kinds = {name: reading(*effects[name][:2]) for name in ordered}

# %%
figure, ax = plots.new_figure(width=8.5, height=3.9)
for place, name in enumerate(ordered):
    low, high, middle = effects[name]
    colour, marker = plots.COLOURS[name == RIVAL], plots.MARKERS[name == RIVAL]
    ax.plot([100 * low, 100 * high], [place, place], color="#444444", linewidth=2)
    ax.plot(100 * middle, place, marker, markersize=10, color=colour,
            fillstyle="left" if kinds[name] == "borderline" else "full", markerfacecoloralt="white",
            markerfacecolor="white" if kinds[name] == "not shown" else colour)
ax.axvline(0, color="black", linewidth=1)
ax.set_yticks(range(len(ordered)), ordered)
ax.invert_yaxis()
told = [kinds[name] for name in CHANGES]
ax.set(xlabel="points of accuracy against the reference, with 95 % interval\n"
              "filled: beyond chance; half filled: borderline; hollow: not shown; square: rival",
       title=f"Of {len(CHANGES)} changes, {told.count('costs')} cost accuracy beyond chance; "
             f"borderline: {told.count('borderline')}")
plots.show(figure, "Changes, and the rival as a square, in the order of their cost, with points "
           "and 95 % intervals against the reference: "
           + "; ".join(f"{name} {100 * effects[name][2]:+.1f} ({100 * effects[name][0]:+.1f} to "
                       f"{100 * effects[name][1]:+.1f}), {kinds[name]}" for name in ordered) + ".")

# %%
def listed(kind):
    found = [name for name in ordered if name in CHANGES and kinds[name] == kind]
    return "; ".join(f"{name} ({100 * effects[name][2]:+.0f})" for name in found)


low, high, middle = effects[RIVAL]
plots.finding("".join(f"{words}: {listed(kind)}. " for kind, words in (
                  ("costs", "Beyond chance, in points"), ("gains", "Better beyond chance"),
                  ("borderline", "Borderline"), ("not shown", "Not shown here")) if listed(kind))
              + f"Counting words instead of training: {100 * middle:+.1f} "
              f"({100 * low:+.1f} to {100 * high:+.1f}), "
              + {"costs": "worse beyond chance.", "gains": "better beyond chance."}.get(
                  kinds[RIVAL], kinds[RIVAL] + "."))

# %% tags=["assert"]
three = [f"texts cut at {SHORT} pieces", "1 epoch, not 4", "a tenth of the learning rate"]
assert lab.profile.source == "hub" or all(effects[name][1] < 0 for name in three)
assert pulled < 0.01

# %% [markdown]
# Make it an order of work. Check three settings first, which every training has: a **length** that
# cuts few texts; enough **epochs**; then the **rate**. Length comes first whatever it cost above,
# for what is cut off is lost whatever else you set.
#
# The rest: *batches of 32* read the same texts in about a quarter of the steps, so less is learned
# unless you raise rate or epochs too. *Freezing* saves time and memory. *Weight decay* takes off
# rate × decay of a weight at each step; the line above the figure shows how little that is in a
# short run. A hollow or half-filled point says that three runs on these rows can't show or can't
# settle a difference, not that there is none.
#
# Four limits. The figure ranks *these* moves; half the rate is a smaller move than a tenth. It is
# one task, one choice of few, short texts and, on `mini`, a model of three layers: measure yours.
# Three seeds show only part of their spread, so the intervals are too narrow; and of many 95 %
# intervals one that just leaves out 0 may be luck.
#
# > Quoted, for length: public runs of the real DistilBERT on IMDb reach 88.0 % at 128 tokens
# > ([TextAttack's
# > log](https://huggingface.co/textattack/distilbert-base-uncased-imdb/blob/main/log.txt)), 91.2 %
# > at 256 ([Niophy's model card](https://huggingface.co/Niophy/distilbert-imdb-sentiment)), 93.2 %
# > at 512 ([sinensia's](https://huggingface.co/sinensia/distilbert-finetuned-imdb)). Other people,
# > other settings too: a hint, no more.
#
# ## 5. More epochs: better, worse, or surer?
#
# An [epoch](glossary.md#epoch) is one pass over the training rows. Articles say "2 to 4" and warn
# of [overfitting](glossary.md#overfitting). Train for eight and look at the loss, the accuracy, and
# how sure the model is where it is mistaken. Training loss is the mean during an epoch, while the
# model still learns; validation loss is taken at its end.

# %%
EPOCHS = 8
long = train(Settings(epochs=EPOCHS), every_epoch=True)
truth = tensors("validation", 64)[1]
training = [float(np.mean(losses)) for losses in np.array_split(long.losses, EPOCHS)]
validation = [torch.nn.functional.cross_entropy(x, truth).item() for x in long.logits]
accuracy = np.array([right(x).mean() for x in long.logits])
wrong_confidence = [float(x.softmax(1).max(1).values[~right(x)].mean()) for x in long.logits]
last = int(np.flatnonzero(accuracy < 1).max(initial=0))  # the last epoch with mistakes

# %%
x, least = np.arange(1, EPOCHS + 1), int(np.argmin(validation))  # chosen on validation
figure, (left, right_ax) = plots.new_figure(columns=2, width=10.5, height=3.6)
plots.curve(left, x, training, "training", 0)
plots.curve(left, x, validation, "validation", 1)
left.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, 1.3 * max(training + validation)),
         title=f"Validation loss: {validation[least]:.2f} at epoch {least + 1}, "
               f"{validation[-1]:.2f} at the end")
plots.curve(right_ax, x, 100 * accuracy, "validation accuracy", 1)
plots.curve(right_ax, x, 100 * np.array(wrong_confidence), "confidence when wrong", 2)
right_ax.set(xlabel="epoch", ylabel="%", ylim=(0, 119), yticks=range(0, 101, 20),
             title=f"Accuracy: {accuracy[least]:.0%} there, {accuracy[-1]:.0%} at the end")
for ax in (left, right_ax):
    ax.legend(loc="upper right" if ax is left else "upper left", ncols=2)
plots.show(figure, f"Left: training loss falls from {training[0]:.2f} to {training[-1]:.2f}; "
           f"validation loss is lowest at epoch {least + 1}, {validation[least]:.2f}, "
           f"and ends at {validation[-1]:.2f}. "
           f"Right: accuracy ends at {accuracy[-1]:.1%}, its best was {accuracy.max():.1%}; "
           f"confidence on wrong answers goes from {wrong_confidence[0]:.0%} "
           f"to {wrong_confidence[last]:.0%}.")

# %%
flat = int(np.argmax(np.array(validation) <= 1.05 * min(validation)))  # chosen on validation
quiet = max(validation[flat:]) <= 1.05 * min(validation)
lost, end = accuracy.max() - accuracy[-1], EPOCHS - 1
sure = float(long.logits[-1].softmax(1).max(1).values.mean())
plots.finding(
    f"One run. Accuracy ends at {accuracy[-1]:.0%} (counting words: "
    f"{counted['validation'].mean():.0%}), {100 * lost:.1f} points below its best epoch: "
    + ("more epochs did harm. " if lost > noise else "no harm that these rows could show. ")
    + (f"From epoch {flat + 1} on validation loss stays within 5 % of its lowest. " if quiet
       else f"Validation loss ends {validation[-1] / min(validation) - 1:.0%} above its lowest. ")
    + "On its mistakes the model is " + ", ".join(
        f"{wrong_confidence[x]:.0%} sure after epoch {x + 1}"
        for x in sorted({0, flat, end}) if accuracy[x] < 1)
    + (": the loss gave no warning."
       if quiet and wrong_confidence[end] > wrong_confidence[flat] + 0.05 else ".")
    + f" Its mean confidence on all rows ends at {sure:.0%}, "
    f"{100 * abs(sure - accuracy[-1]):.1f} points {'above' if sure > accuracy[-1] else 'below'} "
    "its accuracy.")

# %% tags=["assert"]
assert training[-1] < training[0] / 4, "eight epochs must fit the training rows"
assert lost < 0.06 and wrong_confidence[last] > wrong_confidence[0] + 0.1

# %% [markdown]
# The model has learned its few texts by heart, and is now surer, also where it is wrong (if it
# still is). Whether it is [over-confident](glossary.md#over-confidence), only its mean confidence
# on *all* rows, compared with its accuracy, can say, as in the last sentence above; more on it in
# lesson [06](06_evaluation.ipynb). The loss need not warn you: surer right answers lower it while
# surer mistakes raise it.
#
# If you need only the class, follow the accuracy. If you use the probability, as in "ask a person
# below 80 %", follow the confidence on mistakes, as sure ones slip past that rule. So "it overfits
# at epoch 3" is half a sentence: say which curve. And don't read the best number of epochs off it:
# the schedule is stretched over all eight. Train again with the number you chose.
#
# > Quoted: nine public runs of the real DistilBERT on IMDb, 20 epochs: validation loss rises
# > from 0.21 to 0.75, while accuracy ends at 0.932, above its first epoch's 0.915 ([Realgon's model
# > cards](https://huggingface.co/Realgon)).
#
# ## 6. Warm-up: why 500 steps can be too many
#
# [Warm-up](glossary.md#warm-up) raises the rate from 0 to its full value during the first steps,
# while the new head still knows nothing.
#
# > Quoted from articles ([claims](claims.md)): `warmup_steps` of 100 to 500; 1,000 to 2,000 texts;
# > batches of 16 or 32; 2 to 4 epochs.
#
# For 2,000 texts, batches of 16 and 2 epochs, let the library's own schedule say what the rate
# does.

# %%
def schedule(warmup_steps, steps):
    """The share of the learning rate that each of the steps uses, shape (steps,)."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rising, shares = get_linear_schedule_with_warmup(optimizer, warmup_steps, steps), []
    for _ in range(steps):
        shares.append(rising.get_last_lr()[0])
        optimizer.step()
        rising.step()
    return np.array(shares)


steps = math.ceil(2000 / 16) * 2
article, tenth = schedule(500, steps), schedule(steps // 10, steps)

# %%
figure, ax = plots.new_figure(height=3.2)
plots.curve(ax, range(steps), 100 * tenth, "a tenth of the run", 0, marker="")
plots.curve(ax, range(steps), 100 * article, "500 steps", 1, marker="")
ax.annotate("warm-up of a tenth", (110, 66), ha="left")
ax.annotate("warm-up of 500 steps", (128, 17), ha="left")
ax.set(xlabel="step", ylabel="% of the learning rate", ylim=(0, 105),
       title=f"In a run of {steps} steps, 500 of warm-up never reach half the rate")
plots.show(figure, f"Share of the learning rate over {steps} steps. "
           "With a tenth of warm-up it rises to 100 % and falls in a straight line to 0. "
           f"With 500 steps it rises all the time and ends at {article[-1]:.1%}.")

# %% tags=["assert"]
assert steps == 250 and article.max() == article[-1] == 249 / 500 and tenth.max() == 1.0

# %% [markdown]
# Two faults in one: the rate is at most half of what the settings say, and the run stops at its
# *highest* rate, where the last steps should be the gentlest. Section 4 tried such a warm-up.

# %%
LONG = "warm-up twice as long as the run"
low, high, middle = effects[LONG]
run_steps = len(first.losses)
ours = schedule(math.ceil(CHANGES[LONG]["warmup"] * run_steps), run_steps)
verdict = {"costs": "it cost accuracy", "gains": "it gained accuracy",
           "borderline": f"borderline, on the side of {'harm' if middle < 0 else 'gain'}",
           "not shown": "three seeds show neither harm nor gain in accuracy"}[kinds[LONG]]
plots.finding(f"With a warm-up of twice the run: {100 * middle:+.1f} points "
              f"({100 * low:+.1f} to {100 * high:+.1f}), {verdict}. The schedule's fault is "
              f"certain: the last of that run's {run_steps} steps has {ours[-1]:.3f} of the rate, "
              "and no step has more.")

# %% tags=["assert"]
assert ours.max() == ours[-1] < 0.5

# %% [markdown]
# Either way, the run does not use the rate you set. If that rate was too high, this can even help.
# Write a share, `warmup_steps=0.1`: in transformers 5 a number below 1 is a share of all steps. In
# version 4 it is `warmup_ratio=0.1`.
#
# ### Exercise 4.4 How far does the warm-up get? ●●○ 8 minutes
#
# Here `warmup_steps` is a number of steps. Write `share_reached(rows, batch_size, epochs,
# warmup_steps)`: the largest share of the learning rate that any step of the run uses. Step $k$,
# counted from 0, uses $k / \text{warmup}$ while it is warming up; the last, smaller batch of an
# epoch is a step too. After the warm-up the rate starts at its full value and falls. With
# `warmup_steps=0` the first step already uses all of it.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e4_4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def share_reached(rows, batch_size, epochs, warmup_steps):
    ### BEGIN SOLUTION
    steps = math.ceil(rows / batch_size) * epochs
    return 1.0 if warmup_steps == 0 else min(1.0, (steps - 1) / warmup_steps)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which number has the last step of the run, if the first one has 0? Can the share be above 1?
# </details>
# <details><summary>Hint 2</summary>
#
# Steps: `math.ceil(rows / batch_size) * epochs`. Then `min(1, (steps - 1) / warmup_steps)`, and a
# run without warm-up apart.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t4_4", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def agrees_step_by_step(seed=0):
    draw = np.random.default_rng(seed)
    rows, batch, epochs, warmup = (int(draw.integers(1, n)) for n in (90, 20, 4, 30))
    steps = sum(1 for _ in range(epochs) for _ in range(0, rows, batch))
    slow = max(min(1.0, k / warmup) for k in range(steps))
    return math.isclose(share_reached(rows, batch, epochs, warmup), slow)


check("4.4 How far does the warm-up get?",
      ("ten steps of one epoch, warm-up 20: 0.45",
       lambda: math.isclose(share_reached(160, 16, 1, 20), 0.45),
       "the first step has number 0, so the last has number steps - 1"),
      ("a second epoch brings it further",
       lambda: share_reached(160, 16, 2, 100) > share_reached(160, 16, 1, 100),
       "count the steps of all epochs"),
      ("the last, smaller batch is a step",
       lambda: share_reached(161, 16, 1, 100) > share_reached(160, 16, 1, 100),
       "round up to whole batches per epoch"),
      ("never more than the whole rate", lambda: share_reached(2000, 16, 2, 25) == 1,
       "after the warm-up the rate falls: cap the share at 1"),
      ("no warm-up starts at the whole rate", lambda: share_reached(2000, 16, 2, 0) == 1,
       "without warm-up every share is there from step 0"),
      ("it agrees with a count step by step", lambda: all(map(agrees_step_by_step, range(5))),
       "compare with the largest of k / warmup_steps over all steps k, at most 1"));
### BEGIN HIDDEN TESTS
assert share_reached(33, 32, 1, 10) == 0.1 and share_reached(1, 8, 1, 0) == 1
assert all(agrees_step_by_step(seed) for seed in range(5, 30))
assert math.isclose(share_reached(2000, 16, 2, 500), 0.498)
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Let a program search
#
# [Random search](glossary.md#random-search) draws all settings anew for each *trial*.
# [TPE](glossary.md#tpe), Optuna's default, draws where good trials were frequent.
#
# What to search? Length and epochs stay as they are. The search takes the rate, and the batch size
# beside it, because both change how far a run gets. Bounds should be so wide that both ends fail: a
# tenth of the reference did in section 4. Our upper end, four times the reference, is a guess
# towards the break of section 2: if the winner lies near it, widen.
#
# Five trials with one seed each show how a search works and what its number is worth; to decide,
# make dozens. By default Optuna's first *ten* trials are random, whatever their scores
# (`n_startup_trials=10`), so a short search is a random search under another name. Ours learns from
# the fourth on.

# %%
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial):
    settings = Settings(
        rate=trial.suggest_float("rate", RATE / 10, RATE * 4, log=True),  # equal chances per octave
        batch_size=trial.suggest_categorical("batch_size", [8, 16, 32]), seed=trial.number)
    trial.set_user_attr("settings", settings)
    return float(right(train(settings).logits[-1]).mean())


study = optuna.create_study(
    direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=3))
study.optimize(objective, n_trials=5)  # chosen on validation
winner = study.best_trial.user_attrs["settings"]
print(f"rates from {RATE / 10:.0e} to {RATE * 4:.0e}; the range test broke at {breaks_at:.0e}")
print(f"best of {len(study.trials)}: trial {study.best_trial.number}, {study.best_value:.1%}, "
      f"rate {winner.rate:.1e}, batches of {winner.batch_size}")

# %%
figure, ax = plots.new_figure(width=8, height=3.4)
ax.axhspan(100 * by_seed.min(), 100 * by_seed.max(), color="#dddddd")
ax.annotate("equal runs of the reference", (RATE / 10, 100 * by_seed.max()), va="bottom",
            xytext=(0, 3), textcoords="offset points", fontsize=9)
for number, size in enumerate([8, 16, 32]):
    drawn = [t for t in study.trials if t.params["batch_size"] == size]
    ax.plot([t.params["rate"] for t in drawn], [100 * t.value for t in drawn], markersize=8,
            linestyle="", marker=plots.MARKERS[number], color=plots.COLOURS[number],
            label=f"batches of {size}")
inside = sum(t.value >= by_seed.min() for t in study.trials)
ax.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy, %",
       xlim=(0.9 * RATE / 10, 1.1 * RATE * 4),
       title=f"As good as an equal run of the reference: {inside} of {len(study.trials)} trials")
ticks = RATE * np.array([0.1, 0.2, 0.4, 1, 2, 4])
ax.set_xticks(ticks, [f"{tick:.0e}" for tick in ticks])
ax.minorticks_off()
ax.margins(y=0.12)
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plots.show(figure, f"Accuracy of {len(study.trials)} trials against the learning rate: "
           + ", ".join(f"{t.value:.0%} at {t.params['rate']:.1e} with batches of "
                       f"{t.params['batch_size']}" for t in study.trials)
           + f". A grey band: section 3's equal runs, {by_seed.min():.1%} to {by_seed.max():.1%}.")

# %%
ahead = study.best_value - by_seed.mean()
near = winner.batch_size == Settings().batch_size and 0.5 < winner.rate / RATE < 2
plots.finding(f"The best trial has {study.best_value:.1%}, {100 * ahead:+.1f} points against the "
              f"mean of the reference; the best of its {len(by_seed)} equal runs has "
              f"{by_seed.max():.1%}. "
              + ("So a seed alone gives as much." if by_seed.max() >= study.best_value
                 else "No seed of the reference got as far.")
              + f" The winner's settings are {'close to' if near else 'not close to'} the "
              f"reference's ({RATE:.0e}, batches of {Settings().batch_size}).")

# %% [markdown]
# ## 8. How much too good is the winner's score?
#
# Part of a score is quality, part is luck, and picking the highest picks the lucky. This is the
# [winner's curse](glossary.md#winners-curse), drawn for six runs of equal quality.

# %%
plots.picture("winners-curse")

# %% [markdown]
# Measure it without new training, on the equal runs and the trials of the search. Cut the
# validation rows into two random halves, choose the best run by the first, read the *same* run's
# score on the second. Repeat 500 times. These runs differ in quality too: as poor ones drop out,
# the score on fresh rows can rise, too. The gap is the curse.

# %%
contenders = np.concatenate([hits, [right(train(t.user_attrs["settings"]).logits[-1])
                                    for t in study.trials]])  # (runs, rows)
rng = np.random.default_rng(0)


def chosen_and_fresh(count):
    """Mean score of the best of ``count`` runs on the half that chose it, and on the other."""
    pairs = []
    for _ in range(500):
        rows = rng.permutation(contenders.shape[1])
        drawn = contenders[rng.permutation(len(contenders))[:count]][:, rows]
        first, second = (half.mean(1) for half in np.array_split(drawn, 2, axis=1))
        pairs.append((first.max(), second[first.argmax()]))  # chosen on validation
    return np.mean(pairs, axis=0)


counts = [1, 2, 4, 8, len(contenders)]
curse = np.array([chosen_and_fresh(count) for count in counts])  # (counts, 2)
optimism = curse[-1, 0] - curse[-1, 1]

# %%
figure, ax = plots.new_figure(height=3.4)
for number, name in enumerate(["on the rows that chose it", "on fresh rows"]):
    plots.curve(ax, counts, 100 * curse[:, number], name, number)
ax.set(xlabel="runs to choose from", xticks=counts, ylabel="accuracy of the chosen one, %",
       title=f"Chosen on {contenders.shape[1] // 2} rows, the best of {counts[-1]} looks "
             f"{100 * optimism:.1f} points too good")
ax.legend(loc="lower right")
plots.show(figure, "Accuracy of the chosen run against the number of runs, "
           "on the half that chose it and on the other half. "
           f"They are {100 * (curse[0, 0] - curse[0, 1]):.1f} points apart for one run, "
           f"{100 * optimism:.1f} for {counts[-1]}.")
quality = contenders.mean(1)
plots.finding(f"With one run nothing is chosen, and both halves agree to "
              f"{100 * abs(curse[0, 0] - curse[0, 1]):.1f} points. The best of {counts[-1]} loses "
              f"{100 * optimism:.1f} points on fresh rows. On all rows the {counts[-1]} have "
              f"{quality.min():.0%} to {quality.max():.0%}: part of both curves' rise is the poor "
              "ones dropping out.")

# %% tags=["assert"]
assert optimism > 0.005 and abs(curse[0, 0] - curse[0, 1]) < optimism

# %% [markdown]
# So repeat the winner with three fresh seeds. Then, once, open the drawer with the test rows.

# %%
again = [train(replace(winner, seed=seed)) for seed in (100, 101, 102)]
repeated = np.array([right(run.logits[-1]) for run in again])
on_test = {"reference": np.array([right(run.drawer, "test") for run in reference]),
           "the search's winner": np.array([right(run.drawer, "test") for run in again]),
           "counting words": counted["test"][None]}
low, high = interval(on_test["the search's winner"], on_test["reference"])
verdict = "beats" if low > 0 else "loses to" if high < 0 else "can't be told from"

# %%
figure, ax = plots.new_figure(width=8, height=2.2)
plots.bars(ax, list(on_test), [x.mean() for x in on_test.values()],
           [interval(x) for x in on_test.values()], fmt="{:.1%}")
ax.set(xlabel="accuracy on the test rows; 95 % interval, seeds and rows drawn anew",
       title=f"On test the search's winner {verdict} the reference")
plots.show(figure, "Bars of test accuracy: "
           + ", ".join(f"{name} {x.mean():.1%}" for name, x in on_test.items()) + ".")
fell = study.best_value - repeated.mean()
spread = by_seed.std(ddof=1)
against = interval(on_test["reference"], on_test["counting words"])
won = on_test["the search's winner"]
ends = interval(won)
plots.finding(
    f"The search reported {study.best_value:.1%} for its winner. Three fresh seeds of the same "
    f"settings, chosen by nobody, have {repeated.mean():.1%} on the same rows: "
    f"{100 * abs(fell):.1f} points {'lower' if fell > 0 else 'higher'}, "
    f"{'more' if abs(fell) > spread else 'no more'} than the standard deviation of equal runs, "
    f"{100 * spread:.1f}. This is one choice among {len(study.trials)} on {hits.shape[1]} rows; "
    f"the {100 * optimism:.1f} points of the curve are a mean over choices among {counts[-1]} on "
    f"{hits.shape[1] // 2}. On test it {verdict} the reference ({100 * low:+.1f} to "
    f"{100 * high:+.1f} points). Reference minus counting words: {100 * against[0]:+.1f} to "
    f"{100 * against[1]:+.1f}. The report: {won.mean():.1%} on test "
    f"({ends[0]:.0%} to {ends[1]:.0%}), {len(again)} seeds, best of {len(study.trials)} trials.")

# %% [markdown]
# Report a winner's *test* number with its interval, and how many trials you made; its validation
# number is not a result. Compare within one split only: the test rows are other rows. On `mini` our
# reference was tried out beforehand, so the search had little to win; from a poor start it can
# bring much more.
#
# ### Exercise 4.5 A colleague's report ●●● 10 minutes
#
# `runs` is a list of dictionaries with `setting`, `seed`, `validation` and `test`. The colleague's
# code has two mistakes. Mend it: choose the setting with the highest *mean* validation score over
# its seeds, and return `(setting, its mean test score over all its seeds)`.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e4_5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def honest_report(runs):
    # The colleague's version:
    # best = max(runs, key=lambda run: run["test"]); return best["setting"], best["test"]
    ### BEGIN SOLUTION
    def mean(setting, split):
        return (sum(r[split] for r in runs if r["setting"] == setting)
                / sum(r["setting"] == setting for r in runs))

    best = max(sorted({run["setting"] for run in runs}),
               key=lambda setting: mean(setting, "validation"))
    return best, mean(best, "test")
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which split may choose? And is the best of several seeds a property of the setting, or of the
# luck?
# </details>
# <details><summary>Hint 2</summary>
#
# Collect the validation scores by setting, take means, take the setting with the highest. Then take
# the mean of *that* setting's test scores.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t4_5", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
steady = [{"setting": "a", "seed": s, "validation": v, "test": t}
          for s, v, t in ((0, 0.84, 0.80), (1, 0.86, 0.82), (2, 0.85, 0.84))]
lucky_runs = [{"setting": "b", "seed": s, "validation": v, "test": t}
              for s, v, t in ((0, 0.9, 0.79), (1, 0.7, 0.78), (2, 0.71, 0.95))]
extra = {"setting": "b", "seed": 3, "validation": 0.72, "test": 0.7}
one_bad, one_awful = ([{"setting": "c", "seed": s, "validation": v, "test": 0.8}
                       for s, v in enumerate(scores)]
                      for scores in ((0.6, 0.99, 0.99), (0.2, 0.9, 0.9)))
check("4.5 A colleague's report",
      ("neither test nor a lucky seed chooses",
       lambda: honest_report(steady + lucky_runs)[0] == "a",
       "choose by validation, and by the mean over a setting's seeds"),
      ("it reports the mean test score of the chosen setting",
       lambda: math.isclose(honest_report(steady + lucky_runs)[1], 0.82),
       "0.84 is the best seed's, 0.85 a validation score, 0.83 the mean of all settings; "
       "report the mean of the chosen setting's test scores"),
      ("unequal numbers of seeds", lambda: honest_report([*steady, *lucky_runs, extra])[0] == "a",
       "a sum favours the setting with more runs; divide by its own number"),
      ("the mean decides, not the worst seed or the middle one",
       lambda: (honest_report(steady + one_bad)[0], honest_report(steady + one_awful)[0])
       == ("c", "a"), "add up a setting's scores and divide: 0.6, 0.99 and 0.99 make 0.86"));
### BEGIN HIDDEN TESTS
assert (honest_report(lucky_runs + steady) == honest_report(steady + lucky_runs)
        and honest_report(steady[:1]) == ("a", 0.80))
### END HIDDEN TESTS

# %% [markdown]
# ### Question 4.6 Runs or rows? ●●○ 4 minutes, in writing
#
# Suppose one setting reaches 83 % and another 80 %, one run each, judged on the same 200 validation
# rows, and you have the time for ten more runs or for labelling 800 more validation rows. What does
# each of the two tell you that the other can't?

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w4_6", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in one or two sentences.*

# %% [markdown] tags=["solution"]
# Runs with other seeds show how far equal trainings lie apart, so whether one setting wins on the
# mean or had a lucky run. More rows show how the two trained models do on other texts: the noise of
# the rows shrinks with the root of their number. Neither replaces the other, and neither says what
# other texts to *train* on would have given.
#
# Two things must be in it: seeds are the chance of training, rows the chance of the texts to judge
# on, and neither replaces the other.

# %% [markdown]
# ### Question 4.7 Change one setting yourself ●○○ 6 minutes, in writing
#
# Section 4 didn't try these. Choose *one* and put it into `mine`:
#
# * batches of 2: `{"batch_size": 2}`
# * texts cut even shorter: `{"max_length": SHORT - 2}`
# * all blocks frozen: `{"frozen": BLOCKS}`
# * ten times the rate: `{"rate": 10 * RATE}`
#
# Write down how many points you expect, then run the cell. What did you find, does the interval
# leave out 0, and why did it come out so?

# %%
mine = {}  # such as {"batch_size": 2}; an empty one is the reference itself
found = three_seeds(**mine)
low, high = 100 * interval(found, hits)
print(f"{mine or 'no change'}: {100 * (found.mean() - hits.mean()):+.1f} points "
      f"({low:+.1f} to {high:+.1f})")

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w4_7", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# For example: with ten times the rate the interval lies far below 0, because the steps are so large
# that the loss no longer comes down: the range test of section 2 breaks close by. With batches of
# 2 the interval holds 0: four times as many steps learn no more from the same texts in the same
# number of epochs, or too little for three seeds to show.
#
# Two things must be in it: the difference with its interval, and a reason that says how much, or
# from what, the model could learn.

# %% [markdown]
# ## What to remember
#
# 1. First a length that cuts few texts, enough epochs, the rate: on `mini` all counted. Measure
#    yours.
# 2. A range test shows in one run where training breaks; start at a tenth of its lowest point.
# 3. Equal runs differ. Give every setting several seeds, and draw seeds *and* rows for an interval.
# 4. Give the warm-up as a share of the run; a fixed number may be longer than the run.
# 5. The best of many scores is too good. Repeat the winner, then open the test split, once.
#
# ## Take this with you
#
# A search over the one setting that deserves it, then its winner with fresh seeds on a test split.
# It needs `pip install transformers datasets accelerate torch optuna` and, the first time, a
# network. `model_init` makes a *new* model for every run.
#
# ```python
# from datasets import Dataset
# from transformers import (AutoModelForSequenceClassification, AutoTokenizer, Trainer,
#                           TrainingArguments)
#
# texts = ["Where is my parcel?", "I want my money back", "Has it shipped?", "Refund me, please",
#          "Any news of my order?", "You owe me a refund", "Is it on its way?", "Pay me back",
#          "Still no delivery?", "Return my payment", "When does it arrive?", "Cash back, now"]
# name = "distilbert/distilbert-base-uncased"
# tokenizer = AutoTokenizer.from_pretrained(name)
# rows = Dataset.from_dict({"text": texts, "label": [0, 1] * 6})  # yours: dozens for each label
# rows = rows.map(lambda batch: tokenizer(batch["text"], truncation=True), batched=True)
# train, validation, test = (rows.select(range(start, start + 4)) for start in (0, 4, 8))
#
# def trainer(**settings):
#     args = TrainingArguments("search", num_train_epochs=4, per_device_train_batch_size=8,
#                              warmup_steps=0.1, save_strategy="no", report_to="none", **settings)
#     return Trainer(args=args, processing_class=tokenizer, train_dataset=train,
#                    compute_metrics=lambda p: {"accuracy": (p[0].argmax(1) == p[1]).mean().item()},
#                    eval_dataset=validation, model_init=lambda: AutoModelForSequenceClassification
#                    .from_pretrained(name, num_labels=2, use_safetensors=True))
#
# best = trainer().hyperparameter_search(  # 4 trials are all random and share a seed: make dozens
#     backend="optuna", n_trials=4, direction="maximize",
#     hp_space=lambda t: {"learning_rate": t.suggest_float("learning_rate", 1e-5, 3e-4, log=True)},
#     compute_objective=lambda metrics: metrics["eval_accuracy"])
# print(best.hyperparameters, "validation accuracy, too good because chosen:", best.objective)
# for seed in (1, 2, 3):  # fresh: the search used the default, 42
#     again = trainer(seed=seed, **best.hyperparameters)
#     again.train()
#     print("seed", seed, "test accuracy", again.evaluate(test)["eval_accuracy"])
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | `TypeError: … unexpected keyword argument 'warmup_ratio'` | the tutorial is older than the library | `warmup_steps=0.1` |
# | all texts get one class, and the loss doesn't move | the rate is past the break, or this seed failed | range test; another seed; a smaller rate |
# | `RuntimeError: To use hyperparameter search, you need to pass your model through a model_init function` | the Trainer got a ready model | `Trainer(model_init=…)` |
#
# ## Further reading
#
# * [Devlin et al. 2019](https://arxiv.org/abs/1810.04805), *BERT*, appendix A.3: the grid.
# * [Smith 2017](https://arxiv.org/abs/1506.01186), *Cyclical learning rates for training neural
#   networks*: the range test.
# * [Mosbach, Andriushchenko, Klakow 2021](https://arxiv.org/abs/2006.04884), *On the stability of
#   fine-tuning BERT*. [Dodge et al. 2020](https://arxiv.org/abs/2002.06305), *Fine-tuning
#   pretrained language models: weight initializations, data orders, and early stopping*.
# * [Bergstra and Bengio 2012](https://jmlr.org/papers/v13/bergstra12a.html), *Random search for
#   hyper-parameter optimization*. [Akiba et al. 2019](https://arxiv.org/abs/1907.10902), *Optuna*.
#
# Next: [05, fine-tuning with care](05_training.ipynb), or, if you come from there,
# [06, how good it really is](06_evaluation.ipynb).

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"{train.cache_info().currsize} trainings; "
           f"beyond chance: {listed('costs')} points; "
           f"equal runs {by_seed.min():.0%} to {by_seed.max():.0%}, "
           f"counting words {counted['validation'].mean():.0%}; "
           f"the best of {counts[-1]} looks {100 * optimism:.1f} points too good")
