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
# # Appendix: ten errors with a message, and five faults without
#
# You will meet most of them. Provoke them here, while it is safe, and see the cure beside each.
# Or come back when one of them stops you: the table in section 1 finds it by its message.
#
# **After this page you can**
#
# 1. recognise ten common errors by their message, and cure them;
# 2. name five faults that give no message, and the assert that catches each;
# 3. bring the training arguments of a recipe of 2020 to 2024 up to date.
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

# %%
from pathlib import Path
from unittest import mock

import torch
from transformers import AutoTokenizer

from course_utils import plots
from course_utils.exercises import check

tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)

# %% [markdown]
# ## 1. Ten errors, each with its cure
#
# Nobody publishes a count of learners' errors. For the errors 2, 3, 7 and 9, *Further reading*
# names public threads; the others are our choice. You will provoke each kind. Read a long error
# from its end: the traceback's last part begins with the type and the reason.
#
# | | the message begins or contains | cure |
# |---|---|---|
# | 1 | `NameError: name … is not defined` | run the cells above; after a restart all of them |
# | 2 | `TypeError: … unexpected keyword argument`, `ImportError: cannot import name` | the tutorial is older than the library: use the new name |
# | 3 | `ValueError: Unable to create tensor`, `expected sequence of length` | `padding=True`, in a trainer `processing_class=tokenizer`; labels as numbers |
# | 4 | `RuntimeError: The size of tensor a … must match` | `truncation=True` |
# | | `IndexError: index out of range in self` | tokenizer and model from the same checkpoint |
# | 5 | `IndexError: Target … is out of bounds`, `CUDA error: device-side assert triggered` | `num_labels=` the number of your classes |
# | 6 | `ValueError: The model did not return a loss` | the labels' column must be called `label` or `labels` |
# | 7 | `RuntimeError: … device` | `.to(model.device)` |
# | 8 | `… can't allocate memory`, `CUDA out of memory`, or the kernel dies | smaller batch, shorter texts |
# | 9 | `ConnectionError`, `OSError: We couldn't connect`, `FileNotFoundError: Couldn't find a module script` | the network is missing |
# | | `Repository id must be`, `Repo id must`, `is not a local folder` | write `owner/name`, or a folder that exists |
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
# notebook. After a restart it has forgotten every variable, though you still see the old outputs.
# `del` makes it forget one.

# %%
answer = 42
del answer
message = provoke(1, lambda: answer)  # noqa: F821 (missing on purpose)
assert "NameError" in message

# %% [markdown]
# Cure: *Run → Run All Above Selected Cell* (Colab: *Runtime → Run before*). `No module named
# 'course_utils'` is the same story: the setup cell has not run.
#
# **2. The tutorial is older than the library.** Two lines from many recipes of 2020 to 2024:

# %%
from transformers import Trainer, TrainingArguments

out = str(lab.workdir / "errors")
message = provoke(2, lambda: TrainingArguments(out, evaluation_strategy="epoch"))
assert "evaluation_strategy" in message
message = provoke(2, lambda: Trainer(tokenizer=tokenizer))
assert "tokenizer" in message
cured = TrainingArguments(out, eval_strategy="epoch")

# %% [markdown]
# Cure: `eval_strategy`, and `Trainer(processing_class=tokenizer)`. The message names the word to
# look up in the current documentation. `cannot import name 'AdamW'` is of the same kind: take
# `torch.optim.AdamW`. If the message names your own `compute_loss`, your function is too old: give
# it the argument `num_items_in_batch=None`, and read Silent 5 below.
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
# [collator](glossary.md#collator) does it per batch (lesson 03): give the trainer
# `processing_class=tokenizer`, or it stops with `expected sequence of length …`. If the message
# names `label` instead of `input_ids`, your labels are words: turn them into numbers.
#
# **4. A text that is too long.** DistilBERT has 512 positions. The tokenizer only warns; the model
# stops. For this and the next errors you need a classifier: the model with a
# [head](glossary.md#head), an output layer that gives one raw score, a [logit](glossary.md#logit),
# per class. Ignore the report that loading prints, section 2 explains it.

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
# Cure: `truncation=True`; what stands behind the limit is then not read, and nothing says so. The
# last line shows the shape of its logits: one text, two classes. `index out of range in self` is
# another fault: a token id that this model doesn't know, because the tokenizer is another model's.
#
# **5. More classes than the head has.** A new head has two outputs unless you say otherwise:

# %%
labels = torch.tensor([0, 2])
message = provoke(5, lambda: model(**batch, labels=labels))
assert "Target" in message
print(f"with three: loss {new_classifier(num_labels=3)(**batch, labels=labels).loss.item():.2f}")

# %% [markdown]
# Cure: `num_labels=3`; if the checkpoint already has a head for two classes, also
# `ignore_mismatched_sizes=True`. Labels count from 0: three classes are 0, 1 and 2, and a file with
# labels 1, 2, 3 fails in the same way. On a GPU this fault reads
# `CUDA error: device-side assert triggered` (so does a token id out of range), and afterwards
# *every* GPU call fails: restart the kernel, and look for the fault on the CPU, where the message
# is plain.
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
        model.accepts_loss_kwargs = False  # section 2 says why
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
# lie in the CPU's memory. Without a GPU, PyTorch's device `meta`, which stores shapes and no
# numbers, stops with the same complaint:

# %%
elsewhere = "cuda" if torch.cuda.is_available() else "meta"
layer = torch.nn.Linear(4, 2, device=elsewhere)
message = provoke(7, lambda: layer(torch.ones(1, 4)))
assert "device" in message
print("cured:", tuple(layer(torch.ones(1, 4).to(layer.weight.device)).shape))

# %% [markdown]
# > Quoted: on a GPU PyTorch says `Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!`
# > (nlp-with-transformers/notebooks, issues 31 and 61); newer versions say `but got … is on cpu, different from other tensors on cuda:0`.
#
# Cure: `inputs = tokenizer(...).to(model.device)`.
#
# **8. Out of memory.** Ask for a tensor of $10^{15}$ numbers, 4 million gigabytes:

# %%
message = provoke(8, lambda: torch.empty(10**15))
assert "allocate" in message or "memory" in message

# %% [markdown]
# In a training, nobody asks for that much in one piece. There a GPU says `CUDA out of memory`; on a
# CPU the system often ends the program without a message, and Jupyter tells you that the kernel
# died (Colab: the session crashed).
#
# What fills the memory? In fp32 a number takes 4 bytes, and training keeps four numbers per
# [parameter](glossary.md#parameter): the weight; its [gradient](glossary.md#gradient), which says
# how the error changes with it; and two running averages of the *optimiser*, the program that moves
# the weights. That is 16 bytes, whatever the batch. Beside them lie the
# [activations](glossary.md#activation): results of the forward pass, kept for the backward pass.
# The next cell counts them: `activation_bytes` adds up the size of every tensor that PyTorch keeps.

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
# batch) and `model.accepts_loss_kwargs = False` (section 2 says why); shorten `max_length`; use
# 16-bit numbers. Half the batch halves what grows, not what is fixed. After a `CUDA out of memory`,
# restart the kernel: the failed attempt may still hold memory.
#
# **9. The Hub doesn't answer, or not to this name.** Models, data sets and metrics come from the
# [Hub](glossary.md#hub). The helper cuts the network, so that nothing is downloaded here:

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
# a metric by its name downloads a program and runs it; this course uses `course_utils.metrics`,
# which needs no network.
#
# > Quoted: with a network, the name `imdb` alone fails too: `Repository id must be 'namespace/name', got 'imdb'` (huggingface/datasets, issue 8612).
#
# Cure: write owner and name, `stanfordnlp/imdb`. A folder that doesn't exist is taken for a name on
# the Hub, hence `Repo id must …` or `is not a local folder`: look at the path. Behind a firewall or
# offline: choose the profile `mini`, or set `COURSE_MIRROR` to a folder that `make mirror` filled.
#
# **10. 16-bit training on a CPU.** The trainer refuses `bf16=True` where it finds no GPU, though
# many CPUs can do it (with a GPU there is no error, and the line below says so):

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
# quickly ([the other appendix](appendix_machine.ipynb) measures it). `lab.precision_arguments`
# holds the right settings for your machine.
#
# ### Exercise 0.5 Mend an old recipe ●●○ 7 minutes
#
# Older recipes stop with error 2. Write `modern(settings)`: it takes a dictionary of old arguments
# for `TrainingArguments` and returns a *new* dictionary that works today and means the same.
#
# | old | today |
# |---|---|
# | `evaluation_strategy` | `eval_strategy` |
# | `warmup_ratio=0.1` | `warmup_steps=0.1`: below 1 it is a share of all steps |
# | `no_cuda` | `use_cpu` |
# | `logging_dir`, `overwrite_output_dir` | gone: leave them out |

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_5", "locked": false, "schema_version": 3, "solution": true, "task": false}
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

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_5", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def old_recipe():
    return {"output_dir": out, "evaluation_strategy": "epoch", "warmup_ratio": 0.1, "no_cuda": True,
            "logging_dir": "logs", "overwrite_output_dir": True, "learning_rate": 3e-5}

def leaves_the_old_one_alone():
    settings = old_recipe()
    modern(settings)
    return settings == old_recipe()

