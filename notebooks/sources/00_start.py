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
# # What can DistilBERT do for you in ten minutes?
#
# DistilBERT is a small language model that reads English text. Here you let it guess words, then
# teach it to sort messages by what their writers want. Beside it runs a rival that only counts
# words: is the model worth its trouble?
#
# **After this lesson you can**
#
# 1. get predictions from DistilBERT, and say what they are worth;
# 2. fine-tune it for a question of your own, and compare it with a cheap rival;
# 3. use the exercises, hints and checks of this course.
#
# **What it costs**
#
# {{cost}}
#
# A [profile](glossary.md#profile) decides the size of every lesson. `mini` takes a small DistilBERT
# and small data that come with the course; `cpu` and `gpu` fetch the published model and public
# data. The ten minutes are `mini`'s: write `profile = "mini"` below to be sure of them.

# %% [markdown]
# ## Setup
#
# Click into a cell and press Shift+Enter to run it; go from top to bottom. The first cell finds the
# course and installs what is missing. On Colab that may take a minute or two.

# %% tags=["setup"]
# {{setup}}

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": gpu where CUDA and the Hub are there, else mini

# %% [markdown]
# Every lesson begins with `start_lab`. It looks at the machine and says which profile it chose.

# %%
import time

began = time.perf_counter()
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. Which word is missing?
#
# DistilBERT learned by filling gaps. Some words of a text were hidden, and it had to guess them
# from the words on both sides. So that is what it can do at once: write `[MASK]` for the hidden
# word, and ask.

# %%
from course_utils import plots

plots.picture("masked-word")

# %%
from transformers import pipeline

fill = pipeline("fill-mask", model=lab.checkpoint, revision=lab.revision, device=lab.device,
                model_kwargs={"use_safetensors": True})
answers = fill("It was the [MASK] time that he had seen her.", top_k=10)
first_prediction = time.perf_counter() - began
for answer in answers[:3]:
    print(f"{answer['score']:6.1%}  {answer['token_str']}")

# %% tags=["assert"]
assert answers[0]["token_str"] in {"first", "last"}

# %% [markdown]
# Your first prediction: words, each with a [probability](glossary.md#probability). Now ask for
# something that no model can know.

# %%
unknowable = fill("My grandmother's name is [MASK].", top_k=10)
five = [sum(a["score"] for a in top[:5]) for top in (answers, unknowable)]

figure, axes = plots.new_figure(columns=2, width=10, height=2.6)
for ax, text, top in zip(axes, ["It was the [MASK] time that he had seen her.",
                                "My grandmother's name is [MASK]."], [answers, unknowable]):
    plots.bars(ax, [a["token_str"] for a in top[:5]], [a["score"] for a in top[:5]], fmt="{:.1%}")
    ax.set(xlim=(0, 1.2 * max(a["score"] for a in answers + unknowable)), xlabel=text)
axes[0].set_title(f"Context narrows it: five guesses share {five[0]:.0%}")
axes[1].set_title(f"Nothing tells the name: five share {five[1]:.0%}")
plots.show(figure,
           "Bars of the five best guesses for two sentences. "
           f"Left: {answers[0]['token_str']} {answers[0]['score']:.1%} and four more. "
           f"Right, for a grandmother's name: {unknowable[0]['token_str']} "
           f"{unknowable[0]['score']:.1%} and four more.")

# %%
best, next_best, lost = answers[0], answers[1], unknowable[0]
settled = "settles it" if best["score"] > 0.9 else "doesn't settle it"
plots.finding(
    f"The sentence narrows the choice and {settled}: “{best['token_str']}” gets "
    f"{best['score']:.0%}, “{next_best['token_str']}” {next_best['score']:.0%}. The name isn't "
    f"given, and still the model answers: “{lost['token_str']}”, {lost['score']:.1%}.")

# %% tags=["assert"]
assert five[0] > 2 * five[1]

# %% [markdown]
# The model cannot say "I don't know". It spreads a total of 1 over all words of its
# [vocabulary](glossary.md#vocabulary), whatever the sentence. If no guess gets much, the
# model may not know, or many words may fit. Try a sentence of your own:

# %%
mine = "This film was very [MASK]."
print(", ".join(f"{a['token_str']} {a['score']:.1%}" for a in fill(mine, top_k=5)))

