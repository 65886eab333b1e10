"""A run that is killed, another run's folder, a full disk, a loss that is no number: the same weights,
or one clear line.

Run as a program, this file trains in processes that are killed; see ``killed_runs``.
"""

import errno
import json
import os
import platform
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import torch
from datasets import Dataset, concatenate_datasets, load_from_disk
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from course_utils.training import (
    StopAtNaN,
    TrainingError,
    data_fingerprint,
    full_disk_error,
    last_whole_checkpoint,
    run_folder,
)

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS, EVERY = (
    8,
    2,
)  # steps of a run, which has 6 an epoch, and how many lie between two checkpoints
CONFIG = {
    "vocab_size": 8192,
    "dim": 32,
    "hidden_dim": 64,
    "n_layers": 2,
    "n_heads": 2,
    "max_position_embeddings": 16,
}
# model.safetensors has 1.13 MB and optimizer.pt 2.28 MB: writing stops in the first or in the second.
LIMITS = {"model.safetensors": 500_000, "optimizer.pt": 1_400_000}


def rows(count=64):
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 8192, n).tolist() + [0] * (8 - n) for n in rng.integers(3, 9, count)]
    return Dataset.from_dict(
        {
            "input_ids": ids,
            "attention_mask": [[int(i > 0) for i in row] for row in ids],
            "length": [sum(i > 0 for i in row) for row in ids],
            "label": [i % 2 for i in range(count)],
        }
    )


def new_model(seed=0, dropout=0.1):
    set_seed(seed)
    rates = dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout"), dropout)
    model = DistilBertForSequenceClassification(DistilBertConfig(**CONFIG, **rates))
    model.accepts_loss_kwargs = False
    return model


