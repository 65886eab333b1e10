"""A run that is killed, a full disk, too little memory, a loss that is no number: the same weights, or one clear line.

Run as a program, this file trains in processes that are killed; see ``killed_runs``.
"""

import errno
import os
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from course_utils.training import StopAtNaN, TrainingError, full_disk_named, last_whole_checkpoint, train_within_memory

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS, EVERY = 8, 2  # steps of a run, which has 6 an epoch, and how many lie between two checkpoints
CONFIG = {"vocab_size": 8192, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 16}
# model.safetensors has 1.13 MB and optimizer.pt 2.28 MB: writing stops in the first or in the second.
LIMITS = {"model.safetensors": 500_000, "optimizer.pt": 1_400_000}


def rows(count=64):
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 8192, n).tolist() + [0] * (8 - n) for n in rng.integers(3, 9, count)]
    return Dataset.from_dict({"input_ids": ids, "attention_mask": [[int(i > 0) for i in row] for row in ids],
                              "length": [sum(i > 0 for i in row) for row in ids], "label": [i % 2 for i in range(count)]})


def new_model(seed=0, dropout=0.1):
    set_seed(seed)
    rates = dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout"), dropout)
    model = DistilBertForSequenceClassification(DistilBertConfig(**CONFIG, **rates))
    model.accepts_loss_kwargs = False
    return model


def make_trainer(folder, model=None, kind=Trainer, callbacks=(), data=None, **changes):
    settings = {"max_steps": STEPS, "save_steps": EVERY, "per_device_train_batch_size": 8, "learning_rate": 1e-3,
                "train_sampling_strategy": "group_by_length", "logging_steps": 1, "report_to": "none", "disable_tqdm": True,
                "use_cpu": True}
    args = TrainingArguments(output_dir=str(folder), **settings | changes)
    trainer = kind(model=model or new_model(), args=args, train_dataset=data or rows(48), callbacks=list(callbacks))
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
    trainer.train()
    torch.set_num_threads(before)
    return SimpleNamespace(folder=folder, weights=weights(trainer))


def resumed(folder) -> dict[str, torch.Tensor]:
    """The weights after going on; the new model starts elsewhere, so that equal weights can only come from the disk."""
    checkpoint = last_whole_checkpoint(folder)
    if checkpoint and checkpoint.endswith(f"checkpoint-{STEPS}"):  # it was done; see the test of one step more
        return load_file(Path(checkpoint) / "model.safetensors")
    trainer = make_trainer(folder, new_model(seed=999 if checkpoint else 0))
    trainer.train(resume_from_checkpoint=checkpoint)
    assert trainer.state.global_step == STEPS
    return weights(trainer)


# --- killed ---

CHANCE = random.Random(0)
KILLS = [*(f"step {step}" for step in range(1, STEPS)), *(f"write {name}" for name in LIMITS), "open trainer_state.json",
         *(f"clock {CHANCE.random():.3f}" for _ in range(4)), "clock 3.000"]  # in that share of a whole run's time


class Dies(TrainerCallback):
    """Die as the name says: after a step, amid writing a file, when a file is opened; or say when the clock starts."""

    def __init__(self, kill: str, started: int):
        (self.how, self.what), self.started = kill.split(), started

    def on_train_begin(self, args, state, control, **kwargs):
        os.write(self.started, b"!")

    def on_step_end(self, args, state, control, **kwargs):
        if self.how == "step" and state.global_step == int(self.what):
            os.kill(os.getpid(), signal.SIGKILL)
        if state.global_step == 5 and self.how == "write":  # the checkpoints of steps 2 and 4 are written
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the kernel ends a process that writes more than this
            resource.setrlimit(resource.RLIMIT_FSIZE, (LIMITS[self.what],) * 2)
        if state.global_step == 5 and self.how == "open":
            sys.addaudithook(lambda event, details: event == "open" and str(details[0]).endswith(self.what)
                             and os.kill(os.getpid(), signal.SIGKILL))


