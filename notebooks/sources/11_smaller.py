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
# # How small and how fast can it get before it gets worse?
#
# You have a model that works, and it is too large or too slow: for a phone, a browser, a small
# server. Here you take one fine-tuned model and make one change at a time. After each change you
# measure file, time and accuracy, and at the end you choose by a rule.
#
# **After this lesson you can**
#
# 1. export a model to a file that runs without PyTorch, and store its weights in 8 bits;
# 2. say what fewer layers, zeros, shorter texts and batches bring, and why one brings nothing;
# 3. measure speed so that others can believe it, and choose from accuracy *and* milliseconds.
#
# **What it costs**
#
# {{cost}}

# %% [markdown]
# ## Setup
#
# This lesson needs packages for ONNX. The second cell installs those that are missing, and leaves
# all others as they are.

# %% tags=["setup"]
# {{setup}}

# %% tags=["setup"]
from course_utils.lab import ROOT
from course_utils.setup import ensure_packages

needed = ensure_packages(ROOT / "browser")  # what is missing of browser/pyproject.toml

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": gpu where CUDA and the Hub are there, else mini

# %%
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. One model to make smaller
#
# It is the sorter of lesson [00](00_start.ipynb): what does this request want? (On `mini` requests
# to a shop, on `cpu` and `gpu` those of CLINC150, to an assistant.) *Validation* chooses everything
# below; *test* is opened once, in section 9.

# %%
from course_utils import plots

plots.picture("what-can-shrink")

# %%
from dataclasses import replace

import numpy as np

from course_utils.data import TASKS, load_task

rows = lab.profile.rows  # asked one by one, on a CPU: at most 1,000 of validation, 2,000 of test
few = replace(lab.profile, validation_rows=min(rows["validation"], 1000),
              test_rows=min(rows["test"] or 2000, 2000))
requests = load_task("requests", few)
known = requests["train"].features["label"].names
no_intent = known.index(TASKS["requests"].out_of_scope(known))  # belongs to no intent: lesson 07
names = known[:no_intent] + known[no_intent + 1:]
requests = requests.filter(lambda label: label != no_intent, input_columns="label")
asked = {split: rows["text"][:] for split, rows in requests.items()}
wanted = {split: np.array([names.index(known[label]) for label in rows["label"]])
          for split, rows in requests.items()}

# %%
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, Trainer,
                          TrainingArguments, set_seed, utils)
from transformers.trainer_callback import PrinterCallback

utils.logging.set_verbosity_error()  # no report on the new head, which is meant to be new
tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
LIMIT = 64  # pieces; longer texts are cut


def train(network, rows, epochs, kind=Trainer):
    set_seed(lab.seed)
    settings = TrainingArguments(
        str(lab.workdir / "sorter"), num_train_epochs=epochs, seed=lab.seed, warmup_steps=0.1,
        learning_rate=3 * lab.profile.learning_rate, per_device_train_batch_size=16,
        train_sampling_strategy="group_by_length", remove_unused_columns=False,
        save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
        **lab.precision_arguments)
    trainer = kind(network, settings, train_dataset=rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).eval()


# %%
rows = [{**tokenizer(text, truncation=True, max_length=LIMIT), "labels": int(label)}
        for text, label in zip(asked["train"], wanted["train"], strict=True)]
set_seed(lab.seed)
model = AutoModelForSequenceClassification.from_pretrained(
    lab.checkpoint, revision=lab.revision, use_safetensors=True, num_labels=len(names),
    id2label=dict(enumerate(names)))
model = train(model, rows, epochs=4)

# %% [markdown]
# The rival counts words ([TF-IDF](glossary.md#tf-idf)). Every version of either model becomes a
# function here: texts in, one score per label (a request's [intent](glossary.md#intent)) out, the
# tokenizer's work included. `add` notes the version, its file, and which validation texts it gets
# right when asked one by one (section 4 shows why).

# %%
import copy

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def with_torch(network):
    @torch.inference_mode()
    def answer(texts):
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=LIMIT,
                           return_tensors="pt").to(network.device)
        return network(**inputs).logits.float().cpu().numpy()
    return answer


def answers_to(texts, answer, size=32):
    return np.concatenate([answer(texts[i:i + size]) for i in range(0, len(texts), size)])


def is_right(answer, split="validation", size=32):
    return answers_to(asked[split], answer, size).argmax(1) == wanted[split]


# %%
versions, files, right = {}, {}, {}


def add(name, answer, file=None):
    versions[name], files[name], right[name] = answer, file, is_right(answer, size=1)


model.save_pretrained(lab.workdir / "original")
tokenizer.save_pretrained(lab.workdir / "original")
counting = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000))
counting.fit(asked["train"], wanted["train"])
add("PyTorch", with_torch(copy.deepcopy(model).cpu()), lab.workdir / "original/model.safetensors")
add("counting words", counting.decision_function)

# %% tags=["assert"]
assert list(counting.classes_) == list(range(len(names))), "a column of scores for each intent"

# %% [markdown]
# ## 2. How do you measure time on a machine that does other things too?
#
# A stopwatch around one loop measures your browser tabs as well. Three habits help. The versions
# take turns: one text goes through all of them, then the next, in a new order. You report
# [percentiles](glossary.md#percentile). p50: half of the calls take at most this long; p95: 95 of
# 100 do. And you compare *ratios* from one run, since milliseconds belong to the machine.
#
# All run on one thread of this CPU. A phone has another chip: repeat the measurement there before
# you decide.

# %%
import time

from course_utils.metrics import bootstrap_interval


def clock(answers, calls, size=1):
    """Seconds (calls,) of each version, one text or ``size`` texts a call, all in turn."""
    order, seconds = np.random.default_rng(lab.seed), {name: np.empty(calls) for name in answers}
    threads, texts = torch.get_num_threads(), asked["validation"]
    torch.set_num_threads(1)
    for call in range(-2, calls):  # the first two rounds warm up, the next overwrite them
        batch = [texts[(call * size + i) % len(texts)] for i in range(size)]
        for name in order.permutation(list(answers)):
            answer, start = answers[name], time.perf_counter()
            answer(batch)
            seconds[name][call] = time.perf_counter() - start
    torch.set_num_threads(threads)
    return seconds


# %%
def chance(low, high, zero=0.0):
    if low == high == zero:
        return "no difference"
    return "beyond chance" if low > zero or high < zero else "could be chance"


def faster(before, after):
    """How many times as fast at the median, with its 95 % interval."""
    def ratio(a, b):
        return np.median(a) / np.median(b)

    return ratio(before, after), *bootstrap_interval(ratio, before, after)


def accuracy_change(after, before, rows=right):
    """Points of accuracy gained, with the 95 % interval, text by text."""
    change = 100 * (rows[after].astype(float) - rows[before])
    return change.mean(), *bootstrap_interval(np.mean, change)