def make_trainer(folder, model=None, kind=Trainer, callbacks=(), data=None, **changes):
    settings = {
        "max_steps": STEPS,
        "save_steps": EVERY,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-3,
        "train_sampling_strategy": "group_by_length",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    args = TrainingArguments(output_dir=str(folder), **settings | changes)
    trainer = kind(
        model=model or new_model(),
        args=args,
        train_dataset=data or rows(48),
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}


def largest_difference(first: dict, second: dict) -> float:
    return max((first[name] - second[name]).abs().max().item() for name in first)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


class At(TrainerCallback):
    """Call a function before the step after ``step`` steps."""

    def __init__(self, step, do):
        self.step, self.do = step, do

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.do(**kwargs)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run: its folder and its weights."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    trainer = make_trainer(folder)
    with run_folder(trainer):
        trainer.train()
    torch.set_num_threads(before)
    return SimpleNamespace(folder=folder, weights=weights(trainer))


def resumed(folder) -> dict[str, torch.Tensor]:
    """The weights after going on; the new model starts elsewhere, so that equal weights can only come from the disk."""
    checkpoint = last_whole_checkpoint(make_trainer(folder))
    if checkpoint and checkpoint.endswith(
        f"checkpoint-{STEPS}"
    ):  # it was done; see the test of one step more
        return load_file(Path(checkpoint) / "model.safetensors")
    trainer = make_trainer(folder, new_model(seed=999 if checkpoint else 0))
    with run_folder(trainer):
        trainer.train(resume_from_checkpoint=checkpoint)
    assert trainer.state.global_step == STEPS
    return weights(trainer)


# --- killed ---

CHANCE = random.Random(0)
KILLS = [
    *(f"step {step}" for step in range(1, STEPS)),
    *(f"write {name}" for name in LIMITS),
    "open trainer_state.json",
    *(f"clock {CHANCE.random():.3f}" for _ in range(4)),
    "clock 3.000",
]  # in that share of a whole run's time


class Dies(TrainerCallback):
    """Die as the name says: after a step, amid writing a file, when a file is opened; or say when the clock starts."""

    def __init__(self, kill: str, started: int):
        (self.how, self.what), self.started = kill.split(), started

    def on_train_begin(self, args, state, control, **kwargs):
        os.write(self.started, b"!")

    def on_step_end(self, args, state, control, **kwargs):
        if self.how == "step" and state.global_step == int(self.what):
            os.kill(os.getpid(), signal.SIGKILL)
        if (
            state.global_step == 5 and self.how == "write"
        ):  # the checkpoints of steps 2 and 4 are written
            signal.signal(
                signal.SIGXFSZ, signal.SIG_DFL
            )  # the kernel ends a process that writes more than this
            resource.setrlimit(resource.RLIMIT_FSIZE, (LIMITS[self.what],) * 2)
        if state.global_step == 5 and self.how == "open":
            sys.addaudithook(
                lambda event, details: (
                    event == "open"
                    and str(details[0]).endswith(self.what)
                    and os.kill(os.getpid(), signal.SIGKILL)
                )
            )


def die(folder: Path, kill: str, run_time: float = 0.0) -> tuple[int, float]:
    """Train in a process that is killed; the signal that ended it, and the seconds from the training's beginning to that."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reader)
        trainer = make_trainer(folder, callbacks=[Dies(kill, writer)])
        with run_folder(trainer):
            trainer.train()
        if kill.startswith("clock"):
            signal.pause()  # a run that is done before its clock goes off
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    begun = time.perf_counter()
    if kill.startswith("clock"):
        time.sleep(float(kill.split()[1]) * run_time)
        os.kill(child, signal.SIGKILL)
    return os.WTERMSIG(os.waitpid(child, 0)[1]), time.perf_counter() - begun


def die_of_everything(top: Path) -> list[int]:
    run_time = min(die(top / f"none-{turn}", "none -")[1] for turn in range(2))
    return [die(top / kill.replace(" ", "-"), kill, run_time)[0] for kill in KILLS]


@pytest.fixture(scope="module")
def killed_runs(tmp_path_factory):
    """All killed runs, from one fresh process: forking this one, with its threads, would be asking for trouble."""
    top = tmp_path_factory.mktemp("killed")
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }
    run = subprocess.run(
        [sys.executable, __file__, top],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return top, dict(zip(KILLS, map(int, run.stdout.split()), strict=True))


def test_clocks_go_off_within_runs(killed_runs):
    """Before the next test goes on with them."""
    top, _ = killed_runs
    done = [
        (top / kill.replace(" ", "-") / f"checkpoint-{STEPS}").exists()
        for kill in KILLS
        if kill.startswith("clock")
    ]
    assert not all(done)


@pytest.mark.parametrize("kill", KILLS)
def test_a_run_that_was_killed_ends_with_the_weights_of_an_uninterrupted_one(
    kill, killed_runs, whole
):
    top, signals = killed_runs
    assert signals[kill] == (signal.SIGXFSZ if kill.startswith("write") else signal.SIGKILL)
    assert largest_difference(resumed(top / kill.replace(" ", "-")), whole.weights) == 0


def test_the_killed_runs_had_something_to_go_on_from(killed_runs):
    """Otherwise the test above would only compare two runs from the beginning."""
    top, _ = killed_runs
    found = [last_whole_checkpoint(make_trainer(top / kill.replace(" ", "-"))) for kill in KILLS]
    assert sum(checkpoint is not None for checkpoint in found) >= len(KILLS) - 4


@pytest.mark.parametrize(("rows_an_epoch", "steps"), [(48, STEPS + 1), (64, STEPS)])
def test_the_trainer_resumed_at_its_last_step_makes_one_more_where_that_is_within_an_epoch(
    rows_an_epoch, steps, tmp_path
):
    make_trainer(tmp_path, data=rows(rows_an_epoch)).train()
    again = make_trainer(tmp_path, data=rows(rows_an_epoch))
    again.train(resume_from_checkpoint=last_whole_checkpoint(tmp_path))
    assert again.state.global_step == steps


@pytest.fixture
def two(whole, tmp_path):
    """A folder with the whole checkpoints of steps 2 and 4."""
    for step in (2, 4):
        shutil.copytree(whole.folder / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    return tmp_path


@pytest.mark.parametrize("how", ["missing", "cut off", "empty"])
@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"],
)
def test_a_checkpoint_that_lacks_something_is_skipped_with_its_name(name, how, two, capsys):
    file = two / "checkpoint-4" / name
    if how == "missing":
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size // 2 if how == "cut off" else 0)
    assert last_whole_checkpoint(make_trainer(two)) == str(two / "checkpoint-2")
    said = "missing" if how == "missing" else "cut off"
    assert capsys.readouterr().out == f"checkpoint-4 skipped: {name} is {said}\n"


@pytest.mark.parametrize("missing", [None, 0, 1])
def test_a_checkpoint_of_two_processes_has_the_random_state_of_each(
    missing, two, capsys, monkeypatch
):
    for checkpoint in (two / "checkpoint-2", two / "checkpoint-4"):  # as torchrun leaves them
        shutil.copy(checkpoint / "rng_state.pth", checkpoint / "rng_state_0.pth")
        (checkpoint / "rng_state.pth").rename(checkpoint / "rng_state_1.pth")
        file = checkpoint / "trainer_state.json"
        state = json.loads(file.read_text("utf-8"))
        state["stateful_callbacks"]["RunRecord"]["args"]["run"]["processes"] = 2
        file.write_text(json.dumps(state), "utf-8")
    trainer = make_trainer(two)
    assert last_whole_checkpoint(trainer) is None
    assert "another run (processes: 2 there, 1 here)" in capsys.readouterr().out
    if missing is not None:
        (two / f"checkpoint-4/rng_state_{missing}.pth").unlink()
    monkeypatch.setattr(TrainingArguments, "world_size", property(lambda _: 2))
    found, name = (
        last_whole_checkpoint(trainer),
        "checkpoint-4" if missing is None else "checkpoint-2",
    )
    assert found == str(two / name)
    said = "" if missing is None else f"checkpoint-4 skipped: rng_state_{missing}.pth is missing\n"
    assert capsys.readouterr().out == said


def test_a_run_that_trains_an_adapter_goes_on_from_its_checkpoints(tmp_path, capsys):
    import peft

    def adapted(seed=0):
        model = new_model()
        set_seed(seed)
        keep = ["pre_classifier", "classifier"]
        config = peft.LoraConfig("SEQ_CLS", r=2, target_modules=["q_lin"], modules_to_save=keep)
        return peft.get_peft_model(model, config)

    whole = train_in_folder(tmp_path, model=adapted())
    assert last_whole_checkpoint(whole) == str(tmp_path / f"checkpoint-{STEPS}")
    shutil.rmtree(tmp_path / f"checkpoint-{STEPS}")
    for step, name in ((6, "adapter_model.safetensors"), (4, "adapter_config.json")):
        (tmp_path / f"checkpoint-{step}" / name).unlink()
    again = make_trainer(tmp_path, adapted(seed=999))
    checkpoint = last_whole_checkpoint(again)
    assert checkpoint == str(tmp_path / "checkpoint-2")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "checkpoint-6 skipped: adapter_model.safetensors is missing",
        "checkpoint-4 skipped: adapter_config.json is missing",
    ]
    with run_folder(again):
        again.train(resume_from_checkpoint=checkpoint)
    assert largest_difference(weights(again), weights(whole)) == 0


def test_the_newest_whole_checkpoint_is_taken_by_number_and_nothing_is_said(two, capsys):
    (two / "checkpoint-2").rename(two / "checkpoint-10")
    (two / "checkpoint-best").mkdir()
    (two / "checkpoint-99").write_text("no folder")
    assert last_whole_checkpoint(str(two)) == str(two / "checkpoint-10")
    assert last_whole_checkpoint(two / "nowhere") is None and capsys.readouterr().out == ""


def test_without_help_the_trainer_takes_half_a_checkpoint_and_stops_obscurely(two):
    (two / "checkpoint-4/trainer_state.json").unlink()  # it is written last
    with pytest.raises(FileNotFoundError, match=r"trainer_state\.json"):
        make_trainer(two).train(resume_from_checkpoint=True)


def test_without_help_the_trainer_goes_on_elsewhere_where_the_optimiser_is_missing(two, whole):
    (two / "checkpoint-4/optimizer.pt").unlink()
    trainer = make_trainer(two)
    trainer.train(resume_from_checkpoint=True)
    assert largest_difference(weights(trainer), whole.weights) > 1e-4


# --- whose checkpoints they are ---


def train_in_folder(folder, checkpoint=None, **changes) -> Trainer:
    trainer = make_trainer(folder, **changes)
    with run_folder(trainer):
        trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


def named_labels():
    model = new_model()
    model.config.id2label = {0: "bad", 1: "good"}
    return model


def confident(outputs, labels, num_items_in_batch=None):
    return torch.nn.functional.cross_entropy(2 * outputs.logits, labels)


def relabelled():
    data = rows(48).to_dict()
    data["label"][30] = 1 - data["label"][30]
    return Dataset.from_dict(data)


OTHERS = {
    "other rows": (lambda: {"data": rows(56)}, "training data: 48 rows, SHA-256 "),
    "another label on one row": (
        lambda: {"data": relabelled()},
        "training data: 48 rows, SHA-256 ",
    ),
    "another order": (
        lambda: {"data": rows(48).shuffle(seed=1)},
        "training data: 48 rows, SHA-256 ",
    ),
    "label names": (
        lambda: {"model": named_labels()},
        "labels: LABEL_0, LABEL_1 there, bad, good here",
    ),
    "learning rate": (lambda: {"learning_rate": 5e-4}, "learning_rate: 0.001 there, 0.0005 here"),
    "batch size": (
        lambda: {"per_device_train_batch_size": 4},
        "per_device_train_batch_size: 8 there, 4 here",
    ),
    "length": (lambda: {"max_steps": 12}, "max_steps: 8 there, 12 here"),
    "seed": (lambda: {"seed": 1}, "seed: 42 there, 1 here"),
    "dropout": (lambda: {"model": new_model(dropout=0.3)}, "dropout: "),
    "loss": (
        lambda: {"kind": partial(Trainer, compute_loss_func=confident)},
        "loss: Trainer.compute_loss there, confident here",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_checkpoints_of_another_run_are_skipped_and_refused_with_the_difference(name, two, capsys):
    changes, reason = OTHERS[name]
    assert last_whole_checkpoint(make_trainer(two, **changes())) is None
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"checkpoint-4 skipped: it belongs to another run ({reason}")
    assert second.startswith("checkpoint-2 skipped: ")
    with pytest.raises(TrainingError) as error:
        train_in_folder(two, True, **changes())
    assert str(error.value).startswith(
        f"The checkpoint of step 4 can't be resumed: it belongs to another run ({reason}"
    ) and "start anew" in str(error.value)


def test_checkpoints_of_a_run_that_trained_other_weights_are_skipped(two, capsys):
    """Resumed all the same, they stop the Trainer before it asks the record of the run."""
    frozen = new_model()
    frozen.distilbert.requires_grad_(False)
    assert last_whole_checkpoint(make_trainer(two, frozen)) is None
    assert "(trained weights: 280930 there, 1122 here)" in capsys.readouterr().out
    with pytest.raises(ValueError, match="parameter group that doesn't match"):
        train_in_folder(two, True, model=frozen)


def test_without_help_the_trainer_goes_on_from_another_runs_checkpoint_and_says_nothing(two):
    trainer = make_trainer(two, data=rows(56))
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == STEPS


@pytest.mark.parametrize(
    "changes",
    [
        {"logging_steps": 3},
        {"save_steps": 3},
        {"per_device_eval_batch_size": 2},
        {"save_total_limit": 1},
        {"bf16": True},
    ],
)
def test_settings_that_change_no_weight_make_no_other_run(changes, two, capsys):
    assert last_whole_checkpoint(make_trainer(two, **changes)) == str(two / "checkpoint-4")
    assert capsys.readouterr().out == ""


def test_a_checkpoint_that_does_not_say_whose_it_is_is_skipped(two, capsys):
    plain = make_trainer(two, save_steps=6)
    plain.train()
    assert last_whole_checkpoint(make_trainer(two)) == str(two / "checkpoint-4")
    reason = "skipped: it does not say which run it belongs to"
    assert capsys.readouterr().out.splitlines() == [
        f"checkpoint-{step} {reason}" for step in (8, 6)
    ]


def test_a_new_run_over_another_runs_checkpoints_is_resumed_from_its_own(whole, two, capsys):
    (two / "checkpoint-2").rename(two / "checkpoint-20")  # of a longer run, say
    trainer = make_trainer(two, learning_rate=5e-4, callbacks=[At(5, lambda **_: 1 / 0)])
    with pytest.raises(ZeroDivisionError), run_folder(trainer):
        trainer.train()
    again = make_trainer(two, new_model(seed=999), learning_rate=5e-4)
    checkpoint = last_whole_checkpoint(again)
    assert (
        checkpoint == str(two / "checkpoint-4")
        and "checkpoint-20 skipped" in capsys.readouterr().out
    )
    with run_folder(again):
        again.train(resume_from_checkpoint=checkpoint)
    alone = train_in_folder(two.parent / "alone", learning_rate=5e-4)
    assert largest_difference(weights(again), weights(alone)) == 0


def test_a_new_run_over_old_checkpoints_gives_the_weights_of_a_first_one(two, whole):
    assert largest_difference(weights(train_in_folder(two)), whole.weights) == 0


def test_the_folder_says_which_run_of_which_process_it_holds(tmp_path):
    seen = []
    trainer = make_trainer(
        tmp_path,
        callbacks=[
            At(1, lambda **_: seen.append(json.loads((tmp_path / "run.json").read_text("utf-8"))))
        ],
    )
    with run_folder(trainer):
        trainer.train()
    assert (
        seen[0]["process"] == os.getpid()
        and seen[0]["host"] == platform.node()
        and seen[0]["started"]
    )
    assert seen[0]["labels"] == "LABEL_0, LABEL_1" and seen[0]["learning_rate"] == 1e-3
    assert seen[0]["training data"] == data_fingerprint(rows(48))


HOLDER = """
import os, signal, sys, time
from course_utils.training import folder_lock
from pathlib import Path
with folder_lock(Path(sys.argv[1])):
    (Path(sys.argv[1]) / "run.json").write_text('{"process": 4711, "host": "here", "started": "noon"}')
    print("holds it", flush=True)
    time.sleep(120)
"""


def test_a_folder_in_which_a_run_is_training_is_refused_and_given_free_by_its_death(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert holder.stdout.readline() == "holds it\n"
        trainer = make_trainer(tmp_path)
        with pytest.raises(TrainingError) as error, run_folder(trainer):
            pytest.fail("two runs in one folder")
        assert "another run is training in this folder (process 4711 on here, since noon)" in str(
            error.value
        )
        assert "TrainingArguments(output_dir=...)" in str(error.value)
        assert list(tmp_path.glob("checkpoint-*")) == []
    finally:
        holder.kill()
        holder.wait()
    assert (tmp_path / "run.lock").exists()  # what is left of it holds nobody up
    assert train_in_folder(tmp_path).state.global_step == STEPS


def test_early_stopping_keeps_its_count_over_a_resumed_run(tmp_path):
    """``restore_callback_states_from_checkpoint`` makes every callback anew from the checkpoint, the record of the run too."""

    settings = {
        "eval_strategy": "steps",
        "eval_steps": EVERY,
        "load_best_model_at_end": True,
        "restore_callback_states_from_checkpoint": True,
        "learning_rate": 0.0,  # the loss stays as it is: nothing gets better after the first evaluation
        "train_sampling_strategy": "random",
    }

    def trainer(*more):
        patience = EarlyStoppingCallback(early_stopping_patience=3)
        judged = partial(Trainer, eval_dataset=rows(16))
        return make_trainer(tmp_path, new_model(dropout=0), judged, (patience, *more), **settings)

    dying = trainer(At(5, lambda **_: 1 / 0))
    with pytest.raises(ZeroDivisionError), run_folder(dying):
        dying.train()
    resumed = trainer()
    checkpoint = last_whole_checkpoint(resumed)
    assert Path(checkpoint).name == "checkpoint-4"
    with run_folder(resumed):
        resumed.train(resume_from_checkpoint=checkpoint)
    kept = [c for c in resumed.callback_handler.callbacks if isinstance(c, EarlyStoppingCallback)]
    # evaluated at 2 (the best), 4 and, resumed, 6 and 8: three times no better
    assert [c.early_stopping_patience_counter for c in kept] == [3]
    assert resumed.state.global_step == STEPS


def test_after_an_error_the_same_process_trains_in_the_folder_again(tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[At(3, lambda **_: 1 / 0)])
    with pytest.raises(ZeroDivisionError), run_folder(trainer):
        trainer.train()
    with (
        run_folder(trainer),
        pytest.raises(TrainingError, match="another run is training in this folder"),
    ):
        train_in_folder(tmp_path)
    assert train_in_folder(tmp_path).state.global_step == STEPS


@pytest.mark.parametrize(
    "same",
    [
        lambda data: data.map(lambda row: row),
        lambda data: data.select(range(48)),
        lambda data: data.with_format("torch"),
        lambda data: Dataset.from_list(data.to_list()),
        lambda data: concatenate_datasets([data.select(range(7)), data.select(range(7, 48))]),
        list,
    ],
)
def test_the_same_rows_have_one_fingerprint_however_they_are_kept(same, tmp_path):
    data = rows(48)
    if same is not list:
        assert data_fingerprint(same(data)) == data_fingerprint(data)
    else:  # rows of their own, not blocks of them: another text, but always the same
        assert data_fingerprint(list(data)) == data_fingerprint(list(data))
    data.save_to_disk(tmp_path)
    assert data_fingerprint(load_from_disk(tmp_path)) == data_fingerprint(data)


def test_a_stream_has_no_fingerprint_and_is_trained_all_the_same(tmp_path):
    stream = rows(48).to_iterable_dataset()
    assert data_fingerprint(stream) == "a stream"
    trainer = train_in_folder(tmp_path, data=stream, train_sampling_strategy="sequential")
    assert trainer.state.global_step == STEPS


# --- a full disk ---


def assert_stopped_by_a_full_disk(folder, trainer) -> None:
    """One clear message, and the checkpoint of step 2 as it was."""
    with pytest.raises(TrainingError) as error, run_folder(trainer):
        trainer.train()
    text = str(error.value)
    assert (
        text.startswith(f"{folder}: the disk is full")
        and "Whole: checkpoint-2. Free some space" in text
    )
    assert "resume_from_checkpoint=last_whole_checkpoint(trainer)" in text and text.count("\n") == 0
    assert error.value.__cause__ is not None


@pytest.mark.parametrize("stopped_in", LIMITS)
def test_a_file_that_may_not_grow_ends_in_one_message_and_the_run_can_go_on(
    stopped_in, tmp_path, whole
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(**kwargs):
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMITS[stopped_in], hard))

    try:
        assert_stopped_by_a_full_disk(tmp_path, make_trainer(tmp_path, callbacks=[At(2, full)]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (
        content(tmp_path / "checkpoint-2")["optimizer.pt"]
        == content(whole.folder / "checkpoint-2")["optimizer.pt"]
    )
    assert largest_difference(resumed(tmp_path), whole.weights) == 0


@pytest.fixture
def disk(tmp_path):
    """A function that gives a disk of so many KiB, or another size to the one there is."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def of(size):
        options = f"size={size}k" + (",remount" if os.path.ismount(folder) else "")
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True
        ).returncode:
            pytest.skip("no disk can be mounted here: a disk that is really full was not tested")
        return folder

    yield of
    if os.path.ismount(folder):
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(
    not shutil.which("mount"), reason="there is no mount: a disk that is really full was not tested"
)
@pytest.mark.parametrize(
    "size", [3_500, 4_000, 5_500]
)  # the second checkpoint ends in its weights or in its optimiser
def test_a_full_disk_ends_in_one_message_and_after_freeing_space_the_run_goes_on(size, disk, whole):
    folder = disk(size)
    assert_stopped_by_a_full_disk(folder, make_trainer(folder))
    shutil.rmtree(folder / "checkpoint-4")
    disk(30_000)
    assert largest_difference(resumed(folder), whole.weights) == 0


