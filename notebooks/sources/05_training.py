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
# # How do you fine-tune DistilBERT, and is it worth it?
#
# You have a few hundred or a few thousand labelled texts, and want a program that labels new ones.
# This lesson takes film reviews from raw text to a trained and saved classifier. Then it asks, on
# two tasks, what counting words would have given you for nothing.
#
# On the profile `mini` you train [mini-distilbert](../data/models/mini-distilbert/README.md), a
# DistilBERT half as wide that has read far less, and the verdicts are about that model. The
# profiles `cpu` and `gpu` train the published one.
#
# **After this lesson you can**
#
# 1. prepare texts, train a classifier, read its curves and keep its best checkpoint;
# 2. stop a run, resume it, and prove that the result is the same;
# 3. say for a task whether fine-tuning is worth it, with an interval.
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
model_name = "mini-distilbert" if lab.profile.source == "embedded" else "DistilBERT"  # for figures

# %% [markdown]
# ## 1. What do you have, and what do you have to beat?
#
# `load_task` gives three splits. You learn from *train*, you choose with *validation*, and you open
# *test* once, at the end. In the course's own reviews no film is in two splits: a model that has
# learned to recognise a film gains nothing from it. (IMDb's test split has films of its own, too.
# Its validation rows are drawn from train and share films with it, so a score on them may be too
# good.)

# %%
from course_utils.data import load_task

reviews = load_task("reviews", lab.profile)
names = reviews["train"].features["label"].names
for row in reviews["train"].select(range(3)):
    print(f"[{names[row['label']]}] {row['text'][:200]}\n")

# %% [markdown]
# Before any network, two [baselines](glossary.md#baseline). The *majority* gives every text the
# commonest label. The second counts words ([TF-IDF](glossary.md#tf-idf)), plays down those found in
# most texts, and learns one weight per word by logistic regression. On `mini` it trains in a
# second.
#
# Should it count single words, as in lesson 00, or pairs of neighbouring words as well? Let the
# training rows decide, by [cross-validation](glossary.md#cross-validation): leave out one fifth,
# learn from the rest, judge on the fifth, and do so for each fifth in turn. Where films are known,
# all reviews of one film are in the same fifth. (The counter of pairs also leaves out what only one
# text has, `min_df=2`, and counts repetitions for less, `sublinear_tf`.)

# %%
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from course_utils.common import shortened, word_counter


def single_words():
    return make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000))


def choose_counter(split, together):
    """The better kind of counter; rows with the same value of column `together` stay together."""
    rows = split.shuffle(seed=lab.seed).select(range(min(2000, len(split))))  # enough to choose by
    groups = rows[together][:] if together in rows.column_names else None
    kinds = {"single words": single_words, "words and pairs": word_counter}
    right = {kind: cross_val_score(make(), rows["text"][:], rows["label"][:], groups=groups,
                                   cv=GroupKFold(5) if groups else 5).mean()
             for kind, make in kinds.items()}
    kind, other = sorted(right, key=right.get, reverse=True)  # chosen on train
    return kinds[kind], f"{kind} ({right[kind]:.1%} right; {other} {right[other]:.1%})"


# %%
train, validation = reviews["train"], reviews["validation"]
make_counter, choice = choose_counter(train, "film")
counting = make_counter().fit(train["text"][:], train["label"][:])
baseline = counting.score(validation["text"][:], validation["label"][:])
commonest = np.bincount(train["label"]).argmax()
majority = float(np.mean(np.array(validation["label"]) == commonest))
print(counting)

# %%
from course_utils import plots

plots.finding(f"Cross-validation chose {choice}. On validation the commonest label is right "
              f"{majority:.0%} of the time, counting words {baseline:.1%}. "
              "A network that does no better is a slow way to count words.")

# %% [markdown]
# ## 2. How long are the texts?
#
# DistilBERT reads [tokens](glossary.md#token), not words. Its [tokenizer](glossary.md#tokenizer)
# cuts rare words into pieces and adds `[CLS]` in front and `[SEP]` behind. Use the one that the
# model was trained with: another gives the same words other numbers.

# %%
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
encoded = tokenizer("An unforgettable film, hardly a dull minute.")
print(tokenizer.convert_ids_to_tokens(encoded["input_ids"]))

# %% [markdown]
# Every token costs time, and the model takes at most `512`. A popular recipe
# [truncates](glossary.md#truncation) at 128 without looking. So look.

# %%
lengths = np.array([len(ids) for ids in tokenizer(train["text"][:], verbose=False)["input_ids"]])
cut = {limit: float((lengths > limit).mean()) for limit in (64, 128, 256)}

figure, ax = plots.new_figure(height=3)
bars, *_ = ax.hist(np.minimum(lengths, 600), bins=60, color=plots.COLOURS[0])
ax.set_ylim(0, 1.35 * bars.max())  # room above the bars for the labels
for limit, share in cut.items():
    ax.axvline(limit, color="black", linestyle="--", linewidth=1)
    ax.annotate(f"{limit}\ncuts {share:.0%}", (limit, 0.98), xycoords=("data", "axes fraction"),
                va="top", ha="center", fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
ax.set(title=f"A limit of 128 tokens cuts {cut[128]:.0%} of the reviews short",
       xlabel="tokens in a review", ylabel="reviews")
plots.show(figure, "Histogram of review lengths in tokens. Limits at 64, 128 and 256 tokens "
           f"cut {cut[64]:.0%}, {cut[128]:.0%} and {cut[256]:.0%} of the reviews.")

# %% [markdown]
# Section 9 measures what a cut costs. The profile's limit here is `lab.profile.max_length` (256 on
# `mini`).
#
# ## 3. From texts to batches
#
# Tokenise all splits once, without padding. The [collator](glossary.md#collator) then fills each
# batch up to *its own* longest text, here rounded up to a multiple of 8, and the attention mask
# marks the filling with 0, so that the model doesn't read it as text.

# %%
plots.picture("batch-of-tokens")

# %%
from transformers import DataCollatorWithPadding


def tokenize(split, limit=lab.profile.max_length):
    return split.map(lambda batch: tokenizer(batch["text"], truncation=True, max_length=limit),
                     batched=True, remove_columns=[c for c in split.column_names if c != "label"])


tokenized = {name: tokenize(split) for name, split in reviews.items()}
collator = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)  # sizes that GPUs like
batch = collator([tokenized["train"][i] for i in range(4)])
print({name: tuple(tensor.shape) for name, tensor in batch.items()})
print("tokens per text:", batch["attention_mask"].sum(1).tolist())

