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
# # How do texts become mini-batches, and how large should one be?
#
# A model computes on rectangles of numbers, and texts have all lengths. This lesson follows texts
# into the rectangle: what is cut off, what is filled up, how many texts go in,
# and in which order. Each of these choices costs time, memory or accuracy, and you measure which.
#
# **After this lesson you can**
#
# 1. say what truncation and padding cost on your own texts, and choose the cheapest padding;
# 2. show what goes wrong without the attention mask;
# 3. find the batch size beyond which your machine gains little;
# 4. predict how noisy a gradient is, and make a large batch out of small ones without a silent
#    error;
# 5. write the training loop yourself and get the `Trainer`'s numbers.
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
# ## 1. What does cutting a text lose?
#
# A [tokenizer](glossary.md#tokenizer) turns each text into a list of [token](glossary.md#token)
# numbers. The lists differ in length.

# %%
from course_utils.data import load_task
from transformers import AutoTokenizer

reviews = load_task("reviews", lab.profile)
texts, labels = reviews["train"]["text"][:], reviews["train"]["label"][:]
tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
tokenizer(["A dull film.", "I laughed from the first scene to the last."])["input_ids"]

# %% [markdown]
# [Truncation](glossary.md#truncation) cuts the long lists at a limit. Two numbers say what it
# costs: how many texts are cut, and how much of all text is gone.

# %%
import numpy as np

full_lengths = np.array([len(ids) for ids in tokenizer(texts)["input_ids"]])
limits = np.array([16, 32, 64, 96, 128, 192, 256, 384, 512])
# tokens over the limit; one row per limit, one column per text
excess = np.maximum(full_lengths - limits[:, None], 0)
cut, lost = (excess > 0).mean(1), excess.sum(1) / full_lengths.sum()
assert (np.diff(cut) <= 0).all() and (np.diff(lost) <= 0).all() and lost[0] > 0.1
print(f"median {np.median(full_lengths):.0f} tokens, longest {full_lengths.max()}")

# %%
from course_utils import plots

at = list(limits).index(64)
figure, ax = plots.new_figure()
plots.curve(ax, limits, 100 * cut, "texts that are cut", 0)
plots.curve(ax, limits, 100 * lost, "tokens that are lost", 1)
ax.set_xscale("log", base=2)
ax.set_xticks(limits, [str(limit) for limit in limits])
ax.minorticks_off()
ax.set(xlabel="limit in tokens", ylabel="per cent of all", ylim=(-3, 103),
       title=f"A limit of 64 cuts {cut[at]:.0%} of the reviews "
             f"and loses {lost[at]:.0%} of the tokens")
ax.legend()
plots.show(figure, "Two falling curves over the limit: "
                   f"reviews that are cut, {cut[0]:.0%} at 16 tokens and {cut[at]:.0%} at 64; "
                   f"and tokens lost, {lost[0]:.0%} at 16 and {lost[at]:.0%} at 64.")

# %% [markdown]
# By default the tokenizer cuts the end away. `truncation_side="left"` keeps the end and cuts the
# beginning. Here is what each keeps of one long review.

# %%
from course_utils.common import shortened

from_left = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision,
                                          truncation_side="left")


