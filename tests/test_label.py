"""``python -m course_utils.label``: every row and column of a file comes back, with two more columns."""

import codecs
import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from course_utils import label as program
from course_utils.label import label_file, main
from course_utils.tables import DataError

NAMES = ["lamp", "rain"]
TEXTS = ["The lamp is dark; why?", 'He said "rain"', "Größe, Maß\nund ein Ende", "", "lamp " * 40]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny classifier with random weights and the course's tokenizer, cut at 16 pieces."""
    import torch
    from conftest import MINI
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

    folder = tmp_path_factory.mktemp("saved") / "my classifier [1]"
    tokenizer = AutoTokenizer.from_pretrained(MINI, model_max_length=16)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=16, hidden_dim=32, n_layers=1,
                              n_heads=2, id2label=dict(enumerate(NAMES)))  # fmt: skip
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    return folder


def rows_of(file, delimiter=",", encoding="utf-8"):
    with open(file, encoding=encoding, newline="") as lines:
        return list(csv.reader(lines, delimiter=delimiter))


def write(file, rows, delimiter=",", encoding="utf-8"):
    with open(file, "w", encoding=encoding, newline="") as lines:
        csv.writer(lines, delimiter=delimiter).writerows(rows)
    return file


def test_rows_and_columns_come_back_in_order_with_label_and_probability(model, tmp_path, capsys):
    rows = [["id", "text", "note"], *([f"{i}", text, f"é{i}"] for i, text in enumerate(TEXTS))]
    file = write(tmp_path / "new.csv", rows)
    target = label_file(model, file)
    found = rows_of(target)
    assert target.name == "new_labelled.csv" and found[0] == [*rows[0], "label", "probability"]
    assert [row[:3] for row in found] == rows
    assert all(row[3] in NAMES and 0.5 <= float(row[4]) <= 1 for row in found[1:] if row[1])
    assert found[4][3:] == ["", ""]
    said = capsys.readouterr().out
    assert "5 rows" in said and "1 without a text have no label, the first in row 4" in said
    assert "1 texts are longer than the model reads" in said


def test_it_says_what_the_pipeline_says(model, tmp_path):
    from transformers import pipeline

    texts = [text for text in TEXTS if text]
    file = write(tmp_path / "new.csv", [["text"], *([text] for text in texts)])
    found = rows_of(label_file(model, file))[1:]
    classify = pipeline("text-classification", model=str(model))
    for (_, name, probability), answer in zip(found, classify(texts, truncation=True), strict=True):
        assert name == answer["label"] and abs(float(probability) - answer["score"]) < 1e-3


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (";", "cp1252")]
)
def test_delimiter_and_mark_stay(model, tmp_path, delimiter, encoding):
    rows = [["Nr", "Satz"], *([f"{i}", f"Größe {i}, rot; weiß"] for i in range(5))]
    file = write(tmp_path / "Übung [2].csv", rows, delimiter, encoding)
    chosen = {"encoding": "cp1252"} if encoding == "cp1252" else {}
    target = label_file(model, file, "Satz", **chosen)
    assert target.read_bytes().startswith(codecs.BOM_UTF8)
    assert [row[:2] for row in rows_of(target, delimiter, "utf-8-sig")] == rows


def test_a_carriage_return_within_a_text_ends_no_row(model, tmp_path, capsys):
    rows = [["text", "note"], ["The lamp\ris dark", "a"], ["rain", "b\r"], ["\u200b", "c"]]
    target = label_file(model, write(tmp_path / "new.csv", rows))
    found = rows_of(target)
    assert [row[:2] for row in found] == rows and found[3][2:] == ["", ""]
    assert "1 without a text have no label, the first in row 3" in capsys.readouterr().out


def test_json_lines_keep_numbers_lists_and_names_that_only_some_rows_have(model, tmp_path):
    rows = [
        {"n": 1.50, "text": "lamp", "tags": ["a"]},
        {"n": 2, "text": "ü", "tags": [], "x": None},
    ]
    for whole in (False, True):
        file = tmp_path / ("new.json" if whole else "new.jsonl")
        lines = json.dumps(rows) if whole else "\n".join(map(json.dumps, rows))
        file.write_text(lines, encoding="utf-8")
        content = label_file(model, file).read_text(encoding="utf-8")
        found = json.loads(content) if whole else list(map(json.loads, content.splitlines()))
        assert [{k: row[k] for k in old} for row, old in zip(found, rows, strict=True)] == rows
        assert all(row["label"] in NAMES for row in found)


def test_parquet_keeps_every_column_and_its_type(model, tmp_path):
    table = pa.table({"n": [1, 2, 3], "text": ["lamp", None, "rain"], "x": [[1], [], [2, 3]]})
    pq.write_table(table, tmp_path / "new.parquet")
    found = pq.read_table(label_file(model, tmp_path / "new.parquet"))
    assert found.select(["n", "text", "x"]).equals(table)
    assert found["label"][1].as_py() is None and found["label"][0].as_py() in NAMES


