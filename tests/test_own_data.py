"""``load_own`` reads what stands in a file, to the letter, or names file, row and cure."""

import codecs
import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from course_utils.data import DataError
from course_utils.own_data import load_own
from course_utils.tables import read_table

COMPLAINTS = [f"The driver was rude on day {i}, said guest {i * 37}." for i in range(40)]
PRAISE = [f"The lamp is bright and tidy, said guest {i * 41}." for i in range(40)]
SIDES = ("neg", "pos")
ROWS = [
    row for pair in zip(COMPLAINTS, PRAISE, strict=True) for row in zip(pair, SIDES, strict=True)
]


def write_csv(
    file: Path,
    rows: list[tuple[str, ...]],
    header: tuple[str, ...] = ("text", "label"),
    delimiter: str = ",",
    encoding: str = "utf-8",
    newline: str = "\n",
) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", encoding=encoding, newline="") as target:
        csv.writer(target, delimiter=delimiter, lineterminator=newline).writerows([header, *rows])
    return file


@pytest.fixture
def own(tmp_path) -> Path:
    return tmp_path / "my_texts.csv"


def rows_of(splits) -> list[tuple[str, str]]:
    names = splits["train"].features["label"].names
    return [(row["text"], names[row["label"]]) for split in splits.values() for row in split]


def error_of(path: Path, **keywords) -> str:
    with pytest.raises(DataError) as error:
        load_own(path, **keywords)
    assert str(path) in str(error.value)
    return str(error.value)


def test_one_file_becomes_three_splits_with_each_class_by_its_share(own, capsys):
    splits = load_own(write_csv(own, ROWS))
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 56,
        "validation": 12,
        "test": 12,
    }
    assert [sum(split["label"]) for split in splits.values()] == [28, 6, 6]
    assert sorted(rows_of(splits)) == sorted(ROWS)
    assert capsys.readouterr().out == (
        f"{own} (comma-separated): train 56, validation 12, test 12; 2 classes: neg 40, pos 40\n"
    )


def test_the_same_seed_gives_the_same_splits_and_another_seed_others(own):
    write_csv(own, ROWS)
    first, again, other = (load_own(own, seed=seed)["test"]["text"][:] for seed in (0, 0, 1))
    assert first == again and set(first) != set(other)


@pytest.mark.parametrize(
    ("delimiter", "encoding", "newline"),
    [
        (";", "utf-8-sig", "\r\n"),  # Excel in Germany, "CSV UTF-8"
        ("\t", "utf-16", "\r\n"),  # Excel, "Unicode text"
        ("\t", "utf-16-be", "\r\n"),
        ("\t", "utf-8", "\n"),
        ("|", "utf-8", "\r"),
    ],
)
def test_the_delimiter_and_a_marked_encoding_are_found(own, delimiter, encoding, newline):
    rows = [(f"Größe {i}; weiß, rund: „{text}“", label) for i, (text, label) in enumerate(ROWS)]
    write_csv(own, rows, delimiter=delimiter, encoding=encoding, newline=newline)
    if encoding == "utf-16-be":  # Python writes a byte order mark for "utf-16" only
        own.write_bytes(codecs.BOM_UTF16_BE + own.read_bytes())
    assert sorted(rows_of(load_own(own))) == sorted(rows)


def test_excel_s_line_that_names_the_delimiter_is_no_header(own):
    write_csv(own, [*ROWS, ("", "pos")], delimiter=";")
    own.write_text("sep=;\n" + own.read_text())
    assert "row 81 (line 83): the text in column 'text' is empty" in error_of(own)


def test_windows_1252_is_named_with_row_line_and_a_cure_that_works(own):
    rows = [(f"Gäste für {i}: {text}", label) for i, (text, label) in enumerate(ROWS)]
    write_csv(own, rows, encoding="cp1252")
    message = error_of(own)
    assert "row 1 (line 2): byte 0xe4 is not UTF-8" in message
    assert "Save the file with the encoding UTF-8 (in Excel: 'CSV UTF-8')" in message
    assert 'load_own(..., encoding="cp1252") reads the file: "Gäste für 0' in message
    assert sorted(rows_of(load_own(own, encoding="cp1252"))) == sorted(rows)


