"""load_task gives three clean splits from every source, or an error with file, row and cure."""

import dataclasses

import datasets
import pytest
from conftest import ROOT, embedded, write_parquet

from course_utils import data, hub
from course_utils.data import TASKS, DataError, load_task
from course_utils.lab import PROFILES

MINI, CPU, GPU = (PROFILES[name] for name in ("mini", "cpu", "gpu"))
GOOD = "text,label\nA fine film,pos\nA poor film,neg\n"


def few(profile, train=None, validation=10, test=None):
    return dataclasses.replace(
        profile, train_rows=train, validation_rows=validation, test_rows=test
    )


def texts_of(split: datasets.Dataset, column: str) -> set[str]:
    return {" ".join(text.lower().split()) for text in split[column]}


def assert_disjoint(splits: datasets.DatasetDict, column: str) -> None:
    found = {name: texts_of(splits[name], column) for name in splits}
    assert all(len(found[name]) == len(splits[name]) for name in splits)
    assert (
        not found["train"] & found["validation"]
        and not (found["train"] | found["validation"]) & found["test"]
    )


def small_mirror(folder, train="train", rows=200):
    """Reviews as a mirror has them: one text stands twice in train, ten of test are in train."""
    base = folder / "datasets/stanfordnlp/imdb"
    texts = [f"training review number {i}" for i in range(rows)]
    texts[0] = texts[1]
    write_parquet(base / f"{train}.parquet", text=texts, label=[i % 2 for i in range(rows)])
    write_parquet(
        base / "test.parquet",
        text=[f"Training  review number {i}" for i in range(10, 20)]
        + [f"test review number {i}" for i in range(40)],
        label=[i % 2 for i in range(50)],
    )
    return folder


@pytest.fixture
def reviews_folder(tmp_path):
    """A folder with the three CSV files of reviews; a test spoils one of them."""
    for split in data.SPLITS:
        (tmp_path / f"{split}.csv").write_text(GOOD, encoding="utf-8")
    return tmp_path


def error_of(folder, spoiled: str | bytes) -> str:
    (folder / "train.csv").write_bytes(spoiled if isinstance(spoiled, bytes) else spoiled.encode())
    with pytest.raises(DataError) as error:
        data.from_embedded("reviews", folder)
    assert str(folder / "train.csv") in str(error.value)
    return str(error.value)


def test_embedded_reviews_come_as_three_splits_with_labels_by_name(capsys):
    splits = load_task("reviews", MINI)
    rows = embedded("reviews").split.value_counts()
    assert {name: len(split) for name, split in splits.items()} == rows.to_dict()
    assert splits["train"].column_names == ["text", "label", "kind", "film"]
    assert splits["test"].features["label"].names == ["neg", "pos"]
    assert sum(splits["test"]["label"]) == pytest.approx(rows["test"] / 2, abs=5)
    assert_disjoint(splits, "text")
    sizes = f"train {rows['train']:,}, validation {rows['validation']}, test {rows['test']}"
    assert capsys.readouterr().out == f"reviews: {sizes} (embedded, written for this course)\n"


def test_embedded_messages_keep_their_own_column_names():
    splits = load_task("messages", MINI)
    assert splits["train"].column_names == ["sms", "label", "kind"]
    assert splits["validation"].features["label"].names == ["ham", "spam"]
    assert 0.12 <= sum(splits["train"]["label"]) / len(splits["train"]) <= 0.15
    assert_disjoint(splits, "sms")


def test_rows_are_cut_at_random_and_the_same_for_the_same_seed():
    small = few(MINI, train=100)
    first, again, other = (
        load_task("reviews", small, seed=seed)["train"]["text"] for seed in (0, 0, 1)
    )
    assert len(first) == 100 and list(first) == list(again) and set(first) != set(other)


def test_mini_never_asks_the_hub(monkeypatch):
    monkeypatch.setattr(data, "hub_files", lambda source: pytest.fail("mini asked the Hub"))
    assert len(load_task("reviews", MINI)) == 3


def test_a_task_that_does_not_exist_names_those_that_do():
    with pytest.raises(KeyError, match=r"no task 'review'\. Choose one of: reviews, messages"):
        load_task("review", MINI)


def test_a_wrong_column_is_named_with_the_columns_found(reviews_folder):
    message = error_of(reviews_folder, "review,label\nA fine film,pos\n")
    assert "train.csv, line 1: no column 'text'; it has 'review', 'label'. Rename" in message
    message = error_of(reviews_folder, "text,class\nA film,pos\n")
    assert "no column 'label'; it has 'text', 'class'" in message


