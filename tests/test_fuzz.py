"""Arbitrary input ends in a right result or in the error that the function promises."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import string
import unicodedata
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import safe_open
from safetensors.torch import save

from course_utils import data, hub
from course_utils import splits as splitting
from course_utils.data import TASKS, DataError
from course_utils.exercises import check, progress, recorded
from course_utils.metrics import ClassificationMetrics, bootstrap_interval
from course_utils.own_data import load_own
from course_utils.tables import Table, readable
from tools.grade import find, inside
from tools.grade.intake import Roster, read_export

# The same examples on every run: what CI finds, a developer finds. Fixtures give folders, which
# every example writes anew.
settings.register_profile(
    "course",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("course")

REVIEWS = TASKS["reviews"]
ANY_TEXT = st.text(
    st.characters(exclude_categories=()), max_size=40
) | st.sampled_from(  # surrogates too
    ["", "\0", "\ud800", "é\u0301", "👩‍👩‍👧", "\u200b", "\r\n", "\x1b[2K✅", "ﬃ", "\u2028", "İ"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


WHOLE_TEXT = ANY_TEXT.filter(lambda text: not re.search("[\ud800-\udfff]", text))


def as_json(value) -> bytes:
    return json.dumps(value).encode()


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """A file of which some bytes were changed, inserted or lost."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        match draw(st.sampled_from(["change", "insert", "cut", "drop"])):
            case "change":
                content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                content[place:place] = draw(st.binary(min_size=1, max_size=9))
            case "cut":
                del content[place:]
            case "drop":
                del content[place : place + draw(st.integers(1, 9))]
    return bytes(content)


def outcome(function, *expected: type[Exception]):
    """What the function returns, or None where it raised one of ``expected`` with a message."""
    try:
        return function()
    except expected as error:
        assert str(error).strip()
        return None


# --- files of data ---

CSV = 'text,label,kind\nA fine film,pos,plain\n"Poor, and ""long""",neg,mixed\n'


def assert_right_or_refused(folder: Path, content: bytes) -> None:
    """What is read is what a spreadsheet would show: the same rows, none lost, all labels known."""
    (folder / "train.csv").write_bytes(content)
    splits = outcome(
        lambda: data.read_splits({"train": folder / "train.csv"}, REVIEWS)[1], DataError
    )
    if splits is not None:
        split = splits["train"]
        header, *lines = [
            r
            for r in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
            if r
        ]
        while all(not row[-1] for row in (header, *lines)):  # a column without name and value
            header, lines = header[:-1], [row[:-1] for row in lines]
        names = split.features["label"].names
        assert split.column_names == header
        assert [[names[v] if c == "label" else v for c, v in row.items()] for row in split] == lines
        assert all(text.strip() for text in split["text"])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_data_set(tmp_path, content):
    assert_right_or_refused(tmp_path, content)


@given(damaged(CSV.encode()))
@example(b"text,text,label\na,b,pos\n")
@example(b",text,label\n0,a,pos\n")
@example(b"\xef\xbb\xbf" + CSV.encode())
def test_a_damaged_csv_file_is_read_rightly_or_refused(tmp_path, content):
    assert_right_or_refused(tmp_path, content)