def die(folder: Path, kill: str, run_time: float = 0.0) -> tuple[int, float]:
    """Train in a process that is killed; the signal that ended it, and the seconds from the training's beginning to that."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reader)
        make_trainer(folder, callbacks=[Dies(kill, writer)]).train()
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
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    run = subprocess.run([sys.executable, __file__, top], capture_output=True, text=True, env=environment, timeout=300)
    assert run.returncode == 0, run.stderr
    return top, dict(zip(KILLS, map(int, run.stdout.split()), strict=True))


def test_clocks_go_off_within_runs(killed_runs):
    """Before the next test goes on with them."""
    top, _ = killed_runs
    done = [(top / kill.replace(" ", "-") / f"checkpoint-{STEPS}").exists() for kill in KILLS if kill.startswith("clock")]
    assert not all(done)


@pytest.mark.parametrize("kill", KILLS)
def test_a_run_that_was_killed_ends_with_the_weights_of_an_uninterrupted_one(kill, killed_runs, whole):
    top, signals = killed_runs
    assert signals[kill] == (signal.SIGXFSZ if kill.startswith("write") else signal.SIGKILL)
    assert largest_difference(resumed(top / kill.replace(" ", "-")), whole.weights) == 0


@pytest.mark.parametrize(("rows_an_epoch", "steps"), [(48, STEPS + 1), (64, STEPS)])
def test_the_trainer_resumed_at_its_last_step_makes_one_more_where_that_is_within_an_epoch(rows_an_epoch, steps, tmp_path):
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
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"])
def test_a_checkpoint_that_lacks_something_is_skipped_with_its_name(name, how, two, capsys):
    file = two / "checkpoint-4" / name
    if how == "missing":
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size // 2 if how == "cut off" else 0)
    assert last_whole_checkpoint(two) == str(two / "checkpoint-2")
    said = "missing" if how == "missing" else "cut off"
    assert capsys.readouterr().out == f"checkpoint-4 skipped: {name} is {said}\n"


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


# --- a full disk ---


def assert_stopped_by_a_full_disk(folder, trainer) -> None:
    """One clear message, and the checkpoint of step 2 as it was."""
    with pytest.raises(TrainingError) as error, full_disk_named(folder):
        trainer.train()
    text = str(error.value)
    assert text.startswith(f"{folder}: the disk is full") and "Whole: checkpoint-2. Free some space" in text
    assert "resume_from_checkpoint=last_whole_checkpoint(folder)" in text and text.count("\n") == 0
    assert error.value.__cause__ is not None


@pytest.mark.parametrize("stopped_in", LIMITS)
def test_a_file_that_may_not_grow_ends_in_one_message_and_the_run_can_go_on(stopped_in, tmp_path, whole):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(**kwargs):
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMITS[stopped_in], hard))

    try:
        assert_stopped_by_a_full_disk(tmp_path, make_trainer(tmp_path, callbacks=[At(2, full)]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert content(tmp_path / "checkpoint-2")["optimizer.pt"] == content(whole.folder / "checkpoint-2")["optimizer.pt"]
    assert largest_difference(resumed(tmp_path), whole.weights) == 0


@pytest.fixture
def disk(tmp_path):
    """A function that gives a disk of so many KiB, or another size to the one there is."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def of(size):
        options = f"size={size}k" + (",remount" if os.path.ismount(folder) else "")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode:
            pytest.skip("no disk can be mounted here: a disk that is really full was not tested")
        return folder

    yield of
    if os.path.ismount(folder):
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(not shutil.which("mount"), reason="there is no mount: a disk that is really full was not tested")
@pytest.mark.parametrize("size", [3_500, 4_000, 5_500])  # the second checkpoint ends in its weights or in its optimiser
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


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), PermissionError(errno.EACCES, "no"), KeyError("label")])
def test_another_error_is_not_called_a_full_disk(error, tmp_path):
    with pytest.raises(type(error)) as raised, full_disk_named(tmp_path):
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


# --- out of memory ---


def real_allocator_error():
    torch.empty(2**50, dtype=torch.uint8)


def torch_error():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def python_error():
    raise MemoryError


class Small(Trainer):
    """A machine with memory for batches of ``fits`` rows, and for evaluation batches of ``eval_fits``."""

    fits, eval_fits, run_out = 8, 64, staticmethod(real_allocator_error)

    def training_step(self, model, inputs, num_items_in_batch=None):
        if len(inputs["labels"]) > self.fits and self.state.global_step:  # the first step still fits
            self.run_out()
        return super().training_step(model, inputs, num_items_in_batch)

    def prediction_step(self, model, inputs, *args, **kwargs):
        if len(inputs["labels"]) > self.eval_fits:
            self.run_out()
        return super().prediction_step(model, inputs, *args, **kwargs)


def machine(fits, run_out=real_allocator_error, eval_fits=64):
    return type("Machine", (Small,), {"fits": fits, "eval_fits": eval_fits, "run_out": staticmethod(run_out)})


def maker(folder, kind, model=lambda: new_model(dropout=0.0), **changes):
    settings = {"optim": "sgd", "learning_rate": 0.1, "save_strategy": "no", "max_steps": -1, "num_train_epochs": 2,
                "data": rows(24)}
    return lambda **sizes: make_trainer(folder, model(), kind, **settings | changes | sizes)


@pytest.mark.parametrize(("fits", "run_out", "lines"), [
    (8, real_allocator_error, []), (4, python_error, [(4, 2)]), (2, torch_error, [(4, 2), (2, 4)]),
    (1, real_allocator_error, [(4, 2), (2, 4), (1, 8)]),
])
def test_too_little_memory_halves_the_batch_doubles_accumulation_and_keeps_the_result(fits, run_out, lines, tmp_path, capsys):
    strategy = "group_by_length" if fits == 2 else "random"
    make = maker(tmp_path, machine(fits, run_out), train_sampling_strategy=strategy)
    trainer = train_within_memory(make, 8)
    assert capsys.readouterr().out == "".join(
        f"Out of memory: starting again with batches of {size}, {times} of them a step; the same steps\n"
        for size, times in lines)
    batch, accumulation = lines[-1] if lines else (8, 1)
    assert trainer.args.per_device_train_batch_size == batch and trainer.args.gradient_accumulation_steps == accumulation
    roomy = maker(tmp_path, Trainer, train_sampling_strategy=strategy)(per_device_train_batch_size=8)
    start = weights(roomy)
    roomy.train()
    assert trainer.state.global_step == roomy.state.global_step == 6
    assert largest_difference(weights(trainer), weights(roomy)) < 1e-5 < 1e-3 < largest_difference(start, weights(roomy))


