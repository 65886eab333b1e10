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
# DistilBERT is a small language model that reads English text. Here you let it guess words, then teach
# it to sort what customers write to a shop. Beside it runs a rival that only counts words: is the model
# worth its trouble?
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
# A [profile](glossary.md#profile) decides the size of every lesson: `mini` uses a small DistilBERT that
# comes with the course and runs anywhere, `cpu` and `gpu` the published one. The code is the same.

# %% [markdown]
# ## Setup
#
# Click into a cell and press Shift+Enter to run it; go from top to bottom. The first cell finds the
# course and installs what is missing. On Colab that may take a minute or two.

# %% tags=["setup"]
# {{setup}}

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": the largest that this machine and network allow

# %% [markdown]
# Every lesson begins with `start_lab`. It looks at the machine, chooses a profile, and says what it chose.

# %%
import time

began = time.perf_counter()
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. Which word is missing?
#
# DistilBERT learned by filling gaps. Some words of a text were hidden, and it had to guess them from the
# words on both sides. So that is what it can do at once: write `[MASK]` for the hidden word, and ask.

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
# Your first prediction: words, each with a [probability](glossary.md#probability). Now ask for something
# that no model can know, and put both answers side by side.

# %%
unknowable = fill("My grandmother's name is [MASK].", top_k=10)

figure, axes = plots.new_figure(columns=2, width=10, height=2.6)
for ax, text, top in zip(axes, ["It was the [MASK] time that he had seen her.",
                                "My grandmother's name is [MASK]."], [answers, unknowable]):
    plots.bars(ax, [a["token_str"] for a in top[:5]], [a["score"] for a in top[:5]], fmt="{:.1%}")
    ax.set(xlim=(0, 1.2 * max(a["score"] for a in answers + unknowable)), xlabel=text)
axes[0].set_title(f"There is an answer: “{answers[0]['token_str']}” first")
axes[1].set_title(f"There is none: “{unknowable[0]['token_str']}” first")
plots.show(figure,
           "Bars of the five best guesses for two sentences. "
           f"Left: {answers[0]['token_str']} {answers[0]['score']:.1%} and four more. "
           f"Right, for a grandmother's name: {unknowable[0]['token_str']} "
           f"{unknowable[0]['score']:.1%} and four more.")

# %%
sure, lost = answers[0], unknowable[0]
plots.finding(
    f"Where the sentence tells, “{sure['token_str']}” gets {sure['score']:.0%}. For the name, "
    "which nobody could know, the model still answers: "
    f"“{lost['token_str']}”, {lost['score']:.1%}.")

# %% [markdown]
# The model cannot say "I don't know". It spreads a total of 1 over all words of its
# [vocabulary](glossary.md#vocabulary), whatever the sentence. Low numbers, spread out, are a sign of
# ignorance, and not a reliable one. Try a sentence of your own:

# %%
mine = "This film was very [MASK]."
print(", ".join(f"{a['token_str']} {a['score']:.1%}" for a in fill(mine, top_k=5)))

# %% [markdown]
# ## 2. What does this customer want?
#
# Filling gaps is rarely your job. But to guess words, the model had to turn text into numbers that say
# something about its meaning, and a short training can point them at your question. That training is
# called [fine-tuning](glossary.md#fine-tuning).
#
# The question here: what does a customer want? The course's data set `requests` has messages such as a
# shop's support gets, written for this course, each labelled with one wish. The messages to judge on are by people who wrote
# none of those to learn from.

# %%
from course_utils.data import TASKS, load_task

requests = load_task("requests", lab.profile)
names = requests["train"].features["label"].names
outside = names.index(TASKS["requests"].out_of_scope(names))  # belongs to no wish: lesson 07
train, validation = (
    requests[split].filter(lambda label: label != outside, input_columns="label")
    for split in ("train", "validation"))
for row in train.select([0, 300, 600]):
    print(f"[{names[row['label']]}] {row['text']}")
print(f"{len(train):,} to learn from, {len(validation):,} to judge on, {len(names) - 1} wishes")

# %% [markdown]
# **First the rival.** It knows no language. It counts which words stand in a text
# ([TF-IDF](glossary.md#tf-idf)) and learns one weight per word and wish. It trains in a second.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

