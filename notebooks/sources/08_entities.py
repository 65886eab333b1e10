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
# # Who and where? Named entities
#
# A mail says who wants what, from which firm, in which town. So far a model gave one answer for a
# whole text; here it gives one for every word. You train a finder of names, measure it as the field
# does, and ask what it is worth for names that it has never met.
#
# **After this lesson you can**
#
# 1. turn labelled words into labelled pieces, and name the four traps on the way;
# 2. measure a finder by whole entities, beside three cheap rivals;
# 3. mark the names in your own texts, long ones too, and sort the errors by what went wrong.
#
# **What it costs**
#
# {{cost}}
#
# ## Setup

# %% tags=["setup"]
# {{setup}}

# %% tags=["parameters"]
profile = "auto"  # "mini", "cpu", "gpu", or "auto": gpu where CUDA and the Hub are there, else mini

# %%
from course_utils.lab import start_lab

lab = start_lab("{{lesson}}", profile)

# %% [markdown]
# ## 1. What is an entity?
#
# A [named entity](glossary.md#named-entity) is something with a name of its own: a person, a place,
# a firm, a thing that is sold. The course's `notes` were written for it, in the manner of what
# people write to themselves and to colleagues. (The profiles `cpu` and `gpu` take WNUT-17: posts
# from the web, with six kinds.)
#
# The texts come cut into words. Each word has a tag: `B-person` *begins* a person, `I-person` goes
# on *inside* one, `O` is *outside* of all. That is the [BIO scheme](glossary.md#bio-scheme).

# %%
from course_utils import plots

plots.picture("words-and-tags")

# %%
from course_utils.spans import load_spans

notes = load_spans("notes", lab.profile)
train, validation = notes["train"], notes["validation"]
names = train.features["ner_tags"].feature.names


def tags_of(split):
    """One list of tags for each note: ["O", "B-person", ...]."""
    return [[names[tag] for tag in row] for row in split["ner_tags"]]


print(*names)
for word, tag in zip(train[0]["tokens"], tags_of(train)[0]):
    print(f"{word}/{tag}", end=" ")

# %% [markdown]
# Tags are for the machine; people want entities. This function reads them off. An entity is its
# first word, one past its last, and its kind. (An `I-` that follows nothing of its kind begins an
# entity, as in the field's usual scorer, *seqeval*.)

# %%
def spans(tags):
    """The entities in a list of tags: a set of (first word, one past the last, kind)."""
    found, start = set(), None
    for i, tag in enumerate([*tags, "O"]):
        if start is not None and (tag[0] != "I" or tag[2:] != tags[start][2:]):
            found.add((start, i, tags[start][2:]))
            start = None
        if start is None and tag != "O":
            start = i
    return found


# %% [markdown]
# And this one writes a note as a page, with a frame around each entity and its kind below the line.

# %%
import re
from html import escape

from IPython.display import HTML, display


def marked(tokens, entities):
    """A note as HTML, every entity in a frame."""
    words = [escape(word, quote=False) for word in tokens]
    for start, end, kind in entities:
        words[start] = f'<b style="border: 1px solid; padding: 0 3px">{words[start]}'
        words[end - 1] += f"</b><sub>{kind}</sub>"
    return re.sub(r" (?=[.,:;!?)']|</b>)", "", " ".join(words))


display(HTML("<br>".join(marked(row["tokens"], spans(tags))
                         for row, tags in zip(train.select(range(6)), tags_of(train)))))

# %%
import numpy as np

truth = [spans(tags) for tags in tags_of(validation)]
share_outside = np.mean([tag == "O" for tags in tags_of(validation) for tag in tags])
plots.finding(
    f"{share_outside:.0%} of the validation words are outside every name, and "
    f"{np.mean([not entities for entities in truth]):.0%} of the notes have no name at all. So "
    f"“O” for every word is right {share_outside:.0%} of the time, and finds nothing.")

# %% [markdown]
# ## 2. What counts as found?
#
# An accuracy over words rewards silence. So count *entities*: one is found if both borders **and**
# the kind are right. Half a name is no name: who asks for Marta Oyelaran isn't served by Marta.

# %%
plots.picture("four-errors")

# %% [markdown]
# Precision is the share of claimed entities that are there, recall the share of those there that
# are found, and [F1](glossary.md#f1) joins them (lesson [06](06_evaluation.ipynb)). Counted over
# all notes together, that is [entity F1](glossary.md#entity-f1).

# %%
def counts(truth, claimed):
    """For each note: entities found, entities there, entities claimed; shape (notes, 3)."""
    return np.array([(len(t & c), len(t), len(c)) for t, c in zip(truth, claimed, strict=True)])


def f1(counts):
    found, there, claimed = counts.sum(axis=0)
    return 2 * found / max(there + claimed, 1)


# %% tags=["assert"]
assert spans(["B-a", "I-a", "O", "B-b"]) == {(0, 2, "a"), (3, 4, "b")}
assert spans(["B-a", "B-a"]) == {(0, 1, "a"), (1, 2, "a")}  # side by side
assert spans(["O", "I-a", "I-b"]) == {(1, 2, "a"), (2, 3, "b")} and spans([]) == set()
hand = counts([{(0, 2, "a"), (3, 4, "b")}, set()], [{(0, 1, "a"), (3, 4, "b")}, {(0, 1, "a")}])
assert hand.tolist() == [[1, 2, 2], [0, 0, 1]] and f1(hand) == 0.4 and f1(hand[1:]) == 0
assert share_outside > 0.6 and f1(counts(truth, [set() for _ in truth])) == 0

# %% [markdown]
# ### Exercise 8.1 Which kind is hard? ●●○ 8 minutes
#
# One F1 hides which kind is hard. Write the function now; after section 6 call it with `truth` and
# `claimed`. Section 7 shows the F1 of each kind; yours says whether too much is claimed (a low
# precision) or too little is found (a low recall). The answer for the hardest kind is in section 7,
# to compare. Return a dictionary: for every kind that is there or claimed, the pair (precision,
# recall). `truth` and `claimed` hold one set of entities for each note, as `truth` above. Where
# there is nothing to divide by, the share is 0.0.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e8_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def scores_by_kind(truth, claimed):
    ### BEGIN SOLUTION
    there = {(note, *entity) for note, entities in enumerate(truth) for entity in entities}
    said = {(note, *entity) for note, entities in enumerate(claimed) for entity in entities}
    out = {}
    for kind in {entity[-1] for entity in there | said}:
        t = {entity for entity in there if entity[-1] == kind}
        c = {entity for entity in said if entity[-1] == kind}
        out[kind] = (len(t & c) / len(c) if c else 0.0, len(t & c) / len(t) if t else 0.0)
    return out
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Count three numbers for each kind: found, there, claimed. Count note by note: the same place in
# two notes is two entities.
# </details>
# <details><summary>Hint 2</summary>
#
# `t & c` holds what is found in one note; the kind is the last item of an entity. Precision divides
# by what is claimed, recall by what is there.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t8_1", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
from course_utils.exercises import check