long_one = texts[int(np.argsort(full_lengths)[len(texts) * 9 // 10])]
print("first 32:", *shortened(tokenizer, [long_one], 32))
print("last 32: ", *shortened(from_left, [long_one], 32))

# %% [markdown]
# Where do reviewers put their verdict? A word counter ([TF-IDF](glossary.md#tf-idf) with logistic
# regression, lesson 05) is trained twice: on the first 32 tokens of each review, and on the last 32
# (two of them are `[CLS]` and `[SEP]`).

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

judged, truth = reviews["validation"]["text"][:], np.array(reviews["validation"]["label"])


def hits(cutter):
    """For each validation review, 1.0 where a word counter that sees 32 tokens is right."""
    counter = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2),
                            LogisticRegression(C=10, max_iter=1000))
    counter.fit(shortened(cutter, texts, 32), labels)
    return (counter.predict(shortened(cutter, judged, 32)) == truth).astype(float)


# %%
from course_utils.metrics import bootstrap_interval

start, end = hits(tokenizer), hits(from_left)
low, high = bootstrap_interval(lambda a, b: b.mean() - a.mean(), start, end)
print(f"first 32 tokens: {start.mean():.1%}, last 32 tokens: {end.mean():.1%}")
verdict = ("the end says more" if low > 0
           else "the beginning says more" if high < 0 else "no clear winner")
print(f"last minus first: {100 * (end.mean() - start.mean()):+.1f} points, "
      f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}: {verdict}")

# %% [markdown]
# The [interval](glossary.md#bootstrap) says how far the difference could shift with other
# validation texts. On one side of 0: the side you cut matters for these texts. With 0 inside: these
# rows can't decide it. Ask your own.
#
# > Quoted: for long documents, keeping the first 128 and the last 382 tokens did better than either
# > end alone (Sun et al. 2019, arXiv 1905.05583).

# %% [markdown]
# ## 2. What does padding cost?
#
# A [batch](glossary.md#batch) is one tensor, so its rows must be equally long.
# [Padding](glossary.md#padding) fills the shorter ones with `[PAD]`. The model computes these cells
# like any others, and
# then nobody uses the result. Four habits:
#
# * to a **fixed** length: `padding="max_length"`;
# * to the longest **of 1,000** rows: `padding=True` inside `dataset.map(batched=True)`, which hands
#   over 1,000 rows at a time;
# * to the longest **of the batch**, when the batch is made ([dynamic
#   padding](glossary.md#dynamic-padding)): leave padding out of `map`, the
#   [collator](glossary.md#collator) does it;
# * the same with batches **grouped by length**: `train_sampling_strategy="group_by_length"`.

# %%
limit, batch_size = 512, 16  # 512 is the most that DistilBERT takes
lengths = np.minimum(full_lengths, limit)  # after truncation
of_1000 = np.concatenate([np.full(len(part), part.max())
                          for part in np.split(lengths, range(1000, len(lengths), 1000))])

# %% [markdown]
# Now the order of the rows. `LengthGroupedSampler` is the [sampler](glossary.md#sampler) behind the
# `Trainer`'s option: it takes up to 50 batches' worth of random rows at a time and sorts those by
# length.

# %%
import torch
from torch.utils.data import BatchSampler
from transformers.trainer_pt_utils import LengthGroupedSampler

shuffled = np.random.default_rng(lab.seed).permutation(len(lengths)).tolist()
grouped = LengthGroupedSampler(batch_size, lengths=lengths.tolist(),
                               generator=torch.Generator().manual_seed(lab.seed))
# name: (the length each row is padded to before it meets its batch, the order of the rows)
habits = {
    "fixed": (np.full_like(lengths, limit), shuffled),
    "of 1,000": (of_1000, shuffled),
    "of the batch": (lengths, shuffled),
    "grouped by length": (lengths, list(grouped)),
}

# %%
def batches_of(padded, order):
    """Pairs (rows, width): the rows of each batch, and the length to which the batch is padded."""
    return [(rows, int(padded[rows].max()))
            for rows in BatchSampler(order, batch_size, drop_last=False)]


def cells(plan):
    return sum(len(rows) * width for rows, width in plan)


# %%
plans = {name: batches_of(*habit) for name, habit in habits.items()}
wasted = {name: 1 - lengths.sum() / cells(plan) for name, plan in plans.items()}
print({name: f"{share:.0%}" for name, share in wasted.items()})
assert wasted["fixed"] >= wasted["of 1,000"] >= wasted["of the batch"] > wasted["grouped by length"]
assert (wasted["of the batch"] - wasted["grouped by length"]
        > wasted["of 1,000"] - wasted["of the batch"])

# %% [markdown]
# Those shares are counted over all training rows. Does the clock agree? Training does two things
# with a batch: a [forward pass](glossary.md#forward-pass) computes the answers and the
# [loss](glossary.md#loss), a backward pass computes the [gradient](glossary.md#gradient) of
# section 6: how the loss changes with each weight. (The optimiser then moves the weights; that
# costs the same for every habit.) Time both on real batches: for each habit two batches of 16
# texts, one from the narrower half and one from the wider. From their cells per second and the
# number of all cells we estimate reviews per second.

# %%
from transformers import AutoModelForSequenceClassification, set_seed, utils

utils.logging.set_verbosity_error()  # lesson 05 explains the report about new weights


def new_model():
    """Pretrained body, head from a fixed seed, no dropout: two calculations can be compared."""
    set_seed(lab.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        lab.checkpoint, revision=lab.revision, use_safetensors=True, num_labels=2,
        dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    return model.to(lab.device)


# %% [markdown]
# [Dropout](glossary.md#dropout) is off in this whole lesson, and everything runs in 32-bit numbers:
# several sections assert that two ways of computing give the same.

# %%
import time


def seconds_for(model, rows, width):
    inputs = tokenizer([texts[i] for i in rows], truncation=True, padding="max_length",
                       max_length=width, return_tensors="pt")
    inputs["labels"] = torch.tensor([labels[i] for i in rows])
    times = []
    for _ in range(2):  # the better one counts: other programs only slow it down
        start = time.perf_counter()
        loss = model(**inputs.to(lab.device)).loss
        loss.backward()
        next(model.parameters()).grad.sum().item()  # waits for a GPU
        times.append(time.perf_counter() - start)
    return min(times)


def texts_per_second(model, plan):
    by_width = sorted((p for p in plan if len(p[0]) == batch_size), key=lambda p: p[1])
    chosen = [by_width[len(by_width) // 4], by_width[3 * len(by_width) // 4]]
    cells_per_second = cells(chosen) / sum(seconds_for(model, *p) for p in chosen)
    return cells_per_second * len(lengths) / cells(plan)


# %%
model = new_model().train()
seconds_for(model, range(batch_size), 32)  # the first pass also pays for warming up
speed = {name: texts_per_second(model, plan) for name, plan in plans.items()}
faster = speed["grouped by length"] / speed["fixed"]
assert faster > 1, "less padding must be faster"

# %%
figure, (left, right) = plots.new_figure(columns=2, width=10, height=2.6)
plots.bars(left, list(wasted), [100 * share for share in wasted.values()], fmt="{:.0f} %")
plots.bars(right, list(speed), list(speed.values()), fmt="{:.1f}")
right.set_yticks([])
left.set(title=f"Fixed length of 512:\n{wasted['fixed']:.0%} is padding",
         xlabel="padding, share of all cells")
right.set(title=f"Grouped: {faster:.1f} times the speed of 512,\n"
                f"{speed['grouped by length'] / speed['of the batch']:.1f} times that of the batch",
          xlabel="reviews per second, forward and backward")
plots.show(figure, "Bars for four habits of padding. Share of padding: "
                   + ", ".join(f"{n} {s:.0%}" for n, s in wasted.items())
                   + ". Reviews per second: "
                   + ", ".join(f"{n} {s:.0f}" for n, s in speed.items()) + ".")

# %% [markdown]
# "Of 1,000" saves only what the longest of 1,000 texts leaves free. Where nearly every 1,000 texts
# hold one longer than 512, as the log below suggests for IMDb, that is nothing. `padding=True` in
# `map` looks dynamic and isn't.
#
# Against a fixed 512 every other habit is a gain, the larger the shorter your texts; with a smaller
# limit the first bar shrinks. Against padding in `map`, dynamic padding alone gains far less than
# grouping *on these reviews*: among 16 random texts there is usually a long one too. The clock can
# gain more than the cells say, because in attention every cell of a row looks at all others; and
# the clock, with two batches for each habit, may not even show that: it agrees with the counted
# cells in the order of size, not in every step. On these reviews most of the gain comes from
# grouping. Its price: batches are no longer random. Where length goes with the label, a batch leans
# to one class (section 8).
#
# One widely read article padded IMDb inside `map`, in a training of three epochs of 25,000 reviews.
# Its own log gives it away.
#
# > Quoted: `total_flos` 9,935,054,899,200,000 (training log in
# > GeeksforGeeks, *DistilBERT in Natural Language Processing*, 24 March 2025).
#
# The library counts 6 operations per token and parameter, the embeddings left out. The published
# classifier has 66,955,010 parameters; without its tables of token and position embeddings,
# (30,522 + 512) × 768, there remain 43,120,898. So how many tokens had each review?

# %%
quoted_total_flos = 9_935_054_899_200_000
parameters_without_embeddings, reviews_seen = 66_955_010 - (30_522 + 512) * 768, 3 * 25_000
assert parameters_without_embeddings == 43_120_898
tokens_each = quoted_total_flos / (6 * parameters_without_embeddings * reviews_seen)
print(f"{tokens_each} tokens, for every single review")
assert tokens_each == 512

# %% [markdown]
# One more trap. `padding="max_length"` without `max_length=` takes the length that the tokenizer
# knows. A tokenizer that you trained yourself often knows none, and then nothing is padded, without
# a warning.

# %%
ignorant = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision,
                                         model_max_length=int(1e30))
padded = {name: len(t("A dull film.", padding="max_length")["input_ids"]) for name, t in
          {"knows its maximum": tokenizer, "knows none": ignorant}.items()}
print(padded)
assert padded["knows its maximum"] == 512 and padded["knows none"] < 16

# %% [markdown]
# ### Exercise 3.1 How much is padding? ●○○ 5 minutes
#
# `batches` is a list of batches, and a batch is the list of its rows' lengths. Each batch is padded
# to its own longest row. Return the share of all cells that are padding.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e3_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def share_of_padding(batches):
    ### BEGIN SOLUTION
    cells = sum(len(batch) * max(batch) for batch in batches)
    return 1 - sum(sum(batch) for batch in batches) / cells
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Draw `[[2, 4], [10, 10]]` as two rectangles. How many cells have they together, and how many hold
# a token?
# </details>
# <details><summary>Hint 2</summary>
#
# A batch has `len(batch) * max(batch)` cells. Add up the cells of all batches and the tokens of all
# batches, then divide once.
# </details>

# %% tags=["grading"]
# stands in for section 2 when the exercise is graded
import numpy as np

lengths, plans = (np.array([5, 9, 3, 7]),
                  {"of the batch": [(np.array([0, 1]), 9), (np.array([2, 3]), 7)]})
wasted = {"of the batch": 1 - 24 / 32}

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t3_1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from course_utils.exercises import check

check("3.1 How much is padding?",
      ("lengths 2 and 4: a quarter", lambda: abs(share_of_padding([[2, 4]]) - 0.25) < 1e-9,
       "2 of 8 cells are padding; "
       "perhaps you returned the share in use, or divided by the real tokens"),
      ("each batch has a longest row of its own",
       lambda: abs(share_of_padding([[4, 4], [1, 1]])) < 1e-9,
       "you padded all batches to the longest row of all"),
      ("a wide batch counts more",
       lambda: abs(share_of_padding([[2, 4], [10, 10]]) - 2 / 28) < 1e-9,
       "you averaged the batches' shares; count cells over all batches, then divide once"),
      ("it agrees with section 2",
       lambda: abs(share_of_padding([lengths[rows].tolist() for rows, _ in plans["of the batch"]])
                   - wasted["of the batch"]) < 1e-9,
       "compare with wasted['of the batch']"));
### BEGIN HIDDEN TESTS
assert abs(share_of_padding([[1, 2, 3], [6]]) - 0.2) < 1e-9 and share_of_padding([[7]]) == 0
### END HIDDEN TESTS

# %% [markdown]
# ## 3. A short training, kept for later
#
# The next sections need a model with an opinion. The task `messages` (spam or not) has short texts,
# so a model learns something in 24 steps. Spam is rare; take as many messages of each class.

# %%
from course_utils.common import balanced_rows

messages = load_task("messages", lab.profile)


def balanced(split, per_class):
    """``per_class`` messages of each class in random order, tokenised, not padded."""
    rows = balanced_rows(split["label"], per_class)
    chosen = split.select(np.random.default_rng(lab.seed).permutation(rows))
    return chosen.map(lambda batch: tokenizer(batch["sms"], truncation=True, max_length=64),
                      batched=True, remove_columns=[c for c in split.column_names if c != "label"])


learn, held_out = balanced(messages["train"], 96), balanced(messages["validation"], 24)
print(len(learn), "to learn from,", len(held_out), "held out; first labels:", learn["label"][:12])

# %% [markdown]
# The rows are shuffled once, here. The `Trainer` then reads them in this order (`"sequential"`),
# because later sections repeat the run by hand and must know the order.

# %%
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

collator = DataCollatorWithPadding(tokenizer)
settings = dict(
    output_dir=str(lab.workdir / "run"), max_steps=24, per_device_train_batch_size=16,
    warmup_steps=2, learning_rate=2 * lab.profile.learning_rate,
    train_sampling_strategy="sequential", logging_steps=1, save_strategy="no",
    report_to="none", disable_tqdm=True, seed=lab.seed,
    # 32-bit numbers, even where 16 are faster
    **{k: v for k, v in lab.precision_arguments.items() if k == "use_cpu"})


def make_trainer(model, rows, callbacks=(), **changes):
    trainer = Trainer(model=model, args=TrainingArguments(**settings | changes), train_dataset=rows,
                      processing_class=tokenizer, data_collator=collator, callbacks=list(callbacks))
    trainer.remove_callback(PrinterCallback)
    return trainer


# %% [markdown]
# A callback looks at the held-out messages after every second step. It notes how many the model
# calls spam, and how many it gets right.

# %%
from transformers import TrainerCallback

probe = collator([held_out[i] for i in range(len(held_out))]).to(lab.device)
is_spam = probe.pop("labels").cpu().numpy()


@torch.no_grad()
def spam_probability(model, **inputs):
    return model.eval()(**inputs).logits.softmax(-1)[:, 1].cpu().numpy()


class Watch(TrainerCallback):
    def __init__(self):
        self.steps, self.spam, self.right = [], [], []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step % 2 == 0:
            called = spam_probability(model, **probe) > 0.5
            self.steps.append(state.global_step)
            self.spam.append(called.mean())
            self.right.append((called == is_spam).mean())


# %%
watch_random = Watch()
random_run = make_trainer(new_model(), learn, [watch_random])
random_run.train()
print(f"{watch_random.right[-1]:.0%} of the held-out messages are right")
assert watch_random.right[-1] > 0.6, "the run must beat a coin"

# %% [markdown]
# ## 4. What goes wrong without the attention mask?
#
# The [attention mask](glossary.md#attention-mask) is 1 on tokens and 0 on padding. With it, padding
# gets no attention. Without it, `[PAD]` is a word like any other.
#
# A text alone in its batch needs no padding. Its answer is the reference. Then pad the same texts
# wider and wider, and ask again with and without the mask.

# %%
alone = np.concatenate([
    spam_probability(random_run.model, **{k: torch.tensor([held_out[i][k]], device=lab.device)
                                          for k in ("input_ids", "attention_mask")})
    for i in range(len(held_out))])
widths, moved, changed = [64, 96, 160], {}, {}
for width in widths:
    wide = tokenizer.pad({"input_ids": held_out["input_ids"][:]}, padding="max_length",
                         max_length=width, return_tensors="pt").to(lab.device)
    for name, inputs in {"with mask": dict(wide),
                         "without": {"input_ids": wide["input_ids"]}}.items():
        answer = spam_probability(random_run.model, **inputs)
        moved[name, width] = np.abs(answer - alone)
        changed[name, width] = int(((answer > 0.5) != (alone > 0.5)).sum())

# %%
for (name, width), shift in moved.items():
    print(f"padded to {width:3}, {name:9}: "
          f"largest change {shift.max():.1e}, mean {shift.mean():.1e}, "
          f"{changed[name, width]} of {len(alone)} predictions turned over")
assert max(s.max() for (name, _), s in moved.items() if name == "with mask") < 1e-3
assert moved["without", 160].max() > 100 * moved["with mask", 160].max()

# %% [markdown]
# With the mask the change is rounding: sums over a wider tensor run in another order. Without it, a
# text's answer depends on the longest text that happens to share its batch. How many predictions
# turn over depends on how sure the model is; after so few steps it isn't.

# %%
figure, ax = plots.new_figure(height=3.4)
for number, name in enumerate(("with mask", "without")):
    plots.curve(ax, widths, [moved[name, w].mean() for w in widths], name, number)
ax.set_xticks(widths)
ax.set(xlabel="padded to, tokens", ylabel="mean change of the\nspam probability",
       title=f"Without the mask, padding moves the answer by {moved['without', 160].mean():.2f}")
ax.legend()
plots.show(figure, "Mean change of the spam probability against the width of the batch. "
                   "With mask it stays at 0; "
                   f"without it is {moved['without', 64].mean():.2f} at 64 tokens "
                   f"and {moved['without', 160].mean():.2f} at 160.")

# %% [markdown]
# No error, no warning. The tokenizer makes the mask for you; it gets lost where people write
# `model(batch["input_ids"])`.
#
# ### Exercise 3.2 A mean with a mistake ●●○ 8 minutes
#
# The mask protects the model's attention. It doesn't protect what *you* compute afterwards. A
# colleague makes one vector per text, the mean of its tokens' vectors
# ([mean pooling](glossary.md#mean-pooling)), and gets other vectors in other batches. Mend it:
# `hidden` has the shape (rows, length, width), `mask` (rows, length); it is 1 on tokens and 0 on
# padding.
# Tensors are indexed like NumPy arrays: `mask[:, :, None]` has the shape (rows, length, 1).

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e3_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mean_vector(hidden, mask):
    # The colleague's version: return hidden.mean(1)
    ### BEGIN SOLUTION
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two things must ignore the padding: the sum, and the number that you divide by.
# </details>
# <details><summary>Hint 2</summary>
#
# `mask.unsqueeze(-1)` has the shape (rows, length, 1) and can be multiplied with `hidden`. The
# number of tokens of each row is `mask.sum(1)`; with `keepdim=True` it divides a sum of shape
# (rows, width).
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t3_2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
tokens = torch.tensor([[[2.0], [4.0], [0.0]], [[3.0], [0.0], [0.0]]])
real = torch.tensor([[1, 1, 0], [1, 0, 0]])
loud = torch.where(real.unsqueeze(-1) == 1, tokens, 99.0)  # the same tokens, with loud padding

check("3.2 A mean with a mistake",
      ("one vector per row", lambda: tuple(mean_vector(tokens, real).shape) == (2, 1),
       "average over the tokens, dimension 1"),
      ("the padding's vectors don't count",
       lambda: torch.equal(mean_vector(tokens, real), mean_vector(loud, real)),
       "the padding is in your sum; multiply by the mask first"),
      ("tokens 2 and 4 give 3", lambda: mean_vector(tokens, real)[0].item() == 3,
       "divide by the row's own number of tokens, "
       "not by the padded length or by the tokens of the whole batch"),
      ("a row of one token is that token", lambda: mean_vector(tokens, real)[1].item() == 3,
       "each row has its own number of tokens"));
### BEGIN HIDDEN TESTS
assert torch.allclose(mean_vector(torch.ones(2, 5, 3),
                                  torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])),
                      torch.ones(2, 3))
### END HIDDEN TESTS

# %% [markdown]
# ## 5. How many texts per batch?
#
# A larger batch uses the machine better, up to a point, and keeps more
# [activations](glossary.md#activation) in memory. Find the point on this machine. A step here is
# forward, backward and the optimiser's update, at 64 tokens per text. Which words the texts have
# makes no difference, so draw
# token numbers at random.

# %%
largest = {"mini": 64, "cpu": 32, "gpu": 256}[lab.profile.name]
sizes = [2**k for k in range(int(np.log2(largest)) + 1)]


def random_batch(size, length=64):
    return {"input_ids": torch.randint(1000, 8000, (size, length), device=lab.device),
            "labels": torch.randint(0, 2, (size,), device=lab.device)}


def seconds_per_step(model, optimizer, inputs):
    times = []
    for _ in range(max(3, 16 // len(inputs["labels"]))):  # the best one counts
        start = time.perf_counter()
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        next(model.parameters()).sum().item()  # waits for a GPU
        times.append(time.perf_counter() - start)
    return min(times)


# %% [markdown]
# Memory is measured where it arises. PyTorch calls a hook for every tensor that the forward pass
# keeps for the
# backward pass; `activation_bytes` adds up their bytes, leaving out the weights.

# %%
from course_utils.common import activation_bytes

model = new_model().train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
seconds = {size: seconds_per_step(model, optimizer, random_batch(size)) for size in sizes}
memory = {size: activation_bytes(model, random_batch(size)) for size in sizes}
rate = {size: size / seconds[size] for size in sizes}
for size in sizes:
    print(f"{size:3} texts: {1000 * seconds[size]:6.0f} ms per step, "
          f"{rate[size]:6.1f} texts/s, {memory[size] / 1e6:7.1f} MB of activations")

# %% [markdown]
# Where does it stop helping? Take the smallest batch that reaches 90 % of the best speed: beyond
# it, all further doublings together gain no more than a ninth.

# %%
best = max(rate.values())
enough = min(size for size in sizes if rate[size] >= 0.9 * best)
# bytes: weight, gradient and two moments of 4 each
fixed_cost = 16 * sum(p.numel() for p in model.parameters())
print(f"{enough} texts reach 90 % of the best speed; "
      f"weights, gradients and AdamW's moments take {fixed_cost / 1e6:.0f} MB in any case")
assert best > 1.1 * rate[1], "a batch must be faster per text than single texts"
assert 1.8 < memory[sizes[-1]] / memory[sizes[-2]] < 2.2, (
    "activations grow in proportion to the batch")

# %%
figure, (left, right) = plots.new_figure(columns=2, width=10, height=3.4)
plots.curve(left, sizes, list(rate.values()), "texts per second", 0)
plots.curve(right, sizes, [m / 1e6 for m in memory.values()], "activations", 1)
for ax in (left, right):
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.set_xlabel("texts per batch")
left.axvline(enough, color="gray", linewidth=1)
left.set(ylabel="texts per second", ylim=(0, None),
         title=f"{enough} texts reach 90 % of the best speed")
right.set_yscale("log")
right.axhline(fixed_cost / 1e6, color="gray", linestyle=":", label="weights and optimiser")
right.legend()
right.set(ylabel="MB",
          title=f"Each text keeps {memory[largest] / largest / 1e6:.1f} MB of activations")
plots.show(figure, "Left: texts per second against batch size, "
                   f"{rate[1]:.0f} at 1 and {rate[largest]:.0f} at {largest}; a line at {enough}. "
                   "Right: activations on a straight line of slope 1, "
                   f"{memory[1] / 1e6:.1f} MB at 1 "
                   f"and {memory[largest] / 1e6:.0f} MB at {largest}, "
                   f"beside the constant {fixed_cost / 1e6:.0f} MB of weights and optimiser.")

# %% [markdown]
# Straight on two logarithmic axes, slope 1: activations grow in proportion. Small batches spread
# the fixed cost of a step over few texts: the optimiser touches every weight once per step, be the
# batch small or large. A GPU has thousands of cores to fill, so expect its curve to flatten later.
# Where the curve is flat, a larger batch
# buys no time; memory goes on growing.
#
# ## 6. How noisy is the gradient of a small batch?
#
# The [gradient](glossary.md#gradient) of a batch is an estimate of the gradient over all rows. How
# far off is it? Take 96 messages as "all rows" and compute their full gradient. The head is new:
# this is the start of training. To save memory, look at the weights of the last block and the head.

# %%
model = new_model()
last = f"layer.{model.config.n_layers - 1}."
watched = [p for name, p in model.named_parameters() if last in name or "classifier" in name]
pool = [learn[i] for i in range(96)]


def gradient(rows):
    loss = model(**collator(rows).to(lab.device)).loss
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, watched)])