def test_windows_1252_is_no_cure_where_the_bytes_are_no_windows_1252_either(own):
    own.write_bytes(b"text,label\nA film,neg\nM\x81he,pos\n")  # a u with two dots in DOS
    for encoding in (None, "cp1252"):
        message = error_of(own, encoding=encoding)
        assert "row 2 (line 3): byte 0x81 is not" in message and "cp1252" not in message
        assert message.endswith("If you know its encoding, name it: load_own(..., encoding=...).")


def test_utf_8_that_is_named_as_another_encoding_is_refused_and_not_garbled(own):
    rows = [(f"Größe {i}: {text}", label) for i, (text, label) in enumerate(ROWS)]
    write_csv(own, rows)
    message = error_of(own, encoding="cp1252")
    assert f"{own}: this file is UTF-8, and read as 'cp1252' its letters" in message
    assert message.endswith("Name no encoding for it.")
    write_csv(own, ROWS)  # of ASCII alone, both are right
    assert sorted(rows_of(load_own(own, encoding="cp1252"))) == sorted(ROWS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_no_part_of_the_header_where_the_encoding_is_named(own, encoding):
    write_csv(own, ROWS, encoding=encoding)
    own.write_bytes("\ufeff".encode(encoding) + own.read_bytes())
    assert sorted(rows_of(load_own(own, encoding=encoding))) == sorted(ROWS)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_named_with_a_cure_that_works(own, encoding):
    rows = [(f"Gäste für {i}: {text}", label) for i, (text, label) in enumerate(ROWS)]
    write_csv(own, rows, encoding=encoding)
    assert f'load_own(..., encoding="{encoding}") reads it' in error_of(own)
    assert sorted(rows_of(load_own(own, encoding=encoding))) == sorted(rows)


def test_bytes_that_are_no_text_and_an_encoding_that_is_none_are_refused(own):
    own.write_bytes(b"\x1f\x8b\x08\x01 an archive")
    assert f"{own}, line 1: byte 0x8b is not UTF-8" in error_of(own)
    own.write_text("text,label\nA film\0,neg\n", encoding="utf-16")
    assert f"{own}, row 1 (line 2): a character 0 is not text" in error_of(own)
    assert "there is no encoding 'utf-61'" in error_of(own, encoding="utf-61")


def test_brackets_and_umlauts_in_the_path_are_no_pattern(tmp_path):
    folder = tmp_path / "NLP [2025] für *alle* {a,b}"
    for name in ("Übung [1].csv", "label=1/own.csv"):
        assert len(load_own(write_csv(folder / name, ROWS))["train"]) == 56
    for name in ("label=1", "[a-z]"):
        file = folder / name / "own.parquet"
        file.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"text": COMPLAINTS + PRAISE, "label": [1] * 40 + [2] * 40}), file)
        assert load_own(file)["train"].features["label"].names == ["1", "2"]


def test_a_quotation_mark_that_is_closed_fifty_rows_later_is_named_where_it_opens(own):
    plain = [f"{text.replace(',', '')},{label}" for text, label in ROWS]
    for last in (f'"{plain[70]}', plain[70].replace(",", '",')):
        rows = [*plain[:20], f'"{plain[20]}', *plain[21:70], last, *plain[71:]]
        own.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
        message = error_of(own)
        assert f"{own}, row 21 (line 22): " in message and "quotation mark opens" in message
    own.write_text("\n".join(["text,label", *plain[:20], f'"{plain[20]}', plain[21]]) + "\n")
    assert "row 21 (line 22): not readable as CSV (unexpected end of data" in error_of(own)


