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
# # What does the customer want? Intents, and what lies outside them
#
# A support desk gets messages all day. Most ask for one of a few dozen things, some for nothing
# that the desk can give. Here you sort them by [intent](glossary.md#intent), the thing that the
# customer wants, and build a desk that answers, asks back, or hands over to a person. Then the
# messages get longer than the model can read. On `mini` the messages go to a shop; on `cpu` and
# `gpu` to an assistant that knows many more intents, from banking to the weather
# ([CLINC150](https://arxiv.org/abs/1909.02027)). The long letters go to the shop on every profile.
#
# **After this lesson you can**
#
# 1. choose between counting words, frozen vectors and fine-tuning by the number of labels you have;
# 2. score how far a message lies outside what you trained for, and act on it at a stated price;
# 3. read a text of more than 512 tokens, and say what each way of doing so costs.
#
# **What it costs**
#
# {{cost}}
#
# ## Setup

# %% tags=["setup"]
# {{setup}}

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": gpu where CUDA and the Hub are there, else mini

# %%
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. What do customers write?
#
# The task `requests` has short messages, each with one intent. One class is different:
# [out of scope](glossary.md#out-of-scope), messages that want nothing on the list. It takes no part
# in training here; it comes back in section 4. Call it −1. The code calls the intents `wishes`.

# %%
import numpy as np

from course_utils.data import TASKS, load_task

requests = load_task("requests", lab.profile)
names = requests["train"].features["label"].names
wishes = [name for name in names if name != TASKS["requests"].out_of_scope(names)]


def messages(split):
    """Texts, and for each the number of its intent, -1 where it is out of scope."""
    number = {name: k for k, name in enumerate(wishes)}
    labels = [number.get(names[label], -1) for label in requests[split]["label"]]
    return requests[split]["text"][:], np.array(labels)


# %%
texts, labels = messages("train")
learn, wish = [t for t, k in zip(texts, labels) if k >= 0], labels[labels >= 0]
asked, wanted = messages("validation")
inside = wanted >= 0
for i in (0, 1, int(np.flatnonzero(labels < 0)[0])):
    print(f"[{wishes[labels[i]] if labels[i] >= 0 else 'out of scope'}] {texts[i]}")
print(f"{len(wishes)} intents, {len(learn):,} messages to learn them from; to judge on: "
      f"{inside.sum()} with an intent, {(~inside).sum()} without")

# %% [markdown]
# In the course's data validation is *one* writer, test are two, and none of them wrote a training
# message. So on `mini` every interval below is about the messages of these people. Another writer
# can move the numbers more: the [data's card](../data/requests/README.md) has one counter of words
# that is right for 0.60 of the one and for 0.72 of the two. Choose your thresholds on many
# customers. (CLINC150 doesn't say who wrote what.)
#
# ## 2. Which of three ways, for how many labels?
#
# You know the two ends from lessons [00](00_start.ipynb) and [05](05_training.ipynb): counting
# words, and fine-tuning. Between them lies a third way, [feature
# extraction](glossary.md#feature-extraction). The pretrained layers stay as they are and turn each
# text into a vector; only a [logistic regression](glossary.md#logistic-regression) on these *frozen
# vectors* learns.

# %%
from course_utils import plots

plots.picture("three-ways")

# %% [markdown]
# One function reads texts with either model. A model with a head gives logits; the bare model gives
# one vector per token, and their mean over the real tokens ([mean
# pooling](glossary.md#mean-pooling)) is the vector of the text.

# %%
import math

import torch
from transformers import (AutoModel, AutoModelForSequenceClassification, AutoTokenizer, Trainer,
                          TrainingArguments, set_seed, utils)

utils.logging.set_verbosity_error()
tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)


@torch.no_grad()
def read(model, texts, batch_size=32):
    """Logits, or frozen vectors, of short texts (texts, width)."""
    order, out = np.argsort([len(text) for text in texts]), []
    for rows in np.array_split(order, math.ceil(len(texts) / batch_size)):  # similar lengths
        inputs = tokenizer([texts[i] for i in rows], truncation=True, max_length=64, padding=True,
                           return_tensors="pt").to(model.device)
        answer, mask = model.eval()(**inputs), inputs["attention_mask"].unsqueeze(-1)
        out.append(answer.logits if "logits" in answer else
                   (answer.last_hidden_state * mask).sum(1) / mask.sum(1))
    return torch.cat(out).float().cpu().numpy()[np.argsort(order)]


# %% [markdown]
# Fine-tuning as in lesson 05, for any list of classes. Few rows need more epochs, or training ends
# before it has begun.

# %%
from transformers.trainer_callback import PrinterCallback

from course_utils.timing import Stopwatch, estimate_training


def fine_tune(texts, labels, names, epochs=4):
    set_seed(lab.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        lab.checkpoint, revision=lab.revision, use_safetensors=True, num_labels=len(names),
        id2label=dict(enumerate(names)))
    settings = TrainingArguments(
        str(lab.workdir / "desk"), num_train_epochs=epochs, seed=lab.seed, warmup_steps=0.1,
        learning_rate=3 * max(lab.profile.learning_rate, 5e-5),  # gpu's own is for many rows
        per_device_train_batch_size=lab.profile.batch_size,
        train_sampling_strategy="group_by_length", save_strategy="no", logging_strategy="no",
        report_to="none", disable_tqdm=True, **lab.precision_arguments)
    rows = [{**tokenizer(text, truncation=True, max_length=64), "labels": int(label)}
            for text, label in zip(texts, labels, strict=True)]
    trainer = Trainer(model, settings, train_dataset=rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    if lab.profile.source == "hub":  # a large model: say how long it will take
        print(f"{len(rows):,} messages, {epochs} epochs.", end=" ")
        estimate_training(trainer)
    trainer.train()
    return trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)


# %% [markdown]
# Counting must not lose by a setting: `min_df=2` of lesson 05 drops each word met once, and with
# five labels an intent that is most of them. So all words are kept here, and
# [cross-validation](glossary.md#cross-validation) on the very rows to learn from, a writer's rows
# together, chooses what is counted. *Counting words* stays its name, even where runs of letters are
# counted.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

KINDS = {"words": {}, "words and pairs": {"ngram_range": (1, 2)},
         "runs of 2 to 5 letters": {"analyzer": "char_wb", "ngram_range": (2, 5)}}


def best_counter(texts, labels, writers):
    """The counter that cross-validation on these rows prefers, fitted, and its kind."""
    counters = {kind: make_pipeline(
        TfidfVectorizer(sublinear_tf=True, max_features=30_000, **how),  # a bound for large data
        LogisticRegression(C=10, max_iter=1000)) for kind, how in KINDS.items()}
    step = math.ceil(len(texts) / 2000)  # some 2,000 rows are enough to choose by
    right = {kind: cross_val_score(counter, texts[::step], labels[::step],
                                   groups=writers[::step], cv=GroupKFold(3)).mean()
             for kind, counter in counters.items()}
    kind = max(right, key=right.get)  # chosen on train
    return counters[kind].fit(texts, labels), kind