full, squares = 0, 0
for row in pool:
    g = gradient([row])
    full, squares = full + g / len(pool), squares + g.square().sum().item() / len(pool)
variance = squares - full.square().sum().item()
print(f"{full.numel():,} weights; squared length of the full gradient {full.square().sum():.2f}, "
      f"variance of single rows {variance:.2f}")

# %% [markdown]
# Here *variance* is the mean squared distance of the single rows' gradients from the full gradient,
# added up over the weights. The code takes a shortcut: it equals the mean of the squared lengths
# minus the squared length of the mean, so no row's gradient has to be kept. A batch's gradient is
# the mean of its rows' gradients; check it, because the rest of the lesson builds on it.

# %%
mean_of_rows, of_batch = sum(gradient([row]) for row in pool[:8]) / 8, gradient(pool[:8])
assert torch.allclose(mean_of_rows, of_batch, atol=1e-4 * of_batch.abs().max().item())
print(f"largest difference {(mean_of_rows - of_batch).abs().max():.1e}, "
      f"largest entry {of_batch.abs().max():.1e}")

# %% [markdown]
# The mean of $B$ independent draws has a $B$-th of the variance of one. So single rows predict the
# variance at every batch size; that is the line in the next picture. Its first point is the
# prediction itself. Now draw real batches, with replacement, run them forward and backward, and see
# whether they land on it.