# %% [markdown]
# ## 2. What does the writer want?
#
# Filling gaps is rarely your job. But for its first task the model had to turn text into numbers
# that say something about its meaning, and a short training can point them at your question. That
# training is called [fine-tuning](glossary.md#fine-tuning). On `mini` the model is not the
# published DistilBERT: [it began as MiniLM](../data/models/mini-distilbert/README.md), tuned to
# recognise sentences with similar meaning, and filled gaps only briefly. That may help here.
#
# The question here: what does the writer of a message want? The task `requests` has short messages,
# each labelled with one wish (the field says [intent](glossary.md#intent)). On `mini` they go to a
# shop's support and were written for this course; on `cpu` and `gpu` they go to an assistant
# (CLINC150). Messages without a wish are left out.

# %%
from course_utils.data import TASKS, load_task

requests = load_task("requests", lab.profile)
names = requests["train"].features["label"].names
no_wish = names.index(TASKS["requests"].out_of_scope(names))  # belongs to no wish: lesson 07
train, validation = (
    requests[split].filter(lambda label: label != no_wish, input_columns="label")
    for split in ("train", "validation"))
for row in train.select([0, 300, 600]):
    print(f"[{names[row['label']]}] {row['text']}")
print(f"{len(train):,} to learn from, {len(validation):,} to judge on, {len(names) - 1} wishes")

# %% tags=["assert"]
assert "writer" not in train.column_names or not set(train["writer"]) & set(validation["writer"])

# %% [markdown]
# **First the rival.** It knows no language. It counts which words occur in a text
# ([TF-IDF](glossary.md#tf-idf)) and learns one weight per word and wish.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

counting = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000))
counting.fit(train["text"][:], train["label"][:])
print(f"counting words: {counting.score(validation['text'][:], validation['label'][:]):.1%} right")

# %% [markdown]
# **Now DistilBERT.** The drawing shows what happens to a text. The tokenizer cuts it into known
# pieces and puts `[CLS]` before them; six layers, stages of arithmetic, turn each piece into a
# vector, a list of numbers; a *head* turns the vector of `[CLS]` into one score per wish, and one
# for "no wish", of which it gets no examples here. The head is new and knows nothing. Training
# shows the model a *batch* of texts, here 16, then moves all its *weights*, the numbers that it
# computes with, a little towards the right wishes; then the next batch.

# %%
plots.picture("text-to-label")

# %%
from transformers import (AutoModelForSequenceClassification, AutoTokenizer,
                          DataCollatorWithPadding, Trainer, TrainingArguments, utils)
from transformers.trainer_callback import PrinterCallback

utils.logging.set_verbosity_error()  # no report on the new head, which is meant to be new
tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)


def encode(batch):
    return tokenizer(batch["text"], truncation=True, max_length=64)


train, validation = (split.map(encode, batched=True) for split in (train, validation))
model = AutoModelForSequenceClassification.from_pretrained(
    lab.checkpoint, revision=lab.revision, use_safetensors=True, num_labels=len(names))

# %% [markdown]
# A dozen settings, explained in lessons [04](04_hyperparameters.ipynb) and [05](05_training.ipynb).
# Two decide most: how often the model reads the texts (4 [epochs](glossary.md#epoch)), and how far
# each step moves it, the [learning rate](glossary.md#learning-rate), printed below.

# %%
from course_utils.timing import estimate_training

settings = TrainingArguments(
    str(lab.workdir / "sorter"),
    num_train_epochs=4, learning_rate=3 * lab.profile.learning_rate,
    per_device_train_batch_size=16, seed=lab.seed,
    warmup_steps=0.1,  # below 1 it is a share of all steps: the rate rises during the first tenth
    save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
    **lab.precision_arguments)
trainer = Trainer(model, settings, train_dataset=train, processing_class=tokenizer,
                  data_collator=DataCollatorWithPadding(tokenizer))
trainer.remove_callback(PrinterCallback)  # the lines below say what matters
print(f"learning rate {settings.learning_rate:g}")
estimate_training(trainer)  # real steps on a copy of the model
result = trainer.train()
print(f"trained in {result.metrics['train_runtime']:.0f} s, {trainer.state.global_step} steps")

# %%
import numpy as np

from course_utils.metrics import bootstrap_interval