@pytest.mark.parametrize("start", ['{label},"{text}', '{label},{text},"note'])
def test_swallowed_rows_are_found_whatever_the_order_of_the_columns(own, start):
    width = start.count(",")
    plain = [",".join([label, text.replace(",", ""), "note"][: width + 1]) for text, label in ROWS]
    text, label = ROWS[10]
    opened = start.format(label=label, text=text.replace(",", ""))
    rows = [*plain[:10], opened, *plain[11:20], plain[20] + '"', *plain[21:]]
    header = ["label", "text", "note"][: width + 1]
    own.write_text("\n".join([",".join(header), *rows]) + "\n", encoding="utf-8")
    message = error_of(own)
    assert "row 11 (line 12): a quotation mark opens in this row and is closed 10 lines" in message


@pytest.mark.parametrize("header", ["text,label", "label,text", "text,label,note"])
def test_a_class_whose_rows_are_all_swallowed_is_missed(own, header):
    rows = [{"text": f"{c} number {i}", "label": c, "note": ""} for c in "ABC" for i in range(50)]
    rows[40]["text"] = '"' + rows[40]["text"]
    rows[110]["text"] += '"'
    lines = [",".join(row[name] for name in header.split(",")) for row in rows]
    own.write_text("\n".join([header, *lines]), encoding="utf-8")
    assert "row 41 (line 42): a quotation mark opens in this row and is closed 70" in error_of(own)


@pytest.mark.parametrize(
    ("first", "last"),
    [('"Good, but slow,neg,', 'It has 6",pos,'), ('Good but slow,neg,"', 'It has 6,pos,"')],
)
def test_swallowed_rows_are_found_between_texts_with_commas_and_from_an_empty_cell_on(
    own, first, last
):
    plain = [f"{text.replace(',', '')},{label}," for text, label in ROWS]
    rows = [*plain[:10], first, *plain[11:40], last, *plain[41:]]
    own.write_text("\n".join(["text,label,note", *rows]), encoding="utf-8")
    message = error_of(own)
    assert "row 11 (line 12): a quotation mark opens in this row and is closed 30" in message


@pytest.mark.parametrize("text", ["Price {}\ncosts 4,1\nso so", "Price {}\n\n3,0\n", "\n{},1"])
def test_a_line_of_a_text_that_ends_like_a_row_is_no_row(own, text):
    rows = [(text.format(i), str(i % 2)) for i in range(40)]
    assert sorted(rows_of(load_own(write_csv(own, rows)))) == sorted(rows)
    rows = [(label, text) for text, label in rows]
    splits = load_own(write_csv(own, rows, ("label", "text")))
    assert sorted((label, text) for text, label in rows_of(splits)) == sorted(rows)


def test_quotation_marks_within_a_text_are_part_of_it(own):
    lines = [f'The {i}" screen, he said "fine";{i % 2}' for i in range(40)]
    own.write_text("\n".join(["text;label", *lines]), encoding="utf-8")
    assert ('The 39" screen, he said "fine"', "1") in rows_of(load_own(own))


def test_a_long_text_arrives_whole_and_a_long_header_is_named(own):
    rows = [*ROWS, ("word " * 40_000, "pos")]
    assert sorted(rows_of(load_own(write_csv(own, rows)))) == sorted(rows)
    own.write_text('"' + own.read_text())
    assert "the header (line 1): not readable as CSV (" in error_of(own)


def test_blank_lines_above_the_header_do_not_hide_its_delimiter(own):
    write_csv(own, ROWS, delimiter=";")
    own.write_text("\n\n" + own.read_text())
    assert sorted(rows_of(load_own(own))) == sorted(ROWS)


@pytest.mark.parametrize(("delimiter", "found"), [("~", "'text~label'"), (" ", "'text label'")])
def test_another_delimiter_is_told_by_the_header_not_by_a_quotation_mark(own, delimiter, found):
    write_csv(own, [(f'"{text}"', label) for text, label in ROWS], delimiter=delimiter)
    assert f"line 1: no column 'text'; it has {found}" in error_of(own)


def test_a_title_above_the_header_is_told_by_the_missing_column(own):
    write_csv(own, [("", "", ""), ("text", "label", "who")], ("My texts", "", ""), ";")
    assert "line 1: no column 'text'; it has 'My texts', '', ''" in error_of(own)