# %%
def judge(after, before):
    """One change in a sentence: file, time, accuracy."""
    seconds = clock({name: versions[name] for name in (before, after)}, calls=60)
    ratio, points = faster(seconds[before], seconds[after]), accuracy_change(after, before)
    size = {name: files[name].stat().st_size / 1e6 for name in (before, after) if files[name]}
    file = f"file {size[after]:.0f} MB in place of {size[before]:.0f}; " if len(size) == 2 else ""
    return (f"**{after}** beside {before}: {file}{ratio[0]:.2f} times as fast "
            f"[{ratio[1]:.2f}, {ratio[2]:.2f}], {chance(*ratio[1:], zero=1)}; "
            f"{right[after].mean():.1%} right, {points[0]:+.1f} points "
            f"[{points[1]:+.1f}, {points[2]:+.1f}], {chance(*points[1:])}.")


plots.finding(judge("counting words", "PyTorch"))

# %% tags=["assert"]
assert right["PyTorch"].mean() > 10 / len(names)

# %% [markdown]
# So the rival sets the price: each point of accuracy beyond it is paid in milliseconds. How much of
# that price is necessary?
#
# Fix the rule now, before any other version is measured: **take the version with the lowest p50
# that loses no more than three points against the original, at the lower end of the paired 95 %
# interval** (paired: text by text). Three points are this lesson's choice; yours depends on what a
# wrong answer costs you.
#
# ### Exercise 11.1 p50 and p95 ●○○ 6 minutes
#
# Write `latency(seconds, warm_up)`. It leaves out the first `warm_up` calls and returns `(p50,
# p95)` in milliseconds. Take the *nearest rank*: p95 is the smallest measured time for which at
# least 95 % of the calls took no longer; nothing is interpolated. (`np.quantile`, which the table
# in section 9 uses, interpolates between two measured times; with 60 calls it may differ a little.)

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e11_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def latency(seconds, warm_up=0):
    ### BEGIN SOLUTION
    kept = sorted(seconds[warm_up:])
    return tuple(1000 * kept[-(-len(kept) * share // 100) - 1] for share in (50, 95))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Cut off the warm-up first, then sort. Which place in the sorted list has 95 of 100 calls at or
# below it?
# </details>
# <details><summary>Hint 2</summary>
#
# The place is `math.ceil(0.95 * n)`, counted from 1. Rounding errors lurk in 0.95 * n; `-(-n * 95
# // 100)` rounds up in whole numbers. Times 1,000 makes milliseconds.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t11_1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
import numpy as np

from course_utils.exercises import check


def close(found, expected):
    return len(found) == 2 and bool(np.allclose(np.array(found, dtype=float), expected))


def leaves_seconds():
    times = [0.9, 0.3, 0.1, 0.2]
    latency(times, 1)
    return times == [0.9, 0.3, 0.1, 0.2]


check("11.1 p50 and p95",
      ("1 to 100 ms in any order: 50 and 95",
       lambda: close(latency([(7 * i % 101) / 1000 for i in range(1, 101)]), (50, 95)),
       "sort first, and count places from 1: place 50 of 100, then place 95; in milliseconds"),
      ("a slow first call is left out", lambda: close(latency([9.0, 0.002, 0.001], 1), (1, 2)),
       "drop the first warm_up calls in the order of time, before you sort"),
      ("five calls: p95 is the slowest",
       lambda: close(latency([0.001, 0.002, 0.003, 0.004, 0.010]), (3, 10)),
       "round the place up, to 5 of 5, and interpolate nothing"),
      ("twelve calls: places 6 and 12",
       lambda: close(latency([n / 1000 for n in range(1, 13)]), (6, 12)),
       "round up, not to the nearest: 95 % of 12 are 11.4, so place 12"),
      ("one call is both", lambda: close(latency([0.004]), (4, 4)),
       "with one call both are that call"),
      ("the list stays as it was", leaves_seconds, "sorted(...) makes a new list"));
### BEGIN HIDDEN TESTS
assert close(latency([i / 1000 for i in range(40, 0, -1)]), (20, 38)) and leaves_seconds()
assert close(latency(np.arange(1, 21) / 1000, 10), (15, 20))
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Does it need PyTorch to answer?
#
# PyTorch is made for training: it keeps what it needs to change the network. To answer, a fixed
# list of operations is enough. [ONNX](glossary.md#onnx) is a file format for such a list with its
# weights, and ONNX Runtime is a program that runs it. It merges operations and plans the memory
# beforehand; the arithmetic stays the same.

# %%
import logging
import warnings

import onnxruntime


def export(network, name):
    """Write the network as ONNX; batch and number of pieces may vary from call to call."""
    example = tokenizer(["a text", "a slightly longer text"], padding=True, return_tensors="pt")
    inputs = {key: example[key] for key in ("input_ids", "attention_mask")}
    file, free = lab.workdir / f"{name}.onnx", {0: "batch", 1: "pieces"}
    logging.disable(logging.WARNING)  # it tells which packages it does without
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            copy.deepcopy(network).cpu(), (), str(file), kwargs=inputs, input_names=list(inputs),
            output_names=["logits"], dynamic_shapes=dict.fromkeys(inputs, free),
            dynamo=True, external_data=False, verbose=False)
    logging.disable(logging.NOTSET)
    return file


# %%
def with_onnx(file, padding=True, limit=LIMIT):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])

    def answer(texts):
        inputs = tokenizer(texts, padding=padding, truncation=True, max_length=limit,
                           return_tensors="np")
        kept = {key: inputs[key].astype(np.int64) for key in ("input_ids", "attention_mask")}
        return session.run(["logits"], kept)[0]
    return answer


# %%
file = export(model, "fp32")
add("ONNX", with_onnx(file), file)

# %%
both = [answers_to(asked["validation"], versions[name]) for name in ("ONNX", "PyTorch")]
gap = np.abs(both[0] - both[1]).max()
plots.finding(judge("ONNX", "PyTorch") + f" The largest difference of a score is {gap:.0e}: "
              f"{'the same network' if gap < 1e-3 else 'not the same network'}, another program.")

# %% tags=["assert"]
assert gap < 1e-3 and (right["ONNX"] == right["PyTorch"]).mean() > 0.99

# %% [markdown]
# ## 4. What do 8 bits do to a weight?
#
# Each weight is a number of 32 bits. [Quantisation](glossary.md#quantisation) keeps 8: a whole
# number with a sign, and one *scale* for the matrix, by which all are multiplied.

# %%
plots.picture("eight-bit-grid")

# %%
def rounded(weights, bits):
    """What is left of a matrix in ``bits`` bits: whole numbers, and their scale."""
    top = 2 ** (bits - 1) - 1
    scale = weights.abs().max() / top
    return (weights / scale).round(), scale