def test_an_unknown_label_is_named_with_its_row_and_the_known_ones(reviews_folder):
    message = error_of(reviews_folder, GOOD + "So so,positive\n")
    assert "row 3 (line 4): unknown label 'positive'. Expected one of neg, pos; correct" in message


@pytest.mark.parametrize("text", ["", '"  "'])
def test_an_empty_text_is_named_with_its_row(reviews_folder, text):
    message = error_of(reviews_folder, GOOD + f"{text},neg\n")
    assert "row 3 (line 4): the text in column 'text' is empty" in message
    assert "write a text or delete the row" in message


def test_text_that_is_not_utf8_is_named_with_its_row_and_byte(reviews_folder):
    message = error_of(reviews_folder, GOOD.encode() + b"Am\xe9lie is fine,pos\nMore,neg\n")
    assert "row 3 (line 4): byte 0xe9 is not UTF-8. Save the file with the encoding" in message
    assert message.endswith("Amélie is fine,pos")


def test_excels_mark_at_the_start_of_a_file_is_no_part_of_the_first_column(reviews_folder):
    (reviews_folder / "train.csv").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert data.from_embedded("reviews", reviews_folder)["train"].column_names == ["text", "label"]


def test_a_missing_file_is_named(reviews_folder):
    (reviews_folder / "validation.csv").unlink()
    with pytest.raises(
        DataError, match=r"validation\.csv: this file is missing\. Fetch the course"
    ):
        data.from_embedded("reviews", reviews_folder)


def test_a_quotation_mark_that_is_never_closed_is_named(reviews_folder):
    message = error_of(reviews_folder, GOOD + '"It never ends,pos\n')
    assert "row 3 (line 4): not readable as CSV (unexpected end of data, in line 4)" in message
    assert "A quotation mark opens in this row and is never closed" in message


def test_a_quotation_mark_that_swallows_rows_is_named_where_it_opens(reviews_folder):
    rows = "A calm film,pos\nA loud film,neg\n" * 5
    message = error_of(reviews_folder, GOOD + f'"It begins here,neg\n{rows}and ends",pos\n' + rows)
    assert "row 3 (line 4): a quotation mark opens in this row and is closed 11 lines" in message
    message = error_of(reviews_folder, GOOD + f'"It begins here,neg\n{rows}"Quoted, too",pos\n')
    assert "row 3 (line 4): not readable as CSV (',' expected after '\"', in line 15)" in message


def test_a_comma_without_quotation_marks_is_named_with_its_row(reviews_folder):
    message = error_of(reviews_folder, GOOD + "Long, and dull,neg\n")
    assert "row 3 (line 4): 2 columns expected, 3 found. Put quotation marks around" in message
    message = error_of(reviews_folder, GOOD + "A text alone\n")
    assert "row 3 (line 4): 2 columns expected, 1 found" in message


@pytest.mark.parametrize("content", ["", "text,label\n"])
def test_a_file_without_rows_is_named(reviews_folder, content):
    message = error_of(reviews_folder, content)
    assert "no rows. Expected a header with text,label and at least one row" in message


def test_a_mirror_is_taken_even_for_mini_and_repeated_texts_leave_the_training_split(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("COURSE_MIRROR", str(small_mirror(tmp_path)))
    splits = load_task("reviews", few(MINI, validation=19))
    # 200 - 1 twice - 10 also in test = 189, of which a tenth, rounded up, is for validation.
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 170,
        "validation": 19,
        "test": 50,
    }
    assert_disjoint(splits, "text")
    assert splits["train"].features["label"].names == ["neg", "pos"]
    printed = capsys.readouterr().out
    assert "train: 11 texts dropped that stand twice or also in a later split" in printed
    assert "(mirror, stanfordnlp/imdb)" in printed


def test_a_part_of_the_training_split_is_taken_and_said_to_be_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_MIRROR", str(small_mirror(tmp_path, train="train_subset")))
    assert len(load_task("reviews", few(CPU))["train"]) == 170
    assert "only a part of the training split: train_subset" in capsys.readouterr().out


def test_a_mirror_folder_that_does_not_exist_is_named_with_what_it_should_hold(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError) as error:
        load_task("reviews", MINI)
    assert f"COURSE_MIRROR={tmp_path / 'nowhere'}: there is no such folder" in str(error.value)
    assert "datasets/ and models/" in str(error.value) and "unset COURSE_MIRROR" in str(error.value)


def mirror_error(folder, monkeypatch) -> str:
    monkeypatch.setenv("COURSE_MIRROR", str(folder))
    with pytest.raises(DataError) as error:
        load_task("reviews", MINI)
    return str(error.value)