def test_columns_that_excel_leaves_without_name_and_value_are_overlooked(own):
    write_csv(own, [(*row, "", "") for row in ROWS], ("text", "label", "", ""), ";")
    assert sorted(rows_of(load_own(own))) == sorted(ROWS)
    write_csv(own, [(*row, "", "x") for row in ROWS], ("text", "label", "", ""), ";")
    assert "two columns are named ''" in error_of(own)


def test_blank_rows_at_the_end_of_an_excel_export_are_left_out_and_counted(own, capsys):
    write_csv(own, [*ROWS, ("", ""), (" ", "")], delimiter=";")
    assert sorted(rows_of(load_own(own))) == sorted(ROWS)
    assert "my_texts.csv: 2 blank rows at the end left out" in capsys.readouterr().out


def test_blank_rows_among_the_others_and_an_end_with_one_value_are_named(own):
    message = error_of(write_csv(own, [*ROWS[:3], ("", ""), *ROWS[3:]]))
    assert "row 4 (line 5): the label in column 'label' is empty" in message
    message = error_of(write_csv(own, [*ROWS, ("", ""), ("", "neg")]))
    assert "row 81 (line 82): the label in column 'label' is empty" in message


def test_a_text_of_several_lines_arrives_whole(own):
    texts = [f"Dear all,\n\n{text}\nThanks,\nneg\n" for text, _ in ROWS]
    rows = [(text, label) for text, (_, label) in zip(texts, ROWS, strict=True)]
    assert sorted(rows_of(load_own(write_csv(own, rows)))) == sorted(rows)
    write_csv(own, [*rows, ("A good one", "")])
    assert "row 81 (line 482): the label in column 'label' is empty" in error_of(own)


def test_a_class_with_one_row_is_named_with_that_row_and_what_is_needed(own):
    message = error_of(write_csv(own, [*ROWS, ("A strange one", "other")]))
    assert "too few rows of the class 'other' (1, first in row 81 (line 82))" in message
    assert "at least 6 in this file, 2 for each of the 3 splits made of it" in message
    assert "Add texts of this class, give its rows another label, or delete them." in message


def test_the_row_of_a_rare_class_is_the_file_s_where_repeats_were_dropped(own):
    message = error_of(write_csv(own, [ROWS[0], *ROWS, ("Neither.", "other")]))
    assert "class 'other' (1, first in row 82 (line 83)), after 1 repeated texts" in message


def test_six_rows_of_a_class_are_enough_and_come_into_every_split(own):
    write_csv(own, [*ROWS, *((f"A strange one, number {i}", "other") for i in range(6))])
    for split in load_own(own).values():
        assert split["label"][:].count(1) == 2 and split.features["label"].names[1] == "other"


def test_a_label_column_that_is_none_is_told_by_its_many_classes(own):
    message = error_of(write_csv(own, [(text, f"id {i}") for i, (text, _) in enumerate(ROWS)]))
    assert "'id 0' (1, first in row 1 (line 2))" in message and "and 75 more" in message


@pytest.mark.parametrize("label", ["", "  "])
def test_an_empty_label_and_an_empty_text_are_named_with_their_row(own, label):
    message = error_of(write_csv(own, [*ROWS, ("A forgotten one", label), *ROWS]))
    assert "row 81 (line 82): the label in column 'label' is empty. Write a label" in message
    message = error_of(write_csv(own, [*ROWS[:5], (label, "neg"), *ROWS[5:]]))
    assert "row 6 (line 7): the text in column 'text' is empty" in message


def test_rows_of_one_class_are_refused(own):
    message = error_of(write_csv(own, [(text, "neg") for text in COMPLAINTS]))
    assert "every row has the label 'neg'. Expected two classes or more" in message


def test_a_test_file_that_is_a_copy_of_train_is_refused(tmp_path):
    for split in ("train", "test"):
        write_csv(tmp_path / f"{split}.csv", ROWS)
    message = error_of(tmp_path)
    assert f"{tmp_path / 'train.csv'}: no rows are left, after 80 repeated texts" in message
    assert "all of them stand in test.csv too. Give each split texts of its own" in message