truth = np.array(validation["label"])
logits = trainer.predict(validation).predictions  # one score per text and wish
model_name = "mini-distilbert" if lab.profile.source == "embedded" else "DistilBERT"
right = {"guessing": np.full(len(truth), 1 / (len(names) - 1)),
         "counting words": counting.predict(validation["text"][:]) == truth,
         model_name: logits.argmax(-1) == truth}
accuracy = {name: float(np.mean(hits)) for name, hits in right.items()}

# %% tags=["readme-figure"]
figure, ax = plots.new_figure(width=8, height=2.2)
plots.bars(ax, list(accuracy), list(accuracy.values()),
           [bootstrap_interval(np.mean, np.asarray(hits, float)) for hits in right.values()],
           fmt="{:.0%}")
ax.set(xlim=(0, 1.1), xlabel=f"share of {len(truth)} requests sorted right; 95 % interval",
       title=f"{model_name} sorts {accuracy[model_name]:.0%} right, "
             f"counting words {accuracy['counting words']:.0%}")
plots.show(figure, "Bars of accuracy on held-back requests: "
           + ", ".join(f"{name} {value:.0%}" for name, value in accuracy.items()) + ".")

# %%
gains = right[model_name].astype(float) - right["counting words"]  # request by request
lead, low, high = (100 * x for x in (gains.mean(), *bootstrap_interval(np.mean, gains)))
verdict = "beats" if low > 0 else "loses to" if high < 0 else "isn't shown to beat"
writers = len(set(validation["writer"])) if "writer" in validation.column_names else 0
whose = (f"The requests are by {writers} writer{'s' * (writers > 1)}, new to both: the interval "
         "covers more requests by the same hand, not other writers."
         if writers else "The interval takes the requests as independent.")
plots.finding(f"In one training run of {result.metrics['train_runtime']:.0f} seconds, {model_name} "
              f"{verdict} counting words: {lead:+.0f} points (95% interval {low:+.0f} to "
              f"{high:+.0f}). {whose}")

# %% tags=["assert"]
assert low > 0

# %% [markdown]
# The interval says how far the difference could move with other requests of the same kind. Are
# these points worth the minutes of training, where the counter needed none? That depends on what a
# wrongly sorted message costs you.
#
# Why does the model lead? A likely reason, not tested here: the same wish comes in words that the
# counter has no weight for, on `mini` from a new person. On `mini`, lesson [05](05_training.ipynb)
# judges on two further writers, where the lead is smaller, and lesson [06](06_evaluation.ipynb) has
# a task where the model isn't shown to pay.
#
# Three requests that nobody in the data wrote. At least one belongs to no wish: which?

# %%
import torch

tries = ["The mug was in four pieces when I opened the box.",
         "i was billed two times for the same rucksack",
         "Is it going to rain in Vienna on Sunday?"]
inputs = tokenizer(tries, padding=True, return_tensors="pt").to(model.device)
with torch.no_grad():  # compute only, prepare no training
    probabilities = model.eval()(**inputs).logits.float().softmax(-1)
for text, p in zip(tries, probabilities):
    print(f"{names[p.argmax()]:18} {p.max():4.0%}  {text}")

# %%
stray = 0 if "weather" in names else 2  # CLINC150 has a wish for the weather, and no broken mug
p = probabilities[stray]
plots.finding(f"“{tries[stray]}” is none of the {len(names) - 1} wishes, and the model sorts it "
              f"all the same: “{names[p.argmax()]}”, {p.max():.0%} sure. “{names[no_wish]}” gets "
              f"{p[no_wish]:.1%}.")

# %% [markdown]
# The head has a score for "none of these", but it never saw an example of that.
# [Lesson 07](07_intents.ipynb) hands such messages to a person, and tries training with some.
#
# ## 3. How do exercises and checks work?
#
# An exercise is a function with a gap. Replace its line `raise NotImplementedError()` with your
# code, run the cell, then run the *check* below. Somebody who computes the share of right
# predictions and always divides by 4 would read:
#
# ```text
# ✅ 3 of 4 give 0.75
# ❌ 1 of 2 gives 0.5: you divided by 4; divide by the number of rows
# ```
#
# A tick: this property holds. A cross says what probably went wrong. Dots ●○○ to ●●● give the
# difficulty; hints and solution are folded. No later cell needs your answer, so you may skip an
# exercise. The last cell of each lesson lists what you have solved, from a file on this machine.
#
# ### Exercise 0.1 Which rank has the word? ●○○ 4 minutes
#
# `fill` returns a list of dictionaries, the best guess first. Write a function that returns the
# rank of a word among them: 1 for the best guess, and `None` for a word that isn't there. The model
# is *uncased*, it knows small letters only; someone who asks for `Paris` wants `paris`.

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
      ("it works on other answers", lambda: rank_of(guessed[::-1], "lyon") == 3,
       "find the rank in the list that you were given"));
