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
# # How does a model become a service that others can rely on?
#
# A notebook that answers you isn't a service. A service answers colleagues and their programs, many
# at once, even those that send nonsense, and it can be stopped without losing a request that it has
# accepted. Here you build one around a fine-tuned DistilBERT, measure it, and then try to break it.
#
# **After this lesson you can**
#
# 1. put a classifier behind HTTP, with limits, a bounded queue, health checks and metrics;
# 2. measure throughput and waiting times under load, and decide whether batching pays;
# 3. overload it, stop it, feed it a new topic, and say from counts what happened.
#
# **What it costs**
#
# {{cost}}

# %% [markdown]
# ## Setup
#
# This lesson needs packages for serving. The second cell installs those that are missing and leaves
# all others as they are.

# %% tags=["setup"]
# {{setup}}

# %% tags=["setup"]
from course_utils.lab import ROOT
from course_utils.setup import ensure_packages

needed = ensure_packages(ROOT / "service")  # what is missing of service/pyproject.toml

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": gpu where CUDA and the Hub are there, else mini

# %%
from course_utils.lab import ROOT, start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. From a trained model to three files
#
# The task is lesson [00](00_start.ipynb)'s: sort requests by [intent](glossary.md#intent), on
# `mini` those to a shop, on `cpu` and `gpu` those to an assistant (CLINC150). The
# training, in [`service/export.py`](../service/export.py), runs for another number of epochs, so
# the accuracy isn't that of lessons 00 and [11](11_smaller.ipynb). The rival counts words.

# %%
from dataclasses import replace

from course_utils.data import load_task
from service.export import fine_tune, in_scope_only

rows = lab.profile.rows  # asked one by one, on a CPU: at most 1,000 of validation, 2,000 of test
limited = replace(lab.profile, validation_rows=min(rows["validation"], 1000),
                  test_rows=min(rows["test"] or 2000, 2000))
requests, intents = in_scope_only(load_task("requests", limited))
train, validation = requests["train"], requests["validation"]
model, tokenizer = fine_tune(lab, train, intents)

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

counting = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000))
counting = counting.fit(train["text"][:], train["label"][:])

# %% [markdown]
# A service needs neither Trainer nor PyTorch. `export` writes the network as an
# [ONNX](glossary.md#onnx) file, its weights as int8 ([quantisation](glossary.md#quantisation)), and
# beside it the tokenizer and the names of the labels. All three are data; none can run code when it
# is loaded.

# %%
from service.app import Classifier
from service.export import export

folder = export(model, tokenizer, intents, lab.workdir / "served")
for file in sorted(folder.iterdir()):
    print(f"{file.stat().st_size / 1e6:6.1f} MB  {file.name}")
classify = Classifier(folder)
print(classify(["How long until my order arrives?"])[0])

# %%
import numpy as np
import torch


@torch.no_grad()
def with_torch(texts):
    """Probabilities from the model as it was trained, (texts, intents)."""
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
    return model(input_ids=inputs["input_ids"],
                 attention_mask=inputs["attention_mask"]).logits.softmax(-1).numpy()


def with_int8(texts):
    return classify.probabilities(texts)[0]


def each(predict, texts):
    """One text at a time, so without padding, as a service reads them."""
    return np.concatenate([predict([text]) for text in texts])


# %%
asked, wanted = validation["text"][:], np.array(validation["label"])
hits = {"as trained": each(with_torch, asked).argmax(1) == wanted,
        "int8": each(with_int8, asked).argmax(1) == wanted,
        "counting words": counting.predict(asked) == wanted}

# %%
from course_utils import plots
from course_utils.metrics import bootstrap_interval


def paired(first, second):
    """Difference in points with its interval, and a verdict, from the same rows."""
    change = hits[first].astype(float) - hits[second]
    low, high = (100 * bound for bound in bootstrap_interval(np.mean, change))
    verdict = "beyond chance" if low > 0 or high < 0 else "could be chance"
    return f"{100 * change.mean():+.1f} points [{low:+.1f}, {high:+.1f}], {verdict}"


original = sum(p.numel() for p in model.parameters()) * 4 / 1e6
exported = (folder / "model.onnx").stat().st_size / 1e6
plots.finding(
    f"int8 takes {exported:.0f} MB in place of {original:.0f}. Right on {len(wanted)} "
    "requests that have a label: "
    + ", ".join(f"{name} {right.mean():.0%}" for name, right in hits.items())
    + f". int8 against the original: {paired('int8', 'as trained')}; against counting words: "
    f"{paired('int8', 'counting words')}.")

# %% tags=["assert"]
assert exported < 0.5 * original and abs(hits["int8"].mean() - hits["as trained"].mean()) < 0.04
assert hits["int8"].mean() > 10 / len(intents)

# %% [markdown]
# ## 2. What does a request go through?
#
# A request comes as [HTTP](glossary.md#http): a text and a few headers in, a number called *status*
# and a text out. Between the two there is more than a model.

# %%
plots.picture("through-the-service")

# %% [markdown]
# The whole service is one file, [`service/app.py`](../service/app.py), of which the model is the
# smallest part. FastAPI checks the shape of a request, uvicorn speaks HTTP. This is the core of
# that file: the worker takes a text from the queue, and whatever else is waiting, up to `batch`.

# %%
import inspect
from textwrap import dedent

from IPython.display import Code

from service.app import Worker

Code(dedent(inspect.getsource(Worker.run)), language="python")

# %% [markdown]
# Now start it, as a colleague would: a process of its own, at the address `127.0.0.1`, which no
# other machine can reach. Port 0 means any free port; the service prints which. The settings come
# from environment variables, so the code is the same on every machine.

# %%
import os
import subprocess
import sys
from contextlib import contextmanager

import httpx