@pytest.mark.parametrize(
    "names",
    [
        ("0", "1"),
        ("1", "10"),
        ("-1", "1"),
        ("1.0", "2.0"),
        ("1.1", "1.10"),
        ("False", "True"),
        ("no", "yes"),
        ("NA", "null"),
        (" very bad", "very good "),
        ("don't know", 'naïve; "quoted"'),
    ],
)
def test_labels_arrive_as_they_are_written(own, names):
    rows = [(text, names[label == "pos"]) for text, label in ROWS]
    splits = load_own(write_csv(own, rows))
    assert splits["train"].features["label"].names == list(names)
    assert sorted(rows_of(splits)) == sorted(rows)


def test_numbers_as_labels_stand_in_the_order_of_numbers(own):
    rows = [(text, str(i % 11)) for i, (text, _) in enumerate(ROWS)]
    names = load_own(write_csv(own, rows))["train"].features["label"].names
    assert names == [str(i) for i in range(11)]


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ("pos", "Pos"),
        ("pos", "pos "),
        ("1", "1.0"),
        ("True", "true"),
        ("not sure", "not_sure"),
        ("not sure", "not  sure"),
        ("Maß", "MASS"),
        ("pos", "pos\u200b"),
        ("pos", "\ufeffpos"),
        ("pos", "pos\ufe0f"),  # a variation selector, as behind many emojis
        ("pos", "pos\x01"),
        ("not-sure", "not\u2013sure"),
        ("don't know", "don\u2019t know"),
    ],
)
def test_a_label_in_two_spellings_is_named_with_the_row_of_the_rarer(own, usual, other):
    rows = [(text, label.replace("pos", usual)) for text, label in ROWS]
    message = error_of(write_csv(own, [*rows[:7], ("Another one", other), *rows[7:]]))
    assert f"row 8 (line 9): the label {other!r} (1) looks like another spelling" in message
    assert f"spelling of {usual!r} (40). Write the same word in every row" in message


def test_a_label_in_another_spelling_is_named_in_the_file_that_has_it(tmp_path):
    write_csv(tmp_path / "train.csv", ROWS[:60])
    write_csv(tmp_path / "test.csv", [*ROWS[60:], ("Another one", "Pos")])
    message = error_of(tmp_path)
    assert f"{tmp_path / 'test.csv'}, row 21 (line 22): the label 'Pos' (1)" in message


def test_labels_that_one_file_calls_by_other_words_are_shown(tmp_path):
    write_csv(tmp_path / "train.csv", ROWS[:60])
    other = {"neg": "bad", "pos": "good"}
    write_csv(tmp_path / "test.csv", [(text, other[label]) for text, label in ROWS[60:]])
    message = error_of(tmp_path)
    assert f"{tmp_path / 'test.csv'}: too few rows of the class 'neg' (0), 'pos' (0)" in message
    assert "Its most frequent classes: 'bad' (10), 'good' (10)." in message


def test_labels_that_only_look_alike_are_two_classes(own):
    rows = [(f"{text} {i}", n) for text, _ in ROWS for i, n in enumerate(("1", "-1", "C", "C++"))]
    names = load_own(write_csv(own, rows))["train"].features["label"].names
    assert names == ["-1", "1", "C", "C++"]


