"""The programs of ``scale/``: what can be shown without training, and one real pair of processes."""

import os
import subprocess
import sys
from collections import Counter
from itertools import chain

import pytest
from datasets import Dataset
from optuna.trial import TrialState

from scale.launch import torchrun
from scale.search import finished, open_study, owner, requeue, work_left


def begin(study, process: str, rate: float):
    """A trial that ``process`` (host:pid) has begun and not ended."""
    trial = study.ask()
    trial.set_user_attr("owner", process)
    trial.suggest_float("rate", rate, rate)
    return trial


def gone() -> str:
    """Host and number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{owner().partition(':')[0]}:{process.pid}"


def test_a_dead_process_trial_is_queued_anew_with_its_settings_and_the_living_one_s_is_left(
    tmp_path,
):
    study = open_study(tmp_path / "study")
    dead, alive = begin(study, gone(), 0.25), begin(study, owner(), 0.5)
    assert requeue(study) == [dead.number] and requeue(study) == []
    states = {t.number: t.state for t in study.trials}
    assert states[dead.number] == TrialState.FAIL and states[alive.number] == TrialState.RUNNING
    again = study.ask()
    assert again.user_attrs["again"] == dead.number and again.suggest_float("rate", 0, 1) == 0.25


def test_a_process_of_another_machine_is_never_taken_for_dead(tmp_path):
    study = open_study(tmp_path / "study")
    begin(study, "another-machine:1", 0.25)
    assert requeue(study) == []


def test_finished_trials_outlive_whoever_opened_the_study(tmp_path):
    study = open_study(tmp_path / "study")
    study.optimize(lambda trial: trial.suggest_float("rate", 0, 1), n_trials=3)
    kept = finished(study)
    del study
    again = open_study(tmp_path / "study", seed=1)
    assert finished(again) == kept and len(kept) == 3
    assert work_left(again, 4) and not work_left(again, 3)
    again.enqueue_trial({"rate": 0.5})
    assert work_left(again, 3)


def test_a_run_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="no-such-module"):
        torchrun("no-such-module", processes=1)


@pytest.mark.slow
def test_two_processes_read_a_stream_once_or_half_of_it_twice(tmp_path):
    for part in range(4):
        rows = list(range(16 * part, 16 * part + 16))
        Dataset.from_dict({"id": rows}).to_parquet(tmp_path / f"{part}.parquet")
    (ways,) = torchrun("scale.stream", tmp_path)
    for way in ("whole stream to Trainer", "split, own loop"):
        assert sorted([*chain(*ways[way])]) == list(range(64))
        assert not set(ways[way][0]) & set(ways[way][1])
    assert Counter(Counter([*chain(*ways["split, then Trainer"])]).values()) == {2: 32}


def test_the_programs_answer_without_a_home_folder_or_a_network(tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "scale.search", "--help"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0 and "--trials" in run.stdout
