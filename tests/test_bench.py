"""The benchmark: its table says what was measured, its fits are right, a killed run goes on, its numbers mean what they say."""

import json

import numpy as np
import pytest
from conftest import ROOT

from tools import bench, bench_report

FABRICATED = {
    "start": {
        "total": 3.0,
        "torch": 1.5,
        "transformers and datasets": 1.0,
        "course_utils": 0.1,
        "start_lab": 0.4,
    },
    "memory": {"rounds": [{"freed": 0.65, "kept": 0.5}], "gain": 1.3},
    "share": {"precision": "fp32", "training": {"share": 0.78}, "inference": {"share": 0.52}},
    "classify": {
        "texts": 2000,
        "precision": "fp32",
        "seconds": {
            "call, padded to 512": 200.0,
            "call as written": 40.0,
            "pipeline()": 40.0,
            "ours": 10.0,
        },
        "equal_labels": dict.fromkeys(
            ("call, padded to 512", "call as written", "pipeline()", "ours"), 1.0
        ),
    },
    "growth": {
        name: {"x": [1, 2, 4], "seconds": [1, 2, 4], "exponent": 1.0, "last_doubling": 1.1}
        for name in ("length", "batch", "rows")
    },
    "estimate": {"runs": [{}] * 10, "median": 0.05, "worst": 0.25, "bias": 0.01},
    "reviews, padded to 512": {
        "factor": 4.0,
        "rows": 1029,
        "steps": [
            {"name": "the article's", "seconds": 100.0, "gain": 1.0, "kept": True},
            {"name": "dynamic padding", "seconds": 50.0, "gain": 2.0, "kept": True},
            {"name": "grouped by length", "seconds": 25.0, "gain": 2.0, "kept": True},
            {
                "name": "bf16",
                "seconds": None,
                "gain": 0.05,
                "kept": False,
                "why": "by training_speed alone",
            },
        ],
    },
    "accuracy, reviews, padded to 512": {
        "article": 0.85,
        "ours": 0.86,
        "labels": 1000,
        "seeds": 3,
        "difference": [-0.02, 0.04],
        "each": {"article": [0.85, 0.84, 0.86], "ours": [0.87, 0.84, 0.87]},
    },
}


def row(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {start}"))


def test_the_table_says_what_was_measured_and_what_does_not_pay():
    text = bench_report.table(FABRICATED, "2 cores", busy=[])
    long = row(text, "training, reviews, padded to 512")
    assert "| 4.0× | 85.0% → 86.0%, 1,000 labels, 3 seeds (-2.0 to +4.0 points) |" in long
    assert "| 78% |" in row(text, "full-size training")
    assert "| 20.0× | 100.0% equal labels |" in row(text, "2,000 reviews, call, padded")
    assert "| 4.0× |" in row(text, "2,000 reviews, call as written")
    assert "| 5%, 25%; +1% |" in row(text, "estimate") and "| 3.0 s |" in row(text, "import")
    assert "| 1.3× |" in row(text, "a training step, freed memory")
    assert "does not pay" in row(text, "bf16") and "busy" not in text


def test_a_cut_of_the_texts_is_told_apart_from_what_keeps_them_whole():
    name = "reviews, padded to 512"
    cut = {"name": "cut at 384", "seconds": 20.0, "gain": 1.25, "kept": True}
    steps = [*FABRICATED[name]["steps"], cut]
    changed = FABRICATED | {name: FABRICATED[name] | {"steps": steps, "factor": 5.0}}
    text = bench_report.table(changed, "2 cores", busy=[])
    assert "| 4.0× |  |" in row(text, f"training, {name}")
    assert "| 5.0× | 85.0% → 86.0%" in row(text, "the same, ours cut at 384")


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [([-0.02, 0.04], "not told apart"), ([-0.04, -0.01], "behind"), ([0.01, 0.04], "ahead")],
)
def test_what_the_speed_costs_is_said_seed_by_seed(difference, verdict):
    name = "accuracy, reviews, padded to 512"
    changed = FABRICATED | {name: FABRICATED[name] | {"difference": difference}}
    text = bench_report.table(changed, "2 cores", busy=[])
    assert f"ours cut at 384: {verdict}" in text and "seed by seed: +2.0, +0.0, +1.0" in text