# %%
rng = np.random.default_rng(lab.seed)


def noise_of(size):
    """Mean squared distance between the gradients of random batches and the full gradient."""
    draws = (rng.integers(len(pool), size=size) for _ in range(max(16, 64 // size)))
    return float(np.mean([(gradient([pool[i] for i in rows]) - full).square().sum().item()
                          for rows in draws]))


batch_sizes = np.array([1, 2, 4, 8, 16, 32])
noise = np.array([variance] + [noise_of(size) for size in batch_sizes[1:]])
slope = np.polyfit(np.log(batch_sizes), np.log(noise), 1)[0]
print(f"slope on two logarithmic axes: {slope:.2f}; 1/B would be -1")
assert -1.3 < slope < -0.7

# %%
signal = full.square().sum().item()
figure, ax = plots.new_figure()
plots.curve(ax, batch_sizes, noise, "measured on real batches", 0, linestyle="none", markersize=8)
longer = np.append(batch_sizes, [64, 128, 256])
plots.curve(ax, longer, variance / longer, "predicted: variance of one row / B", 2,
            marker="", linestyle="-", linewidth=1)
ax.axhline(signal, color="gray", linestyle=":", label="squared length of the full gradient")
ax.set_xscale("log", base=2)
ax.set_yscale("log")
ax.set_xticks(longer, [str(b) for b in longer])
ax.minorticks_off()
ax.set(xlabel="rows per batch", ylabel="variance of the gradient",
       title=f"The noise falls as 1/B: measured slope {slope:.2f}")
ax.legend(loc="upper right")
plots.show(figure, "Variance of the gradient against batch size on logarithmic axes. "
                   "The measured points follow the line of 1/B "
                   f"from {noise[0]:.1f} at 1 row to {noise[-1]:.2f} at 32; slope {slope:.2f}.")

# %% [markdown]
# The [gradient noise scale](glossary.md#gradient-noise-scale) is where noise equals signal: the
# place where the falling line meets the dotted one. Beyond it a larger batch brings little. It is
# no setting to copy: it was measured at the start of training, on the last block and the head.
#
# > Quoted: the noise scale grows as the loss falls (McCandlish et al. 2018, abstract).

# %%
print(f"noise equals signal at a batch of about {variance / signal:.0f} rows")

# %% [markdown]
# An article lists "more stable gradient updates" as a benefit of mini-batches over
# "the entire dataset at once". It is the other way round: over the entire data set the noise is 0,
# and every mini-batch has some. Batches are steadier
# than *single rows*. What they buy is many cheap steps in place of one exact step: half the typical
# error costs four times the rows.
#
# ### Exercise 3.3 Predict the noise ●●○ 5 minutes
#
# The *typical error* of a gradient is the square root of its variance. For batches of `measured_at`
# rows you measured the error `error`. Predict it for batches of `batch_size` rows. Before you write
# code: what becomes of 0.8 at 4 rows when you take 64?

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e3_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def typical_error(batch_size, measured_at, error):
    ### BEGIN SOLUTION
    return error * (measured_at / batch_size) ** 0.5
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# From 4 to 64 rows the variance falls to a sixteenth. The error is the root of the variance.
# </details>
# <details><summary>Hint 2</summary>
#
# Multiply by the square root of `measured_at / batch_size`.
# </details>

# %% tags=["grading"]
# stands in for the measurement when the exercise is graded
noise = [0.64, 0.32, 0.16, 0.08, 0.04, 0.02]

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t3_3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("3.3 Predict the noise",
      ("a larger batch has a smaller error",
       lambda: typical_error(64, 4, 0.8) < 0.8 < typical_error(1, 4, 0.8),
       "you turned the ratio round, or left the batch size out"),
      ("0.8 at 4 rows is 0.2 at 64", lambda: abs(typical_error(64, 4, 0.8) - 0.2) < 1e-9,
       "the variance falls 16-fold, its square root 4-fold"),
      ("it fits the measurement above",
       lambda: 0.5 < typical_error(32, 2, noise[1] ** 0.5) / noise[5] ** 0.5 < 2,
       "compare with the square root of noise[5]"));
### BEGIN HIDDEN TESTS
assert abs(typical_error(16, 1, 2.0) - 0.5) < 1e-9 and abs(typical_error(1, 16, 0.5) - 2.0) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Can small batches add up to a large one?
#
# They can: a batch's gradient is the mean of its parts' gradients. [Gradient
# accumulation](glossary.md#gradient-accumulation) runs $k$ small batches, adds up their gradients
# divided by $k$, and only then makes a step. The memory is that of one small batch. The
# [effective batch size](glossary.md#effective-batch-size) is rows per batch × accumulation ×
# devices.
#
# By hand, with four batches of two rows:

# %%
def summed_gradient(parts):
    model.zero_grad()
    for rows in parts:
        # without the division the gradient is len(parts) times as long
        loss = model(**collator(rows).to(lab.device)).loss / len(parts)
        loss.backward()  # adds to .grad
    return torch.cat([p.grad.flatten() for p in watched])


once, in_parts = (summed_gradient([pool[:8]]),
                  summed_gradient([pool[i:i + 2] for i in range(0, 8, 2)]))
print(f"largest difference {(once - in_parts).abs().max():.1e}, "
      f"largest entry {once.abs().max():.1e}")
assert torch.allclose(once, in_parts, atol=1e-4 * once.abs().max().item())

# %% [markdown]
# Does the `Trainer` do the same? One step on the same eight messages in four ways, first as it
# comes, then with one line that mends it (`accepts_loss_kwargs`, explained below). Each should log
# the same loss and the same gradient norm (the gradient's length).

# %%
import gc

eight = learn.select(range(8))
ways = [(8, 1), (4, 2), (2, 4), (1, 8)]


def one_step(per_device, accumulation, mended, **changes):
    gc.collect()  # a trainer refers to itself: free the last one before the next
    model = new_model()
    if mended:
        model.accepts_loss_kwargs = False
    trainer = make_trainer(model, eight, max_steps=1, warmup_steps=0,
                           per_device_train_batch_size=per_device,
                           gradient_accumulation_steps=accumulation, **changes)
    trainer.train()
    return trainer


logs = {mended: [one_step(*way, mended).state.log_history[0] for way in ways]
        for mended in (False, True)}
for mended, rows in logs.items():
    for (per_device, accumulation), log in zip(ways, rows, strict=True):
        print(f"{'mended ' if mended else 'default'} {per_device} rows x {accumulation}: "
              f"loss {log['loss']:.4f}, gradient norm {log['grad_norm']:.4f}")

# %%
import transformers

losses = {mended: np.array([log["loss"] for log in rows]) for mended, rows in logs.items()}
norms = {mended: np.array([log["grad_norm"] for log in rows]) for mended, rows in logs.items()}
assert (np.allclose(losses[True], losses[True][0], rtol=1e-3)
        and np.allclose(norms[True], norms[True][0], rtol=1e-2))
default_is_wrong = losses[False][-1] > 1.01 * losses[False][0]
if default_is_wrong:
    assert np.allclose(losses[False] / losses[False][0], [1, 2, 4, 8], rtol=1e-3)
    assert np.allclose(norms[False] / norms[False][0], [1, 2, 4, 8], rtol=1e-2)
finding = ("multiplies loss and gradient" if default_is_wrong
           else "is right, the library has mended it")
print(f"transformers {transformers.__version__}: the default {finding}")

# %%
names = [f"{per_device} × {accumulation}" for per_device, accumulation in ways]
titles = [f"Default: the same rows, {losses[False][-1] / losses[False][0]:.0f} times the loss"
          if default_is_wrong else "Default: equal in this version",
          "accepts_loss_kwargs = False: all equal"]
figure, axes = plots.new_figure(columns=2, width=10, height=2.6)
for ax, mended, title in zip(axes, (False, True), titles, strict=True):
    plots.bars(ax, names, losses[mended])
    ax.set(xlim=(0, 1.15 * losses[False].max()), xlabel="logged loss of one step",
           ylabel="rows × accumulation", title=title)
plots.show(figure, f"Logged loss of one step on the same eight rows, for {', '.join(names)}. "
                   f"By default: {losses[False].round(2).tolist()}. "
                   f"With accepts_loss_kwargs = False: {losses[True].round(2).tolist()}.")

# %% [markdown]
# Why? The `Trainer` sees that the model's `forward` takes further keywords, hands it
# `num_items_in_batch`, the number of items in the whole group, concludes that the model divides its
# loss by that, and does not divide again. The classification head ignores the keyword. (Reported as
# transformers issue 47688.) One line mends it,
# before the `Trainer` is built:
#
# ```python
# model.accepts_loss_kwargs = False
# ```
#
# How much harm does it do? Ask how far the weights move in the step, without clipping (shortening a
# gradient that is too long), for two optimisers.

# %%
def distance_moved(*way, **changes):
    trainer = one_step(*way, mended=False, max_grad_norm=0.0, learning_rate=1e-4, **changes)
    pairs = zip(trainer.model.parameters(), new_model().parameters(), strict=True)
    return sum((after - before).square().sum().item() for after, before in pairs) ** 0.5


ratio = {optim: distance_moved(1, 8, optim=optim) / distance_moved(8, 1, optim=optim)
         for optim in ("sgd", "adamw_torch")}
print({optim: f"1 x 8 moves {r:.2f} times as far as 8 x 1" for optim, r in ratio.items()})
assert 0.8 < ratio["adamw_torch"] < 1.25
assert not default_is_wrong or 6 < ratio["sgd"] < 10

# %% [markdown]
# Plain gradient descent (SGD) moves as much too far as the gradient is too long.
# [AdamW](glossary.md#adamw) divides the gradient by its own running size, so the factor cancels
# here, in the first step, and later too as long as it stays the same. The training then looks fine,
# which makes the fault easy to overlook, while the logged loss can't be compared with the
# validation
# loss, and [gradient clipping](glossary.md#gradient-clipping) at 1.0 bites at a fraction of the
# length you set.
#
# One subtlety remains when it is mended. A mean of means is the mean of all only if the parts are
# equally large. Where the last batch of an epoch has 4 rows and its neighbour 16, each of the 4
# counts four times as much. Padding makes no such difference here: the loss is one number
# per *text*. In language
# modelling, where it is one per *token*, parts with few tokens would count too much, and for that
# `num_items_in_batch` was invented. (The distilling Trainer of lesson 02 sets
# `model_accepts_loss_kwargs` on itself: the same switch from the other side, for a Trainer that
# computes the loss.)
#
# ### Exercise 3.4 Fit the batch ●●○ 8 minutes
#
# You want an effective batch of exactly `wanted` rows; at most `fits` rows fit on a device. Return
# `(rows per device, accumulation)` with the *least* accumulation. Raise `ValueError` where the
# devices can't share the rows evenly.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e3_4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fit_batch(wanted, fits, devices=1):
    ### BEGIN SOLUTION
    for accumulation in range(1, wanted + 1):
        per_device, rest = divmod(wanted, accumulation * devices)
        if rest == 0 and per_device <= fits:
            return per_device, accumulation
    raise ValueError(f"{wanted} rows can't be shared evenly by {devices} devices")
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `rows per device * accumulation * devices` must be `wanted`, not about `wanted`. Try
# accumulation 1, 2, 3 and so on.
# </details>
# <details><summary>Hint 2</summary>
#
# `divmod(wanted, accumulation * devices)` gives the rows per device and the rest. Take the first
# accumulation with rest 0 whose rows fit.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t3_4", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def refuses_uneven():
    try:
        fit_batch(10, 8, 4)
    except ValueError:
        return True
    return False


check("3.4 Fit the batch",
      ("64 rows, 16 fit: 16 x 4", lambda: fit_batch(64, 16) == (16, 4),
       "64 = 16 x 4; smaller batches would do too, but section 5 shows that they are slower"),
      ("8 rows, 32 fit: 8 x 1", lambda: fit_batch(8, 32) == (8, 1),
       "you filled the memory; the effective batch became too large"),
      ("48 rows, 20 fit: 16 x 3", lambda: fit_batch(48, 20) == (16, 3),
       "the product must be exactly 48, and 20 x 3 is 60"),
      ("64 rows, 16 fit, 2 devices: 16 x 2", lambda: fit_batch(64, 16, 2) == (16, 2),
       "each device brings its own rows; the devices multiply too"),
      ("10 rows on 4 devices: an error", refuses_uneven,
       "10 can't be shared by 4; raise ValueError"));
### BEGIN HIDDEN TESTS
assert fit_batch(96, 10, 4) == (8, 3) and fit_batch(7, 3) == (1, 7)
### END HIDDEN TESTS

# %% [markdown]
# ## 8. In which order?
#
# Data often come sorted: first all texts of one class, then all of the other.
#
# > Quoted: in IMDb's training file on the Hub (`stanfordnlp/imdb`, `plain_text`) rows 0 to 12,499
# > are negative, rows 12,500 to 24,999 positive. `select(range(1000))` takes a thousand negative
# > ones.
#
# `load_task` shuffles before it cuts, so you don't see that here. Repeat the run of section 3 with
# the same rows, sorted by label, and nothing else changed.

# %%
watch_sorted = Watch()
sorted_run = make_trainer(new_model(), learn.sort("label"), [watch_sorted])
sorted_run.train()
one_sided = {name: float(np.mean([not 0.1 < share < 0.9 for share in watch.spam[6:]]))
             for name, watch in {"random": watch_random, "sorted": watch_sorted}.items()}
for name, watch in {"random": watch_random, "sorted": watch_sorted}.items():
    print(f"{name}: right at the end {watch.right[-1]:.0%}, "
          f"on average {np.mean(watch.right):.0%}; "
          f"in the second half, one answer for nearly all in {one_sided[name]:.0%} of the looks")

# %%
def logged(trainer, key="loss"):
    return np.array([log[key] for log in trainer.state.log_history if key in log])


# %%
leap = {name: float(np.diff(logged(run)).max())
        for name, run in {"random": random_run, "sorted": sorted_run}.items()}
assert leap["sorted"] > 2 * leap["random"], "the loss must leap where the class changes"
assert logged(sorted_run)[5] < logged(random_run)[5], (
    "before the first leap the sorted run must look better")
assert np.mean(watch_sorted.right) < np.mean(watch_random.right)
assert one_sided["sorted"] >= one_sided["random"]

# %%
figure, (left, right) = plots.new_figure(columns=2, width=10, height=3.6)
for number, (name, run, watch) in enumerate([("random", random_run, watch_random),
                                             ("sorted by label", sorted_run, watch_sorted)]):
    plots.curve(left, range(1, 25), logged(run), name, number)
    plots.curve(right, watch.steps, 100 * np.array(watch.spam), name, number)
right.axhline(50, color="gray", linestyle=":")
right.text(24, 53, "truth", ha="right", fontsize=9)
left.set(xlabel="step", ylabel="training loss",
         title=f"Sorted, the loss leaps by {leap['sorted']:.1f}")
right.set(xlabel="step", ylabel="per cent called spam", ylim=(-4, 104),
          title="One answer for nearly all, second half:\n"
                f"sorted {one_sided['sorted']:.0%} of looks, random {one_sided['random']:.0%}")
left.legend()
plots.show(figure, "Left: training loss of 24 steps; the sorted run falls smoothly "
                   f"and leaps by {leap['sorted']:.1f} where the class changes, "
                   f"the random run leaps by {leap['random']:.1f} at most. "
                   "Right: share of held-out messages called spam; in the second half "
                   f"the sorted run is at an edge in {one_sided['sorted']:.0%} of the looks, "
                   f"the random one in {one_sided['random']:.0%}.")

# %% [markdown]
# 192 rows in batches of 16 are 12 steps per pass: sorted, six of ham, then six of spam, and the
# same again. By the sixth step the sorted run has the *better-looking* training loss. It learns to
# give one answer to everything, which is right until the class changes; until that leap only
# held-out texts show it. The random run may start with one answer for all, too: compare the second
# half. It is one run of each. The default sampler is random; the error creeps in with
# `select(range(n))`, `shuffle=False` or
# an iterator over sorted files.
#
# Sorting is fine where nothing is learned. For prediction, sort by length to save padding, and put
# the answers back.
#
# ### Exercise 3.5 Put them back ●●● 10 minutes
#
# A colleague predicts in order of length. The speed is good, the accuracy that of a coin: the
# answers no longer stand beside their texts. Mend it: `predict` takes a list of texts and returns
# one number for each. It must get the texts from short to long (by `len`); your function returns
# the numbers in the order of `texts`.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e3_5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def predict_by_length(texts, predict):
    # The colleague's version: return np.array(predict(sorted(texts, key=len)))
    ### BEGIN SOLUTION
    order = np.argsort([len(text) for text in texts])
    answers = np.empty(len(texts))
    answers[order] = predict([texts[i] for i in order])
    return answers
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Keep the order in a variable. The first answer belongs to text number `order[0]`.
# </details>
# <details><summary>Hint 2</summary>
#
# `order = np.argsort(lengths)`. Make an empty array and write into it: `answers[order] = ...`.
# Reading, `answers[order]`, goes the wrong way.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t3_5", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
seen = []
mixed = ["ccc", "a", "dddd", "bb"]


def answer(batch):
    seen[:] = batch
    return np.array([10.0 * len(text) for text in batch])


check("3.5 Put them back",
      ("the model gets short texts first",
       lambda: len(predict_by_length(mixed, answer)) == 4 and seen == ["a", "bb", "ccc", "dddd"],
       "sort the texts by length before predict sees them"),
      ("the answers don't stay in order of length",
       lambda: list(predict_by_length(mixed, answer)) != [10, 20, 30, 40],
       "the k-th answer belongs to text number order[k]; put it back there"),
      ("each answer stands at its text",
       lambda: list(predict_by_length(mixed, answer)) == [30, 10, 40, 20],
       "answers[order] reads in that order; "
       "answers[order] = ... writes, and that is what puts them back"));
### BEGIN HIDDEN TESTS
assert list(predict_by_length(["xx", "xxxxx", "x", "xxxx", "xxx"], answer)) == [20, 50, 10, 40, 30]
### END HIDDEN TESTS

# %% [markdown]
# ### Question 3.6 Sorted twice ●●○ 4 minutes, in writing
#
# Section 8 warns of rows sorted by label; section 2 recommends batches grouped by length. In
# neither are the batches random. Why does the first ruin a training while the second usually
# doesn't, and with what kind of
# texts would the second do harm too?

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w3_6", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in one or two sentences.*

# %% [markdown] tags=["solution"]
# Sorted by label, every batch has one class, and its gradient pulls towards giving that answer to
# everything. Length usually says little about the label, so a batch of equally long texts still
# holds both classes. Where
# length goes with the label, as it would if all spam were longer than ham, a batch grouped by
# length leans to one class too.
#
# Two things must be in it: what harms is one class per batch, and grouping does that where length
# goes with the label.

# %% [markdown]
# ## 9. What does the Trainer do, written out?
#
# Nothing is hidden in the `Trainer`. Here is its loop in plain PyTorch: batches, forward, backward,
# clip, step, schedule. The schedule changes the learning rate after each step: here it rises from 0
# for two steps (the *warm-up*, lesson 04), then falls in a straight line to 0. It trains the same
# model on the same rows in the same order, for the first eight of the 24 steps.

# %%
from itertools import islice

from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

model = new_model().train()
loader = DataLoader(learn, batch_size=16, shuffle=False, collate_fn=collator)
optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"], weight_decay=0.0)
schedule = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=2, num_training_steps=24)


def endless(loader):
    while True:
        yield from loader  # one pass is an epoch


by_hand, norms_by_hand = [], []
for batch in islice(endless(loader), 8):
    loss = model(**batch.to(lab.device)).loss
    loss.backward()
    norms_by_hand.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    by_hand.append(loss.item())

# %% [markdown]
# Side by side with what the `Trainer` logged in section 3:

# %%
theirs, their_norms = logged(random_run)[:8], logged(random_run, "grad_norm")[:8]
for step in range(8):
    print(f"step {step + 1}: loss {by_hand[step]:.6f} by hand, {theirs[step]:.6f} Trainer; "
          f"gradient norm {norms_by_hand[step]:.4f}, {their_norms[step]:.4f}")
tolerance = 1e-4 if lab.device == "cpu" else 1e-2
assert (np.allclose(by_hand, theirs, atol=tolerance)
        and np.allclose(norms_by_hand, their_norms, rtol=100 * tolerance))

# %%
figure, ax = plots.new_figure(height=3.2)
plots.curve(ax, range(1, 25), logged(random_run), "Trainer", 0)
plots.curve(ax, range(1, 9), by_hand, "by hand", 2,
            linestyle="none", markersize=9, markerfacecolor="none")
gap = float(np.abs(np.array(by_hand) - theirs).max())
ax.set(xlabel="step", ylabel="training loss",
       title=f"Eight losses by hand: at most {gap:.0e} from the Trainer's")
ax.legend()
plots.show(figure, "Training loss over 24 steps of the Trainer, "
                   "with eight open triangles for the loop by hand on its first eight points; "
                   f"the largest difference is {gap:.0e}.")

# %% [markdown]
# Three details that usually break such a comparison:
#
# * `torch.optim.AdamW` decays weights by 0.01 unless told otherwise, the `Trainer` by 0;
# * the `Trainer` clips the gradient to length 1.0 by default;
# * in a warm-up the first step has the [learning rate](glossary.md#learning-rate) 0, so it moves
#   nothing.

# %%
rates = logged(random_run, "learning_rate")
print("learning rates of the first steps:", [f"{r:.1e}" for r in rates[:4]])
assert rates[0] == 0 and rates[1] > 0

# %% [markdown]
# Where a loop is 15 lines, why use the `Trainer`? For what isn't in those lines: checkpoints and
# resuming, 16-bit numbers, evaluation, several devices. Lesson 05 uses all but the last.
#
# ## What to remember
#
# 1. Count your tokens, then choose the limit; and ask which end of your texts matters.
# 2. Leave padding to the collator, and group by length. Padding in `map` fixes the width before
#    there are batches.
# 3. Pass the attention mask, and use it again whenever you average over tokens.
# 4. Noise falls as 1/B. Take a batch as large as still buys speed and fits in memory; reach a
#    larger one by accumulation, with `model.accepts_loss_kwargs = False`.
# 5. Shuffle. A sorted run has beautiful losses for a while, and one answer for all texts.
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | `Unable to create tensor … activate truncation and/or padding` or `expected sequence of length 4 at dim 1 (got 5)` | rows of different lengths met in one batch | pass `processing_class=tokenizer` or a collator |
# | training is much slower than the same recipe elsewhere, and `total_flos` fits 512 tokens per text | every text is padded to 512 | take `padding` out of `map` |
# | `padding="max_length"` pads nothing | the tokenizer knows no maximum | `max_length=…` |
# | a text gets another answer in another batch | the mask is missing, or you averaged over padding | pass `attention_mask`; see exercise 3.2 |
# | the training loss is 4 times the validation loss with accumulation 4 | section 7 | `model.accepts_loss_kwargs = False` |
# | `CUDA out of memory` in training | activations of a large batch | halve the batch, double `gradient_accumulation_steps` and set `model.accepts_loss_kwargs = False`; or shorten the texts |
# | a smooth loss that leaps, one class predicted | sorted rows | `shuffle(seed=…)` before `select` |
# | `loss` is `None` in your own loop | the column is called `label` | `labels`, or let `DataCollatorWithPadding` rename it |
#
# ## Further reading
#
# * Sun, Qiu, Xu, Huang 2019, *How to fine-tune BERT for text classification?*, arXiv 1905.05583:
#   head and tail of long texts.
# * McCandlish, Kaplan, Amodei et al. 2018, *An empirical model of large-batch training*,
#   arXiv 1812.06162: the gradient noise scale.
# * Smith, Kindermans, Ying, Le 2018, *Don't decay the learning rate, increase the batch size*:
#   batch and learning rate belong together. Lesson 04 goes on there.
# * Krell et al. 2021, arXiv 2107.02027: packing several texts into one row, the next step after
#   grouping by length.
# * transformers issue 47688: accumulation and the loss of classification heads.

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"{wasted['fixed']:.0%} padding at a fixed length, "
           f"{wasted['grouped by length']:.0%} grouped by length, "
           f"{faster:.1f} times as fast as padding to 512; "
           f"gradient noise falls with slope {slope:.2f}")