# %%
matrix = model.distilbert.transformer.layer[0].ffn.lin1.weight.detach().cpu()
whole, scale = rounded(matrix, 8)
print("as trained  ", matrix[0, :6].numpy().round(4))
print("whole number", whole[0, :6].int().tolist(), f" scale {scale:.5f}")
print("read back   ", (whole * scale)[0, :6].numpy().round(4))

# %% [markdown]
# These few weights keep their sign and rough size; the small ones change most in proportion. What
# does that do to a whole network? Round every matrix to fewer and fewer bits, and let it answer.
# (*Rounded and read back*: this shows the harm to the answers, not yet the gain in speed.)

# %%
def with_bits(network, bits):
    coarse = copy.deepcopy(network)
    for part in coarse.modules():
        if isinstance(part, torch.nn.Linear | torch.nn.Embedding):
            whole, scale = rounded(part.weight.data, bits)
            part.weight.data = whole * scale
    return coarse


# %%
by_bits = {bits: is_right(with_torch(with_bits(model, bits))) for bits in (4, 5, 6, 7, 8)}
harm = {bits: accuracy_change("now", "before", {"now": hits, "before": right["PyTorch"]})
        for bits, hits in by_bits.items()}
enough = min((bits for bits in harm if all(high >= 0 for more, (_, _, high) in harm.items()
                                            if more >= bits)), default=None)

# %%
figure, (left, right_side) = plots.new_figure(columns=2, width=10, height=3.5)
row = matrix[0].sort().values
for number, (bits, label) in enumerate({None: "32 bits", 8: "8 bits", 4: "4 bits"}.items()):
    values = row if bits is None else rounded(matrix, bits)[0].mul(rounded(matrix, bits)[1])[
        0, matrix[0].argsort()]
    plots.curve(left, np.arange(len(row)), values, label, number, marker="")
stairs = {bits: len(rounded(matrix, bits)[0][0].unique()) for bits in (8, 4)}
left.set(xlabel="weights of one real row, sorted", ylabel="weight",
         title=f"One row: {stairs[8]} different values in 8 bits, {stairs[4]} in 4")
left.legend()
plots.curve(right_side, list(by_bits), [hits.mean() for hits in by_bits.values()], "rounded")
for name, style in (("PyTorch", "--"), ("counting words", ":")):
    right_side.axhline(right[name].mean(), color="black", linestyle=style, label=name)
right_side.set(ylim=(0, 1), xticks=list(by_bits), xlabel="bits of each weight",
               ylabel="right on validation",
               title=f"From {enough} bits on the loss could be chance" if enough else
               "Even in 8 bits a loss beyond chance")
right_side.legend(loc="lower right")
plots.show(figure, "Left: the sorted weights of one row, a smooth line in 32 bits and stairs of "
           f"{stairs[8]} values in 8 bits and {stairs[4]} in 4. Right, accuracy by bits: "
           + ", ".join(f"{bits} {hits.mean():.0%}" for bits, hits in by_bits.items()) + ".")

# %% [markdown]
# `quantize_dynamic` writes such a file. *Dynamic* means: the numbers that run through the network
# are rounded too, each time anew, with a scale taken from the batch at hand. So the products are
# made of whole numbers of 8 bits. Chips with instructions for these (VNNI on Intel and AMD, *dot
# product* on Arm) multiply several at once; on others less time is gained. On Linux
# `lscpu | grep -oE 'vnni|asimddp'` shows whether yours has them.
#
# Without VNNI, sums of such products may overflow and the answers be wrong. So the weights of the
# products take 7 of the 8 bits here (`reduce_range`), with which no sum can overflow.

# %%
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic


def to_int8(file, by_row=False):
    graph, small = onnx.load(file), file.with_stem(f"{file.stem}-int8-{by_row}")
    del graph.graph.value_info[:]  # shapes of the example, which it would take for all shapes
    logging.disable(logging.WARNING)  # it recommends a preparation that fails on this graph
    quantize_dynamic(graph, small, weight_type=QuantType.QInt8, per_channel=by_row,
                     reduce_range=True)  # 7 bits: without VNNI, sums of larger numbers overflow
    logging.disable(logging.NOTSET)
    return small


# %%
small = to_int8(file)
add("int8", with_onnx(small), small)
plots.finding(judge("int8", "ONNX"))

# %% tags=["assert"]
stored = [onnx.numpy_helper.to_array(t) for t in onnx.load(small).graph.initializer
          if t.data_type == onnx.TensorProto.INT8 and tuple(t.dims) == matrix.T.shape]
seven = rounded(matrix, 7)[0].T.numpy()  # up to 63, in the file up to 64
assert any(np.abs(s - seven).max() <= 1 for s in stored), "the file's own whole numbers"
assert small.stat().st_size < 0.3 * file.stat().st_size
assert by_bits[4].mean() < by_bits[8].mean()

# %% [markdown]
# One scale has to reach the largest weight of the whole matrix. How many of the whole numbers are
# left for the others? The remedy to try is a scale for each row (`per_channel`; a row of weights
# makes one output). Nothing else changes.

# %%
reach = rounded(matrix, 7)[0].abs()
largest = matrix.abs().amax(1) / matrix.abs().max()
small = to_int8(file, by_row=True)
add("int8 by row", with_onnx(small), small)
plots.finding(f"With one scale, half of the weights lie between −{reach.median():.0f} and "
              f"{reach.median():.0f}, where 7 bits reach {reach.max():.0f}; the largest of a "
              f"typical row reaches {largest.median():.0%} of the matrix's. "
              + judge("int8 by row", "ONNX"))

# %%
remedy = accuracy_change("int8 by row", "int8")
added = (files["int8 by row"].stat().st_size - files["int8"].stat().st_size) / 1e6
plots.finding(
    f"Against *int8*, with one scale for each matrix: {remedy[0]:+.1f} points [{remedy[1]:+.1f}, "
    f"{remedy[2]:+.1f}], {chance(*remedy[1:])}. The remedy "
    + ("helps" if remedy[1] > 0 else "isn't shown to help here")
    + f". It costs {added:.1f} MB of file; the lesson goes on with it.")

# %% tags=["assert"]
assert 0.9 * small.stat().st_size < files["int8"].stat().st_size
assert accuracy_change("int8 by row", "ONNX")[0] > -6
shape = tuple(model.distilbert.embeddings.word_embeddings.weight.shape)
assert {t.data_type for t in onnx.load(small).graph.initializer if tuple(t.dims) == shape} == {
    onnx.TensorProto.UINT8}, "the vocabulary in 8 bits without a sign"

# %% [markdown]
# Neither option reaches the vectors of the vocabulary, which are looked up, not multiplied:
# `quantize_dynamic` gives them all 8 bits, and one scale for the whole table.
#
# One trap comes with "a scale taken from the batch at hand". Ask for the same texts alone, and in
# batches.