@given(
    st.lists(
        st.lists(
            st.sampled_from(["text", "label", "pos", "neg", "", "0", "a,b", '"', "\n"]) | ANY_TEXT,
            max_size=4,
        ),
        max_size=5,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_arbitrary_tables_are_read_rightly_or_refused(tmp_path, table, newline):
    rows = [["text", "label"], *table] if len(table) % 2 else table
    quoted = newline.join(
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows
    )
    assert_right_or_refused(tmp_path, quoted.encode("utf-8", "surrogatepass"))


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def from_mirror(folder: Path, train: bytes):
    base = folder / "datasets/stanfordnlp/imdb"
    base.mkdir(parents=True, exist_ok=True)
    (base / "train.parquet").write_bytes(train)
    (base / "test.parquet").write_bytes(GOOD_PARQUET)
    return outcome(
        lambda: data.read_splits(data.mirror_files(hub.DATASETS["reviews"], folder), REVIEWS)[1],
        DataError,
    )


TEXTS = [f"review number {i}" for i in range(30)]
GOOD_PARQUET = parquet(pa.table({"text": TEXTS, "label": [i % 2 for i in range(30)]}))


@given(damaged(GOOD_PARQUET) | st.binary(max_size=60))
def test_a_damaged_parquet_file_is_read_or_refused(tmp_path, content):
    splits = from_mirror(tmp_path, content)
    for split in (splits or {}).values():
        assert len(split) and set(split["label"]) <= {0, 1}
        assert all(isinstance(text, str) and text.strip() for text in split["text"])


@given(st.integers(0, len(GOOD_PARQUET) - 1))
def test_no_part_of_a_parquet_file_passes_for_the_whole(tmp_path, length):
    assert from_mirror(tmp_path, GOOD_PARQUET[:length]) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["text", "label", "other"]),
            st.sampled_from(
                [
                    ["a", "b"],
                    ["a", None],
                    ["", "b"],
                    [0, 1],
                    [0, 2],
                    [True, False],
                    [0.0, 1.0],
                    [0.5, 1.0],
                    [None, None],
                    [b"a", b"\xff"],
                    [["a"], ["b"]],
                    [{"a": 1}, {"a": 2}],
                    ["pos", "neg"],
                    ["1", "0"],
                    [-1, 0],
                    [2**40, 0],
                    [float("nan"), 1.0],
                    [],
                ]
            ),
        ),
        max_size=3,
    ),
    st.none()
    | st.dictionaries(st.just(b"huggingface"), st.binary(max_size=20) | st.just(b'{"info":3}')),
)
def test_arbitrary_columns_are_read_rightly_or_refused(tmp_path, columns, metadata):
    columns = [(name, values) for name, values in columns if len(values) == len(columns[0][1])]
    table = pa.Table.from_arrays(
        [pa.array(values) for _, values in columns], names=[name for name, _ in columns]
    )
    splits = from_mirror(tmp_path, parquet(table.replace_schema_metadata(metadata)))
    named = dict(columns)
    if len(named) < len(columns) or not {"text", "label"} <= set(named):
        assert splits is None
    elif splits:
        assert splits["train"]["text"][:] == named["text"] and all(
            isinstance(t, str) and t for t in named["text"]
        )
        wanted = [REVIEWS.labels.index(v) if isinstance(v, str) else int(v) for v in named["label"]]
        assert splits["train"]["label"][:] == wanted and set(named["label"]) <= {0, 1, "pos", "neg"}


WEIGHTS = save({"a": torch.ones(3, 4), "b": torch.zeros(2)}, metadata={"format": "pt"})


@given(st.sampled_from(list(hub.CHECKPOINT_FILES)), st.data())
@example("config.json", b"[" * 100_000)
@example("tokenizer.json", b"[]")
@example("config.json", b"{}")
def test_a_damaged_checkpoint_is_refused_or_readable(tmp_path, name, source):
    whole = {
        "config.json": b'{"dim": 32}',
        "model.safetensors": WEIGHTS,
        "tokenizer.json": b'{"version": "1.0"}',
    }
    content = (
        source
        if isinstance(source, bytes)
        else source.draw(damaged(whole[name]) | st.binary(max_size=60) | JSON.map(as_json))
    )
    for other in whole:
        (tmp_path / other).write_bytes(content if other == name else whole[other])
    outcome(lambda: hub.check_checkpoint(tmp_path) or True, hub.CheckpointError)
    accepted = outcome(lambda: hub.check_checkpoint(tmp_path) or True, hub.CheckpointError)
    if accepted and name == "model.safetensors":
        with safe_open(tmp_path / name, "pt") as weights:
            assert all(weights.get_tensor(key) is not None for key in weights.keys())  # noqa: SIM118
    elif accepted:
        assert isinstance(json.loads(content), dict) and json.loads(content)


