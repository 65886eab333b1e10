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
# You have a few hundred or a few thousand labelled texts. You want a program that labels new ones. This lesson takes
# film reviews from raw text to a trained, saved and reloaded classifier, and measures at each step what the step is worth.
#
# **After this lesson you can**
#
# 1. set up baselines that a fine-tuned model has to beat;
# 2. prepare text for training and say what cutting it short costs;
# 3. explain the arguments that matter in `TrainingArguments`;
# 4. read loss and accuracy curves and keep the best checkpoint;
# 5. stop a run, resume it, and prove that the result is the same.
#
# **What it costs**
#
# {{cost}}
#
# A *profile* decides the size of the lesson: `mini` uses a small DistilBERT that comes with the course and runs
# anywhere; `cpu` and `gpu` use the published one. The code below is the same for all three.

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
# ## 1. What do the data look like?
#
# Look before you train. `load_task` gives three splits. You learn from *train*, you choose with *validation*, and you
# open *test* once, at the end. In the course's own reviews no film appears in two splits: a model that has learned to
# recognise a film gains nothing from it. (Data without a validation split, like IMDb, get one cut at random from train; films stand on both sides of that cut, so validation is a little too
# friendly there. IMDb's test split has films of its own.)

# %%
from course_utils.data import load_task

reviews = load_task("reviews", lab.profile)
reviews

# %%
for row in reviews["train"].select(range(3)):
    print(f"[{reviews['train'].features['label'].int2str(row['label'])}] {row['text'][:300]}\n")

# %% [markdown]
# Some verdicts are stated outright, some only implied. A word counter will find the first kind easy.
#
# Is one class more frequent than the other? If so, accuracy would flatter a model that always says the frequent one.

# %%
import numpy as np

balance = {split: float(np.mean(reviews[split]["label"])) for split in reviews}
print({split: f"{share:.1%} positive" for split, share in balance.items()})

# %% [markdown]
# ## 2. What do you have to beat?
#
# Two [baselines](glossary.md#baseline) before any neural network. The *majority* baseline gives every text the most
# frequent training label. The second, [TF-IDF](glossary.md#tf-idf) with logistic regression, counts words and pairs of
# words, weighs down those that stand in most texts, and fits one weight per word. It trains in a second.

# %%
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def word_counter():
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
                         LogisticRegression(C=10, max_iter=1000))


train, validation = reviews["train"], reviews["validation"]
majority = DummyClassifier().fit(train["text"][:], train["label"][:])
tfidf = word_counter().fit(train["text"][:], train["label"][:])

# %%
baselines = {name: model.score(validation["text"][:], validation["label"][:])
             for name, model in {"majority": majority, "TF-IDF": tfidf}.items()}
print({name: f"{accuracy:.1%}" for name, accuracy in baselines.items()})
assert baselines["majority"] < 0.6 < baselines["TF-IDF"]

# %% [markdown]
# Remember the second number. A fine-tuned network that does no better is a slow way to count words.

# %% [markdown]
# ## 3. How long are the texts, in tokens?
#
# DistilBERT reads [tokens](glossary.md#token), not words. Its [tokenizer](glossary.md#tokenizer) cuts rare words into pieces and adds `[CLS]` in front
# and `[SEP]` behind. You must use the tokenizer that the model was trained with: another one gives
# the same words other numbers.

# %%
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
encoded = tokenizer("An unforgettable film, hardly a dull minute.")
print(tokenizer.convert_ids_to_tokens(encoded["input_ids"]))

# %% [markdown]
# Every token costs time and memory, and the model takes at most 512. So how long are these reviews?

# %%
lengths = np.array([len(ids) for ids in tokenizer(train["text"][:])["input_ids"]])
limits = [32, 64, 128, 256, 512]
cut = {limit: float((lengths > limit).mean()) for limit in limits}
lost = {limit: float(np.maximum(lengths - limit, 0).sum() / lengths.sum()) for limit in limits}
print(f"median {np.median(lengths):.0f} tokens, longest {lengths.max()}")

# %%
from course_utils import plots

figure, ax = plots.new_figure()
ax.hist(np.minimum(lengths, 600), bins=60, color=plots.COLOURS[0])
for limit in (64, 128, 256):
    ax.axvline(limit, color="black", linestyle="--", linewidth=1)
    ax.annotate(f"{limit}: cuts {cut[limit]:.0%}", (limit, 0.93),
                xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right", fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
ax.set(title=f"A limit of 128 tokens cuts {cut[128]:.0%} of the reviews short",
       xlabel="tokens in a review", ylabel="reviews")
plots.show(figure,
           "Histogram of review lengths in tokens. Dashed lines at 64, 128 and 256 tokens "
           f"cut {cut[64]:.0%}, {cut[128]:.0%} and {cut[256]:.0%} of the reviews.")

# %% [markdown]
# A popular recipe for this model [truncates](glossary.md#truncation) at 128 tokens without looking. What that costs depends on the data.
# The word counter can tell us in a second: train it on the shortened texts and compare.

# %%
def shortened(texts, limit):
    ids = tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


for limit in (32, 128, 512):
    model = word_counter().fit(shortened(train["text"][:], limit), train["label"][:])
    score = model.score(shortened(validation["text"][:], limit), validation["label"][:])
    print(f"first {limit:3} tokens: {score:.1%} ({lost[limit]:.0%} of all tokens lost)")

# %% [markdown]
# People often put the verdict last. On real IMDb reviews, where the median is above 200 tokens, public runs of this
# model reach about 88 % at 128 tokens, 91 % at 256 and 93 % at 512 (model cards listed under *Further reading*). Measure your
# own texts, then choose; here the profile chooses the limit for you.

# %% [markdown]
# ## 4. From texts to batches
#
# Tokenise all splits once. Two things are deliberately *not* done here: no padding (a later section shows what it wastes), and
# no conversion to tensors (that is the collator's work).

# %%
def tokenize(batch):
    return tokenizer(batch["text"], truncation=True, max_length=lab.profile.max_length)


columns = [c for c in train.column_names if c != "label"]
tokenized = reviews.map(tokenize, batched=True, remove_columns=columns)
tokenized["train"].column_names

# %% [markdown]
# The [collator](glossary.md#collator) pads each batch to *its own* longest text, rounded up to a multiple of 16: GPUs multiply such sizes fastest, and fewer different shapes leave
# less memory set aside for each. It fills the attention mask up with 0 on the padding: without
# the mask the model would read the padding as if it were text. And it renames `label` to `labels`, the name under which the model looks for them.

# %%
from transformers import DataCollatorWithPadding

collator = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=16)
batch = collator([tokenized["train"][i] for i in range(4)])
print({name: tuple(tensor.shape) for name, tensor in batch.items()})
print("tokens per text:", batch["attention_mask"].sum(1).tolist())