counting = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000))
counting.fit(train["text"][:], train["label"][:])
print(f"counting words: {counting.score(validation['text'][:], validation['label'][:]):.1%} right")

# %% [markdown]
# **Now DistilBERT.** The drawing shows what happens to a text. The tokenizer cuts it into known pieces;
# six layers turn the pieces into vectors; a *head* turns the first vector into one score per wish. The
# head is new and knows nothing. Training moves all weights a little, batch by batch, so that the right
# wish gets the highest score.

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
# One line of them decides most: how often it reads the texts, and how far each step moves.

# %%
settings = TrainingArguments(
    str(lab.workdir / "sorter"),
    num_train_epochs=4, learning_rate=3 * lab.profile.learning_rate,
    per_device_train_batch_size=16, warmup_steps=0.1, seed=lab.seed,
    save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
    **lab.precision_arguments)
trainer = Trainer(model, settings, train_dataset=train, processing_class=tokenizer,
                  data_collator=DataCollatorWithPadding(tokenizer))
trainer.remove_callback(PrinterCallback)  # the line below says what matters
result = trainer.train()
print(f"trained in {result.metrics['train_runtime']:.0f} s")

# %%
import numpy as np

from course_utils.metrics import bootstrap_interval

truth = np.array(validation["label"])
logits = trainer.predict(validation).predictions  # one score per text and wish
right = {"guessing": np.full(len(truth), 1 / (len(names) - 1)),
         "counting words": counting.predict(validation["text"][:]) == truth,
         "DistilBERT": logits.argmax(-1) == truth}
accuracy = {name: float(np.mean(hits)) for name, hits in right.items()}

# %% tags=["readme-figure"]
figure, ax = plots.new_figure(width=8, height=2.2)
plots.bars(ax, list(accuracy), list(accuracy.values()),
           [bootstrap_interval(np.mean, np.asarray(hits, float)) for hits in right.values()],
           fmt="{:.0%}")
ax.set(xlim=(0, 1.1), xlabel=f"share of {len(truth)} requests sorted right; 95 % interval",
       title=f"DistilBERT sorts {accuracy['DistilBERT']:.0%} right, "
             f"counting words {accuracy['counting words']:.0%}")
plots.show(figure, "Bars of accuracy on a new writer's requests: "
           + ", ".join(f"{name} {value:.0%}" for name, value in accuracy.items()) + ".")

# %%
lead = 100 * (accuracy["DistilBERT"] - accuracy["counting words"])
plots.finding(f"After {result.metrics['train_runtime']:.0f} seconds of training DistilBERT is "
              f"{lead:.0f} points ahead of counting words.")

# %% tags=["assert"]
assert lead > 8

# %% [markdown]
# A likely reason: a new person says the same thing in other words. The counter has no weight for a word
# it never saw; the model may know it from pretraining. This lesson doesn't test that. Where everyone
# uses the same words, the counter may be enough; lesson [05](05_training.ipynb) meets such tasks.
#
# Three requests that nobody in the data wrote. Look at the last.

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
weather = probabilities[-1]
plots.finding(f"The weather is no wish of the shop's customers, and still the model sorts it: "
              f"“{names[weather.argmax()]}”, {weather.max():.0%} sure.")

# %% [markdown]
# It can't say "none of these" because those messages were left out of its training. [Lesson 07](07_intents.ipynb) will.
#
# ## 3. How do exercises and checks work?
#
# An exercise is a function with a gap. You write it, run its cell, then run the *check* below. An example:
# the share of predictions that are right, handed in by somebody who divided by a fixed number.

# %%
from unittest import mock

from course_utils.exercises import check


def share_right(predicted, true):
    return sum(p == t for p, t in zip(predicted, true)) / 4


with mock.patch.dict("os.environ", COURSE_PROGRESS=str(lab.workdir / "example.json")):
    check("Example: share right",
          ("3 of 4 give 0.75", lambda: share_right([1, 1, 0, 0], [1, 1, 0, 1]) == 0.75,
           "count the equal pairs"),
          ("1 of 2 gives 0.5", lambda: share_right([1, 0], [1, 1]) == 0.5,
           "you divided by 4; divide by the number of rows"))