### BEGIN HIDDEN TESTS
assert rank_of([], "x") is None and rank_of(guessed[::-1], "LYON") == 3
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 0.2 Where is it surely wrong? ●●○ 7 minutes
#
# The most useful row of any result is the one where the model is sure, and wrong. Write a function
# that finds it. `logits` has one row per text and one score per class, `truth` the right classes.
# The [softmax](glossary.md#softmax) makes probabilities of a row: e to the power of each score
# (`np.exp`), divided by the row's sum of those. Return the number of the row whose *wrong* answer
# has the highest probability, or `None` where every answer is right.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def surest_mistake(logits, truth):
    ### BEGIN SOLUTION
    logits, truth = np.asarray(logits, dtype=float), np.asarray(truth)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    wrong = np.flatnonzero(logits.argmax(axis=1) != truth)
    return int(wrong[sure[wrong].argmax()]) if len(wrong) else None
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which rows are wrong: `logits.argmax(axis=1) != truth`. How sure was each: its largest
# probability, not its largest logit.
# </details>
# <details><summary>Hint 2</summary>
#
# A loop over the rows will do: `row.argmax()` is the predicted class, `np.exp(row - row.max())`
# divided by its sum the softmax (the largest is subtracted so that no number overflows). Without a
# loop: `axis=1, keepdims=True`.
# </details>

# %% tags=["grading"]
# stands in for the trained sorter when the exercise is graded
import numpy as np

