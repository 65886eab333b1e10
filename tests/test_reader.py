"""tools/reader.py, which trains the adapter of lesson 09, and the adapter that the course ships."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from tools import reader

FACTS = "The mill opened in 1911. " + "Nothing happened for long. " * 60 + "It burned in 1934."


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(reader.BASE)


def rows(answer: str | None) -> dict[str, list]:
    found = {"text": [], "answer_start": []}
    if answer:
        found = {"text": [answer], "answer_start": [FACTS.index(answer)]}
    return {"question": ["When was it? "], "context": [FACTS], "answers": [found]}


@pytest.mark.parametrize(("answer", "window"), [("1911", 0), ("1934", -1), ("in 1911", 0)])
def test_labels_stand_at_the_answers_pieces_in_the_windows_that_hold_it(tokenizer, answer, window):
    made = reader.windows(rows(answer), tokenizer)
    assert len(made["input_ids"]) > 1
    begin, end = made["start_positions"][window], made["end_positions"][window]
    assert tokenizer.decode(made["input_ids"][window][begin : end + 1]) == answer
    labelled = [e for e in made["end_positions"] if e]
    assert len(labelled) == 1, "windows without the answer point at [CLS]"


def test_no_answer_points_at_cls_in_every_window(tokenizer):
    made = reader.windows(rows(None), tokenizer)
    assert set(made["start_positions"]) == set(made["end_positions"]) == {0}


def test_unanswered_questions_get_another_passage_of_their_article_without_the_answers_text():
    def row(title, context, answer):
        return {
            "title": title,
            "context": context,
            "question": f"what of {context}?",
            "answers": {"text": [answer], "answer_start": [context.index(answer)]},
        }

    given = [row("a", "red one", "red"), row("a", "two Red", "Red"), row("a", "blue", "blue")]
    given += [row("b", "alone", "alone")]
    made = reader.unanswered(given, 1.0, seed=0)
    assert made and all(not r["answers"]["text"] for r in made)
    own = {r["question"]: r for r in given}
    for r in made:
        assert r["context"] != own[r["question"]]["context"]
        assert own[r["question"]]["answers"]["text"][0].lower() not in r["context"].lower()
    assert not [r for r in made if r["title"] == "b"], "an article with one passage gives none"


def test_a_folder_without_the_rows_is_told_before_anything_is_loaded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reader.AutoTokenizer, "from_pretrained", lambda *_: pytest.fail("loaded"))
    for missing in ("train.parquet or train_subset.parquet", "validation.parquet"):
        with pytest.raises(SystemExit) as stopped:
            reader.main(["--squad", str(tmp_path), "--work", str(tmp_path / "work")])
        said = capsys.readouterr().err
        assert stopped.value.code == 2 and f"{tmp_path}: no {missing}. --squad names" in said
        (tmp_path / "train_subset.parquet").write_bytes(b"")


def test_the_base_model_is_loaded_from_safetensors_alone(tmp_path, monkeypatch):
    class LoadedError(Exception):
        pass

    def load(*_, **named):
        raise LoadedError(named)

    row = {"id": "1", "title": "a", "context": "It is red.", "question": "What?",
           "answers": {"text": ["red"], "answer_start": [6]}}  # fmt: skip
    for name, number in (("train", 2), ("validation", 500)):
        reader.datasets.Dataset.from_list([row] * number).to_parquet(tmp_path / f"{name}.parquet")
    monkeypatch.setattr(reader.AutoModelForQuestionAnswering, "from_pretrained", load)
    with pytest.raises(LoadedError) as loaded:
        reader.main(["--squad", str(tmp_path), "--work", str(tmp_path / "work")])
    assert loaded.value.args[0]["use_safetensors"] is True


def test_another_base_other_rows_and_settings_have_a_folder_of_their_own(tmp_path):
    def folder(mark="a", rows=b"1", **settings):
        (tmp_path / "train.parquet").write_bytes(rows)
        args = argparse.Namespace(work=tmp_path, squad=tmp_path, **{"rate": 1e-3, **settings})
        return reader.folder_of(args, mark, [tmp_path / "train.parquet"])

    others = [folder("b"), folder(rows=b"2"), folder(rate=1e-4), folder(rank=8), folder()]
    assert len({*others}) == 5 and folder() == others[-1] and folder().parent == tmp_path


def test_a_run_goes_on_from_its_whole_checkpoint_and_is_marked_with_the_base_it_began_with(
    tmp_path, monkeypatch
):
    """The Trainer is pretended: it keeps what ``main`` asks for, and half a checkpoint is left beside."""
    asked, saved, marks = [], [], iter("ab")

    class Trained:
        def __init__(self, model, args, **_):
            self.model, self.folder = model, args.output_dir

        def train(self, resume_from_checkpoint):
            asked.append((self.folder, resume_from_checkpoint))
            (Path(self.folder) / "checkpoint-50").mkdir(parents=True, exist_ok=True)

        def evaluate(self):
            return {}

    row = {"id": "1", "title": "a", "context": "It is red.", "question": "What?",
           "answers": {"text": ["red"], "answer_start": [6]}}  # fmt: skip
    for name, number in (("train", 2), ("validation", 500)):
        reader.datasets.Dataset.from_list([row] * number).to_parquet(tmp_path / f"{name}.parquet")
    monkeypatch.setattr(reader, "Trainer", Trained)
    monkeypatch.setattr(reader, "base_mark", lambda: next(marks))
    monkeypatch.setattr(reader, "save", lambda model, folder, mark: saved.append(mark))
    for _ in "ab":
        reader.main(["--squad", str(tmp_path), "--work", str(tmp_path / "work")])
    assert saved == ["a", "b"] and len({folder for folder, _ in asked}) == 2
    assert [checkpoint for _, checkpoint in asked] == [None, None]
    assert all(Path(folder).parent == tmp_path / "work" for folder, _ in asked)
    monkeypatch.setattr(reader, "base_mark", lambda: "b")
    monkeypatch.setattr(reader, "last_whole_checkpoint", lambda folder: f"{folder}: whole")
    reader.main(["--squad", str(tmp_path), "--work", str(tmp_path / "work")])
    assert asked[-1] == (asked[1][0], f"{asked[1][0]}: whole")


def test_the_shipped_adapter_fits_the_shipped_model_and_changes_it(tokenizer):
    import peft

    mark = json.loads((reader.OUT / "base.json").read_text(encoding="utf-8"))
    weights = (reader.BASE / "model.safetensors").read_bytes()
    assert mark == {"model.safetensors": hashlib.sha256(weights).hexdigest()}, (
        "mini-distilbert has new weights: train the adapter again (python -m tools.reader)"
    )
    config = json.loads((reader.OUT / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == reader.BASE.name
    assert sorted(config["target_modules"]) == sorted(reader.LINEAR)
    assert not [*reader.OUT.glob("*.bin"), *reader.OUT.glob("*.pt")], "safetensors alone"
    tensors = load_file(reader.OUT / "adapter_model.safetensors")
    assert all(t.isfinite().all() for t in tensors.values())
    assert [t for k, t in tensors.items() if "lora_B" in k and t.abs().max() > 0]
    assert sum(f.stat().st_size for f in reader.OUT.iterdir()) < 4_000_000

    torch.manual_seed(0)
    base = AutoModelForQuestionAnswering.from_pretrained(reader.BASE, use_safetensors=True)
    model = peft.PeftModel.from_pretrained(base, reader.OUT).eval()
    text = "The bridge opened in May 1911 and fell in 1934."
    encoded = tokenizer("When did the bridge open?", text, return_tensors="pt")
    with torch.no_grad():
        out = model(**encoded)
    first = int(out.start_logits[0].argmax())
    last = int(out.end_logits[0].argmax())
    assert "1911" in tokenizer.decode(encoded["input_ids"][0, first : last + 1])