def test_a_hole_in_the_mirror_is_named(tmp_path, monkeypatch):
    file = small_mirror(tmp_path) / "datasets/stanfordnlp/imdb/test.parquet"
    file.unlink()
    message = mirror_error(tmp_path, monkeypatch)
    assert f"{file}: the mirror lacks this file" in message
    assert "Expected the splits train, test of stanfordnlp/imdb; fill the mirror again" in message


def test_a_parquet_file_cut_off_in_the_middle_is_named(tmp_path, monkeypatch):
    file = small_mirror(tmp_path) / "datasets/stanfordnlp/imdb/train.parquet"
    file.write_bytes(file.read_bytes()[:-500])
    message = mirror_error(tmp_path, monkeypatch)
    assert f"{file}: not readable as parquet" in message and "Copy the file again" in message


def test_a_mirrors_wrong_column_label_and_text_are_named_with_file_and_row(tmp_path, monkeypatch):
    file = small_mirror(tmp_path) / "datasets/stanfordnlp/imdb/train.parquet"
    write_parquet(file, review=["A film"], label=[1])
    message = mirror_error(tmp_path, monkeypatch)
    assert f"{file}: no column 'text'; it has 'review', 'label'." in message
    assert "fetch the right file" in message
    write_parquet(file, text=["A film", "Unlabelled"], label=[1, -1])
    assert f"{file}, row 2: unknown label -1. Expected one of neg, pos" in mirror_error(
        tmp_path, monkeypatch
    )
    write_parquet(file, text=["A film", None], label=[1, 0])
    assert f"{file}, row 2: the text in column 'text' is empty" in mirror_error(
        tmp_path, monkeypatch
    )


def reviews_mirror(folder, train: list[int], test: list[int], same: bool = False):
    """Reviews with the given labels; with ``same`` the test texts are those of train."""
    for split, labels in (("train", train), ("test", test)):
        write_parquet(
            folder / f"datasets/stanfordnlp/imdb/{split}.parquet",
            text=[f"{'train' if same else split} {i}" for i in range(len(labels))],
            label=labels,
        )


def test_a_class_without_enough_rows_is_named_with_its_file_its_rows_and_how_many_it_needs(
    tmp_path, monkeypatch
):
    file = tmp_path / "datasets/stanfordnlp/imdb/train.parquet"
    reviews_mirror(tmp_path, [0] * 50 + [1] * 3, [0, 1] * 20)
    message = mirror_error(tmp_path, monkeypatch)
    assert message.startswith(f"{file}: too few rows of the class 'pos' (3, first in row 51). ")
    assert "at least 4 in this file, 2 for each of the 2 splits made of it" in message
    assert message.endswith("fetch the file again.")
    reviews_mirror(tmp_path, [0] * 50 + [1] * 4, [0, 1] * 20)
    counts = [split["label"][:].count(1) for split in load_task("reviews", MINI).values()]
    assert counts == [2, 2, 20]


def test_a_split_of_one_class_is_refused_also_where_it_is_given(tmp_path, monkeypatch):
    reviews_mirror(tmp_path, [0, 1] * 20, [0] * 40)
    message = mirror_error(tmp_path, monkeypatch)
    assert (
        "test.parquet: too few rows of the class 'pos' (0). Each class needs at least 2" in message
    )


def test_a_test_split_that_is_a_copy_of_train_leaves_no_rows_and_is_refused(tmp_path, monkeypatch):
    reviews_mirror(tmp_path, [0, 1] * 20, [0, 1] * 20, same=True)
    message = mirror_error(tmp_path, monkeypatch)
    assert "train.parquet: no rows are left, after 40 repeated texts were dropped" in message


def test_a_class_that_is_left_without_rows_by_its_repeats_is_named(tmp_path, monkeypatch):
    reviews_mirror(tmp_path, [0] * 40 + [1] * 40, [0, 1] * 20)
    write_parquet(
        tmp_path / "datasets/stanfordnlp/imdb/train.parquet",
        text=[f"train {i}" for i in range(40)] + ["Great!"] * 40,
        label=[0] * 40 + [1] * 40,
    )
    message = mirror_error(tmp_path, monkeypatch)
    assert "'pos' (1, first in row 41), after 39 repeated texts were dropped" in message