def test_json_lines_give_numbers_and_truth_values_as_they_are_written(tmp_path):
    file = tmp_path / "own.jsonl"
    for names in (("1", "2"), ("0.50", "1e3"), ("false", "true"), ('"a"', '"b \\u00fc"')):
        lines = [f'{{"label": {names[i % 2]}, "text": "Text {i}\\n\\u20ac"}}' for i in range(20)]
        file.write_text("\n".join(lines), encoding="utf-8")
        splits = load_own(file)
        found = splits["train"].features["label"].names
        assert found == [n.strip('"').replace("\\u00fc", "ü") for n in names]
        assert all(text.endswith("\n€") for text in splits["test"]["text"])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a", "label": ', "not readable as JSON"),
        ('{"text": "half \\ud83d", "label": "b"}', "not readable as JSON"),
        ('{"text": "a", "label": "b", "label": "c"}', "a name stands twice: text, label, label"),
        ('["a", "b"]', "not an object with text, label"),
        ('{"text": "a"}', "no column 'label'; it has 'text'"),
        ('{"text": "a", "label": null}', "the label in column 'label' is empty"),
        ('{"text": "a", "label": NaN}', "the label in column 'label' is empty"),
        ('{"text": "a", "label": ["b"]}', "holds a list. Expected one label a row"),
        ('{"text": null, "label": "b"}', "the text in column 'text' is empty"),
        ('{"text": {"de": "a"}, "label": "b"}', "holds a dict, not a text"),
    ],
)
def test_a_json_line_that_is_no_row_is_named(tmp_path, line, reason):
    file = tmp_path / "own.jsonl"
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    file.write_text("\n".join([*lines[:3], "", line, *lines[3:]]), encoding="utf-8")
    message = error_of(file)
    assert f"{file}, row 4 (line 5)" in message and reason in message


def test_names_that_only_later_json_lines_have_become_columns_too(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text('{"text": "a", "label": "b"}\n{"text": "c", "label": "d", "who": "e"}')
    columns = read_table(file, ["text", "label"]).columns
    assert columns == {"text": ["a", "c"], "label": ["b", "d"], "who": [None, "e"]}


def test_a_list_of_json_objects_is_read_too(tmp_path):
    file = tmp_path / "own.json"
    rows = [{"text": text, "label": label} for text, label in ROWS]
    file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    assert sorted(rows_of(load_own(file))) == sorted(ROWS)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0, 1], ["0", "1"]),
        ([0.0, 1.5], ["0.0", "1.5"]),
        ([False, True], ["false", "true"]),
        (["b", "a"], ["a", "b"]),
    ],
)
def test_labels_of_a_parquet_file_may_be_of_any_plain_type(tmp_path, values, names):
    file = tmp_path / "own.parquet"
    pq.write_table(pa.table({"text": COMPLAINTS, "label": values * 20, "more": [[1]] * 40}), file)
    splits = load_own(file)
    assert splits["train"].features["label"].names == names
    assert splits["train"].column_names == ["text", "label"]