# %%
for name in ("ONNX", "int8 by row"):
    alone, together = (
        torch.tensor(answers_to(asked["validation"], versions[name], size)).softmax(1)
        for size in (1, 32))
    moved = float((alone - together).abs().max())
    flipped = int((alone.argmax(1) != together.argmax(1)).sum())
    print(f"{name:12} largest change of a probability {moved:.4f}, other labels {flipped}")

# %%
plots.finding(f"In int8 a text's probabilities move by up to {moved:.2f} with its neighbours in "
              f"the batch, and {flipped} of {len(alone)} texts get another label. "
              + ("Asked one by one, an answer depends on its own text alone; the versions here "
                 "are judged that way. If yours will answer in batches, test it in batches."
                 if moved > 0.001 else "Here that is too little to matter."))

# %% [markdown]
# ### Exercise 11.2 One scale a row ●●○ 8 minutes
#
# Now do by hand what `per_channel` does. Write `quantise_rows(weights, bits)`: it returns whole
# numbers of the same shape, and one scale per row, as a tensor of shape (rows, 1), so that `whole *
# scales` is the matrix again, to within half a scale. The largest weight of each row becomes
# ±(2^(bits−1) − 1). A row of zeros stays zeros.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e11_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def quantise_rows(weights, bits=8):
    ### BEGIN SOLUTION
    top = 2 ** (bits - 1) - 1
    scales = weights.abs().amax(dim=1, keepdim=True) / top
    scales = torch.where(scales == 0, torch.ones_like(scales), scales)
    return (weights / scales).round(), scales
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `rounded` above does it for the whole matrix. The largest weight has to be taken along one
# dimension: `weights.abs().amax(dim=1, keepdim=True)`.
# </details>
# <details><summary>Hint 2</summary>
#
# A row of zeros has the scale 0, and 0 / 0 is nan. Give it the scale 1: `torch.where(scales == 0,
# 1.0, scales)`.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t11_2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
import torch