def pair(truth, claimed, kind):
    return tuple(round(float(share), 6) for share in scores_by_kind(truth, claimed)[kind])


there = [{(0, 1, "person"), (4, 6, "town")}, {(0, 1, "person"), (2, 3, "person")}]
said = [{(0, 1, "person"), (4, 5, "town")}, {(2, 3, "person"), (5, 6, "firm")}]
check("8.1 Which kind is hard?",
      ("all claimed persons are persons, two of three are found",
       lambda: pair(there, said, "person") == (1.0, 0.666667),
       "persons: 2 found, 2 claimed, 3 there; precision comes first; count note by note"),
      ("half a town is no town", lambda: pair(there, said, "town") == (0.0, 0.0),
       "an entity is found only if both borders and the kind are right"),
      ("a kind that is only claimed is in it", lambda: pair(there, said, "firm") == (0.0, 0.0),
       "take the kinds of both lists; nothing to divide by gives 0.0"),
      ("a kind that is only there is in it too",
       lambda: pair(there, [set(), set()], "town") == (0.0, 0.0),
       "take the kinds of both lists; nothing to divide by gives 0.0"),
      ("the same place with another kind is not found",
       lambda: pair([{(0, 1, "town")}], [{(0, 1, "firm")}], "town") == (0.0, 0.0),
       "compare the kind as well as the borders"),
      ("no other kinds", lambda: set(scores_by_kind(there, said)) == {"person", "town", "firm"},
       "one entry for each kind that occurs, and no more"),
      ("it counts what it is given",
       lambda: pair([{(3, 4, "x")}], [{(3, 4, "x"), (7, 9, "x")}], "x") == (0.5, 1.0),
       "one of two claims is right, and all that is there is found"));
### BEGIN HIDDEN TESTS
assert pair([{(1, 2, "a")}] * 3, [{(1, 2, "a")}, set(), {(1, 3, "a")}], "a") == (0.5, 0.333333)
assert scores_by_kind([set()], [set()]) == {}
### END HIDDEN TESTS

# %% [markdown]
# ## 3. What does it have to beat?
#
# Three rivals that train in seconds. **A list**: every name of the training notes, looked up as it
# is written there.

# %%
from collections import Counter, defaultdict

met = defaultdict(Counter)  # each training name, with the kinds that it had
for tokens, tags in zip(train["tokens"], tags_of(train)):
    for start, end, kind in spans(tags):
        met[tuple(tokens[start:end])][kind] += 1
known = {name: kinds.most_common(1)[0][0] for name, kinds in met.items()}
longest = max(map(len, known))


def from_list(tokens):
    """Tags of the names met in training; of two that begin at one word the longer."""
    tags = ["O"] * len(tokens)
    for start in range(len(tokens)):
        for end in range(min(start + longest, len(tokens)), start, -1):
            kind = known.get(tuple(tokens[start:end]))
            if kind and tags[start] == "O":
                tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
                break
    return tags


# %% [markdown]
# **A rule**: words with a capital, unless they begin a sentence or are all in capitals ("I", "OK").
# It calls them all the commonest kind.

# %%
commonest = Counter(known.values()).most_common(1)[0][0]


def by_capitals(tokens):
    """Tags of the runs of words that begin with a capital inside a sentence."""
    tags, before = [], "."
    for word in tokens:
        name = word[:1].isupper() and not word.isupper() and before not in {".", "!", "?"}
        tags.append((f"I-{commonest}" if tags and tags[-1] != "O" else f"B-{commonest}")
                    if name else "O")
        before = word
    return tags


# %% [markdown]
# **Word features**: what people used before networks. For each word it sees the word, its
# neighbours, its last letters, and where the capitals are; logistic regression gives the tag.

# %%
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def shape(word):
    return ("CAPITALS" if word.isupper() else "Capital" if word[:1].isupper()
            else "number" if word[:1].isdigit() else "small")


def features(tokens):
    around = ["<start>", *tokens, "<end>"]
    return [{"word": word.lower(), "end": word[-3:].lower(), "shape": shape(word),
             "before": a.lower(), "after": b.lower(), "shapes": shape(a) + shape(word) + shape(b)}
            for a, word, b in zip(around, tokens, around[2:])]


classifier = make_pipeline(DictVectorizer(), LogisticRegression(C=10, max_iter=300))
classifier.fit([word for tokens in train["tokens"] for word in features(tokens)],
               [tag for tags in tags_of(train) for tag in tags]);

# %%
rivals = {"always O": lambda tokens: ["O"] * len(tokens), "names in a list": from_list,
          "capitals": by_capitals,
          "word features": lambda tokens: classifier.predict(features(tokens)).tolist()}


def judge(tagged, split):
    """Accuracy over words, and the counts of entities for each note."""
    right = np.mean(np.concatenate(tagged) == np.concatenate(tags_of(split)))
    return right, counts(map(spans, tags_of(split)), map(spans, tagged))


words = validation["tokens"][:]
judged = {name: judge([rival(tokens) for tokens in words], validation)
          for name, rival in rivals.items()}
best = max(rivals, key=lambda name: f1(judged[name][1]))

# %%
plots.finding(f"“Always O” has {judged['always O'][0]:.0%} of the words right and an entity F1 of "
              f"0. The strongest rival is “{best}”, with an F1 of {f1(judged[best][1]):.2f}.")

# %% tags=["assert"]
assert f1(judged["always O"][1]) == 0 and f1(judged[best][1]) > 0.05

# %% [markdown]
# ## 4. From words to pieces
#
# DistilBERT (on `mini` its small relative, mini-distilbert) reads pieces: its
# [tokenizer](glossary.md#tokenizer) cuts rare words, and names are rare words. So there are more
# pieces than tags. **The first trap** is quiet: a list of words looks like a list of texts.

# %%
from transformers import AutoTokenizer, utils

