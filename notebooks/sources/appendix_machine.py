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
# # Appendix: what can your machine do?
#
# How fast is this machine for training, where does its time go, and how long will the course take
# here? You need none of this to take the course: lessons 00, 05, 06, 08 and 10 print an estimate
# before they train. Come back when one of those estimates is too long.
#
# **After this page you can**
#
# 1. say which number format is fast on your machine, and why the course chose it;
# 2. tell how long a training will take before you start it;
# 3. plan your hours with the course.
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

# %% [markdown]
# The model to time. The table `machine`, below, collects what you find out.

# %%
import time

import torch
from transformers import AutoModel

from course_utils import plots
from course_utils.exercises import check

encoder = AutoModel.from_pretrained(lab.checkpoint, revision=lab.revision,
                                    use_safetensors=True).to(lab.device).eval()

# %% [markdown]
# ## 1. What can be counted?
#
# Four things decide what you can train: the [device](glossary.md#device) (CPU or GPU), its memory,
# how fast it multiplies matrices, and the disk.

# %%
import shutil
from pathlib import Path

import psutil

memory = psutil.virtual_memory()
machine = {
    "device": torch.cuda.get_device_name() if lab.device == "cuda" else "CPU",
    "logical cores": f"{psutil.cpu_count()} ({torch.get_num_threads()} threads used by PyTorch)",
    "memory": f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} free",
    "free disk": f"{shutil.disk_usage(lab.workdir).free / 2**30:.0f} GiB",
    "profile": lab.profile.name,
    "model": (f"{Path(lab.checkpoint).name}, "
              f"{encoder.num_parameters() / 1e6:.1f} million parameters"),
}
if lab.device == "cuda":
    machine["GPU memory"] = f"{torch.cuda.get_device_properties(0).total_memory / 2**30:.1f} GiB"

# %% [markdown]
# ## 2. Which number format is fast here?
#
# A model spends most of its time multiplying matrices. Numbers of 16 bits
# ([bf16](glossary.md#bf16), [fp16](glossary.md#fp16)) can be much faster than the usual 32 bits
# (fp32), or slower: it depends on the chip, and what the chip *accepts* says nothing about what it
# does *fast*. `start_lab` asks the processor whether it computes in bf16 itself and takes it where
# it does. The cell below times one product; a whole training gains less, because the rest of a step
# gains little. A [GFLOP/s](glossary.md#gflops) is $10^9$ multiplications or additions per
# second.

# %%
from course_utils.precision import product_gflops

formats = ["fp32", "bf16"] + (["fp16"] if lab.device == "cuda" else [])
size = 4096 if lab.device == "cuda" else 768  # small products would leave a GPU waiting
speeds = {name: product_gflops(name, lab.device, size) for name in formats}
fast = "bf16" if lab.precision == "fp32" else lab.precision
gain = speeds[fast] / speeds["fp32"]
print({name: f"{speed:,.1f} GFLOP/s" for name, speed in speeds.items()},
      "→ lessons use", lab.precision)
if lab.precision == "fp32" and gain > 1.5:
    print("bf16 is faster here, but PyTorch doesn't report that this CPU computes in it.")
machine["number format"] = f"{lab.precision}, {speeds[lab.precision]:,.0f} GFLOP/s"

# %%
figure, ax = plots.new_figure(height=1.9)
plots.bars(ax, formats, list(speeds.values()), fmt="{:,.1f}")
ax.set(xlabel=f"GFLOP/s in a product of two {size} × {size} matrices",
       title=f"{fast} is {gain:.2g} times as fast as fp32; lessons use {lab.precision}")
plots.show(figure,
           "Bars of the speed of a matrix product by number format: "
           + ", ".join(f"{n} {s:,.1f} GFLOP/s" for n, s in speeds.items()) + ".")