def random_rows(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(5, 40, generator=draw) * torch.logspace(-3, 1, 5)[:, None]


def fits(bits, seed=0):
    weights, top = random_rows(seed), 2 ** (bits - 1) - 1
    whole, scales = quantise_rows(weights.clone(), bits)
    near = (whole * scales - weights).abs() <= 0.501 * weights.abs().amax(1, keepdim=True) / top
    reach = set(whole.abs().amax(1).tolist()) == {top}
    return reach and torch.equal(whole, whole.round()), bool(near.all())


def leaves_weights():
    weights = random_rows()
    quantise_rows(weights)
    return torch.equal(weights, random_rows())


check("11.2 One scale a row",
      ("one scale a row", lambda: tuple(quantise_rows(random_rows())[1].shape) == (5, 1),
       "take the largest weight along dim=1, with keepdim=True"),
      ("whole numbers up to 127 in every row", lambda: fits(8)[0],
       "divide each row by its own scale and round; 8 bits reach 127"),
      ("with 4 bits up to 7", lambda: fits(4)[0], "the top is 2 ** (bits - 1) - 1"),
      ("read back within half a step", lambda: fits(8)[1] and fits(4)[1],
       "whole * scales must give the matrix again; round to the nearest, don't cut off"),
      ("zeros stay zeros", lambda: not (quantise_rows(torch.zeros(2, 8))[0] != 0).any(),
       "0 / 0 is nan: give such a row any scale but 0"),
      ("the matrix stays as it was", leaves_weights, "work on new tensors, nothing in place"));
### BEGIN HIDDEN TESTS
assert all(all(fits(bits, seed)) for bits in (3, 6, 8) for seed in (4, 5)) and leaves_weights()
empty = quantise_rows(torch.cat([torch.zeros(1, 40), random_rows(6)]))
assert bool((empty[0][0] == 0).all()) and bool(torch.isfinite(empty[1]).all())
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Can you leave out layers?
#
# DistilBERT itself was made so: layers 0, 2, 4, 7, 9 and 11 of BERT's twelve were taken, and then
# [distilled](glossary.md#distillation). Do it again: keep three of the six layers of *your* model,
# the first, the third and the last, as they are.

# %%
def cut(network, kept):
    shallow = copy.deepcopy(network)
    body = shallow.distilbert.transformer
    body.layer = torch.nn.ModuleList([body.layer[number] for number in kept])
    shallow.config.n_layers = len(kept)
    return shallow


# %%
KEEP = (0, 2, 5)
shallow = cut(model, KEEP)
untaught = is_right(with_torch(shallow)).mean()
print(f"three layers as they are: {untaught:.1%} right")

# %% [markdown]
# Now the full model teaches the cut one, on the training texts. The pupil learns from the labels
# and from the teacher's probabilities for all intents, softened by a
# [temperature](glossary.md#temperature), as in lesson [02](02_distillation.ipynb). (What the labels
# alone would give isn't compared here.)

# %%
from torch.nn.functional import kl_div

TEMPERATURE = 2.0


class Distiller(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **_):
        soft = (inputs.pop("teacher") / TEMPERATURE).softmax(-1)
        said = model(**inputs)
        near = kl_div((said.logits / TEMPERATURE).log_softmax(-1), soft, reduction="batchmean")
        loss = said.loss + TEMPERATURE**2 * near
        return (loss, said) if return_outputs else loss



# %%
taught = answers_to(asked["train"], with_torch(model))
lessons = [{**row, "teacher": said.tolist()} for row, said in zip(rows, taught, strict=True)]
shallow = train(shallow, lessons, epochs=3, kind=Distiller)

# %%
file = export(shallow, "three-layers")
add("3 layers", with_onnx(file), file)
small = to_int8(file, by_row=True)
add("3 layers int8", with_onnx(small), small)
words_share = model.distilbert.embeddings.word_embeddings.weight.numel() / sum(
    p.numel() for p in model.parameters())
plots.finding(f"Cut without teaching: {untaught:.0%} right. Taught: " + judge("3 layers", "ONNX")
              + f" The file shrinks less than the time: {words_share:.0%} of all weights are the "
              "vectors of the vocabulary, which no layer holds.")

# %% tags=["assert"]
assert right["3 layers"].mean() > untaught + 0.1 and right["3 layers"].mean() > 8 / len(names)
assert 0.3 < words_share < 0.6

# %% [markdown]
# ### Question 11.3 Which layer can be spared? ●○○ 7 minutes, in writing
#
# Leave out one layer at a time, and teach nothing. Write down first which layer you think is
# missed most. Then run this in a cell of its own:
#
# ```python
# for missing in range(6):
#     kept = [number for number in range(6) if number != missing]
#     print(missing, f"{is_right(with_torch(cut(model, kept))).mean():.1%}")
# ```
#
# What happened? And why does a network from which a layer is missing answer at all? Think of what
# each layer does with what it is given: see [residual connection](glossary.md#residual-connection).

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w11_3", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# One missing layer mostly costs far less than the three that section 5 cut before it taught. Each
# layer *adds* its result to what it is given (the residual connection), so without it the vectors
# go on as they were, in the same space, only less worked on. Which layer is missed most differs
# between models and has to be measured.
#
# Two things must be in it: what was measured (one layer missing costs much less than three, with
# numbers from the run), and that the residual connection passes the vectors on.

# %% [markdown]
# ## 6. Why do zeros save nothing?
#
# [Pruning](glossary.md#pruning) sets the smallest weights to 0: *unstructured* pruning by
# magnitude. With half of the layers' weights gone, the file should be much smaller and the model
# almost twice as fast. Should it?

# %%
from torch.nn.utils import prune


def pruned(network, share):
    """Set the smallest ``share`` of the weights of each matrix in the layers to 0."""
    sparse = copy.deepcopy(network)
    for part in sparse.distilbert.transformer.modules():
        if isinstance(part, torch.nn.Linear):
            prune.l1_unstructured(part, "weight", amount=share)
            prune.remove(part, "weight")  # make the zeros final
    return sparse


# %%
by_share = {share: is_right(with_torch(pruned(model, share))).mean()
            for share in (0.3, 0.5, 0.7, 0.9, 0.99)}
file = export(pruned(model, 0.5), "half-zeros")
add("half zeros", with_onnx(file), file)
plots.finding(judge("half zeros", "ONNX"))

# %% tags=["assert"]
assert abs(files["half zeros"].stat().st_size / files["ONNX"].stat().st_size - 1) < 0.01
assert by_share[0.9] < by_share[0.3]

# %% [markdown]
# Such an interval is about these calls, not about another run or another export: count no gain or
# loss below a tenth. A zero takes 32 bits in the file like any other number, and the CPU multiplies
# by it like by any other. To gain, one must store and visit only what is left, by a *sparse
# kernel*. It has to look up where each number belongs. Time one product of the network's own sizes,
# both ways.

# %%
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

some = np.random.default_rng(0).normal(size=(matrix.shape[1], 24)).astype(np.float32)
products = {"dense": matrix.numpy()}
for share in (0.5, 0.7, 0.9, 0.99):
    mask = matrix.abs() > matrix.abs().flatten().quantile(share)
    products[f"dense, {share:.0%} zeros"] = (matrix * mask).numpy()
    products[f"sparse, {share:.0%} zeros"] = csr_array((matrix * mask).numpy())
spent = {name: [] for name in products}
with threadpool_limits(1):  # the sparse product has one thread, the dense would take more
    for _ in range(40):  # in turn
        for name, weights in products.items():
            start = time.perf_counter()
            weights @ some
            spent[name].append(time.perf_counter() - start)
cost = {name: np.median(times) / np.median(spent["dense"]) for name, times in spent.items()}

# %%
figure, (left, right_side) = plots.new_figure(columns=2, width=10, height=3.3)
plots.curve(left, [0, *by_share], [right["PyTorch"].mean(), *by_share.values()], "pruned")
left.axhline(right["counting words"].mean(), color="black", linestyle=":", label="counting words")
left.set(ylim=(0, 1), xlabel="share of zeros, nothing retrained", ylabel="right on validation",
         title=f"Half zeros: {by_share[0.5]:.0%} right")
left.legend(loc="lower left")
for number, kind in enumerate(("dense", "sparse")):
    found = {name.split(", ")[1]: value for name, value in cost.items() if f"{kind}, " in name}
    plots.curve(right_side, list(found), list(found.values()), f"{kind} kernel", number)
right_side.axhline(1, color="gray", linewidth=1)
pays = [share for share in (0.5, 0.7, 0.9, 0.99)
        if faster(spent["dense"], spent[f"sparse, {share:.0%} zeros"])[1] > 1]
right_side.set(yscale="log", ylabel="time, matrix without zeros = 1", title=(
    f"First share where sparse is faster: {min(pays):.0%}" if pays else "No sparse kernel pays"))
right_side.set_yticks([0.2, 0.5, 1, 2, 5], [0.2, 0.5, 1, 2, 5])
right_side.minorticks_off()
right_side.legend()
plots.show(figure, "Left: accuracy by share of zeros, "
           + ", ".join(f"{share:.0%} {value:.0%}" for share, value in by_share.items())
           + ". Right: time of one product beside the dense one, "
           + ", ".join(f"{name} {value:.2f}" for name, value in cost.items()) + ".")

# %%
first = min(pays, default=None)
plots.finding(
    "Read both panels together. No share of zeros tried here makes the sparse product faster."
    if first is None else
    "Read both panels together: of the shares tried, the first at which the sparse product is "
    f"faster is {first:.0%}, and there the network gets {by_share[first]:.0%} right, in place of "
    f"{right['PyTorch'].mean():.0%}. "
    "Retraining while pruning is meant to close that gap (*Movement pruning*, below).")

# %%
import zlib

packed = [len(zlib.compress(np.ascontiguousarray(products[name]).tobytes(), 1)) / matrix.numel()
          for name in ("dense", "dense, 50% zeros")]
plots.finding(f"Half zeros leave a dense product at {cost['dense, 50% zeros']:.2f} of its time, "
              f"and a sparse one takes {cost['sparse, 50% zeros']:.1f} times the dense. Zipped, "
              f"this matrix takes {packed[1]:.1f} bytes a weight in place of {packed[0]:.1f}.")

# %% [markdown]
# Zeros help where their pattern is fixed: a whole layer, a whole row, or two of each four
# neighbours, for which some GPUs have circuits.
#
# ### Exercise 11.4 Two of four ●●○ 8 minutes
#
# Write `two_of_four(weights)`: in every group of four neighbours of a row keep the two of largest
# magnitude, and set the other two to 0. Return a new matrix; the row's length is a multiple of 4.
# Exactly two of each four stay, also where magnitudes are equal.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e11_4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def two_of_four(weights):
    ### BEGIN SOLUTION
    groups = weights.reshape(-1, 4)
    largest = groups.abs().topk(2, dim=1).indices
    mask = torch.zeros_like(groups).scatter(1, largest, 1.0)
    return (groups * mask).reshape(weights.shape)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `weights.reshape(-1, 4)` puts each group into a row of its own. Then the question is: which two of
# each row?
# </details>
# <details><summary>Hint 2</summary>
#
# `groups.abs().topk(2, dim=1).indices` names the places to keep;
# `torch.zeros_like(groups).scatter(1, places, 1.0)` makes a mask of them.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t11_4", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
import torch

example = torch.tensor([[0.1, -3.0, 2.0, 0.5, 4.0, 3.0, 2.0, 1.0],
                        [5.0, 6.0, 7.0, 8.0, -0.1, 0.3, 0.2, -0.4]])
expected = torch.tensor([[0, -3.0, 2.0, 0, 4.0, 3.0, 0, 0],
                         [0, 0, 7.0, 8.0, 0, 0.3, 0, -0.4]])


def agrees_with_a_loop(seed=0):
    weights = torch.randn(6, 20, generator=torch.Generator().manual_seed(seed))
    slow = torch.zeros_like(weights)
    for i in range(6):
        for start in range(0, 20, 4):
            two = sorted(range(start, start + 4), key=lambda j: -abs(weights[i, j]))[:2]
            slow[i, two] = weights[i, two]
    return torch.equal(two_of_four(weights), slow)


def leaves_its_input():
    weights = torch.arange(1.0, 17).reshape(2, 8)
    two_of_four(weights)
    return torch.equal(weights, torch.arange(1.0, 17).reshape(2, 8))


check("11.4 Two of four",
      ("the two largest of each four stay", lambda: torch.equal(two_of_four(example), expected),
       "groups of four neighbours within a row, each with its own two largest"),
      ("magnitude, so −3 beats 2", lambda: two_of_four(example)[0, 1].item() == -3.0,
       "compare abs(), and keep the sign"),
      ("of four equal weights two stay",
       lambda: (two_of_four(torch.ones(3, 8)) != 0).sum().item() == 12,
       "pick places (topk), not a threshold that equal weights all pass"),
      ("it agrees with a slow loop on a random matrix", agrees_with_a_loop,
       "every group of every row"),
      ("the matrix stays as it was", leaves_its_input, "multiply by a mask, or clone first"));
### BEGIN HIDDEN TESTS
assert all(agrees_with_a_loop(seed) for seed in range(1, 5)) and leaves_its_input()
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Shorter inputs, larger batches
#
# The model's work grows with the number of [pieces](glossary.md#token). You control two numbers:
# the length to which texts are padded, and the length at which they are cut. Articles like to pad
# everything to a fixed length; the versions above pad to the longest text of the batch. (Padding
# changes the scale that int8 takes from its input, so its answers may move a little.)

# %%
lengths = np.array([len(row["input_ids"]) for row in rows])
CUT = int(np.quantile(lengths, 0.25))  # most texts lose their end
print(f"pieces a request: median {np.median(lengths):.0f}, longest {lengths.max()}; cut at {CUT}")
small = files["int8 by row"]
add("padded to 64", with_onnx(small, padding="max_length"), small)
add(f"cut at {CUT}", with_onnx(small, limit=CUT), small)
plots.finding(judge("padded to 64", "int8 by row"))
plots.finding(judge(f"cut at {CUT}", "int8 by row"))

# %% [markdown]
# A [batch](glossary.md#batch) shares the cost of a call among its texts. It makes each text wait
# for the others, and pads the shorter ones. Which size pays on a CPU? Each gets the same texts, 12
# times 32. The sizes run one after the other, so count no gain below a tenth.

# %%
SIZES = (1, 8, 32)
rivals = {name: versions[name] for name in ("PyTorch", "ONNX", "int8 by row")}
per_text = {size: {name: seconds.reshape(12, -1).sum(1) / 32
                   for name, seconds in clock(rivals, 12 * 32 // size, size).items()}
            for size in SIZES}
figure, ax = plots.new_figure(height=3.3)
for number, name in enumerate(rivals):
    plots.curve(ax, SIZES, [1 / np.median(per_text[size][name]) for size in SIZES], name, number)
ax.set(xlabel="texts in a batch", ylim=(0, None), ylabel="texts a second, one thread")
gain = {size: {name: faster(per_text[1][name], per_text[size][name]) for name in rivals}
        for size in SIZES[1:]}
ax.set_title("\n".join(f"{size} at once: " + ", ".join(
    f"{name} × {g[0]:.1f}" for name, g in found.items()) for size, found in gain.items()))
ax.legend()
plots.show(figure, "Texts a second by batch size, beside one text at a time. " + " ".join(
    f"{size} at once: " + ", ".join(f"{name} {g[0]:.2f} times" for name, g in found.items()) + "."
    for size, found in gain.items()))

# %%
def those(size, keep):
    return ", ".join(n for n, (_, *ends) in gain[size].items() if keep(*ends)) or "none"


plots.finding(" ".join(
    f"{size} at once give more than a tenth more texts a second, beyond chance, for "
    f"{those(size, lambda low, high: low > 1.1)}; fewer, beyond chance, for "
    f"{those(size, lambda low, high: high < 1)}." for size in gain)
    + " A batch shares the cost of a call, but its padding grows with its size: measure several "
    "sizes. A GPU is another matter (lesson 03).")

# %% [markdown]
# ## 8. Does it answer with the network cut?
#
# "Private, on the device" is a claim that can be tested. Each version answers in a process of its
# own ([`browser/alone.py`](../browser/alone.py)), in which Python refuses every attempt to open a
# socket. (Compiled libraries could get past this: the harder test is to switch the network off.)
# It also reports its memory.

# %%
import json
import subprocess
import sys


def alone(name):
    """What a process of its own says to 20 texts without a network: labels, MB, seconds."""
    kind = "torch" if name == "PyTorch" else "onnx"
    place = files[name].parent if kind == "torch" else files[name] or ""
    job = {"asked": asked["validation"][:20], "texts": asked["train"],
           "labels": wanted["train"].tolist()}
    start = time.perf_counter()
    command = [sys.executable, str(ROOT / "browser/alone.py"), kind, str(place)]
    run = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1]) | {"seconds": time.perf_counter() - start}


apart = {name: alone(name) for name in versions if not name.startswith(("padded", "cut"))}
agree = {name: np.mean(found["said"] == answers_to(
    asked["validation"][:20], versions[name], size=1).argmax(1)) for name, found in apart.items()}

# %% tags=["assert"]
assert all(found["cut"] == "the network is cut" for found in apart.values())
assert min(agree.values()) >= 0.95
assert apart["int8 by row"]["mb"] < apart["PyTorch"]["mb"]

# %%
parts = {name: files[name].stat().st_size / 1e6 / apart[name]["mb"]
         for name in ("PyTorch", "int8 by row")}
plots.finding(
    f"With sockets refused, {sum(share == 1 for share in agree.values())} of {len(agree)} versions "
    "give the same 20 answers as before. PyTorch takes "
    f"{apart['PyTorch']['mb']:.0f} MB and {apart['PyTorch']['seconds']:.1f} s for start and 20 "
    f"answers, int8 by row {apart['int8 by row']['mb']:.0f} MB and "
    f"{apart['int8 by row']['seconds']:.1f} s. The model's file is as large as "
    + ", ".join(f"{share:.0%} of that for {name}" for name, share in parts.items())
    + "; the rest is the program and its working memory.")

# %% [markdown]
# ## 9. Which one do you take?
#
# By the rule of section 2: the lowest p50 among the versions whose paired interval doesn't reach
# below −3 points. All versions run once more, in turn.
#
# Three things to know about the table. Accuracy and p50 come from single texts, texts/s from
# batches of 32, in which int8 may answer otherwise (section 4). The few slowest of 60 calls make
# p95, so it is rough. And the last two versions are the same file as *int8 by row*, so its memory
# is repeated there, while the memory of *counting words* holds its training too.

# %%
import pandas as pd

MARGIN = 3.0  # points, as section 2 fixed it
one, many = clock(versions, calls=60), clock(versions, calls=12, size=32)
table = {}
for name in versions:
    p50, p95 = 1000 * np.quantile(one[name], [0.5, 0.95])
    apart_here = apart.get(name, apart["int8 by row"])
    table[name] = {
        "MB file": files[name].stat().st_size / 1e6 if files[name] else np.nan,
        "MB memory": apart_here["mb"], "p50 ms": p50, "p95 ms": p95,
        "texts/s": 32 / np.median(many[name]),
        "times as fast": faster(one["PyTorch"], one[name])[0],
        "right %": 100 * right[name].mean(),
        **dict(zip(("points", "from", "to"), accuracy_change(name, "PyTorch"), strict=True))}

pd.DataFrame(table).T.round(1)

# %%
single, batch = (faster(seconds["PyTorch"], seconds["ONNX"]) for seconds in (one, many))
ahead = ("ONNX is the faster" if batch[1] > 1 else "PyTorch is the faster" if batch[2] < 1 else
         "neither is shown to be the faster")
plots.finding(
    f"Look at texts/s. Beside PyTorch, ONNX is {single[0]:.2f} times as fast on single texts, and "
    f"{batch[0]:.2f} times [{batch[1]:.2f}, {batch[2]:.2f}] in batches of 32: there {ahead}. "
    "Whoever answers in batches chooses by texts/s, not by p50.")

# %% [markdown]
# A version is on the [frontier](glossary.md#pareto-frontier) when no other is at least as accurate
# and faster. The others are slower without a better measured accuracy. But the frontier compares
# measured values, and the rule asks how sure they are: so the rule may pick a version beside it.
# (The figure's bars are for each version alone; the rule compares text by text, which is sharper.)

# %%
def on_frontier(name):
    this = table[name]
    return not any(other["p50 ms"] < this["p50 ms"] and other["right %"] >= this["right %"]
                   for other in table.values())


frontier = sorted(filter(on_frontier, table), key=lambda name: table[name]["p50 ms"])
allowed = [name for name in table if name == "PyTorch" or table[name]["from"] >= -MARGIN]
chosen, second = sorted((n for n in allowed if n != "padded to 64"),  # slower on purpose
                        key=lambda name: table[name]["p50 ms"])[:2]
ends = {name: bootstrap_interval(np.mean, 100 * right[name]) for name in table}


def label_below(this):  # another label, or another's bar, stands where this one's would
    return any(0 < table[name]["right %"] - this["right %"] < 1.5
               and abs(np.log(table[name]["p50 ms"] / this["p50 ms"])) < 0.4
               for name in table if name not in frontier)


def label_left(this):  # a bar stands just right of this one, and none just left of it
    apart = [np.log(values["p50 ms"] / this["p50 ms"]) for values in table.values()]
    return any(0 < d < 0.3 for d in apart) and not any(-0.3 < d < 0 for d in apart)


# %%
slowest, fastest = (pick(values["p50 ms"] for values in table.values()) for pick in (max, min))
figure, ax = plots.new_figure(width=9, height=4.6)
for name, values in table.items():
    best = name in frontier
    low, high = ends[name]
    ax.errorbar(values["p50 ms"], values["right %"], fmt="o" if best else "x", markersize=8,
                yerr=[[values["right %"] - low], [high - values["right %"]]], elinewidth=0.8,
                color=plots.COLOURS[0] if best else "#777777", capsize=3)
    left = best or label_left(values)
    ax.annotate(name, (values["p50 ms"], values["right %"]), textcoords="offset points", fontsize=9,
                xytext=(-8 if left else 8, 4 if best else -15 if label_below(values) else -4),
                ha="right" if left else "left", fontweight="bold" if best else "normal", zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85})