utils.logging.set_verbosity_error()
tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
sentence = "Ring Marta Oyelaran at Kelso Medical about the kettle"
note = sentence.split()
print("rows without is_split_into_words:", len(tokenizer(note)["input_ids"]))
encoded = tokenizer(note, is_split_into_words=True)
print(*[f"{piece}:{word}" for piece, word in zip(encoded.tokens(), encoded.word_ids())])

# %% tags=["assert"]
assert len(tokenizer(note)["input_ids"]) == len(note) and max(encoded.word_ids()[1:-1]) == 8

# %% [markdown]
# With `is_split_into_words=True` it is one text, and `word_ids()` says for each piece which word it
# comes from. The tag goes to the *first* piece of each word. All others, and `[CLS]` and `[SEP]`,
# get the label −100, which the loss leaves out.

# %%
plots.picture("pieces-and-labels")

# %%
def encode(row, limit=lab.profile.max_length):
    """A note as pieces; the first piece of each word has its tag, every other piece −100."""
    encoded = tokenizer(row["tokens"], is_split_into_words=True, truncation=True, max_length=limit)
    pieces = encoded.word_ids()
    encoded["labels"] = [-100 if word is None or word == before else row["ner_tags"][word]
                         for before, word in zip([None, *pieces], pieces)]
    return encoded


tokenized = train.map(encode, remove_columns=train.column_names)

# %% [markdown]
# **The second trap.** What if you hand over the tags as they are, one a word? The
# [collator](glossary.md#collator) fills up what is missing, and nothing complains.

# %%
from transformers import DataCollatorForTokenClassification

collator = DataCollatorForTokenClassification(tokenizer)
shifted = [{"input_ids": a["input_ids"], "labels": b}
           for a, b in zip(tokenized, train["ner_tags"])]
print({name: tuple(tensor.shape) for name, tensor in collator(shifted[:16]).items()})
right, wrong = (collator([*rows])["labels"].numpy() for rows in (tokenized, shifted))
at_names = right > 0  # the first pieces of words in names; O has number 0
spoiled = np.mean(right[at_names] != wrong[at_names])

# %%
plots.finding(f"No error and no warning, yet {spoiled:.0%} of the words in names would train with "
              "another word's tag: [CLS] moves all tags by one place, each cut word moves the rest "
              "by more.")

# %% tags=["assert"]
read = tokenizer(train["tokens"][:], is_split_into_words=True, truncation=True,
                 max_length=lab.profile.max_length)
assert names[0] == "O" and spoiled > 0.3
assert at_names.sum() == sum(tag > 0 and word in set(read.word_ids(i))
                             for i, row in enumerate(train["ner_tags"])
                             for word, tag in enumerate(row))

# %% [markdown]
# **The third trap**: words vanish. The tokenizer throws invisible characters away, so a word made
# of nothing else has no piece. If you count pieces yourself instead of using `word_ids`, every
# later tag is wrong. **The fourth**: a limit cuts words off without a message. (The last limit
# below is this lesson's own.)

# %%
hidden = ["Ring", "\u200b", "Marta"]  # the second is a zero-width space, as web pages have them
print(tokenizer(hidden, is_split_into_words=True).word_ids(), "· no piece is of word 1")
lost = {}
for limit in (16, 32, lab.profile.max_length):
    read = tokenizer(words, is_split_into_words=True, truncation=True, max_length=limit)
    lost[limit] = np.mean([end - 1 not in read.word_ids(i) for i, entities in enumerate(truth)
                           for _, end, _ in entities])
    print(f"limit {limit}: {lost[limit]:.1%} of the validation names are cut off")

# %% tags=["assert"]
assert tokenizer(hidden, is_split_into_words=True).word_ids() == [None, 0, 2, None]
assert lost[16] >= lost[32] >= lost[lab.profile.max_length]

# %% [markdown]
# ### Exercise 8.2 A tag for every piece ●●○ 7 minutes
#
# Some projects label *all* pieces of a word instead of the first alone. The name still begins once:
# after a `B-person` the word's later pieces are `I-person`. Write this. `word_ids` is what the
# tokenizer gives, `tags` has one tag a word. Return a new list with a tag for each piece, and
# `None` where a piece belongs to no word.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e8_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def tags_for_pieces(word_ids, tags):
    ### BEGIN SOLUTION
    out, before = [], None
    for word in word_ids:
        if word is None:
            out.append(None)
        elif word == before:
            out.append(tags[word].replace("B-", "I-", 1))
        else:
            out.append(tags[word])
        before = word
    return out
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Walk through `word_ids` and remember the one before. The same number again means: another piece of
# the same word.
# </details>
# <details><summary>Hint 2</summary>
#
# The number is the place of the tag: `tags[word]`. Don't count words yourself; one may be missing.
# `"I-" + tag[2:]` turns a beginning into an inside, but leave `O` alone.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t8_2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def leaves_tags_alone():
    tags = ["B-person", "O"]
    tags_for_pieces([None, 0, 0, 1, None], tags)
    return tags == ["B-person", "O"]


check("8.2 A tag for every piece",
      ("one piece a word: the tags themselves",
       lambda: tags_for_pieces([0, 1], ["O", "B-town"]) == ["O", "B-town"],
       "the number in word_ids is the place of the word's tag"),
      ("[CLS] and [SEP] get None",
       lambda: tags_for_pieces([None, 0, None], ["B-town"]) == [None, "B-town", None],
       "a piece of no word has None in word_ids, and gets None"),
      ("a name begins once",
       lambda: tags_for_pieces([0, 0, 0], ["B-town"]) == ["B-town", "I-town", "I-town"],
       "with B- on every piece one town would become three"),
      ("the later pieces of an I- and of an O stay what they are",
       lambda: tags_for_pieces([0, 0, 1, 1], ["I-firm", "O"]) == ["I-firm", "I-firm", "O", "O"],
       "only a B- changes; O has no kind"),
      ("two names side by side", lambda: tags_for_pieces([0, 1, 1], ["B-firm", "B-firm"])
       == ["B-firm", "B-firm", "I-firm"], "a new word with a B- begins a new name"),
      ("a word that vanished shifts nothing",
       lambda: tags_for_pieces([None, 0, 2, None], ["O", "B-town", "B-firm"])
       == [None, "O", "B-firm", None], "ask word_ids for the word, don't count"),
      ("the tags that it got stay as they were", leaves_tags_alone, "build a new list"));