def test_a_busy_machine_is_named():
    text = bench_report.table(FABRICATED, "1 GPU", busy=["share"])
    assert "busy** during: share" in text


def test_a_table_of_a_killed_run_holds_what_was_finished():
    text = bench_report.table({"start": FABRICATED["start"]}, "2 cores", busy=[])
    assert row(text, "import") and "training," not in text


def test_pictures_are_drawn_from_what_was_measured(tmp_path):
    bench_report.draw(FABRICATED, tmp_path)
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("bench.png", "growth.png"))


def test_what_is_published_is_the_kept_run_and_nothing_else(tmp_path):
    measured = json.loads((ROOT / "assets/bench.json").read_text(encoding="utf-8"))
    assert "quick" not in measured["machine"]
    assert set(bench.MEASUREMENTS) == set(measured["results"])  # no cell of the table is empty
    bench_report.publish(measured, tmp_path)
    published = (tmp_path / "assets/bench.md").read_text("utf-8")
    assert published == (ROOT / "assets/bench.md").read_text("utf-8")


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_an_exponent_is_found_again(power):
    x = np.array([1, 2, 4, 8, 16])
    assert bench.exponent(x, 3 * x**power) == pytest.approx(power)


def test_operations_are_three_times_as_many_in_training_and_leave_out_the_embeddings():
    assert bench.operations(8, 128, True) == 3 * bench.operations(8, 128, False)
    per_token = bench.operations(1, 1, False)
    assert (
        per_token == 2 * 42_467_328 + 4 * 6 * 768
    )  # six layers of 12 x 768**2 weights, and attention to itself


def test_a_killed_run_goes_on_behind_the_last_finished_measurement(tmp_path, monkeypatch):
    calls = []

    def measure(name, fails=False):
        def run(sizes, done):
            calls.append((name, sorted(done)))
            if fails:
                raise KeyboardInterrupt
            return {"value": 1}

        return run

    monkeypatch.setattr(bench, "machine", lambda: "2 cores")
    monkeypatch.setattr(bench.psutil, "cpu_percent", lambda seconds: 0.0)
    monkeypatch.setattr(bench, "MEASUREMENTS", {"a": measure("a"), "b": measure("b", fails=True)})
    with pytest.raises(KeyboardInterrupt):
        bench.perform(["a", "b"], bench.QUICK, tmp_path)
    monkeypatch.setattr(bench, "MEASUREMENTS", {"a": measure("a"), "b": measure("b")})
    done, _ = bench.perform(["a", "b"], bench.QUICK, tmp_path)
    assert done == {"a": {"value": 1}, "b": {"value": 1}}
    assert calls == [("a", []), ("b", ["a"]), ("b", ["a"])]
    bench.perform(
        ["a"], bench.Sizes(), tmp_path
    )  # another size: the old file is no answer to it, and b wasn't asked for
    assert calls[3:] == [("a", [])]


def test_sampled_batches_span_the_lengths_and_count_the_whole_epoch():
    from datasets import Dataset
    from torch.utils.data import BatchSampler, DataLoader

    data = Dataset.from_dict({"input_ids": [[1] * n for n in range(1, 101)]})
    loader = DataLoader(data, batch_sampler=BatchSampler(range(100), 16, drop_last=False))
    (warm, *batches), count = bench.choose(loader, 3, np.random.default_rng(0))
    assert count == 100 / 16 and max(warm) == 95  # the last, incomplete batch is never timed
    assert sorted(max(b) // 32 for b in batches) == [0, 1, 2]


def test_a_quick_measurement_writes_its_files_and_only_its_own(tmp_path, capsys):
    bench.main(["--quick", "--only", "start", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["results"]
    assert (
        list(result) == ["start"] and 0 < result["start"]["torch"] < result["start"]["total"] < 300
    )
    assert {p.name for p in tmp_path.iterdir()} == {"start.json", "bench.json", "bench.md"}
    assert "| import and `start_lab`" in capsys.readouterr().out