def test_nothing_is_overwritten(model, tmp_path):
    file = write(tmp_path / "new.csv", [["text", "label"], ["lamp", "mine"]])
    with pytest.raises(DataError, match="a column 'label' already, and it is not overwritten"):
        label_file(model, file)
    write(file, [["text"], ["lamp"]])
    target = label_file(model, file)
    before = target.read_bytes()
    for out in (None, file):
        with pytest.raises(DataError, match="there already, and it is not overwritten"):
            label_file(model, file, out=out)
    assert target.read_bytes() == before
    with pytest.raises(DataError, match=r"expected a name that ends in \.csv"):
        label_file(model, file, out=tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"no such folder\. Make it"):
        label_file(model, file, out=tmp_path / "none/x.csv")


@pytest.mark.parametrize("whole", [False, True])
def test_no_row_s_label_is_overwritten_also_where_the_first_row_has_none(model, tmp_path, whole):
    file = tmp_path / ("new.json" if whole else "new.jsonl")
    rows = [{"text": "a"}, {"text": "b", "label": "mine"}]
    file.write_text(json.dumps(rows) if whole else "\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"row 2.*a column 'label' already, and it is not overwr"):
        label_file(model, file)
    rows[1] = {"text": "b", "probability": None}
    file.write_text(json.dumps(rows) if whole else "\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"row 2.*a column 'probability' already"):
        label_file(model, file)
    assert list(tmp_path.iterdir()) == [file]


def written(file, texts):
    """``file`` with a column text, in the format of its ending."""
    if file.suffix == ".csv":
        return write(file, [["text"], *([text] for text in texts)])
    if file.suffix == ".parquet":
        pq.write_table(pa.table({"text": texts}), file)
    else:
        file.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return file


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_full_disk_is_told_and_leaves_no_part_of_a_file(
    model, tmp_path, monkeypatch, capsys, ending
):
    resource = pytest.importorskip("resource", reason="Windows can't limit a file's size")
    file = written(tmp_path / f"new.{ending}", [f"lamp {n}" for n in range(400)])
    answers = lambda folder, texts: ([("lamp", 0.5)] * len(texts), 0)  # noqa: E731
    monkeypatch.setattr(program, "label_texts", answers)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        status = main([str(model), str(file)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert status == 1 and "Nothing was written." in said and "can't be written" in said
    assert "Make room on the disk" in said and list(tmp_path.iterdir()) == [file]
    assert main([str(model), str(file)]) == 0, "the next run is not in its own way"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_that_came_while_texts_were_labelled_stays(model, tmp_path, monkeypatch, ending):
    file, target = tmp_path / f"new.{ending}", tmp_path / f"new_labelled.{ending}"

    def meanwhile(folder, texts):
        target.write_text("mine")
        return [("lamp", 0.5)] * len(texts), 0

    monkeypatch.setattr(program, "label_texts", meanwhile)
    with pytest.raises(DataError, match="there already, and it is not overwritten"):
        label_file(model, written(file, ["lamp"]))
    assert target.read_text() == "mine" and sorted(tmp_path.iterdir()) == [file, target]


def test_whatever_the_system_refuses_is_told_in_a_line(model, tmp_path, monkeypatch, capsys):
    def fails(folder, texts):
        raise PermissionError(13, "Permission denied", "tokenizer.json")

    monkeypatch.setattr(program, "label_texts", fails)
    assert main([str(model), str(written(tmp_path / "new.csv", ["lamp"]))]) == 1
    assert "Nothing was written. " in (said := capsys.readouterr().err) and "tokenizer.json" in said


def test_a_folder_that_holds_no_classifier_is_told_before_anything_is_loaded(
    model, tmp_path, monkeypatch, mini_model
):
    monkeypatch.setattr(program, "label_texts", lambda *_: pytest.fail("loaded"))
    file = write(tmp_path / "new.csv", [["text"], ["lamp"]])
    for folder, reason in (
        (tmp_path / "none", "there is no such folder"),
        (tmp_path, "no file config.json"),
        (mini_model, "gives no labels to texts"),
    ):
        with pytest.raises(DataError, match=reason):
            label_file(folder, file)


def test_the_program_says_what_is_wrong_in_its_own_words(model, tmp_path, capsys):
    file = tmp_path / "new.csv"
    assert main([str(model), str(file)]) == 1
    assert "Nothing was written." in capsys.readouterr().err
    write(file, [["Satz"], ["Größe"]], encoding="cp1252")
    assert main([str(model), str(file), "--text", "Satz"]) == 1
    assert "--encoding cp1252 reads the file" in capsys.readouterr().err
    assert main([str(model), str(file), "--encoding", "cp1252"]) == 1
    said = capsys.readouterr().err
    assert "no column 'text'; it has 'Satz'" in said and "name it in --text" in said
    out = tmp_path / "done.csv"
    words = ["--text", "Satz", "--encoding", "cp1252", "--out", str(out)]
    assert main([str(model), str(file), *words]) == 0
    assert rows_of(out, encoding="utf-8-sig")[1][0] == "Größe"