# %% [markdown]
# ## 4. The model, and a warning you should read
#
# `from_pretrained` loads the pretrained body and puts a new *head* on it: two small layers that
# turn the vector of `[CLS]` into one number per class. The library reports which weights are new.
# Many readers take that report for an error. It is the plain truth: **the head knows nothing yet.**

# %%
import torch
from transformers import AutoModelForSequenceClassification, set_seed, utils

utils.logging.set_verbosity_error()  # the report is printed once, below


def new_model(seed=lab.seed, names=names, checkpoint=lab.checkpoint, revision=lab.revision):
    set_seed(seed)  # the head is random: without a seed each run starts elsewhere
    model, report = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, revision=revision, use_safetensors=True, num_labels=len(names),
        id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)},
        output_loading_info=True)
    model.accepts_loss_kwargs = False  # or gradient accumulation multiplies the loss
    return model, report["missing_keys"]


model, missing = new_model()
print("new:", *sorted(missing), sep="\n  ")

# %% tags=["assert"]
assert len(missing) == 4

# %% [markdown]
# One of the articles that the course [takes apart](claims.md) calls this model "fine-tuned for
# sequence classification". Let it label reviews and see. Its [loss](glossary.md#loss) is the
# cross-entropy: minus the logarithm of the probability that the right class gets. Somebody who
# gives every class the same probability has a loss of ln K for K classes.

# %%
import math


@torch.no_grad()
def predict(model, split, batch_size=64):
    """Logits (rows, classes) of a tokenised split."""
    model.eval()
    order = np.argsort([len(ids) for ids in split["input_ids"]])  # little padding
    logits = torch.empty(len(split), model.config.num_labels)
    for start in range(0, len(split), batch_size):
        rows = order[start:start + batch_size]
        inputs = collator([{"input_ids": split[int(i)]["input_ids"]} for i in rows])
        logits[rows] = model(**inputs.to(model.device)).logits.float().cpu()
    return logits


some = tokenized["validation"].shuffle(seed=lab.seed).select(range(min(100, len(validation))))
labels = torch.tensor(some["label"][:])
logits = predict(model.to(lab.device), some)
loss = torch.nn.functional.cross_entropy(logits, labels).item()
untrained = (logits.argmax(1) == labels).float().mean().item()

# %%
plots.finding(f"Before training it is right for {untrained:.0%} of {len(some)} reviews. "
              f"Its loss is {loss:.3f}; ln {len(names)} is {math.log(len(names)):.3f}. "
              "It knows no more than someone who guesses.")

# %% tags=["assert"]
assert abs(loss - math.log(len(names))) < 0.1 and untrained < 0.7

# %% [markdown]
# ## 5. The settings that matter
#
# Training repeats one *step*, drawn here. One pass over all rows is an *epoch*; a saved state is a
# *checkpoint*.

# %%
plots.picture("training-step")

