"""Tasks that ask for spans of a text: names in notes (lesson 08), answers in passages (09)."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow.parquet as pq

from course_utils import hub
from course_utils.data import find_files
from course_utils.lab import ROOT, Profile, choose_profile
from course_utils.splits import SPLITS
from course_utils.tables import DataError

KINDS = ("location", "organisation", "person", "product")
TAGS = ("O", *(f"{part}-{kind}" for kind in KINDS for part in "BI"))
WORD = re.compile(r"\w+|'\w+|[^\w\s]")  # it's: "it" and "'s", as in WNUT-17
SOURCES = {
    "notes": hub.HubDataset(
        "leondz/wnut_17",
        "1ac0b6d18c8a1a1d1606b24bef78b8af2f92d2d9",
        {s: f"wnut_17/{s}/0000.parquet" for s in SPLITS},
    ),
    "passages": hub.HubDataset(
        "rajpurkar/squad",
        "7b6d24c440a36b6815f21b70d25016731768db1f",
        {s: f"plain_text/{s}-00000-of-00001.parquet" for s in ("train", "validation")},
    ),
}
NOTES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "text": datasets.Value("string"),
        "writer": datasets.Value("string"),
        "tokens": datasets.List(datasets.Value("string")),
        "ner_tags": datasets.List(datasets.ClassLabel(names=list(TAGS))),
    }
)
PASSAGES = datasets.Features(
    {
        **{name: datasets.Value("string") for name in ("id", "title", "context", "question")},
        "answers": {
            "text": datasets.List(datasets.Value("string")),
            "answer_start": datasets.List(datasets.Value("int32")),
        },
    }
)


def load_spans(name: str, profile: Profile | None = None, seed: int = 0) -> datasets.DatasetDict:
    """Load a task and print where it came from.

    Parameters
    ----------
    name : ``"notes"`` (columns tokens: words, ner_tags: one BIO tag a word; WNUT-17 on the Hub and
        in a mirror) or ``"passages"`` (columns id, title, context, question, answers; SQuAD there).
        A question without an answer has empty lists in ``answers``; SQuAD 1.1 has none of these.
    profile : decides source and number of rows; by default the one of ``start_lab``.
    seed : chooses the rows where a split is cut to the profile's size or made from train.

    Returns
    -------
    DatasetDict with train, validation and test. No row of train stands in another split, and no
    passage: SQuAD's validation split is the test, and whole articles of train the validation.

    Raises
    ------
    DataError : for a file that can't be used. KeyError : for a task that doesn't exist.
    """
    if name not in SOURCES:
        raise KeyError(f"There is no task {name!r}. Choose one of: {', '.join(SOURCES)}.")
    profile = profile or choose_profile()[0]
    embedded = {s: ROOT / "data" / name / f"{s}.jsonl" for s in SPLITS}
    files, origin = find_files(SOURCES[name], profile, embedded)
    splits = {
        split: READERS[name](file) if file.suffix == ".jsonl" else read_parquet(file, name)
        for split, file in files.items()
    }
    splits = separated(splits, "tokens" if name == "notes" else "context", seed)
    if not len(splits["train"]):
        raise DataError(
            f"{files['train']}: no rows are left to train on: all of them stand in another split "
            "too. This is another data set or a part of it: fetch the file again."
        )
    out = datasets.DatasetDict({s: some_rows(splits[s], profile.rows[s], seed) for s in SPLITS})
    print(f"{name}: " + ", ".join(f"{s} {len(out[s]):,}" for s in SPLITS) + f" ({origin})")
    return out


def separated(
    splits: dict[str, datasets.Dataset], column: str, seed: int
) -> dict[str, datasets.Dataset]:
    """Make the missing test split from validation, validation from whole articles of train, and
    drop rows of train whose text stands in another split."""
    if "test" not in splits:
        titles = sorted(set(splits["train"]["title"][:]))
        chosen = set(random.Random(seed).sample(titles, max(1, len(titles) // 10)))
        is_chosen = [title in chosen for title in splits["train"]["title"][:]]
        splits = {
            "train": splits["train"].select([i for i, held in enumerate(is_chosen) if not held]),
            "validation": splits["train"].select([i for i, held in enumerate(is_chosen) if held]),
            "test": splits["validation"],
        }
    known = {str(text) for s in SPLITS[1:] for text in splits[s][column][:]}
    kept = [i for i, text in enumerate(splits["train"][column][:]) if str(text) not in known]
    return splits | {"train": splits["train"].select(kept)}


def some_rows(split: datasets.Dataset, rows: int | None, seed: int) -> datasets.Dataset:
    if rows is None or len(split) <= rows:
        return split
    return split.shuffle(seed=seed).select(range(rows))


def read_parquet(file: Path, name: str) -> datasets.Dataset:
    try:
        table = pq.read_table(file)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}: not readable as parquet ({error}). Fetch the file again."
        ) from None
    needed = {"tokens", "ner_tags"} if name == "notes" else set(PASSAGES)
    if missing := needed - set(table.column_names):
        raise DataError(
            f"{file}: no column {', '.join(sorted(missing))}; it has "
            f"{', '.join(table.column_names)}. Fetch the right file."
        )
    if not table.num_rows:
        raise DataError(f"{file}: no rows. Fetch the file again.")
    rows = datasets.Dataset(datasets.table.InMemoryTable(table))
    if name == "notes":
        check_tags(file, rows)
    return rows


def check_tags(file: Path, notes: datasets.Dataset) -> None:
    """Raise DataError unless each word has one tag, and the tags have names."""
    tags = getattr(notes.features["ner_tags"], "feature", None)
    if not isinstance(tags, datasets.ClassLabel):
        raise DataError(
            f"{file}: column 'ner_tags' has no names of tags. Fetch the file again from the Hub, "
            "where it holds the names."
        )
    pairs = zip(notes["tokens"][:], notes["ner_tags"][:], strict=True)
    for row, (words, numbers) in enumerate(pairs, start=1):
        if not words or len(words) != len(numbers or ()):
            raise DataError(
                f"{file}, row {row}: {len(words or ())} words and {len(numbers or ())} tags. "
                "Expected one tag for each word, and at least one word. Fetch the file again."
            )


def json_rows(file: Path, needed: set[str]) -> Iterator[tuple[str, dict]]:
    """Each line's place and its object. Raises DataError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: can't be read ({error}). Fetch the course's repository again."
        ) from None
    if not lines:
        raise DataError(f"{file}: no rows. Fetch the course's repository again.")
    for number, line in enumerate(lines, start=1):
        place = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{place}: not JSON ({error}). One object a line is expected."
            ) from None
        if not isinstance(row, dict) or not needed <= set(row):
            raise DataError(f"{place}: expected an object with {', '.join(sorted(needed))}.")
        yield place, row