@given(st.integers(0, len(WEIGHTS) - 1))
def test_no_part_of_the_weights_passes_for_the_whole(tmp_path, length):
    for name, content in (
        ("config.json", b'{"dim": 32}'),
        ("tokenizer.json", b'{"version": "1.0"}'),
        ("model.safetensors", WEIGHTS[:length]),
    ):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(hub.CheckpointError, match=r"model\.safetensors"):
        hub.check_checkpoint(tmp_path)


# --- check ---


class Liar(type):
    """A class that claims to be bool, and whose objects claim to be anything."""

    def __eq__(cls, other):
        return True

    __hash__ = type.__hash__


class Agreeable(metaclass=Liar):
    def __eq__(self, other):
        return True

    def __bool__(self):
        return True

    def __repr__(self):
        return "True\n✅ it holds"

    __hash__ = None
    __class__ = bool


class Unprintable:
    def __init__(self, error):
        self.error = error

    def __repr__(self):
        raise self.error

    __eq__ = __bool__ = __hash__ = __repr__


class Mute(Exception):
    def __str__(self):
        raise ValueError("no words")

    __repr__ = __str__


def raising(error):
    raise error


# Made anew by each property, because Hypothesis would stumble over them too.
ODD = {
    "agreeable": Agreeable,
    "its class": lambda: Agreeable,
    "no repr": lambda: Unprintable(ValueError("no")),
    "exit in repr": lambda: Unprintable(SystemExit()),
    "huge": lambda: "x" * 10**6,
    "long number": lambda: 10**5000,
    "array of one": lambda: np.ones(1, dtype=bool),
    "array": lambda: np.ones(3),
    "object array": lambda: np.array(None),
    "tensor": lambda: torch.ones(1) > 0,
    "bytes": lambda: b"\xff",
    "class": lambda: object,
    "nan": lambda: np.float64("nan"),
    "numpy 1": lambda: np.int8(1),
    "one": lambda: 1,
    "word": lambda: "True",
    "numpy true": lambda: np.True_,
    "true": lambda: True,
    "no function": "True",
}
ERRORS = {
    "fake lines": lambda: ValueError("a\n✅ it holds\nExercise: 1 of 1"),
    "mute": Mute,
    "exit": SystemExit,
    "surrogate": lambda: KeyError("\ud800"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "recursion": RecursionError,
    "huge": lambda: MemoryError("x" * 10**5),
    "stop": lambda: StopIteration(3),
    "group": lambda: ExceptionGroup("many", [ValueError()]),
    "generator": GeneratorExit,
    "terminal": lambda: AssertionError("\r\x1b[2K✅"),
}
PROPERTY = st.one_of(
    st.sampled_from(list(ODD)).map(lambda name: ("it holds", ODD[name])),
    st.sampled_from(list(ODD)).map(lambda name: ("it holds", ODD[name], "a hint")),
    st.sampled_from(list(ERRORS)).map(lambda name: ("it holds", lambda: raising(ERRORS[name]()))),
    JSON.map(lambda value: ("it holds", lambda: value)),
    st.just(("it holds", lambda: True)),
)


@given(st.lists(PROPERTY, min_size=1, max_size=3))
def test_a_check_never_stops_and_ticks_nothing_but_true(capsys, properties):
    def truly(holds):
        try:
            return (type(value := holds()) is bool or type(value) is np.bool_) and bool(value)
        except BaseException:
            return False

    expected = sum(truly(holds) for _, holds, *_ in properties)
    passed = check("1.1 Any", *properties)
    printed = capsys.readouterr().out
    lines = printed.split("\n")
    assert passed is (expected == len(properties)) and lines[-2:] == [
        f"1.1 Any: {expected} of {len(properties)}",
        "",
    ]
    assert (
        len(lines) == len(properties) + 2
        and sum(line.startswith("✅") for line in lines) == expected
    )
    assert printed.isprintable() or set(c for c in printed if not c.isprintable()) == {"\n"}
    assert max(map(len, lines)) < 400


@given(PROPERTY)
def test_a_strict_check_stops_with_an_assertion_or_passes(prop):
    try:
        assert check("1.1 Any", prop, strict=True) is True
    except AssertionError as error:
        assert str(error).startswith("1.1 Any: it holds: ")


@given(
    st.binary(max_size=80)
    | st.one_of(
        JSON,
        st.dictionaries(
            st.sampled_from(["1.1 A", "2.1 B", "\ud800", ""]),
            st.sampled_from(["solved", "not attempted"]) | JSON,
        ),
    ).map(as_json)
)
@example(b"[" * 100_000)
@example(b'{"1.1 Any": ["solved"], "\\ud800": "solved"}')
def test_whatever_stands_in_the_progress_file_the_lesson_goes_on(
    tmp_path, monkeypatch, capsys, content
):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "any.json"))
    (tmp_path / "any.json").write_bytes(content)
    progress()
    progress("01")
    assert check("1.1 Any", ("it holds", lambda: True)) is True
    assert recorded()["1.1 Any"] == "solved" and set(recorded().values()) <= {
        "solved",
        "not solved yet",
        "not attempted",
    }
    progress()
    assert "✅ 1.1 Any: solved\n" in capsys.readouterr().out