# %%
steps_per_epoch = math.ceil(len(train) / lab.profile.batch_size)
settings = dict(
    num_train_epochs=2 * lab.profile.epochs, learning_rate=lab.profile.learning_rate,
    per_device_train_batch_size=lab.profile.batch_size,
    per_device_eval_batch_size=4 * lab.profile.batch_size,  # no gradients to keep, so more fits
    warmup_steps=0.1, weight_decay=0.01, train_sampling_strategy="group_by_length",
    eval_strategy="steps", eval_steps=steps_per_epoch,
    save_strategy="steps", save_steps=steps_per_epoch, save_total_limit=2,
    load_best_model_at_end=True, metric_for_best_model="eval_accuracy",
    restore_callback_states_from_checkpoint=True,
    logging_steps=max(1, steps_per_epoch // 12), report_to="none", disable_tqdm=True, seed=lab.seed,
    **lab.precision_arguments)
print(f"{settings['num_train_epochs']} epochs, learning rate {settings['learning_rate']:g}, "
      f"batches of {lab.profile.batch_size}")

# %% [markdown]
# | argument | why this value |
# |---|---|
# | epochs, rate, batch size | for the published model the usual grid is 2–4 epochs, 2e-5 to 5e-5, batches of 16 or 32 (BERT paper, appendix A.3). `mini`, half as wide, gets a rate above it. The values are printed above; lesson 04 measures epochs and rates |
# | `warmup_steps=0.1` | the rate rises during the first tenth of the steps, then falls in a straight line to 0. A fixed 500, as articles advise, is longer than many whole runs |
# | `train_sampling_strategy` | texts of similar length share a batch: less padding |
# | `eval_*`, `save_*`, `load_best_model_at_end` | evaluate and save after each epoch; return the checkpoint that is best on validation, by the score that you will report |
# | `save_total_limit=2` | keep the best and the last checkpoint: each is three times the size of the model |
# | `weight_decay=0.01` | pulls each weight a little towards 0 at each step |
# | `restore_callback_states…` | a resumed run goes on counting for early stopping |
# | `seed` | order of the batches, and dropout where the model has it |
# | `**lab.precision_arguments` | 16-bit or 32-bit numbers, chosen by `start_lab` from what the chip computes itself |
#
# ### Exercise 5.1 How many steps? ●○○ 5 minutes
#
# The optimiser makes one *step* per batch; the last batch of an epoch may be smaller. With
# [gradient accumulation](glossary.md#gradient-accumulation) it makes one step per `accumulation`
# batches, and one for the batches left over at the end of an epoch. Write `training_steps(rows,
# batch_size, epochs, accumulation)`: the number of steps of a whole run.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e5_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def training_steps(rows, batch_size, epochs, accumulation=1):
    ### BEGIN SOLUTION
    batches = math.ceil(rows / batch_size)
    return math.ceil(batches / accumulation) * epochs
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Ask first how many batches one epoch has. 100 rows in batches of 16: six full ones, and four rows
# are left.
# </details>
# <details><summary>Hint 2</summary>
#
# `math.ceil` rounds up. Round per epoch, then multiply: the rest of one epoch is not filled up from
# the next.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t5_1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from course_utils.exercises import check

check("5.1 How many steps?",
      ("2,000 rows, batches of 16, 2 epochs: 250", lambda: training_steps(2000, 16, 2) == 250,
       "steps = batches per epoch x epochs"),
      ("100 rows, batches of 16, 3 epochs: 21", lambda: training_steps(100, 16, 3) == 21,
       "the last, smaller batch of each epoch counts too; round up per epoch, before multiplying"),
      ("64 rows, batches of 8, accumulation 4: 2", lambda: training_steps(64, 8, 1, 4) == 2,
       "with accumulation 4 the optimiser moves once per four batches"),
      ("100 rows, batches of 16, 3 epochs, accumulation 2: 12",
       lambda: training_steps(100, 16, 3, 2) == 12,
       "seven batches make four steps: a last, incomplete group counts too, in each epoch"),
      ("the answer is a whole number", lambda: type(training_steps(100, 16, 1)) is int,
       "return Python's own int, neither a float nor a NumPy number"));
### BEGIN HIDDEN TESTS
assert type(training_steps(1001, 32, 4, 3)) is int and training_steps(1001, 32, 4, 3) == 44
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Train
#
# `compute_metrics` turns logits into the numbers you want to see. `EarlyStoppingCallback` ends a
# run after two evaluations in a row without a new best. That saves their time; how many epochs you
# ask for matters all the same, because the rate falls over all of them. `StopAtNaN` ends one whose
# gradient is no number any more. `run_folder` gives the output folder to this run alone and notes
# which data and settings its checkpoints belong to.

# %%
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from course_utils.metrics import ClassificationMetrics, bootstrap_interval
from course_utils.timing import Stopwatch, duration, estimate_training
from course_utils.training import StopAtNaN, last_whole_checkpoint, run_folder

metrics = ClassificationMetrics()


def compute_metrics(prediction):
    logits, labels = prediction
    return metrics.compute(predictions=logits.argmax(-1), references=labels, average="macro")


def make_trainer(model, train_split, eval_split=None, callbacks=(), folder="main", **changes):
    args = TrainingArguments(str(lab.workdir / folder), **settings | changes)
    trainer = Trainer(model, args, train_dataset=train_split, eval_dataset=eval_split,
                      processing_class=tokenizer, data_collator=collator,
                      compute_metrics=compute_metrics, callbacks=list(callbacks))
    trainer.remove_callback(PrinterCallback)  # the curves below say it better
    return trainer


# %%
trainer = make_trainer(model, tokenized["train"], tokenized["validation"],
                       [EarlyStoppingCallback(early_stopping_patience=2), StopAtNaN()])
expected = estimate_training(trainer, steps=4)  # real steps on a copy of the model
with Stopwatch() as watch, run_folder(trainer):
    trainer.train()
minutes = {"reviews": watch.seconds / 60}
print(f"took {duration(watch.seconds)}, estimated {duration(expected)}")

# %%
def history(trainer, key):
    return np.array([(log["step"], log[key]) for log in trainer.state.log_history if key in log]).T


steps, accuracies = history(trainer, "eval_accuracy")
losses = history(trainer, "eval_loss")[1]
best = int(accuracies.argmax())

# %%
figure, (left, right) = plots.new_figure(columns=2, width=10, height=3.4)
plots.curve(left, *history(trainer, "loss"), "training", 0, marker="")
plots.curve(left, steps, losses, "validation", 1)
plots.curve(right, steps, accuracies, f"{model_name}, validation", 1)
right.axhline(baseline, color="black", linestyle=":", label="counting words")
for ax in (left, right):
    ax.axvline(steps[best], color="gray", linewidth=1, label="kept checkpoint")
    ax.set_xlabel("step")
    ax.legend()
left.set(title=f"Validation loss is lowest at step {steps[losses.argmin()]:.0f}",
         ylabel="cross-entropy")
right.set(title=f"Accuracy is highest at step {steps[best]:.0f}: {accuracies[best]:.1%}",
          ylabel="accuracy")
course = ", ".join(f"{accuracy:.0%}" for accuracy in accuracies)
plots.show(figure, "Left: training and validation loss over the steps. Right: validation accuracy, "
           f"{course}; counting words, a dotted line, has {baseline:.1%}.")

# %% [markdown]
# Is the kept checkpoint ahead of counting words? Both judge the same rows, so the
# [interval](glossary.md#confidence-interval) of their difference is taken text by text: draw the
# texts again, many times, some twice, some never; the middle of the differences is the 95 %
# interval ([bootstrap](glossary.md#bootstrap)). Where it contains 0, the difference could be
# chance; otherwise DistilBERT is *ahead* or *behind*. Where an end lies within 2 points of 0, call
# it *borderline*, as in lesson 04, unless the whole interval does and contains 0. The interval is
# about more texts like these, not about another training, other films or other writers.

# %%
def compare(tuned, counted):
    """Accuracy of each method, and the 95 % interval of their difference, text by text."""
    interval = bootstrap_interval(lambda a, b: a.mean() - b.mean(), tuned, counted)
    return tuned.mean(), counted.mean(), *interval


def side(low, high):
    if -0.02 < low <= 0 <= high < 0.02:
        return "could be chance"
    if min(abs(low), abs(high)) < 0.02:
        return "borderline"
    return "ahead" if low > 0 else "behind" if high < 0 else "could be chance"


def in_points(tuned, counted, low, high):
    return f"{100 * (tuned - counted):+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


# %%
model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # full precision
truth = np.array(validation["label"])
on_validation = {model_name: predict(model, tokenized["validation"]).argmax(1).numpy() == truth,
                 "counting words": counting.predict(validation["text"][:]) == truth}
earlier = compare(*on_validation.values())

# %%
tail = history(trainer, "loss")[1][-6:].mean()  # of the last half epoch or so
at_its_best, overfits = best == len(accuracies) - 1, losses[-1] > 1.05 * losses.min()
gained = round((accuracies[-1] - accuracies[-2]) * len(truth))
if overfits:
    said = "By the loss it fits the texts it learns from ever better, and new ones worse."
elif tail < 0.7 * losses[-1]:
    said = "The gap says that the model knows the texts it learned from better than new ones."
else:
    said = "What it learned holds for new texts too."
plots.finding(
    f"At the end training loss is {tail:.2f} and validation loss {losses[-1]:.2f}, "
    + ("its lowest. " if losses[-1] == losses.min() else f"up from {losses.min():.2f}. ") + said
    + f" Validation accuracy goes {course}: " + (
        f"at last it moved by {gained:+d} of {len(truth)} texts." if at_its_best
        else "the best comes before the end.")
    + (" Two curves, two answers: by the loss the model overfits; accuracy doesn't show it. "
       "Lesson 04 shows why both can be true." if overfits and at_its_best else "")
    + f" Against counting words: {in_points(*earlier)}, {side(*earlier[2:])}.")

# %% tags=["assert"]
assert len(losses) > 2 and (losses.min() < losses[0] or accuracies[best] > accuracies[0])

# %% [markdown]
# The training loss jumps partly because each point is a mean over a few batches. The model never
# learns from validation texts, so they may choose: here by accuracy (`metric_for_best_model`), not
# by loss. Accuracy counts mistakes; the loss also asks how sure the model was of each, and a few
# mistakes that it was very sure of raise it.
#
# ### Exercise 5.2 Which checkpoint? ●●○ 8 minutes
#
# A colleague wrote the function below to pick the best checkpoint from a log. It has two mistakes,
# and once they are mended a third may show: try a tie. Mend it, so that it returns the *step* of
# the evaluation with the highest validation accuracy (the first one, where two are equal).

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e5_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_step(log_history):
    # The colleague's version:
    # return min((log["test_accuracy"], log["step"]) for log in log_history
    #            if "test_accuracy" in log)[1]
    ### BEGIN SOLUTION
    evaluations = [log for log in log_history if "eval_accuracy" in log]
    return max(evaluations, key=lambda log: log["eval_accuracy"])["step"]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which split may be used for choosing, and is a good accuracy high or low?
# </details>
# <details><summary>Hint 2</summary>
#
# Entries of `log_history` are dictionaries; only those with the key `eval_accuracy` are evaluations
# on the validation split. `max` takes a `key`.
# </details>

# %% tags=["grading"]
# stands in for the Trainer when the exercise is graded
from types import SimpleNamespace

trainer = SimpleNamespace(state=SimpleNamespace(best_global_step=60, log_history=[
    {"step": 30, "eval_accuracy": 0.72}, {"step": 45, "loss": 0.5},
    {"step": 60, "eval_accuracy": 0.78}, {"step": 90, "eval_accuracy": 0.75}]))

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t5_2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
log = [{"step": 5, "loss": 0.1}, {"step": 10, "eval_accuracy": 0.50, "test_accuracy": 0.6},
       {"step": 20, "eval_accuracy": 0.80, "test_accuracy": 0.5},
       {"step": 30, "eval_accuracy": 0.80, "test_accuracy": 0.7},
       {"step": 40, "eval_accuracy": 0.65, "test_accuracy": 0.9},
       {"step": 50, "eval_accuracy": 0.60, "test_accuracy": 0.4},
       {"step": 60, "eval_accuracy": 0.55, "test_accuracy": 0.7}]
tiny = [{"step": 3, "eval_accuracy": 0.2, "test_accuracy": 0.3}]
check("5.2 Which checkpoint?",
      ("it returns a step of the log it is given, an int",
       lambda: type(best_step(tiny)) is int and best_step(tiny) == 3,
       "return the step of an entry of log_history: "
       "not its accuracy, its place or the entry, nor a step of another run"),
      ("it does not choose by the test split", lambda: best_step(log) not in (40, 50),
       "choosing by test makes the test part of training; choose with eval_accuracy"),
      ("it takes the highest validation accuracy", lambda: best_step(log) in (20, 30),
       "a high accuracy is good: max, not min; the last need not be the best; "
       "entries without eval_accuracy are training logs"),
      ("of two equal ones it takes the earlier", lambda: best_step(log) == 20,
       "20 and 30 are equally good, so take 20; "
       "max returns the first of equals when only the accuracy is compared"),
      ("it agrees with the Trainer",
       lambda: best_step(trainer.state.log_history) == trainer.state.best_global_step,
       "compare with trainer.state.best_global_step"));
### BEGIN HIDDEN TESTS
assert best_step(log[::-1]) in (20, 30) and best_step([{"step": 7, "eval_accuracy": 0.1}]) == 7
assert type(best_step(log[2:])) is int and best_step(log[2:]) == 20
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Use it: your sentences, a folder, a pipeline
#
# The model returns [logits](glossary.md#logit), one number of any size per class;
# [softmax](glossary.md#softmax) makes them probabilities. Save the model *and* its tokenizer in one
# folder. The weights go into a `safetensors` file, which can hold numbers only; older pickle files
# can run code when they are opened.

# %%
from transformers import pipeline

folder = lab.workdir / "my-classifier"
trainer.save_model(folder)
classify = pipeline("text-classification", model=str(folder), device=lab.device)
sentences = ["A wonderful film, I laughed and cried.", "Dull from the first minute to the last.",
             "I expected to hate it, and I was wrong.",
             "Two hours of my life that I will never get back."]
answers = classify(sentences, truncation=True)  # without it a long text would be an error
for text, answer in zip(sentences, answers):
    print(f"{answer['label']} {answer['score']:4.0%} · {text}")

# %%
wrong = [f"“{text}”" for text, answer, right in zip(sentences, answers, [1, 0, 1, 0])
         if answer["label"] != names[right]]
plots.finding(f"A person would answer {', '.join(names[n] for n in (1, 0, 1, 0))}. "
              + (f"It is wrong about {' and '.join(wrong)}. Look how sure it is: softmax makes "
                 "numbers that add up to 1, not numbers to trust (lesson 06)." if wrong
                 else "So does the model."))

# %% tags=["assert"]
scores = torch.tensor([classify(t, truncation=True)[0]["score"] for t in sentences])
with torch.no_grad():
    inputs = tokenizer(sentences, padding=True, return_tensors="pt").to(model.device)
    again = model.eval()(**inputs).logits.float().softmax(-1).max(-1).values.cpu()
assert torch.allclose(scores, again, atol=1e-3)

# %% [markdown]
# The last two carry their verdict in the whole sentence, not in one word of praise or blame.
#
# ## 8. What if the run is killed?
#
# Colab disconnects; laptops sleep. With checkpoints on disk you lose only the steps since the last
# one. But does a resumed run end where an uninterrupted one would have? Test it: one run of 8
# steps, and one stopped after step 6 and resumed from its checkpoint of step 4, by a trainer whose
# model has *another* random head. Equal weights can then only come from the disk.

# %%
import shutil

from transformers import TrainerCallback


class Kill(TrainerCallback):
    """Stop in the middle of training, as Ctrl-C does: nothing is saved any more."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 6:
            raise KeyboardInterrupt("killed after step 6")


short = dict(max_steps=8, save_steps=4, eval_strategy="no", load_best_model_at_end=False,
             per_device_train_batch_size=4)
few = tokenized["train"].select(range(min(24, len(train))))
shutil.rmtree(lab.workdir / "killed", ignore_errors=True)  # of an earlier visit to this cell
whole = make_trainer(new_model()[0], few, folder="whole", **short)
whole.train()
killed = make_trainer(new_model()[0], few, callbacks=[Kill()], folder="killed", **short)
try:
    with run_folder(killed):
        killed.train()
except KeyboardInterrupt as stop:
    print(stop, "· on disk:", sorted(p.name for p in (lab.workdir / "killed").glob("checkpoint-*")))

# %%
resumed = make_trainer(new_model(seed=999)[0], few, folder="killed", **short)
with run_folder(resumed):
    resumed.train(resume_from_checkpoint=last_whole_checkpoint(resumed))
pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
difference = max((a - b).abs().max().item() for a, b in pairs)
del whole, killed, resumed  # models and optimisers; their memory is needed below

# %%
plots.finding(f"The largest difference of any weight between the two runs is {difference:g}: "
              + ("they agree to the last bit." if difference == 0
                 else "a GPU adds numbers up in another order each time."))

# %% tags=["assert"]
assert difference <= (0 if lab.device == "cpu" else 8 * lab.profile.learning_rate)

# %% [markdown]
# A checkpoint holds more than weights: the optimiser's memory, the place in the schedule, the
# random state and the place in the data. `last_whole_checkpoint` skips one that is half written, or
# that belongs to a run with other data or settings. **On Colab** put the folder on Drive *before*
# you train, by `drive.mount("/content/drive")`, and the run there, by
# `make_trainer(…, folder="/content/drive/MyDrive/my-run")`. After a disconnect run the cells again,
# with `trainer.train(resume_from_checkpoint=last_whole_checkpoint(trainer))` in section 6: it goes
# on behind the last checkpoint, and begins anew where there is none.
#
# ## 9. What do popular recipes cost?
#
# One article sets `padding=True` inside `map`, as if it padded per batch. But `map` hands over
# 1,000 texts at a time, so all are padded to the longest of these. Change one thing at a time, and
# time real steps of each, on `mini` with the smaller model of lesson 02. Padding changes no answer,
# for the mask hides it; a cut can.

# %%
def padded_in_map(split):
    return split.map(lambda b: tokenizer(b["text"], truncation=True, padding=True,
                                         max_length=lab.profile.max_length),
                     batched=True, remove_columns=[c for c in split.column_names if c != "label"])


some, half = train.select(range(min(256, len(train)))), lab.profile.max_length // 2
fp32, random_order = {"bf16": False, "fp16": False}, {"train_sampling_strategy": "random"}
recipes = {
    "padding=True in map": (padded_in_map(some), random_order | fp32),
    "pad per batch": (tokenize(some), random_order | fp32),
    "+ similar lengths together": (tokenize(some), fp32),
    f"+ 16-bit numbers ({lab.precision})": (tokenize(some), {}),
    f"+ cut at {half} tokens": (tokenize(some, half), {}),
}
if lab.precision == "fp32":  # this machine has no faster format: nothing to compare
    del recipes["+ 16-bit numbers (fp32)"]

# %%
quiet = dict(eval_strategy="no", save_strategy="no", load_best_model_at_end=False,
             logging_strategy="no", folder="quiet")
smaller = dict(zip(["checkpoint", "revision"], lab.student))
seconds = {}
for name, (rows, changes) in recipes.items():
    timed = make_trainer(new_model(**smaller)[0], rows, **quiet | changes, num_train_epochs=1)
    seconds[name] = estimate_training(timed, steps=4)

# %%
short_texts = shortened(tokenizer, validation["text"][:], half)
on_cut_texts = {model_name: predict(model, tokenize(validation, half)).argmax(1).numpy() == truth,
                "counting words": counting.predict(short_texts) == truth}
changes = {}
for name, hits in on_cut_texts.items():
    change = hits.astype(float) - on_validation[name]
    changes[name] = change.mean(), *bootstrap_interval(np.mean, change)

# %%
gains = {name: before / after for name, before, after in zip(
    list(seconds)[1:], list(seconds.values()), list(seconds.values())[1:])}
figure, ax = plots.new_figure(width=8.5, height=2.5)
plots.bars(ax, list(seconds), list(seconds.values()), fmt="{:.1f} s")
slowest, *_, best_recipe = seconds.values()
ax.set(xlabel=f"estimated seconds for one epoch over {len(some)} reviews",
       title=f"The last recipe is {slowest / best_recipe:.1f} times as fast as the first")
plots.show(figure, "Bars of estimated seconds per epoch, one change at a time: "
           + ", ".join(f"{n} {t:.1f}" for n, t in seconds.items()) + ".")

# %%
faster = ", ".join(f"{name.removeprefix('+ ')} {gain:.1f} times as fast"
                   for name, gain in gains.items())
cuts = "; ".join(f"{name} {100 * change:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}], "
                 + ("beyond chance" if low > 0 or high < 0 else "could be chance")
                 for name, (change, low, high) in changes.items())
plots.finding(
    f"Against the recipe before it: {faster}. Cutting the texts to judge changes accuracy: {cuts}. "
    "Each time comes from a few steps, so a ratio near 1 shows no gain. "
    "Training on cut texts was not tested.")

# %% tags=["assert"]
first, _, grouped, *_ = seconds.values()
assert first > grouped, "padding must cost time"

# %% [markdown]
# ### Question 5.4 A look at the test split ●○○ 3 minutes, in writing
#
# Two of the [articles](claims.md) evaluate on the test split after every epoch (one prints the
# accuracy, the other only the loss). Nobody trains on the test rows. How can a test number that is
# read so often still be too good, and which split is there for such looks?

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w5_4", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in one or two sentences.*

# %% [markdown] tags=["solution"]
# Whoever sees it after every epoch ends up choosing by it: when to stop, which run to keep, which
# recipe to print. The choice then fits these rows by luck as well, and new texts won't repeat the
# luck. Such looks belong to the validation split, which chooses the checkpoint here (section 6);
# test is opened once, when all choices are made.
#
# Two things must be in it: choosing by a split makes its score too good, and validation is the
# split to choose by.

# %% [markdown]
# ## 10. How many labels do you need?
#
# Labels cost money. So train on few of them, then on all, and give the word counter the same rows.
# Cross-validation on these very rows chooses the kind of counter for each size; where writers are
# known, all requests of one writer are in the same fifth.
#
# The task is `requests` of lesson 00: what does the writer want? On `mini` the requests go to a
# shop's support, and those to judge on are by a writer new to both; on `cpu` and `gpu` they go to
# an assistant (CLINC150).
# Requests that fit no wish are left out; a real mailbox has such mails too, and lesson
# [07](07_intents.ipynb) deals with them.
#
# Few rows need more epochs, or training ends before it has begun. The rate is three times that of
# the reviews, near the one that lesson [04](04_hyperparameters.ipynb) uses for requests.

# %%
from course_utils.common import balanced_rows
from course_utils.data import TASKS

requests = load_task("requests", lab.profile)
wishes = requests["train"].features["label"].names
no_wish = wishes.index(TASKS["requests"].out_of_scope(wishes))
print("left out:", {name: split["label"][:].count(no_wish) for name, split in requests.items()})
requests = {name: split.filter(lambda label: label != no_wish, input_columns="label")
            for name, split in requests.items()}
wanted = np.array(requests["validation"]["label"])


def fine_tune(split, names, epochs, rate):
    run = make_trainer(new_model(names=names)[0], tokenize(split), **quiet, num_train_epochs=epochs,
                       learning_rate=rate * lab.profile.learning_rate)
    run.train()
    return run.model


def requests_per_wish(count):
    return requests["train"].select(balanced_rows(requests["train"]["label"], count))


largest = int(np.bincount(requests["train"]["label"]).max())
few, everything = requests_per_wish(5), requests_per_wish(largest)

# %%
few_epochs = 6 * lab.profile.batch_size // 16  # in batches twice as large, twice the epochs
beginner = fine_tune(few, wishes, epochs=few_epochs, rate=3)
all_epochs = 3 + 28 // largest  # 3 with 35 labels a wish, 5 with 13 as on `cpu`
with Stopwatch() as watch:
    sorter = fine_tune(everything, wishes, epochs=all_epochs, rate=3)
minutes["requests"] = watch.seconds / 60
judged = tokenize(requests["validation"])
fine = {len(rows): (predict(trained, judged).argmax(1).numpy() == wanted).astype(float)
        for rows, trained in ((few, beginner), (everything, sorter))}
words = {}
for count in sorted({min(count, largest) for count in (5, 10, 20, largest)}):
    rows = requests_per_wish(count)
    make_counter, choice = choose_counter(rows, "writer")
    print(f"counting words, {len(rows)} labels: {choice}")
    counter = make_counter().fit(rows["text"][:], rows["label"][:])  # the last one sees all rows
    words[len(rows)] = (counter.predict(requests["validation"]["text"][:]) == wanted).astype(float)

# %%
counts = list(words)
least, most = counts[0], counts[-1]
figure, ax = plots.new_figure(height=3.4)
for number, (name, points, line) in enumerate([(f"{model_name}, one training each", fine, "none"),
                                               ("counting words", words, "--")]):
    means = np.array([hits.mean() for hits in points.values()])
    ends = np.array([bootstrap_interval(np.mean, hits) for hits in points.values()]).T
    places = [n * (0.97, 1.03)[number] for n in points]  # side by side
    ax.errorbar(places, means, abs(ends - means), label=name, linestyle=line, capsize=4,
                color=plots.COLOURS[number], marker=plots.MARKERS[number])
ax.set_xscale("log")
ax.set_xticks(counts, [f"{count:,}" for count in counts])
ax.minorticks_off()
ax.set(xlabel=f"labelled requests ({len(wishes) - 1} wishes)",
       ylabel="share right, validation",
       title=f"{fine[least].mean():.0%} against {words[least].mean():.0%} with {least} labels, "
             f"{fine[most].mean():.0%} against {words[most].mean():.0%} with {most:,}")
ax.legend()
plots.show(figure, "Accuracy against the number of labels, with 95 % intervals. " + ". ".join(
    f"{name}: " + ", ".join(f"{n} labels {hits.mean():.0%}" for n, hits in points.items())
    for name, points in ((model_name, fine), ("Counting words", words))) + ".")

# %%
below = [n for n in counts if words[n].mean() < fine[least].mean()]
needs = (f"more than all {most:,}" if below == counts else "no more" if not below else
         f"between {below[-1]:,} and {counts[len(below)]:,}")
trend = compare(*(fine[n] - words[n] for n in (most, least)))  # the two leads, text by text
plots.finding(
    f"With {least} labels {model_name} gets {fine[least].mean():.0%} right; counting words needs "
    f"{needs} for that. Its lead is {100 * trend[1]:+.0f} points with {least} labels and "
    f"{100 * trend[0]:+.0f} with {most:,}: with more labels it changes by {in_points(*trend)}, "
    + {"could be chance": "which could be chance", "borderline": "which is borderline"}.get(
        side(*trend[2:]), "more than the choice of texts explains")
    + f". Each size is one run on one choice of rows, of {few_epochs} epochs with few labels and "
    f"{all_epochs} with all.")

# %% tags=["assert"]
assert trend[0] > 0.03 and fine[most].mean() > fine[least].mean()
assert [words[n].mean() for n in counts] == sorted(words[n].mean() for n in counts)

# %% [markdown]
# The whiskers are 95 % intervals over the rows judged. Another seed, other rows to learn from or
# another writer to judge on would move each point as well; lesson 04 measures it for seeds.
#
# ### Exercise 5.3 Better every time? ●●○ 8 minutes
#
# Suppose you had repeated section 10 with three seeds. Write a function that takes the scores of
# two methods, one per seed, and returns `True` only if the first is better *in every seed*; it
# stops with a `ValueError` where a run has no partner, even if an earlier pair has decided already.
# This rule is stricter than comparing two means, but no proof: of two equal methods, one or the
# other wins all three runs in a quarter of all cases (twice 1/2³).

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e5_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def better_in_every_seed(first, second):
    ### BEGIN SOLUTION
    return all([bool(a > b) for a, b in zip(first, second, strict=True)])
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Compare run with run: the first score of one method with the first of the other, and so on. An
# equal pair is not "better".
# </details>
# <details><summary>Hint 2</summary>
#
# `all([...])` over `zip(first, second, strict=True)`. `strict=True` stops with an error where a run
# is missing; a list is made to its end, while a generator inside `all` stops at the first pair that
# is not better and may never meet the missing run.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t5_3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def refuses_missing_runs():
    for first, second in (([0.9, 0.8], [0.1]), ([0.1, 0.8], [0.9])):
        try:
            better_in_every_seed(first, second)
            return False
        except ValueError:
            pass
    return True


check("5.3 Better every time?",
      ("better each time is better", lambda: better_in_every_seed([0.8, 0.9], [0.7, 0.6]),
       "return True, not a number or a list, when every run of the first beats its partner"),
      ("a higher mean alone is not enough",
       lambda: not better_in_every_seed([0.99, 0.70], [0.75, 0.71]),
       "one run is worse than its partner: "
       "compare pair by pair, all of them, not any and not the means"),
      ("pairs, not best against worst",
       lambda: bool(better_in_every_seed([0.70, 0.90], [0.60, 0.80])),
       "compare each seed with the same seed, not min with max"),
      ("each run keeps its partner", lambda: not better_in_every_seed([0.9, 0.6], [0.5, 0.7]),
       "0.6 loses to its partner 0.7, though sorting would hide it"),
      ("equal is not better", lambda: not better_in_every_seed([0.8], [0.8]), "use >, not >="),
      ("a missing run is an error, not a verdict", refuses_missing_runs, "stop with a ValueError; "
       "a plain zip drops what has no partner, and NumPy repeats a lone run"));
### BEGIN HIDDEN TESTS
assert refuses_missing_runs() and bool(better_in_every_seed([0.3, 0.9], [0.2, 0.8]))
assert not any(better_in_every_seed(*runs)
               for runs in ([[0.9, 0.2], [0.1, 0.3]], [[0.5, 0.7], [0.5, 0.6]]))
### END HIDDEN TESTS

# %% [markdown]
# ### Question 5.5 Erase what it knows ●●○ 8 minutes, in writing
#
# Where does the lead come from: from the shape of the network, or from what it learned before you
# came? Put the first two lines into `fine_tune`, before `run.train()`, and run its cell. Write down
# what you expect, then run the last two lines in a cell of their own.
#
# ```python
# for p in run.model.parameters():  # every matrix becomes random numbers
#     p.dim() > 1 and p.data.normal_(std=0.02)
# blank = fine_tune(few, wishes, epochs=few_epochs, rate=3)
# print(np.mean(predict(blank, judged).argmax(1).numpy() == wanted))
# ```
#
# How far does it get, beside `beginner` and beside counting words, and what does that say? (Take
# the two lines out again.)

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w5_5", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# It hardly gets beyond guessing among all these wishes, and stays behind counting words. The
# network has the same shape, the same head and the same training; only what its matrices had
# learned is gone. So the lead comes from pretraining. Whether a longer training could make up for
# it, this one run doesn't say.
#
# Two things must be in it: the blank model falls far below `beginner` (near guessing), and the lead
# therefore comes from pretraining, not from the shape of the network.

# %% [markdown]
# ## 11. Was it worth it?
#
# All choices are made. Now, and only now, open the test splits of both tasks.

# %%
def judge(model, counter, split):
    """Which texts the fine-tuned model gets right, and which the word counter."""
    labels = np.array(split["label"])
    return (predict(model, tokenize(split)).argmax(1).numpy() == labels,
            counter.predict(split["text"][:]) == labels)


results = {"reviews": compare(*judge(model, counting, reviews["test"])),
           "requests": compare(*judge(sorter, counter, requests["test"]))}

# %%
figure, ax = plots.new_figure(width=8.5, height=2.2)
for place, (tuned, counted, *ends) in enumerate(results.values()):
    ahead, (low, high) = 100 * (tuned - counted), 100 * np.array(ends)
    ax.errorbar(ahead, place, xerr=[[ahead - low], [high - ahead]],
                fmt="o", color=plots.COLOURS[0], capsize=4)
ax.axvline(0, color="gray", linewidth=1)
ax.set_yticks(range(len(results)), [
    f"{task}, {minutes[task]:.1f} min: {tuned:.0%} against {counted:.0%}"
    for task, (tuned, counted, *_) in results.items()])
ax.set_ylim(len(results) - 0.5, -0.5)
sides = "; ".join(f"{task}: {side(low, high)}" for task, (*_, low, high) in results.items())
ax.set(xlabel="points ahead of counting words; 95 % interval over test texts, one seed",
       title=sides.capitalize())
plots.show(figure, f"{model_name} minus counting words on two test splits: " + ", ".join(
    f"{task} {100 * (tuned - counted):+.1f} points, from {100 * low:+.1f} to {100 * high:+.1f}"
    for task, (tuned, counted, low, high) in results.items()) + ".")

# %%
said = {"ahead": "ahead", "behind": "behind, so not worth it as trained here",
        "borderline": "borderline, so more runs and texts must decide",
        "could be chance": "could be chance, so not shown to pay"}


def verdict(task):
    return (f"**{task}**, {in_points(*results[task])} for {minutes[task]:.1f} minutes of training: "
            + said[side(*results[task][2:])])


pays = [task for task, (*_, low, high) in results.items() if side(low, high) == "ahead"]
plots.finding("; ".join(map(verdict, results)) + f". Each is one run of {model_name}, with epochs "
              "and rate of its own; the intervals cover other texts, not other seeds. "
              + (f"So this run pays on {' and '.join(pays)}, if those points are worth the minutes "
                 "to you." if pays else "So it isn't shown to pay on either task."))

# %%
sooner = {"reviews": earlier, "requests": compare(fine[most], words[most])}
moved = "; ".join(
    f"{task} {100 * (sooner[task][0] - sooner[task][1]):+.1f} points on validation, "
    f"{100 * (results[task][0] - results[task][1]):+.1f} on test ({model_name} changed by "
    f"{100 * (results[task][0] - sooner[task][0]):+.1f}, counting words by "
    f"{100 * (results[task][1] - sooner[task][1]):+.1f})" for task in results)
unlike = ""
if "film" in validation.column_names:  # a film has five direct reviews or seven wry ones
    films = {split: reviews[split]["film"][:] for split in ("validation", "test")}
    unlike = (" The splits differ, too: wry, and so harder, are " + " and ".join(
        f"{np.mean([n.count(film) == 7 for film in n]):.0%} of the {split} reviews"
        for split, n in films.items()) + ".")
if "writer" in requests["test"].column_names:
    unlike += " Writers of the requests: " + ", ".join(
        f"{len(set(requests[split]['writer'][:]))} in {split}"
        for split in ("validation", "test")) + "."
plots.finding(
    f"The leads: {moved}. Promise nobody the larger of two. Validation chose the reviews' "
    "checkpoint; and texts on one film or by one writer resemble each other, so an interval over "
    f"texts is too narrow for new films and writers.{unlike}"
    + (" The reviews' run was at its best when it ended, "
       f"by {gained} of {len(truth)} texts. One more epoch means a new run, since the "
       "rate has fallen to 0 at the end: about "
       f"{duration(60 * minutes['reviews'] * (1 + 1 / settings['num_train_epochs']))} here."
       if at_its_best else ""))

# %% tags=["assert"]
assert results["requests"][0] > results["requests"][1]
assert results["reviews"][0] > 0.65 and results["reviews"][2] < 0.05

# %% [markdown]
# A borderline lead may be gone after the next training: lesson [06](06_evaluation.ipynb), section
# 11, has another model's on the same requests. And two tasks can't show where fine-tuning pays.
# Decide by such a figure on *your* texts, no writer in two splits, with more seeds:
# `new_model(seed=1)` and `make_trainer(…, seed=1)`.
#
# What does the published model cost on mails of yours? Speed and memory don't depend on what the
# weights know, so a model of its size with random weights will tell you. (Articles [ask
# for](claims.md) "12 to 16 GB".)

# %%
import time

from transformers import DistilBertConfig, DistilBertForSequenceClassification

from course_utils.timing import peak_memory_gib

full = DistilBertForSequenceClassification(DistilBertConfig()).to(lab.device).train()
count = sum(p.numel() for p in full.parameters())
mails, length, epochs = 2000, 100, 3  # put in your own
ids = torch.randint(1000, 30000, (4, length), device=lab.device)
dtype = torch.float16 if lab.precision == "fp16" else torch.bfloat16
best_time = math.inf
for _ in range(2):
    start = time.perf_counter()
    with torch.autocast(lab.device, dtype=dtype, enabled=lab.precision != "fp32"):
        loss = full(input_ids=ids, labels=ids[:, 0] % 2).loss
    loss.backward()
    loss.item()  # waits for a GPU
    best_time = min(best_time, time.perf_counter() - start)
del full

# %%
plots.finding(
    f"At the published size, {count:,} parameters, {epochs} epochs over {mails:,} mails of "
    f"{length} tokens take about {duration(epochs * mails / len(ids) * best_time)} here, the "
    "optimiser's own work not counted. Weights, gradients and the optimiser's two averages take "
    f"{count * 16 / 1e9:.2f} GB. That is a floor: what comes on top grows with batch and length. "
    + ("On the GPU this notebook" if lab.device == "cuda" else
       "This notebook, libraries included,")
    + f" has peaked at {peak_memory_gib():.1f} GiB so far.")

# %% tags=["assert"]
assert count == 66_955_010

# %% [markdown]
# ## What to remember
#
# 1. Baselines first. Fine-tuning is ahead where the interval of the difference lies clear of 0
#    and other seeds agree; whether those points are worth the cost, you decide.
# 2. A new head knows nothing; "newly initialized" is information, not an error.
# 3. Never pad in `map`: the collator pads per batch. Cut texts only after a look at their lengths.
# 4. Choose on validation rows, by the score that you report; open the test split once.
# 5. Save often; a resumed run takes the same steps as an uninterrupted one.
#
# ## Take this with you
#
# The core without the course: count, train, compare on new texts, save; section 6's `compare` adds
# the interval. Only the counter is chosen, on the training texts, so there is no validation split.
# Name, rate and epochs, which the lesson takes from `lab`, are written out.
# It needs `pip install "transformers>=5" datasets accelerate torch scikit-learn`.
#
# ```python
# from datasets import Dataset
# from sklearn.feature_extraction.text import TfidfVectorizer
# from sklearn.linear_model import LogisticRegression
# from sklearn.model_selection import GridSearchCV
# from sklearn.pipeline import make_pipeline
# from transformers import (AutoModelForSequenceClassification, AutoTokenizer, Trainer,
#                           TrainingArguments, set_seed)
#
# texts = ["great fun", "a joy", "loved every scene", "dull", "a bore", "hated every scene"] * 4  # yours
# labels = [1, 1, 1, 0, 0, 0] * 4
# new_texts, new_labels = ["what a joy", "what a bore"], [1, 0]  # some hundreds, never trained on
#
# counting = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10))
# kinds = {"tfidfvectorizer__ngram_range": [(1, 1), (1, 2)]}  # words; words and pairs
# counter = GridSearchCV(counting, kinds, cv=4).fit(texts, labels)
# print("counting words:", counter.score(new_texts, new_labels))
#
# set_seed(0)
# name = "distilbert/distilbert-base-uncased"
# tokenizer = AutoTokenizer.from_pretrained(name)
# def rows(texts, labels):
#     split = Dataset.from_dict({"text": texts, "label": labels})
#     return split.map(lambda b: tokenizer(b["text"], truncation=True, max_length=256), batched=True)
#
# model = AutoModelForSequenceClassification.from_pretrained(
#     name, use_safetensors=True, id2label={0: "neg", 1: "pos"}, label2id={"neg": 0, "pos": 1})
# settings = TrainingArguments("classifier", num_train_epochs=3, learning_rate=5e-5, warmup_steps=0.1,
#                              per_device_train_batch_size=16, report_to="none")
# trainer = Trainer(model, settings, train_dataset=rows(texts, labels), processing_class=tokenizer)
# trainer.train()
# result = trainer.predict(rows(new_texts, new_labels))  # with the labels in the same order
# print("fine-tuned:", (result.predictions.argmax(-1) == result.label_ids).mean())
# trainer.save_model("classifier")  # weights and tokenizer
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | `classifier.weight … MISSING` after loading *your own* model | you loaded the base model, not your folder | load the folder you saved |
# | `The model did not return a loss from the inputs` | the labels don't reach the model | the column must be called `label` or `labels` |
# | loss stays at ln K | rate far too high or too low, or labels shuffled | the range test of lesson 04; look at a few rows |
# | `trainer.predict` is no better than guessing | with `group_by_length` it returns the rows in another order | compare with `label_ids` of the same result |
# | loss grows with `gradient_accumulation_steps` | the Trainer believes that the model divides by the number of items | `model.accepts_loss_kwargs = False` |
# | out of memory | batch × length is too large for this device | halve the batch, double the accumulation |
# | accuracy 100 % after the first rows of a subset | IMDb is sorted by label; `select(range(n))` takes one class | `shuffle(seed=…)` first |
#
# ## Further reading
#
# * Sanh, Debut, Chaumond, Wolf 2019,
#   [*DistilBERT, a distilled version of BERT*](https://arxiv.org/abs/1910.01108v4): 92.82 % on IMDb
#   with all 25,000 labels (table 2).
# * Devlin et al. 2019, [*BERT*](https://arxiv.org/abs/1810.04805), appendix A.3: the grid of
#   settings. Mosbach et al. 2021, [*On the stability of fine-tuning
#   BERT*](https://arxiv.org/abs/2006.04884).
# * Accuracy by length on IMDb: TextAttack's training log (128 tokens, 88.0 %), Niophy's model card
#   (256 tokens, 91.2 %), sinensia's model card (512 tokens, 93.2 %).
#
# Next: [06, how good is it really?](06_evaluation.ipynb)

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish("; ".join(f"{task} {tuned:.0%} against {counted:.0%} by counting words"
                     for task, (tuned, counted, *_) in results.items()))
