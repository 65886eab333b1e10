"""What is measured on the published model reaches the table, the README and the lessons; a run cut short goes on."""

from __future__ import annotations

import json

import pytest

from tools import build, published, run_lessons
from tools.lessons import lessons


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A copy of the measurements, and a README with the place for the line."""
    file = tmp_path / "measured.json"
    file.write_text(json.dumps({"00": {"mini": {"minutes": 1, "memory_gib": 1}}}), encoding="utf-8")
    for module in (published, run_lessons):
        monkeypatch.setattr(module, "MEASURED", file)
    monkeypatch.setattr("tools.lessons.MEASURED", file)
    monkeypatch.setattr(published, "TABLE", tmp_path / "published.md")
    monkeypatch.setattr(published, "README", tmp_path / "README.md")
    monkeypatch.setattr(published, "build_learner", lambda lesson, run: None)
    monkeypatch.setattr("course_utils.precision.training_speed", lambda *a, **k: 700.0)
    (tmp_path / "README.md").write_text("a\n<!-- published --><!-- /published -->\nb\n")
    return tmp_path


def pretend(monkeypatch, failing=()):
    """Replace the execution; returns the list of lessons that were executed."""
    ran = []

    def run(lesson, solutions, environment, go_on=False, prove=False):
        assert environment == {"COURSE_PROFILE": "cpu"} and not go_on
        ran.append(lesson.number)
        failed = lesson.number in failing
        return run_lessons.Result(lesson, 61.2, "3.1 GiB", f"{lesson.number} told", failed)

    monkeypatch.setattr(published, "run", run)
    return ran


def test_a_run_cut_short_goes_on_with_the_lessons_that_lack(desk, monkeypatch):
    chosen = lessons(["00", "01"])
    assert pretend(monkeypatch, failing=["01"]) == [] and not published.measure(chosen)
    ran = pretend(monkeypatch)
    assert published.measure(chosen) and ran == ["01"]
    monkeypatch.setattr(published, "fingerprint", lambda lesson: "other code")
    assert published.measure(chosen) and ran == ["01", "00", "01"]


def test_results_of_several_machines_reach_table_readme_and_lesson(desk, monkeypatch):
    for number in ("00", "03"):
        (desk / f"found/measured-{number}").mkdir(parents=True)
        kept = {"minutes": 61.2, "memory_gib": 3.1, "date": "2026-01-02", "machine": "4 cores"}
        kept |= {"headline": f"{number} told", "inputs": "x", "speed": 1}
        (desk / f"found/measured-{number}/measured.json").write_text(
            json.dumps({number: {"cpu": kept}, "05": {"cpu": {"untrained": True}}})
        )
    assert published.merge(desk / "found") == ["00", "03"]
    assert published.merge(desk / "found") == []
    published.write()
    rows = (desk / "published.md").read_text(encoding="utf-8").splitlines()[-2:]
    assert [row[:5] for row in rows] == ["| 00 ", "| 03 "]
    assert "| 03 told | 61 min, 3.1 GiB | 2026-01-02, 4 cores |" in rows[1]
    published.write()  # a second time changes nothing
    assert (desk / "README.md").read_text(encoding="utf-8").count("00 told") == 1
    assert "ended this lesson with: 03 told" in build.cost_table(lessons(["03"])[0])
    assert "ended this lesson" not in build.cost_table(lessons(["05"])[0])


def test_a_machine_that_measured_one_lesson_puts_no_old_result_of_another_back(desk):
    def kept(number, word):
        return {"minutes": 1, "memory_gib": 1, "headline": f"{number} {word}"}

    numbers = ("00", "03", "05")
    old = {number: {"cpu": kept(number, "old")} for number in numbers}
    (desk / "measured.json").write_text(json.dumps(old))
    for number in numbers:
        (desk / f"found/measured-{number}").mkdir(parents=True)
        whole = old | {number: {"cpu": kept(number, "new")}}
        (desk / f"found/measured-{number}/measured.json").write_text(json.dumps(whole))
    assert published.merge(desk / "found") == list(numbers)
    found = json.loads((desk / "measured.json").read_text(encoding="utf-8"))
    assert [found[n]["cpu"]["headline"] for n in numbers] == [f"{n} new" for n in numbers]


def test_without_results_the_readme_stays_as_it_is_and_an_empty_folder_is_named(desk):
    before = (desk / "README.md").read_bytes()
    published.write()
    assert (desk / "README.md").read_bytes() == before and not (desk / "published.md").exists()
    with pytest.raises(SystemExit, match=r"no folder with a measured\.json"):
        published.merge(desk)
