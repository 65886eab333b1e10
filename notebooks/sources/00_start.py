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
# # What can you do with DistilBERT, and will it run here?
#
# DistilBERT is a small language model that reads English text. In this lesson you let it guess
# words, make it sort customers' requests, and measure
# what your machine can do with it. Then you meet ten errors that beginners run into, while it is
# safe to do so.
#
# **After this lesson you can**
#
# 1. get predictions from DistilBERT, and say what they are worth;
# 2. tell how long a training will take on your machine before you start it;
# 3. use the exercises, hints and checks of this course;
# 4. keep your work, on Colab and on your own machine;
# 5. recognise ten common errors by their message, and five faults that give no message at all.
#
# **What it costs**
#
# {{cost}}
#
# A [profile](glossary.md#profile) decides the size of every lesson: `mini` uses a small DistilBERT
# that comes with the course and runs
# anywhere; `cpu` and `gpu` use the published one. The code is the same for all three.

# %% [markdown]
# ## Setup
#
# Click into a cell and press Shift+Enter to run it. Run the cells from top to bottom. The first one
# finds the course and installs what is
# missing; on Colab it may need a minute or two.

# %% tags=["setup"]
# {{setup}}

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": the largest that this machine and network allow

# %% [markdown]
# Every lesson begins with `start_lab`. It looks at the machine, chooses a profile and says in one
# line what it chose and why.

# %%
import time

began = time.perf_counter()
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)
startup = time.perf_counter() - began

# %% [markdown]
# ## 1. Your first prediction
#
# DistilBERT was trained to fill gaps: some words of a text were hidden, and it had to guess them
# from the words on both sides. That makes it a
# [masked language model](glossary.md#masked-language-model). You write `[MASK]` for the hidden
# word.

# %%
began = time.perf_counter()
from transformers import pipeline

fill = pipeline("fill-mask", model=lab.checkpoint, revision=lab.revision, device=lab.device,
                # weights from a file that holds numbers only
                model_kwargs={"use_safetensors": True})
loading = startup + time.perf_counter() - began

# %%
began = time.perf_counter()
sentence = "They live in the United [MASK] of America."
answers = fill(sentence, top_k=10)
predicting = time.perf_counter() - began
first_prediction = loading + predicting
print(answers[0])
print(f"{answers[0]['token_str']}: {answers[0]['score']:.0%}")
print(f"{loading:.0f} s to load the libraries and the model, {predicting:.2f} s to predict: "
      f"promise {'kept' if first_prediction < 60 else 'not kept on this machine'}")
assert "states" in [answer["token_str"] for answer in answers] and predicting < loading

# %% [markdown]
# That is a prediction: a word and a [probability](glossary.md#probability). The course promises the
# first one within a minute after the setup, if you run
# the cells without a pause.
#
# Most of the wait was loading. Three more sentences; the last asks for something that no model can
# know.

# %%
sentences = {
    "girl": "The boy and the [MASK] went to school.",
    "first": "It was the [MASK] time that he had seen her.",
    None: "My grandmother's name is [MASK].",
}
guesses = {text: fill(text, top_k=10) for text in sentences.values()}
for text in guesses:
    print(text, "→", ", ".join(f"{a['token_str']} {a['score']:.1%}" for a in guesses[text][:5]))
for wanted, text in sentences.items():
    assert wanted is None or wanted in [a["token_str"] for a in guesses[text]], text
unknowable = guesses[sentences[None]]
assert answers[0]["score"] > unknowable[0]["score"]

# %% [markdown]
# The words that you would expect are among its ten best guesses. Read the percentages too: where an
# odd word comes first with a high one, the model is sure and wrong.
# A high probability is no sign that it knows. Put two extremes side by side.

# %%
from course_utils import plots

figure, axes = plots.new_figure(columns=2, width=10, height=2.9)
for ax, text, top in zip(axes, [sentence, sentences[None]], [answers[:5], unknowable[:5]]):
    plots.bars(ax, [a["token_str"] for a in top], [a["score"] for a in top], fmt="{:.1%}")
    ax.set(xlim=(0, 1.15), xlabel=text)
axes[0].set_title(f"It is {answers[0]['score']:.0%} sure of “{answers[0]['token_str']}” …")
axes[1].set_title(f"… and {unknowable[0]['score']:.0%} sure of “{unknowable[0]['token_str']}”")
plots.show(figure,
           "Bars of the five best guesses for two sentences. "
           f"Left, for the country: {answers[0]['token_str']} with {answers[0]['score']:.0%}. "
           f"Right, for a grandmother's name: {unknowable[0]['token_str']} "
           f"with {unknowable[0]['score']:.0%} and four others.")

# %% [markdown]
# On the right there is nothing to know, and still you got guesses. The model can't say
# "I don't know": it spreads its probability over the whole
# [vocabulary](glossary.md#vocabulary), and the total is always 1. Low and spread-out numbers are
# the only sign of ignorance, and even
# they are not reliable. Never read a guess as a fact.
#
# Write your own sentence here. Keep one `[MASK]` in it.

# %%
mine = "This film was very [MASK]."
print(", ".join(f"{a['token_str']} {a['score']:.0%}" for a in fill(mine, top_k=5)))

# %% [markdown]
# ## 2. From guessing words to sorting requests
#
# To guess words, the model has to turn a text into numbers that say something about it. You can use
# these numbers for your own
# question. The course has a [task](glossary.md#task) named `requests`: short texts that customers
# wrote to a shop. What does each of them want: to cancel an order, to get an invoice, to know when
# the parcel comes?
#
# The texts to judge on are by other writers than those to learn from. Leave out the requests that
# belong to none of the wishes; lesson 07 deals with them.

# %%

from course_utils.data import TASKS, load_task

requests = load_task("requests", lab.profile)
names = requests["train"].features["label"].names
outside = names.index(TASKS["requests"].out_of_scope(names))
train, validation = (
    requests[split].filter(lambda label: label != outside, input_columns="label")
    for split in ("train", "validation"))
wishes = len(set(train["label"]))
print(f"{len(train)} requests to learn from, {len(validation)} others to judge on, "
      f"{wishes} wishes: guessing is right {1 / wishes:.0%} of the time")
for row in validation.select(range(3)):
    print(f"[{names[row['label']]}] {row['text']}")