### BEGIN HIDDEN TESTS
assert tags_for_pieces([None, 1, 1, 3, None, None], ["O", "B-a", "O", "I-b"]) == [
    None, "B-a", "I-a", "I-b", None, None] and tags_for_pieces([], []) == []
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Train
#
# The head gives every piece one number per tag. All else is as in lesson
# [05](05_training.ipynb), except that the program below sets more epochs and a higher rate than
# the profile has. Lesson [04](04_hyperparameters.ipynb) shows how such settings are found.

# %%
from transformers import AutoModelForTokenClassification, Trainer, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback

from course_utils.timing import estimate_training


# %%
def fine_tune(rows, checkpoint=lab.checkpoint, revision=lab.revision, epochs=5):
    set_seed(lab.seed)
    model = AutoModelForTokenClassification.from_pretrained(
        checkpoint, revision=revision, use_safetensors=True, num_labels=len(names),
        id2label=dict(enumerate(names)))
    settings = TrainingArguments(
        str(lab.workdir / "finder"), num_train_epochs=epochs, seed=lab.seed, warmup_steps=0.1,
        learning_rate=3 * lab.profile.learning_rate,
        per_device_train_batch_size=lab.profile.batch_size,
        train_sampling_strategy="group_by_length", save_strategy="no", logging_strategy="no",
        report_to="none", disable_tqdm=True, **lab.precision_arguments)
    trainer = Trainer(model, settings, train_dataset=rows, processing_class=tokenizer,
                      data_collator=collator)
    trainer.remove_callback(PrinterCallback)
    estimate_training(trainer)
    trainer.train()
    return trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)


# %%
model = fine_tune(tokenized)

# %% [markdown]
# Back from pieces to words: a word gets what its first piece says. The loop goes from the last
# piece to the first, so a word's first piece writes last, and its tag stays. A word that the model
# never saw stays `O`.

# %%
import torch


@torch.no_grad()
def tag(model, notes, batch_size=32):
    """One list of tags for each note, a list of words."""
    model.eval()
    out = [["O"] * len(tokens) for tokens in notes]
    for start in range(0, len(notes), batch_size):
        inputs = tokenizer(notes[start:start + batch_size], is_split_into_words=True, padding=True,
                           truncation=True, max_length=lab.profile.max_length, return_tensors="pt")
        answers = model(**inputs.to(model.device)).logits.argmax(-1).tolist()
        for i, row in enumerate(answers):
            for word, answer in reversed(list(zip(inputs.word_ids(i), row))):
                if word is not None:
                    out[start + i][word] = names[answer]
    return out


# %%
from course_utils.metrics import bootstrap_interval

tagged = tag(model, words)
judged["DistilBERT"] = judge(tagged, validation)


def gap(a, b):
    return f1(a) - f1(b)


mine, theirs = judged["DistilBERT"][1], judged[best][1]
lead, (low, high) = gap(mine, theirs), bootstrap_interval(gap, mine, theirs)

# %%
figure, (left, right_ax) = plots.new_figure(columns=2, width=10, height=2.7)
plots.bars(left, list(judged), [accuracy for accuracy, _ in judged.values()], fmt="{:.1%}")
plots.bars(right_ax, list(judged), [f1(found) for _, found in judged.values()],
           [bootstrap_interval(f1, found) for _, found in judged.values()])
right_ax.set_yticks(range(len(judged)), [""] * len(judged))
left.set(title=f"By words “always O” has {judged['always O'][0]:.0%}",
         xlabel="words with the right tag")
right_ax.set(title=f"By entities: {f1(mine):.2f} against {f1(theirs):.2f}",
             xlabel="entity F1; 95 % interval over notes")
plots.show(figure, "Bars for five methods on validation. " + "; ".join(
    f"{name}: {accuracy:.1%} of the words, entity F1 {f1(found):.2f}"
    for name, (accuracy, found) in judged.items()) + ".")

# %%
plots.finding(
    f"On validation DistilBERT's entity F1 is {f1(mine):.2f}; that of “{best}” is "
    f"{f1(theirs):.2f}. The difference, note by note, is {lead:+.2f} [{low:+.2f}, {high:+.2f}]: "
    + ("DistilBERT is ahead beyond chance." if low > 0 else "the rival is ahead beyond chance."
       if high < 0 else "the difference could be chance.")
    + " (The chance of which notes were drawn: this is one training, with one seed.)")

# %% tags=["assert"]
assert f1(mine) > 0.1 and judged["DistilBERT"][0] > judged["always O"][0]
again = tag(model, words[:1])[0]
assert again == tagged[0] and len(again) == len(words[0])

# %% [markdown]
# ## 6. A page with the names marked
#
# No number replaces reading. First sentences of your own, with a space before each punctuation
# mark, as the notes are cut. Then the validation notes with the most errors: on top what is true,
# below what DistilBERT says.

# %%
sentences = ["Rose watered the roses at Kew Gardens before Bill paid the bill .",
       "please send the zafira back to oyelaran & sons in leeds"]
sentences = [text.split() for text in sentences]
claimed = [spans(tags) for tags in tagged]
worst = sorted(range(len(words)), key=lambda i: -len(truth[i] ^ claimed[i]))[:5]
lines = [marked(tokens, spans(tags)) for tokens, tags in zip(sentences, tag(model, sentences))]
for i in worst:
    lines += [f"<hr>true: {marked(words[i], truth[i])}", f"said: {marked(words[i], claimed[i])}"]
display(HTML("<br>".join(lines)))

# %% [markdown]
# Which of these would a colleague have marked otherwise, too? Labels follow rules that somebody
# wrote (for the course's notes in the [data's card](../data/notes/README.md)), and some errors are
# disputes.
#
# ## 7. Where does it go wrong?
#
# Sort what went wrong into four boxes, for DistilBERT and for the best rival. Border, kind and
# missed count true names; invented counts claims that touch none. A wrong border goes under border,
# even if the kind is wrong too.

# %%
def sort_errors(truth, claimed):
    """How many entities of one note have which fate."""
    def touches(a, b):
        return a[0] < b[1] and b[0] < a[1]

    fate = Counter(found=len(truth & claimed))
    for entity in truth - claimed:
        near = [other for other in claimed if touches(entity, other)]
        fate["kind" if any(other[:2] == entity[:2] for other in near)
             else "border" if near else "missed"] += 1
    fate["invented"] = sum(not any(touches(entity, other) for other in truth)
                           for entity in claimed)
    return fate


strongest = rivals[best]
rival_claims = [spans(strongest(tokens)) for tokens in words]
fates = {name: sum((sort_errors(t, c) for t, c in zip(truth, claims)), Counter())
         for name, claims in (("DistilBERT", claimed), (best, rival_claims))}