def test_a_batch_that_has_no_half_goes_to_its_next_divisor(tmp_path, capsys):
    trainer = train_within_memory(maker(tmp_path, machine(2)), 6, accumulation=2)
    assert (trainer.args.per_device_train_batch_size, trainer.args.gradient_accumulation_steps) == (1, 12)
    assert "batches of 3, 4 of them a step" in capsys.readouterr().out


def test_a_model_that_hides_how_it_takes_its_mean_would_change_the_result(tmp_path):
    """Why the docstring asks for accepts_loss_kwargs = False: otherwise accumulation multiplies the loss."""

    def model():
        made = new_model(dropout=0.0)
        del made.accepts_loss_kwargs
        return made

    one, four = (weights(train_within_memory(maker(tmp_path, machine(fits), model), 8)) for fits in (8, 2))
    assert largest_difference(one, four) > 1e-3


def test_memory_that_holds_no_single_row_ends_in_one_clear_message(tmp_path):
    with pytest.raises(TrainingError, match="Out of memory even at a batch of 1: cut the texts"):
        train_within_memory(maker(tmp_path, machine(0)), 4)


def test_an_evaluation_that_does_not_fit_says_which_argument_to_halve(tmp_path, capsys):
    kind = machine(8, eval_fits=4)

    def make(**sizes):
        trainer = maker(tmp_path, kind, eval_strategy="no")(**sizes)
        trainer.eval_dataset, trainer.args.eval_strategy = rows(16), "epoch"
        return trainer

    with pytest.raises(TrainingError, match="in an evaluation: halve per_device_eval_batch_size"):
        train_within_memory(make, 8)
    assert capsys.readouterr().out.count("starting again") == 0


def test_another_error_is_no_lack_of_memory(tmp_path):
    def other():
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        train_within_memory(maker(tmp_path, machine(4, other)), 8)


def test_the_trainers_own_search_for_a_batch_size_changes_steps_and_weights(tmp_path):
    found = maker(tmp_path, machine(4), auto_find_batch_size=True)(per_device_train_batch_size=8)
    found.train()
    roomy = maker(tmp_path, Trainer)(per_device_train_batch_size=8)
    roomy.train()
    assert found.args.gradient_accumulation_steps == 1 and found.state.global_step == 12 and roomy.state.global_step == 6
    assert largest_difference(weights(found), weights(roomy)) > 1e-3


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


@pytest.mark.parametrize("fault", [spoil, spoil_gradient(float("nan")), spoil_gradient(float("inf"))])
@pytest.mark.parametrize("changes", [{}, {"max_grad_norm": 0.0}, {"logging_steps": 500}])
def test_the_first_step_without_a_number_is_stopped_and_named_before_it_is_made(fault, changes, tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[At(4, fault), StopAtNaN()], save_strategy="no", **changes)
    with pytest.raises(TrainingError, match=r"Step 5, learning rate 5\.0e-04: the gradient is NaN or infinite\. Lower "
                       r"the learning rate"):
        trainer.train()
    assert trainer.state.global_step == 4
    assert all(value.isfinite().all() for name, value in weights(trainer).items() if name != "classifier.bias")


def test_a_loss_without_a_number_is_named_even_where_its_gradient_is_zero(tmp_path):
    """A batch without a masked token: the mean over no token is NaN, the gradient 0."""
    ids = rows()["input_ids"][:]
    data = Dataset.from_dict({"input_ids": ids, "labels": [row if i < 32 else [-100] * 8 for i, row in enumerate(ids)]})
    trainer = make_trainer(tmp_path, DistilBertForMaskedLM(DistilBertConfig(**CONFIG)), callbacks=[StopAtNaN()], data=data,
                           save_strategy="no", train_sampling_strategy="sequential")
    with pytest.raises(TrainingError, match=r"Step 5, learning rate .*: the loss is NaN .*batches without a label"):
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
        StopAtNaN().on_pre_optimizer_step(SimpleNamespace(fp16=False), state, None, layer, optimizer)


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
    data = Dataset.from_dict({"input_ids": np.random.default_rng(0).integers(5, 8000, (16, 128)).tolist(), "label": [0, 1] * 8})
    make_trainer(tmp_path, model, callbacks=[Timed()], data=data, save_strategy="no", max_steps=4).train()
    assert statistics.median(spent) < 0.05 * statistics.median(np.diff(steps))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(*die_of_everything(Path(sys.argv[1])))