# %% [markdown]
# Now the numbers. The model gives one vector per [token](glossary.md#token) (a word or a piece of
# one); their mean stands for the whole message.
#
# The model runs in PyTorch (`torch`). Its *tensors* are like NumPy arrays that can also lie on a
# GPU; `no_grad()` means "compute only, prepare no training". Texts of one batch are filled up to
# one length
# ([padding](glossary.md#padding)); the filling doesn't count in the mean. The numbers inside the
# model that training has set are its *weights*.

# %%
import torch

tokenizer, encoder = fill.tokenizer, fill.model.base_model


def features(texts):
    """One vector per text, shape (texts, width): the mean over its tokens, padding left out."""
    means = []
    for start in range(0, len(texts), 32):
        inputs = tokenizer(texts[start:start + 32], padding=True, truncation=True, max_length=64,
                           return_tensors="pt").to(lab.device)
        with torch.no_grad():
            vectors = encoder(**inputs).last_hidden_state
        real = inputs["attention_mask"].unsqueeze(-1)
        means.append((vectors * real).sum(1) / real.sum(1))
    return torch.cat(means).cpu().numpy()

# %% [markdown]
# A [logistic regression](glossary.md#logistic-regression) learns one weight per number. Beside it a
# rival that knows no language at all and only counts words.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

began = time.perf_counter()
sorter = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
sorter.fit(features(train["text"][:]), train["label"][:])
words = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000)).fit(
    train["text"][:], train["label"][:])

# %%
truth = validation["label"][:]
accuracy = {"DistilBERT": sorter.score(features(validation["text"][:]), truth),
            "counting words": words.score(validation["text"][:], truth)}
print({name: f"{value:.0%} right" for name, value in accuracy.items()},
      f"after {time.perf_counter() - began:.0f} s")
lead = 100 * (accuracy["DistilBERT"] - accuracy["counting words"])
print(f"DistilBERT minus counting words: {lead:+.0f} points")
assert lead > 5

# %% [markdown]
# Now three new ones. Look at the last: it belongs to no wish at all, and still gets one.

# %%
tries = ["The mug was in four pieces when I opened the box.",
         "i was billed two times for the same rucksack",
         "Is it going to rain in Vienna on Sunday?"]
for text, p in zip(tries, sorter.predict_proba(features(tries))):
    best = sorter.classes_[p.argmax()]
    print(f"{names[best]:22} {p.max():.0%} sure · {text}")

# %% [markdown]
# A sorter for the wishes of a shop's customers, made in seconds, and it is ahead of a rival that
# only counts words. Why? A new writer says the same thing in other words, and the counter has never
# seen those; the model has met them in
# the texts that it was pretrained on. Its weights were not changed here. In lesson 05 you train
# them for a task, again beside such a rival, and find cases where the rival is enough.
#
# ## 3. How do exercises, hints and checks work?
#
# An exercise is a function with a gap. You write the missing lines, run the cell, then run
# the *check* below it. Here is a check at work on
# an example. The task: the share of predictions that are right. Three people hand in three answers.

# %%
from unittest import mock

from course_utils.exercises import check


def share_right(predicted, true):  # the first person divides by a fixed number
    return sum(p == t for p, t in zip(predicted, true)) / 4


def check_it():
    # it doesn't count as yours
    with mock.patch.dict("os.environ", COURSE_PROGRESS=str(lab.workdir / "example.json")):
        check("Example: share right",
              ("3 of 4 give 0.75", lambda: share_right([1, 1, 0, 0], [1, 1, 0, 1]) == 0.75,
               "count the equal pairs"),
              ("1 of 2 gives 0.5", lambda: share_right([1, 0], [1, 1]) == 0.5,
               "you divided by 4; divide by the number of rows"))


check_it()

# %% [markdown]
# A tick means that this property holds. A cross says what probably went wrong. The second person
# has not started: every
# exercise begins like this.

# %%
def share_right(predicted, true):
    raise NotImplementedError  # in an exercise you replace this line


check_it()

# %% [markdown]
# The third person is done:

# %%
def share_right(predicted, true):
    return sum(p == t for p, t in zip(predicted, true)) / len(true)


check_it()

# %% [markdown]
# * An exercise has a difficulty, ●○○ to ●●●, and the minutes it usually takes.
# * Open *Hint 1* when you are stuck, *Hint 2* when you still are. The solution is folded away below
#   the check.
# * No later cell needs your answer. Skip an exercise, and everything below still runs.
# * `make progress` lists what you have solved; so does `progress()` from `course_utils.exercises`.
#   The list is a file on this machine and goes nowhere.
#
# Now you.
#
# ### Exercise 0.1 Which rank has the word? ●○○ 4 minutes
#
# `fill` returns a list of dictionaries, the best guess first; section 1 printed one of them. Write
# a function that returns the rank of a word among them: 1 for
# the best guess, and `None` for a word that isn't there. The model is *uncased*, it knows small
# letters only; someone who asks for
# `Paris` wants `paris`.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rank_of(answers, word):
    ### BEGIN SOLUTION
    for rank, answer in enumerate(answers, start=1):
        if answer["token_str"] == word.lower():
            return rank
    return None
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Walk through the answers in their order and compare `answer["token_str"]` with the word. What
# should happen when the loop ends without a match?
# </details>
# <details><summary>Hint 2</summary>
#
# `enumerate(answers, start=1)` gives rank and answer together. `word.lower()` makes small letters.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_1", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
from course_utils.exercises import check

guessed = [{"token_str": "lyon", "score": 0.4}, {"token_str": "paris", "score": 0.3},
           {"token_str": "nice", "score": 0.1}]
check("0.1 Which rank has the word?",
      ("the best guess has rank 1", lambda: rank_of(guessed, "lyon") == 1,
       "return a rank that starts at 1, not a place that starts at 0, and not the probability"),
      ("the third guess has rank 3", lambda: rank_of(guessed, "nice") == 3,
       "return the place in the list, counted from 1"),
      ("Paris is found as paris", lambda: rank_of(guessed, "Paris") == 2,
       "compare in small letters"),
      ("a word that isn't there gives None", lambda: rank_of(guessed, "rome") is None,
       "return None, so that nobody takes the answer for a rank"),
      ("it works on real answers", lambda: rank_of(answers, answers[4]["token_str"]) == 5,
       "try rank_of(answers, 'states')"));