# %% [markdown]
# Now all three on the same rows: 5, 10 and 25 labels an intent, then all; fine-tuning, the slow
# one, skips a count that is close to all. What the last round leaves behind (`counter`,
# `regression`, `model`) is used in the rest of the lesson.

# %%
from sklearn.preprocessing import StandardScaler

from course_utils.common import balanced_rows

with Stopwatch() as reading:
    body = AutoModel.from_pretrained(lab.checkpoint, revision=lab.revision, use_safetensors=True)
    frozen = {name: read(body.to(lab.device), part)
              for name, part in (("learn", learn), ("asked", asked))}
most = int(np.bincount(wish).max())
counts = [n for n in (5, 10, 25) if n < 0.75 * most] + [most]
slow = [n for n in counts if n < most / 2] + [most]

# %%
right, logits, counted = {}, {}, {}
writers = np.array(requests["train"]["writer"] if "writer" in requests["train"].column_names
                   else range(len(texts)))[labels >= 0]
for count in counts:
    rows = balanced_rows(wish, count)
    some = [learn[i] for i in rows]
    counter, counted[count] = best_counter(some, wish[rows], writers[rows])
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    regression.fit(frozen["learn"][rows], wish[rows])
    logits = {"counting words": counter.decision_function(asked),
              "frozen vectors": regression.decision_function(frozen["asked"])}
    if count in slow:
        with Stopwatch() as training:
            model = fine_tune(some, wish[rows], wishes, epochs=3 + 35 // count)
        logits["fine-tuned"] = read(model, asked)
    for name, z in logits.items():
        right[name, count] = (z.argmax(1) == wanted)[inside].astype(float)

# %%
from course_utils.metrics import bootstrap_interval

figure, ax = plots.new_figure(width=8, height=3.8)
for number, name in enumerate(logits):
    seen = slow if name == "fine-tuned" else counts
    band = np.array([bootstrap_interval(np.mean, right[name, n]) for n in seen]).T
    plots.curve(ax, seen, [right[name, n].mean() for n in seen], name, number, *band)
ax.set_xscale("log")
ax.set_xticks(counts, counts)
ax.minorticks_off()
best = {n: max(logits, key=lambda name: right[name, n].mean()) for n in (counts[0], most)}
level = {n: [name for name in logits if name != top and bootstrap_interval(
    lambda a, b: a.mean() - b.mean(), right[top, n], right[name, n])[0] <= 0]
    for n, top in best.items()}
ax.set(xlabel=f"labels an intent ({len(wishes)} intents)", ylabel="right, on validation messages",
       title="\n".join(
           f"{n} labels: {top} {right[top, n].mean():.0%}"
           + (f"; {' and '.join(level[n])} may equal it" if level[n] else ", ahead of the others")
           for n, top in best.items()))
ax.legend()
plots.show(figure, "Accuracy against labels an intent, with 95 % intervals. " + " ".join(
    f"{name}: " + ", ".join(f"{n} labels {right[name, n].mean():.0%}" for n in counts
                         if (name, n) in right) + "." for name in logits))

# %%
def difference(a, b):
    return a.mean() - b.mean()


def ahead(a, b, unit="points", scale=100, digits=0):
    """How far a lies ahead of b on the same rows: 95 % interval, and whether beyond chance."""
    low, high = (scale * end for end in bootstrap_interval(difference, a, b))
    gap, low, high = (f"{value:+.{digits}f}" for value in (scale * difference(a, b), low, high))
    return (f"{gap} {unit} [{low}, {high}], "
            + ("beyond chance" if float(low) > 0 or float(high) < 0 else "may be chance"))


plots.finding("; ".join(
    f"with {n} labels frozen vectors against counting words "
    f"{ahead(right['frozen vectors', n], right['counting words', n])}, fine-tuning against frozen "
    f"vectors {ahead(right['fine-tuned', n], right['frozen vectors', n])}"
    for n in dict.fromkeys((counts[0], most)))
    + ". For “counting words” cross-validation chose to count " + "; ".join(
        f"{kind} (at {', '.join(str(n) for n in counted if counted[n] == kind)} labels an intent)"
        for kind in dict.fromkeys(counted.values()))
    + ". Reading all vectors once took "
    f"{reading.seconds:.0f} s, the last fine-tuning {training.seconds:.0f} s.")

# %% tags=["assert"]
assert difference(right["fine-tuned", most], right["counting words", most]) > 0
assert all(right[name, most].mean() >= right[name, counts[0]].mean() for name in logits)

# %% [markdown]
# Frozen vectors add what pretraining has learned; fine-tuning adapts it to your intents, and needs
# labels and time for that. How far frozen vectors get depends on the model: the one of the profile
# `mini` began as a model that compares whole sentences ([its
# card](../data/models/mini-distilbert/README.md)). The published DistilBERT didn't: on six emotions
# its frozen vectors are right for 0.61, fine-tuned it is for 0.92 (quoted from the book of
# Tunstall, von Werra and Wolf, chapter 2).
#
# The bands are over the rows judged. Another seed, or another draw of the few labels, would move
# each point as well (lesson [04](04_hyperparameters.ipynb)). And fine-tuning has one learning rate
# and one rule for its epochs here; with few labels it takes fewer steps than with all, so a longer
# training may lift the left end of its curve.
#
# ## 3. Which intents does it mix up?
#
# One accuracy hides as many stories as there are intents. Look at the weakest classes, then read
# the pairs that are mixed up most. Below each error is the training message *of the wrong intent*
# whose frozen vector lies nearest: the text that may have misled it. Mind the `rows` of a class:
# where they are few, one message moves its recall far, and the order of the classes is partly
# chance.

# %%
from sklearn.metrics import classification_report

truth, said = wanted[inside], logits["fine-tuned"][inside].argmax(1)
report = classification_report(truth, said, labels=range(len(wishes)), target_names=wishes,
                               output_dict=True, zero_division=0)
for name in sorted(wishes, key=lambda name: report[name]["f1-score"])[:6]:
    print(f"{name:22} " + "  ".join(f"{what} {report[name][what]:.2f}"
                                    for what in ("precision", "recall", "f1-score"))
          + f"  rows {report[name]['support']:.0f}")

# %%
from collections import Counter

from sklearn.preprocessing import normalize

unit = {name: normalize(vectors) for name, vectors in frozen.items()}
errors = np.flatnonzero(inside)[said != truth]
guess = logits["fine-tuned"].argmax(1)
pairs = Counter(tuple(sorted((int(wanted[i]), int(guess[i])))) for i in errors)
for pair, count in pairs.most_common(3):
    print(f"\n{' and '.join(wishes[k] for k in pair)}: {count} errors")
    for i in [i for i in errors if {wanted[i], guess[i]} == set(pair)][:2]:
        same = np.flatnonzero(wish == guess[i])
        near = same[(unit["learn"][same] @ unit["asked"][i]).argmax()]
        print(f"  is {wishes[wanted[i]]}, read as {wishes[guess[i]]}: {asked[i]}\n"
              f"     nearest of {wishes[guess[i]]}: {learn[near]}")

# %%
second = np.argsort(-logits["fine-tuned"], axis=1)[:, 1]
saved = np.mean(second[errors] == wanted[errors])
shown = [count for _, count in pairs.most_common(3)]
ties = sum(count == shown[-1] for count in pairs.values()) - shown.count(shown[-1])
plots.finding(
    f"The three pairs hold {sum(shown)} of {len(errors)} errors (pairs not shown that have "
    f"as many as the third: {ties}). In {saved:.0%} of the errors the right "
    f"intent is the model's second guess: one guess is right for {np.mean(said == truth):.0%}, "
    f"one of two for {np.mean(said == truth) + saved * len(errors) / len(truth):.0%}.")

# %% tags=["assert"]
assert saved > 2 / len(wishes)

# %% [markdown]
# Read such a pair as its customer would. Some messages hold both intents, or the border between the
# two labels was never written down. There a sharper rule for the labels helps, or one label in
# place of two; look first at how many errors such pairs hold. And where the second guess is right
# so often, asking "this or that?" is worth more than guessing.
#
# ## 4. Does it notice what lies outside?
#
# In [lesson 00](00_start.ipynb) the model sorted a message that wants nothing on the list, because
# a [softmax](glossary.md#softmax) always sums to 1. So give each message a score that says how
# surely it lies inside. Three are common, all made from the logits:
#
# * the **largest probability** after the softmax;
# * the [**margin**](glossary.md#margin): the largest probability minus the second;
# * the [**energy**](glossary.md#energy), ln Σ exp(logit). Softmax forgets how high the logits are
#   altogether; this keeps it. ([Liu et al. 2020](https://arxiv.org/abs/2010.03759) put a minus in
#   front.)

# %%
plots.picture("three-messages")

# %%
from scipy.special import logsumexp, softmax


def scores(z):
    """Three scores of each message, high where it lies inside, from logits (messages, intents)."""
    p = np.sort(softmax(z, axis=1), axis=1)
    return {"largest probability": p[:, -1], "margin": p[:, -1] - p[:, -2],
            "energy": logsumexp(z, axis=1)}


# %% [markdown]
# How good is a score, before any threshold? [AUC](glossary.md#auc) says how often a message with an
# intent gets a higher score than one without. (The logits of the two logistic regressions are what
# scikit-learn calls their `decision_function`.)

# %%
from sklearn.metrics import roc_auc_score

score = {(name, how): values for name, z in logits.items() for how, values in scores(z).items()}
auc = {key: roc_auc_score(inside, values) for key, values in score.items()}
for name in logits:
    print(f"{name:15}", "  ".join(f"{how} {auc[name, how]:.3f}" for how in scores(logits[name])))

# %%
def auc_gap(first, second):
    gap = bootstrap_interval(lambda y, a, b: roc_auc_score(y, a) - roc_auc_score(y, b),
                             inside, score[first], score[second], resamples=200)
    return (f"{auc[first] - auc[second]:+.2f} [{gap[0]:+.2f}, {gap[1]:+.2f}], "
            + ("beyond chance" if gap[0] > 0 or gap[1] < 0 else "may be chance"))


top_of = {name: max((key for key in auc if key[0] == name), key=auc.get) for name in logits}
tuned = top_of["fine-tuned"]
energy, largest = (("fine-tuned", how) for how in ("energy", "largest probability"))
plots.finding(
    f"The fine-tuned model's best score is its {tuned[1]}, AUC {auc[tuned]:.2f}. Its "
    f"energy against its largest probability: {auc_gap(energy, largest)}. Its best against the "
    f"best of counting words: {auc_gap(tuned, top_of['counting words'])}.")

# %% tags=["assert"]
assert auc[tuned] > 0.65 and auc[top_of["counting words"]] > 0.5

# %% [markdown]
# Look back at the table: a method that separates the intents well may still be poor at noticing
# what lies outside. Read the messages without an intent that look most like one to the fine-tuned
# model, by its best score; beside each stand its first guess and the largest probability:

# %%
for i in sorted(np.flatnonzero(~inside), key=lambda i: -score[tuned][i])[:4]:
    print(f"{wishes[guess[i]]:22} {softmax(logits['fine-tuned'][i]).max():4.0%}  {asked[i]}")

# %% [markdown]
# ### Exercise 7.1 The margin ●○○ 6 minutes
#
# Write the margin yourself, without scikit-learn or SciPy: `logits`, a list or an array, has one
# row per message, and the result one number per message, the largest probability minus the second
# largest.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e7_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def margin(logits):
    ### BEGIN SOLUTION
    logits = np.asarray(logits, dtype=float)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    ordered = np.sort(powers / powers.sum(axis=1, keepdims=True), axis=1)
    return ordered[:, -1] - ordered[:, -2]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Make probabilities of each row first: `np.exp`, divided by its sum along `axis=1`. The largest
# logit taken off beforehand changes nothing, and no number overflows.
# </details>
# <details><summary>Hint 2</summary>
#
# `np.sort(p, axis=1)` gives a sorted copy; the last two columns are the largest and the second.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t7_1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from course_utils.exercises import check

z_ = np.log([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45], [0.05, 0.15, 0.8]])