ax.plot(*zip(*[(table[n]["p50 ms"], table[n]["right %"]) for n in frontier]), zorder=0)
ax.set(xscale="log", xlabel="milliseconds a text, median, one thread (log scale)",
       ylabel="right on validation, %; 95 % interval", title=f"The frontier: {', '.join(frontier)}")
ticks = [tick for tick in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
         if fastest / 2 < tick < 2.5 * slowest]
ax.set_xticks(ticks, ticks)
ax.minorticks_off()
ax.set_xlim(fastest / 2, 2.5 * slowest)
plots.show(figure, "Accuracy against milliseconds. On the frontier: " + ", ".join(
    f"{n} {table[n]['p50 ms']:.1f} ms {table[n]['right %']:.0f} %" for n in frontier) + "; not: "
    + ", ".join(f"{n} {table[n]['p50 ms']:.1f} ms {v['right %']:.0f} %"
                for n, v in table.items() if n not in frontier) + ".")

# %%
unsure = [name for name in table if name not in allowed and table[name]["to"] >= 0]
over = faster(one[second], one[chosen])
plots.finding(f"By the rule: **{chosen}**, {table[chosen]['times as fast']:.1f} times as fast as "
              f"the original. It is {over[0]:.2f} times as fast [{over[1]:.2f}, {over[2]:.2f}] as "
              f"the next that the rule allows, {second}"
              + (". " if over[1] > 1 else ": could be chance, so either may be taken. ")
              + "The rule leaves out "
              + (", ".join(name for name in table if name not in allowed) or "none")
              + f"; a loss that could be chance: {', '.join(unsure) or 'none of these'}.")