### BEGIN HIDDEN TESTS
assert rank_of([], "x") is None and rank_of(guessed[::-1], "LYON") == 3
### END HIDDEN TESTS

# %% [markdown]
# ## 4. What can this machine do?
#
# Four things decide what you can train: the [device](glossary.md#device) (CPU or GPU), its memory,
# how fast it multiplies matrices, and
# the disk. First what can be counted.

# %%
import shutil
from pathlib import Path

import psutil

memory = psutil.virtual_memory()
machine = {
    "device": torch.cuda.get_device_name() if lab.device == "cuda" else "CPU",
    "cores": f"{psutil.cpu_count()} ({torch.get_num_threads()} threads used by PyTorch)",
    "memory": f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} free",
    "free disk": f"{shutil.disk_usage(lab.workdir).free / 2**30:.0f} GiB",
    "profile": lab.profile.name,
    "model": (f"{Path(lab.checkpoint).name}, "
              f"{fill.model.num_parameters() / 1e6:.1f} million parameters"),
}
if lab.device == "cuda":
    machine["GPU memory"] = f"{torch.cuda.get_device_properties(0).total_memory / 2**30:.1f} GiB"

# %% [markdown]
# ### Which number format is fast here?
#
# A model spends most of its time multiplying matrices. Numbers of 16 bits
# ([bf16](glossary.md#bf16), [fp16](glossary.md#fp16)) can be much faster than the usual
# 32 bits (fp32), or slower: it depends on the chip, and what the chip *accepts* says nothing about
# what it does *fast*. The course asks the processor whether it computes in bf16 itself; time shows
# what that is worth. A
# [GFLOP/s](glossary.md#gflops) is $10^9$ multiplications or additions per second.

# %%
from course_utils.precision import product_gflops

formats = ["fp32", "bf16"] + (["fp16"] if lab.device == "cuda" else [])
speeds = {name: product_gflops(name, lab.device) for name in formats}
gain = speeds["bf16"] / speeds["fp32"]
print({name: f"{speed:,.1f} GFLOP/s" for name, speed in speeds.items()},
      "→ lessons use", lab.precision)
assert lab.device == "cuda" or lab.precision == "bf16" or gain < 1.5  # nothing fast is left unused
machine["number format"] = f"{lab.precision}, {speeds[lab.precision]:,.0f} GFLOP/s"

# %%
figure, ax = plots.new_figure(height=1.9)
plots.bars(ax, formats, list(speeds.values()), fmt="{:,.1f}")
ax.set(xlabel="GFLOP/s in a product of two 768 × 768 matrices",
       title=f"bf16 runs at {gain:.2g} times the speed of fp32 here; lessons use {lab.precision}")
plots.show(figure,
           "Bars of the speed of a matrix product by number format: "
           + ", ".join(f"{n} {s:,.1f} GFLOP/s" for n, s in speeds.items()) + ".")

# %% [markdown]
# On a CPU the lessons take bf16 only where it is more than one and a half times as fast. On a GPU
# the hardware's generation decides: an older one, like the T4
# that Colab often lends, accepts bf16 but only imitates it, and gets fp16.
#
# ### How does time grow with length?
#
# Time the model itself on eight texts of 32, 128 and 512 tokens. Random token ids will do: the time
# depends on the shape, not on the words.

# %%
def forward_seconds(length, rows=8, repeats=3):
    """Best time of a forward pass over ``rows`` texts of ``length`` tokens."""
    ids = torch.randint(1000, 8000, (rows, length), device=lab.device)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        with torch.no_grad():
            (encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
             .last_hidden_state.sum().item())  # waits for a GPU
        times.append(time.perf_counter() - start)
    return min(times)


lengths = [32, 128, 512]
forward_seconds(32)  # the first passes also pay for warming up
seconds = [forward_seconds(length) for length in lengths]
tokens_per_second = 8 * 128 / seconds[1]
machine["reading speed"] = f"{tokens_per_second:,.0f} tokens/s at length 128"

# %%
growth = seconds[2] / seconds[0]
figure, ax = plots.new_figure(height=3.2)
plots.curve(ax, lengths, [1000 * s for s in seconds], "measured")
for length, s in zip(lengths, seconds):
    ax.annotate(f"{1000 * s:.0f} ms", (length, 1000 * s), xytext=(-6, 6),
                textcoords="offset points", ha="right")
ax.set(xlabel="tokens per text", ylabel="milliseconds for 8 texts",
       xlim=(-30, 540), ylim=(0, 1150 * seconds[2]), xticks=lengths,
       title=f"16 times the length takes {growth:.0f} times as long")
plots.show(figure,
           "Line of the time for eight texts against their length: "
           f"{1000 * seconds[0]:.0f} ms at 32 tokens, {1000 * seconds[1]:.0f} ms at 128, "
           f"{1000 * seconds[2]:.0f} ms at 512.")
assert growth > 1

# %% [markdown]
# Two forces pull at that factor. Short batches can't keep a fast chip busy, which makes it
# smaller than 16. [Attention](glossary.md#attention) compares every token with
# every other, which makes it larger. Lesson 03 takes this apart.
#
# Training costs more than reading: after the [forward pass](glossary.md#forward-pass) comes
# the *backward pass*, which computes how each weight should change. How much more?

# %%
def training_seconds(repeats=3):
    """Best time of a forward and backward pass over 8 texts of 128 tokens."""
    ids, times = torch.randint(1000, 8000, (8, 128), device=lab.device), []
    for _ in range(repeats):
        start = time.perf_counter()
        (encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
         .last_hidden_state.mean().backward())
        next(encoder.parameters()).grad.sum().item()
        encoder.zero_grad()
        times.append(time.perf_counter() - start)
    return min(times)


factor = training_seconds() / seconds[1]
print(f"forward and backward take {factor:.1f} times as long as forward alone")
assert factor > 1