def test_a_parquet_file_with_class_names_gives_them_and_refuses_unlabelled_rows(tmp_path):
    file = tmp_path / "own.parquet"
    feature = {"label": {"names": ["spam", "ham"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": feature}})}
    for labels in ([0, 1] * 20, [0, -1] * 20):
        table = pa.table({"text": COMPLAINTS, "label": labels}).replace_schema_metadata(metadata)
        pq.write_table(table, file)
        if -1 in labels:
            assert "row 2: unknown label -1. The file has names for 0 to 1" in error_of(file)
        else:
            assert (COMPLAINTS[0], "spam") in rows_of(load_own(file))


def test_an_excel_workbook_and_other_kinds_of_files_are_told_how_to_become_one(tmp_path):
    for name in ("own.xlsx", "own.csv"):
        (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(100))
        message = error_of(tmp_path / name)
        assert "this is an Excel workbook. Save the sheet as 'CSV UTF-8'." in message
    (tmp_path / "own.docx").write_bytes(b"text")
    assert "unknown kind of file. Expected one of .csv" in error_of(tmp_path / "own.docx")


@pytest.mark.parametrize("path", ["text,label\n" * 500, "~no such user/own.csv"])
def test_a_path_that_the_system_refuses_is_no_error_of_the_system(path):
    assert "can't be opened (" in error_of(path)


def test_a_date_beyond_the_calendar_is_no_label(tmp_path):
    labels = pa.array([2**30] * len(ROWS), pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"text": COMPLAINTS + PRAISE, "label": labels}), tmp_path / "d.parquet")
    assert "not readable as parquet (" in error_of(tmp_path / "d.parquet")


@pytest.mark.parametrize("nothing", ["\u200b", "\u2060\ufeff", "\0"])
def test_a_text_and_a_label_of_invisible_signs_are_empty(tmp_path, nothing):
    file = tmp_path / "own.jsonl"
    for rows, told in (
        ([*ROWS, (nothing, "pos")], "row 81 (line 81): the text in column 'text' is empty"),
        ([(t, n.replace("neg", nothing)) for t, n in ROWS], "the label in column 'label' is empty"),
    ):
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        file.write_text("\n".join(lines), encoding="utf-8")
        assert told in error_of(file)


def test_a_missing_file_is_named_with_what_lies_beside_it(own):
    write_csv(own, ROWS)
    message = error_of(own.with_name("my_text.csv"))
    assert "there is no such file. Beside it: my_texts.csv. Correct the path." in message


def test_columns_of_any_name_are_taken_where_they_are_named(own):
    write_csv(own, [(f"{i}", b, a) for i, (a, b) in enumerate(ROWS)], ("id", "Urteil", "Satz"))
    message = error_of(own)
    assert "line 1: no column 'text'; it has 'id', 'Urteil', 'Satz'" in message
    splits = load_own(own, text="Satz", label="Urteil")
    assert splits["train"].column_names == ["text", "label"]
    assert sorted(rows_of(splits)) == sorted(ROWS)


def test_a_column_named_twice_and_a_row_of_another_length_are_named(own):
    message = error_of(write_csv(own, [(*row, "x") for row in ROWS], ("text", "label", "text")))
    assert "two columns are named 'text'. Delete or rename one." in message
    own.write_text("text;label\nA film; and a long one;neg\n", encoding="utf-8")
    message = error_of(own)
    assert "row 1 (line 2): 2 columns expected, 3 found" in message and "delimiter ';'" in message
    own.write_text("text;label\nA film;neg\nA longer one\n", encoding="utf-8")
    assert "row 2 (line 3): 2 columns expected, 1 found" in error_of(own)


def test_repeated_texts_are_dropped_and_said_to_be_with_those_that_contradict(own, capsys):
    again = [(f" {COMPLAINTS[0].upper()}", "neg"), (PRAISE[0], "neg")]
    splits = load_own(write_csv(own, [*ROWS, *again]))
    assert sum(map(len, splits.values())) == 80
    told = "  train: 2 texts dropped that stand twice or also in a later split, the first in row 81"
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"{told} (line 82)",
        "  train: 1 of them had another label there, the first in row 82 (line 83)",
    ]


def test_a_folder_gives_its_splits_and_those_that_it_lacks_are_made_of_train(tmp_path, capsys):
    write_csv(tmp_path / "train.csv", ROWS[:60])
    write_csv(tmp_path / "test.tsv", ROWS[60:], delimiter="\t")
    (tmp_path / "README.txt").write_text("Not a split.")
    splits = load_own(tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 51,
        "validation": 9,  # 0.15 of the 60 rows that it is drawn from
        "test": 20,
    }
    assert sorted(rows_of({**splits, "train": splits["train"]})) == sorted(ROWS)
    more = load_own(tmp_path, validation=0.25, test=0.25)
    assert [len(split) for split in more.values()] == [45, 15, 20]
    told = capsys.readouterr().out
    assert "not read, for they are not called train, validation, test with one of" in told
    assert ".parquet: README.txt\n" in told
    write_csv(tmp_path / "test.csv", ROWS[60:])
    assert "test.csv is there too. Keep one of the two." in error_of(tmp_path)


@pytest.mark.parametrize("name", ["test.xlsx", "test.csv.gz", "Test.csv", "test"])
def test_a_split_s_file_that_is_not_read_is_named_beside_the_one_made_of_train(
    tmp_path, capsys, name
):
    write_csv(tmp_path / "train.csv", ROWS)
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "notes.md").write_text("Not a split.")
    load_own(tmp_path)
    (told,) = [line for line in capsys.readouterr().out.splitlines() if "not read" in line]
    assert told.endswith(f": {name}")