def write_named(file, names: list[str], column: str, rows: list[tuple[str, str]]) -> None:
    """A parquet file as ``datasets`` writes it: class numbers, and their names in the metadata."""
    features = datasets.Features(
        {"text": datasets.Value("string"), column: datasets.ClassLabel(names=names)}
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {"text": [text for text, _ in rows], column: [name for _, name in rows]}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(file)


def test_class_numbers_mean_what_the_file_names_them(tmp_path, monkeypatch):
    for split in ("train", "test"):
        rows = [(f"{split} {i}", ("neg", "pos")[i % 2]) for i in range(20)]
        file = tmp_path / f"datasets/stanfordnlp/imdb/{split}.parquet"
        write_named(file, ["pos", "neg"], "label", rows)
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    test = load_task("reviews", MINI)["test"]
    assert test.features["label"].names == ["neg", "pos"]
    assert dict(zip(test["text"], test["label"], strict=True))["test 1"] == 1


CLINC = ["balance", "alarm", "oos", "weather"]  # not in alphabetical order, as on the Hub


def clinc_rows(split: str, each: int = 20) -> list[tuple[str, str]]:
    return [(f"{split}: {name}, request {i}", name) for i in range(each) for name in CLINC]


def assert_clinc(splits: datasets.DatasetDict) -> None:
    names = splits["train"].features["label"].names
    assert names == sorted(CLINC) and TASKS["requests"].out_of_scope(names) == "oos"
    for split in splits.values():
        assert split.column_names == ["text", "label"] and split.features["label"].names == names
        assert all(
            text.split(": ")[1].split(",")[0] == names[number]
            for text, number in zip(split["text"], split["label"], strict=True)
        )


def test_requests_from_a_mirror_have_their_intents_by_name(tmp_path, monkeypatch, capsys):
    for number, split in enumerate(data.SPLITS):
        file = tmp_path / f"datasets/clinc/clinc_oos/plus/{split}.parquet"
        write_named(file, CLINC[number:] + CLINC[:number], "intent", clinc_rows(split))
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    assert_clinc(load_task("requests", MINI))
    line = "requests: train 80, validation 80, test 80 (mirror, clinc/clinc_oos)\n"
    assert capsys.readouterr().out == line


def test_requests_from_the_hub_are_asked_for_at_their_pin_and_mapped_by_name(tmp_path, monkeypatch):
    asked = []

    def fetch(repo, revision, files, kind):
        asked.append((repo, revision, *files))
        for split in data.SPLITS:
            write_named(tmp_path / f"{split}.parquet", CLINC, "intent", clinc_rows(split))
        return [tmp_path / f"{split}.parquet" for split in data.SPLITS]

    monkeypatch.setattr(hub, "fetch", fetch)
    assert_clinc(load_task("requests", few(CPU, train=40, validation=20, test=8)))
    files = [f"plus/{split}-00000-of-00001.parquet" for split in data.SPLITS]
    assert asked == [("clinc/clinc_oos", "155b9c710419136e17307b80d0a13e68cd46b4ec", *files)]


def test_requests_whose_intents_are_numbers_without_names_are_refused(tmp_path, monkeypatch):
    for split in data.SPLITS:
        file = tmp_path / f"datasets/clinc/clinc_oos/plus/{split}.parquet"
        write_parquet(file, text=[f"{split} {i}" for i in range(20)], intent=[0, 1] * 10)
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match=r"'intent' has class numbers without names\. Fetch"):
        load_task("requests", MINI)


def write_requests(folder, each: int = 4):
    """``data/requests`` in small: ``each`` rows of every class, one writer a split."""
    folder.mkdir(parents=True)
    for split in data.SPLITS:
        rows = [
            f"{split} of {name} {i},{name},{split}er"
            for i in range(each)
            for name in TASKS["requests"].labels
        ]
        (folder / f"{split}.csv").write_text("\n".join(["text,label,writer", *rows]) + "\n")


def test_embedded_requests_have_the_course_s_own_intents_and_their_writers(tmp_path, monkeypatch):
    write_requests(tmp_path / "data/requests")
    monkeypatch.setattr(data, "ROOT", tmp_path)
    splits = load_task("requests", MINI)
    names = splits["train"].features["label"].names
    assert len(names) == 31 and names == sorted(names)
    assert TASKS["requests"].out_of_scope(names) == "out_of_scope"
    assert {name: len(split) for name, split in splits.items()} == dict.fromkeys(splits, 124)
    assert splits["test"].column_names == ["text", "label", "writer"]
    assert set(splits["test"]["writer"]) == {"tester"}


def test_a_task_without_a_class_for_the_rest_says_so():
    with pytest.raises(KeyError, match="None of these classes is for texts out of scope: neg, pos"):
        TASKS["reviews"].out_of_scope(["neg", "pos"])