# %% [markdown]
# The rule of thumb is 3: the backward pass does about twice the work of the forward pass, because
# it computes a gradient for the inputs and one for the
# weights of each layer. Optimiser, evaluation and loading come on top, so take an estimate by this
# rule as *at least*, for one number format: the speed above is that of fp32, and where the lessons
# train in 16 bits they may need less.
#
# ### Exercise 0.2 How long will it take? ●○○ 5 minutes
#
# Estimate a training before you start it. Given the number of texts, tokens per text and
# [epochs](glossary.md#epoch) (passes over all texts), and the
# speed of the forward pass in tokens per second, return the *minutes* that training takes. Use the
# rule of thumb.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def training_minutes(texts, tokens_per_text, epochs, forward_tokens_per_second):
    ### BEGIN SOLUTION
    tokens = texts * tokens_per_text * epochs
    return 3 * tokens / forward_tokens_per_second / 60
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# How many tokens does the model read in the whole training? How many seconds would that take if it
# only read?
# </details>
# <details><summary>Hint 2</summary>
#
# Tokens divided by tokens per second are seconds. Training takes three times as long as reading; a
# minute has 60 seconds.
# </details>

# %% tags=["grading"]
# stands in for the measurement when the exercise is graded
tokens_per_second = 7680.0

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_2", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def near(value, wanted):
    return abs(value - wanted) < 1e-6 * wanted


check("0.2 How long will it take?",
      ("a faster machine needs less time",
       lambda: near(training_minutes(100, 100, 1, 500), training_minutes(100, 100, 1, 1000) * 2),
       "divide the tokens by the tokens per second"),
      ("every epoch reads all texts again",
       lambda: near(training_minutes(100, 100, 4, 1000), training_minutes(100, 100, 1, 1000) * 4),
       "multiply by the number of epochs"),
      ("the answer is in minutes", lambda: training_minutes(2000, 128, 3, 7680) < 50,
       "that is in seconds; divide by 60"),
      ("2,000 texts of 128 tokens, 3 epochs, 7,680 tokens/s: 5 minutes",
       lambda: near(training_minutes(2000, 128, 3, 7680), 5),
       "a training step takes three times as long as a forward pass"))
try:
    print("2,000 texts of 128 tokens, 3 epochs, on this machine: "
          f"{training_minutes(2000, 128, 3, tokens_per_second):.1f} minutes")
except NotImplementedError:
    print("Solve it to see what this machine needs.")
### BEGIN HIDDEN TESTS
assert near(training_minutes(25000, 256, 2, 1e5), 6.4)
### END HIDDEN TESTS

# %% [markdown]
# ### How long will the course take here?
#
# Each lesson's minutes on `mini` were measured once, together with that machine's speed in a short
# training. Your machine's speed scales
# them. Beside them stands your own time: the minutes that the authors allow for the exercises, and
# the reading at 200 words a minute.

# %%
import re

from course_utils.lab import ROOT, expected_minutes
from course_utils.precision import choose_precision, training_speed

speed = training_speed(choose_precision("cpu"))  # the measured minutes are those of a CPU
plan = []
for source in sorted((ROOT / "notebooks/sources").glob("[0-9][0-9]_*.py")):
    text = source.read_text(encoding="utf-8")
    prose = " ".join(re.findall(r"^# (?!%%)(.+)$", text, re.M))
    plan.append({"lesson": source.stem[:2], "title": re.search(r"^# # (.+)$", text, re.M)[1],
                 "machine": expected_minutes(source.stem[:2], "mini", speed),
                 "exercises": sum(
                     map(int, re.findall(r"^# ### Exercise .+?(\d+) minutes", text, re.M))),
                 "reading": len(prose.split()) / 200})

# %%
known = [row for row in plan if row["machine"]]
machine_minutes = sum(row["machine"] for row in known)
your_minutes = sum(row["exercises"] + row["reading"] for row in plan)
machine["the course on mini"] = (
    f"{machine_minutes:.0f} minutes for {len(known)} of {len(plan)} lessons"
    if known else "not measured yet") + f"; {your_minutes / 60:.1f} hours for you"
print("lesson  machine  exercises  reading   (minutes)")
for row in plan:
    minutes = f"{row['machine']:7.1f}" if row["machine"] else "      –"
    print(f"{row['lesson']:6}  {minutes}  {row['exercises']:9}  {row['reading']:7.0f}   "
          f"{row['title']}")

# %%
figure, (left, right) = plots.new_figure(columns=2, width=10, height=0.9 + 0.36 * len(plan))
shown = known or [{"lesson": "none measured yet", "machine": 0}]
plots.bars(left, [row["lesson"] for row in shown], [row["machine"] for row in shown], fmt="{:.1f}")
plots.bars(right, [row["lesson"] for row in plan],
           [row["exercises"] + row["reading"] for row in plan], fmt="{:.0f}")
left.set(title=(f"The machine needs {machine_minutes:.0f} minutes …"
                if known else "No lesson is measured yet …"),
         xlabel="minutes on mini, scaled to this CPU", ylabel="lesson",
         xlim=(0, max(1, left.get_xlim()[1])))
right.set(title=f"… and you need {your_minutes / 60:.1f} hours",
          xlabel="minutes for exercises and reading")
plots.show(figure,
           "Bars by lesson. Left, minutes of computing on mini: "
           + ", ".join(f"lesson {r['lesson']} {r['machine']:.1f}" for r in known)
           + ". Right, minutes for exercises and reading: "
           + ", ".join(f"lesson {r['lesson']} {r['exercises'] + r['reading']:.0f}" for r in plan)
           + ".")

# %% [markdown]
# A dash stands for a lesson that nobody has measured yet. The scaling is rough: it assumes that
# everything slows down as training does. The profiles `cpu` and `gpu` take longer; each training
# there prints an
# estimate before it starts. Now the whole table:

# %%
import pandas as pd

pd.set_option("display.max_colwidth", None)
pd.DataFrame({"on this machine": machine})

# %% [markdown]
# Memory is rarely the problem on `mini`: compare your free memory with the peaks in the cost tables
# at the head of each lesson. In a
# container the machine may report more memory than you are allowed to use.
#
# ## 5. How do you keep your work?
#
# **On Colab** the machine is lent. When it goes, its disk goes too: trained models, results, files.
# Only the notebook can survive, and one opened from a badge
# does not belong to you until you choose *File → Save a copy in Drive*. Idle machines are taken
# back, and limits change (Colab's FAQ calls them not
# guaranteed). Variables are lost in any case; a new machine starts empty.
#
# To keep files, use Google Drive. Colab asks you for access to it, so this happens only if you say
# so: set the variable to `True`.

# %%
KEEP_ON_DRIVE = False  # on Colab: True asks for access to your Drive and keeps results there