# --- numbers ---

LABELS = st.lists(
    st.integers(-2, 3)
    | st.sampled_from([True, 2**31, 0.0, 1.0, 0.7, float("nan"), None, "1", [1]]),
    max_size=6,
)


@settings(max_examples=30)
@given(LABELS, LABELS, st.sampled_from(["binary", "macro", "micro", "weighted"]), st.booleans())
@example([0.7, 0.2], [1, 0], "binary", True)
@example([], [], "binary", False)
def test_metrics_are_finite_and_right_or_refused(predictions, references, average, same_length):
    if same_length:
        references = (references * 6)[: len(predictions)]
    scores = outcome(
        lambda: ClassificationMetrics().compute(
            predictions=predictions, references=references, average=average
        ),
        ValueError,
    )
    if scores is not None:
        assert set(scores) == {"accuracy", "precision", "recall", "f1"}
        assert all(math.isfinite(v) and 0 <= v <= 1 for v in scores.values())
        assert scores["accuracy"] == pytest.approx(
            np.mean([float(p) == float(r) for p, r in zip(predictions, references, strict=True)])
        )


@given(
    st.lists(
        st.one_of(
            arrays.arrays(
                st.sampled_from([bool, np.int8, np.float64]),
                st.sampled_from([(), (0,), (1,), (4,)]),
            ),
            st.lists(st.integers(0, 1) | st.floats(), max_size=4),
            st.sampled_from([3, None, [[0], [0, 1]], []]),
        ),
        max_size=3,
    )
)
@example([np.array([1e308, 1e308])])
@example([[1, 0], [1]])
@example([])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bootstrap_interval_is_finite_and_in_order_or_refused(samples):
    interval = outcome(
        lambda: bootstrap_interval(
            lambda *a: np.mean([np.mean(x.astype(float)) for x in a]), *samples, resamples=20
        ),
        ValueError,
        TypeError,
    )
    if interval is not None:
        low, high = interval
        assert math.isfinite(low) and math.isfinite(high) and low <= high
        lengths = {len(sample) for sample in samples}
        assert len(lengths) == 1 and 0 not in lengths


# --- texts ---


@given(ANY_TEXT)
def test_a_fingerprint_overlooks_how_accents_are_coded(text):
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
    assert len({splitting.fingerprint(form) for form in forms}) == 1


@given(ANY_TEXT, ANY_TEXT)
def test_a_fingerprint_overlooks_case_and_white_space_and_nothing_else(text, other):
    mark = splitting.fingerprint(text)
    assert mark == splitting.fingerprint(f" {text}\n") == splitting.fingerprint(
        mark
    ) and mark.split(" ") == (mark.split() or [""])
    assert (splitting.fingerprint(text + " " + other) == mark) is (
        splitting.fingerprint(other) == ""
    )