def keeps_its_input():
    given = np.array([[3.0, 1.0, 2.0]])
    margin(given)
    return given.tolist() == [[3.0, 1.0, 2.0]]


check("7.1 The margin",
      ("one number for each message", lambda: np.shape(margin(z_)) == (3,),
       "the result has one number per row of logits"),
      ("0.7 against 0.2 is 0.5", lambda: np.isclose(margin(z_)[0], 0.5),
       "take the largest minus the second largest *probability*, not logit, and not the smallest"),
      ("two equal wishes: 0", lambda: np.isclose(margin(z_)[1], 0),
       "sort each row by itself: the second largest may equal the largest"),
      ("each row by itself", lambda: np.allclose(margin(z_[::-1]), margin(z_)[::-1]),
       "probabilities sum to 1 along axis=1, within a row"),
      ("a number added to all logits changes nothing",
       lambda: np.allclose(margin(z_ + 7), [0.5, 0, 0.65]), "is there a softmax? It removes it"),
      ("large logits don't overflow", lambda: np.isclose(margin([[2000.0, 0.0, 0.0]])[0], 1),
       "take each row's largest logit off before np.exp"),
      ("its input stays as it was", keeps_its_input, "np.sort, not .sort(); no -= on the input"));
### BEGIN HIDDEN TESTS
assert np.allclose(margin(np.log([[1.0, 3.0], [9.0, 1.0]])), [0.5, 0.8]) and keeps_its_input()
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Answer, ask back, or hand over?
#
# A score becomes useful by a price. Say what each end costs in minutes of somebody's time:
#
# | the desk … | and it turns out … | minutes |
# |---|---|---|
# | answers by itself | right | 0 |
# | answers by itself | wrong, or there was nothing to answer | 5 |
# | asks back: "this or that?" | one of the two was meant | 1 |
# | asks back: "this or that?" | neither was; a person takes over | 1 + 3 |
# | hands over to a person | | 3 |
#
# Two [thresholds](glossary.md#threshold) make a desk: hand over below the lower, answer from the
# upper on, ask back between them. Both are chosen on validation, for each way and each score by the
# same rule: the lowest bill.

