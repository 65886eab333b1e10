"""The models' results: scores are right, runs are kept and not repeated, cards say what was measured."""

import hashlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import datasets
import nbformat
import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, write_parquet
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForMaskedLM,
)
from transformers.utils import logging

from tools.pretrain import __main__ as program
from tools.pretrain import benchmarks, card, evaluate, models, source
from tools.pretrain.benchmarks import Benchmark, entity_f1, spans
from tools.pretrain.evaluate import Run
from tools.pretrain.plans import Plan
from tools.pretrain.train import Stage

pytestmark = pytest.mark.usefixtures("one_thread")
GOOD, BAD = "a fine warm film", "a dull cold film"
SHIPPED = {name: ROOT / "data/models" / name for name in ("mini-distilbert", "mini-student")}
VOCABULARY = SHIPPED["mini-distilbert"] / "vocab.txt"


def small(layers=4):
    return DistilBertForMaskedLM(
        DistilBertConfig(dim=16, hidden_dim=32, n_heads=2, n_layers=layers)
    )


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A tiny untrained pair, exported as the real one is, in the place of the real one."""
    for module in (source, models):
        monkeypatch.setattr(module, "distilbert", small)
    folders = {name: tmp_path / name for name in SHIPPED}
    for module in (program, evaluate):
        monkeypatch.setattr(module, "TEACHER", folders["mini-distilbert"])
        monkeypatch.setattr(module, "STUDENT", folders["mini-student"])
    monkeypatch.setattr(models, "STUDENT_LAYERS", (0, 2))
    monkeypatch.setattr(models.cut_out, "__defaults__", ((0, 2),))
    monkeypatch.setattr(program, "FOLDERS", folders)
    monkeypatch.setattr(program, "KEPT", tmp_path / "pair.json")
    monkeypatch.setattr("tools.pretrain.train.has_native_bf16", lambda: False)
    torch.manual_seed(0)
    teacher = small()
    models.export(teacher, folders["mini-distilbert"], VOCABULARY)
    models.export(models.cut_out(teacher), folders["mini-student"], VOCABULARY)
    return folders


@pytest.fixture
def toy(monkeypatch):
    """A benchmark that a word decides; it counts how often it is loaded."""
    loads = []

    def load(mirror):
        loads.append(mirror)
        feature = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
        )
        texts = [f"{(BAD, GOOD)[i % 2]} number {i}" for i in range(24)]
        return {
            s: datasets.Dataset.from_dict(
                {"text": texts, "label": [i % 2 for i in range(24)]}, features=feature
            )
            for s in ("train", "validation", "test")
        }

    benchmark = Benchmark(
        "toy", load, "accuracy", epochs=1, rate=1e-2, batch_size=8, aim=101.0, beside="F1"
    )
    for module in (program, evaluate):
        monkeypatch.setattr(module, "EMBEDDED", (benchmark,))
        monkeypatch.setattr(module, "REAL", ())
    monkeypatch.setattr(card, "ALL", (benchmark,))
    monkeypatch.setattr(
        evaluate, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(1)
    )
    return loads


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["O", "O"], set()),
        (["B-person", "I-person", "O"], {(0, 2, "person")}),
        (["B-person", "B-person"], {(0, 1, "person"), (1, 2, "person")}),
        (["I-group", "I-group"], {(0, 2, "group")}),
        (["B-person", "I-group"], {(0, 1, "person"), (1, 2, "group")}),
        (["O", "B-creative-work", "I-creative-work"], {(1, 3, "creative-work")}),
    ],
)
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


def test_f1_is_taken_at_the_threshold_that_is_best_on_validation_rows():
    truth = np.array([0, 0, 1, 1])
    spam = np.array([0.1, 0.2, 0.3, 0.4])  # right order, all below a half
    judged = (truth, np.stack([1 - spam, spam], axis=1))
    assert benchmarks.f1(judged, judged) == 1.0 and benchmarks.accuracy(judged, judged) == 0.5
    shifted = (
        truth,
        np.stack([1 - 0.7 * spam, 0.7 * spam], axis=1),
    )  # 0.07, 0.14, 0.21, 0.28: none reaches 0.3
    assert (
        benchmarks.f1(judged, shifted) == 0.0
        and benchmarks.average_precision(judged, shifted) == 1.0
    )


def test_every_real_task_has_disjoint_splits_and_its_rows(mirror):
    for benchmark in benchmarks.REAL:
        splits = benchmark.load(mirror)
        assert set(splits) == {"train", "validation", "test"}
        if "text" in splits["train"].column_names:
            held = {benchmarks.fingerprint(t) for t in splits["test"]["text"]}
            assert (
                not held & {benchmarks.fingerprint(t) for t in splits["train"]["text"]}
                or "CLINC" in benchmark.name
            )
        if "2,000" in benchmark.name:
            assert len(splits["train"]) == 2000
    assert len(benchmarks.imdb(mirror)["test"]) == 5000
    intents = benchmarks.clinc(mirror)["test"]
    assert intents.features["label"].num_classes == 151 and "oos" in intents.features["label"].names
    few, whole = benchmarks.clinc_few(10)(mirror), benchmarks.clinc(mirror)
    names = few["train"].features["label"].names
    assert np.bincount(few["train"]["label"]).tolist() == [10] * 150 and "oos" not in names
    wanted = {
        t: whole["test"].features["label"].int2str(y)
        for t, y in zip(whole["test"]["text"], whole["test"]["label"], strict=True)
    }
    found = zip(few["test"]["text"], few["test"]["label"], strict=True)
    assert all(names[label] == wanted[text] for text, label in found) and len(few["test"]) == 4500


def test_models_are_exported_in_half_precision_and_load_in_full(pair):
    for folder in pair.values():
        with safe_open(folder / "model.safetensors", "pt") as file:
            assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
        assert AutoModel.from_pretrained(folder, use_safetensors=True).dtype == torch.float32
        assert AutoTokenizer.from_pretrained(folder).model_max_length == 512
        assert AutoConfig.from_pretrained(folder).dropout == models.DROPOUT
        assert (folder / "vocab.txt").read_bytes() == VOCABULARY.read_bytes()


def test_runs_are_kept_and_repeated_only_when_weights_or_recipe_change(
    pair, toy, tmp_path, monkeypatch
):
    runs = [Run("toy", m, 0) for m in evaluate.MODELS]
    results = tmp_path / "results"
    evaluate.perform_all(runs, tmp_path, results)
    assert len(toy) == 5 and len(list(results.iterdir())) == 5
    first = evaluate.scores(runs, results)
    assert first["toy", "TF-IDF"] == first["toy, F1", "TF-IDF"] == [1.0]
    assert all(0 <= s[0] <= 1 for s in first.values())

    evaluate.perform_all(runs, tmp_path, results)
    assert len(toy) == 5

    models.export(small(2), pair["mini-student"], VOCABULARY)
    assert ("toy", "mini-student") not in evaluate.scores(runs, results)
    evaluate.perform_all(runs, tmp_path, results)
    assert len(toy) == 6

    monkeypatch.setattr(evaluate, "EMBEDDED", (replace(evaluate.EMBEDDED[0], epochs=2),))
    assert evaluate.scores(runs, results) == {}


def test_layers_cut_out_for_a_task_are_the_teachers_and_random_ones_are_not(pair):
    teacher = AutoModel.from_pretrained(pair["mini-distilbert"], use_safetensors=True)
    auto = evaluate.AutoModelForSequenceClassification
    cut, random = (
        evaluate.model_for(name, auto, 2).distilbert.transformer.layer
        for name in ("cut out", "random")
    )
    assert len(cut) == len(random) == 2
    third = teacher.transformer.layer[2].ffn.lin1.weight
    assert torch.equal(cut[1].ffn.lin1.weight, third) and not torch.equal(
        random[1].ffn.lin1.weight, third
    )


class Arguments:
    compile = False
    plan, device, stop_after, hub, share, note, task, model, ablation, lessons = (
        "tiny",
        "cpu",
        math.inf,
        False,
        1.0,
        "",
        "toy",
        "",
        False,
        None,
    )

    def __init__(self, tmp_path, **changes):
        self.shared = self.work = tmp_path
        vars(self).update(changes)


def test_choosing_tries_rates_and_epochs_on_validation_rows_and_leaves_the_recipe_as_it_is(
    pair, toy, tmp_path, monkeypatch
):
    tried = []
    judged = (np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))

    def pretend(benchmark, splits, model, seed):
        tried.append((benchmark.epochs, benchmark.rate, model))
        return {"validation": judged, "test": judged}

    monkeypatch.setattr(evaluate, "fine_tune", pretend)
    program.choose(Arguments(tmp_path))
    recipe = evaluate.EMBEDDED[0]
    assert set(tried) == {
        (e * recipe.epochs, r, "mini-distilbert") for e in (1, 2) for r in program.RATES
    }
    assert evaluate.scores([Run("toy", "mini-distilbert", 0)], tmp_path / "tiny/results") == {}
    with pytest.raises(SystemExit, match=r"no task's name has it[.] There are: toy[.]$"):
        program.choose(Arguments(tmp_path, task="chess"))


def test_a_card_says_which_aims_are_missed_and_by_how_much(monkeypatch):
    task = Benchmark("a task", len, "accuracy", epochs=1, rate=1e-4, aim=80.0, why="it rained")
    monkeypatch.setattr(
        card, "ALL", (task, Benchmark("aimless", len, "accuracy", epochs=1, rate=1e-4))
    )
    for score, verdict in (
        (77.8, "* a task: 80.0, missed by 2.2: it rained"),
        (79.96, "* a task: 80.0, met"),
    ):
        said = card.aims({("a task", "mini-distilbert"): [score / 100 - 0.01, score / 100 + 0.01]})
        assert verdict in said and len(said) == 3
    assert (
        card.aims({("a task", "mini-student"): [0.5], ("aimless", "mini-distilbert"): [0.5]}) == []
    )


def test_a_card_names_the_variants_whose_scores_lie_beyond_the_seeds_spread():
    def row(*scores):
        return {"validation_mlm": 5.0, "tokens": 400_000, "task": "toy", "scores": list(scores)}

    variants = {
        "all three losses": row(0.79, 0.80),
        "no cosine": row(0.78, 0.795),
        "no masked LM": row(0.7, 0.78),
    }
    section = card.evaluation_section(card.Measured({("toy", "TF-IDF"): [0.5]}, ablation=variants))
    assert "ranges that don't overlap): no masked LM. " in section
    assert "| no masked LM | 5.00 | 74.0 (70.0–78.0) | -5.5 | -0.31 |" in section


def test_no_run_begins_after_the_time_is_up(pair, toy, tmp_path):
    evaluate.perform_all(
        [Run("toy", "TF-IDF", seed) for seed in range(9)],
        tmp_path,
        tmp_path / "results",
        stop_after=0,
    )
    assert 1 <= len(toy) < 9


def test_each_score_belongs_to_its_own_row_although_rows_are_grouped_by_length(pair):
    feature = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows = [((BAD, GOOD)[i % 2] + " indeed" * (i % 23), i % 2) for i in range(200)]
    split = datasets.Dataset.from_dict(
        {"text": [t for t, _ in rows], "label": [y for _, y in rows]}, features=feature
    )
    benchmark = Benchmark("words", lambda mirror: {}, "accuracy", epochs=6, rate=1e-2, batch_size=8)
    judged = evaluate.fine_tune(
        benchmark, {s: split for s in ("train", "validation", "test")}, "mini-student", 0
    )
    assert benchmarks.accuracy(judged["validation"], judged["test"]) > 0.97


def test_a_tagger_learns_a_name(pair):
    logging.set_verbosity_error()
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-person", "I-person"]))
    feature = datasets.Features({"words": datasets.List(datasets.Value("string")), "tags": tags})
    rows = {"words": [["we", "saw", "john", "smith", "today"]] * 64, "tags": [[0, 0, 1, 2, 0]] * 64}
    split = datasets.Dataset.from_dict(rows, features=feature)
    benchmark = Benchmark(
        "names", lambda mirror: {}, "entity F1", epochs=8, rate=2e-2, batch_size=8
    )
    judged = evaluate.fine_tune(
        benchmark, {s: split for s in ("train", "validation", "test")}, "mini-student", 0
    )
    assert entity_f1(*judged["test"]) == 1.0


def test_short_tasks_come_first_and_everything_but_counting_words_is_repeated(mirror):
    runs = evaluate.planned(mirror)
    assert len(set(runs)) == len(runs)
    assert {r.seed for r in runs if r.model == "TF-IDF"} == {0}
    for benchmark in (*benchmarks.EMBEDDED, *benchmarks.REAL):
        assert {
            r.seed for r in runs if r.benchmark == benchmark.name and r.model == "mini-student"
        } == {0, 1, 2}
    long = [evaluate.find(r.benchmark).long for r in runs]
    assert long == sorted(long) and runs[0].seed == 0


def executed(file, *texts):
    cells = [
        nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text=t)]) for t in texts
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)


def test_headlines_come_from_lessons_that_ran_on_mini_with_public_data(tmp_path, monkeypatch):
    start, data = "Lesson 05 · profile mini (…)\n", "reviews: train 9 (mirror, stanfordnlp/imdb)\n"
    executed(tmp_path / "05_a.ipynb", start, data + data, "Headline: 87% against 86%\nMinutes: 2\n")
    executed(tmp_path / "06_b.ipynb", start.replace("mini", "cpu"), data, "Headline: 1%\n")
    executed(tmp_path / "07_c.ipynb", start, "reviews: train 9 (embedded)\n", "Headline: 1%\n")
    executed(tmp_path / "08_d.ipynb", start, data, "stopped here\n")
    found = evaluate.headlines(tmp_path)
    assert found == {"05": "87% against 86% (stanfordnlp/imdb)"}
    section = card.evaluation_section(card.Measured({("toy", "TF-IDF"): [0.5]}, lessons=found))
    assert "* lesson 05: 87% against 86% (stanfordnlp/imdb)" in section
    monkeypatch.setattr(program, "perform_all", lambda *_: None)
    monkeypatch.setattr(program, "KEPT", tmp_path / "pair.json")
    arguments = Arguments(tmp_path, lessons=tmp_path / "nothing here")
    with pytest.raises(SystemExit, match="no lesson there ran on mini"):
        program.evaluate(arguments, None)
    assert not (tmp_path / "pair.json").exists()


def test_the_share_of_the_teacher_is_the_mean_of_the_ratios_and_says_of_how_many(monkeypatch):
    tasks = tuple(Benchmark(name, len, "accuracy", 1, 1e-4) for name in "ab")
    monkeypatch.setattr(card, "ALL", tasks)
    scores = {("a", "mini-student"): [0.8, 0.9], ("b", "mini-student"): [0.6]}
    assert card.share_of_teacher(scores) is None
    scores[("a", "mini-distilbert")] = [1.0]
    assert card.share_of_teacher(scores) == (pytest.approx(0.85), 1)
    assert card.share_of_teacher(scores | {("b", "mini-distilbert"): [0.8]}) == (
        pytest.approx((0.85 + 0.75) / 2),
        2,
    )
    assert (
        card.percent([0.5, 0.6]) == "55.0 (50.0–60.0)"
        and card.percent([0.5]) == "50.0"
        and card.percent(None) == "–"
    )


def test_the_whole_program_from_texts_to_cards(tmp_path, pair, toy, monkeypatch, capsys):
    work = tmp_path / "work"
    (work / "source").mkdir(parents=True)
    (work / "source/vocab.txt").write_bytes(VOCABULARY.read_bytes())
    for name in ("train", "validation"):
        np.random.default_rng(0).integers(999, 30522, 6000).astype(np.uint16).tofile(
            work / f"{name}.bin"
        )
    plan = Plan(
        teacher=(Stage(8, 4, 64, 1e-3, head_only=True), Stage(16, 4, 128, 1e-3)),
        student=(Stage(16, 4, 128, 1e-3),),
        ablation=Stage(16, 4, 128, 1e-3),
    )
    monkeypatch.setattr(source, "fetch", lambda folder, hub: None)
    monkeypatch.setattr(source, "first_model", lambda folder: small())
    row = {"batch": 1, "length": 32, "student": 0.01, "teacher": 0.018, "ratio": 1.8}
    monkeypatch.setattr(program, "speed", lambda: [row])
    monkeypatch.setattr(program, "ABLATION_TASKS", {True: "toy", False: "toy"})
    arguments = Arguments(work, shared=tmp_path / "shared", note="A note.", ablation=True)
    program.teacher(arguments, plan)
    text = (pair["mini-distilbert"] / "README.md").read_text(encoding="utf-8")
    assert (
        "Not measured yet" in text
        and "A note." in text
        and "| 1 | head only | 8 x 4 | 0.0 M | 0.001 |" in text
    )
    program.student(arguments, plan)
    assert AutoConfig.from_pretrained(pair["mini-student"]).n_layers == 2

    arguments.note = ""
    measured = program.evaluate(arguments, plan)
    assert set(measured.ablation) == set(program.WITHOUT)
    losses = {v: row["validation_mlm"] for v, row in measured.ablation.items()}
    assert (
        all(5 < value < 14 for value in losses.values())
        and losses["random start"] != losses["all three losses"]
    )
    text = (pair["mini-distilbert"] / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n") and "model-index" in text and "A note." in text
    head = yaml.safe_load(text.split("---")[1])
    assert [r["dataset"]["name"] for r in head["model-index"][0]["results"]] == ["toy"]
    assert (
        "| toy | accuracy | 100.0 |" in text
        and "| toy | F1 | 100.0 |" in text
        and "1.80 ×" in text
        and "| random start |" in text
        and "-3.69" in text
    )
    assert "* toy: 101.0, missed by" in text and "of `mini-distilbert`'s score" in text

    def refused(*_, **__):
        raise AssertionError("measured again")

    for module, name in ((program, "train"), (evaluate, "fine_tune"), (evaluate, "tf_idf")):
        monkeypatch.setattr(module, name, refused)
    arguments = Arguments(tmp_path / "another machine", shared=tmp_path / "shared")
    again = program.evaluate(arguments, plan)
    assert again.scores == measured.scores and again.ablation == measured.ablation
    assert (pair["mini-distilbert"] / "README.md").read_text(encoding="utf-8") == text
    assert str(tmp_path) not in (tmp_path / "pair.json").read_text(encoding="utf-8")


# What the repository ships


def test_the_shipped_models_have_the_published_vocabulary_and_half_its_width():
    assert hashlib.sha256(VOCABULARY.read_bytes()).hexdigest() == source.DIGESTS["vocab.txt"]
    for folder, layers in zip(SHIPPED.values(), (6, 3), strict=True):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert (config["n_layers"], config["dim"], config["n_heads"], config["hidden_dim"]) == (
            layers,
            384,
            12,
            1536,
        )
        assert (config["vocab_size"], config["max_position_embeddings"], config["dropout"]) == (
            30522,
            512,
            0.0,
        )
    texts = ["An uncommonly gripping film!", "naïve ♞"]
    ids = [AutoTokenizer.from_pretrained(folder)(texts)["input_ids"] for folder in SHIPPED.values()]
    assert ids[0] == ids[1] and ids[0][0][0] == 101 and ids[0][0][-1] == 102


def test_the_shipped_cards_count_what_the_files_hold():
    (t_all, t_body, t_size), (s_all, s_body, s_size) = (
        card.parameters(folder) for folder in SHIPPED.values()
    )
    assert 0.7 < s_body / t_body < 0.8
    for folder in SHIPPED.values():
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert (
            f"| parameters without the head | {t_body:,} | {s_body:,} | {s_body / t_body:.1%} |"
            in text
        )
        assert f"| with the masked-LM head | {t_all:,} | {s_all:,} |" in text
        assert f"| {t_size:.1f} MB | {s_size:.1f} MB |" in text
        assert "CC BY-SA" in text and "Maas et al. 2011" in text and "NOTICE" in text


def test_each_shipped_task_has_a_result_of_its_own_in_the_cards_head(tmp_path):
    mark = evaluate.weights_mark(SHIPPED["mini-distilbert"])
    evaluate.bring_back(ROOT / "assets/pair.json", tmp_path, mark)
    found = evaluate.scores(evaluate.planned(ROOT), tmp_path)
    for model, folder in SHIPPED.items():
        head = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
        told = {
            r["dataset"]["name"]: [m["value"] for m in r["metrics"]]
            for r in head["model-index"][0]["results"]
        }
        assert told == {
            b.name: [round(float(np.mean(found[b.name, model])), 4)]
            for b in card.ALL
            if (b.name, model) in found
        }


def test_the_shipped_results_belong_to_the_shipped_weights_and_are_what_the_cards_say(tmp_path):
    """Models that were trained on or a recipe that was changed must be measured again before the cards are right."""
    mark = evaluate.weights_mark(SHIPPED["mini-distilbert"])
    variants, lessons = evaluate.bring_back(ROOT / "assets/pair.json", tmp_path, mark)
    assert set(lessons) >= {"05", "06"}
    found = evaluate.scores(evaluate.planned(ROOT), tmp_path)
    section = card.evaluation_section(card.Measured(found, [], variants, lessons))
    for folder in SHIPPED.values():
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert found and all(line in text for line in section.splitlines())
    # A score told beside another has no run of its own.
    tasks = {b.name for b in evaluate.EMBEDDED + evaluate.REAL}
    told = [len(seeds) for (name, _), seeds in found.items() if name in tasks]
    assert len(list(tmp_path.iterdir())) == sum(told)