@contextmanager
def serving(**settings):
    """The service in a process of its own until the block ends, and a client for it."""
    settings = {"timeout": 60} | settings  # long: a slow machine must not cause refusals
    chosen = {f"SERVICE_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "--model", str(folder), "--port", "0"],
        cwd=ROOT, env=os.environ | chosen, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split()[-1]  # "ready at http://127.0.0.1:…"
        limits = httpx.Limits(max_keepalive_connections=64)  # each caller keeps its connection
        with httpx.Client(base_url=address, timeout=120, limits=limits) as client:
            yield process, client
    finally:
        process.terminate()
        process.wait(timeout=120)


# %%
with serving() as (process, client):
    reply = client.post("/predict", json={"text": "Where is my order?"})
    print(reply.status_code, reply.json())
    for path in ("/healthz", "/readyz"):
        print(path, client.get(path).json())

# %% [markdown]
# *Health* and *readiness* are two questions. `/healthz`: does the process still work, or should it
# be restarted? `/readyz`: should the load balancer, which shares requests out among copies of the
# service, send it any now?
#
# The balancer asks every few seconds, and leaves a server out after several noes, often three. So a
# service that is stopping stays open for longer than these take: its *grace* period (a short one in
# section 7, which has no balancer).
#
# The answer to a text says how sure the model is, whether the text was cut, and which model
# answered; without the last, two versions mix in your logs and nobody can tell them apart.
#
# ## 3. Where does the time go?
#
# One caller, one text at a time, timed three ways: the rival alone, the int8 model alone, and the
# int8 model over HTTP.

# %%
import time


def milliseconds(call, texts):
    """The time of each single call."""
    times = []
    for text in texts:
        began = time.perf_counter()
        call(text)
        times.append(1000 * (time.perf_counter() - began))
    return np.array(times)


some = asked[:100]
with serving() as (process, client):
    clocks = {"counting words": milliseconds(lambda text: counting.predict([text]), some),
              "int8 model": milliseconds(lambda text: classify([text]), some),
              "int8 over HTTP": milliseconds(
                  lambda text: client.post("/predict", json={"text": text}), some)}

# %%
middle = {name: np.median(times) for name, times in clocks.items()}
way = middle["int8 over HTTP"] - middle["int8 model"]
behind = middle["counting words"] + max(way, 0)
plots.finding(
    f"Median of {len(some)} calls: counting words {1000 * middle['counting words']:,.0f} µs, the "
    f"int8 model {middle['int8 model']:.1f} ms, over HTTP {middle['int8 over HTTP']:.1f} ms. "
    f"Behind the same HTTP counting words would take about {behind:.1f} ms. Alone it is "
    f"{middle['int8 model'] / middle['counting words']:.1f} times as fast as the int8 model, for "
    f"the caller {middle['int8 over HTTP'] / behind:.1f} times.")

# %% tags=["assert"]
assert middle["counting words"] < middle["int8 over HTTP"]

# %% [markdown]
# ## 4. Does micro-batching pay?
#
# A GPU is nearly as fast on 16 texts as on one, so servers gather requests that arrive together:
# [micro-batching](glossary.md#micro-batching). Advice for GPUs is often repeated for CPUs.

# %%
plots.picture("micro-batching")

# %% [markdown]
# Predict before you measure the service: pass the same texts 1, 4 and 16 at a time, through the
# int8 model, in one thread as in the service, and through the PyTorch model that it came from. The
# sizes take turns, and the first turn, a warm-up, doesn't count. A batch shares out what a pass
# costs whatever its size; [padding](glossary.md#padding) to its longest text takes some of it back.

# %%
few, turns = some[:48], 5
costs = {(name, size): [] for name in ("int8", "PyTorch") for size in (1, 4, 16)}
for _ in range(1 + turns):
    for (name, size), found in costs.items():
        groups = [few[n:n + size] for n in range(0, len(few), size)]
        predict = with_int8 if name == "int8" else with_torch
        found.append(milliseconds(predict, groups).sum() / len(few))
costs = {key: np.array(found[1:]) for key, found in costs.items()}
for (name, size), found in costs.items():
    texts = "text " if size == 1 else "texts"
    print(f"{name:8}{size:3d} {texts} a pass: {np.median(found):5.1f} ms each")

# %%
def in_all_turns(ratios):
    """The verdict on time, from speeds batched over alone; 5 % is the least that counts."""
    return ("saves time" if min(ratios) > 1.05 else "costs time" if max(ratios) < 0.95 else
            "isn't shown to save 5 % of the time in every turn")


threads = {"int8": 1, "PyTorch": torch.get_num_threads()}
gains = {name: costs[name, 1] / costs[name, 16] for name in ("int8", "PyTorch")}
by_16 = np.concatenate([with_int8(asked[n:n + 16]).argmax(1) for n in range(0, len(asked), 16)])
moved = (by_16 != each(with_int8, asked).argmax(1)).mean()
hits["int8, 16 a pass"] = by_16 == wanted
plots.finding(f"The same {len(few)} texts, 16 a pass against one, in {turns} turns: " + "; ".join(
    f"with {name} (threads: {threads[name]}) a text is {np.median(gain):.2f} times as fast "
    f"({min(gain):.2f} to {max(gain):.2f}), so batching {in_all_turns(gain)}"
    for name, gain in gains.items())
    + ". The service runs int8, so the first verdict is the forecast for it. While it runs, int8 "
    f"sets one scale for all texts that share a pass: {moved:.1%} of {len(asked)} get "
    f"another label than alone. Right: {hits['int8, 16 a pass'].mean():.0%}, alone "
    f"{hits['int8'].mean():.0%} ({paired('int8, 16 a pass', 'int8')}).")

# %% [markdown]
# Now the service itself, with `batch=1` and `batch=16`, under 1 to 32 callers at once. Each caller
# sends its next text when it has the answer to the last. Two things describe how it copes:
# [throughput](glossary.md#throughput), answers a second, and how long callers wait, by the median,
# p50, and the [99th percentile](glossary.md#p99), p99: one request in a hundred waits longer. With
# many callers a run needs many texts, or its start and its end are most of it.

# %%
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from course_utils.timing import Stopwatch


def load(client, callers, texts):
    """Milliseconds and status of each text, ``callers`` at a time, and answers a second."""
    def one(text):
        began = time.perf_counter()
        status = client.post("/predict", json={"text": text}).status_code
        return 1000 * (time.perf_counter() - began), status

    with ThreadPoolExecutor(callers) as pool, Stopwatch() as watch:
        times, statuses = zip(*pool.map(one, texts))
    return np.array(times), np.array(statuses), len(texts) / watch.seconds


# %%
levels, rounds = (1, 2, 4, 8, 16, 32), 3
measured = {(name, callers): [] for name in ("alone", "batched") for callers in levels}
with serving(batch=1) as (_, one_by_one), serving(batch=16) as (_, together):
    for callers in levels:
        texts = (some[:64] * 4)[:max(64, 8 * callers)]  # the same texts, at least eight a caller
        for _ in range(rounds):  # taking turns: a slow minute of the machine hits both
            for name, client in (("alone", one_by_one), ("batched", together)):
                measured[name, callers].append(load(client, callers, texts))

# %%
lines = {"alone": "one text a pass", "batched": "up to 16 a pass"}
rate = {key: np.median([r for _, _, r in runs]) for key, runs in measured.items()}
waits = {key: np.percentile(np.concatenate([t for t, _, _ in runs]), [50, 99])
         for key, runs in measured.items()}
growth = [min(waits[name, 32][0] / waits[name, 1][0] for name in lines),
          max(rate[name, 32] / rate[name, 1] for name in lines)]
outgrown = f"32 callers for 1: waits at least × {growth[0]:.0f}, answers × {growth[1]:.1f} at most"

# %%
figure, (left, right) = plots.new_figure(columns=2, width=10, height=3.4)
for number, (name, words) in enumerate(lines.items()):
    plots.curve(left, levels, [rate[name, c] for c in levels], words, number)
    plots.curve(right, levels, [waits[name, c][1] for c in levels], f"{words}, p99", number)
    plots.curve(right, levels, [waits[name, c][0] for c in levels], f"{words}, p50", number,
                linewidth=0.8)
for ax in (left, right):
    ax.set_xscale("log", base=2)
    ax.set_xticks(levels, levels)
    ax.set(xlabel="callers at once", ylim=(0, None))
    ax.legend(fontsize=9)
top = max(rate.values())
left.set(ylabel="answers a second", title=f"At most {top:.0f} answers a second")
left.set_ylim(0, 1.1 * top)
right.set(ylabel="milliseconds",
          title=f"Waits at least × {growth[0]:.0f}, answers at most × {growth[1]:.1f}")
plots.show(figure, f"Two panels over 1 to 32 callers. Left: answers a second, at most {top:.0f}; "
           f"with 32 callers {rate['alone', 32]:.0f} alone and {rate['batched', 32]:.0f} batched. "
           f"Right: waits, p50 and p99. {outgrown}. p99 with 32 callers: "
           f"{waits['alone', 32][1]:.0f} ms alone and {waits['batched', 32][1]:.0f} batched.")

# %%
ratios = [b / a for (_, _, a), (_, _, b) in zip(measured["alone", 32], measured["batched", 32])]
verdict, predicted = in_all_turns(ratios), in_all_turns(gains["int8"])
plots.finding(
    f"With 32 callers micro-batching {verdict}: {rate['batched', 32]:.0f} answers a second against "
    f"{rate['alone', 32]:.0f}, in {rounds} turns {min(ratios):.2f} to {max(ratios):.2f} times; "
    f"p99 {waits['batched', 32][1]:.0f} ms against {waits['alone', 32][1]:.0f}, each decided by "
    f"the slowest {sum(len(t) for t, _, _ in measured['alone', 32]) // 100} or so of its waits. "
    + ("The passes predicted that, too" if verdict == predicted else
       f"From passes of 16 alone it {predicted}; a service also reads, queues and hands over, "
       "and its passes have from 1 to 16 texts")
    + ". One text a pass, from one caller to 32: throughput grows "
    f"{rate['alone', 32] / rate['alone', 1]:.1f} times and the median wait "
    f"{waits['alone', 32][0] / waits['alone', 1][0]:.0f} times. "
    + (f"The price was measured above: in passes of 16, {moved:.1%} of the labels weren't those "
       "given alone. They depend on who else is asking. Where an answer must be the same "
       "tomorrow, leave `batch=1`, or batch a model whose numbers have 32 bits." if moved else ""))

# %% tags=["assert"]
assert all((statuses == 200).all() for runs in measured.values() for _, statuses, _ in runs)
assert growth[0] > 3 and growth[0] > growth[1], "waits outgrow throughput"

# %% [markdown]
# The load came from this notebook, on the same cores, so read the ratios and not the last digit.
# What holds anywhere is [Little's law](glossary.md#littles-law): callers = throughput × time per
# answer. So where throughput grows no more, twice the callers wait twice as long.
#
# ### Exercise 12.1 How long may the queue be? ●●○ 7 minutes
#
# In a queue that is too long, the last text is answered after its caller has given up. Write
# `places(patience, pass_seconds, batch=1)`. Suppose, as on a GPU and unlike the int8 model above,
# that a pass takes `pass_seconds` for any number of texts up to `batch`. One pass has just begun
# when the text arrives; then those that wait are taken, `batch` at a time. Return the largest
# number of places with which even the last text has its answer within `patience` seconds: a whole
# number, 0 where even one place is too many.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e12_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
import math


def places(patience, pass_seconds, batch=1):
    ### BEGIN SOLUTION
    passes = math.floor(patience / pass_seconds + 1e-9)  # 0.3 / 0.1 is a hair below 3
    return max(0, passes - 1) * batch
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# How many whole passes fit into the patience? One of them is the pass that has already begun.
# </details>
# <details><summary>Hint 2</summary>
#
# Each pass that is left answers `batch` texts. Floating point: `0.3 / 0.1` is a hair below 3, so
# add a tiny number before you round down.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t12_1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from course_utils.exercises import check

check("12.1 How long may the queue be?",
      ("2 s, passes of 0.5 s: 3 places", lambda: places(2, 0.5) == 3,
       "the pass that has just begun is over first: four passes fit, three are left"),
      ("with batches of 8: 24", lambda: places(2, 0.5, 8) == 24,
       "each pass that is left takes up to batch texts"),
      ("1 s, passes of 0.3 s: 2", lambda: places(1, 0.3) == 2,
       "a pass that doesn't end in time answers nobody: round down"),
      ("patience for less than one pass: 0", lambda: places(0.1, 0.3, 4) == 0,
       "not even the running pass is over in time; a queue can't have fewer than 0 places"),
      ("0.3 s, passes of 0.1 s: 2", lambda: places(0.3, 0.1) == 2,
       "0.3 / 0.1 is a hair below 3; add a tiny number before rounding down"),
      ("the answer is a whole number", lambda: type(places(2, 0.5)) is int,
       "return Python's own int"));
### BEGIN HIDDEN TESTS
assert [places(3, 0.25, b) for b in (1, 2, 16)] == [11, 22, 176] and places(0.25, 0.25) == 0
assert places(0.7, 0.1) == 6 and type(places(0.1, 0.3)) is int
### END HIDDEN TESTS

# %% [markdown]
# ## 5. What if they send nonsense?
#
# Some will: a program with a bug, a file pasted by mistake, an attacker. Each gets a status and a
# sentence that says what to change, but no stack trace, and not their own text back.

# %%
import json

nonsense = {
    "10 MB of text": '{"text": "' + "x" * 10_000_000 + '"}',
    "a whole page": json.dumps({"text": "please help me " * 300}),
    "half a request": '{"text": "where is',
    "5,000 open brackets": "[" * 5000,
    "a number": '{"text": 42}',
    "a field too many": '{"text": "hi", "admin": true}',
    "nothing": '{"text": " \\u200b "}',
    "a null character": '{"text": "hi\\u0000there"}',
    "half an emoji": '{"text": "hi \\ud83d"}',
}

# %%
replies, after = {}, []
with serving() as (process, client):
    for name, body in nonsense.items():
        began = time.perf_counter()
        reply = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
        replies[name] = reply
        print(f"{name:20} {reply.status_code} in {1000 * (time.perf_counter() - began):4.0f} ms: "
              f"{reply.json()['error']}")
        after.append(client.post("/predict", json={"text": "where is my parcel?"}).status_code)

# %%
refused = sum(400 <= reply.status_code < 500 for reply in replies.values())
plots.finding(f"{refused} of {len(replies)} were refused in words, with a status that says the "
              f"fault is the caller's. The next caller got an answer {after.count(200)} of "
              f"{len(after)} times.")

# %% tags=["assert"]
assert refused == len(replies) == after.count(200) and replies["10 MB of text"].status_code == 413

# %% [markdown]
# Text in other scripts, emoji and line breaks aren't nonsense, and pass. Note the order: bytes are
# counted while they arrive, before anything is parsed; characters can only be counted afterwards.
#
# ## 6. What if there are too many?
#
# No queue makes a server faster. It only decides who waits, and how long. So this one has two
# limits: a request that finds no place is refused with 429, and a request that waits longer than
# the time limit gets 503. Both answers carry `Retry-After`. The same 32 callers meet 2 places,
# 1,000 places, and 1,000 places with a time limit of half the median wait just measured.

# %%
crowd, tally = {}, {}
for case, limits in {2: {"queue": 2}, 1000: {"queue": 1000}, "limited": {"queue": 1000}}.items():
    if case == "limited":  # in seconds
        limits["timeout"] = LIMIT = round(float(np.median(crowd[1000][0])) / 2000, 3)
    with serving(**limits) as (process, client):
        crowd[case] = load(client, 32, (asked * 3)[:400])
    tally[case] = Counter(crowd[case][1].tolist())
    print(f"{limits}: {dict(tally[case])}")

# %%
def half(case, served=True):
    """Median milliseconds until the answer of those who were served, or of those who weren't."""
    times, statuses, _ = crowd[case]
    return np.median(times[(statuses == 200) == served])


total = sum(tally[2].values())
plots.finding(
    f"{total} of {len(crowd[2][0])} requests got an answer, yes or no. With 2 places "
    f"{tally[2][200]} were served and {tally[2][429]} told to come back; with 1,000 places "
    f"{tally[1000][200]} were served; with a time limit of {LIMIT} s as well, "
    f"{tally['limited'][200]} were served and {total - tally['limited'][200]} told that it "
    f"takes too long. Half of those served had their label after {half(2):.0f} ms with 2 places, "
    f"after {half(1000):.0f} with 1,000, after {half('limited'):.0f} with the time limit; half of "
    f"those refused had their no after {half(2, False):.0f} ms with 2 places, after "
    f"{half('limited', False):.0f} with the limit.")

# %% tags=["assert"]
assert total == 400 and tally[2].keys() == {200, 429} and tally[1000] == {200: 400}
late = tally["limited"]  # 408: the same limit holds for a body on its way
assert sum(late.values()) == 400 and {200, 503} <= late.keys() <= {200, 408, 503}

# %% [markdown]
# Which is better? A person at a screen would rather wait half a second than read an error; a
# program that can ask another server would rather know now. The length of the queue sets the
# longest wait: choose it by the caller's patience, as in exercise 12.1. A time limit comes second,
# since a text that waits first and is refused then costs its caller more than a refusal at once.
#
# ### Exercise 12.2 A caller with manners ●●○ 8 minutes
#
# Now the caller's side. Callers that try again at once turn an overload into a collapse. Write
# `next_try(status, attempt, retry_after=None)`: seconds to wait before the next try, or `None`
# where there should be none. `attempt` counts from 0; `retry_after` is a number of seconds (the
# header `Retry-After` is text: a caller takes `float` of it first).
#
# `status` is `None` where no answer came, as after a crash; a proxy in front says 502 or 504 then.
# Try again only for these, 429 and 503, and at most five times in all (`attempt` 0 to 3 may be
# followed by another). Asking twice does no harm here, since an answer changes nothing; a payment
# would need a key by which the server knows it again.
#
# Wait 0.5 s at first, twice as long each time; never less than `retry_after` where the server gave
# one. Real clients multiply the wait by a random number (*jitter*), so that callers who were
# refused together don't return together. It is left out here, so that the check knows the answer.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e12_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def next_try(status, attempt, retry_after=None):
    ### BEGIN SOLUTION
    if status not in (None, 429, 502, 503, 504) or attempt >= 4:
        return None
    return max(0.5 * 2**attempt, retry_after or 0)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two reasons to give up: the status says that another try won't help (or that none is needed), or
# there were enough tries. Handle them first.
# </details>
# <details><summary>Hint 2</summary>
#
# The wait doubles: `0.5 * 2**attempt`. `max` of it and `retry_after`; `None` counts as 0.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t12_2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
import numpy as np


def some_waits():
    return [float(wait) for wait in np.random.default_rng().uniform(0, 9, 6).round(3)]


check("12.2 A caller with manners",
      ("the first wait is half a second", lambda: next_try(429, 0) == 0.5,
       "0.5 s before the second try, whatever the server's queue looks like"),
      ("it doubles", lambda: [next_try(503, a) for a in range(4)] == [0.5, 1, 2, 4],
       "0.5, 1, 2, 4: a fixed wait doesn't ease off while the overload lasts"),
      ("after the fifth try it gives up", lambda: next_try(429, 4) is None,
       "attempt 4 is the fifth try: return None"),
      ("Retry-After counts", lambda: next_try(429, 0, 3) == 3,
       "never come back before Retry-After is over"),
      ("but not downwards", lambda: next_try(429, 3, 1) == 4,
       "your own wait may be longer than Retry-After: take the larger"),
      ("a request that is wrong stays wrong",
       lambda: all(next_try(status, 0, 1) is None for status in (400, 413, 422)),
       "the same body gets the same refusal, however often it is sent"),
      ("no answer at all: try again",
       lambda: [next_try(status, 0) for status in (None, 502, 504)] == [0.5] * 3,
       "a crash sends no status, None; a proxy says 502 or 504 in its place"),
      ("an answer needs no second try", lambda: next_try(200, 0) is None,
       "200 is an answer: return None"),
      ("any Retry-After", lambda: all(next_try(429, a, w) == max(0.5 * 2**a, w)
                                      for a in range(4) for w in some_waits()),
       "compute it from attempt and retry_after, whatever they are"));
### BEGIN HIDDEN TESTS
assert next_try(503, 1, 0.2) == 1 and next_try(503, 9) is None and next_try(404, 0) is None
assert next_try(503, 2, 7) == 7 and next_try(429, 4, 1) is None and next_try(500, 0) is None
assert next_try(None, 3) == 4 and next_try(None, 4) is None
assert all(next_try(503, a, w) == max(0.5 * 2**a, w) for a in range(4) for w in some_waits())
### END HIDDEN TESTS

# %% [markdown]
# ## 7. What if it is stopped in the middle?
#
# For a new version, or before maintenance, the system sends the service the signal SIGTERM and,
# some seconds later, kills it. Between the two the service must answer what it has accepted.

# %%
plots.picture("graceful-stop")

# %% [markdown]
# Twelve callers ask without a pause. In the middle comes the signal. The callers count their
# answers; the service counts too, and prints its counts in its last line.

# %%
import signal
import threading

got, turned_away, over = [], [], threading.Event()


def caller(client):
    while not over.is_set():
        try:
            got.append(client.post("/predict", json={"text": "stop my order"}).status_code)
        except httpx.TransportError as error:  # no answer; the counts say if it was accepted
            turned_away.append(type(error).__name__)
            return


with serving(grace=0.3) as (process, client), ThreadPoolExecutor(12) as pool:
    callers = [pool.submit(caller, client) for _ in range(12)]
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    last_line = process.communicate(timeout=120)[0].strip()
    over.set()
print(last_line)

# %%
counts = [int(word) for word in last_line.split() if word.isdigit()]
accepted, answered = counts or (np.nan, np.nan)
lost = accepted - len(got)
plots.finding(
    f"The callers got {len(got)} answers, {got.count(200)} with a label. "
    + (f"The service accepted {accepted} requests and answered {answered}: {lost} lost. " if counts
       else "The service left no counts: how many it lost, nobody knows. ")
    + f"The other calls ended in {dict(Counter(turned_away))}: a caller without an answer can't "
    "tell whether it was refused or lost. Only the service's count can.")

# %% tags=["assert"]
assert accepted == answered == len(got) == got.count(200) > 12 and process.returncode == 0

# %% [markdown]
# Run both cells with `process.kill()` in place of the signal, and the last line never comes. (On
# Windows, which has no SIGTERM, the signal does the same.) After a `kill -9`, a crash or a power
# cut, no program can answer. So callers still need exercise 12.2.
#
# ## 8. What does the monitoring see?
#
# Prometheus, the usual monitoring, reads `/metrics` every few seconds: plain lines, a name and a
# number. The service never logs a text, since texts are private; it only counts. The callers count
# too, and the two counts must agree.

# %%
def reading(client, name):
    """One number of /metrics, 0 for a line that isn't there yet."""
    lines = client.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name + " ")), 0.0)