# %% [markdown]
# ## 5. The model, and a warning you should read
#
# `from_pretrained` loads the pretrained body and puts a new *head* on it: two small layers that turn the vector of
# `[CLS]` into one number per class. The library reports which weights are new. Many readers take the report for an error; it is
# the plain truth: **the head knows nothing yet.**

# %%
from transformers import AutoModelForSequenceClassification, set_seed, utils

names = reviews["train"].features["label"].names


def new_model(seed=lab.seed):
    set_seed(seed)  # the head is random: without a seed each run starts elsewhere
    model = AutoModelForSequenceClassification.from_pretrained(
        lab.checkpoint, revision=lab.revision, use_safetensors=True, num_labels=len(names),
        id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
    # see "Common mistakes": otherwise gradient accumulation multiplies the loss
    model.accepts_loss_kwargs = False
    return model


_, report = AutoModelForSequenceClassification.from_pretrained(
    lab.checkpoint, revision=lab.revision, use_safetensors=True, output_loading_info=True)
print("new:", *sorted(report["missing_keys"]), sep="\n  ")

# %% [markdown]
# Four tensors are *missing* from the checkpoint and start from random numbers. The library's own report, where your version prints it, may also list *unexpected* ones: the head that
# guessed masked words in pretraining, which you don't need. How much of the model is new?

# %%
utils.logging.set_verbosity_error()  # read once; the report would come with every model below
model = new_model()
parameters = {name: p.numel() for name, p in model.named_parameters()}
new = sum(n for name, n in parameters.items() if name in report["missing_keys"])
print(f"{new:,} of {sum(parameters.values()):,} parameters are new "
      f"({new / sum(parameters.values()):.1%})")
assert len(report["missing_keys"]) == 4

# %% [markdown]
# An article that calls this "a model fine-tuned for sequence classification" is wrong, and you can see it: before training it does
# no better than a coin, and its [loss](glossary.md#loss) (cross-entropy: minus the logarithm of the probability given to the right class) is near $\ln 2 \approx 0.693$, the loss of answering fifty-fifty every time.

# %%
import math

import torch


@torch.no_grad()
def predict(model, split, batch_size=64):
    """Logits (rows, classes) and the mean cross-entropy of a tokenised split."""
    model.eval()
    # similar lengths together: little padding
    order = np.argsort([len(ids) for ids in split["input_ids"]])
    logits = torch.empty(len(split), len(names))
    for start in range(0, len(split), batch_size):
        rows = order[start:start + batch_size]
        inputs = collator([{k: split[int(i)][k] for k in ("input_ids", "attention_mask")}
                           for i in rows])
        logits[rows] = model(**inputs.to(model.device)).logits.float().cpu()
    return logits, torch.nn.functional.cross_entropy(logits, torch.tensor(split["label"][:])).item()


logits, loss = predict(model.to(lab.device), tokenized["validation"])
accuracy = (logits.argmax(1).numpy() == np.array(validation["label"])).mean()
print(f"untrained head: accuracy {accuracy:.1%}, loss {loss:.3f}, ln 2 = {math.log(2):.3f}")
assert abs(loss - math.log(2)) < 0.08 and accuracy < 0.65

# %% [markdown]
# ## 6. The training arguments, one by one
#
# Training repeats one *step*: take a batch, compute the loss, compute its gradient (how the loss would change with each weight), and let the *optimiser* move every weight a little against it. How far is the
# *learning rate*; one pass over all rows is an *epoch*; a saved state is a *checkpoint*. Few arguments matter much. These do.

# %%
steps_per_epoch = math.ceil(len(train) / lab.profile.batch_size)
settings = dict(
    output_dir=str(lab.workdir / "main"),
    num_train_epochs=lab.profile.epochs,
    learning_rate=lab.profile.learning_rate,
    per_device_train_batch_size=lab.profile.batch_size,
    per_device_eval_batch_size=4 * lab.profile.batch_size,  # no gradients to keep, so more fits
    warmup_steps=0.1,  # a share of all steps, because it is below 1
    weight_decay=0.01,
    # texts of similar length share a batch: less padding
    train_sampling_strategy="group_by_length",
    eval_strategy="steps", eval_steps=max(1, steps_per_epoch // 2),
    save_strategy="steps", save_steps=max(1, steps_per_epoch // 2), save_total_limit=2,
    load_best_model_at_end=True, metric_for_best_model="eval_loss", greater_is_better=False,
    logging_steps=max(1, steps_per_epoch // 12), report_to="none", disable_tqdm=True, seed=lab.seed,
    **lab.precision_arguments,
)
for name in ("num_train_epochs", "learning_rate", "per_device_train_batch_size", "eval_steps"):
    print(f"{name:28} {settings[name]:g}")

# %% [markdown]
# | argument | why this value |
# |---|---|
# | `num_train_epochs`, `learning_rate`, `per_device_train_batch_size` | the usual grid is 2–4 epochs, 2e-5 to 5e-5, 16 or 32 (BERT paper, appendix A.3). Lesson 04 measures the grid |
# | `warmup_steps=0.1` | the rate rises during the first tenth of the steps. A fixed 500, as articles advise, is longer than many whole runs |
# | `weight_decay` | pulls weights towards 0 a little; matters least here |
# | `train_sampling_strategy` | batches of similar length |
# | `lr_scheduler_type` (not set) | after the warm-up the rate falls in a straight line to 0: a checkpoint from the middle is not a finished shorter run |
# | `per_device_eval_batch_size` | evaluation keeps no gradients, so four times as many texts fit |
# | `eval_*`, `save_*`, `load_best_model_at_end` | evaluate and save twice per epoch; at the end return the checkpoint with the lowest validation loss. Loss moves smoothly with few validation rows; where accuracy is what you report and rows are many, choose by it: `metric_for_best_model="eval_accuracy"`, `greater_is_better=True` |
# | `save_total_limit=2` | keep the best and the last checkpoint, delete the others: each is three times the size of the model |
# | `logging_steps` | the default 500 would show nothing in a short run |
# | `seed` | order of the batches and dropout; the head's start was fixed by `set_seed` in `new_model` |
# | `use_cpu`, `bf16`, `fp16` | 16-bit or 32-bit numbers, chosen by `start_lab`: by what the processor or the GPU computes itself |
#
# **On Colab** the disk vanishes with the machine, and a free machine may be taken back at any time; limits change and are not guaranteed. Mount Drive and save there *before* you train,
# and after a disconnection run the cells up to the training again and resume:
#
# ```python
# from google.colab import drive
# drive.mount("/content/drive")
# settings["output_dir"] = "/content/drive/MyDrive/distilbert-course/05"
# ...
# with run_folder(trainer):
#     trainer.train(resume_from_checkpoint=last_whole_checkpoint(trainer))
# ```
#
# Section 9 shows that a resumed run takes the same steps. Only early stopping starts to count anew.
#
# ### Exercise 5.1 How many steps? ●○○ 5 minutes
#
# The optimiser makes one *step* per batch; the last batch of an epoch may be smaller. With
# [gradient accumulation](glossary.md#gradient-accumulation) it makes one step per `accumulation` batches, and one for the batches left over at the end of an epoch. Write `training_steps(rows, batch_size, epochs, accumulation)`:
# the number of steps of a whole run.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e5_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def training_steps(rows, batch_size, epochs, accumulation=1):
    ### BEGIN SOLUTION
    batches = math.ceil(rows / batch_size)
    return math.ceil(batches / accumulation) * epochs
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Ask first how many batches one epoch has. 100 rows in batches of 16: six full ones, and four rows are left.
# </details>
# <details><summary>Hint 2</summary>
#
# `math.ceil` rounds up. Round per epoch, then multiply: the rest of one epoch is not filled up from the next.
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
# ## 7. Train
#
# `compute_metrics` turns logits into the numbers you want to see. The metric object is a subclass of `evaluate.Metric` over
# scikit-learn: nothing is downloaded.

# %%
from course_utils.metrics import ClassificationMetrics

metrics = ClassificationMetrics()


def compute_metrics(prediction):
    logits, labels = prediction
    return metrics.compute(predictions=logits.argmax(-1), references=labels)


# %%
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

from course_utils.training import StopAtNaN, last_whole_checkpoint, run_folder


# %%
def make_trainer(model, train_split, eval_split=None, callbacks=(), **changes):
    return Trainer(
        model=model, args=TrainingArguments(**settings | changes), train_dataset=train_split,
        eval_dataset=eval_split,
        processing_class=tokenizer, data_collator=collator, compute_metrics=compute_metrics,
        callbacks=list(callbacks))


trainer = make_trainer(new_model(), tokenized["train"], tokenized["validation"],
                       [EarlyStoppingCallback(early_stopping_patience=3), StopAtNaN()])

# %% [markdown]
# [Early stopping](glossary.md#early-stopping) ends the run when three evaluations in a row bring no lower validation loss, be it a few steps before the planned end. `StopAtNaN` ends it, with step and rate, when a gradient is no number any more; the
# trainer by itself logs a plausible loss and goes on. And `run_folder`, below, gives the output folder to this run alone, writes beside the checkpoints which data and settings they belong to, and says in plain words when a checkpoint finds no room.
#
# How long will it take? Ask before you start. The estimate times a few real steps on a copy of the model.

# %%
from course_utils.timing import Stopwatch, duration, estimate_training

expected = estimate_training(trainer)

# %%
from transformers.trainer_callback import PrinterCallback

trainer.remove_callback(PrinterCallback)  # the curves below say it better
with Stopwatch() as watch, run_folder(trainer):
    trainer.train()
print(f"took {duration(watch.seconds)}, estimated {duration(expected)}; "
      f"{trainer.state.global_step} steps, best at step {trainer.state.best_global_step}")

# %% [markdown]
# ## 8. What do the curves say?
#
# `log_history` holds every number the trainer logged. Training loss is the mean over the few batches since the last entry, so it jumps;
# validation loss comes from texts it never learns from.

# %%
def history(trainer, key):
    return np.array([(log["step"], log[key]) for log in trainer.state.log_history if key in log]).T


figure, (left, right) = plots.new_figure(columns=2, width=10, height=3.8)
plots.curve(left, *history(trainer, "loss"), "training", 0, marker="")
plots.curve(left, *history(trainer, "eval_loss"), "validation", 1)
plots.curve(right, *history(trainer, "eval_accuracy"), "fine-tuned", 1)
right.axhline(baselines["TF-IDF"], color="black", linestyle=":", label="TF-IDF")
for ax in (left, right):
    ax.axvline(trainer.state.best_global_step, color="gray", linewidth=1, label="kept checkpoint")
    ax.set_xlabel("step")
    ax.legend()
best = min(history(trainer, "eval_loss")[1])
left.set_title(f"Validation loss is lowest at step {trainer.state.best_global_step}")
left.set_ylabel("cross-entropy")
passes = history(trainer, "eval_accuracy")[1].max() > baselines["TF-IDF"]
right.set_title(f"It {'passes' if passes else 'does not pass'} word counting")
right.set_ylabel("accuracy")
plots.show(figure,
           "Left: training and validation loss over the steps; "
           f"validation is lowest, {best:.2f}, at step {trainer.state.best_global_step}. "
           "Right: validation accuracy over the steps with the TF-IDF baseline as a dotted line.")

# %%
evaluations = history(trainer, "eval_loss")[1]
assert (len(evaluations) > 3
        and evaluations.min() < evaluations[0]), "training must lower the validation loss"
print(f"validation loss: {evaluations[0]:.3f} at first, "
      f"{evaluations.min():.3f} at best, {evaluations[-1]:.3f} at the end")
print("training loss in the last quarter:",
      round(float(history(trainer, "loss")[1][-len(history(trainer, "loss")[1]) // 4:].mean()), 3))

# %% [markdown]
# Compare the two losses at the end. Where training loss goes on falling while validation loss stands still or rises, the model learns *these* texts by heart
# ([overfitting](glossary.md#overfitting)). Accuracy often stays where it is at that point, because the model only becomes more certain of its mistakes. That is why both curves are shown,
# and why the best checkpoint is kept, be it the last or not.
#
# ### Exercise 5.2 Which checkpoint? ●●○ 8 minutes
#
# A colleague wrote the function below to pick the best checkpoint from a log. It has two mistakes. Mend it, so that it returns the *step* of the
# evaluation with the lowest validation loss (the first one, where two are equal).

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e5_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_step(log_history):
    # The colleague's version:
    # return max((log["test_loss"], log["step"]) for log in log_history if "test_loss" in log)[1]
    ### BEGIN SOLUTION
    evaluations = [log for log in log_history if "eval_loss" in log]
    return min(evaluations, key=lambda log: log["eval_loss"])["step"]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which split may be used for choosing, and is a good loss high or low?
# </details>
# <details><summary>Hint 2</summary>
#
# Entries of `log_history` are dictionaries; only those with the key `eval_loss` are evaluations on the validation split. `min` takes a `key`.
# </details>

# %% tags=["grading"]
# stands in for the Trainer when the exercise is graded
from types import SimpleNamespace

trainer = SimpleNamespace(state=SimpleNamespace(best_global_step=60, log_history=[
    {"step": 30, "eval_loss": 0.62}, {"step": 45, "loss": 0.5},
    {"step": 60, "eval_loss": 0.58}, {"step": 90, "eval_loss": 0.61}]))

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t5_2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
log = [{"step": 5, "loss": 0.1}, {"step": 10, "eval_loss": 0.70, "test_loss": 0.6},
       {"step": 20, "eval_loss": 0.40, "test_loss": 0.8},
       {"step": 30, "eval_loss": 0.40, "test_loss": 0.7},
       {"step": 40, "eval_loss": 0.55, "test_loss": 0.2},
       {"step": 50, "eval_loss": 0.60, "test_loss": 0.9},
       {"step": 60, "eval_loss": 0.65, "test_loss": 0.5}]
tiny = [{"step": 3, "eval_loss": 2.0, "test_loss": 1.0}]
check("5.2 Which checkpoint?",
      ("it returns a step of the log it is given, an int",
       lambda: type(best_step(tiny)) is int and best_step(tiny) == 3,
       "return the step of an entry of log_history: "
       "not its loss, its place or the entry, nor a step of another run"),
      ("it does not choose by the test split", lambda: best_step(log) not in (40, 50),
       "choosing by the test loss makes the test part of training; choose with eval_loss"),
      ("it takes the lowest validation loss", lambda: best_step(log) in (20, 30),
       "a low loss is good: min, not max; the last need not be the best; "
       "entries without eval_loss are training logs"),
      ("of two equal ones it takes the earlier", lambda: best_step(log) == 20,
       "20 and 30 are equally good, so take 20; "
       "min returns the first of equals when only the loss is compared"),
      ("it agrees with the Trainer",
       lambda: best_step(trainer.state.log_history) == trainer.state.best_global_step,
       "compare with trainer.state.best_global_step"));
### BEGIN HIDDEN TESTS
assert best_step(log[::-1]) in (20, 30) and best_step([{"step": 7, "eval_loss": 2.0}]) == 7
assert type(best_step(log[2:])) is int and best_step(log[2:]) == 20
### END HIDDEN TESTS

# %% [markdown]
# ## 9. What if the run is killed?
#
# Colab disconnects; laptops sleep. With checkpoints on disk you lose only the steps since the last one. But does a resumed run end where
# an uninterrupted one would have? Test it: one run of 12 steps, and one stopped after step 8 and resumed from its checkpoint of step 6.
#
# First the uninterrupted one.

# %%
from transformers import TrainerCallback


class Kill(TrainerCallback):
    """Stop in the middle of training, as Ctrl-C does: nothing is saved any more."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 8:
            raise KeyboardInterrupt("killed after step 8")


short = dict(max_steps=12, save_strategy="steps", save_steps=6, eval_strategy="no",
             load_best_model_at_end=False, per_device_train_batch_size=8)
few = tokenized["train"].select(range(64))
whole = make_trainer(new_model(), few, **short, output_dir=str(lab.workdir / "whole"))
whole.remove_callback(PrinterCallback)
whole.train();

# %% [markdown]
# Now the same run, stopped between two checkpoints.

# %%
import shutil

# checkpoints of an earlier visit to this cell
shutil.rmtree(lab.workdir / "killed", ignore_errors=True)
killed = make_trainer(new_model(), few, callbacks=[Kill()], **short,
                      output_dir=str(lab.workdir / "killed"))
killed.remove_callback(PrinterCallback)
try:
    with run_folder(killed):
        killed.train()
except KeyboardInterrupt as stop:
    print(stop, "· on disk:", sorted(p.name for p in (lab.workdir / "killed").glob("checkpoint-*")))

# %% [markdown]
# And resumed. The new trainer gets a model with *another* random head, so that equal weights can only come from the disk. `resume_from_checkpoint=True` would take the newest folder; but a run that is killed *while it saves* leaves half
# a checkpoint, and `last_whole_checkpoint` skips that, as it skips checkpoints of a run with other data, labels or settings.

# %%
resumed = make_trainer(new_model(seed=999), few, **short, output_dir=str(lab.workdir / "killed"))
resumed.remove_callback(PrinterCallback)
with run_folder(resumed):
    resumed.train(resume_from_checkpoint=last_whole_checkpoint(resumed))
pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
difference = max((a - b).abs().max().item() for a, b in pairs)
print(f"steps: {whole.state.global_step} and {resumed.state.global_step}; "
      f"largest difference of any weight: {difference}")
assert difference <= (0 if lab.device == "cpu" else lab.profile.learning_rate)
size = sum(f.stat().st_size for f in (lab.workdir / "killed" / "checkpoint-12").glob("*"))
print(f"one checkpoint takes {size / 1e6:.0f} MB")
del whole, killed, resumed  # models and optimisers; their memory is needed below

# %% [markdown]
# On a CPU the two runs agree to the last bit. On a GPU sums run in another order each time, so expect tiny differences, far below one step of the optimiser. The checkpoint holds more than weights: the
# optimiser's memory (twice the size of the weights), the position in the learning-rate schedule, the random state and how many batches of the epoch were done.

# %% [markdown]
# ## 10. Try your own sentences
#
# The model returns [logits](glossary.md#logit): one number per class, any size. [Softmax](glossary.md#softmax) makes them probabilities. While training in bf16 or fp16 the trainer keeps its
# model in a wrapper that computes in that short format, good for about three digits; the first line takes it off. Write your own sentences below.

# %%
# full precision from here on
model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
sentences = [
    "A wonderful film, I laughed and cried.",
    "Dull from the first minute to the last.",
    "I expected to hate it, and I was wrong.",
    "Two hours of my life that I will never get back.",
]


def probabilities(model, texts):
    inputs = tokenizer(texts, truncation=True, padding=True, return_tensors="pt").to(model.device)
    with torch.no_grad():
        return model.eval()(**inputs).logits.float().softmax(-1).cpu()


answers = probabilities(model, sentences)
for sentence, p in zip(sentences, answers, strict=True):
    print(f"{p[1]:.0%} positive · {sentence}")
assert torch.allclose(answers.sum(-1), torch.ones(len(sentences)))

# %% [markdown]
# Which of them does it get wrong? The last two carry their verdict in the whole sentence, not in one word of praise or blame; lesson 06 goes on there. Note `.to(model.device)`: after training on a GPU the model lives
# there, and an article's `model(**inputs)` stops with *Expected all tensors to be on the same device*.

# %% [markdown]
# ## 11. Save, reload, same answers
#
# Save model *and* tokenizer in one folder. The weights go into a `safetensors` file, which can hold numbers only; older pickle files can run code when they are opened. (The `Trainer` leaves one beside it, `training_args.bin`: nothing here reads it, so don't pass it on.)

# %%
folder = lab.workdir / "my-classifier"
trainer.save_model(folder)
reloaded = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True)
assert torch.allclose(probabilities(reloaded.to(lab.device), sentences), answers, atol=1e-6)
print(sorted(p.name for p in folder.glob("*") if p.suffix in {".json", ".safetensors"}))

# %%
from transformers import pipeline

classify = pipeline("text-classification", model=str(folder), device=lab.device)
labels = [answer["label"] for answer in classify(sentences, truncation=True)]
print(labels)
assert labels == [names[i] for i in answers.argmax(-1)]

# %% [markdown]
# ## 12. How many labels do you need?
#
# Labels cost money. So train on 50 of them, then on more, with three [seeds](glossary.md#seed) each: here a seed decides which rows are drawn, how
# the head starts, and the order of the batches. Nine trainings take a while, so we use a second task with short texts: `messages`, spam or not, which lesson 06 looks at closely.
#
# Only about 13 % of the messages are spam, so a model that never says spam is 87 % accurate. The fair measure is *average precision*: 1.0 if every spam gets a higher probability than every wanted message, about
# 0.13 for guessing. Every run makes at least 40 optimiser steps, and reads each label one and a half times on average or more: with 50 labels far more often than with all. A short run, so the right end of the curve may lack steps rather than labels.

# %%
messages = load_task("messages", lab.profile)
message_columns = [c for c in messages["train"].column_names if c != "label"]
tokenized_messages = messages.map(
    lambda batch: tokenizer(batch["sms"], truncation=True, max_length=128),
    batched=True, remove_columns=message_columns)
spam = np.array(messages["validation"]["label"])
assert abs(spam.mean() - 0.13) < 0.03 and abs((1 - spam).mean() - 0.87) < 0.03
counts, SEEDS = [50, 250, len(messages["train"])], 3

# %% [markdown]
# One function trains both methods on the same rows and scores both on the whole validation split.

# %%
from sklearn.metrics import average_precision_score

quiet = dict(eval_strategy="no", save_strategy="no", load_best_model_at_end=False,
             logging_strategy="no")


def score_with(labels, seed):
    rows = np.random.default_rng(seed).permutation(len(messages["train"]))[:labels]
    steps = max(40, math.ceil(1.5 * labels / lab.profile.batch_size))
    run = make_trainer(new_model(seed), tokenized_messages["train"].select(rows), **quiet,
                       max_steps=steps, seed=seed, output_dir=str(lab.workdir / "curve"))
    run.remove_callback(PrinterCallback)
    run.train()
    fine = predict(run.model, tokenized_messages["validation"])[0].softmax(1)[:, 1].numpy()
    few = messages["train"].select(rows)
    counter = word_counter().fit(few["sms"][:], few["label"][:])
    words = counter.predict_proba(messages["validation"]["sms"][:])[:, 1]
    return average_precision_score(spam, fine), average_precision_score(spam, words)


scores = np.array([[score_with(labels, seed) for seed in range(SEEDS)] for labels in counts])
scores.shape  # (counts, seeds, methods)

# %%
means, low, high = scores.mean(1), scores.min(1), scores.max(1)
for labels, (fine, words), lows, highs in zip(counts, means, low, high, strict=True):
    print(f"{labels:5} labels: DistilBERT {fine:.2f} ({lows[0]:.2f} to {highs[0]:.2f}), "
          f"TF-IDF {words:.2f} ({lows[1]:.2f} to {highs[1]:.2f})")

# %%
figure, ax = plots.new_figure()
for number, name in enumerate(["DistilBERT, fine-tuned", "TF-IDF + logistic regression"]):
    plots.curve(ax, counts, means[:, number], name, number, low[:, number], high[:, number])
ax.set_xscale("log")
ax.set_xticks(counts, [f"{c:,}" for c in counts])
ax.minorticks_off()
ax.axhline(spam.mean(), color="gray", linewidth=1, label="guessing")
ax.set(xlabel="labelled messages", ylabel="average precision on validation",
       title=f"DistilBERT: {means[0, 0]:.2f} with {counts[0]} labels, "
             f"{means[-1, 0]:.2f} with {counts[-1]:,}")
ax.legend()
plots.show(figure,
           "Average precision against the number of labels, mean and range of three seeds. "
           f"DistilBERT goes from {means[0, 0]:.2f} to {means[-1, 0]:.2f}, "
           f"TF-IDF from {means[0, 1]:.2f} to {means[-1, 1]:.2f}.")
assert means[-1, 0] > means[0, 0], "more labels must help"

# %% [markdown]
# Look at the bands before you look at the lines. DistilBERT's band mixes three kinds of luck: the rows drawn (not at the right end, where all are taken), the head's start, the order of the batches; the word counter's has the rows alone. Where two bands overlap, the bands alone decide nothing: compare
# seed by seed, as the exercise below does. An article's "1,000 to 2,000 samples deliver strong accuracy" names no number for "strong"; this curve does, for these texts and this model.
#
# ### Exercise 5.3 Better every time? ●●○ 8 minutes
#
# `scores[i, j]` holds both methods' results for `counts[i]` labels and seed `j`. Write a function that takes the results of two methods over the same seeds and returns `True` only if the first method
# is better *in every seed*, and stops with a `ValueError` where a run has no partner. Try it on `scores[-1, :, 0]` and `scores[-1, :, 1]`. It is stricter than comparing two means, but no proof: of two equal methods, one or the other wins all three times in a quarter of all cases (twice 1/2³).

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e5_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def better_in_every_seed(first, second):
    ### BEGIN SOLUTION
    return all([bool(a > b) for a, b in zip(first, second, strict=True)])
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Compare run with run: the first score of one method with the first of the other, and so on. An equal pair is not "better".
# </details>
# <details><summary>Hint 2</summary>
#
# `all([...])` over `zip(first, second, strict=True)`. `strict=True` stops with an error where a run is missing; a list is made to its
# end, while a generator inside `all` stops at the first pair that is not better and may never meet the missing run.
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
# ## 13. What does the popular recipe cost?
#
# Two widely read articles train this model like this:
#
# * **A**: cut and pad *every* text to 128 tokens, single precision (fp32), batches of 16, 2 epochs, learning rate 2e-5;
# * **B**: pad to the longest of 1,000 texts (on IMDb that is 512), fp32, batches of 16, 3 epochs, learning rate 2e-5.
#
# Their learning rate goes with the published model; to compare the rest fairly, all three get the rate of your profile.
#
# Both also look at the *test* split after every epoch. Each look takes time and tempts you to choose by it; we leave it out. Our settings pad per batch, group by length, and use the precision that this machine computes fastest.
#
# First, does padding change the answer? It must not: the attention mask hides it.

# %%
sample = [tokenized["validation"][i] for i in range(4)]
inputs = [{k: row[k] for k in ("input_ids", "attention_mask")} for row in sample]
wide = DataCollatorWithPadding(tokenizer, padding="max_length", max_length=512)
with torch.no_grad():
    narrow_logits = model.eval()(**collator(inputs).to(model.device)).logits
    wide_logits = model(**wide(inputs).to(model.device)).logits
print(f"largest difference of any logit: {(narrow_logits - wide_logits).abs().max().item():.1e}")
assert torch.allclose(narrow_logits, wide_logits, atol=1e-3)

# %% [markdown]
# So padding doesn't change the answer; it costs time and memory. To see how much, time real training steps of each recipe, padding and all, and multiply by the number of steps. What the length buys, one model can tell: the one
# that you trained reads the validation texts as each recipe cuts them, at 128, at 512 and at our length. (Training each recipe to its end, at equal accuracy, is what `make bench` does.)

# %%
RECIPES = {  # name: (tokens at most, pad every text to that, what differs from our settings)
    "A: padded to 128, fp32": (128, True, {"num_train_epochs": 2, "weight_decay": 0}),
    "B: padded to 512, fp32": (512, True, {"num_train_epochs": 3}),
    "ours": (lab.profile.max_length, False, {}),
}
article = dict(per_device_train_batch_size=16, warmup_steps=0, train_sampling_strategy="random")
some = train.select(range(min(256, len(train))))


def cut_at(limit, split):
    return split.map(lambda batch: tokenizer(batch["text"], truncation=True, max_length=limit),
                     batched=True, remove_columns=columns)


def recipe_trainer(limit, padded, changes):
    return make_trainer(new_model(), cut_at(limit, some),
                        **quiet | (article if padded else {}) | changes,
                        output_dir=str(lab.workdir / "recipes"))


# %%
def seconds_per_epoch(limit, padded, changes):
    single = {"bf16": False, "fp16": False, "per_device_train_batch_size": 4,
              "gradient_accumulation_steps": 4} if padded else {}
    # 4 times 4 texts: 16, in less memory
    run = recipe_trainer(limit, padded, changes | single | {"num_train_epochs": 1})
    if padded:
        run.data_collator = DataCollatorWithPadding(tokenizer, padding="max_length",
                                                    max_length=limit)
    return estimate_training(run)


def right_answers(limit, padded, changes):
    answers = predict(model, cut_at(limit, validation))[0].argmax(1).numpy()
    return (answers == np.array(validation["label"])).astype(float)


# %%
from course_utils.metrics import bootstrap_interval

seconds = {name: seconds_per_epoch(*recipe) for name, recipe in RECIPES.items()}
right = {name: right_answers(*recipe) for name, recipe in RECIPES.items()}
changed = {name: int((hits != right["ours"]).sum()) for name, hits in right.items()}
print("texts judged right by one of the two alone, this cut or ours, "
      f"of {len(validation)}: {changed}")

# %% [markdown]
# Time on the left, accuracy on the right; the whiskers are 95 % intervals (section 15).

# %%
slow = seconds["B: padded to 512, fp32"] / seconds["ours"]
figure, (one, two) = plots.new_figure(columns=2, width=10.5, height=2.6)
plots.bars(one, list(seconds), list(seconds.values()), fmt="{:.1f} s")
plots.bars(two, list(right), [r.mean() for r in right.values()],
           [bootstrap_interval(np.mean, r) for r in right.values()], fmt="{:.1%}")
two.set_yticks([])
one.set(title=f"An epoch of B takes {slow:.1f} times as long as ours",
        xlabel="seconds per epoch over these rows")
two.set(title=f"Cut at 128: {changed['A: padded to 128, fp32']} "
              f"of {len(validation)} answers differ",
        xlabel="accuracy of one model, texts cut so; 95 % interval")
plots.show(figure,
           "Bars for the recipes A, B and ours. Left, seconds per epoch: "
           + ", ".join(f"{n} {t:.1f}" for n, t in seconds.items())
           + ". Right, validation accuracy of one model "
             "on texts cut at 128, at 512 and at our length: "
           + ", ".join(f"{n} {r.mean():.1%}" for n, r in right.items()) + ".")
assert slow > 1, "padding everything to 512 must cost time"

# %% [markdown]
# Four cautions. A and B are timed as four batches of 4, to save memory; on a GPU that alone makes them slower, so take their factor there as an upper bound. A can be the fastest, because it throws the rest of each long text away; look at section 3 before you do that. Grouping gains more with more rows: the `Trainer` sorts within blocks of batches, and the few rows timed here make small blocks. And the left-hand side extrapolates a few steps: trust the rough factor, not the seconds.

# %% [markdown]
# ### Question 5.4 A look at the test split ●○○ 3 minutes, in writing
#
# Both articles evaluate on the test split after every epoch (one prints the accuracy, the other only the loss). Nobody trains on the test rows. How can a test number that is read so often still be too good, and which split is there for such looks?

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w5_4", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in one or two sentences.*

# %% [markdown] tags=["solution"]
# Whoever sees it after every epoch ends up choosing by it: when to stop, which run to keep, which recipe to print. The choice then fits these rows by luck as well, and new texts won't repeat the luck. Such looks belong to
# the validation split, which chooses the checkpoint here (section 8); test is opened once, when all choices are made.
#
# Two things must be in it: choosing by a split makes its score too good, and validation is the split to choose by.

# %% [markdown]
# ## 14. What would the published model cost on this machine?
#
# Parameter count, memory and speed don't depend on the values of the weights. (AdamW, the optimiser, keeps two running averages per weight, its *moments*; *activations* are intermediate results kept for the gradient.) So a DistilBERT of full size with random weights tells what the real one costs here.

# %%
from transformers import DistilBertConfig, DistilBertForSequenceClassification

full = DistilBertForSequenceClassification(DistilBertConfig())
count = sum(p.numel() for p in full.parameters())
print(f"{count:,} parameters; fp32 weights {count * 4 / 1e6:.0f} MB; "
      f"with gradients and AdamW's two moments {count * 16 / 1e9:.2f} GB, before any activation")
assert count == 66_955_010

# %%
import time

full = full.to(lab.device).train()
ids, labels = torch.randint(1000, 30000, (4, 128), device=lab.device), torch.randint(0, 2, (4,),
    device=lab.device)
dtype = torch.float16 if lab.precision == "fp16" else torch.bfloat16
seconds = []
for _ in range(4):
    start = time.perf_counter()
    with torch.autocast(lab.device, dtype=dtype, enabled=lab.precision != "fp32"):
        loss = full(input_ids=ids, labels=labels).loss
    loss.backward()
    loss.item()  # waits for a GPU
    seconds.append(time.perf_counter() - start)

# %%
tokens_per_second = ids.numel() / min(seconds)
print(f"{tokens_per_second:,.0f} tokens/s forward and backward: "
      "an epoch over 2,000 reviews of 256 tokens takes about "
      f"{duration(2000 * 256 / tokens_per_second)}, and the optimiser's share")
del full

# %% [markdown]
# An article's "12–16 GB of RAM at least" is not a property of the model: memory grows with batch size and length, and starts at the weights, gradients and moments printed above.

# %% [markdown]
# ## 15. The test split, once
#
# All choices are made. Now, and only now, open the test split. The interval comes from the bootstrap: draw the test rows again and again with replacement,
# and see how far the accuracy moves. Lesson 06 explains it.

# %%
test_truth = np.array(reviews["test"]["label"])
predictions = {
    "majority": majority.predict(reviews["test"]["text"][:]),
    "TF-IDF": tfidf.predict(reviews["test"]["text"][:]),
    "DistilBERT": predict(model, tokenized["test"])[0].argmax(1).numpy(),
}
final = {}
for name, predicted in predictions.items():
    hits = (predicted == test_truth).astype(float)
    final[name] = (hits.mean(), *bootstrap_interval(np.mean, hits))
    print(f"{name:10} {final[name][0]:.1%}  [{final[name][1]:.1%}, {final[name][2]:.1%}]")
pairs = ((predictions["DistilBERT"] == test_truth).astype(float)
         - (predictions["TF-IDF"] == test_truth))
least, most = bootstrap_interval(np.mean, pairs)
verdict = "beyond chance" if least > 0 or most < 0 else "may be chance"
print(f"DistilBERT minus TF-IDF, review by review: {pairs.mean():+.1%} "
      f"[{least:+.1%}, {most:+.1%}], {verdict}")
assert final["DistilBERT"][1] > final["majority"][2], (
    "the model must beat the majority beyond chance")

# %%
figure, ax = plots.new_figure(height=2.4)
plots.bars(ax, list(final), [f[0] for f in final.values()], [f[1:] for f in final.values()],
           fmt="{:.1%}")
ax.set(xlabel="test accuracy, 95 % interval", title="Fine-tuning minus counting words: "
       f"{100 * pairs.mean():+.1f} points, {100 * least:+.1f} to {100 * most:+.1f}")
plots.show(figure, "Test accuracy with 95 % intervals: "
           + ", ".join(f"{n} {f[0]:.1%}" for n, f in final.items()) + ".")

# %% [markdown]
# Was it worth it? Read the interval of the difference: both models were judged on the same reviews, so it is computed review by review (lesson 06 says why their own intervals may overlap all the same). Then look at the model behind it. The small model of `mini` is a tenth the size of the published one and has read far less; published runs of the real DistilBERT on all of IMDb reach 92.8 %
# (paper, table 2). Where fine-tuning doesn't beat the word counter on *your* texts, take the word counter.
#
# ## What to remember
#
# 1. Baselines first: majority, then TF-IDF with logistic regression.
# 2. A new head knows nothing; "newly initialized" is information, not an error.
# 3. Pad per batch, group by length, use the machine's fast precision: that takes less time than padding all texts to 512. Padding changes no answer. Grouping and 16-bit numbers change the training a little: compare scores over seeds when you switch them on.
# 4. Choose on validation rows, by the score that you report or by the loss; keep the best checkpoint; open the test split once.
# 5. Save often; a resumed run takes the same steps as an uninterrupted one.
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | `TypeError: … unexpected keyword argument 'evaluation_strategy'` | the tutorial is older than the library | `eval_strategy`; likewise `processing_class` for `tokenizer`, `warmup_steps=0.1` for `warmup_ratio` |
# | `classifier.weight … MISSING` (older versions: "newly initialized") after loading *your own* model | you loaded the base model, not your folder | load the folder you saved |
# | `The model did not return a loss from the inputs` | the labels don't reach the model | the column must be called `label` or `labels` |
# | loss stays at 0.69 | learning rate far too high or too low, or labels shuffled | the range test of lesson 04; look at a few rows |
# | loss and gradient norm grow with `gradient_accumulation_steps` | the Trainer believes that the model divides by the number of items | `model.accepts_loss_kwargs = False`, as in section 5 |
# | out of memory | batch × length is too large for this device | halve the batch, double the accumulation (accelerate's `find_executable_batch_size` halves the batch by itself) |
# | `Expected all tensors to be on the same device` | inputs on the CPU, model on the GPU | `.to(model.device)` |
# | accuracy 100 % after the first rows of a subset | IMDb is sorted by label; `select(range(n))` takes one class | `shuffle(seed=…)` first |
#
# ## Further reading
#
# * Sanh, Debut, Chaumond, Wolf 2019, *DistilBERT, a distilled version of BERT*, arXiv 1910.01108v4: 92.82 % on IMDb (table 2).
# * Devlin et al. 2019, *BERT*, appendix A.3: the grid of hyperparameters. Mosbach et al. 2021, *On the stability of fine-tuning BERT*.
# * Accuracy by length on IMDb: TextAttack's training log (128 tokens, 88.0 %), Niophy's model card (256 tokens, 91.2 %), sinensia's model card (512 tokens, 93.2 %).
# * Smith et al. 2018, *Don't decay the learning rate, increase the batch size*.

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"test accuracy {final['DistilBERT'][0]:.1%} "
           f"[{final['DistilBERT'][1]:.1%}, {final['DistilBERT'][2]:.1%}], "
           f"TF-IDF {final['TF-IDF'][0]:.1%} "
           f"[{final['TF-IDF'][1]:.1%}, {final['TF-IDF'][2]:.1%}]")