def test_a_disk_full_at_the_last_small_file_is_named_too(tmp_path, monkeypatch):
    plain = TrainerState.save_to_json

    def save(self, path):
        if self.global_step > 2:
            Path(path).write_text("{")
            raise OSError(errno.ENOSPC, "No space left on device", path)
        plain(self, path)

    monkeypatch.setattr(TrainerState, "save_to_json", save)
    assert_stopped_by_a_full_disk(tmp_path, make_trainer(tmp_path))


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), PermissionError(errno.EACCES, "no"), KeyError("label")]
)
def test_another_error_is_not_called_a_full_disk(error, tmp_path):
    with pytest.raises(type(error)) as raised, full_disk_error(tmp_path):
        raise error
    assert raised.value is error


def test_without_help_a_full_disk_stops_with_words_that_name_no_disk(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    trainer = make_trainer(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMITS["optimizer.pt"], hard))
    try:
        with pytest.raises(RuntimeError) as error:
            trainer.train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not re.search(r"disk|space|full|large", str(error.value))


# --- a loss that is no number ---


def spoil(model, **kwargs):
    with torch.no_grad():
        model.classifier.bias.fill_(float("inf"))


def spoil_gradient(value):
    def do(model, **kwargs):
        model.classifier.bias.register_hook(lambda gradient: torch.full_like(gradient, value))

    return do