def test_a_folder_without_train_says_what_it_expects(tmp_path):
    write_csv(tmp_path / "my_texts.csv", ROWS)
    assert "no file called train. Expected train" in error_of(tmp_path)


def test_rows_of_a_group_stay_in_one_split(own):
    rows = [(text, label, f"writer {i // 2 % 10}") for i, (text, label) in enumerate(ROWS)]
    write_csv(own, rows, ("text", "label", "writer"))
    splits = load_own(own, group="writer")
    writers = {name: set(split["group"]) for name, split in splits.items()}
    assert sum(map(len, writers.values())) == 10 and all(writers.values())
    assert sum(map(len, splits.values())) == 80
    counts = Counter(splits["test"]["label"])
    assert counts[0] == counts[1] >= 4
    few = [(text, label, f"writer {i // 2 % 4}") for i, (text, label) in enumerate(ROWS)]
    splits = load_own(write_csv(own, few, ("text", "label", "writer")), group="writer")
    assert [len(set(split["group"])) for split in splits.values()] == [2, 1, 1]


def test_a_group_written_in_two_ways_is_one_group(own, tmp_path):
    rows = [(*row, f"{i // 2 % 10}{'.0' * (i % 40 // 20)}") for i, row in enumerate(ROWS)]
    write_csv(own, rows, ("text", "label", "writer"))
    writers = [set(map(float, s["group"])) for s in load_own(own, group="writer").values()]
    assert sum(map(len, writers)) == len(set.union(*writers)) == 10
    own.unlink()
    for split, part, writer in (("train", ROWS[:40], 1), ("test", ROWS[40:], 1.0)):
        texts, labels = zip(*part, strict=True)
        table = pa.table({"text": texts, "label": labels, "writer": [writer] * 40})
        pq.write_table(table, tmp_path / f"{split}.parquet")
    message = error_of(tmp_path, group="writer")
    assert "test.parquet: rows of the group '1.0' stand in train too. Move" in message


def test_groups_that_can_not_be_split_are_refused(own, tmp_path):
    rows = [(text, label, "one writer") for text, label in ROWS]
    write_csv(own, rows, ("text", "label", "writer"))
    assert f"{own}: can't be split by group (" in error_of(own, group="writer")
    write_csv(own, [(text, label, label) for text, label in ROWS], ("text", "label", "writer"))
    message = error_of(own, group="writer")
    assert f"{own}: split by group, 40 rows hold 0 of the class" in message
    assert "Add groups with rows of this class, or name no group." in message
    lone = [(*row, "a" if row[1] == "neg" or row == ROWS[1] else "b") for row in ROWS[:40]]
    lone += [(f"{text} Again.", label, "b") for text, label in ROWS[:40]]
    message = error_of(write_csv(own, lone, ("text", "label", "writer")), group="writer")
    assert "split by group, 21 rows hold 1 of the class 'pos'; 2 are needed." in message
    own.unlink()
    for split, part in (("train", rows[:40]), ("test", rows[40:])):
        write_csv(tmp_path / f"{split}.csv", part, ("text", "label", "writer"))
    message = error_of(tmp_path, group="writer")
    assert "test.csv: rows of the group 'one writer' stand in train too. Move" in message


@pytest.mark.parametrize("share", [0, -0.1, 0.3, 1, 20])
def test_a_share_that_leaves_nothing_to_learn_from_is_refused(own, share):
    with pytest.raises(ValueError, match=r"expected a share of the rows above 0, at most 0\.25"):
        load_own(write_csv(own, ROWS), test=share)


def test_a_course_task_can_be_read_like_a_file_of_one_s_own(capsys):
    root = Path(__file__).resolve().parents[1]
    splits = load_own(root / "data/messages", text="sms")
    assert splits["train"].features["label"].names == ["ham", "spam"]
    assert "dropped" not in capsys.readouterr().out


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    file = tmp_path / "own.parquet"
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}), file
    )
    assert f"{file}: no rows. Expected at least one; copy the file again." in error_of(file)