# %%
boxes = ("border", "kind", "missed", "invented")
figure, ax = plots.new_figure(width=8, height=2.8)
for number, (name, fate) in enumerate(fates.items()):
    heights = [fate[box] for box in boxes]
    bars = ax.bar(np.arange(4) + 0.4 * number, heights, 0.38, label=name, hatch=["", "//"][number],
                  color=[plots.COLOURS[0], plots.LIGHT][number], edgecolor="white")
    ax.bar_label(bars)
ax.set_xticks(np.arange(4) + 0.2, boxes)


def more_or_fewer(box):
    ours, theirs = (fate[box] for fate in fates.values())
    return "fewer" if ours < theirs else "more" if ours > theirs else "no fewer"


misses, invents = map(more_or_fewer, ("missed", "invented"))
ax.set(ylabel="entities", title=f"DistilBERT misses {misses} names than the rival, "
       f"{'and' if misses == invents else 'but'} invents {invents}")
ax.margins(y=0.12)
ax.legend()
plots.show(figure, "Errors by kind on validation. " + " ".join(
    f"{name}: " + ", ".join(f"{box} {fate[box]}" for box in boxes) + "."
    for name, fate in fates.items()))

# %%
half = fates["DistilBERT"]["border"] + fates["DistilBERT"]["kind"]
plots.finding(
    f"DistilBERT finds {fates['DistilBERT']['found']} of {sum(map(len, truth))} names, the rival "
    f"{fates[best]['found']}. For {half} more DistilBERT sees that a name is there, and gets a "
    f"border or the kind wrong; it misses {fates['DistilBERT']['missed']} and invents "
    f"{fates['DistilBERT']['invented']} (rival: {fates[best]['missed']} and "
    f"{fates[best]['invented']}).")


# %%
def only(kind, entities):
    return [{entity for entity in note if entity[2] == kind} for note in entities]


by_kind = {kind: f1(counts(only(kind, truth), only(kind, claimed)))
           for kind in {entity[2] for note in truth for entity in note}}
ranked = sorted(by_kind, key=by_kind.get, reverse=True)
sizes = {kind: sum(map(len, only(kind, truth))) for kind in ranked}
hardest = ranked[-1]
found_n, there_n, claimed_n = counts(only(hardest, truth), only(hardest, claimed)).sum(axis=0)
plots.finding(
    "DistilBERT's entity F1 by kind: " + ", ".join(
        f"{kind} {by_kind[kind]:.2f} ({sizes[kind]} names)" for kind in ranked)
    + f". The one F1 over all hides a gap of {by_kind[ranked[0]] - by_kind[hardest]:.2f}. Of the "
    f"hardest kind, {hardest}, {there_n} names are there, {claimed_n} are claimed and {found_n} "
    f"found: precision {found_n / max(claimed_n, 1):.2f}, recall {found_n / there_n:.2f}.")

# %% tags=["assert"]
assert sum(sizes.values()) == sum(map(len, truth))
assert min(by_kind.values()) <= f1(counts(truth, claimed)) <= max(by_kind.values())
for fate in fates.values():
    assert sum(fate[box] for box in ("found", "border", "kind", "missed")) == sum(map(len, truth))

# %% [markdown]
# Each box suggests what to try first. Missed names: more examples of that kind. Borders: read them;
# where two people would differ, write a clearer rule, where the model broke a name, label more long
# ones. Kinds: where the sentence doesn't tell, a list of your customers may. Invented names: the
# next section tries a filter.
#
# ## 8. What does *uncased* cost?
#
# This DistilBERT reads small letters only: *Rose* and *rose* are one word to it, and a capital,
# which tells so much about names, is thrown away. What does that bring, and what does it cost? For
# the first, judge again on the same notes in small letters. For the second, throw out what
# DistilBERT claims without a capital.

# %%
small = [[word.lower() for word in tokens] for tokens in words]
lowered = {"DistilBERT": f1(judge(tag(model, small), validation)[1])}
for name in ("word features", "capitals"):
    rival = rivals[name]
    lowered[name] = f1(judge([rival(tokens) for tokens in small], validation)[1])
for name, score in lowered.items():
    print(f"{name:14} F1 {f1(judged[name][1]):.2f} as written, {score:.2f} in small letters")

# %%
with_capital = [{e for e in entities if any(map(str.isupper, "".join(tokens[e[0]:e[1]])))}
                for tokens, entities in zip(words, claimed)]
dropped = sum(map(len, claimed)) - sum(map(len, with_capital))
bare = np.mean([not any(map(str.isupper, "".join(words[i][start:end])))
                for i, entities in enumerate(truth) for start, end, _ in entities])
strict = counts(truth, with_capital)
change, ends = gap(strict, mine), bootstrap_interval(gap, strict, mine)
plots.finding(
    f"In small letters “word features”, which learned to lean on capitals, goes from "
    f"{f1(judged['word features'][1]):.2f} to {lowered['word features']:.2f}. "
    f"DistilBERT stays at {lowered['DistilBERT']:.2f}: it never saw the capitals. {dropped} of "
    f"its claims have no capital; of the true names here {bare:.0%} have none. Without those "
    "claims its F1 changes by "
    f"{change:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}]. "
    + ("Looking at capitals afterwards pays on these notes, beyond chance." if ends[0] > 0 else
       "Looking at capitals afterwards does harm on these notes, beyond chance." if ends[1] < 0
       else "That could be chance."))

# %% tags=["assert"]
assert abs(lowered["DistilBERT"] - f1(mine)) < 0.02 and lowered["capitals"] < 0.02
assert tokenizer("Rose")["input_ids"] == tokenizer("rose")["input_ids"]

# %% [markdown]
# Small letters can't change what an uncased model says. How it serves people who really type so,
# section 10 shows: on `mini` on one such writer, in WNUT-17, which doesn't say who wrote what, on
# the names in small letters. Leave that filter off for such people: it throws every name out. What
# a *cased* model gains isn't measured here: train `distilbert-base-cased`, with its own tokenizer,
# on the same notes and compare. What this section says of small letters then no longer holds.
#
# ## 9. Your own texts, and long ones
#
# For a plain string there is the `pipeline`. It cuts the text itself and gives places in
# characters. `aggregation_strategy` says how pieces become names. Only first pieces were trained,
# so nothing holds the later ones to the right tag, and one wrong `B-` is enough to cut a name in
# two. `"simple"` believes them; `"first"` leaves out those with `##`.
#
# One gap remains. The pipeline takes each part beside a punctuation mark for a word: *Lane-Reid*
# has three. If your labels count it as one, the parts after the first are untrained, and `"first"`
# believes them all the same. So cut your words at punctuation before you label them, or use `tag`,
# which goes by your words.