logits = np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [1.0, 4.0, 0.0], [0.5, 0.0, 0.0]])
truth = np.array([0, 1, 1, 2])
names, validation = ["a", "b", "c"], {"text": ["one", "two", "three", "four"]}

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
shown = np.array([[3.0, 0.0], [4.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
tall = np.array([[9.0, 8.9], [4.0, 0.0]])  # a large logit, and hardly sure


def agrees_with_a_loop(seed=0):
    draw = np.random.default_rng(seed)
    scores, right = draw.normal(size=(40, 5)), draw.integers(5, size=40)
    best, row = -1.0, None
    for i, line in enumerate(scores):
        p = np.exp(line).max() / np.exp(line).sum()
        if line.argmax() != right[i] and p > best:
            best, row = p, i
    return surest_mistake(scores, right) == row


solved = check(
      "0.2 Where is it surely wrong?",
      ("it finds the wrong row", lambda: surest_mistake(shown, [0, 0, 1, 0]) == 3,
       "return the number of the one row whose answer is wrong, counted from 0"),
      ("of two wrong rows it takes the surer", lambda: surest_mistake(shown, [1, 1, 1, 1]) == 1,
       "among the wrong rows take the highest probability, not the first and not the lowest"),
      ("sure means probability, not logit", lambda: surest_mistake(tall, [1, 1]) == 1,
       "9.0 against 8.9 is hardly sure: compare after the softmax"),
      ("no mistake gives None", lambda: surest_mistake(shown, [0, 0, 1, 1]) is None,
       "return None where every answer is right"),
      ("it agrees with a slow loop on 40 random rows", agrees_with_a_loop,
       "look at every row and at all classes"))
if solved and (row := surest_mistake(logits, truth)) is not None:
    print(f"the sorter took {validation['text'][row]!r} for {names[logits[row].argmax()]}; "
          f"it is {names[truth[row]]}")
else:
    print("Solve it to see where the sorter is surely wrong.")
### BEGIN HIDDEN TESTS
assert all(agrees_with_a_loop(seed) for seed in range(1, 6))
assert surest_mistake(shown[:2], [1, 1]) == 1 and surest_mistake(shown[:1], [0]) is None
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 0.3 Which two are mixed up? ●●○ 6 minutes
#
# Write a function that returns the pair `(true, predicted)` of the commonest mistake, and how often
# it was made: `((true, predicted), times)`. Of pairs that are equally common take the one that
# comes first when the pairs are sorted; return `(None, 0)` where there is no mistake.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def commonest_mistake(true, predicted):
    ### BEGIN SOLUTION
    from collections import Counter

    mistakes = Counter((int(t), int(p)) for t, p in zip(true, predicted, strict=True) if t != p)
    if not mistakes:
        return None, 0
    pair = min(mistakes, key=lambda pair: (-mistakes[pair], pair))
    return pair, mistakes[pair]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Go through the rows in pairs and keep those where the two differ. `(true, predicted)` and
# `(predicted, true)` are different mistakes.
# </details>
# <details><summary>Hint 2</summary>
#
# `collections.Counter` counts pairs, and so does a dictionary. `min` with `key=lambda pair:
# (-mistakes[pair], pair)` takes the commonest, and of equals the smallest.
# </details>

# %% tags=["grading"]
# stands in for the trained sorter when the exercise is graded
import numpy as np

logits = np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [1.0, 4.0, 0.0], [0.5, 0.0, 0.0]])
truth, names = np.array([0, 1, 1, 2]), ["a", "b", "c"]

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def counted_slowly(seed=0):
    draw = np.random.default_rng(seed)
    true, predicted = draw.integers(3, size=60).tolist(), draw.integers(3, size=60).tolist()
    times = {(a, b): sum(t == a and p == b for t, p in zip(true, predicted, strict=True))
             for a in range(3) for b in range(3) if a != b}
    pair = sorted(times, key=lambda pair: (-times[pair], pair))[0]
    return commonest_mistake(true, predicted) == (pair, times[pair])


solved = check(
      "0.3 Which two are mixed up?",
      ("the commonest mistake and its count",
       lambda: commonest_mistake([0, 1, 1, 2], [0, 2, 2, 1]) == ((1, 2), 2),
       "count the pairs (true, predicted) that differ, and return the pair with its count"),
      ("right answers are no mistakes",
       lambda: commonest_mistake([0, 0, 0, 1], [0, 0, 0, 2]) == ((1, 2), 1),
       "leave out the rows where both agree"),
      ("1 for 2 is not 2 for 1",
       lambda: commonest_mistake([1, 2, 2, 1, 2], [2, 1, 1, 2, 1]) == ((2, 1), 3),
       "keep the order in the pair: true first, predicted second"),
      ("of equals the first when sorted",
       lambda: commonest_mistake([3, 1, 3, 1], [0, 2, 0, 2]) == ((1, 2), 2),
       "both pairs occur twice: take the smaller pair"),
      ("without a mistake (None, 0)", lambda: commonest_mistake([1, 2], [1, 2]) == (None, 0),
       "return (None, 0) where all answers are right"),
      ("it agrees with slow counting on 60 random rows", counted_slowly,
       "count over all rows that you were given"))
if solved:
    (was, said), times = commonest_mistake(truth, logits.argmax(-1))
    print(f"{times} times the sorter took {names[was]} for {names[said]}")
else:
    print("Solve it to see which two wishes the sorter mixes up most.")
### BEGIN HIDDEN TESTS
assert all(counted_slowly(seed) for seed in range(1, 6)) and commonest_mistake([], []) == (None, 0)
### END HIDDEN TESTS

# %% [markdown]
# ### Question 0.4 Change one number ●○○ 6 minutes, in writing
#
# In the cell with the settings, change *one* number: `num_train_epochs=1`, or a thousandth of the
# learning rate that it printed, `learning_rate=0.003 * lab.profile.learning_rate`. Write down what
# you expect, then run from the cell that makes `model` to the figure. What happened to the model's
# bar, what to the other two, and why?

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w0_4", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# The model's bar falls. One epoch makes a quarter of the steps, each of full size; where one epoch
# already has hundreds of steps, as on `gpu`, the bar may hardly move. A thousandth of the rate
# makes all steps, each a thousandth as far: the head stays near its random start, and the bar falls
# to about guessing. Counting words and guessing stay exactly where they were, because the setting
# belongs to the model's training alone. Pretraining brought the knowledge of words; only enough,
# and large enough, steps connect it to the wishes.
#
# Two things must be in it: the model's bar falls (with one epoch on `gpu` perhaps hardly) because
# it got too few or too small steps, and the other two don't change.

# %% [markdown]
# ## 4. How do you keep your work, and where next?
#
# **On Colab** the machine is lent, and its disk goes when it goes. A notebook opened from a badge
# is not yours until you choose *File → Save a copy in Drive*. For files, mount Drive before you
# train:
#
# ```python
# from google.colab import drive
# drive.mount("/content/drive")  # then write below /content/drive/MyDrive
# ```
#
# **On your own machine** work on a copy, such as `my_00_start.ipynb` in the same folder. `git pull`
# then brings corrections without touching your answers.
#
# | you want to | read |
# |---|---|
# | classify texts of your own | [10](10_your_data.ipynb) at once; [03](03_batches.ipynb), [05](05_training.ipynb), [06](06_evaluation.ipynb) to understand it |
# | understand the model | [01](01_distilbert.ipynb), [02](02_distillation.ipynb) |
# | get the last points out of it | [04](04_hyperparameters.ipynb) |
# | know what your machine can do | [appendix: your machine](appendix_machine.ipynb) |
# | mend an error | [appendix: ten errors](appendix_errors.ipynb) |
#
# ## What to remember
#
# 1. The model always answers, whatever the text: a probability is not knowledge.
# 2. Fine-tuning joins a new head to a pretrained model and moves all weights a little.
# 3. Compare every result with a cheap rival, even on the first day.
# 4. Judge on texts that are new in the way that tomorrow's will be: by other writers, for example.
# 5. A model sorts everything, also what belongs nowhere.
#
# ## Take this with you
#
# The same recipe, shortened: the published model on your texts, judged on texts held back, beside
# counting words, and loaded again. It needs `pip install transformers datasets accelerate torch
# scikit-learn` and, the first time, a network.
#
# ```python
# from datasets import Dataset
# from sklearn.feature_extraction.text import TfidfVectorizer
# from sklearn.linear_model import LogisticRegression
# from sklearn.pipeline import make_pipeline
# from transformers import (AutoModelForSequenceClassification, AutoTokenizer, Trainer,
#                           TrainingArguments, pipeline)
#
# texts = ["Where is my parcel?", "Has it shipped yet?", "I want my money back", "Refund me, please"]
# labels = [0, 0, 1, 1]  # yours: 0, 1, 2, … without gaps; some dozens of texts for each
# held_texts, held_labels = ["Any news of my order?", "Pay me back"], [0, 1]  # by other writers
#
# name = "distilbert/distilbert-base-uncased"
# tokenizer = AutoTokenizer.from_pretrained(name)
# rows = Dataset.from_dict({**tokenizer(texts, truncation=True, max_length=64), "label": labels})
# model = AutoModelForSequenceClassification.from_pretrained(
#     name, num_labels=len(set(labels)), use_safetensors=True)
# settings = TrainingArguments(
#     "sorter", num_train_epochs=4, per_device_train_batch_size=16, warmup_steps=0.1,
#     learning_rate=1.5e-4,  # for short texts; if the printed loss doesn't fall, try 5e-5
#     logging_strategy="epoch", save_strategy="no", report_to="none")
# trainer = Trainer(model, settings, train_dataset=rows, processing_class=tokenizer)
# trainer.train()
# trainer.save_model("sorter")
#
# sorter = pipeline("text-classification", model="sorter")  # in any program from now on
# said = [sorter.model.config.label2id[answer["label"]]
#         for answer in sorter(held_texts, truncation=True)]  # without it a long text is an error
# counting = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(texts, labels)
# print("DistilBERT", sum(a == b for a, b in zip(said, held_labels)) / len(said),
#       "counting words", counting.score(held_texts, held_labels))
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | numbers differ from the page you read | cells ran twice or out of order, or another machine | restart the kernel and run all |
# | `[*]` beside a cell for minutes | it is still running | wait as long as the estimate says, then *Kernel → Interrupt* |
# | `not attempted yet` though you wrote code | the line `raise NotImplementedError()` is still there, or the cell was not run again | delete the line, run the cell, then the check |
#
# ## Further reading
#
# * Sanh, Debut, Chaumond, Wolf 2019,
#   [*DistilBERT, a distilled version of BERT*](https://arxiv.org/abs/1910.01108v4).
#
# Next: [03, how texts become batches](03_batches.ipynb), if you have texts to classify, or
# [01, what DistilBERT is](01_distilbert.ipynb).

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"first prediction after {first_prediction:.0f} s; "
           f"requests: {model_name} {accuracy[model_name]:.0%} right, "
           f"counting words {accuracy['counting words']:.0%}")
