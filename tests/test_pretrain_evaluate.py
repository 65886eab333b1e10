"""The pair's results: scores are right, runs are kept and repeated only when something changed, cards say what was measured."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from conftest import ROOT, write_parquet
from safetensors import safe_open
from transformers import AutoModel, AutoTokenizer, BertForMaskedLM, BertTokenizerFast, DistilBertTokenizerFast
from transformers.utils import logging

from tools.pretrain import __main__ as program
from tools.pretrain import benchmarks, card, evaluate, models, picture
from tools.pretrain.benchmarks import Benchmark, accuracy, entity_f1, spans
from tools.pretrain.evaluate import Run
from tools.pretrain.plans import Plan
from tools.pretrain.train import Stage

pytestmark = pytest.mark.usefixtures("one_thread")
GOOD, BAD = "a fine warm film", "a dull cold film"


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A tiny untrained pair, exported as the real one is, in the place of the real one."""
    monkeypatch.setattr(models, "WIDTH", 16)
    monkeypatch.setattr(models, "HEADS", 2)
    folders = {"teacher": tmp_path / "mini-bert", "student": tmp_path / "mini-distilbert"}
    monkeypatch.setattr(program, "FOLDERS", folders)
    monkeypatch.setattr(program, "PICTURE", tmp_path / "pair.png")
    monkeypatch.setattr(program, "KEPT", tmp_path / "pair.json")
    (tmp_path / "README.md").write_text("A\n" + "\n".join(card.README_MARKS) + "\nZ\n", encoding="utf-8")
    monkeypatch.setattr(program, "README", tmp_path / "README.md")
    monkeypatch.setattr(evaluate, "FOLDERS", folders)
    torch.manual_seed(0)
    teacher = models.bert(8192, 4)
    program.export(teacher, folders["teacher"], BertTokenizerFast)
    program.export(models.student_from(teacher, (0, 2)), folders["student"], DistilBertTokenizerFast)
    return folders


@pytest.fixture
def toy(monkeypatch):
    """A benchmark that a word decides; it counts how often it is loaded."""
    loads = []

    def load(mirror):
        loads.append(mirror)
        feature = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
        texts = [f"{(BAD, GOOD)[i % 2]} number {i}" for i in range(24)]
        return {s: datasets.Dataset.from_dict({"text": texts, "label": [i % 2 for i in range(24)]}, features=feature)
                for s in ("train", "validation", "test")}

    benchmark = Benchmark("toy", load, accuracy, "accuracy", epochs=1, rate=1e-2, batch_size=8)
    monkeypatch.setattr(evaluate, "EMBEDDED", (benchmark,))
    monkeypatch.setattr(evaluate, "REAL", ())
    for module in (program, card, picture):
        monkeypatch.setattr(module, "EMBEDDED", (benchmark,))
        monkeypatch.setattr(module, "REAL", ())
    monkeypatch.setattr(evaluate, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(1))
    return loads


@pytest.mark.parametrize(("tags", "expected"), [
    (["O", "O"], set()),
    (["B-person", "I-person", "O"], {(0, 2, "person")}),
    (["B-person", "B-person"], {(0, 1, "person"), (1, 2, "person")}),
    (["I-group", "I-group"], {(0, 2, "group")}),
    (["B-person", "I-group"], {(0, 1, "person"), (1, 2, "group")}),
    (["O", "B-creative-work", "I-creative-work"], {(1, 3, "creative-work")}),
])
def test_entities_are_read_from_bio_tags(tags, expected):
    assert spans(tags) == expected


def test_entity_f1_wants_borders_and_type_right():
    truth = [["B-person", "I-person", "O", "B-group"], ["O", "B-location"]]
    guess = [["B-person", "O", "O", "B-group"], ["O", "B-person"]]
    assert entity_f1(truth, truth) == 1.0
    assert entity_f1(truth, guess) == pytest.approx(2 * 1 / (3 + 3))
    assert entity_f1([["O"]], [["O"]]) == 0.0


