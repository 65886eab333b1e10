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
# # How good is it really? Precision, recall, F1 and the curves
#
# A classifier gives you one number, "97 % accuracy", and you want to know whether to trust it. This lesson takes the number apart. You train a spam filter and a review
# classifier, and find out what they get wrong, how sure they are, and which differences are chance.
#
# **After this lesson you can**
#
# 1. read a confusion matrix and compute accuracy, precision, recall and F1 from its four cells;
# 2. say why accuracy misleads when one class is rare, and what to report instead;
# 3. choose a threshold for a stated cost, on the right split;
# 4. read precision-recall and ROC curves, and tell which one shows your problem;
# 5. give an interval with every number, and compare two models on the same rows.
#
# **What it costs**
#
# {{cost}}
#
# ## Setup

# %% tags=["setup"]
# {{setup}}

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": the largest that this machine and network allow

# %%
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. A spam filter to judge
#
# The task `messages` has two classes: *ham* (wanted) and *spam*. Spam is rare, and that makes all the difference below. Among the course's own wanted messages are genuine
# delivery notices and bank warnings, which resemble spam.

# %%
from course_utils.data import load_task

messages = load_task("messages", lab.profile)
for row in messages["train"].select(range(5)):
    print(f"[{messages['train'].features['label'].int2str(row['label'])}] {row['sms'][:150]}")

# %%
import numpy as np

spam_share = {split: float(np.mean(messages[split]["label"])) for split in messages}
print({split: f"{share:.1%} spam" for split, share in spam_share.items()})
assert all(0.1 < share < 0.17 for share in spam_share.values())

# %% [markdown]
# Two models, as in lesson 05, which explains the arguments: a word counter ([TF-IDF](glossary.md#tf-idf) with logistic regression), and DistilBERT
# [fine-tuned](glossary.md#fine-tuning). First the word counter.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def word_counter(texts, labels):
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
                          LogisticRegression(C=10, max_iter=1000))
    return model.fit(texts[:], labels[:])


# %% [markdown]
# For DistilBERT the texts become [tokens](glossary.md#token); the [collator](glossary.md#collator) pads each batch to its own longest text.

# %%
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
    utils,
)
from transformers.trainer_callback import PrinterCallback

utils.logging.set_verbosity_error()
tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
collator = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=16)


def tokenized(split, text):
    return split.map(
        lambda batch: tokenizer(batch[text], truncation=True, max_length=lab.profile.max_length),
        batched=True, remove_columns=[c for c in split.column_names if c != "label"])


# %% [markdown]
# One function makes a trainer for either task of this lesson. Spam is rare and the messages are short: they get twice the epochs and twice the rate (`factor=2`), chosen on validation rows.

# %%
def fine_tune(split, text, name, factor=1):
    set_seed(lab.seed)
    labels = split.features["label"].names
    model = AutoModelForSequenceClassification.from_pretrained(
        lab.checkpoint, revision=lab.revision, use_safetensors=True, num_labels=len(labels),
        id2label=dict(enumerate(labels)))
    model.accepts_loss_kwargs = False
    arguments = TrainingArguments(
        output_dir=str(lab.workdir / name), num_train_epochs=factor * lab.profile.epochs,
        learning_rate=factor * lab.profile.learning_rate,
        per_device_train_batch_size=lab.profile.batch_size, warmup_steps=0.1,
        train_sampling_strategy="group_by_length",
        save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
        seed=lab.seed, **lab.precision_arguments)
    trainer = Trainer(model=model, args=arguments, train_dataset=tokenized(split, text),
                      processing_class=tokenizer, data_collator=collator)
    trainer.remove_callback(PrinterCallback)
    return trainer


# %% [markdown]
# And one gives the [logits](glossary.md#logit), one number per class and text.

# %%
import torch