def test_a_cut_keeps_every_class_by_its_share_and_two_rows_of_the_rarest():
    labels = [0] * 700 + [1] * 297 + [2] * 3
    split = datasets.Dataset.from_dict({"label": labels})
    for seed in range(5):
        small = data.cut(split, 100, seed)["label"][:]
        assert [small.count(label) for label in (0, 1, 2)] == [69, 29, 2]
        assert small != sorted(small)
    assert len(data.cut(split, 999, 0)) == 999 and data.cut(split, 1000, 0) is split
    with pytest.raises(DataError, match=r"5 rows can't hold 2 of each of 3 classes\. Ask for 6"):
        data.cut(split, 5, 0)


def test_the_hub_out_of_reach_names_the_data_set_and_two_ways_on(monkeypatch):
    source = dataclasses.replace(
        hub.DATASETS["reviews"], repo="distilbert-course/was-never-published"
    )
    monkeypatch.setitem(hub.DATASETS, "reviews", source)
    with pytest.raises(DataError) as error:
        load_task("reviews", CPU)
    message = str(error.value)
    assert (
        f"distilbert-course/was-never-published at revision {source.revision}: could not be loaded"
        in message
    )
    assert "COURSE_MIRROR" in message and 'profile="mini"' in message


def test_hub_data_is_asked_for_at_the_pinned_revision_and_checked_like_any_other(
    tmp_path, monkeypatch
):
    asked = []

    def fetch(repo, revision, files, kind):
        asked.append((repo, revision, kind))
        return [
            write_parquet(
                tmp_path / f"{number}.parquet",
                text=[f"review {i} of {file}" for i in range(60)],
                label=[i % 2 for i in range(60)],
                more=[0] * 60,
            )
            for number, file in enumerate(files)
        ]

    monkeypatch.setattr(hub, "fetch", fetch)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    splits = load_task("reviews", CPU)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 54,
        "validation": 6,
        "test": 60,
    }
    assert (
        splits["train"].column_names == ["text", "label"]
        and sum(splits["validation"]["label"]) == 3
    )
    assert asked == [("stanfordnlp/imdb", "e6281661ce1c48d982bc483cf8a173c1bbeb5d31", "dataset")]


def test_every_pin_is_a_full_revision():
    pins = [source.revision for source in (*hub.MODELS.values(), *hub.DATASETS.values())]
    assert len(pins) == 5 and all(len(pin) == 40 and int(pin, 16) for pin in pins)


@pytest.mark.mirror
def test_real_imdb_is_cut_to_the_profile_and_its_leaks_are_removed(mirror, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_MIRROR", str(mirror))
    splits = load_task("reviews", few(GPU, train=None, validation=500))
    printed = capsys.readouterr().out
    assert_disjoint(splits, "text")
    # 24,801 different texts stand in test, 24,904 in train, of which 123 in both; a tenth of
    # train is for validation.
    sizes = {name: len(split) for name, split in splits.items()}
    assert (
        sizes["test"] == 24_801
        and sizes["validation"] == 500
        and 22_250 <= sizes["train"] <= 22_310
    )
    assert "train: " in printed and "test: " in printed
    for split in data.SPLITS:
        assert 0.45 < sum(splits[split]["label"]) / len(splits[split]) < 0.55
    assert any("<br />" in text for text in splits["test"].select(range(50))["text"])
    for split, rows in (("train", CPU.train_rows), ("test", CPU.test_rows)):
        small = data.cut(splits[split], rows, seed=0)
        assert len(small) == 2000 and 0.45 < sum(small["label"]) / 2000 < 0.55


@pytest.mark.mirror
def test_real_sms_spam_has_one_split_and_is_given_three_without_repeats(mirror, monkeypatch):
    monkeypatch.setenv("COURSE_MIRROR", str(mirror))
    splits = load_task("messages", few(GPU, validation=10_000))
    assert_disjoint(splits, "sms")
    total = sum(len(split) for split in splits.values())
    assert 5_000 < total < 5_200  # of 5,574 with more than 400 repeats
    assert len(splits["test"]) == pytest.approx(0.15 * total, abs=1)
    assert len(splits["validation"]) == pytest.approx(0.1 * 0.85 * total, abs=1)
    shares = [sum(split["label"]) / len(split) for split in splits.values()]
    assert max(shares) - min(shares) < 0.005 and 0.11 < min(shares) < 0.14


def test_the_route_leads_from_one_s_own_texts_to_the_lesson_for_them():
    text = (ROOT / "notebooks/README.md").read_text(encoding="utf-8")
    assert "**Your own texts.** [Lesson 10](10_your_data.ipynb)" in text
    assert (ROOT / "notebooks/10_your_data.ipynb").is_file()