def test_words_cut_into_pieces_are_labelled_once():
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data/models/mini-distilbert")
    rows = {"words": [["Kubrickesque", "film"]], "tags": [[3, 0]]}
    out = evaluate.word_labels(rows, tokenizer, 32)
    pieces = tokenizer.convert_ids_to_tokens(out["input_ids"][0])
    assert pieces[0] == "[CLS]" and pieces[-2:] == ["film", "[SEP]"] and len(pieces) > 4
    assert out["labels"][0] == [-100, 3, *[-100] * (len(pieces) - 4), 0, -100]


def test_a_text_is_cut_where_the_model_stops_reading():
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data/models/mini-distilbert")
    assert evaluate.cut(["one two three four five"], tokenizer, 5) == ["one two three"]
    assert evaluate.cut(["one two"], tokenizer, 64) == ["one two"]


def test_repeated_texts_are_dropped_and_parts_do_not_overlap(tmp_path):
    file = tmp_path / "train.parquet"
    write_parquet(file, text=["a", "A ", "b", "c", "d", "e"], label=[0, 0, 1, 0, 1, 0])
    split = benchmarks.table(file, "text", "label")
    assert split["text"][:] == ["a", "b", "c", "d", "e"]
    first, second, rest = benchmarks.parts(split, 1, 2, None)
    assert sorted([*first["text"], *second["text"], *rest["text"]]) == ["a", "b", "c", "d", "e"]
    assert benchmarks.without(split, first).num_rows == 4


def test_every_real_task_has_disjoint_splits_and_both_pair_members_see_the_same(mirror):
    for benchmark in benchmarks.REAL:
        splits = benchmark.load(mirror)
        column = "words" if benchmark.name == "WNUT-17" else "text"
        assert set(splits) == {"train", "validation", "test"}
        if column == "text":
            held = {benchmarks.fingerprint(t) for t in splits["test"]["text"]}
            assert not held & {benchmarks.fingerprint(t) for t in splits["train"]["text"]} or "CLINC" in benchmark.name
        if "2,000" in benchmark.name:
            assert len(splits["train"]) == 2000
    assert len(benchmarks.imdb(mirror)["test"]) == 5000
    intents = benchmarks.clinc(mirror)["test"]
    assert intents.features["label"].num_classes == 151 and "oos" in intents.features["label"].names


def test_a_pair_is_exported_in_half_precision_and_loads_in_full(pair):
    for folder in pair.values():
        with safe_open(folder / "model.safetensors", "pt") as file:
            assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
        assert AutoModel.from_pretrained(folder, use_safetensors=True).dtype == torch.float32
        assert AutoTokenizer.from_pretrained(folder).model_max_length == 512
        assert (folder / "vocab.txt").read_bytes() == program.VOCAB.read_bytes()


def test_exporting_leaves_the_model_as_it_is(tmp_path):
    model = BertForMaskedLM(models.bert(8192, 1).config)
    program.export(model, tmp_path / "out", BertTokenizerFast)
    assert model.dtype == torch.float32


def test_runs_are_kept_and_repeated_only_when_weights_or_recipe_change(pair, toy, tmp_path, monkeypatch):
    runs = [Run("toy", m, 0) for m in evaluate.MODELS]
    results = tmp_path / "results"
    evaluate.perform_all(runs, tmp_path, results)
    assert len(toy) == 4 and len(list(results.iterdir())) == 4
    first = evaluate.scores(runs, results)
    assert first["toy", "TF-IDF"] == [1.0] and all(0 <= s[0] <= 1 for s in first.values())

    evaluate.perform_all(runs, tmp_path, results)
    assert len(toy) == 4

    program.export(models.bert(8192, 4), pair["teacher"], BertTokenizerFast)
    assert ("toy", "teacher") not in evaluate.scores(runs, results)
    evaluate.perform_all(runs, tmp_path, results)
    assert len(toy) == 5

    monkeypatch.setattr(evaluate, "EMBEDDED", (replace(evaluate.EMBEDDED[0], epochs=2),))
    assert evaluate.scores(runs, results) == {}