@given(st.none() | WHOLE_TEXT | JSON, st.none() | ANY_TEXT | JSON)
def test_a_row_passes_only_with_a_text_and_a_known_label(text, label):
    table = Table(Path("a file"), {"text": [text], "label": [label]})
    split = outcome(lambda: data.to_dataset(table, "text", REVIEWS.labels), DataError)
    assert (split is not None) is (
        isinstance(text, str)
        and any(sign.isprintable() and not sign.isspace() for sign in text)
        and (
            label in REVIEWS.labels
            if isinstance(label, str)
            else isinstance(label, (int, float)) and label in (0, 1)
        )
    )


@settings(max_examples=50)
@given(st.lists(WHOLE_TEXT.filter(readable), min_size=4, max_size=24), st.integers(0, 20))
def test_no_text_is_left_in_two_splits_and_each_has_every_class_or_all_are_refused(texts, start):
    parts = {"train": texts, "validation": texts[start:], "test": texts[start // 2 : start]}
    tables = {
        split: Table(Path(split), {"text": part, "label": [i % 2 for i in range(len(part))]})
        for split, part in parts.items()
        if part or split == "train"
    }
    splits = {s: data.to_dataset(table, "text", REVIEWS.labels) for s, table in tables.items()}
    clean = outcome(lambda: splitting.separate(splits, tables, "text", 0), DataError)
    if clean is not None:
        marks = [splitting.fingerprint(t) for name in splitting.SPLITS for t in clean[name]["text"]]
        assert sorted(marks) == sorted({splitting.fingerprint(t) for t in texts})
        for split in clean.values():
            assert min(split["label"][:].count(0), split["label"][:].count(1)) >= 2


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 90), st.integers(0, 9))
def test_a_stratified_choice_takes_each_class_by_its_share(labels, size, seed):
    parts = outcome(lambda: splitting.stratified(labels, size, seed), DataError)
    assert (parts is None) is (size < 2 * len(set(labels)))
    if parts is not None:
        chosen, rest = parts
        assert sorted(chosen + rest) == list(range(len(labels)))
        assert len(chosen) == min(size, len(labels))
        for label in set(labels):
            whole, part = labels.count(label), [labels[i] for i in chosen].count(label)
            assert part >= min(2, whole)
            assert abs(part - whole * len(chosen) / len(labels)) <= 2 * len(set(labels))


@settings(max_examples=30)
@given(
    st.lists(st.integers(6, 40), min_size=2, max_size=5),
    st.floats(0.01, 0.25),
    st.floats(0.01, 0.25),
)
def test_six_rows_of_a_class_come_into_three_splits_whatever_the_shares(sizes, test, validation):
    labels = [n for n, size in enumerate(sizes) for _ in range(size)]
    columns = {"text": [f"text {i}" for i in range(len(labels))], "label": labels}
    table = Table(Path("train"), columns)
    splits = {"train": data.to_dataset(table, "text", [f"class {n}" for n in range(len(sizes))])}
    shares = {"test": test, "validation": validation / (1 - test)}
    for split in splitting.separate(splits, {"train": table}, "text", 0, shares).values():
        assert min(np.bincount(split["label"], minlength=len(sizes))) >= 2


# --- files of one's own ---