# %% tags=["assert"]
assert "counting words" in frontier and chosen != "PyTorch"
assert table["3 layers int8"]["times as fast"] > 1.2

# %% [markdown]
# A version can be left out although its loss could be chance: the validation texts couldn't rule
# out a loss of more than three points. Such an interval says "not shown", not "worse". More
# validation texts would decide.
#
# All choices are made. Now, and only now, open the test split. On validation the chosen version may
# look a little too good, since it was chosen there.

# %%
judged = {name: is_right(versions[name], "test", size=1)
          for name in {"PyTorch", chosen, "counting words"}}
kept_points = accuracy_change(chosen, "PyTorch", judged)
lead = accuracy_change(chosen, "counting words", judged)
kept = kept_points[1] >= -MARGIN
plots.finding(
    f"On test {chosen} is right on {judged[chosen].mean():.1%}, the original on "
    f"{judged['PyTorch'].mean():.1%}: {kept_points[0]:+.1f} points [{kept_points[1]:+.1f}, "
    f"{kept_points[2]:+.1f}], {'' if kept else 'not shown to be '}within the margin. "
    + ("" if kept else "Report both results: more labelled texts would decide, and whoever chooses "
       "again by these has no test left. ")
    + f"Against counting words: {lead[0]:+.1f} points [{lead[1]:+.1f}, {lead[2]:+.1f}], "
    f"{chance(*lead[1:])}.")