def words_of(text: str) -> list[tuple[int, int]]:
    """Start and end of each word and punctuation mark, in characters."""
    return [match.span() for match in WORD.finditer(text)]


def tags_of(text: str, entities: list[dict]) -> list[str]:
    """One BIO tag for each of ``words_of(text)``.

    ``entities`` have start and end in characters and a label. Raises ValueError where one starts
    or ends inside a word, where two overlap, or where a label isn't one of KINDS.
    """
    words = words_of(text)
    tags = ["O"] * len(words)
    for entity in entities:
        inside = [
            i for i, (a, b) in enumerate(words) if a >= entity["start"] and b <= entity["end"]
        ]
        borders = inside and (words[inside[0]][0], words[inside[-1]][1])
        if borders != (entity["start"], entity["end"]):
            raise ValueError(f"the borders of {entity} are not those of words")
        if entity["label"] not in KINDS:
            raise ValueError(f"unknown label {entity['label']!r}; expected {', '.join(KINDS)}")
        if any(tags[i] != "O" for i in inside):
            raise ValueError(f"{entity} overlaps another")
        for i in inside:
            tags[i] = ("B-" if i == inside[0] else "I-") + entity["label"]
    return tags


def read_notes(file: Path) -> datasets.Dataset:
    """JSON lines with text, writer and entities (start, end, label), every border checked."""
    rows = []
    for place, row in json_rows(file, {"text", "writer", "entities"}):
        try:
            tags = tags_of(row["text"], row["entities"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{place}: {error}. Fetch the course's repository again.") from None
        words = [row["text"][a:b] for a, b in words_of(row["text"])]
        if not words:
            raise DataError(f"{place}: an empty text. Fetch the course's repository again.")
        note = {"id": f"{file.stem}-{len(rows)}", "text": row["text"], "writer": row["writer"]}
        rows.append(note | {"tokens": words, "ner_tags": tags})
    return datasets.Dataset.from_list(rows, features=NOTES)


def read_passages(file: Path) -> datasets.Dataset:
    """JSON lines with id, title, context and questions; each answer stands where it says."""
    rows = []
    for place, row in json_rows(file, {"id", "title", "context", "questions"}):
        if not row["questions"]:
            raise DataError(f"{place}: a passage without questions. Fetch the file again.")
        for number, asked in enumerate(row["questions"]):
            answer, start = asked.get("answer"), asked.get("answer_start")
            if answer is not None and row["context"][start : start + len(answer)] != answer:
                raise DataError(
                    f"{place}: {answer!r} does not stand at character {start}. Fetch the course's "
                    "repository again."
                )
            found = ([], []) if answer is None else ([answer], [start])
            answers = dict(zip(("text", "answer_start"), found, strict=True))
            passage = {"id": f"{row['id']}-{number}", "title": row["title"]}
            passage |= {"context": row["context"], "question": asked["question"]}
            rows.append(passage | {"answers": answers})
    return datasets.Dataset.from_list(rows, features=PASSAGES)


READERS = {"notes": read_notes, "passages": read_passages}