# %% [markdown]
# A tick: this property holds. A cross says what probably went wrong. Dots ●○○ to ●●● give the difficulty;
# hints and solution are folded. No later cell needs your answer, so you may skip an exercise.
# `make progress` lists what you have solved; the list is a file on this machine and goes nowhere.
#
# ### Exercise 0.1 Which rank has the word? ●○○ 4 minutes
#
# `fill` returns a list of dictionaries, the best guess first. Write a function that returns the rank of a
# word among them: 1 for the best guess, and `None` for a word that isn't there. The model is *uncased*,
# it knows small letters only; someone who asks for `Paris` wants `paris`.

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
# Walk through the answers in their order and compare `answer["token_str"]` with the word. What should happen when the loop ends without a match?
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
# The most useful row of any result is the one where the model is sure, and wrong. Write a function that
# finds it. `logits` has one row per text and one score per class, `truth` the right classes. A
# [softmax](glossary.md#softmax) makes probabilities of each row. Return the number of the row whose
# *wrong* answer has the highest probability, or `None` where every answer is right.

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
# Which rows are wrong: `logits.argmax(axis=1) != truth`. How sure was each: its largest probability, not its largest logit.
# </details>
# <details><summary>Hint 2</summary>
#
# `np.exp(logits)` divided by its sum along `axis=1` is the softmax (subtract each row's largest logit first, and no number overflows). `np.flatnonzero(wrong)` gives the numbers of the wrong rows.
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


check("0.2 Where is it surely wrong?",
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
try:
    row = surest_mistake(logits, truth)
    print(f"the sorter took {validation['text'][row]!r} for {names[logits[row].argmax()]}; "
          f"it is {names[truth[row]]}")
except NotImplementedError:
    print("Solve it to see where the sorter is surely wrong.")
### BEGIN HIDDEN TESTS
assert all(agrees_with_a_loop(seed) for seed in range(1, 6))
assert surest_mistake(shown[:2], [1, 1]) == 1 and surest_mistake(shown[:1], [0]) is None
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 0.3 Which two are mixed up? ●●○ 6 minutes
#
# Write a function that returns the pair `(true, predicted)` of the commonest mistake, and how often it was
# made: `((true, predicted), times)`. Of pairs that are equally common take the one that comes first when
# the pairs are sorted; return `(None, 0)` where there is no mistake.

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
# Go through the rows in pairs and keep those where the two differ. `(true, predicted)` and `(predicted, true)` are different mistakes.
# </details>
# <details><summary>Hint 2</summary>
#
# `collections.Counter` counts pairs. `min` with `key=lambda pair: (-mistakes[pair], pair)` takes the commonest, and of equals the smallest.
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


check("0.3 Which two are mixed up?",
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
       "both pairs stand there twice: take the smaller pair"),
      ("without a mistake (None, 0)", lambda: commonest_mistake([1, 2], [1, 2]) == (None, 0),
       "return (None, 0) where all answers are right"),
      ("it agrees with slow counting on 60 random rows", counted_slowly,
       "count over all rows that you were given"))
try:
    (was, said), times = commonest_mistake(truth, logits.argmax(-1))
    print(f"{times} times the sorter took {names[was]} for {names[said]}")
except NotImplementedError:
    print("Solve it to see which two wishes the sorter mixes up most.")
### BEGIN HIDDEN TESTS
assert all(counted_slowly(seed) for seed in range(1, 6)) and commonest_mistake([], []) == (None, 0)
### END HIDDEN TESTS

# %% [markdown]
# ### Question 0.4 Change one number ●○○ 6 minutes, in writing
#
# In the cell with the settings, change *one* number: `num_train_epochs=1`, or a learning rate a hundred
# times smaller. Write down what you expect, then run from the cell that makes `model` to the figure. What
# happened to DistilBERT's bar, what to the other two, and why?

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w0_4", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# With one epoch, or with steps a hundred times smaller, the weights hardly move: the head is still near its random start, and DistilBERT's bar falls, with the small steps down to guessing. Counting words and guessing stay exactly where they were, because the setting belongs to DistilBERT's training alone. Pretraining brought the knowledge of words; only enough, and large enough, steps connect it to the wishes.
#
# Two things must be in it: DistilBERT's bar falls because the weights were moved too little, and the other two don't change.

