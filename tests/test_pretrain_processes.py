"""Two processes train what one does, and a killed one is restarted from the last checkpoint."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import MINI, ROOT
from safetensors.torch import load_file
from tiny_pretraining import VOCABULARY, shrink, small

from tools.pretrain import __main__ as program
from tools.pretrain import losses, models
from tools.pretrain.batches import FIRST_PIECE, TokenStream

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def work(tmp_path):
    """Maker of work folders with invented ids and an untrained teacher."""

    def make(name):
        folder = tmp_path / name
        (folder / "source").mkdir(parents=True)
        (folder / "source/vocab.txt").write_bytes((MINI / "vocab.txt").read_bytes())
        for seed, split in enumerate(("train", "validation")):
            ids = np.random.default_rng(seed).integers(FIRST_PIECE, VOCABULARY, 4000)
            ids.astype(np.uint16).tofile(folder / f"{split}.bin")
        models.export(small(), folder / "mini-distilbert", MINI / "vocab.txt")
        return folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "distilbert", small)
        yield make


def alone(folder, step, monkeypatch, *options):
    """Train in this process."""
    with monkeypatch.context() as patch:
        shrink(folder, patch.setattr)
        patch.setattr(sys, "argv", ["pretrain", step, "--work", str(folder), *options])
        program.main()


def together(folder, step, *options, killed_after=0):
    """Train in two processes; return what they print."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
        "--nproc-per-node", "2", *options,
        str(ROOT / "tests/tiny_pretraining.py"), str(folder), str(killed_after), step, "--work", str(folder),
        "--device", "cpu",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-9000:]
    return done.stdout


def result(folder, step):
    """Weights, moments and log of a finished training."""
    lines = (folder / "cpu" / step / "log.jsonl").read_text(encoding="utf-8").splitlines()
    log = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    return load_file(folder / "cpu" / step / "checkpoint.safetensors"), log


def assert_equal_to_rounding(first, second):
    (first, first_log), (second, second_log) = first, second
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)
    assert len(first_log) == len(second_log)
    for ours, theirs in zip(first_log, second_log, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_losses_and_gradients_of_the_parts_add_up_to_those_of_the_whole_batch(work, size):
    batch = TokenStream(work("parts") / "train.bin").masked(0, 4, 8, 0.2, VOCABULARY)
    teacher = small().eval()
    for loss_of in (losses.masked_lm, losses.Distillation(teacher)):
        found = []
        for parts in (1, size):
            student = models.cut_out(teacher, (4, 1)).eval()
            total = 0.0
            for rank in range(parts):
                loss = loss_of(student, batch.part(rank, parts, "cpu"))[0]
                loss.backward()
                total += loss.item()
            found.append((total, [p.grad for p in student.parameters()]))
        (whole, whole_gradients), (added, added_gradients) = found
        assert added == pytest.approx(whole, rel=1e-5)
        torch.testing.assert_close(added_gradients, whole_gradients, rtol=1e-4, atol=1e-6)


def test_two_processes_distil_what_one_does(work, monkeypatch):
    one, two = work("one"), work("two")
    alone(one, "student", monkeypatch)
    together(two, "student")
    assert_equal_to_rounding(result(one, "student"), result(two, "student"))
    assert len(result(two, "student")[1]) == 4  # held-out losses and step 50, each written once
    for name in ("model.safetensors", "README.md"):
        assert (two / "mini-student" / name).is_file()


def test_a_killed_process_is_restarted_and_two_go_on_where_one_stopped(work, monkeypatch):
    one, two = work("one"), work("two")
    alone(one, "teacher", monkeypatch)
    with pytest.raises(SystemExit, match="stopped at stage 0, step 1"):
        alone(two, "teacher", monkeypatch, "--stop-after", "0")
    printed = together(two, "teacher", "--max-restarts", "1", killed_after=13)
    begun = re.findall(r"begins at Progress\(stage=(\d), step=(\d+)", printed)
    assert begun[0] == ("0", "1") and begun[1:] in ([("1", "9")], [("1", "10")])
    assert_equal_to_rounding(result(one, "teacher"), result(two, "teacher"))


def test_too_many_processes_and_other_steps_are_refused(work, monkeypatch, capsys):
    folder = work("refused")
    monkeypatch.setattr(program, "rank_and_size", lambda: (0, 4))
    with pytest.raises(
        SystemExit, match="4 processes are too many: student's smallest batch has 3"
    ):
        alone(folder, "student", monkeypatch)
    monkeypatch.setattr(program.dist, "is_torchelastic_launched", lambda: True)
    with pytest.raises(SystemExit):
        alone(folder, "evaluate", monkeypatch)
    assert "evaluate runs without torchrun" in capsys.readouterr().err