with serving() as (process, client):
    statuses = Counter(load(client, 8, asked[:60] + [""] * 5)[1].tolist())
    page = client.get("/metrics").text
    received = reading(client, "service_received_total")
shown = "service_received_t", "service_answered_t", "service_in", "service_seconds_s"
print(*[line for line in page.splitlines() if line.startswith(shown)], sep="\n")

# %%
agree = "agree" if received == sum(statuses.values()) else "don't agree: look for what was lost"
plots.finding(f"The callers count {sum(statuses.values())} answers ({dict(statuses)}); the "
              f"service counts {received:.0f} received. They {agree}.")

# %% tags=["assert"]
assert received == sum(statuses.values()) == 65 and statuses == {200: 60, 422: 5}
assert 'service_answered_total{status="422"} 5.0' in page

# %% [markdown]
# ## 9. Does the world still look like the training data?
#
# All answers can be fast, and wrong. Labels come late or never, so nobody sees the accuracy on live
# requests. What can be seen at once is how sure the model is. When people start to ask about
# something new ([drift](glossary.md#drift)), the share of unsure answers should rise.
#
# The rule, for each model: the histogram in `/metrics` counts answers by confidence, in steps. Take
# the step below which about a tenth of the validation answers lie: an answer below it is *unsure*.
# A day of 200 requests raises an alarm when so many are unsure that chance alone would give as many
# on at most one day in a hundred, if the usual share were known exactly. That share is only
# estimated, so expect a few more false alarms.

