"""The programs of ``scale/``: what can be shown without training, and one real pair of processes."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import chain
from subprocess import PIPE

import psutil
import pytest
from datasets import Dataset
from optuna.trial import TrialState

from scale import search
from scale.launch import ROOT, torchrun
from scale.search import finished, open_study, owner, requeue, work_left
from scale.train import Run, last_whole, meet, step_of, train
from tests.tiny_model import tiny_model


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


def test_settings_that_kill_their_process_twice_are_not_tried_a_third_time(tmp_path):
    study = open_study(tmp_path / "study")
    first = begin(study, gone(), 0.25)
    assert requeue(study) == [first.number]
    again = begin(study, gone(), 0.25)
    assert again.user_attrs["again"] == first.number and requeue(study) == []
    assert [t.state for t in study.trials] == [TrialState.FAIL] * 2


def test_two_searches_that_find_the_same_lost_trial_queue_it_once(tmp_path, monkeypatch):
    """The second one works between two lines of the first: before tell looks, and while it writes."""
    study, other = open_study(tmp_path / "study"), open_study(tmp_path / "study")
    rates = [begin(study, gone(), rate).number for rate in (0.25, 0.5)]
    exists, taken = search.psutil.pid_exists, []

    def between(process):
        if not taken:
            taken.append(None)
            taken[:] = requeue(other)  # it ends both trials after the first has listed them
        return exists(process)

    monkeypatch.setattr(search.psutil, "pid_exists", between)
    assert requeue(study) == [] and taken == rates
    waiting = [t for t in study.get_trials() if t.state == TrialState.WAITING]
    assert sorted(t.user_attrs["again"] for t in waiting) == rates


def test_a_trial_that_another_search_ends_while_this_one_tells_is_left_to_it(tmp_path, monkeypatch):
    study, other = open_study(tmp_path / "study"), open_study(tmp_path / "study")
    lost = begin(study, gone(), 0.25).number
    write, taken = study._storage.set_trial_state_values, []

    def writes_late(*arguments, **named):
        taken[:] = requeue(other)
        return write(*arguments, **named)

    monkeypatch.setattr(study._storage, "set_trial_state_values", writes_late)
    assert requeue(study) == [] and taken == [lost]


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


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """A run of four steps on 16 rows, with a checkpoint after each third."""
    folder = tmp_path_factory.mktemp("scale")
    model, tokenizer = tiny_model()
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = [{"id": n, "labels": n % 4, **tokenizer(f"order {n}")} for n in range(16)]
    table = Dataset.from_list(rows)
    table.save_to_disk(folder / "rows")
    return Run(str(folder / "rows"), str(folder / "model"), 4, "", per_device=2, steps=4,
               save_every=3, judge=str(folder / "rows"))  # fmt: skip


@pytest.mark.parametrize("steps", [4, 8, 10])
def test_a_finished_run_that_is_started_again_says_what_it_said(tiny_run, tmp_path, steps):
    """Within an epoch of 8 steps, at its end, and in the next."""
    run = replace(tiny_run, out=str(tmp_path), steps=steps)
    first, again = train(run), train(run)
    assert len(first["losses"]) == steps and first["resumed_from"] == 0
    assert again["losses"] == first["losses"] and again["resumed_from"] == steps
    assert again["judged"] == pytest.approx(first["judged"], abs=1e-6)
    assert again["first_rows"] == [[]] and again["held"] == {}
    assert max(int(f.name.partition("-")[2]) for f in tmp_path.glob("checkpoint-*")) == steps


def test_a_launcher_that_keeps_the_addresses_of_the_dead_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(RuntimeError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        meet()


def launcher(port: int, run: Run, meeting_place: bool = False) -> subprocess.Popen:
    """One machine's torchrun with one worker, as section 9 of lesson 13 starts it, but on loopback."""
    options = (
        f"--nnodes 2 --nproc-per-node 1 --max-restarts 3 --rdzv-id run-1 --local-addr 127.0.0.1 "
        f"--rdzv-backend c10d --rdzv-endpoint 127.0.0.1:{port} "
        f"--rdzv-conf keep_alive_interval=2,is_host={int(meeting_place)} -m scale.train"
    )
    command = [sys.executable, "-m", "torch.distributed.run", *options.split()]
    command.append(json.dumps(asdict(run)))
    environment = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    if sys.platform != "win32":
        environment["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=PIPE, stderr=PIPE, text=True
    )


def switch_off(process: subprocess.Popen, silently: bool = False) -> list[psutil.Process]:
    """The launcher dies, and so do its workers, or they fall silent, as with a cut cable; who is left of them."""
    workers = psutil.Process(process.pid).children(recursive=True)
    for one in (psutil.Process(process.pid), *workers):
        with suppress(psutil.NoSuchProcess):
            one.suspend() if silently and one in workers else one.kill()
    return workers if silently else []


@pytest.mark.slow
@pytest.mark.parametrize("silently", [False, True])
def test_a_machine_that_dies_is_replaced_and_the_run_goes_on(tiny_run, tmp_path, silently):
    """The other machine's worker fails, and its launcher counts that; or it waits for words that don't come until the new
    machine arrives, and nothing is counted."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = replace(tiny_run, out=str(tmp_path), steps=600, save_every=20)
    first, second = machines = [launcher(port, run, True), launcher(port, run)]
    left = []
    try:
        deadline = time.monotonic() + 120
        while not last_whole(tmp_path) and time.monotonic() < deadline:
            assert first.poll() is second.poll() is None, first.communicate()[1][-3000:]
            time.sleep(0.02)
        reached = step_of(last_whole(tmp_path))
        left = switch_off(second, silently)
        machines.append(launcher(port, run))
        said = [machine.communicate(timeout=240) for machine in (first, machines[-1])]
    finally:
        for one in left:
            one.kill()
        for machine in machines:
            if machine.poll() is None:
                switch_off(machine)
    assert first.returncode == machines[-1].returncode == 0, said[0][1][-3000:]
    (line,) = [line for out, _ in said for line in out.splitlines() if line.startswith('{"')]
    result = json.loads(line)
    assert result["processes"] == 2 and reached <= result["resumed_from"] < 600
    assert len(result["losses"]) == 600


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