def test_choosing_tries_rates_and_epochs_on_validation_rows_and_leaves_the_recipe_as_it_is(pair, toy, tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(evaluate, "fine_tune", lambda b, splits, model, seed, split: tried.append((b, model, split)) or 0.5)

    class Arguments:
        shared, work, plan, stop_after, task = tmp_path, tmp_path, "tiny", math.inf, "toy"

    program.choose(Arguments)
    recipe = evaluate.EMBEDDED[0]
    assert {(b.epochs, b.rate) for b, _, _ in tried} == {(e * recipe.epochs, r) for e in (1, 2) for r in program.RATES}
    assert len(tried) == 2 * len(program.RATES) and {t[1:] for t in tried} == {("student", "validation")}
    assert evaluate.scores([Run("toy", "student", 0)], tmp_path / "tiny/results") == {}
    Arguments.task = "chess"
    with pytest.raises(SystemExit, match=r"no task's name has it[.] There are: toy[.]$"):
        program.choose(Arguments)


def test_a_card_says_which_aims_are_missed_and_by_how_much():
    name, aim = next(iter(card.AIMS.items()))
    for score, verdict in ((aim - 2.2, f"* {name}: {aim:.1f}, missed by 2.2"), (aim - 0.04, f"* {name}: {aim:.1f}, met")):
        said = card.aims_section({(name, "student"): [score / 100 - 0.01, score / 100 + 0.01], (name, "teacher"): [0.5]})
        assert verdict in said.splitlines() and "What most likely limits" in said and said.count("\n* ") == 1
    assert card.aims_section({(name, "teacher"): [0.5], ("toy", "student"): [0.5]}) == ""
    assert set(card.AIMS) <= {b.name for b in benchmarks.REAL}


def test_no_run_begins_after_the_time_is_up(pair, toy, tmp_path):
    evaluate.perform_all([Run("toy", "TF-IDF", seed) for seed in range(9)], tmp_path, tmp_path / "results", stop_after=0)
    assert 1 <= len(toy) < 9


def test_each_score_belongs_to_its_own_row_although_rows_are_grouped_by_length(pair):
    feature = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
    rows = [((BAD, GOOD)[i % 2] + " indeed" * (i % 23), i % 2) for i in range(200)]
    split = datasets.Dataset.from_dict({"text": [t for t, _ in rows], "label": [y for _, y in rows]}, features=feature)
    benchmark = Benchmark("words", lambda mirror: {}, accuracy, "accuracy", epochs=6, rate=1e-2, batch_size=8)
    assert evaluate.fine_tune(benchmark, {"train": split, "test": split}, "student", 0, "test") > 0.97


def test_a_tagger_learns_a_name(pair):
    logging.set_verbosity_error()
    feature = datasets.Features({"words": datasets.List(datasets.Value("string")),
                                 "tags": datasets.List(datasets.ClassLabel(names=["O", "B-person", "I-person"]))})
    rows = {"words": [["we", "saw", "john", "smith", "today"]] * 64, "tags": [[0, 0, 1, 2, 0]] * 64}
    split = datasets.Dataset.from_dict(rows, features=feature)
    benchmark = Benchmark("names", lambda mirror: {}, entity_f1, "entity F1", epochs=8, rate=2e-2, batch_size=8)
    splits = {s: split for s in ("train", "validation", "test")}
    assert evaluate.fine_tune(benchmark, splits, "student", 0, "test") == 1.0


def test_a_first_score_of_every_task_comes_first_and_only_the_pair_is_repeated(mirror):
    runs = evaluate.planned(mirror)
    assert len(set(runs)) == len(runs)
    assert {r.seed for r in runs if r.model in ("TF-IDF", "random")} == {0}
    for benchmark in (*benchmarks.EMBEDDED, *benchmarks.REAL):
        assert {r.seed for r in runs if r.benchmark == benchmark.name and r.model == "teacher"} == {0, 1, 2}
    first = [(r.benchmark, r.model) for r in runs[:24]]
    assert {name for name, model in first if model == "student"} == {b.name for b in (*benchmarks.EMBEDDED, *benchmarks.REAL)}
    last = runs[-16:]
    assert all(evaluate.find(r.benchmark).long and r.seed > 0 for r in last)


PAIR = {"student": ROOT / "data/models/mini-distilbert", "teacher": ROOT / "data/models/mini-bert"}


@pytest.mark.parametrize("role", PAIR)
def test_the_shipped_cards_count_what_the_files_hold(role):
    text = (PAIR[role] / "README.md").read_text(encoding="utf-8")
    (all_s, body_s, size_s), (all_t, body_t, size_t) = (card.parameters(PAIR[r]) for r in ("student", "teacher"))
    assert f"| parameters without the head | {body_s:,} | {body_t:,} | {body_s / body_t:.1%} |" in text
    assert f"| with the masked-LM head | {all_s:,} | {all_t:,} |" in text
    assert f"| {size_s:.1f} MB | {size_t:.1f} MB |" in text
    assert 0.57 < body_s / body_t < 0.63
    assert "dropout" in text and "CC BY-SA" in text and "Maas et al. 2011" in text


def test_the_shipped_student_keeps_its_teachers_width_heads_and_vocabulary():
    student, teacher = (AutoModel.from_pretrained(PAIR[r], use_safetensors=True).config for r in ("student", "teacher"))
    assert (student.n_layers, teacher.num_hidden_layers) == (6, 12)
    assert (student.dim, student.n_heads, student.vocab_size) == (256, 4, 8192)
    assert (teacher.hidden_size, teacher.num_attention_heads, teacher.vocab_size) == (256, 4, 8192)
    texts = ["An uncommonly gripping film!", "naïve"]
    ids = [AutoTokenizer.from_pretrained(folder)(texts)["input_ids"] for folder in PAIR.values()]
    assert ids[0] == ids[1]


def test_the_share_of_the_teacher_is_the_mean_of_the_ratios_and_waits_for_all_tasks(monkeypatch):
    tasks = tuple(Benchmark(name, len, accuracy, "accuracy", 1, 1e-4) for name in "ab")
    monkeypatch.setattr(card, "EMBEDDED", tasks)
    monkeypatch.setattr(card, "REAL", ())
    scores = {("a", "student"): [0.8, 0.9], ("a", "teacher"): [1.0], ("b", "student"): [0.6]}
    assert card.share_of_teacher(scores) is None
    assert card.share_of_teacher(scores | {("b", "teacher"): [0.8]}) == pytest.approx((0.85 + 0.75) / 2)
    assert card.percent([0.5, 0.6]) == "55.0 (50.0–60.0)" and card.percent([0.5]) == "50.0" and card.percent(None) == "–"


def test_a_run_that_goes_on_from_a_student_keeps_how_that_was_trained_for_its_own_cards(tmp_path, pair, capsys):
    (pair["student"] / "README.md").write_text("# s\n\n## Training\n\nTen minutes.\n\n## Size\n\nSmall.\n", encoding="utf-8")
    work = tmp_path / "work"
    (work / "more").mkdir(parents=True)
    model = program.from_start(pair["student"], work / "more")
    assert len(model.bert.encoder.layer) == 2 and (work / "more/before.md").read_text(encoding="utf-8") == "Ten minutes.\n"
    (work / "more/teacher").mkdir()
    (work / "more/teacher/log.jsonl").write_text('{"stage": 0, "tokens": 1, "seconds": 1, "mlm": 1}\n', encoding="utf-8")
    card.write_cards(pair, work, "more", Plan(teacher=()), (0, 1))
    text = (pair["teacher"] / "README.md").read_text(encoding="utf-8")
    assert "It goes on from an earlier run's student (below)." in text and "### The run before\n\nTen minutes." in text
    assert "--start" in text and "Word vectors" not in text


def test_only_a_new_model_has_its_positions_continued(tmp_path, pair, monkeypatch, capsys):
    """An earlier student has read 512 tokens: its positions serve better than what the first 128 foretell."""
    calls = []
    monkeypatch.setattr(models, "extend_positions", lambda *_: calls.append(1))
    monkeypatch.setattr(program, "first_model", lambda work, layers: models.bert(8192, layers))
    monkeypatch.setattr("tools.pretrain.train.bf16_pays", lambda: False)
    plan = Plan(teacher=(Stage(2, 8, 4, 64, 1e-3), Stage(2, 16, 4, 128, 1e-3)))
    for start, expected in ((pair["student"], 0), (None, 1)):
        work = tmp_path / f"work{expected}"
        work.mkdir()
        for name in ("train", "validation"):
            np.random.default_rng(0).integers(5, 8192, 6000).astype(np.uint16).tofile(work / f"{name}.bin")
        program.teacher(SimpleNamespace(plan="tiny", device="cpu", compile=False, stop_after=math.inf, start=start, work=work),
                        plan)
        assert len(calls) == expected


def test_the_whole_program_from_texts_to_cards(tmp_path, pair, toy, monkeypatch, capsys):
    work = tmp_path / "work"
    work.mkdir()
    for name in ("train", "validation"):
        np.random.default_rng(0).integers(5, 8192, 6000).astype(np.uint16).tofile(work / f"{name}.bin")
    plan = Plan(teacher=(Stage(2, 8, 4, 64, 1e-3, smoothing=0.7), Stage(4, 16, 4, 128, 1e-3)),
                student=(Stage(2, 16, 4, 128, 1e-3),), ablation=Stage(2, 16, 4, 128, 1e-3))
    monkeypatch.setattr(program, "first_model", lambda work, layers: models.bert(8192, layers))
    monkeypatch.setattr(program, "speed", lambda: [{"batch": 1, "length": 32, "student": 0.01, "teacher": 0.018, "ratio": 1.8}])
    monkeypatch.setattr("tools.pretrain.train.bf16_pays", lambda: False)
    monkeypatch.setattr(program, "ABLATION_TASKS", {True: "toy", False: "toy"})

    class Arguments:
        plan, device, compile, stop_after, start = "tiny", "cpu", False, math.inf, None
        note, shared = "A note.", tmp_path / "shared"

    Arguments.work = work
    program.student(Arguments, plan)
    teacher_card = (pair["teacher"] / "README.md").read_text(encoding="utf-8")
    assert "Not measured yet" in teacher_card and "A note." in teacher_card
    assert "| teacher 1 | 2 | 8 x 4 | 0.0 M | 0.001 | 0.7 |" in teacher_card and "by Bayes' rule" in teacher_card
    student = AutoModel.from_pretrained(pair["student"], use_safetensors=True)
    assert student.config.n_layers == 4  # a teacher of four layers gives all of them

    Arguments.note = ""
    measured = program.evaluate(Arguments, plan)
    assert set(measured.ablation) == set(program.WITHOUT)
    losses = {v: row["validation_mlm"] for v, row in measured.ablation.items()}
    assert all(5 < value < 12 for value in losses.values()) and losses["random start"] != losses["all three losses"]
    text = (pair["student"] / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n") and "model-index" in text and "A note." in text
    assert "| toy | accuracy | 100.0 |" in text and "1.80 ×" in text and "| random start |" in text and "-3.69" in text
    assert (tmp_path / "pair.png").stat().st_size > 5000
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("A\n") and readme.endswith("Z\n") and "| toy | accuracy | 100.0 |" in readme
    assert "of the teacher's score" in readme and "pair.png" in readme
    assert (work / "tiny/loss.png").stat().st_size > 5000

    def refused(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(program, "train", refused)
    monkeypatch.setattr(evaluate, "fine_tune", refused)
    monkeypatch.setattr(evaluate, "tf_idf", refused)
    Arguments.work = tmp_path / "another machine"
    again = program.evaluate(Arguments, plan)
    assert again.scores == measured.scores and again.ablation == measured.ablation
    assert (pair["student"] / "README.md").read_text(encoding="utf-8") == text
    assert str(tmp_path) not in (tmp_path / "pair.json").read_text(encoding="utf-8")

def test_the_shipped_results_belong_to_the_shipped_weights_and_are_what_cards_and_readme_say(tmp_path):
    """A pair that was trained on or a recipe that was changed must be measured again before the cards are right."""
    evaluate.bring_back(ROOT / "assets/pair.json", tmp_path)
    found = evaluate.scores(evaluate.planned(ROOT), tmp_path)
    text = (PAIR["student"] / "README.md").read_text(encoding="utf-8")
    rows = card.score_rows(found)
    assert rows and all(row in text for row in rows)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert card.readme_part(card.Measured(found), PAIR, program.PICTURE) in readme
    assert len(list(tmp_path.iterdir())) == sum(map(len, found.values()))