# %%
from scipy.stats import binom

DAY, edges = 200, np.arange(1, 21) / 20
predict = {"DistilBERT": with_int8, "counting words": counting.predict_proba}


def alarm_from(usual, requests):
    """The smallest number of unsure answers that chance gives on at most a day in a hundred."""
    return binom.isf(0.01, requests, usual) + 1


rules = {}
for name, probabilities in predict.items():
    sure = each(probabilities, asked).max(1)
    shares = np.array([(sure <= edge).mean() for edge in edges])
    best = np.abs(shares - 0.1).argmin()
    rules[name] = edges[best], shares[best]
    print(f"{name:15} unsure up to {edges[best]}: {shares[best]:.0%} of validation, "
          f"alarm from {alarm_from(shares[best], DAY):.0f} of {DAY}")

# %% [markdown]
# But is a tenth usual for *your* callers? A second rule takes the usual share from the first three
# days of the service's own traffic. That needs no labels, only days on which nothing is new.
#
# A week of live requests is drawn from the test split, whose rows no model has read. From day 4 on
# a quarter of each day is about things that no label fits, together called the *new topic*: the
# rows out of scope (`out_of_scope` on `mini`, `oos` in CLINC150). Both rules read nothing but the
# counts in `/metrics`, as monitoring would.