# %%
from transformers import pipeline

folder = lab.workdir / "names"
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)


def finder(how="first", **more):
    return pipeline("token-classification", model=str(folder), device=lab.device,
                    aggregation_strategy=how, **more)


for how in ("none", "simple", "first"):
    print(f"{how:6}", [(a["word"], a.get("entity_group", a.get("entity")))
                       for a in finder(how)(sentence)])

# %%
def in_characters(tokens, entities):
    """The entities' places in the text that the words make, joined by spaces."""
    begin = np.cumsum([0, *(len(word) + 1 for word in tokens)]).tolist()
    return {(begin[start], begin[end] - 1, kind) for start, end, kind in entities}


some = range(min(60, len(words)))
there, joined = [in_characters(words[i], truth[i]) for i in some], {}
for how in ("simple", "first"):
    claims = [{(a["start"], a["end"], a["entity_group"]) for a in answers}
              for answers in finder(how)([" ".join(words[i]) for i in some])]
    joined[how] = f1(counts(there, claims))
better = max(joined, key=joined.get)
by_words = f1(counts(there, [in_characters(words[i], claimed[i]) for i in some]))
plots.finding(f"Entity F1 on {len(some)} notes: “simple” {joined['simple']:.2f}, “first” "
              f"{joined['first']:.2f}. " + (
                  "Pieces that were never trained spoil names." if better == "first" else
                  "Here the untrained pieces do no harm.")
              + f" `tag`, which goes by the words of the notes, has {by_words:.2f} on them.")

# %% [markdown]
# And a long text? The model has 512 places. Join notes to a text of more pieces, and see where the
# pipeline finds names.

# %%
text = " ".join(" ".join(tokens) for tokens in words)[:8000]
offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
edge = offsets[511][0]  # where the first piece begins that no longer fits beside [CLS] and [SEP]
behind = {}
for name, more in {"plain": {}, "stride": {"stride": 64}}.items():
    said = {(a["start"], a["end"], a["entity_group"]) for a in finder(**more)(text)}
    behind[name] = {entity for entity in said if entity[0] >= edge}
    print(f"{name:6} {len(said):3d} names claimed, {len(behind[name])} of them behind the limit")

# %%
def behind_edge(rows):
    """The entities behind the limit, in characters, from one list of tags for each note."""
    entities = in_characters([word for row in words for word in row],
                             spans([label for row in rows for label in row]))
    return {entity for entity in entities if edge <= entity[0] and entity[1] <= len(text)}


real, alone = behind_edge(tags_of(validation)), behind_edge(tagged)
in_windows, by_note = (f1(counts([real], [claims])) for claims in (behind["stride"], alone))
plots.finding(f"Behind the limit of a text of {len(offsets):,} pieces stand {len(real)} names. The "
              f"plain pipeline claims {len(behind['plain'])} there, without a warning. With "
              f"`stride` it reads windows that overlap, and claims {len(behind['stride'])}: "
              f"{len(real & behind['stride'])} have the right borders and kind, an F1 of "
              f"{in_windows:.2f}. Note by note, {len(alone)} are claimed and {len(real & alone)} "
              f"right: {by_note:.2f}.")

# %% tags=["assert"]
assert len(offsets) > 1000 and not behind["plain"] and real & behind["stride"]
assert tokenizer.model_max_length == 512 and joined["first"] > joined["simple"] - 0.02

# %% [markdown]
# The model learned from single notes, and a window of 512 pieces is no such text. So where a text
# has lines or sentences, read these and compare; keep `stride` for one that is too long by itself.
#
# ### Exercise 8.3 Join the windows ●●● 12 minutes
#
# `stride` must settle what two overlapping windows say of a word. The pipeline keeps the longer of
# two names that overlap; here is another rule, word by word. A long note was cut into windows that
# overlap, and each has its tags. `windows` is a list of pairs (number of the first word, tags). A
# word near a window's edge lacks its neighbours; so take each word's tag from the window in which
# it is *furthest from the nearer edge*, and from the earlier one of equals. Return `length` tags,
# `O` where no window is.

# %% tags=["exercise"] nbgrader={"grade": false, "grade_id": "e8_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def join_windows(length, windows):
    ### BEGIN SOLUTION
    out, depth = ["O"] * length, [-1] * length
    for start, tags in windows:
        for place, tag in enumerate(tags):
            deep = min(place, len(tags) - 1 - place)
            if deep > depth[start + place]:
                out[start + place], depth[start + place] = tag, deep
    return out
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Word number `start + place` is `place` words from the window's left edge and `len(tags) - 1 -
# place` from its right one. The smaller of the two counts.
# </details>
# <details><summary>Hint 2</summary>
#
# Keep two lists of `length`: the tags so far, and how deep the window was that gave each (begin
# with −1). Replace a tag only if the new window is deeper.
# </details>

# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t8_3", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
two = [(0, ["a0", "a1", "a2", "a3", "a4"]), (2, ["b2", "b3", "b4", "b5", "b6"])]


def leaves_windows_alone():
    given = [(0, ["x", "y"]), (1, ["z", "w"])]
    join_windows(3, given)
    return given == [(0, ["x", "y"]), (1, ["z", "w"])]


check("8.3 Join the windows",
      ("one window: its own tags",
       lambda: join_windows(3, [(0, ["x", "y", "z"])]) == ["x", "y", "z"],
       "return a list with one tag for each word"),
      ("side by side: one after the other",
       lambda: join_windows(4, [(0, ["x", "y"]), (2, ["z", "w"])]) == ["x", "y", "z", "w"],
       "a window's first word is the number given beside its tags"),
      ("as many tags as words", lambda: len(join_windows(7, two)) == 7,
       "overlapping words must not be there twice"),
      ("in the overlap the deeper window counts",
       lambda: join_windows(7, two) == ["a0", "a1", "a2", "a3", "b4", "b5", "b6"],
       "word 2 is in the middle of the first window and at the edge of the second, "
       "word 4 the other way round; word 3 is equally deep in both, so the earlier one counts"),
      ("also if the later window comes first",
       lambda: join_windows(7, two[::-1])[2] == "a2" and join_windows(7, two[::-1])[4] == "b4",
       "compare the depths; no window is right by its place in the list"),
      ("what no window covers is O", lambda: join_windows(4, [(1, ["x"])]) == ["O", "x", "O", "O"],
       "begin with O for every word"),
      ("the windows stay as they were", leaves_windows_alone, "build a new list"));