def test_without_help_the_trainer_hides_the_loss_and_ruins_every_weight(tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[At(4, spoil)], save_strategy="no")
    trainer.train()
    losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    assert len(losses) == STEPS and losses[4:] == [0.0] * 4
    assert weights(trainer)["distilbert.transformer.layer.0.attention.q_lin.weight"].isnan().all()


@pytest.mark.parametrize(
    "fault", [spoil, spoil_gradient(float("nan")), spoil_gradient(float("inf"))]
)
@pytest.mark.parametrize("changes", [{}, {"max_grad_norm": 0.0}, {"logging_steps": 500}])
def test_the_first_step_without_a_number_is_stopped_and_named_before_it_is_made(
    fault, changes, tmp_path
):
    trainer = make_trainer(
        tmp_path, callbacks=[At(4, fault), StopAtNaN()], save_strategy="no", **changes
    )
    with pytest.raises(
        TrainingError,
        match=r"Step 5, learning rate 5\.0e-04: the gradient is NaN or infinite\. Lower "
        r"the learning rate",
    ):
        trainer.train()
    assert trainer.state.global_step == 4
    assert all(
        value.isfinite().all()
        for name, value in weights(trainer).items()
        if name != "classifier.bias"
    )


def test_a_loss_without_a_number_is_named_even_where_its_gradient_is_zero(tmp_path):
    """A batch without a masked token: the mean over no token is NaN, the gradient 0."""
    ids = rows()["input_ids"][:]
    data = Dataset.from_dict(
        {"input_ids": ids, "labels": [row if i < 32 else [-100] * 8 for i, row in enumerate(ids)]}
    )
    trainer = make_trainer(
        tmp_path,
        DistilBertForMaskedLM(DistilBertConfig(**CONFIG)),
        callbacks=[StopAtNaN()],
        data=data,
        save_strategy="no",
        train_sampling_strategy="sequential",
    )
    with pytest.raises(
        TrainingError, match=r"Step 5, learning rate .*: the loss is NaN .*batches without a label"
    ):
        trainer.train()