# %%
WRONG, ASK, HAND = 5, 1, 3  # minutes; change them and run from here
ACTIONS = ("answer", "ask back", "hand over")


def minutes(z, wanted):
    """What each message costs, by action (3, messages)."""
    guesses = np.argsort(-z, axis=1)[:, :2]
    found = (guesses == wanted[:, None]).any(axis=1)
    return np.array([np.where(guesses[:, 0] == wanted, 0, WRONG),
                     np.where(found, ASK, ASK + HAND), np.full(len(z), HAND)], dtype=float)


def choose(score, cost):
    """The lowest mean bill on these rows, and the two thresholds that give it."""
    rows = np.argsort(score)
    answer, ask, hand = (np.append(0, np.cumsum(c[rows])) for c in cost)
    # hand over the i lowest, ask back from there to place j, answer the rest: total[i, j]
    total = hand[:, None] + (ask - ask[:, None]) + (answer[-1] - answer)
    total[np.tril_indices(len(total), -1)] = np.inf  # j comes after i
    edges = np.append(score[rows], np.inf)
    tied = np.append(False, edges[1:] == edges[:-1])  # no threshold parts equal scores
    total[tied] = total[:, tied] = np.inf
    i, j = np.unravel_index(total.argmin(), total.shape)
    return total[i, j] / len(score), edges[i], edges[j]


# %%
desk = {}
for name, z in logits.items():
    chosen = {how: choose(score[name, how], minutes(z, wanted)) for how in scores(z)}
    print(f"{name:15}", "  ".join(f"{how} {bill:.2f}" for how, (bill, *_) in chosen.items()))
    how = min(chosen, key=lambda how: chosen[how][0])
    desk[name] = how, *chosen[how]
mine = min(desk, key=lambda name: desk[name][1])  # the cheapest


def act(name, z):
    """The action for each message: 0 answer, 1 ask back, 2 hand over."""
    how, _, low, high = desk[name]
    return np.where(scores(z)[how] >= high, 0, np.where(scores(z)[how] >= low, 1, 2))


# %% tags=["assert"]
ties_ = choose(np.array([0.2, 0.5, 0.5, 0.5, 0.9]),
               np.array([[5, 5, 5, 0, 0], [4, 4, 4, 1, 1], [3, 3, 3, 3, 3.0]]))
assert np.isclose(ties_[0], 2.4)  # 1.8 would part the three equal scores, as no threshold can
for name, z in logits.items():  # the table of sums agrees with acting message by message
    bill = minutes(z, wanted)[act(name, z), np.arange(len(z))].mean()
    assert np.isclose(bill, desk[name][1])
    assert bill <= min(HAND, minutes(z, wanted)[0].mean()) + 1e-9

# %%
bills = {name: minutes(z, wanted)[act(name, z), np.arange(len(z))] for name, z in logits.items()}
other = sorted(bills, key=lambda name: bills[name].mean())[1]
ends = bootstrap_interval(np.mean, bills[other] - bills[mine])
plots.finding(
    f"Cheapest on validation: {mine}, {bills[mine].mean():.2f} minutes a message. Next: {other}, "
    f"{bills[other].mean():.2f}; the difference [{ends[0]:+.2f}, {ends[1]:+.2f}] is "
    + ("beyond chance." if ends[0] > 0 else "no more than chance gives: between these two, more "
       "validation messages would have to decide. Until then the rule says: the cheaper one."))

# %% [markdown]
# Left, what the cheapest of the three desks does with the messages. Right, the upper threshold set
# free: let a desk answer only the surest share of all messages (its
# [coverage](glossary.md#coverage)), and see how many of these answers are right. A message without
# an intent can't be answered right: with a larger share of them both pictures, the bill and the
# best thresholds change. Choose on messages in the mix that your desk gets.

# %%
figure, (left, right_ax) = plots.new_figure(columns=2, width=10, height=3.8)
actions, hit = act(mine, logits[mine]), logits[mine].argmax(1) == wanted
kinds = {"first guess right": hit, "first guess wrong": inside & ~hit, "out of scope": ~inside}
table = np.array([[np.sum(rows & (actions == a)) for a in range(3)] for rows in kinds.values()])
for k, kind in enumerate(kinds):
    left.bar(ACTIONS, table[k], bottom=table[:k].sum(0), label=kind, edgecolor="black",
             color=("white", plots.COLOURS[1], plots.COLOURS[0])[k], hatch=("", "//", "xx")[k])
left.set(ylabel="messages",
         title=f"{mine}: {table[0, 0]} of {table[:, 0].sum()} answers right")
left.legend()
for number, (name, z) in enumerate(logits.items()):
    order = np.argsort(-score[name, desk[name][0]])
    good = np.cumsum((z.argmax(1) == wanted)[order]) / np.arange(1, len(order) + 1)
    start = len(order) // 20
    plots.curve(right_ax, (np.arange(len(order)) + 1)[start:] / len(order), good[start:],
                f"{name}, by {desk[name][0]}", number, marker="")