### BEGIN HIDDEN TESTS
assert join_windows(5, [(0, list("abc")), (1, list("defg"))]) == ["a", "b", "e", "f", "g"]
assert join_windows(2, []) == ["O", "O"]
assert join_windows(6, [(0, list("abcdef")), (2, ["x"])]) == list("abcdef")
### END HIDDEN TESTS

# %% [markdown]
# ### Question 8.4 Train on shifted tags ●●○ 8 minutes, in writing
#
# Section 4 made `shifted`: the same notes, with the tags handed over as they were. Predict first:
# if a model learns from them, what will its word accuracy and its entity F1 be? Then run this in a
# cell of its own, with the smaller model of lesson [02](02_distillation.ipynb).
#
# ```python
# for rows in (tokenized, shifted):
#     accuracy, found = judge(tag(fine_tune(rows, *lab.student), words), validation)
#     print(f"{accuracy:.1%} of the words, entity F1 {f1(found):.3f}")
# ```
#
# What happened to each of the two numbers, and which of them would have warned you?

# %% [markdown] tags=["written"] nbgrader={"grade": true, "grade_id": "w8_4", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in two or three sentences.*

# %% [markdown] tags=["solution"]
# The model learns to put a name's tag on a piece that comes a place or more before it, so hardly
# any entity has the right borders and the entity F1 falls to almost nothing. The word accuracy
# falls to that of "always O" or a little below, and still looks respectable, since most words are
# outside names whatever the shift. The entity F1 warns at once (so does a marked page); the
# accuracy does only beside that of "always O".
#
# Two things must be in it: entity F1 collapses while word accuracy stays around that of "always O",
# and the reason, that tags are on the wrong pieces while most words are O.

# %% [markdown]
# ## 10. Names that it has never met: the test split, opened once
#
# A list finds only what it has met, and not all of that: a name may come back with another kind or
# in other letters. The point of a model is the rest: the new colleague, the new supplier. So the
# recall is taken apart: names that appear whole among the training names, in capitals or small
# letters, and names that don't. Parts of these may be known, and pretraining may have met them;
# your labels haven't.
#
# The list can find none of them, so compare with the word features. These miss names for want of a
# capital (section 8), known or new, so names in small letters are counted apart. Recall alone
# rewards who claims much: count also how many of the claims that are no training names are right.

# %%
test = notes["test"]
test_words, test_truth = test["tokens"][:], [spans(tags) for tags in tags_of(test)]
said = {"DistilBERT": tag(model, test_words), best: [strongest(row) for row in test_words],
        "names in a list": [from_list(row) for row in test_words]}
scores = {name: judge(tagged_words, test)[1] for name, tagged_words in said.items()}
old = {" ".join(name).lower() for name in known}
MET, CAPITAL, SMALL = groups = ("met in training", "never met, with a capital",
                                "never met, in small letters")


def group_of(i, start, end):
    """What is known of a name in a test note before any method reads it."""
    name = " ".join(test_words[i][start:end])
    return MET if name.lower() in old else CAPITAL if name != name.lower() else SMALL


wanted = [(i, entity, group_of(i, *entity[:2]))
          for i, entities in enumerate(test_truth) for entity in entities]
sizes = Counter(group for *_, group in wanted)

# %%
from scipy.stats import binomtest

recall, outside = {}, {}
for name, tagged_words in said.items():
    found = list(map(spans, tagged_words))
    for group in groups:
        hits = [entity in found[i] for i, entity, its in wanted if its == group] or [False]
        interval = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
        recall[name, group] = np.mean(hits), interval.low, interval.high
    outside[name] = [entity in test_truth[i] for i, entities in enumerate(found)
                     for entity in entities if group_of(i, *entity[:2]) != MET]