# %% [markdown]
# ## 4. How do you keep your work, and where next?
#
# **On Colab** the machine is lent, and its disk goes when it goes. A notebook opened from a badge is not
# yours until you choose *File → Save a copy in Drive*. For files, mount Drive before you train:
#
# ```python
# from google.colab import drive
# drive.mount("/content/drive")  # then write below /content/drive/MyDrive
# ```
#
# **On your own machine** work on a copy, such as `my_00_start.ipynb` in the same folder. `git pull` then
# brings corrections without touching your answers.
#
# | you want to | read |
# |---|---|
# | classify texts of your own | [03](03_batches.ipynb), [05](05_training.ipynb), [06](06_evaluation.ipynb) |
# | understand the model | [01](01_distilbert.ipynb), [02](02_distillation.ipynb) |
# | get the last points out of it | [04](04_hyperparameters.ipynb) |
# | know what your machine can do | [appendix: your machine](appendix_machine.ipynb) |
# | mend an error | [appendix: ten errors](appendix_errors.ipynb) |
#
# ## What to remember
#
# 1. The model always answers. A probability is not knowledge: the probabilities sum to 1 whatever the text is.
# 2. Fine-tuning joins a new head to a pretrained model and moves all weights a little.
# 3. Compare every result with a cheap rival, even on the first day.
# 4. Judge on texts that are new in the way that tomorrow's will be: here, other writers.
# 5. A model sorts everything, also what belongs nowhere.
#
# ## Take this with you
#
# The same training without this course, with the published model and texts of your own. It needs
# `pip install transformers datasets accelerate torch` and, the first time, a network.
#
# ```python
# from datasets import Dataset
# from transformers import (AutoModelForSequenceClassification, AutoTokenizer,
#                           DataCollatorWithPadding, Trainer, TrainingArguments)
#
# texts = ["Where is my parcel?", "Has it shipped yet?", "I want my money back", "Refund me, please"]
# labels = [0, 0, 1, 1]  # yours: some dozens for each label
#
# name = "distilbert/distilbert-base-uncased"
# tokenizer = AutoTokenizer.from_pretrained(name)
# rows = Dataset.from_dict({"text": texts, "label": labels})
# rows = rows.map(lambda batch: tokenizer(batch["text"], truncation=True), batched=True)
# model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2, use_safetensors=True)
# settings = TrainingArguments("sorter", num_train_epochs=4, learning_rate=5e-5, report_to="none",
#                              per_device_train_batch_size=16)
# trainer = Trainer(model, settings, train_dataset=rows, processing_class=tokenizer,
#                   data_collator=DataCollatorWithPadding(tokenizer))
# trainer.train()
# trainer.save_model("sorter")
#
# inputs = tokenizer(["any news of my order"], return_tensors="pt").to(model.device)
# print(model.eval()(**inputs).logits.softmax(-1))
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | numbers differ from the page you read | cells ran twice or out of order, or another machine | restart the kernel and run all |
# | `[*]` beside a cell for minutes | it is still running | wait for the estimate's time, then *Kernel → Interrupt* |
# | changes vanish after a reload | the notebook was not saved | Ctrl+S; on Colab, save a copy in Drive |
# | `not attempted yet` though you wrote code | the line `raise NotImplementedError()` is still there, or the cell was not run again | delete the line, run the cell, then the check |
#
# ## Further reading
#
# * Sanh, Debut, Chaumond, Wolf 2019,
#   [*DistilBERT, a distilled version of BERT*](https://arxiv.org/abs/1910.01108v4).
#
# Next: [05, how to fine-tune with care](05_training.ipynb), if you have texts to classify, or
# [01, what DistilBERT is](01_distilbert.ipynb).

# %%
lab.finish(f"first prediction after {first_prediction:.0f} s; "
           f"requests: DistilBERT {accuracy['DistilBERT']:.0%} right, "
           f"counting words {accuracy['counting words']:.0%}")