if KEEP_ON_DRIVE:
    from google.colab import drive

    drive.mount("/content/drive")
folder = Path("/content/drive/MyDrive/distilbert-course/00") if KEEP_ON_DRIVE else lab.workdir
folder.mkdir(parents=True, exist_ok=True)
print("results go to",
      "your Drive" if KEEP_ON_DRIVE
      else f"{folder.name}, in the course's folder for work (or where COURSE_WORK points)")

# %% [markdown]
# **On your own machine** the files stay. JupyterLab saves a notebook with Ctrl+S. Work on a copy
# with a name of your own, such as `my_05_training.ipynb` in the same
# folder: then `git pull` brings corrections without touching your answers, and `git add` and
# `git commit` keep your history.
#
# Saved is what you can read back. So read it back, in the same cell:

# %%
import json

result = {"sentence": sentence, "guess": answers[0]["token_str"],
          "probability": round(answers[0]["score"], 4)}
file = folder / "first-prediction.json"
file.write_text(json.dumps(result), encoding="utf-8")
assert json.loads(file.read_text(encoding="utf-8")) == result
print(f"{file.name}: {file.stat().st_size} bytes, read back and equal")

# %% [markdown]
# Save small and early: numbers as JSON, models as `safetensors` with `save_pretrained`. Lesson 05
# shows how to save a training while it runs, and how to go on
# after a crash.
#
# ## 6. Ten errors, each with its cure
#
# Nobody publishes a count of learners' errors. For the errors 2, 3, 7 and 9, *Further reading*
# names public threads; the others are our choice. You will provoke each of them. Read a
# long error from its end: the traceback's last part begins with the type and the reason.
#
# | | the message begins or contains | cure |
# |---|---|---|
# | 1 | `NameError: name … is not defined` | run the cells above; after a restart all of them |
# | 2 | `TypeError: … unexpected keyword argument` | the tutorial is older than the library: use the new name |
# | 3 | `ValueError: Unable to create tensor` | `padding=True` |
# | 4 | `RuntimeError: The size of tensor a … must match`, `IndexError: index out of range` | `truncation=True` |
# | 5 | `IndexError: Target … is out of bounds` | `num_labels=` the number of your classes |
# | 6 | `ValueError: The model did not return a loss` | the labels' column must be called `label` or `labels` |
# | 7 | `RuntimeError: … device` | `.to(model.device)` |
# | 8 | `… can't allocate memory`, `CUDA out of memory` | smaller batch, shorter texts |
# | 9 | `ConnectionError`, `OSError: We couldn't connect`, `FileNotFoundError: Couldn't find a module script` | write `owner/name`; or the network is missing |
# | 10 | `ValueError: Your setup doesn't support bf16/gpu` | `use_cpu=True` |
#
# A small helper runs a faulty line, catches the error, and prints the line with its type and the
# beginning of its message.

# %%
import textwrap

seen = {}


def provoke(number, action):
    """Run ``action``, print the first line of the message it stops with, and return it."""
    try:
        action()
        message = "no error on this machine"
    except Exception as error:
        lines = str(error).splitlines() or [""]
        message = f"{type(error).__name__}: {lines[0]}".replace(str(Path.cwd()), "(this folder)")
    seen.setdefault(number, []).append(message)
    print(textwrap.fill(message, 100))
    return message


import transformers

print("transformers", transformers.__version__, "· torch", torch.__version__)

# %% [markdown]
# **1. A cell above has not run.** The [kernel](glossary.md#kernel) is the program behind the
# notebook. After a restart it has forgotten every variable, though you
# still see the old outputs. `del` makes it forget one.

# %%
answer = 42
del answer
message = provoke(1, lambda: answer)  # noqa: F821 (missing on purpose)
assert "NameError" in message

# %% [markdown]
# Cure: *Run → Run All Above Selected Cell* (Colab: *Runtime → Run before*).
# `No module named 'course_utils'` is the same story: the setup cell has not run.
#
# **2. The tutorial is older than the library.** Two lines from many recipes of 2020 to 2024:

# %%
from transformers import Trainer, TrainingArguments

out = str(folder / "errors")
message = provoke(2, lambda: TrainingArguments(out, evaluation_strategy="epoch"))
assert "evaluation_strategy" in message
message = provoke(2, lambda: Trainer(tokenizer=tokenizer))
assert "tokenizer" in message
cured = TrainingArguments(out, eval_strategy="epoch")

# %% [markdown]
# Cure: `eval_strategy`, and `Trainer(processing_class=tokenizer)`. The message names the word to
# look up in the current documentation.
#
# **3. A ragged batch.** Two texts of different length don't make a rectangle:

# %%
texts = ["Good.", "Far too long, and not a minute of it is needed."]
message = provoke(3, lambda: tokenizer(texts, return_tensors="pt"))
assert "Unable to create tensor" in message
batch = tokenizer(texts, padding=True, return_tensors="pt")
print("with padding:", tuple(batch["input_ids"].shape))

# %% [markdown]
# [Padding](glossary.md#padding) fills the shorter rows. In a training, a
# [collator](glossary.md#collator) does it per batch (lesson 03).
#
# **4. A text that is too long.** DistilBERT has 512 positions. The tokenizer only warns; the model
# stops. For this and the next errors you need
# a classifier: the model with a [head](glossary.md#head), an output layer that gives one raw score,
# a [logit](glossary.md#logit), per class. Ignore the report that loading prints, section 7 explains
# it.

# %%
from transformers import AutoModelForSequenceClassification


def new_classifier(**settings):
    return AutoModelForSequenceClassification.from_pretrained(
        lab.checkpoint, revision=lab.revision, use_safetensors=True, **settings)


model = new_classifier()
too_long = "word " * 600
message = provoke(4, lambda: model(**tokenizer(too_long, return_tensors="pt")))
assert "512" in message or "out of range" in message
print(tuple(model(**tokenizer(too_long, truncation=True, return_tensors="pt")).logits.shape))

# %% [markdown]
# Cure: `truncation=True`. The last line shows the shape of its logits: one text, two classes.
#
# **5. More classes than the head has.** A new head has two outputs unless you say otherwise:

# %%
labels = torch.tensor([0, 2])
message = provoke(5, lambda: model(**batch, labels=labels))
assert "Target" in message
print(f"with three: loss {new_classifier(num_labels=3)(**batch, labels=labels).loss.item():.2f}")