# %% [markdown]
# ## 10. What is "40 % smaller" worth after int8?
#
# DistilBERT's paper reports a model 40 % smaller than BERT. Both were stored in 32 bits. Count the
# weights of the two published architectures, empty (`meta` holds shapes, no numbers), in both
# formats.

# %%
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

with torch.device("meta"):
    empty = {"BERT-base": BertModel(BertConfig()),
             "DistilBERT": DistilBertModel(DistilBertConfig())}
weights = {name: sum(p.numel() for p in network.parameters()) for name, network in empty.items()}
saved = 1 - weights["DistilBERT"] / weights["BERT-base"]
megabytes = {f"{name}, {how}": count * size / 1e6 for how, size in (("fp32", 4), ("int8", 1))
             for name, count in weights.items()}

# %%
figure, ax = plots.new_figure(width=8, height=2.3)
plots.bars(ax, list(megabytes), list(megabytes.values()), fmt="{:.0f} MB")
ax.set(xlabel="megabytes of weights", title=f"{saved:.0%} smaller, or 75 % smaller, or both")
plots.show(figure, "Bars of size: " + ", ".join(
    f"{name} {size:.0f} MB" for name, size in megabytes.items()) + ".")

# %%
layers = faster(one["int8 by row"], one["3 layers int8"])
plots.finding(
    f"In fp32 the student saves {megabytes['BERT-base, fp32'] - megabytes['DistilBERT, fp32']:.0f} "
    f"MB, in int8 {megabytes['BERT-base, int8'] - megabytes['DistilBERT, int8']:.0f}: "
    f"{saved:.0%} both times, in int8 of a quarter of the size. BERT in int8 is smaller than "
    "DistilBERT in fp32. What remains is the time: half the layers make even the int8 version "
    f"{layers[0]:.2f} times as fast here [{layers[1]:.2f}, {layers[2]:.2f}].")

# %% tags=["assert"]
assert weights == {"BERT-base": 109_482_240, "DistilBERT": 66_362_880}
assert round(1 - 1 / 4, 2) == 0.75 and round(saved, 1) == 0.4 and layers[1] > 1

# %% [markdown]
# Fewer layers and fewer bits each save file size and time, and the savings combine. Measure the
# accuracy of each before you take it, and again when you combine them.
#
# **In a browser.** The int8 file also runs in a web page, on the visitor's own machine.
# `make browser` in the course's folder writes such a page to `build/browser/`; its few sources are
# in [`browser/`](../browser/README.md).
#
# ## What to remember
#
# 1. Measure in turn, report p50 and p95, compare ratios from one run; judge accuracy on the same
#    texts.
# 2. Try ONNX Runtime first, then int8: neither needs training. Check accuracy, and speed at your
#    batch size.
# 3. Fewer layers save time, and need more training. The vocabulary's vectors stay in the file.
# 4. Zeros save nothing without a kernel for their pattern. Padding costs time; a batch on a CPU has
#    a best size, often small: measure it.
# 5. Write down what you may lose before you look. The frontier shows the choice, the rule makes it.
#
# ## Take this with you
#
# Export, 8 bits and answers without PyTorch, for a fine-tuned model of your own (put its folder in
# the name's place). It needs `pip install transformers torch onnx onnxscript onnxruntime`. The last
# two lines compare one text; before you use the file, compare all of your validation texts.
#
# ```python
# import onnx
# import onnxruntime
# import torch
# from onnxruntime.quantization import QuantType, quantize_dynamic
# from transformers import AutoModelForSequenceClassification, AutoTokenizer
#
# name = "distilbert/distilbert-base-uncased"  # yours: the folder of a fine-tuned model
# tokenizer = AutoTokenizer.from_pretrained(name)
# model = AutoModelForSequenceClassification.from_pretrained(name, use_safetensors=True).eval()
#
# example = tokenizer(["a text", "a longer text"], padding=True, return_tensors="pt")
# inputs = {key: example[key] for key in ("input_ids", "attention_mask")}
# torch.onnx.export(model, (), "model.onnx", kwargs=inputs, input_names=list(inputs),
#                   output_names=["logits"], dynamo=True, external_data=False, verbose=False,
#                   dynamic_shapes={key: {0: "batch", 1: "pieces"} for key in inputs})
# graph = onnx.load("model.onnx")
# del graph.graph.value_info[:]
# quantize_dynamic(graph, "model-int8.onnx", weight_type=QuantType.QInt8, per_channel=True,
#                  reduce_range=True)  # a scale a row, and 7 bits for older CPUs
#
# session = onnxruntime.InferenceSession("model-int8.onnx", providers=["CPUExecutionProvider"])
# asked = tokenizer(["Where is my parcel?"], padding=True, truncation=True, return_tensors="pt")
# print(session.run(["logits"], {key: asked[key].numpy() for key in inputs})[0])
# print(model(**asked).logits.tolist())
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | `Inferred shape and existing shape differ` | the exporter noted the example's shapes as if they were all | `del graph.graph.value_info[:]` before quantising |
# | ONNX answers only for one length | batch and pieces were not declared as varying | `dynamic_shapes` |
# | int8 answers change with the batch | the scale of what runs through the network is taken from the batch | answer texts one by one, or test at the batch size of production |
# | int8 answers differ from one CPU to the next | older CPUs (AVX2 without VNNI) add pairs of products in 16 bits, which may overflow | `reduce_range=True`, which uses 7 of the 8 bits |
# | the pruned model is as large as before | zeros are stored like all numbers | leave out whole parts, or zip the file |
# | the fast version wins by 5 %, next day it loses | other programs ran at the time | measure in turn, with an interval |
#
# ## Further reading
#
# * Sanh et al. 2019, [*DistilBERT*](https://arxiv.org/abs/1910.01108v4); Sanh, Wolf, Rush 2020,
#   [*Movement pruning*](https://arxiv.org/abs/2005.07683): which weights to drop while fine-tuning.
# * Shen et al. 2022, [*Fast DistilBERT on CPUs*](https://arxiv.org/abs/2211.07715): pruning with a
#   pattern, distillation and int8 together, with kernels made for them.
# * Jacob et al. 2017, [*Quantization and training of neural networks for efficient
#   integer-arithmetic-only inference*](https://arxiv.org/abs/1712.05877).
# * [ONNX Runtime on
#   quantisation](https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
#
# Next: [12, serve it](12_serving.ipynb)

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"{chosen}: {table[chosen]['times as fast']:.1f} times as fast, "
           f"{table[chosen]['MB file']:.0f} MB in place of {table['PyTorch']['MB file']:.0f}; "
           f"{judged[chosen].mean():.0%} right on test, the original "
           f"{judged['PyTorch'].mean():.0%}, counting words {judged['counting words'].mean():.0%}")