@settings(max_examples=60)
@given(
    st.lists(
        WHOLE_TEXT.filter(str.strip), min_size=20, max_size=30, unique_by=splitting.fingerprint
    ),
    st.sampled_from([("neg", "pos"), ("0", "1"), ("True", "False"), (" a", "b c"), ("NA", "x")]),
    st.sampled_from([",", ";", "\t", "json", "parquet"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\r\n", "\n"]),
)
def test_each_text_and_label_of_one_s_own_arrives_as_it_was_written(
    tmp_path, texts, names, form, encoding, newline
):
    texts = [text.replace("\0", "") + "!" for text in texts]
    labels = [names[i % 2] for i in range(len(texts))]
    rows = list(zip(texts, labels, strict=True))
    if form == "parquet":
        file = tmp_path / "own.parquet"
        file.write_bytes(parquet(pa.table({"text": texts, "label": labels})))
    elif form == "json":
        file = tmp_path / "own.jsonl"
        lines = [json.dumps({"text": t, "label": n}, ensure_ascii=len(t) > 20) for t, n in rows]
        file.write_bytes(newline.join(lines).encode(encoding))
    else:
        file = tmp_path / "own.csv"
        content = io.StringIO(newline="")
        writer = csv.writer(content, delimiter=form, lineterminator=newline)
        writer.writerows([("text", "label"), *rows])
        file.write_bytes(content.getvalue().encode(encoding))
    splits = outcome(lambda: load_own(file), DataError)
    if splits is None:
        assert any("\n" in text or "\r" in text for text in texts)
        return
    names = splits["train"].features["label"].names
    found = [(r["text"], names[r["label"]]) for split in splits.values() for r in split]
    assert sorted(found) == sorted(rows)


OWN = "text;label\r\n" + "".join(
    f"Größe {i}; weiß;{'ja' if i % 2 else 'nein'}\r\n" for i in range(9)
)
FIT = OWN.replace("; weiß", ", weiß").encode()


@settings(max_examples=300)
@given(damaged(FIT) | damaged(FIT.decode().encode("utf-16")) | st.binary(max_size=60))
@example(FIT)
@example(OWN.encode())
@example(b"sep=;\n" + FIT)
@example(b"text,label\n" + b'"' + b"a" * 140_000)
@example(b"[" * 100_000)
def test_a_damaged_file_of_one_s_own_is_refused_or_read_with_every_class_in_every_split(
    tmp_path, content
):
    for name in ("own.csv", "own.jsonl", "own.parquet"):
        (tmp_path / name).write_bytes(content)
        splits = outcome(partial(load_own, tmp_path / name), DataError)
        for split in (splits or {}).values():
            counts = np.bincount(split["label"], minlength=split.features["label"].num_classes)
            assert min(counts) >= 2 and all(text.strip() for text in split["text"])


# --- grading ---

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ANY_TEXT
    | st.sampled_from(
        [np.float32(1.5), np.bool_(True), np.str_("a"), object(), np.array([object()])]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(ANY_TEXT | st.integers(), inner, max_size=3),
        st.sets(st.integers() | ANY_TEXT, max_size=3),
    ),
    max_leaves=8,
)


def holds_only_plain(value) -> bool:
    if type(value) is list:
        return all(holds_only_plain(v) for v in value)
    return type(value) in (bool, int, float, complex, str, type(None))


@given(VALUES)
def test_an_answer_becomes_plain_values_or_is_refused(value):
    plain = outcome(lambda: [inside.plain(value)], TypeError)
    assert plain is None or holds_only_plain(plain)


@given(
    arrays.arrays(
        st.sampled_from(["?", "<i4", "<f4", "<c8", "<U3"]),
        arrays.array_shapes(min_dims=0, min_side=0),
    )
)
def test_an_array_agrees_with_its_copy_and_the_copy_is_its_own(array):
    copy = inside.plain_copy(array)
    assert copy is not array and inside.same(inside.plain(copy), inside.plain(array))


CELL = st.dictionaries(
    st.sampled_from(["source", "id", "metadata", "cell_type"]),
    JSON
    | st.sampled_from(
        [
            "code",
            "def f(x):\n",
            "c1",
            "\ud800",
            ["def f(", "x)", 3, None],
            {"nbgrader": {"solution": True, "grade_id": "e1"}},
            {"nbgrader": {"solution": True, "grade_id": ["e1"]}},
            {"nbgrader": 3},
        ]
    ),
)
LESSON = {
    "exercises": [{"grade_id": "e1", "stub": "def f(x):\n    ...", "names": ["f"]}],
    "written": [{"grade_id": "w1", "placeholder": "*Write*", "heading": "Q", "question": "Q"}],
    "ids": {"c1": "e1", "c2": "w1"},
    "code": ["def f(x):\n    ..."],
    "prose": ["Q", "*Write*"],
}


@given(
    st.lists(CELL, max_size=4).map(lambda cells: {"cells": cells})
    | st.dictionaries(st.just("cells"), JSON)
    | JSON
)
@example({"cells": [{"id": "c1", "cell_type": "code", "source": "x = '\ud800'"}]})
@example({"cells": [{"cell_type": "code", "source": "def f(x):\n    return y\ny = f"}]})
def test_a_notebook_of_arbitrary_cells_gives_texts_that_can_be_kept(notebook):
    read = find.read_hand_in([("any.ipynb", json.dumps(notebook).encode())], {"01": dict(LESSON)})
    ((outcome_of_file,),) = read["files"]
    assert outcome_of_file[1] and bool(read["lessons"]) is (outcome_of_file[1] == "graded")
    for one in read["lessons"].values():
        assert set(one["taken"]) <= {"e1", "w1"} and set(one["states"]) == {"e1", "w1"}
        assert all(text.encode() is not None for text in [*one["taken"].values(), *one["remarks"]])


@given(st.binary(max_size=60) | damaged(b'{"cells": [{"source": ["a"]}]}'))
@example(b"[" * 100_000)
def test_a_file_that_is_no_notebook_gets_a_reason(content):
    for name in ("any.ipynb", "any.zip", "any.pdf"):
        read = find.read_hand_in([(name, content)], {"01": dict(LESSON)})
        assert all(reason for _, reason in read["files"][0]) and not read["lessons"]


def archive(method: int) -> bytes:
    outer, inner = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w", method) as file:
        file.writestr("05.ipynb", '{"cells": []}' * 9)
    with zipfile.ZipFile(outer, "w", method) as file:
        file.writestr("Ada/05.ipynb", '{"cells": []}' * 9)
        file.writestr("Bob/work.zip", inner.getvalue())
    return outer.getvalue()


@settings(max_examples=300)
@given(
    st.one_of(
        *(damaged(archive(m)) for m in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    )
)
def test_a_damaged_export_is_read_as_far_as_it_goes_or_refused(tmp_path, content):
    (tmp_path / "export.zip").write_bytes(content)
    for hand_in in (
        outcome(lambda: read_export(tmp_path / "export.zip", Roster()), ValueError) or []
    ):
        contents = hand_in.contents()
        assert len(contents) == sum(not f.outcome for f in hand_in.files)
        assert hand_in.person.key.isascii()


def test_an_archive_without_dates_is_read(tmp_path):
    content = bytearray(archive(zipfile.ZIP_STORED))
    for mark, place in (
        (b"PK\1\2", 12),
        (b"PK\3\4", 10),
    ):  # time and date, in the table of contents and before each file
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            content[start + place : start + place + 4] = bytes(4)
    (tmp_path / "export.zip").write_bytes(content)
    names = {h.person.name for h in read_export(tmp_path / "export.zip", Roster())}
    assert names == {"Ada/05", "Bob/work"}


@settings(max_examples=40)
@given(
    st.binary(min_size=1, max_size=12).filter(
        lambda name: not set(name) & set(b"/\0\\") and name not in (b".", b"..")
    )
)
@example("Jörg".encode("latin-1"))
def test_a_student_may_have_any_name(tmp_path_factory, name):
    import os

    folder = tmp_path_factory.mktemp("export")
    place = os.path.join(os.fsencode(folder), b"x" + name)  # noqa: PTH118
    os.mkdir(place)  # noqa: PTH102
    with open(place + b"/05.ipynb", "w") as file:
        file.write('{"cells": []}')
    (one,) = read_export(folder, Roster())
    key = one.person.key
    assert key.isascii() and set(key) <= set(string.ascii_lowercase + string.digits + "-")
    assert one.person.label.isprintable() and str(one.files[0].path).encode()
    assert one.contents()[0][1] == b'{"cells": []}'