def test_a_sound_run_is_not_stopped_and_gives_the_same_weights(tmp_path, whole):
    trainer = make_trainer(tmp_path, callbacks=[StopAtNaN()])
    trainer.train()
    assert largest_difference(weights(trainer), whole.weights) == 0


def test_the_infinite_gradients_of_fp16_are_left_to_its_scaler():
    layer = torch.nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    layer.weight.grad.fill_(float("inf"))
    state, optimizer = SimpleNamespace(global_step=0), torch.optim.SGD(layer.parameters(), lr=0.1)
    StopAtNaN().on_pre_optimizer_step(SimpleNamespace(fp16=True), state, None, layer, optimizer)
    with pytest.raises(TrainingError, match=r"Step 1, learning rate 1\.0e-01"):
        StopAtNaN().on_pre_optimizer_step(
            SimpleNamespace(fp16=False), state, None, layer, optimizer
        )


def test_looking_at_every_gradient_costs_no_noticeable_time(mini_model, tmp_path):
    spent, steps = [], []

    class Timed(StopAtNaN):
        def on_step_begin(self, args, state, control, **kwargs):
            steps.append(time.perf_counter())

        def on_pre_optimizer_step(self, *args, **kwargs):
            begun = time.perf_counter()
            super().on_pre_optimizer_step(*args, **kwargs)
            spent.append(time.perf_counter() - begun)

    model = AutoModelForSequenceClassification.from_pretrained(mini_model, use_safetensors=True)
    data = Dataset.from_dict(
        {
            "input_ids": np.random.default_rng(0).integers(5, 8000, (16, 128)).tolist(),
            "label": [0, 1] * 8,
        }
    )
    make_trainer(
        tmp_path, model, callbacks=[Timed()], data=data, save_strategy="no", max_steps=4
    ).train()
    assert statistics.median(spent) < 0.05 * statistics.median(np.diff(steps))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(*die_of_everything(Path(sys.argv[1])))