# %% [markdown]
# On a GPU the hardware's generation decides: an older one, like the T4
# that Colab often lends, accepts bf16 but only imitates it, and gets fp16.
#
# ## 3. How does time grow with length?
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
# Short texts leave a fast chip partly idle, so time grows more slowly than the length;
# [attention](glossary.md#attention) compares every token with every other, so it grows faster. The
# factor is what is left of both.
#
# Training costs more than reading: after the [forward pass](glossary.md#forward-pass) comes the
# *backward pass*, which computes how each weight should change. How much more?

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
# it computes a gradient for the inputs and one for the weights of each layer. Optimiser, evaluation
# and loading come on top. Measure the speed at your own length and batch size, and in the format in
# which you train: the speed above holds for eight texts of 128 tokens in fp32. Count the padding
# too, the model computes it like any token. Then the estimate is a lower limit.
#
# Too long? Fewer texts, epochs or tokens per text (`max_length`) cut the time about in proportion.
# A GPU, or 16 bits where section 2 shows them to be fast, cuts it without giving up data.
#
# ### Exercise 0.7 How long will it take? ●○○ 5 minutes
#
# Estimate a training before you start it. Given the number of texts, tokens per text and
# [epochs](glossary.md#epoch) (passes over all texts), and the speed of the forward pass in tokens
# per second, return the *minutes* that training takes. Use the rule of thumb.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e0_7", "locked": false, "schema_version": 3, "solution": true, "task": false}
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

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t0_7", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def near(value, wanted):
    return abs(value - wanted) < 1e-6 * wanted


check("0.7 How long will it take?",
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
# ## 4. How long will the course take here?
#
# Each lesson's minutes on `mini` were measured once, together with that machine's speed in a short
# training. Your machine's speed scales them. Beside them stands your own time: the minutes that the
# authors allow for the exercises, and the prose at 200 words a minute. Reading code and figures
# comes on top, so it is the least.

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
machine["the course on mini, on the CPU"] = (
    f"{machine_minutes:.0f} minutes for {len(known)} of {len(plan)} lessons"
    if known else "not measured yet") + f"; at least {your_minutes / 60:.1f} hours for you"
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
left.set(title=(f"On mini this CPU needs {machine_minutes:.0f} minutes …"
                if known else "No lesson is measured yet …"),
         xlabel="minutes on mini, scaled to this CPU", ylabel="lesson",
         xlim=(0, max(1, left.get_xlim()[1])))
right.set(title=f"… and you need at least {your_minutes / 60:.1f} hours",
          xlabel="minutes for exercises and reading")
plots.show(figure,
           "Bars by lesson. Left, minutes of computing on mini: "
           + ", ".join(f"lesson {r['lesson']} {r['machine']:.1f}" for r in known)
           + ". Right, minutes for exercises and reading: "
           + ", ".join(f"lesson {r['lesson']} {r['exercises'] + r['reading']:.0f}" for r in plan)
           + ".")

# %% [markdown]
# The scaling is rough: it assumes that everything slows down as training does. On `cpu` and `gpu`,
# where the model is twice as wide, lessons 00, 05, 06, 07, 08 and 10 print an estimate before they
# train. Now the whole table:

# %%
import pandas as pd

pd.set_option("display.max_colwidth", None)
pd.DataFrame({"on this machine": machine})

# %% [markdown]
# Memory is rarely the problem on `mini`: compare your free memory with the peaks in the cost tables
# at the head of each lesson. In a container the machine may report more memory than you are allowed
# to use.
#
# ## What to remember
#
# 1. A chip that accepts a number format need not compute in it quickly: measure.
# 2. Forward and backward together take about three times the forward pass.
# 3. Estimate before you train: tokens, divided by tokens per second in the same number format and
#    at the same length and batch size, times three, at least.
#
# Next: [the errors that beginners meet](appendix_errors.ipynb), or back to
# [the route through the lessons](README.md).

# %%
lab.finish(f"{lab.precision} at {speeds[lab.precision]:,.0f} GFLOP/s; "
           f"forward and backward take {factor:.1f} times the forward pass")