# %%
figure, ax = plots.new_figure(width=9.5, height=3.2)
for number, group in enumerate(groups):
    values = np.array([recall[name, group] for name in said])
    at = np.arange(len(said)) + 0.27 * number
    ax.bar(at, values[:, 0], 0.25, hatch=["", "//", "xx"][number], edgecolor="white",
           color=[plots.LIGHT, *plots.COLOURS[1:4:2]][number],
           label=f"{group}: {sizes[group]} names")
    ax.errorbar(at, values[:, 0], fmt="none", ecolor="#444444", capsize=4,
                yerr=np.abs(values[:, 1:] - values[:, :1]).T)
    for x, value in zip(at, values[:, 0]):
        ax.text(x, max(value / 2, 0.09), f"{value:.0%}", ha="center", va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
ax.set_xticks(np.arange(len(said)) + 0.27, list(said))
against = {group: f"{recall['DistilBERT', group][0]:.0%} against {recall[best, group][0]:.0%}"
           for group in groups}
ax.set(ylabel="names found (recall)", ylim=(0, 1.05),
       title=f"DistilBERT against “{best}”: of new names with a capital\n{against[CAPITAL]} are "
             f"found, in small letters {against[SMALL]}")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(figure, "Recall on test with 95 % intervals, for names " + ", ".join(groups) + ". "
           + " ".join(f"{name}: " + ", ".join(f"{recall[name, group][0]:.0%}" for group in groups)
                      + "." for name in said))

# %% [markdown]
# In the course's notes two of the test writers wrote none of the training notes. (Data without
# writers is split into longer and shorter notes.) New writers bring new names and another style,
# and one of the two types without capitals, so look at each apart before you say what new *names*
# cost. Two people are few: the intervals say nothing of a third.

# %%
people = set(train["writer"]) if "writer" in train.column_names else None
middle = np.median([len(tokens) for tokens in test_words])
fresh = np.array([writer not in people for writer in test["writer"]] if people
                 else [len(tokens) > middle for tokens in test_words])
sides = ("new writers", "known writers") if people else ("longer notes", "shorter notes")


def with_interval(rows):
    low, high = bootstrap_interval(f1, rows)
    return f"{f1(rows):.2f} [{low:.2f}, {high:.2f}]"


plots.finding(
    f"Entity F1 of {sides[1]} ({(~fresh).sum()} notes) and of {sides[0]} ({fresh.sum()} notes): "
    + "; ".join(f"{name} {with_interval(score[~fresh])} and {with_interval(score[fresh])}"
                for name, score in scores.items()) + ".")
for writer in sorted(set(test["writer"]) - people) if people else []:
    rows = np.flatnonzero(np.array(test["writer"]) == writer)
    small = np.mean([not any(map(str.isupper, "".join(test_words[i]))) for i in rows])
    print(f"new writer {writer}, {len(rows)} notes, {small:.0%} of them without a capital: F1 "
          + ", ".join(f"{name} {with_interval(score[rows])}" for name, score in scores.items()))

# %%
test_gap = bootstrap_interval(gap, scores["DistilBERT"], scores[best])
headline = {name: with_interval(scores[name]) for name in ("DistilBERT", best)}
plots.finding(
    f"On test DistilBERT's entity F1 is {headline['DistilBERT']}, that of “{best}” "
    f"{headline[best]}; the difference is {gap(scores['DistilBERT'], scores[best]):+.2f} "
    f"[{test_gap[0]:+.2f}, {test_gap[1]:+.2f}], "
    + ("beyond chance." if test_gap[0] > 0 or test_gap[1] < 0 else "which could be chance.")
    + f" Of the {sizes[CAPITAL]} names never met that have a capital they find "
    f"{against[CAPITAL]}, of the {sizes[SMALL]} in small letters {against[SMALL]}. Of the claims "
    "that are no training names, "
    + " and ".join(f"{sum(outside[name])} of {len(outside[name])} are right with “{name}”"
                   for name in headline) + ".")

# %% tags=["assert"]
assert recall["DistilBERT", CAPITAL][0] > recall["names in a list", CAPITAL][0] == 0
assert not outside["names in a list"] and f1(scores["DistilBERT"]) > 0.1
assert len(wanted) == sum(map(len, test_truth))

# %% [markdown]
# ## What to remember
#
# 1. Count entities, not words: "always O" is right for most words and finds nothing.
# 2. `is_split_into_words=True`, `word_ids()`, and −100 for all that isn't a word's first piece.
# 3. The traps are silent: a row for each word, shifted tags, vanished words, cut ends.
# 4. A list knows what it has met. Report new names apart: found, and claimed in vain; and names
#    without a capital apart from these.
# 5. Sort errors into border, kind, missed and invented: each has its own remedy.
#
# ## Take this with you
#
# The core of the lesson without the course, with three notes in place of yours. It needs `pip
# install transformers datasets accelerate torch`. It doesn't measure: keep notes aside, and count
# whole entities as in section 2.
#
# ```python
# from datasets import Dataset
# from transformers import (AutoModelForTokenClassification, AutoTokenizer,
#                           DataCollatorForTokenClassification, Trainer, TrainingArguments, pipeline)
#
# names = ["O", "B-person", "I-person", "B-place", "I-place"]
# # Yours: hundreds of notes, cut at spaces and punctuation; for each word its tag's place in names.
# rows = Dataset.from_list([
#     {"tokens": "Ask Ada Park about Leeds".split(), "tags": [0, 1, 2, 0, 3]},
#     {"tokens": "The lift in New York is broken".split(), "tags": [0, 0, 0, 3, 4, 0, 0]},
#     {"tokens": "Nobody called today".split(), "tags": [0, 0, 0]}] * 8)
#
# name = "distilbert/distilbert-base-uncased"
# tokenizer = AutoTokenizer.from_pretrained(name)
# model = AutoModelForTokenClassification.from_pretrained(
#     name, use_safetensors=True, num_labels=len(names), id2label=dict(enumerate(names)))
#
# def encode(row):
#     encoded = tokenizer(row["tokens"], is_split_into_words=True, truncation=True)
#     pieces = encoded.word_ids()
#     encoded["labels"] = [-100 if word is None or word == before else row["tags"][word]
#                          for before, word in zip([None, *pieces], pieces)]
#     return encoded
#
# settings = TrainingArguments("finder", num_train_epochs=5, learning_rate=1e-4, report_to="none")
# Trainer(model, settings, train_dataset=rows.map(encode), processing_class=tokenizer,
#         data_collator=DataCollatorForTokenClassification(tokenizer)).train()
# find = pipeline("token-classification", model=model, tokenizer=tokenizer,
#                 aggregation_strategy="first", stride=64)
# text = "Tell Ada that New York called\n\nThe lift in Leeds is out"  # line by line, as it learned
# for line in filter(str.strip, text.splitlines()):  # stride is for a line of more than 512 pieces
#     print(line, find(line))
# ```
#
# ## Common mistakes
#
# | what you see | what it means | cure |
# |---|---|---|
# | as many rows as words | each word was taken for a text | `is_split_into_words=True` |
# | word accuracy fine, F1 almost 0 | tags are on the wrong pieces | `word_ids()`, and look at a marked page |
# | `zip() argument 2 is shorter` when joining words and answers | a word vanished or was cut off | go by `word_ids()`, `O` for the rest |
# | `##lar` as an entity | the pipeline returns pieces | `aggregation_strategy="first"` |
# | no names in the second half of a text | the pipeline reads 512 pieces | line by line, or by sentence; `stride=64` for a long one |
# | F1 higher than anybody's | counted by words, or with O | count entities, without O |
#
# ## Further reading
#
# * Tjong Kim Sang and De Meulder 2003, [*Introduction to the CoNLL-2003 shared
#   task*](https://aclanthology.org/W03-0419/): where counting whole entities became the rule.
# * Derczynski et al. 2017, [*Results of the WNUT2017 shared task on novel and emerging entity
#   recognition*](https://aclanthology.org/W17-4418/): the data of `cpu` and `gpu`, made so that
#   lists don't help.
# * Devlin et al. 2019, [*BERT*](https://arxiv.org/abs/1810.04805), section 5.3: first pieces, and a
#   *cased* model for names. Ramshaw and Marcus 1995, [*Text chunking using
#   transformation-based learning*](https://arxiv.org/abs/cmp-lg/9505040): the tags B, I and O.
# * Lample et al. 2016, [*Neural architectures for named entity
#   recognition*](https://arxiv.org/abs/1603.01360): a layer that forbids impossible tag sequences.
#
# Next: [09, where is the answer?](09_reading.ipynb)

# %%
from course_utils.exercises import progress

progress("{{lesson}}")  # what you have solved, kept on this machine
lab.finish(f"entity F1 {headline['DistilBERT']} against {headline[best]} by {best}; of new names "
           f"with a capital {against[CAPITAL]}, in small letters {against[SMALL]}")