@torch.no_grad()
def logits_of(model, texts, batch_size=64):
    """Logits (rows, classes) in the order of ``texts``; similar lengths go through together."""
    model.eval()
    texts = list(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = np.empty((len(texts), model.config.num_labels), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        rows = order[start:start + batch_size]
        inputs = tokenizer([texts[i] for i in rows], truncation=True,
                           max_length=lab.profile.max_length, padding=True, return_tensors="pt")
        out[rows] = model(**inputs.to(model.device)).logits.float().cpu().numpy()
    return out


# %%
from course_utils.timing import estimate_training

spam_trainer = fine_tune(messages["train"], "sms", "spam", factor=2)
expected = estimate_training(spam_trainer)

# %%
spam_trainer.train()
spam_model = spam_trainer.accelerator.unwrap_model(spam_trainer.model,
                                                   keep_fp32_wrapper=False)  # full precision
spam_words = word_counter(messages["train"]["sms"], messages["train"]["label"])

# %% [markdown]
# From here on, everything looks at the *validation* split. The test split stays closed until section 13 (only its share of spam was looked at). [Softmax](glossary.md#softmax) turns logits
# into probabilities; a message is called spam when its probability of spam is at least 0.5. That number will be questioned.

# %%
from scipy.special import softmax

truth = np.array(messages["validation"]["label"])
spam_logits = logits_of(spam_model, messages["validation"]["sms"])
spam_probability = softmax(spam_logits, axis=1)[:, 1]
predicted = (spam_probability >= 0.5).astype(int)
word_probability = spam_words.predict_proba(messages["validation"]["sms"][:])[:, 1]

# %% [markdown]
# ## 2. The confusion matrix comes first
#
# Two kinds of right, two kinds of wrong. Call spam the *positive* class: the one you are looking for.
#
# | | predicted ham | predicted spam |
# |---|---|---|
# | **true ham** | true negative, TN | false positive, FP: a wanted message is lost |
# | **true spam** | false negative, FN: spam gets through | true positive, TP |

# %%
from sklearn.metrics import confusion_matrix

from course_utils import plots

matrix = confusion_matrix(truth, predicted)
(tn, fp), (fn, tp) = matrix.tolist()
print(f"TN {tn}, FP {fp}, FN {fn}, TP {tp}")

# %%
figure, ax = plots.new_figure(width=5.6, height=3.6)
plots.confusion(ax, matrix, ["ham", "spam"])
ax.set_title(f"{fn} spams pass, {fp} wanted messages are lost")
plots.show(figure,
           f"Confusion matrix on validation: {tn} ham kept, {fp} ham lost, "
           f"{fn} spam let through, {tp} spam caught.")

# %% [markdown]
# ## 3. Every metric is a fraction of these cells
#
# * **accuracy** = (TP + TN) / all: which share of all answers is right?
# * **precision** = TP / (TP + FP): of what I called spam, how much is spam?
# * **recall** = TP / (TP + FN): of all spam, how much did I catch?
# * **F1** = 2 · precision · recall / (precision + recall): their harmonic mean, at or below the plain mean and pulled towards the lower of the two.

# %%
accuracy = (tp + tn) / (tp + tn + fp + fn)
precision = tp / max(tp + fp, 1)  # nothing flagged: 0, by convention
recall = tp / max(tp + fn, 1)
f1 = 2 * precision * recall / max(precision + recall, 1e-12)
print(f"accuracy {accuracy:.3f}  precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}")

# %% [markdown]
# Four lines of arithmetic, and the library agrees:

# %%
from course_utils.metrics import ClassificationMetrics

computed = ClassificationMetrics().compute(predictions=predicted, references=truth)
assert np.allclose([computed[k] for k in ("accuracy", "precision", "recall", "f1")],
                   [accuracy, precision, recall, f1])
computed

# %% [markdown]
# ## 4. How accuracy fails
#
# A filter that never calls anything spam. (Its precision is 0/0; the library reports 0.)

# %%
nothing = np.zeros_like(truth)
lazy = ClassificationMetrics().compute(predictions=nothing, references=truth)
print(f"doing nothing: accuracy {lazy['accuracy']:.1%}, "
      f"recall {lazy['recall']:.0%}, F1 {lazy['f1']:.2f}")
assert lazy["accuracy"] > 0.83 and lazy["recall"] == 0

# %%
figure, ax = plots.new_figure(height=3)
names = ["accuracy", "precision", "recall", "f1"]
for number, (label, values) in enumerate({"doing nothing": lazy, "DistilBERT": computed}.items()):
    ax.bar(np.arange(4) + 0.38 * number, [values[n] for n in names], width=0.36, label=label,
           color=plots.COLOURS[number], hatch=["//", ""][number], edgecolor="white")
ax.set_xticks(np.arange(4) + 0.19, ["accuracy", "precision", "recall", "F1"])
ax.set(ylim=(0, 1.12), title=f"{lazy['accuracy']:.0%} accuracy for catching no spam at all")
ax.legend(ncols=2, loc="upper right")
plots.show(figure,
           "Accuracy, precision, recall and F1 of a filter that does nothing "
           f"({lazy['accuracy']:.2f}, 0, 0, 0) beside DistilBERT "
           f"({', '.join(f'{computed[n]:.2f}' for n in names)}).")

# %% [markdown]
# Accuracy counts the easy class. When the class you care about is rare, report its precision and recall.
#
# ### Exercise 6.1 F-beta ●○○ 6 minutes
#
# F1 weighs precision and recall alike. $F_\beta = (1+\beta^2)\,\dfrac{P \cdot R}{\beta^2 P + R}$ counts recall $\beta$ times as much as precision. $P$ is the precision, $R$ the recall. Write it as a function of the counts TP, FP and FN. Where there is nothing
# to divide by, return 0.0.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e6_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def f_beta(tp, fp, fn, beta=1.0):
    ### BEGIN SOLUTION
    denominator = (1 + beta**2) * tp + beta**2 * fn + fp
    return (1 + beta**2) * tp / denominator if denominator else 0.0
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Put P = TP/(TP+FP) and R = TP/(TP+FN) into the formula and simplify: everything that remains is a sum of TP, FN and FP.
# </details>
# <details><summary>Hint 2</summary>
#
# The denominator becomes (1+β²)·TP + β²·FN + FP. When is it zero?
# </details>

# %% tags=["grading"]
# stands in for the spam filter when the exercise is graded
truth, predicted = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
tp, fp, fn = 3, 1, 2

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t6_1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from sklearn.metrics import fbeta_score

from course_utils.exercises import check

check("6.1 F-beta",
      ("TP 6, FP 1, FN 3 with beta 1: 0.75, their F1", lambda: abs(f_beta(6, 1, 3) - 0.75) < 1e-9,
       "for beta = 1 it must be 2PR/(P+R), with P and R of the cells given, not of section 3"),
      ("the same cells with beta 2: 30/43", lambda: abs(f_beta(6, 1, 3, 2) - 30 / 43) < 1e-9,
       "is beta squared, and does it weigh the missed ones (FN), not the false alarms?"),
      ("more misses hurt F2 more than more false alarms",
       lambda: f_beta(10, 0, 5, 2) < f_beta(10, 5, 0, 2),
       "FN and FP are exchanged, or count alike"),
      ("it agrees with scikit-learn on the spam filter",
       lambda: abs(f_beta(tp, fp, fn, 2) - fbeta_score(truth, predicted, beta=2)) < 1e-9,
       "scikit-learn gets another number; mend what fails above first"),
      ("nothing found, though there was something: 0.0", lambda: f_beta(0, 0, 37) == 0.0,
       "precision has nothing to divide by here: return 0.0"),
      ("nothing to find and nothing found: 0.0", lambda: f_beta(0, 0, 0) == 0.0,
       "nothing to divide by: return 0.0"));
### BEGIN HIDDEN TESTS
assert (abs(f_beta(3, 1, 2, 0.5) - 0.7142857142857143) < 1e-9
        and abs(f_beta(3, 1, 2, 3) - 0.6122448979591837) < 1e-9)
assert f_beta(0, 0, 4, 2) == 0.0 and f_beta(0, 0, 0, 2) == 0.0
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Macro, micro, weighted
#
# Each class can be the positive one in turn. How do you sum up? *Macro*: the plain mean over classes, so a rare class counts as much as a frequent one. *Weighted*: the mean weighted by
# class size. *Micro*: pool all cells first; with one label per text this is accuracy again.

# %%
def f1_by_average(called):
    compute = ClassificationMetrics().compute
    return {a: compute(predictions=called, references=truth, average=a)["f1"]
            for a in ("macro", "weighted", "micro")}


averages, idle = f1_by_average(predicted), f1_by_average(nothing)
print("DistilBERT   ", {a: f"{v:.3f}" for a, v in averages.items()})
print("doing nothing", {a: f"{v:.3f}" for a, v in idle.items()})
assert abs(averages["micro"] - accuracy) < 1e-9 and idle["macro"] < 0.5 < idle["weighted"]

# %% [markdown]
# Of these three, only macro exposes the filter that does nothing. The F1 of sections 3 and 4 is a fourth, the *binary* F1 of spam alone; for the filter that does nothing it was 0. So say *which*
# F1 you report; the word alone is ambiguous.
#
# ## 6. The threshold is your choice
#
# The model gives a probability; the [threshold](glossary.md#threshold) turns it into a decision. 0.5 is a habit, not a law. What is right depends on what the two
# errors cost *you*. Say a lost wanted message costs as much as ten spams that get through.

# %%
ALARM_COST, MISS_COST = 10, 1
thresholds = np.linspace(0.01, 0.99, 99)


def costs(probability, truth, threshold):
    called = probability >= threshold
    return (ALARM_COST * int((called & (truth == 0)).sum())
            + MISS_COST * int((~called & (truth == 1)).sum()))


# %%
curve = np.array([costs(spam_probability, truth, t) for t in thresholds])
cheapest = float(thresholds[curve.argmin()])
at_half = costs(spam_probability, truth, 0.5)
print(f"cheapest at {cheapest:.2f}: cost {curve.min()}; at 0.50: {at_half}; "
      f"doing nothing: {MISS_COST * int(truth.sum())}")
assert curve.min() <= at_half

# %%
def threshold_picture(threshold):
    figure, (left, right) = plots.new_figure(columns=2, width=10, height=3.5)
    bins = np.linspace(0, 1, 26)
    left.hist(spam_probability[truth == 0], bins, color=plots.COLOURS[0], label="ham")
    left.hist(spam_probability[truth == 1], bins, color=plots.COLOURS[1], label="spam",
              hatch="//", alpha=0.85)
    left.set_yscale("log")
    left.set_ylim(bottom=0.5)
    right.set_ylim(0, 4 * MISS_COST * truth.sum())
    left.set(xlabel="probability of spam", ylabel="messages (log scale)")
    right.plot(thresholds, curve, color="black")
    right.set(xlabel="threshold", ylabel=f"cost ({ALARM_COST} a lost message, {MISS_COST} a spam)")
    for ax in (left, right):
        ax.axvline(threshold, color=plots.COLOURS[5], linestyle="--")
    left.legend()
    left.set_title(f"Threshold {threshold:.2f} costs {costs(spam_probability, truth, threshold)}")
    right.set_title(f"The cheapest threshold is {cheapest:.2f}")
    return figure


plots.show(threshold_picture(cheapest),
           "Left: histogram of spam probabilities for ham and spam, log scale, with the threshold. "
           f"Right: cost against threshold; lowest, {curve.min()}, at {cheapest:.2f}.")

# %% [markdown]
# In a running notebook you can move the threshold yourself. (On a page without a kernel the picture above is all there is.)

# %%
import ipywidgets
from IPython.display import display


def redraw(threshold):
    plots.show(threshold_picture(threshold),
               f"The same picture with the threshold at {threshold:.2f}.")


slider = ipywidgets.FloatSlider(value=0.5, min=0.01, max=0.99, step=0.01, description="threshold",
                                continuous_update=False)
panel = ipywidgets.Output()


def moved(change):
    with panel:
        panel.clear_output(wait=True)
        redraw(change["new"])


slider.observe(moved, names="value")
display(slider, panel)

# %% [markdown]
# The threshold was chosen on validation rows, so its cost *there* is too rosy, and a few dozen spams can't fix a threshold closely. Section 13 shows what
# it costs on the test split.
#
# ### Exercise 6.2 Another cost ●●○ 8 minutes
#
# A bank's fraud desk sees it the other way round: a miss (FN) costs 50, a false alarm (FP) 1. Write a function that returns, as a `float`, the cheapest of the thresholds in `candidates`; a message is flagged where its probability is at least the threshold. Where several cost the same, take the *highest*: it
# bothers fewer people.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e6_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cheapest_threshold(probability, truth, candidates, miss_cost, alarm_cost):
    ### BEGIN SOLUTION
    def cost(t):
        called = np.asarray(probability) >= t
        return (alarm_cost * (called & (np.asarray(truth) == 0)).sum()
                + miss_cost * (~called & (np.asarray(truth) == 1)).sum())

    return min(candidates, key=lambda t: (cost(t), -t))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A message is called spam when its probability is *at least* the threshold. Count the two errors for one threshold first.
# </details>
# <details><summary>Hint 2</summary>
#
# `min(candidates, key=lambda t: (cost(t), -t))` prefers low cost, then a high threshold.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t6_2", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
p_, y_ = np.array([0.1, 0.4, 0.6, 0.9]), np.array([0, 1, 0, 1])
check("6.2 Another cost",
      ("the answer is one of the candidates, a float",
       lambda: (isinstance(cheapest_threshold(p_, y_, [0.2], 1, 1), float)
                and cheapest_threshold(p_, y_, [0.2], 1, 1) == 0.2),
       "return the candidate itself, not its cost, its position or a threshold of your own"),
      ("expensive misses push the threshold down",
       lambda: cheapest_threshold(p_, y_, [0.3, 0.5, 0.7], 50, 1) == 0.3,
       "a miss costs 50 here: are the two costs exchanged, left out, or those of section 6?"),
      ("expensive alarms push it up",
       lambda: cheapest_threshold(p_, y_, [0.3, 0.5, 0.7], 1, 50) == 0.7,
       "an alarm costs 50 here: are the two costs exchanged, or is one left out?"),
      ("the rows decide", lambda: cheapest_threshold(np.array([0.2, 0.3]), np.array([0, 1]),
                                                     [0.25, 0.5], 1, 1) == 0.25,
       "0.25 makes no error on these rows and 0.5 makes one; the costs alone can't tell"),
      ("a probability equal to the threshold counts as spam",
       lambda: cheapest_threshold(np.array([0.5]), np.array([1]), [0.6, 0.5], 1, 1) == 0.5,
       "at 0.5 the spam is caught, so 0.5 costs nothing: use >=, not >"),
      ("ties go to the highest", lambda: cheapest_threshold(p_, y_, [0.61, 0.8, 0.7], 1, 50) == 0.8,
       "all three cost the same; "
       "min returns the first of equals unless minus the threshold is in the key"));
### BEGIN HIDDEN TESTS
assert isinstance(cheapest_threshold(p_, y_, [0.2], 1, 1), float)
assert cheapest_threshold(np.array([0.2, 0.8]), np.array([1, 0]), [0.1, 0.5, 0.9], 1, 1) == 0.9
assert [cheapest_threshold(p_, y_, [0.4, 0.5, 0.9], *c) for c in ((3, 1), (1, 3))] == [0.4, 0.9]
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Precision-recall and ROC, side by side
#
# Move the threshold from 1 to 0 and record two numbers at each stop. The **ROC** curve records recall against the *false positive rate* FP / (FP + TN). The **PR** curve records precision against recall. Each can
# be summed up in one number. The area under ROC, **AUC**, is the chance that a random spam gets a higher probability than a random ham. For **average precision**, AP,
# go down the list from the most suspicious message to the least, note the precision at each spam, and take the mean of these numbers. The share of spam is called its *prevalence*.

# %%
from sklearn.metrics import (average_precision_score, precision_recall_curve,
                             roc_auc_score, roc_curve)


def both_curves(truth, models):
    figure, (left, right) = plots.new_figure(columns=2, width=10, height=4)
    for number, (name, score) in enumerate(models.items()):
        fpr, tpr, _ = roc_curve(truth, score)
        precisions, recalls, _ = precision_recall_curve(truth, score)
        plots.curve(left, fpr, tpr, f"{name}: AUC {roc_auc_score(truth, score):.3f}",
                    number, marker="")
        right.step(recalls, precisions, where="post", color=plots.COLOURS[number],
                   linestyle=plots.DASHES[number],
                   label=f"{name}: AP {average_precision_score(truth, score):.3f}")
    left.plot([0, 1], [0, 1], color="gray", linewidth=1, label="guessing: AUC 0.5")
    right.axhline(truth.mean(), color="gray", linewidth=1,
                  label=f"guessing: AP {truth.mean():.2f}, the prevalence")
    left.set(xlabel="false positive rate", ylabel="recall",
             title="ROC: recall is paid for in false alarms")
    right.set(xlabel="recall", ylabel="precision", ylim=(0, 1.05),
              title="PR: recall is paid for in precision")
    left.legend(loc="lower right")
    right.legend(loc="center left", bbox_to_anchor=(0.02, 0.36))
    return figure


# %%
models = {"DistilBERT": spam_probability, "TF-IDF": word_probability}
summary = {name: (roc_auc_score(truth, s), average_precision_score(truth, s))
           for name, s in models.items()}
plots.show(both_curves(truth, models),
           "ROC and precision-recall curves on validation: "
           + ", ".join(f"{n} AUC {a:.3f} and AP {p:.3f}" for n, (a, p) in summary.items())
           + f". Guessing has AUC 0.5 and AP {truth.mean():.2f}.")

# %% [markdown]
# Both curves look at the same ranking. Which one shows your problem? Make spam rarer and watch: keep all the ham, and one spam in five. The word counter's
# probabilities serve as the example.

# %%
rng = np.random.default_rng(0)
rarer = np.flatnonzero((truth == 0) | (rng.random(len(truth)) < 0.2))
thinned = truth[rarer]
before, after = summary["TF-IDF"], (roc_auc_score(thinned, word_probability[rarer]),
                                    average_precision_score(thinned, word_probability[rarer]))
print(f"spam share {truth.mean():.1%} -> {thinned.mean():.1%}: "
      f"AUC {before[0]:.3f} -> {after[0]:.3f}, AP {before[1]:.3f} -> {after[1]:.3f}")

# %% [markdown]
# With so few spams one draw proves little. So draw 200 times and take the mean: AUC stays, because neither of its two rates mixes the classes. AP falls, because precision divides by spam and ham together.

# %%
draws = np.array([(roc_auc_score(truth[rows], word_probability[rows]),
                   average_precision_score(truth[rows], word_probability[rows]))
                  for rows in (np.flatnonzero((truth == 0) | (rng.random(len(truth)) < 0.2))
                               for _ in range(200))
                  if truth[rows].any()])
auc_after, ap_after = draws.mean(0)
print(f"mean of {len(draws)} draws: "
      f"AUC {before[0]:.3f} -> {auc_after:.3f}, AP {before[1]:.3f} -> {ap_after:.3f}")
assert abs(before[0] - auc_after) < 0.02 and ap_after < before[1] - 0.02

# %% [markdown]
# When the positive class is rare and you act on what is flagged, look at PR. A high AUC can hide that most alarms are false.
#
# ### Exercise 6.3 Precision at another prevalence ●●● 10 minutes
#
# Suppose that a filter has recall 0.90 and a false positive rate of 0.02 on data with 13 % spam. What precision will it have where only 1 % is spam? First guess. Then write the function.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e6_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def precision_at(prevalence, recall, false_positive_rate):
    ### BEGIN SOLUTION
    caught = prevalence * recall
    alarms = (1 - prevalence) * false_positive_rate
    return caught / (caught + alarms)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Imagine 1,000 messages. How many are spam, how many of those are caught? How many are ham, how many of those are flagged?
# </details>
# <details><summary>Hint 2</summary>
#
# Precision = caught spam / (caught spam + flagged ham). The shares `prevalence` and `1 - prevalence` take the place of the counts.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t6_3", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("6.3 Precision at another prevalence",
      ("precision is a share", lambda: 0 <= precision_at(0.13, 0.9, 0.02) <= 1,
       "return a number between 0 and 1, not per cent"),
      ("at 13 %: 0.8705", lambda: abs(precision_at(0.13, 0.9, 0.02) - 0.8705) < 1e-3,
       "caught spam over everything flagged, and nothing rounded on the way"),
      ("at 1 %: 0.3125, two alarms of three are false",
       lambda: abs(precision_at(0.01, 0.9, 0.02) - 0.3125) < 1e-3,
       "recall is a share of the spam, the false positive rate a share of the *ham*: "
       "multiply it by 1 - prevalence"),
      ("it is not a property of the filter alone",
       lambda: precision_at(0.5, 0.9, 0.1) != precision_at(0.1, 0.9, 0.1),
       "prevalence must change the answer"),
      ("no false alarms: precision 1", lambda: precision_at(0.2, 0.5, 0.0) == 1.0,
       "with no flagged ham everything flagged is spam"));
### BEGIN HIDDEN TESTS
assert abs(precision_at(0.001, 0.99, 0.01) - 0.0901639) < 1e-6
### END HIDDEN TESTS

# %% [markdown]
# ## 8. A second judge: the review classifier
#
# The rest needs a harder task with balanced classes: film reviews, as in lesson 05. (There the checkpoint with the lowest validation loss was kept, here it is the last one, so the numbers differ a little.)

# %%
reviews = load_task("reviews", lab.profile)
review_trainer = fine_tune(reviews["train"], "text", "reviews")
expected = estimate_training(review_trainer)

# %%
review_trainer.train()
review_model = review_trainer.accelerator.unwrap_model(review_trainer.model,
                                                       keep_fp32_wrapper=False)
review_words = word_counter(reviews["train"]["text"], reviews["train"]["label"])

# %%
review_truth = np.array(reviews["validation"]["label"])
review_logits = logits_of(review_model, reviews["validation"]["text"])
word_review = review_words.predict_proba(reviews["validation"]["text"][:])[:, 1]
fine_hits = review_logits.argmax(1) == review_truth
word_hits = (word_review >= 0.5) == review_truth
print(f"validation accuracy: DistilBERT {fine_hits.mean():.1%}, TF-IDF {word_hits.mean():.1%}")
assert fine_hits.mean() > 0.55

# %% [markdown]
# ## 9. When it says 90 %, is it right 90 % of the time?
#
# A model is *calibrated* when its probabilities are right on average: among all answers given with 80 % confidence, 80 % are right. (*Confidence* is the probability of the class that the model chose; with two classes it is never below one half.) Sort the answers by confidence into bins and compare. The **expected calibration error** (ECE) is the
# mean gap between confidence and accuracy, weighted by the number of answers in each bin. In the picture below, the model is over-confident where a point lies below the diagonal, and under-confident where it lies above.

# %%
def reliability(logits, truth, bins=8):
    """Confidence, accuracy and size of each bin, and the ECE.

    Bins hold equally many answers; Guo et al. 2017 cut equal widths.
    """
    probability = softmax(logits, axis=1)
    confidence, right = probability.max(1), probability.argmax(1) == truth
    groups = np.array_split(np.argsort(confidence), bins)
    means = np.array([(confidence[g].mean(), right[g].mean(), len(g)) for g in groups])
    return means, float(np.sum(means[:, 2] * np.abs(means[:, 0] - means[:, 1])) / len(truth))


# %%
raw, raw_ece = reliability(review_logits, review_truth)
print(f"mean confidence {raw[:, 0].mean():.1%}, accuracy {fine_hits.mean():.1%}, ECE {raw_ece:.3f}")

# %% [markdown]
# **Temperature scaling** divides all logits by one number T before the softmax. T above 1 makes the model more modest, T below 1 bolder. No answer changes, because the order of the logits stays; only the confidence does. To fit T means to take the one with the lowest cross-entropy, the loss of lesson 05 (also called *negative log-likelihood*). That needs rows that
# were not used in training; to judge the result fairly we fit it on one half of validation and look at the other.

# %%
from scipy.optimize import minimize_scalar

half = np.random.default_rng(0).permutation(len(review_truth))
fit_rows, look_rows = half[: len(half) // 2], half[len(half) // 2:]


def negative_log_likelihood(temperature, rows):
    p = softmax(review_logits[rows] / temperature, axis=1)
    return -np.log(np.clip(p[np.arange(len(rows)), review_truth[rows]], 1e-12, 1)).mean()


temperature = minimize_scalar(negative_log_likelihood, bounds=(0.2, 10), args=(fit_rows,),
                              method="bounded").x
loss_before, loss_after = (negative_log_likelihood(t, look_rows) for t in (1.0, temperature))
print(f"T = {temperature:.2f}; loss on the other half {loss_before:.3f} -> {loss_after:.3f}")
assert (negative_log_likelihood(temperature, fit_rows)
        <= negative_log_likelihood(1.0, fit_rows) + 1e-6)

# %%
before_scaling, ece_before = reliability(review_logits[look_rows], review_truth[look_rows], bins=6)
gap = before_scaling[:, 0].mean() - before_scaling[:, 1].mean()
after_scaling, ece_after = reliability(review_logits[look_rows] / temperature,
                                       review_truth[look_rows], bins=6)
figure, ax = plots.new_figure(width=5.6, height=4.4)
ax.plot([0.5, 1], [0.5, 1], color="gray", linewidth=1, label="calibrated")
plots.curve(ax, before_scaling[:, 0], before_scaling[:, 1], f"as trained, ECE {ece_before:.3f}", 1)
plots.curve(ax, after_scaling[:, 0], after_scaling[:, 1],
            f"T = {temperature:.2f}, ECE {ece_after:.3f}", 0)
ax.set(xlabel="confidence", ylabel="share right",
       title="As trained, it is "
             f"{'more certain than right' if gap > 0 else 'less certain than right'}")
ax.legend(loc="upper left")
plots.show(figure,
           "Reliability diagram: share of right answers against confidence in six bins, "
           "before and after temperature scaling. "
           f"ECE goes from {ece_before:.3f} to {ece_after:.3f}; "
           "the diagonal is perfect calibration.")

# %% [markdown]
# (Six bins and half the rows, so the ECE "as trained" differs from the one above.) No answer changed, as promised. But how small can an ECE be with so few rows?
# Even a perfectly calibrated model shows gaps by chance. Simulate one: let each answer be right with exactly its stated confidence.

# %%
assert (review_logits.argmax(1) == (review_logits / temperature).argmax(1)).all(), (
    "scaling must not change an answer")
rng = np.random.default_rng(0)
for name, logits, ece in (
        ("as trained", review_logits[look_rows], ece_before),
        (f"T = {temperature:.2f}", review_logits[look_rows] / temperature, ece_after)):
    bins = np.array_split(np.sort(softmax(logits, axis=1).max(1)), 6)
    perfect = [np.mean([abs(c.mean() - (rng.random(len(c)) < c).mean()) for c in bins])
               for _ in range(500)]
    floor = np.quantile(perfect, 0.95)
    print(f"{name}: ECE {ece:.3f}; a perfectly calibrated model has {np.mean(perfect):.3f} "
          f"on average, up to {floor:.3f} in 95 % of cases:",
          "miscalibrated beyond chance" if ece > floor else "nothing beyond chance is visible")

# %% [markdown]
# ## 10. How much is chance? Intervals and pairs
#
# Another validation sample would have given another number. The [bootstrap](glossary.md#bootstrap) shows by how much it would differ: draw as many rows as there are, with replacement; compute the metric; do it 2,000 times; cut
# 2.5 % off each end. Here it is, written out once:

# %%
rng = np.random.default_rng(0)
resampled = [fine_hits[rng.integers(len(fine_hits), size=len(fine_hits))].mean()
             for _ in range(2000)]
low, high = np.quantile(resampled, [0.025, 0.975])
print(f"accuracy {fine_hits.mean():.1%}, 95 % interval [{low:.1%}, {high:.1%}], "
      f"{len(fine_hits)} rows")

# %%
from course_utils.metrics import bootstrap_interval

assert np.allclose(bootstrap_interval(np.mean, fine_hits), (low, high), atol=0.01)
word_low, word_high = bootstrap_interval(np.mean, word_hits)
print(f"TF-IDF   {word_hits.mean():.1%}, 95 % interval [{word_low:.1%}, {word_high:.1%}]")

# %% [markdown]
# If the two intervals overlap, does that mean there is no difference? No. The interval of a difference is narrower than both widths together, even where the rows differ. And here both models read the *same* rows: what is hard for one is often hard for the other. Compare row by row, and resample the **pairs**. How much narrower that makes the interval depends on how many mistakes the two share. Read it like this: where 0 lies inside, the difference may be chance; where 0 lies outside, it is beyond chance.

# %%
difference = fine_hits.mean() - word_hits.mean()
paired = bootstrap_interval(lambda a, b: a.mean() - b.mean(), fine_hits, word_hits)
# for independent rows squared widths add
unpaired_width = np.hypot(high - low, word_high - word_low)
print(f"difference {difference:+.1%}, paired interval [{paired[0]:+.1%}, {paired[1]:+.1%}]: "
      + ("beyond chance" if paired[0] > 0 or paired[1] < 0 else "may be chance"))
print(f"width {paired[1] - paired[0]:.3f}; "
      f"as if the rows were different ones: {unpaired_width:.3f}")

# %%
figure, ax = plots.new_figure(height=2.3)
ax.errorbar([difference], [0], xerr=[[difference - paired[0]], [paired[1] - difference]], fmt="o",
            color="black", capsize=5, label="paired")
ax.errorbar([difference], [1], xerr=[[unpaired_width / 2], [unpaired_width / 2]], fmt="s",
            color=plots.COLOURS[1], capsize=5, label="not paired")
ax.axvline(0, color="gray", linewidth=1)
ax.set_yticks([0, 1], ["the same rows", "as if different rows"])
ax.set(ylim=(-0.6, 1.6), xlabel="accuracy of DistilBERT minus TF-IDF",
       title=f"Pairing leaves {(paired[1] - paired[0]) / unpaired_width:.0%} "
             "of the interval's width")
plots.show(figure,
           f"The difference in accuracy, {difference:+.3f}, "
           f"with its paired interval from {paired[0]:+.3f} to {paired[1]:+.3f} "
           f"and a wider unpaired interval of width {unpaired_width:.3f}.")

# %% [markdown]
# This interval knows about the rows only. Another seed in training would move the model too, by an amount that lesson 04, section 4, measures; a careful comparison reports both.

# %% [markdown]
# ## 11. Read the errors
#
# No number replaces reading. Sort the validation reviews by loss: on top stands what the model got wrong with the greatest confidence.

# %%
loss = -np.log(np.clip(softmax(review_logits, axis=1)[np.arange(len(review_truth)), review_truth],
                       1e-12, 1))
class_names = reviews["validation"].features["label"].names
for i in np.argsort(-loss)[:4]:
    row = reviews["validation"][int(i)]
    print(f"loss {loss[i]:.2f}, true {class_names[row['label']]}, "
          f"said {class_names[review_logits[i].argmax()]}\n   {row['text'][:900]}\n")

# %% [markdown]
# Read them as a person would. Does the label hold? Is the verdict carried by irony, by a comparison, by the last clause? Is it a slip of the labeller? Each answer asks for another remedy.
#
# The course's own reviews carry a column `kind`: *plain*; *mixed* (good and bad sides, one verdict); *negation* and *comparison* (the verdict depends on one); *sarcasm*; and
# *plot_words* (the plot's words point the other way). Where a data set has no such column, we group by length. With a dozen rows in a group the bootstrap is too sure of itself, so these
# intervals are Wilson's, made for proportions from few rows.

# %%
from scipy.stats import binomtest


def groups_of(split):
    if "kind" in split.column_names:
        return np.array(split["kind"])
    words = np.array([len(text.split()) for text in split["text"]])
    return np.select([words <= np.quantile(words, 1 / 3), words <= np.quantile(words, 2 / 3)],
                     ["short", "medium"], "long")


# %%
kinds = groups_of(reviews["validation"])
order = sorted(set(kinds), key=lambda k: -fine_hits[kinds == k].mean())
by_kind = [(k, int((kinds == k).sum()), fine_hits[kinds == k].mean()) for k in order]
wilson = [binomtest(int(fine_hits[kinds == k].sum()), n).proportion_ci(method="wilson")
          for k, n, _ in by_kind]

# %%
figure, ax = plots.new_figure(height=0.5 * len(order) + 1.4)
plots.bars(ax, [f"{k} ({n})" for k, n, _ in by_kind], [v for *_, v in by_kind],
           [(w.low, w.high) for w in wilson], fmt="{:.0%}")
ax.axvline(fine_hits.mean(), color="gray", linestyle="--")
ax.set(xlabel="accuracy, 95 % interval; dashed: all reviews",
       title=f"“{by_kind[-1][0]}” scores lowest here; mind the whiskers")
listed = ", ".join(f"{k} {v:.0%} of {n}" for k, n, v in by_kind)
plots.show(figure, f"Accuracy by kind of review with intervals: {listed}.")

# %% [markdown]
# Small groups have long whiskers. A ranking of kinds from fewer than 20 rows each is a hint where to read, not a finding.

# %% [markdown]
# ## 12. Does it behave? A few tests with a purpose
#
# A test split asks "how often right?". A *behavioural test* asks "does it do this one thing?" (CheckList, Ribeiro et al. 2020). Three kinds:
#
# * **minimum functionality**: short sentences with an obvious answer, here with negation;
# * **invariance**: a change that must not matter, here another name, or a typo;
# * **direction**: a change that must move the probability one way, here an added verdict.
#
# The result is a failure *rate*. Negation first.

# %%
negation = [
    ("The acting is good.", 1), ("The acting is not good.", 0),
    ("I enjoyed the story.", 1), ("I did not enjoy the story.", 0),
    ("The ending is bad.", 0), ("The ending is not bad at all.", 1),
    ("It was boring.", 0), ("It was never boring.", 1),
    ("A funny film.", 1), ("Not a funny film.", 0),
    ("You should see this.", 1), ("You should not see this.", 0),
    ("The plot makes sense.", 1), ("The plot makes no sense.", 0),
    ("I was moved.", 1), ("Nothing in it moved me.", 0),
]
answers = logits_of(review_model, [s for s, _ in negation]).argmax(1)
wrong = [(s, class_names[a]) for (s, y), a in zip(negation, answers, strict=True) if a != y]
negated = [a != y for (s, y), a in zip(negation, answers, strict=True)][1::2]
print(f"negation: {len(wrong)} of {len(negation)} wrong, "
      f"{sum(negated)} of {len(negated)} among the negated ones")
print(*wrong[:6], sep="\n")

# %% [markdown]
# Now invariance. Whoever plays in the film, the verdict stays.

# %%
lead = ["Anna", "Mehmet", "Chidi", "Mei", "Olga", "Dwayne"]
frames = ["{} carries the whole film with a look.", "Whoever cast {} should apologise.",
          "I would watch {} read a phone book.", "{} mumbles through every scene.",
          "The quiet moments with {} are worth the ticket.", "Even {} seems to want to go home."]
names_logits = np.stack([logits_of(review_model, [frame.format(name) for name in lead])
                         for frame in frames])
name_flips = float(np.mean([len(set(answers.argmax(1))) > 1 for answers in names_logits]))
spread = float(np.ptp(softmax(names_logits, axis=-1)[..., 1], axis=1).mean())
print(f"names: the answer changes with the name in {name_flips:.0%} of the sentences; "
      f"the probability moves by {spread:.2f} on average")

# %% [markdown]
# Typos next: two neighbouring letters change places.

# %%
def with_typos(text, rng, share=0.1):
    """Swap two neighbouring inner letters in about ``share`` of the words of four or more."""
    words = text.split()
    for i, word in enumerate(words):
        if len(word) > 3 and word.isalpha() and rng.random() < share:
            j = int(rng.integers(1, len(word) - 2))
            words[i] = word[:j] + word[j + 1] + word[j] + word[j + 2:]
    return " ".join(words)


# %%
rng = np.random.default_rng(0)
typed = [with_typos(text, rng) for text in reviews["validation"]["text"]]
typo_answers = logits_of(review_model, typed).argmax(1)
typo_flips = float((typo_answers != review_logits.argmax(1)).mean())
pairs = zip(" ".join(reviews["validation"]["text"]).split(), " ".join(typed).split())
touched = np.mean([a != b for a, b in pairs])
print(f"typos in {touched:.1%} of the words: {typo_flips:.1%} of the answers change; "
      f"accuracy {fine_hits.mean():.1%} -> {(typo_answers == review_truth).mean():.1%}")

# %% [markdown]
# Last, direction: append a plain verdict to a review. The probability of *pos* must rise after praise and fall after blame.

# %%
probe = reviews["validation"]["text"][:100]
base = softmax(logits_of(review_model, probe), axis=1)[:, 1]
praised = softmax(logits_of(review_model, [t + " I enjoyed every minute." for t in probe]),
                  axis=1)[:, 1]
blamed = softmax(logits_of(review_model, [t + " I regret every minute." for t in probe]),
                 axis=1)[:, 1]
wrong_way = float(np.mean(np.concatenate([praised < base, blamed > base])))
print(f"the probability moves the wrong way in {wrong_way:.0%} of the cases")

# %%
figure, ax = plots.new_figure(height=2.6)
failure = {f"negated sentence wrong (n={len(negated)})": np.mean(negated),
           f"name changes the answer (n={len(frames)})": name_flips,
           f"typos change the answer (n={len(typed)})": typo_flips,
           f"verdict moves it wrongly (n={2 * len(probe)})": wrong_way}
plots.bars(ax, list(failure), list(failure.values()), fmt="{:.0%}")
ax.set(xlabel="failure rate", xlim=(0, 1.05),
       title=f"{fine_hits.mean():.0%} accurate, "
             f"and it fails {max(failure.values()):.0%} of one test")
listed = ", ".join(f"{n} {v:.0%}" for n, v in failure.items())
plots.show(figure, f"Failure rates of four behavioural tests: {listed}.")
assert all(0 <= v <= 1 for v in failure.values())

# %% [markdown]
# ### Exercise 6.4 One sentence ●●○ 5 minutes
#
# Your product manager reads DistilBERT's accuracy in section 8 and wants to ship. Write **one sentence** that says what the behavioural tests add, with one number from above.
#
# *Your sentence:*

# %% [markdown] tags=["solution"] nbgrader={"grade": false, "grade_id": "e6_4_model", "locked": true, "schema_version": 3, "solution": false, "task": false}
# For example: "It is right in … % of reviews like ours, but it gets … of the negated sentences wrong, so a customer's *not good* may be filed as praise." A good answer names one behaviour, its failure
# rate, and what that failure does to a user.

# %% [markdown]
# ### Question 6.5 More accurate, and more expensive ●●○ 5 minutes, in writing
#
# By the costs of section 6, a lost wanted message counts as much as ten spams that get through. How can a filter be more accurate than doing nothing, and still cost more? State the condition in terms of TP and FP.

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w6_5", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in one or two sentences.*

# %% [markdown] tags=["solution"]
# Against doing nothing, the filter gets TP more answers right and FP more wrong, so it is more accurate as soon as TP is larger than FP. But it saves only TP and pays 10 · FP, so it costs more where 10 · FP is larger than TP. With
# 24 spams caught and 4 messages lost, for instance, it is right on 20 more messages and costs 40 − 24 = 16 more.
#
# Two things must be in it: accuracy counts both errors alike and the cost doesn't, and the two conditions, or an example with numbers that meets both.

# %% [markdown]
# ## 13. The test split, opened once
#
# All choices are made: models and thresholds. Now the test splits, with intervals. (Lesson 05 opened the reviews' test split; nothing here was chosen on it.) Spam first. F1 depends
# on a threshold, so each model gets the one that gave it the best F1 on *validation*.

# %%
from sklearn.metrics import f1_score

test_truth = np.array(messages["test"]["label"])
test_scores = {"DistilBERT": softmax(logits_of(spam_model, messages["test"]["sms"]), axis=1)[:, 1],
               "TF-IDF": spam_words.predict_proba(messages["test"]["sms"][:])[:, 1]}


def f1_of(labels, called):
    return f1_score(labels, called, zero_division=0)


spam_results = {}
for name, score in test_scores.items():
    own = max(thresholds, key=lambda t: f1_of(truth, models[name] >= t))  # chosen on validation
    called = (score >= own).astype(int)
    m = ClassificationMetrics().compute(predictions=called, references=test_truth)
    spam_results[name] = (m["f1"], *bootstrap_interval(f1_of, test_truth, called, resamples=1000))
    print(f"{name:10} at {own:.2f}: precision {m['precision']:.2f}, recall {m['recall']:.2f}, "
          f"F1 {m['f1']:.3f} [{spam_results[name][1]:.3f}, {spam_results[name][2]:.3f}]")

# %% [markdown]
# Average precision needs no threshold. The paired interval of the difference says whether the two rankings differ beyond chance.

# %%
ap = {name: average_precision_score(test_truth, score) for name, score in test_scores.items()}
ap_gap = bootstrap_interval(
    lambda y, a, b: average_precision_score(y, a) - average_precision_score(y, b),
    test_truth, test_scores["DistilBERT"], test_scores["TF-IDF"], resamples=1000)
print({name: f"AP {value:.3f}" for name, value in ap.items()},
      f"difference, paired: [{ap_gap[0]:+.3f}, {ap_gap[1]:+.3f}]")

# %% [markdown]
# And the cost that section 6 promised? Compare it with doing nothing.

# %%
def per_hundred(labels, score, threshold):
    return 100 * costs(score, labels, threshold) / len(labels)


for name, t in {"chosen": cheapest, "habit": 0.5}.items():
    least, most = bootstrap_interval(lambda y, p, t=t: per_hundred(y, p, t), test_truth,
                                     test_scores["DistilBERT"], resamples=1000)
    print(f"{name} threshold {t:.2f}: "
          f"cost {per_hundred(test_truth, test_scores['DistilBERT'], t):.1f} per 100 messages "
          f"[{least:.1f}, {most:.1f}]")
print(f"doing nothing: {100 * MISS_COST * test_truth.mean():.1f}; "
      f"validation promised {per_hundred(truth, spam_probability, cheapest):.1f}")

# %% [markdown]
# The promise was made on the rows that chose the threshold, so the cost on the test split will differ somewhat; its interval is wide. Now the reviews, the same rows for both models.

# %%
final_truth = np.array(reviews["test"]["label"])
final = {"DistilBERT": (logits_of(review_model, reviews["test"]["text"]).argmax(1) == final_truth),
         "TF-IDF": review_words.predict(reviews["test"]["text"][:]) == final_truth}
intervals = {name: bootstrap_interval(np.mean, hits) for name, hits in final.items()}
gap = bootstrap_interval(lambda a, b: a.mean() - b.mean(), final["DistilBERT"], final["TF-IDF"])
for name, hits in final.items():
    print(f"reviews, {name:10}: accuracy {hits.mean():.1%} "
          f"[{intervals[name][0]:.1%}, {intervals[name][1]:.1%}]")
print(f"difference {final['DistilBERT'].mean() - final['TF-IDF'].mean():+.1%} "
      f"[{gap[0]:+.1%}, {gap[1]:+.1%}], paired: "
      + ("beyond chance" if gap[0] > 0 or gap[1] < 0 else "may be chance"))
assert spam_results["DistilBERT"][0] > 0.3 and intervals["DistilBERT"][0] > 0.5

# %% [markdown]
# ## What to remember
#
# 1. Confusion matrix first: accuracy, precision, recall and F1 are fractions of its cells.
# 2. With a rare class, accuracy rewards doing nothing; report precision, recall and average precision.
# 3. The threshold follows from costs and is chosen on validation.
# 4. Confidence is not accuracy: check the reliability diagram, scale with one temperature.
# 5. Every number gets an interval; two models are compared on the same rows; the test split is opened once.
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | 87 % accuracy, F1 0 | the model says "ham" to everything | look at recall; train longer, or weigh the classes |
# | "F1 = 0.94" without more | binary, macro, micro and weighted differ | name the average and the positive class |
# | `Target is multiclass but average='binary'` | more than two classes | `average="macro"` |
# | `UndefinedMetricWarning: Precision is ill-defined` | nothing was called positive | `zero_division=0`, and look at the confusion matrix |
# | the test result is worse than validation promised | the threshold fits the validation rows, and they are few | give intervals; take more validation rows |
# | good on the test split, worse on new messages | the threshold was tuned on the test split | tune on validation |
# | AP and "area under PR by the trapezoid rule" differ | linear interpolation is wrong on PR (Davis and Goadrich 2006) | `average_precision_score` |
# | a probability of 0.99 on nonsense | softmax always sums to 1; it can't say "I don't know" | add a class for what belongs to neither, and test on such texts; calibration helps only with texts like those it was fitted on |
#
# ## Further reading
#
# * Davis and Goadrich 2006, *The relationship between precision-recall and ROC curves*, ICML. Saito and Rehmsmeier 2015, PLoS ONE 0118432.
# * Guo et al. 2017, *On calibration of modern neural networks*. Desai and Durrett 2020, *Calibration of pre-trained transformers*.
# * Ribeiro et al. 2020, *Beyond accuracy: behavioral testing of NLP models with CheckList*, ACL.
# * Efron 1979, *Bootstrap methods: another look at the jackknife*.

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
f1s = {name: f"{value:.3f} [{low:.3f}, {high:.3f}]"
       for name, (value, low, high) in spam_results.items()}
accuracies = {name: f"{hits.mean():.1%} [{intervals[name][0]:.1%}, {intervals[name][1]:.1%}]"
              for name, hits in final.items()}
lab.finish(f"spam F1 {f1s['DistilBERT']}, TF-IDF {f1s['TF-IDF']}; "
           f"reviews {accuracies['DistilBERT']}, TF-IDF {accuracies['TF-IDF']}")