# %%
full = load_task("requests", limited)["test"]
unknown = full.filter(lambda label: full.features["label"].names[label] not in intents,
                      input_columns="label")["text"][:]
inside = requests["test"]["text"][:]
draw = np.random.default_rng(lab.seed)


def a_day(new_topic):
    texts = list(draw.choice(inside, DAY))
    return list(draw.choice(unknown, DAY // 4)) + texts[DAY // 4:] if new_topic else texts


# %%
week, (edge, usual) = [], rules["DistilBERT"]
bucket = f'service_confidence_bucket{{le="{edge}"}}'
with serving() as (process, client):
    for day in range(1, 8):
        before = reading(client, bucket)
        load(client, 4, a_day(new_topic=day >= 4))
        week.append(int(reading(client, bucket) - before))
limits = {"validation": int(alarm_from(usual, DAY)),
          "the first three days": int(alarm_from(sum(week[:3]) / (3 * DAY), DAY))}

# %%
alarms = {source: [day for day, unsure in enumerate(week, start=1) if day > 3 and unsure >= limit]
          for source, limit in limits.items()}
figure, ax = plots.new_figure(width=8, height=3)
ax.bar(range(1, 8), week, color=plots.LIGHT, width=0.6)
for day, unsure in enumerate(week, start=1):
    ax.text(day, DAY / 200, unsure, ha="center")  # at the foot, where no line crosses it
for (source, limit), dash in zip(limits.items(), ("--", "-")):
    ax.axhline(limit, color="black", linestyle=dash, linewidth=1,
               label=f"alarm, usual share from {source}")
ax.axvline(3.5, color="black", linestyle=":", linewidth=1)
ax.annotate("new topic from here →", (3.45, 0.96), xycoords=("data", "axes fraction"),
            va="top", ha="right")
ax.set(xlabel="day", ylabel=f"unsure answers of {DAY}", xlim=(0.5, 7.5),
       ylim=(0, 1.6 * max(*week, *limits.values())),
       title="Alarms on new days: " + ", ".join(f"{len(d)} by {s}" for s, d in alarms.items()))
ax.legend(fontsize=9, loc="upper right")
plots.show(figure, f"Bars of unsure answers on seven days: {', '.join(map(str, week))}; a new "
           "topic begins on day 4. Alarm lines: "
           + ", ".join(f"{limit} from {source}" for source, limit in limits.items()) + ".")

# %% [markdown]
# One week is an anecdote. Draw a thousand weeks for both models and look at day 4 in five cases:
# nothing new; the new topic; the new topic in a service with a quarter of the requests; and the
# first two with the usual share from validation. The other three take it from their own three days.
#
# All days are drawn from the same rows and differ by chance alone. Real days differ by weekday and
# season, too, so expect more false alarms than this counts.

# %%
def share_of_alarms(name, quiet, new=(), own_days=True, requests=DAY, weeks=1000):
    """Share of days with an alarm, drawn from the confidences ``quiet``, a quarter ``new``."""
    edge, usual = rules[name]
    if own_days:
        usual = (draw.choice(quiet, (weeks, 3 * requests)) <= edge).mean(1)
    drawn = draw.choice(quiet, (weeks, requests))
    if len(new):
        drawn[:, :requests // 4] = draw.choice(new, (weeks, requests // 4))
    return ((drawn <= edge).sum(1) >= alarm_from(usual, requests)).mean()


alarm = {}
for name, probabilities in predict.items():
    live, new = (each(probabilities, texts).max(1) for texts in (inside, unknown))
    alarm[name] = [share_of_alarms(name, live), share_of_alarms(name, live, new),
                   share_of_alarms(name, live, new, requests=DAY // 4),
                   share_of_alarms(name, live, new, own_days=False),
                   share_of_alarms(name, live, own_days=False)]

# %%
def judged(name):
    false, caught, small, foreign, foreign_false = alarm[name]
    return (f"{name} notices the new topic on {caught:.0%} of the days, {small:.0%} with "
            f"{DAY // 4} requests a day, and gives {false:.1%} false alarms; with the usual share "
            f"of validation it notices {foreign:.0%} and gives {foreign_false:.1%}")


by_source = {name: 100 * (shares[1] - shares[3]) for name, shares in alarm.items()}
helped = " and ".join(n for n, points in by_source.items() if points > 5) or "neither model"
by_model = [100 * (a - b) for a, b in zip(*(np.array(alarm[n])[[1, 3]] for n in predict))]
plots.finding(". ".join(judged(name) for name in alarm)
              + ". A usual share from its own days instead of validation's: "
              + ", ".join(f"{points:+.0f} points for {name}" for name, points in by_source.items())
              + ". DistilBERT instead of counting words: {:+.0f} points with its own days, {:+.0f} "
              "with validation's. ".format(*by_model)
              + f"Own days notice more, by over 5 points, with {helped}. A rule that notices more "
              "by a lower line also gives more false alarms: read both.")

# %% tags=["assert"]
assert alarm["DistilBERT"][0] < 0.1 and alarm["DistilBERT"][1] > alarm["DistilBERT"][0]
assert alarm["DistilBERT"][1] > alarm["DistilBERT"][2]

# %% [markdown]
# An alarm is a reason to read: somebody looks at some of that day's requests and decides whether a
# label is missing. Lesson [07](07_intents.ipynb) teaches the model to say "none of these".
#
# ### Exercise 12.3 Two days in a row ●●○ 7 minutes
#
# A rule with too many false alarms is soon ignored. The usual cure: wait for a second day. Write
# `first_alarm(counts, limit, days=2)`: the day, counted from 1, on which the alarm is raised, that
# is the last of the first `days` days in a row with at least `limit` unsure answers; `None` where
# that never happens.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e12_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def first_alarm(counts, limit, days=2):
    ### BEGIN SOLUTION
    row = 0
    for day, count in enumerate(counts, start=1):
        row = row + 1 if count >= limit else 0
        if row == days:
            return day
    return None
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Keep one number: how many days in a row have been high up to now. What happens to it on a day that
# isn't?
# </details>
# <details><summary>Hint 2</summary>
#
# `row = row + 1 if count >= limit else 0`, and return the day as soon as `row == days`.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t12_3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("12.3 Two days in a row",
      ("high on days 4 and 5: alarm on day 5", lambda: first_alarm([3, 2, 4, 9, 9, 9], 8) == 5,
       "the alarm is raised on the second high day, counted from 1"),
      ("one high day is none", lambda: first_alarm([9, 2, 9, 2, 9], 8) is None,
       "a day that isn't high starts the count anew"),
      ("exactly the limit counts", lambda: first_alarm([8, 8], 8) == 2, "at least: >=, not >"),
      ("with days=1 the first high day", lambda: first_alarm([1, 9, 1], 8, days=1) == 2,
       "use the argument days"),
      ("with days=3 the third", lambda: first_alarm([9, 9, 1, 9, 9, 9], 8, 3) == 6,
       "three in a row, and a gap starts anew"),
      ("a quiet week has no alarm", lambda: first_alarm([1, 2, 1], 8) is None,
       "return None where it never happens"));
### BEGIN HIDDEN TESTS
assert first_alarm([], 1) is None and first_alarm([5, 5, 5], 5, 4) is None
assert first_alarm((0, 7, 7, 0), 7) == 3
### END HIDDEN TESTS

# %% [markdown]
# ### Question 12.4 Let it read less ●○○ 6 minutes, in writing
#
# `Classifier(folder)` cuts long texts. A colleague wants to save time by cutting at 8 pieces. First
# write down what you expect for accuracy and for the time of a text. Then run the lines below in a
# cell of their own, and explain what you see. They also show what is left of five requests that
# lose, and of five that are still right: what makes the difference?
#
# ```python
# short = Classifier(folder, max_pieces=8)
# now = each(lambda texts: short.probabilities(texts)[0], asked).argmax(1) == wanted
# print(f"cut: {np.mean(short.probabilities(asked)[1]):.0%} of the requests")
# for pieces, reader, right in (64, classify, hits["int8"]), (8, short, now):
#     clock = np.median(milliseconds(lambda text: reader([text]), some))
#     print(f"{pieces} pieces: {right.mean():.0%} right, {clock:.2f} ms a text")
# for words, rows in ("loses", hits["int8"] & ~now), ("right", hits["int8"] & now):
#     for n in np.flatnonzero(rows)[:5]:
#         left = short.tokenizer.decode(short.tokenizer.encode(asked[n]).ids)
#         print(f"{words}: {left} | {asked[n]}")
# ```

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w12_4", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# A text takes less time, since time grows with the pieces that are read, but accuracy falls. The
# first line says how many requests are longer than the six pieces that fit between `[CLS]` and
# `[SEP]` (on `mini` nearly all). Requests lose that name what is wanted only after the cut, on
# `mini` often after a greeting or a story; requests whose first words name it are still right.
#
# Two things must be in it: both directions with their own two numbers, and that those requests are
# answered wrongly whose intent comes after the cut.

# %% [markdown]
# ## 10. Past one process
#
# One process can use only part of a machine. More cores, or more machines, need *replicas*: the
# same service several times, with a load balancer in front that shares the requests out. Start two,
# and send requests to each in turn.

# %%
from itertools import cycle
from types import SimpleNamespace


def balanced(*clients):
    """A client that sends each request to the next of ``clients``."""
    turn = cycle(clients)
    return SimpleNamespace(post=lambda path, **body: next(turn).post(path, **body))


pairs = []
with serving() as (_, first), serving() as (_, second):
    both = balanced(first, second)
    for _ in range(rounds):
        pairs.append([load(client, 8, some[:64])[2] for client in (first, both)])
growth = [two / one for one, two in pairs]

# %%
plots.finding(
    f"Two replicas give {np.median(growth):.2f} times the answers of one, in {rounds} rounds "
    f"{min(growth):.2f} to {max(growth):.2f} times, on {os.cpu_count()} cores that also carry the "
    "eight callers. " + ("Twice the processes don't give twice the answers where cores are shared: "
    "count cores before you add replicas." if max(growth) < 1.9 else
    "Here the second one has cores to itself."))

# %% tags=["assert"]
assert min(growth) > 0.5

# %% [markdown]
# A framework can start, place and restart replicas for you. This is the same app on [Ray
# Serve](https://docs.ray.io/en/latest/serve/index.html). The notebook doesn't run it: Ray alone is
# larger than the service and all that it needs. [Measured on two cores](../service/README.md), its
# two replicas gave fewer answers than one plain process. It is made for many machines, which
# nobody measured here.

# %%
Code(filename=str(ROOT / "service/ray_app.py"))

# %% [markdown]
# Install it with `pip install -c requirements.txt "ray[serve]"`, start `python -m service.ray_app`,
# and point `load` at it. Each replica has its own queue and its own `/metrics`, so add the counts
# up. [`service/README.md`](../service/README.md) has the container, which needs no Ray.
#
# ## 11. A page for people
#
# Colleagues without a terminal want a page. Where [Gradio](https://www.gradio.app) is installed, as
# on Colab, it takes six lines. `share=False` keeps it private: otherwise Colab makes it public.

# %%
from importlib.util import find_spec

if find_spec("gradio"):
    import gradio

    def page(text):
        return dict(zip(intents, map(float, classify.probabilities([text[:2000]])[0][0])))

    gradio.Interface(page, "text", gradio.Label(num_top_classes=3), flagging_mode="never").launch(
        share=False, quiet=True)

# %% [markdown]
# ## What to remember
#
# 1. A service is a model plus limits: on size, on shape, on waiting. Each limit has its status.
# 2. Throughput has a top; past it, more callers only wait longer. Report it with p99, and with how
#    many waits that rests on.
# 3. A batch shares out what a pass costs; measure it under load. In int8 answers then depend on
#    others' texts: count how many.
# 4. Accepted means answered, even when it is stopped. After a crash only the caller can try again.
# 5. Watch how sure the model is, against your own quiet days: drift can show there before any
#    label, and the more requests a day, the more reliably.
#
# ## Take this with you
#
# A small service of your own, with a schema and a bounded queue. As it is, it asks itself one
# question, with an untrained head; replace the last line by `import uvicorn; uvicorn.run(app)` to
# serve on `127.0.0.1`. It needs `pip install transformers torch fastapi httpx uvicorn`. It has no
# limit on bytes or on time and no metrics: for those, take `service/app.py`.
#
# ```python
# import asyncio
# import torch
# from fastapi import Body, FastAPI, HTTPException
# from fastapi.exceptions import RequestValidationError
# from fastapi.responses import JSONResponse
# from fastapi.testclient import TestClient
# from transformers import AutoModelForSequenceClassification, AutoTokenizer
#
# name = "distilbert/distilbert-base-uncased"  # yours: the folder of your trained model
# tokenizer = AutoTokenizer.from_pretrained(name)
# model = AutoModelForSequenceClassification.from_pretrained(name, use_safetensors=True).eval()
# app, turn, waiting = FastAPI(), asyncio.Semaphore(1), []
#
# def classify(text):
#     inputs = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
#     with torch.no_grad():
#         p = model(**inputs).logits.softmax(-1)[0]
#     return {"label": model.config.id2label[int(p.argmax())], "confidence": float(p.max())}
#
# @app.exception_handler(RequestValidationError)  # FastAPI's own would send the text back
# async def refuse(request, error):
#     return JSONResponse({"detail": 'Send {"text": "…"}, 1 to 2,000 characters.'}, 422)
#
# @app.post("/predict")
# async def predict(text: str = Body(embed=True, pattern=r"\S", max_length=2000)):
#     if len(waiting) >= 32:
#         raise HTTPException(429, "busy", {"Retry-After": "1"})
#     waiting.append(text)
#     try:
#         async with turn:
#             return await asyncio.to_thread(classify, text)
#     finally:
#         waiting.pop()
#
# print(TestClient(app).post("/predict", json={"text": "where is my parcel?"}).json())
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | `422 Unprocessable` with a correct body | no header `Content-Type: application/json` | `json=` in httpx, `-H` in curl |
# | fast alone, seconds under load | an unbounded queue | limit it; answer 429 |
# | it freezes while it predicts | the model runs in the event loop | a thread: `asyncio.to_thread` |
# | errors at each deployment | stopped without being taken out of rotation | `/readyz`, a grace, SIGTERM |
# | others on the network can call it | bound to `0.0.0.0` | `127.0.0.1`, or a proxy in front |
# | the first call takes seconds | a cold model | warm it before it says that it is ready |
#
# ## Further reading
#
# * Dean and Barroso 2013, [*The tail at scale*](https://doi.org/10.1145/2408776.2408794): why p99,
#   and not the mean, is what users feel.
# * Crankshaw et al. 2017, [*Clipper*](https://arxiv.org/abs/1612.03079): a prediction server with
#   adaptive batching.
# * Beyer et al. 2016, [*Handling overload*](https://sre.google/sre-book/handling-overload/), in
#   *Site reliability engineering*.
# * Rabanser et al. 2019, [*Failing loudly*](https://arxiv.org/abs/1810.11953): which tests notice
#   that data have shifted.
#
# Next: [13, past one machine](13_scale.ipynb): training on several.

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"{top:.0f} answers a second, micro-batching {verdict} ({np.median(ratios):.2f} times), "
           f"and changes {moved:.1%} of the labels; "
           f"{lost} of {accepted} accepted requests lost at the stop; new topic noticed on "
           f"{alarm['DistilBERT'][1]:.0%} of days, false alarms {alarm['DistilBERT'][0]:.1%}")