check("0.5 Mend an old recipe",
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
# ## 2. Worse: faults without a message
#
# An error stops you. A silent fault lets you go on with wrong numbers. But first the reverse:
# something that looks like an error and is none.
#
# **The report of new weights.** Each `new_classifier()` above prints a report with the word
# `MISSING` when you run it yourself (older versions: "some weights … newly initialized"). The
# checkpoint has no [head](glossary.md#head) for your task, so a new one was made from random
# numbers:

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
# numbers of any size. [Softmax](glossary.md#softmax) turns them into probabilities. The number in
# brackets is the axis along which the results sum to 1: `softmax(-1)` takes the last axis, the
# classes of one text. With `softmax(0)` the texts would compete with each other.

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
# answer beside a longer one. The numbers are the largest change of a logit against the text alone:
# about 0 (rounding) is right, anything visible is wrong.

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
# loop doesn't, and the model ignores words it doesn't know. A training stops one line later
# (`'NoneType' object has no attribute 'backward'`), an evaluation doesn't stop:

# %%
print("label: ", model(**batch, label=torch.tensor([0, 1])).loss)
print("labels:", model(**batch, labels=torch.tensor([0, 1])).loss.item())
assert model(**batch, label=torch.tensor([0, 1])).loss is None

# %% [markdown]
# **Silent 4: empty attention plots.** The fast attention never stores its weights. Ask for them,
# and you get an empty tuple; the slower `eager` keeps them. Only a line in the log says so, easily
# overlooked; on this page you don't see it, since the log was switched off above.

# %%
fast = model(**batch, output_attentions=True).attentions
eager = new_classifier(attn_implementation="eager").eval()(
    **batch, output_attentions=True).attentions
print("fast:", fast, "· eager:", len(eager), "layers of shape", tuple(eager[0].shape))
assert not fast and len(eager) == model.config.num_hidden_layers

# %% [markdown]
# **Silent 5: gradient accumulation multiplies the loss.** [Gradient
# accumulation](glossary.md#gradient-accumulation) takes several small batches for one step. The
# trainer believes that this model divides its loss by the number of items in all of them. This
# model doesn't, so the loss comes out multiplied. One line, `model.accepts_loss_kwargs = False`,
# makes the trainer divide it. Without it you can't compare the printed loss with another run's, and
# the gradients, multiplied too, are cut sooner by the trainer's clipping.

# %%
twice = dict(per_device_train_batch_size=1, gradient_accumulation_steps=2)
losses = {name: one_step("label", careful, **twice).training_loss
          for name, careful in {"with the line": True, "without": False}.items()}
print({name: f"{loss:.2f}" for name, loss in losses.items()})
assert losses["without"] > 1.5 * losses["with the line"]

# %% [markdown]
# Silent faults have one cure: write down what must hold, and let an `assert` watch it. For these
# five:
#
# 1. `torch.allclose(p.sum(-1), torch.ones(len(p)))`: each row of probabilities sums to 1;
# 2. `torch.allclose(with_mask, alone, atol=1e-4)`: a text alone and in a batch gets one answer;
# 3. `loss is not None`;
# 4. `len(attentions) == model.config.num_hidden_layers`;
# 5. the first loss with accumulation is near that of one batch of the same texts.
#
# ### Exercise 0.6 Three faults without a message ●●○ 10 minutes
#
# A colleague's function runs on short texts without a word of complaint. It has three faults; you
# have met all of them in sections 1 and 2. Write it anew: it returns the class probabilities, shape
# `(texts, classes)`, and cuts a text only at the model's own limit.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_6", "locked": false, "schema_version": 3, "solution": true, "task": false}
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

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_6", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def same_alone():
    return torch.allclose(class_probabilities(model, texts)[:1],
                          class_probabilities(model, texts[:1]), atol=1e-5)


def sums_to_one():
    p = class_probabilities(model, texts)
    return bool((p >= 0).all()) and torch.allclose(p.sum(-1), torch.ones(2), atol=1e-5)


def like_the_model():
    longer = ["Bad. " * 200, "Good."]  # some 400 pieces
    batch = tokenizer(longer, padding=True, return_tensors="pt").to(model.device)
    with torch.no_grad():
        wanted = model(**batch).logits.softmax(-1)
    return torch.allclose(class_probabilities(model, longer), wanted, atol=1e-5)


check("0.6 Three silent faults",
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
      ("they are this model's, of whole texts", like_the_model,
       "give the model's own probabilities, and cut at its limit of 512 pieces, not before"),
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
# 1. Read the last part of an error first: it begins with the type and the reason.
# 2. An old recipe stops at names that the library has changed or dropped; the message says which.
# 3. Silent faults have one cure: write down what must hold, and let an assert watch it.
#
# ## Further reading
#
# * Threads behind the errors, huggingface/transformers:
#   [5421](https://github.com/huggingface/transformers/issues/5421) and
#   [30099](https://github.com/huggingface/transformers/issues/30099) (new weights),
#   [20638](https://github.com/huggingface/transformers/issues/20638) (ragged batches),
#   [278](https://github.com/huggingface/transformers/issues/278) and
#   [1948](https://github.com/huggingface/transformers/issues/1948) (attention mask),
#   [30190](https://github.com/huggingface/transformers/pull/30190) (renamed arguments).
# * [huggingface/datasets 8612](https://github.com/huggingface/datasets/issues/8612): names without
#   an owner; nlp-with-transformers/notebooks
#   [31](https://github.com/nlp-with-transformers/notebooks/issues/31) and
#   [61](https://github.com/nlp-with-transformers/notebooks/issues/61): devices.
# * Google Research, README of BERT, section on out-of-memory issues: the largest batch by length on
#   one GPU.
#
# Next: back to [the route through the lessons](README.md).

# %%
lab.finish(f"{raised} messages of ten kinds of error provoked and cured, "
           "and five faults that give none")
