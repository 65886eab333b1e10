"""Executing lessons headless: what is reported, and what is recorded of minutes that untrained weights took."""

from functools import partial

import nbformat
import pytest
import transformers
from conftest import write_parquet

from course_utils import hub
from tools import build, run_lessons
from tools.lessons import lessons


def notebook(*outputs):
    cells = [nbformat.v4.new_code_cell("1", outputs=[o]) for o in outputs]
    return nbformat.v4.new_notebook(cells=cells)


def printed(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def error(name, message):
    return nbformat.v4.new_output("error", ename=name, evalue=message, traceback=[])


def test_the_last_headline_and_the_first_error_are_reported():
    told = notebook(printed("Headline: 81 %\n"), printed("x\nHeadline: 82 %\nMinutes: 1.0\n"))
    assert (
        run_lessons.printed(told, "Headline") == "82 %"
        and run_lessons.printed(told, "Peak memory") == "–"
    )
    stopped = notebook(printed("fine"), error("KeyError", "'sms'\nmore"), error("NameError", "x"))
    assert run_lessons.first_error(stopped) == "cell 1: KeyError: 'sms'"
    assert run_lessons.errors(stopped) == {"KeyError", "NameError"} and not run_lessons.errors(told)


@pytest.mark.parametrize(("kind", "stopped"), [("AssertionError", False), ("KeyError", True)])
def test_untrained_weights_may_break_a_promise_of_quality_and_nothing_else(
    tmp_path, monkeypatch, kind, stopped
):
    def execute(made, workdir, environment, timeout, go_on):
        assert go_on and environment["COURSE_PROFILE"] == "cpu"
        made.cells[-1].outputs = [
            error(kind, "accuracy"),
            printed("Headline: 50 %\nPeak memory: 2.0 GiB\n"),
        ]

    monkeypatch.setattr(run_lessons, "execute", execute)
    monkeypatch.setattr(run_lessons, "OUT", tmp_path)
    result = run_lessons.run(lessons(["00"])[0], False, {"COURSE_PROFILE": "cpu"}, go_on=True)
    assert result.failed is stopped and (kind in result.headline) is stopped


def test_minutes_of_untrained_weights_are_recorded_and_shown_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lessons, "MEASURED", tmp_path / "measured.json")
    monkeypatch.setattr("tools.lessons.MEASURED", tmp_path / "measured.json")
    monkeypatch.setattr(
        "course_utils.precision.training_speed", lambda precision, device="cpu": 700.0
    )
    lesson = lessons(["03"])[0]
    run_lessons.record([run_lessons.Result(lesson, 12.345, "2.1 GiB", "x")], "cpu", untrained=True)
    rows = build.cost_table(lesson).splitlines()
    assert (
        "| `cpu` | 12.3 | 2.1 GiB |" in rows[3]
        and "timed with untrained weights of the same size" in rows[3]
    )
    assert rows[2].startswith("| `mini` | not measured yet")


def test_an_untrained_mirror_has_the_data_and_models_that_can_be_loaded(tmp_path, monkeypatch):
    shape = {"dim": 16, "hidden_dim": 32, "n_heads": 2, "n_layers": 1}
    monkeypatch.setattr(
        transformers, "DistilBertConfig", partial(transformers.DistilBertConfig, **shape)
    )
    shape = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
    }
    monkeypatch.setattr(transformers, "BertConfig", partial(transformers.BertConfig, **shape))
    write_parquet(tmp_path / "data/datasets/a/b/train.parquet", text=["A film."])
    folder = run_lessons.untrained_mirror(tmp_path / "data", tmp_path / "mirror")
    assert (folder / "datasets/a/b/train.parquet").is_file()
    monkeypatch.setenv("COURSE_MIRROR", str(folder))
    for name in hub.MODELS:
        place = hub.mirrored_model(name)
        hub.check_checkpoint(place)
        tokenizer = transformers.AutoTokenizer.from_pretrained(place)
        assert tokenizer("film")["input_ids"] == [101, 2143, 102]
        # As from the published files, DistilBERT's too.
        assert "token_type_ids" in tokenizer("film")
    with pytest.raises(SystemExit, match=r"no folder datasets/ there\. Name a mirror"):
        run_lessons.untrained_mirror(tmp_path, tmp_path / "other")