# %% [markdown]
# Cure: `num_labels=3`. Labels count from 0: three classes are 0, 1 and 2, and a file with
# labels 1, 2, 3 fails in the same way. On a GPU this fault reads
# `CUDA error: device-side assert triggered`, and afterwards *every* GPU call fails: restart the
# kernel, and look for the fault on the CPU, where the message is plain.
#
# **6. No labels, no loss.** The [loss](glossary.md#loss) is one number that says how wrong the
# answers are; training makes it smaller, and needs labels for it. The trainer drops columns whose
# names the model doesn't know. A column called `sentiment` never arrives:

# %%
from transformers.trainer_callback import PrinterCallback


def one_step(label_column, careful=True, **changes):
    rows = [dict(tokenizer(text)) | {label_column: number} for number, text in enumerate(texts)]
    arguments = TrainingArguments(out, max_steps=1, report_to="none", disable_tqdm=True,
                                  logging_strategy="no", save_strategy="no",
                                  **lab.precision_arguments, **changes)
    model = new_classifier()
    if careful:
        model.accepts_loss_kwargs = False  # section 7 says why
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    return trainer.train()


message = provoke(6, lambda: one_step("sentiment"))
assert "did not return a loss" in message
print(f"with the column label: loss {one_step('label').training_loss:.2f}")

# %% [markdown]
# Cure: `dataset.rename_column("sentiment", "label")`.
#
# **7. Two devices.** After a training on a GPU the model lives there, while the tokenizer's tensors
# lie in the CPU's memory. Without a GPU, PyTorch's device `meta`, which stores
# shapes and no numbers, stops with the same complaint:

# %%
elsewhere = "cuda" if torch.cuda.is_available() else "meta"
layer = torch.nn.Linear(4, 2, device=elsewhere)
message = provoke(7, lambda: layer(torch.ones(1, 4)))
assert "device" in message
print("cured:", tuple(layer(torch.ones(1, 4).to(layer.weight.device)).shape))

# %% [markdown]
# > Quoted: on a GPU PyTorch says
# > `Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!`
# > (nlp-with-transformers/notebooks, issues 31 and 61).
#
# Cure: `inputs = tokenizer(...).to(model.device)`.
#
# **8. Out of memory.** Ask for a tensor of $10^{15}$ numbers, 4 million gigabytes:

# %%
message = provoke(8, lambda: torch.empty(10**15))
assert "allocate" in message or "memory" in message

# %% [markdown]
# In a training, nobody asks for that much in one piece. What fills the memory? In fp32 a number
# takes 4 bytes, and training keeps four numbers per
# [parameter](glossary.md#parameter): the weight; its [gradient](glossary.md#gradient), which says
# how the error changes with it; and two running averages of the *optimiser*, the program that moves
# the weights. That is
# 16 bytes, whatever the batch. Beside them lie the [activations](glossary.md#activation): results
# of the forward pass, kept for the backward pass. The next cell counts them:
# `activation_bytes` adds up the size of every tensor that PyTorch keeps.

# %%
from course_utils.common import activation_bytes

model.train()
needs = {"weights, gradients, AdamW": 16 * model.num_parameters()}
for rows, length in [(8, 128), (4, 128), (8, 64)]:
    ids = torch.randint(1000, 8000, (rows, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[:, 0] % 2}
    needs[f"activations, {rows} × {length}"] = activation_bytes(model, inputs)
model.eval();

# %%
fixed, whole, half_batch, half_length = needs.values()
figure, ax = plots.new_figure(width=9.5, height=2.5)
plots.bars(ax, list(needs), [n / 1e6 for n in needs.values()], fmt="{:,.0f}")
ax.set(xlabel="MB (texts × tokens)",
       title=f"Half the batch needs {half_batch / whole:.0%} of the activations, "
             f"half the length {half_length / whole:.0%}")
plots.show(figure,
           "Bars of memory in a training step: "
           + ", ".join(f"{n} {b / 1e6:,.0f} MB" for n, b in needs.items()) + ".")
assert 0.4 < half_batch / whole < 0.6 and 0.3 < half_length / whole < 0.6

# %% [markdown]
# Cure: halve `per_device_train_batch_size`, set `gradient_accumulation_steps=2` (the same effective
# batch) and `model.accepts_loss_kwargs = False` (section 7 says why); shorten `max_length`;
# use 16-bit
# numbers. Half the batch halves what grows, not what is fixed. After a `CUDA out of memory`,
# restart the kernel: the failed attempt may still hold memory.
#
# **9. The Hub doesn't answer, or not to this name.** Models, data sets and metrics come from the
# [Hub](glossary.md#hub). The helper cuts the network, so that nothing is
# downloaded here:

# %%
import tempfile

import datasets
import evaluate
import huggingface_hub


def offline(action):
    """Run ``action`` as if there were no network."""
    with (mock.patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True),
          mock.patch.object(datasets.config, "HF_HUB_OFFLINE", True),
          mock.patch.object(evaluate.config, "HF_EVALUATE_OFFLINE", True)):
        return action()


empty, metric = tempfile.mkdtemp(), "accuracy"
data_message = provoke(9, lambda: offline(lambda: datasets.load_dataset('imdb', cache_dir=empty)))
model_message = provoke(9, lambda: offline(lambda: transformers.AutoModel.from_pretrained(
    "distilbert/distilbert-base-uncased", cache_dir=empty,
    local_files_only=True, use_safetensors=True)))
metric_message = provoke(9, lambda: offline(lambda: evaluate.load(metric)))
assert "imdb" in data_message and "connect" in model_message

# %% [markdown]
# The last message is misleading: the metric does exist, there is no network. Note also that loading
# a metric by its name downloads a program and runs it; this course uses
# `course_utils.metrics`, which needs no network.
#
# > Quoted: with a network, the name `imdb` alone fails too:
# > `Repository id must be 'namespace/name', got 'imdb'` (huggingface/datasets, issue 8612).
#
# Cure: write owner and name, `stanfordnlp/imdb`. Behind a wall or offline: choose the profile
# `mini`, or set `COURSE_MIRROR`.
#
# **10. 16-bit training on a CPU.** The trainer refuses `bf16=True` where it finds no GPU, though
# many CPUs can do it:

# %%
message = provoke(10, lambda: TrainingArguments(out, bf16=True))
assert "use_cpu" in message or torch.cuda.is_available()
cured = TrainingArguments(out, **lab.precision_arguments)
print("cured:", lab.precision_arguments or "nothing to set")
assert sorted(seen) == list(range(1, 11))
raised = sum(not m.startswith("no error") for messages_of in seen.values() for m in messages_of)
print(f"{len(seen)} kinds of error, {raised} messages")

# %% [markdown]
# Cure: say `use_cpu=True`, with `bf16=True` beside it only where the processor computes in bf16
# quickly (section 4). `lab.precision_arguments` holds the right words for your machine. That was
# the last of the ten.
#
# ### Exercise 0.3 Mend an old recipe ●●○ 7 minutes
#
# Older recipes stop with error 2. Write `modern(settings)`: it takes a dictionary of old arguments
# for `TrainingArguments` and returns a *new* dictionary that works
# today and means the same.
#
# | old | today |
# |---|---|
# | `evaluation_strategy` | `eval_strategy` |
# | `warmup_ratio=0.1` | `warmup_steps=0.1`: below 1 it is a share of all steps |
# | `no_cuda` | `use_cpu` |
# | `logging_dir`, `overwrite_output_dir` | gone: leave them out |

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def modern(settings):
    ### BEGIN SOLUTION
    renamed = {"evaluation_strategy": "eval_strategy", "warmup_ratio": "warmup_steps",
               "no_cuda": "use_cpu"}
    gone = {"logging_dir", "overwrite_output_dir"}
    return {renamed.get(name, name): value for name, value in settings.items() if name not in gone}
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Go through the old dictionary pair by pair. For each name there are three cases: it is gone, it
# has a new name, or it stays.
# </details>
# <details><summary>Hint 2</summary>
#
# Put the new names into a dictionary `renamed`; `renamed.get(name, name)` gives the new name, or
# the old one where nothing changed.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def old_recipe():
    return {"output_dir": out, "evaluation_strategy": "epoch", "warmup_ratio": 0.1, "no_cuda": True,
            "logging_dir": "logs", "overwrite_output_dir": True, "learning_rate": 3e-5}

def leaves_the_old_one_alone():
    settings = old_recipe()
    modern(settings)
    return settings == old_recipe()

check("0.3 Mend an old recipe",
      ("TrainingArguments accepts it",
       lambda: isinstance(TrainingArguments(**modern(old_recipe())), TrainingArguments)),
      ("it evaluates every epoch", lambda: modern(old_recipe()).get("eval_strategy") == "epoch",
       "you dropped the evaluation: rename it, otherwise nothing is measured during the training"),
      ("it still warms up over a tenth", lambda: modern(old_recipe()).get("warmup_steps") == 0.1,
       "the ratio becomes warmup_steps with the same value, below 1"),
      ("it still stays on the CPU", lambda: modern(old_recipe()).get("use_cpu") is True,
       "no_cuda is now use_cpu"),
      ("what was right stays", lambda: modern(old_recipe()).get("learning_rate") == 3e-5,
       "keep arguments that still exist"),
      ("it works on another recipe", lambda: (modern({"warmup_ratio": 0.06, "no_cuda": False})
                                              == {"warmup_steps": 0.06, "use_cpu": False}),
       "go through the dictionary that you were given, name by name"),
      ("the caller's dictionary is left alone", leaves_the_old_one_alone,
       "you changed the dictionary you were given; make a new one"));
### BEGIN HIDDEN TESTS
assert (modern({"output_dir": "x", "eval_strategy": "no"})
        == {"output_dir": "x", "eval_strategy": "no"})
assert modern({"no_cuda": False}) == {"use_cpu": False}
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Worse: faults without a message
#
# An error stops you. A silent fault lets you go on with wrong numbers. But first the reverse:
# something that looks like an error and is none.
#
# **The report of new weights.** Each `new_classifier()` above prints a report with the word
# `MISSING` when you run it yourself (older versions: "some weights … newly initialized"). The
# checkpoint has no
# [head](glossary.md#head) for your task, so a new one was made from random numbers:

# %%
transformers.utils.logging.set_verbosity_error()  # read once; don't print it again
model, report = new_classifier(output_loading_info=True)
print("new:", ", ".join(sorted(report["missing_keys"])))
with torch.no_grad():
    untrained = model.eval()(**batch).logits.softmax(-1)
print("the head's probabilities for two texts:",
      [[f"{p:.2f}" for p in row] for row in untrained.tolist()])
assert len(report["missing_keys"]) == 4 and (untrained - 0.5).abs().max() < 0.4

# %% [markdown]
# Four new tensors, and probabilities that mean nothing yet: before a fine-tuning that is right.
# After loading *your own trained* model it would be a fault: then you loaded the wrong folder.
#
# **Silent 1: logits taken for probabilities.** The model returns [logits](glossary.md#logit),
# numbers of any size. [Softmax](glossary.md#softmax) turns them into probabilities.
# The number in brackets is the axis along which the results sum to 1: `softmax(-1)` takes the last
# axis, the classes of one text. With `softmax(0)` the texts would compete with each other.

# %%
with torch.no_grad():
    logits = model(**batch).logits
print("sums of the logits:", [f"{s:.2f}" for s in logits.sum(-1).tolist()])
print("sums after softmax:", [f"{s:.2f}" for s in logits.softmax(-1).sum(-1).tolist()])
assert torch.allclose(logits.softmax(-1).sum(-1), torch.ones(2))
assert (logits.argmax(-1) == logits.softmax(-1).argmax(-1)).all()

# %% [markdown]
# The winner is the same, so accuracy won't warn you; thresholds and reports of certainty are wrong.
#
# **Silent 2: the attention mask left out.** [Padding](glossary.md#padding) must be hidden by the
# [attention mask](glossary.md#attention-mask). Pass the ids alone, and the same text gets another
# answer beside a longer one.
# The numbers are the largest change of a logit against the text alone: about 0 (rounding) is right,
# anything visible is wrong.

# %%
with torch.no_grad():
    alone = model(**tokenizer(texts[:1], return_tensors="pt")).logits[0]
    with_mask = model(**batch).logits[0]
    without_mask = model(batch["input_ids"]).logits[0]
change = {"with mask": (with_mask - alone).abs().max().item(),
          "without": (without_mask - alone).abs().max().item()}