half = {name: float(np.mean((z.argmax(1) == wanted)[
    np.argsort(-score[name, desk[name][0]])[:len(z) // 2]])) for name, z in logits.items()}
right_ax.set(xlabel="coverage: share of messages answered", ylabel="share of answers right",
             title=f"Answering the surer half: {half[mine]:.0%} right")
right_ax.legend(loc="lower left")
plots.show(figure, "Left: bars of messages by action. " + "; ".join(
    f"{ACTIONS[a]}: {table[0, a]} first guess right, {table[1, a]} wrong, {table[2, a]} outside"
    for a in range(3)) + ". Right: share right against coverage; at half coverage "
    + ", ".join(f"{name} {value:.0%}" for name, value in half.items()) + ".")

# %%
others = " and ".join(f"{name} {desk[name][1]:.2f}" for name in desk if name != mine)
fate = table[2]  # of the messages out of scope, by action
plots.finding(
    f"The cheapest desk is the one with {mine}. It goes by the {desk[mine][0]} and costs "
    f"{desk[mine][1]:.2f} minutes a message on validation ({others}); answering everything costs "
    f"{minutes(logits[mine], wanted)[0].mean():.2f}, handing everything over {HAND}. It answers "
    f"{np.mean(actions == 0):.0%}, asks back for {np.mean(actions == 1):.0%}, and hands over "
    f"{np.mean(actions == 2):.0%}. Of the {fate.sum()} messages out of scope it answers {fate[0]}, "
    f"asks back for {fate[1]} and hands over {fate[2]}. The desks' bills flatter, for the "
    "thresholds are the cheapest for these very messages; section 6 has the bill on others.")

# %% [markdown]
# ### Exercise 7.2 How much may it answer by itself? ●●○ 8 minutes
#
# Your boss sets no price, but a promise: "of what the desk answers by itself, at least 95 % must be
# right." Write a function that returns the largest coverage, a share from 0 to 1, that a threshold
# on `score` can reach at this accuracy. A threshold answers *every* message whose score is at least
# as high, so messages of equal score go together. Where no threshold keeps the promise: 0.0. Both
# `score` and `right` may be lists: `np.asarray` first.
#
# Mind what such a number is worth. The threshold is the one that looks best on these messages; on
# new ones the same threshold may miss the promise, so judge it there.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e7_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def coverage_at(score, right, target=0.95):
    ### BEGIN SOLUTION
    score, right = np.asarray(score), np.asarray(right, dtype=bool)
    answered = [score >= t for t in np.unique(score)]
    return max([float(a.mean()) for a in answered if right[a].mean() >= target], default=0.0)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Only thresholds equal to one of the scores make a difference: `np.unique(score)`. Which messages
# does each answer, and which share of those is right?
# </details>
# <details><summary>Hint 2</summary>
#
# For a threshold `t`: `answered = score >= t`, its coverage `answered.mean()`, its accuracy
# `right[answered].mean()`. Take the largest coverage of those that keep the promise; a stricter
# threshold may break it and a looser one keep it again.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t7_2", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
s_, r_ = [0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, True]


def leaves_order():
    given, known = np.array([0.2, 0.9, 0.5]), np.array([True, False, True])
    coverage_at(given, known, 0.6)
    return given.tolist() == [0.2, 0.9, 0.5] and known.tolist() == [True, False, True]


check("7.2 How much may it answer by itself?",
      ("all right: everything", lambda: coverage_at([0.3, 0.1], [True, True], 0.95) == 1.0,
       "where every answer is right, the coverage is 1.0"),
      ("two of five at 100 %", lambda: np.isclose(coverage_at(s_, r_, 1.0), 0.4),
       "the two surest are right, the third is not: 2 of 5"),
      ("it may recover: all five at 80 %", lambda: np.isclose(coverage_at(s_, r_, 0.8), 1.0),
       "two of three is too little, but four of five is enough: don't stop at the first failure"),
      ("the rows come in any order",
       lambda: np.isclose(coverage_at([0.1, 0.9, 0.5, 0.7], [False, True, False, True], 1), 0.5),
       "the surest are those with the highest score, wherever they stand"),
      ("equal scores go together",
       lambda: np.isclose(coverage_at([0.9, 0.9, 0.1], [True, False, False], 1.0), 0.0),
       "no threshold answers only one of two messages with the same score"),
      ("no threshold keeps the promise: 0.0",
       lambda: coverage_at([0.9, 0.1], [False, True], 0.9) == 0.0, "return 0.0, not an error"),
      ("its input stays as it was", leaves_order, "sort a copy"));
### BEGIN HIDDEN TESTS
assert np.isclose(coverage_at([0.1, 0.4, 0.4, 0.8], [False, True, True, True], 0.9), 0.75)
assert coverage_at([1, 2, 3, 4], [True, False, True, False], 0.5) == 1.0 and leaves_order()
### END HIDDEN TESTS

# %% [markdown]
# ## 6. A small support desk
#
# Now it is a program: the cheapest desk, with its score and its thresholds. Give it a message, and
# it acts. Compare with the drawing in section 4, which shows the ideal: does this desk answer about
# the parcel, ask back about the mugs, and hand over the rain? (CLINC150 has an intent for the
# weather and none for mugs: there it should answer about the rain and hand over the mugs.)

# %%
READ = {"counting words": lambda texts: counter.decision_function(texts),
        "frozen vectors": lambda texts: regression.decision_function(read(body, texts)),
        "fine-tuned": lambda texts: read(model, texts)}


def support(text):
    z = READ[mine]([text])
    first, second = np.argsort(-z[0])[:2]
    return (f"Answer for “{wishes[first]}”.",
            f"Do you mean “{wishes[first]}” or “{wishes[second]}”?",
            "A colleague will read this.")[act(mine, z)[0]]


tries = ["Where is my parcel?", "The parcel came, one mug missing and one broken.",
         "Is it going to rain in Vienna on Sunday?", "asdf asdf"]
stray = tries[1] if "weather" in wishes else tries[2]  # of no intent
for text in [*tries, *(asked[np.flatnonzero(actions == a)[0]] for a in set(actions.tolist()))]:
    print(f"{text}\n    {support(text)}")

# %% [markdown]
# Where it does something else, there are three reasons. The model itself may misread a
# message: a desk asks or answers with its best guesses, and no threshold makes them right. The
# score separates inside from outside only roughly (section 4). And a vain question costs just one
# minute more than handing over, so handing over pays only where both guesses are probably wrong.
#
# Everything is chosen: open the test split, once. Each way acts by its own score and thresholds,
# and each message has its bill. Read each number as minutes saved: with a plus our desk was cheaper
# than the rival, with a minus the rival was cheaper. The choice stays, even where a rival wins
# here: choosing again on test would spoil the test. A rival that wins beyond chance is a reason to
# collect new validation messages and to choose again on those.

# %%
new, new_wanted = messages("test")
new_logits = {name: logits_by(new) for name, logits_by in READ.items()}
bills = {name: minutes(z, new_wanted)[act(name, z), np.arange(len(z))]
         for name, z in new_logits.items()}
bills["answer everything"] = minutes(new_logits[mine], new_wanted)[0]
bills["hand everything over"] = np.full(len(new), float(HAND))

# %%
figure, ax = plots.new_figure(width=8, height=2.8)
plots.bars(ax, [f"{'desk: ' if name in desk else ''}{name}" for name in bills],
           [bill.mean() for bill in bills.values()],
           [bootstrap_interval(np.mean, bill) for bill in bills.values()])
ax.set(xlabel=f"minutes a message, {len(new)} test messages; 95 % interval",
       title=f"The desk with {mine} costs {bills[mine].mean():.2f}, answering everything "
             f"{bills['answer everything'].mean():.2f}")
plots.show(figure, "Bars of minutes a message on test: " + ", ".join(
    f"{name} {bill.mean():.2f}" for name, bill in bills.items()) + ".")

# %%
def saves(rival):
    return f"{ahead(bills[rival], bills[mine], 'minutes a message', 1, 2)}, against {rival}"


plots.finding(
    f"On test the desk with {mine} saves "
    + "; ".join(saves(rival) for rival in bills if rival != mine)
    + ". The intervals are over these messages, not over trainings: a lead that only just excludes "
    f"0 may be gone after the next one. Outside are {np.mean(new_wanted < 0):.0%} of these "
    f"messages and {np.mean(~inside):.0%} of those that chose the thresholds: the further apart, "
    f"the less those thresholds fit. Asked “{stray}” the desk says: *{support(stray)}*")

# %% tags=["assert"]
assert bootstrap_interval(difference, bills["hand everything over"], bills[mine])[0] > 0
assert bills[mine].mean() < bills["counting words"].mean() + 1e-9

# %% [markdown]
# ### Question 7.3 A class for what belongs nowhere ●●○ 10 minutes, in writing
#
# There is another way: make "out of scope" one more class and train on examples of it, which you
# have had since section 1. Write down what you expect: does this tell inside from outside better
# than the best score of section 4, and what does it do to the other intents? Then run this in a
# cell of its own (it trains about as long as the last round of section 2).
#
# ```python
# more = fine_tune(texts, np.where(labels < 0, len(wishes), labels), [*wishes, "out of scope"],
#                  epochs=3 + 35 // most)
# p = softmax(read(more, asked), axis=1)
# print("AUC", roc_auc_score(inside, 1 - p[:, -1]), "against", auc[tuned])
# print("right inside", np.mean(p.argmax(1)[inside] == wanted[inside]),
#       "against", np.mean(said == truth))
# ```
#
# What did you find, and for which messages would you not trust it?

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w7_3", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# The class learns from examples what the scores can only guess, so the AUC is usually higher, and
# the other intents hardly suffer, apart from a few messages that now fall into the new class. But
# it knows the outside only by its examples (on `mini` small talk, homework, other firms). A message
# that is outside in a way that nobody collected can still land in an intent, so keep the threshold
# too.
#
# Two things must be in it: both numbers, each beside its rival, and that the class covers only the
# kinds of outside that its examples have.

# %% [markdown]
# ### Exercise 7.4 Neutral, or only unsure? ●●○ 8 minutes
#
# Tools for sentiment often have a third answer, *neutral*. A common trick makes it from a model of
# two classes: "neutral" wherever the probability of *positive* lies in a band around one half.
# Write it: a list with `"pos"` from `high` on, `"neg"` up to `low`, `"neutral"` strictly between.
#
# Then think of "The film runs for 94 minutes." The band says how *unsure* the model is, as the
# scores above do; a sentence without any opinion may still get 0.9. A real third class needs texts
# that people call neutral (`num_labels=3`, and the rest as in `fine_tune`), and people who agree.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e7_4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def three_way(positive, low=0.4, high=0.6):
    ### BEGIN SOLUTION
    return ["pos" if p >= high else "neg" if p <= low else "neutral" for p in positive]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One answer for each probability, in the same order. Decide the two ends first; what is left is
# neutral.
# </details>
# <details><summary>Hint 2</summary>
#
# `"pos" if p >= high else "neg" if p <= low else "neutral"`, in a list over all `p`.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t7_4", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("7.4 Neutral, or only unsure?",
      ("a list with one answer for each text", lambda: isinstance(three_way([0.1, 0.9]), list)
       and len(three_way([0.1, 0.9, 0.5])) == 3, "return a list, as long as the input"),
      ("both ends", lambda: three_way([0.05, 0.97, 0.99]) == ["neg", "pos", "pos"],
       "near 1 is pos, near 0 is neg, each text in its place"),
      ("the middle is neutral", lambda: three_way([0.5, 0.45, 0.59]) == ["neutral"] * 3,
       "strictly between low and high lies neutral"),
      ("the borders belong to the ends",
       lambda: three_way([0.25, 0.75], 0.25, 0.75) == ["neg", "pos"],
       "p equal to high is pos, p equal to low is neg: >= and <="),
      ("the band is the one given",
       lambda: three_way([0.3, 0.8], 0.2, 0.9) == ["neutral", "neutral"],
       "use low and high, not 0.4 and 0.6"),
      ("no band, no neutral", lambda: three_way([0.4, 0.6], 0.5, 0.5) == ["neg", "pos"],
       "with low equal to high only the two ends are left"),
      ("it takes NumPy arrays", lambda: list(three_way(np.array([0.5]))) == ["neutral"],
       "go through the numbers one by one"));
### BEGIN HIDDEN TESTS
assert three_way([0.2, 0.5, 0.9, 0.1], 0.15, 0.85) == ["neutral", "neutral", "pos", "neg"]
assert three_way([]) == []
### END HIDDEN TESTS

# %% [markdown]
# ## 7. What if the letter is longer than the model can read?
#
# DistilBERT has 512 positions. The course's `long_requests` are letters to the same shop, with one
# request each, somewhere between holidays, weather and the neighbours. `place` says where: in the
# first hundred words, in the last hundred, or between. They come with the course on every profile,
# for public data doesn't say where in a text its label lies; so where the models know other
# intents so far, all three ways are trained anew, on the shop's.

# %%
import pandas as pd
from sklearn.base import clone

from course_utils.lab import ROOT

letters = pd.read_csv(ROOT / "data/long_requests/test.csv", keep_default_na=False)
shop = pd.read_csv(ROOT / "data/requests/train.csv", keep_default_na=False)
shop = shop[shop.label != "out_of_scope"]
shop_wishes = sorted(shop.label.unique())
shop_counter, shop_regression, shop_model = counter, regression, model
if shop_wishes != wishes:  # trained on another list of intents so far
    shop_texts, numbers = shop.text.tolist(), shop.label.map(shop_wishes.index).to_numpy()
    shop_counter, _ = best_counter(shop_texts, numbers, shop.writer.to_numpy())
    shop_regression = clone(regression).fit(read(body, shop_texts), numbers)
    shop_model = fine_tune(shop_texts, numbers, shop_wishes)
meant = letters.label.map(shop_wishes.index).to_numpy()
pieces = tokenizer(letters.text.tolist(), add_special_tokens=False)["input_ids"]
lengths = np.array([len(ids) + 2 for ids in pieces])  # with [CLS] and [SEP]
print(letters.text[0][:300], "…")

# %% [markdown]
# With `truncation=True` the model gets only the first 512 tokens of a letter (*pieces* in the code
# and the drawing: here both words mean the same). The rest is dropped without a word.

# %%
@torch.no_grad()
def probabilities(sequences, batch_size=16):
    """Probabilities (sequences, intents) of lists of token ids, [CLS] and [SEP] put around each."""
    order, out = np.argsort([len(ids) for ids in sequences]), []
    for rows in np.array_split(order, math.ceil(len(sequences) / batch_size)):
        whole = [[tokenizer.cls_token_id, *sequences[i], tokenizer.sep_token_id] for i in rows]
        inputs = tokenizer.pad({"input_ids": whole}, return_tensors="pt").to(shop_model.device)
        out.append(shop_model.eval()(**inputs).logits.float().softmax(-1).cpu())
    return torch.cat(out).numpy()[np.argsort(order)]


plots.finding(
    f"All {len(letters)} letters have more than 512 tokens: {lengths.min()} to {lengths.max()}; "
    f"{np.sum(letters.place == 'end')} requests stand among the last hundred words. The model's "
    f"copy of the first letter ends with “… {tokenizer.decode(pieces[0][498:510])}”, and "
    f"{lengths[0] - 512} tokens are never read.")

# %% tags=["assert"]
assert lengths.min() > 512
assert tokenizer(letters.text[0], truncation=True, max_length=512)["input_ids"][1:-1] \
    == pieces[0][:510]

# %% [markdown]
# Four ways to read a letter with the fine-tuned model, and counting words beside them, which has no
# limit:

# %%
plots.picture("long-letter")

# %% [markdown]
# * **head**: the first 512 tokens, as `truncation=True` does;
# * **head and tail**: the first 128 and the last 382, because letters often come to the point at
#   either end ([Sun et al. 2019](https://arxiv.org/abs/1905.05583));
# * **windows averaged**: overlapping windows over the whole letter, their probabilities averaged;
# * **surest sentence**: each sentence read by itself, since the messages that the model learned
#   from are about as long; the one with the highest score of section 4 speaks for the letter.
#   Counting words and frozen vectors can do that as well. (Frozen vectors of whole letters and of
#   windows are left out to save time.)
#
# The tokenizer cuts windows itself. Beware of its word [`stride`](glossary.md#stride): it means the
# *overlap* of two windows, not the step from one to the next.

# %%
def windows(size, overlap):
    """Token ids of each window, and the number of the letter that it belongs to."""
    found = tokenizer(letters.text.tolist(), truncation=True, max_length=size, stride=overlap,
                      return_overflowing_tokens=True)
    return ([ids[1:-1] for ids in found["input_ids"]],
            np.array(found["overflow_to_sample_mapping"]))


# %%
wide, letter = windows(512, 64)
first = np.diff(letter, prepend=-1) > 0  # the first window of each letter is its head
p = np.zeros((len(wide), len(shop_wishes)))


def head():
    p[first] = probabilities([wide[i] for i in np.flatnonzero(first)])
    return p[first]


def averaged():
    p[~first] = probabilities([wide[i] for i in np.flatnonzero(~first)])
    return np.array([p[letter == k].mean(axis=0) for k in range(len(letters))])


# %%
import re

owner, sentences = zip(*[(k, sentence) for k, text in enumerate(letters.text)
                         for sentence in re.split(r"(?<=[.!?])\s+|\n+", text)
                         if len(sentence.split()) > 3])
owner, sentence_logits = np.array(owner), {}


def surest(name, z, how=None):
    """Probabilities of each letter's surest sentence, by `how` or the best score of section 4."""
    sentence_logits[name] = z
    score, p = scores(z)[how or top_of[name][1]], softmax(z, axis=1)
    best = [max(np.flatnonzero(owner == k), key=lambda i: score[i]) for k in range(len(letters))]
    return p[best]


# %%
ways = {"head": head,
        "head and tail": lambda: probabilities([ids[:128] + ids[-382:] for ids in pieces]),
        "windows averaged": averaged,
        "surest sentence": lambda: surest("fine-tuned", read(shop_model, sentences)),
        "counting words": lambda: shop_counter.predict_proba(letters.text),
        "counting, surest sentence": lambda: surest("counting words",
                                                    shop_counter.decision_function(sentences)),
        "frozen, surest sentence": lambda: surest(
            "frozen vectors", shop_regression.decision_function(read(body, sentences)))}
found, seconds = {}, {}
for way, answer in ways.items():
    with Stopwatch() as watch:
        found[way] = (answer().argmax(axis=1) == meant).astype(float)
    seconds[way] = watch.seconds
seconds["windows averaged"] += seconds["head"]  # it went on where head had stopped

# %%
figure, ax = plots.new_figure(width=8.5, height=3.8)
places = ("start", "middle", "end")
for number, (way, hits) in enumerate(found.items()):
    plots.curve(ax, range(3), [hits[letters.place == place].mean() for place in places],
                f"{way}: {hits.mean():.0%}, {seconds[way]:.1f} s", number, markersize=7)
ax.set_xticks(range(3), [f"{place}\n{np.sum(letters.place == place)} letters" for place in places])
winner = max(found, key=lambda way: found[way].mean())
ax.set(ylim=(0, 1.02), xlabel="where the request stands", ylabel="right",
       title=f"{winner} is right most often, {found[winner].mean():.0%}")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(figure, "Share of letters right by the place of the request. " + " ".join(
    f"{way}: " + ", ".join(f"{place} {hits[letters.place == place].mean():.0%}"
                           for place in places) + "." for way, hits in found.items()))

# %%
by_score = "; ".join(f"{name}: " + ", ".join(
    f"{how} {np.mean(surest(name, z, how).argmax(axis=1) == meant):.0%}" for how in scores(z))
    for name, z in sentence_logits.items())
far = max(np.ptp(bootstrap_interval(np.mean, hits[letters.place == place])) / 2
          for hits in found.values() for place in places)
rivals = {"counting": "counting words", "frozen": "frozen vectors"}
plots.finding(f"head is right for {found['head'].mean():.0%}. Against head: "
              + "; ".join(f"{way} {ahead(found[way], found['head'])}"
                          for way in found if way != "head")
              + ". Against the fine-tuned network's surest sentence: " + "; ".join(
                  f"that of {name} "
                  f"{ahead(found[f'{way}, surest sentence'], found['surest sentence'])}"
                  for way, name in rivals.items())
              + f". One point of the figure may lie {100 * far:.0f} points off by chance.")
plots.finding(f"Letters right where another score picks the sentence: {by_score}.")

# %% tags=["assert"]
assert found[winner].mean() > found["head"].mean() > 2 / len(shop_wishes)
ends = (letters.place == "end").to_numpy()
assert found["head"][ends].mean() < found["head"][~ends].mean()

# %% [markdown]
# Two things can go wrong with a long text, and they ask for different cures. The request may lie
# behind the cut, as it can for head when it comes at the end; then read elsewhere, or everything.
# Or it is read, but drowns in hundreds of tokens about something else, for a model that learned
# from texts of about twenty; then try pieces of the length it knows, or fine-tune it on long texts.
# More tokens alone cure only the first.
#
# And sentence by sentence, section 4 comes back: nearly every sentence of such a letter lies
# outside, so two things must go right: the score must pick the sentence with the request, and the
# model must read it correctly. The figure shows only both together. Frozen vectors come from the
# same layers before fine-tuning: where they win, pretraining knew enough, and fine-tuning or its
# score is what fails.
#
# Section 4 judged the scores on whole messages, not on such sentences (and on `cpu` and `gpu` for
# other intents): the second finding shows what another score would have given. It chooses nothing,
# nor does the figure's title: whoever takes the best of so many has to measure it again, on letters
# that weren't looked at.
#
# ### Exercise 7.5 How many windows? ●●○ 8 minutes
#
# Windows cost time, so count them before you pay. A text has `tokens` tokens without `[CLS]` and
# `[SEP]`; each window takes at most `size` with the two, and shares `overlap` tokens, fewer than
# `size - 2`, with the one before it. Write `window_count(tokens, size, overlap)`.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e7_5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def window_count(tokens, size=512, overlap=64):
    ### BEGIN SOLUTION
    room = size - 2
    if overlap >= room:
        raise ValueError("such windows never reach the end of a text")
    return 1 + max(0, math.ceil((tokens - room) / (room - overlap)))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A window of 512 has room for 510 tokens of the text. How many *new* tokens does the second window
# bring, when it repeats 64?
# </details>
# <details><summary>Hint 2</summary>
#
# One window, and one more for each `room - overlap` tokens that are left, rounded up with
# `math.ceil`; nothing is left where the text fits into the first.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t7_5", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
import math


def reads_everything(size, overlap):
    """Walk through texts of all lengths, window by window."""
    for tokens in range(1, 200):
        end, steps = size - 2, 1
        while end < tokens:
            end, steps = end - overlap + size - 2, steps + 1
        if window_count(tokens, size, overlap) != steps:
            return False
    return True


check("7.5 How many windows?",
      ("a short text needs one", lambda: window_count(20, 512, 64) == 1,
       "a text that fits has one window, not none"),
      ("510 tokens just fit, 511 don't",
       lambda: (window_count(510, 512, 64), window_count(511, 512, 64)) == (1, 2),
       "[CLS] and [SEP] take two of the 512 places; round up"),
      ("956 tokens fit in two, 957 don't",
       lambda: (window_count(956, 512, 64), window_count(957, 512, 64)) == (2, 3),
       "the second window repeats 64 tokens and brings 446 new ones: the step is room - overlap"),
      ("without overlap", lambda: window_count(1020, 512, 0) == 2, "two windows of 510 each"),
      ("it agrees with a walk through windows of 12 that share 3",
       lambda: reads_everything(12, 3), "use size and overlap as given, for every length"),
      ("the answer is a whole number", lambda: type(window_count(700, 512, 64)) is int,
       "return Python's own int"));
### BEGIN HIDDEN TESTS
assert reads_everything(16, 0) and reads_everything(10, 7) and window_count(0, 512, 64) == 1
### END HIDDEN TESTS

# %% [markdown]
# ## What to remember
#
# 1. With few labels try frozen vectors first: the network isn't trained. How much they gain depends
#    on the model, so compare with counting words.
# 2. Read the confused pairs and count their errors: a sharper label may help there. A question back
#    helps where the second guess is often right.
# 3. Softmax can't say "none of these". A score from the logits can hint at it; a price makes it
#    act.
# 4. Answer, ask back, hand over: two thresholds, chosen on validation, billed on test.
# 5. Past 512 tokens the end is dropped silently. Compare ways of reading on long texts whose answer
#    you know, counting words among them.
#
# ## Take this with you
#
# A desk from frozen vectors, without the course and without training a network. Put in your own
# messages. It needs `pip install transformers torch scikit-learn`.
#
# Two things are worth a measurement. The vectors of a model that was made to compare sentences,
# such as `sentence-transformers/all-MiniLM-L6-v2`, may serve better (section 2). And `low` and
# `high` want messages that were not trained on, in the mix that your desk gets: also such as fit no
# label, with the label `None`. Without them nonsense costs nothing, and both come out too low.
#
# ```python
# import numpy as np
# import torch
# from sklearn.linear_model import LogisticRegression
# from transformers import AutoModel, AutoTokenizer
#
# name = "distilbert/distilbert-base-uncased"
# tokenizer = AutoTokenizer.from_pretrained(name)
# body = AutoModel.from_pretrained(name, use_safetensors=True).eval()
#
# @torch.no_grad()
# def vectors(texts, size=32):
#     found = []
#     for i in range(0, len(texts), size):
#         inputs = tokenizer(texts[i : i + size], truncation=True, max_length=512, padding=True,
#                            return_tensors="pt")
#         mask = inputs["attention_mask"].unsqueeze(-1)
#         found.append((body(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1))
#     return torch.cat(found).numpy()
#
# texts = ["where is my parcel", "has my order left yet", "i want my money back", "refund please",
#          "please delete my account", "erase all my data"]
# labels = ["track", "track", "refund", "refund", "delete", "delete"]  # yours: five or more of each
# desk = LogisticRegression(C=10, max_iter=1000).fit(vectors(texts), labels)
#
# low, high = 0.55, 0.8  # yours: chosen by price on messages that were not trained on
# for text in ["my package isn't here", "give me the money back", "will it rain on sunday"]:
#     p = desk.predict_proba(vectors([text]))[0]
#     first, second = desk.classes_[np.argsort(-p)[:2]]
#     print(f"{p.max():.2f}", text, "->", f"answer {first}" if p.max() >= high else
#           f"{first} or {second}?" if p.max() >= low else "a colleague")
# ```
#
# The thresholds, with section 5's prices, `minutes` and `choose`, on messages `kept` that trained
# nothing, and their labels `kept_labels` (`None` where none fits):
#
# ```python
# place = {name: k for k, name in enumerate(desk.classes_)}  # scikit-learn sorts the labels
# wanted = np.array([place.get(label, -1) for label in kept_labels])  # -1: outside
# p = desk.predict_proba(vectors(kept))
# bill, low, high = choose(p.max(1), minutes(p, wanted))
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | nonsense is answered at 99 % | softmax compares intents with each other, not with "none" | a score and a threshold; a class with examples |
# | the threshold from a paper lets everything through | scores of another model have another scale | choose on your validation rows, after every training |
# | validation promised a lower bill | few rows outside, and another share or other kinds of them on test | collect messages that the desk handed over; give intervals |
# | `RuntimeError: The size of tensor a (600) must match the size of tensor b (512)` | more than 512 tokens reached the model | `truncation=True, max_length=512`, or windows |
# | long texts all get the same answer | the model learned from short ones, or the head is small talk | look where the point is; try sentence by sentence, and measure |
# | twice as many windows as expected | `stride` is the overlap, not the step | a small `stride` |
#
# ## Further reading
#
# * Larson et al. 2019, [*An evaluation dataset for intent classification and out-of-scope
#   prediction*](https://arxiv.org/abs/1909.02027): CLINC150, the `requests` of the larger profiles.
# * Hendrycks and Gimpel 2017, [*A baseline for detecting misclassified and out-of-distribution
#   examples*](https://arxiv.org/abs/1610.02136): the largest probability. Liu et al. 2020,
#   [*Energy-based out-of-distribution detection*](https://arxiv.org/abs/2010.03759).
# * Tunstall, von Werra, Wolf 2022, [*Natural language processing with
#   transformers*](https://github.com/nlp-with-transformers/notebooks), chapter 2: frozen vectors
#   beside fine-tuning.
# * Sun et al. 2019, [*How to fine-tune BERT for text
#   classification?*](https://arxiv.org/abs/1905.05583): head, tail, and both.
# * Geifman and El-Yaniv 2017, [*Selective classification for deep neural
#   networks*](https://arxiv.org/abs/1705.08500): coverage against accuracy.
#
# Next: [08, who and where?](08_entities.ipynb)

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"{most} labels an intent: " + ", ".join(
    f"{name} {right[name, most].mean():.0%}" for name in logits)
    + f"; desk with {mine} {bills[mine].mean():.2f} minutes a message; "
    f"long letters {winner} {found[winner].mean():.0%}")