print({name: f"{value:.1e}" for name, value in change.items()})
assert change["with mask"] < 1e-4 < change["without"]

# %% [markdown]
# **Silent 3: `label` in a loop of your own.** The trainer renames `label` to `labels`. Your own
# loop doesn't, and the model ignores words it doesn't know:

# %%
print("label: ", model(**batch, label=torch.tensor([0, 1])).loss)
print("labels:", model(**batch, labels=torch.tensor([0, 1])).loss.item())
assert model(**batch, label=torch.tensor([0, 1])).loss is None

# %% [markdown]
# **Silent 4: empty attention plots.** The fast attention never stores its weights. Ask for them,
# and you get an empty tuple; the slower `eager` keeps them.

# %%
fast = model(**batch, output_attentions=True).attentions
eager = new_classifier(attn_implementation="eager").eval()(
    **batch, output_attentions=True).attentions
print("fast:", fast, "· eager:", len(eager), "layers of shape", tuple(eager[0].shape))
assert not fast and len(eager) == model.config.num_hidden_layers

# %% [markdown]
# **Silent 5: gradient accumulation multiplies the loss.** [Gradient
# accumulation](glossary.md#gradient-accumulation) takes several small batches for one step. The
# trainer
# believes that this model divides its loss by the number of items in all of them. It doesn't. One
# line, `model.accepts_loss_kwargs = False`, tells the trainer so:

# %%
twice = dict(per_device_train_batch_size=1, gradient_accumulation_steps=2)
losses = {name: one_step("label", careful, **twice).training_loss
          for name, careful in {"with the line": True, "without": False}.items()}
print({name: f"{loss:.2f}" for name, loss in losses.items()})
assert losses["without"] > 1.5 * losses["with the line"]

# %% [markdown]
# Silent faults have one cure: write down what must hold, and let an `assert` watch it. Rows sum
# to 1. A text alone and in a batch gives the same answer. The loss is a number.
#
# ### Exercise 0.4 Three faults without a message ●●○ 10 minutes
#
# A colleague's function runs on short texts without a word of complaint. It has three faults; you
# have met all of them in sections 6 and 7. Write it anew: it
# returns the class probabilities, shape `(texts, classes)`.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def class_probabilities(model, texts):
    # The colleague's version:
    #     inputs = tokenizer(texts, padding=True, return_tensors="pt").to(model.device)
    #     with torch.no_grad():
    #         return model(inputs["input_ids"]).logits.softmax(0)
    ### BEGIN SOLUTION
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(model.device)
    with torch.no_grad():
        return model(**inputs).logits.softmax(-1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Follow one text through the function. What happens if it is the shorter of two? If it has 600
# words? Over what does the softmax sum?
# </details>
# <details><summary>Hint 2</summary>
#
# Hand over everything the tokenizer made (`**inputs`), let it truncate, and take the softmax over
# the last axis.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_4", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def same_alone():
    return torch.allclose(class_probabilities(model, texts)[:1],
                          class_probabilities(model, texts[:1]), atol=1e-5)


def sums_to_one():
    p = class_probabilities(model, texts)
    return bool((p >= 0).all()) and torch.allclose(p.sum(-1), torch.ones(2), atol=1e-5)


check("0.4 Three silent faults",
      ("one row per text, one column per class",
       lambda: tuple(class_probabilities(model, texts).shape) == (2, 2),
       "return all probabilities, not the winner"),
      ("each text's probabilities sum to 1", sums_to_one,
       "softmax over the last axis: the classes compete, not the texts; "
       "logits and sigmoids don't sum to 1"),
      ("a text alone and in a batch gets the same answer", same_alone,
       "the padding was read as text: hand over the attention mask"),
      ("a text of 600 words is no problem",
       lambda: tuple(class_probabilities(model, [too_long]).shape) == (1, 2)),
      ("it keeps no activations", lambda: not class_probabilities(model, texts).requires_grad,
       "predict under torch.no_grad(), otherwise the memory for a backward pass is kept"));
### BEGIN HIDDEN TESTS
assert torch.allclose(class_probabilities(model, texts[::-1])[1],
                      class_probabilities(model, texts)[0], atol=1e-5)
assert class_probabilities(model, [too_long, "Short."]).shape == (2, 2)
### END HIDDEN TESTS

# %% [markdown]
# ## What to remember
#
# 1. The model always answers. A probability is not knowledge: the probabilities sum to 1 whatever
#    the text is.
# 2. Compare every result with a cheap rival, even on the first day.
# 3. Estimate before you train: tokens, divided by tokens per second in the same number format,
#    times three, at least.
# 4. What isn't saved and read back is lost; on Colab the disk goes with the machine.
# 5. Read the last line of an error first. Guard against silent faults with asserts.
#
# ## Common mistakes
#
# Section 6 has the table of ten errors. Four more, about notebooks:
#
# | what you see | what it means | cure |
# |---|---|---|
# | numbers differ from the page you read | cells ran twice or out of order | restart the kernel and run all |
# | `[*]` beside a cell for minutes | it is still running | wait for the estimate's time, then *Kernel → Interrupt* |
# | changes vanish after a reload | the notebook was not saved | Ctrl+S; on Colab, save a copy in Drive |
# | `not attempted yet` though you wrote code | the line `raise NotImplementedError()` is still there, or the cell was not run again | delete the line, run the cell, then the check |
#
# **Where next?** [The route through the lessons](README.md) says what to read in an hour, a day or
# a week.
#
# ## Further reading
#
# * Sanh, Debut, Chaumond, Wolf 2019, *DistilBERT, a distilled version of BERT*, arXiv 1910.01108v4.
# * Threads behind the errors: huggingface/transformers issues 5421 and 30099 (new weights), 20638
#   (ragged batches), 278 and 1948 (attention mask), pull request 30190 (renamed arguments);
#   huggingface/datasets issue 8612 (names without owner); nlp-with-transformers/notebooks issues 31
#   and 61 (devices).
# * Google Research, README of BERT, section on out-of-memory issues: the largest batch by length on
#   one GPU.

# %%
lab.finish(f"first prediction after {first_prediction:.0f} s; "
           f"requests {accuracy['DistilBERT']:.0%} right, "
           f"counting words {accuracy['counting words']:.0%}; "
           f"{raised} errors provoked and cured")
