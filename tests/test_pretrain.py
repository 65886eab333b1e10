"""Pretraining repeats itself exactly, survives a kill, and keeps its test texts out of its training text."""

import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import MINI, write_parquet
from torch.nn import functional as F

from tools.pretrain import __main__ as program
from tools.pretrain import corpus, losses, models, train
from tools.pretrain.batches import MaskedBatch, TokenStream
from tools.pretrain.plans import PLANS, Plan
from tools.pretrain.train import Progress, Stage, load_checkpoint, read_progress, run_stage, save_checkpoint
from tools.pretrain.vectors import word_vectors

VOCABULARY = 60
SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
STAGE = Stage(layers=2, length=8, batch_size=4, tokens=4 * 8 * 12, rate=1e-2, warmup=3)  # 12 steps

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Models of width 16 in float32, whatever this machine's bfloat16 is worth."""
    monkeypatch.setattr(models, "WIDTH", 16)
    monkeypatch.setattr(models, "HEADS", 2)
    monkeypatch.setattr(models, "POSITIONS", 32)
    monkeypatch.setattr(train, "bf16_pays", lambda: False)


def write_ids(file, count=4000, seed=0):
    np.random.default_rng(seed).integers(5, VOCABULARY, count).astype(np.uint16).tofile(file)
    return file


@pytest.fixture
def stream(tmp_path) -> TokenStream:
    return TokenStream(write_ids(tmp_path / "train.bin"), SPECIAL)


def tiny_bert(layers=2, seed=0):
    torch.manual_seed(seed)
    return models.bert(VOCABULARY, layers).eval()


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def some_ids(rows=3, length=10):
    return torch.randint(5, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(1))


# Batches


def test_a_batch_depends_on_seed_and_step_alone(stream, tmp_path):
    other = TokenStream(tmp_path / "train.bin", SPECIAL)
    other.masked(500, 4, 16, 0.2, VOCABULARY)  # what was asked before doesn't matter
    for step in (0, 7, 10_000_003):
        first, second = (s.masked(step, 4, 8, 0.2, VOCABULARY) for s in (stream, other))
        assert torch.equal(first.input_ids, second.input_ids) and torch.equal(first.labels, second.labels)
        assert torch.equal(first.positions, second.positions)
    seeded = TokenStream(tmp_path / "train.bin", SPECIAL, seed=1)
    assert not torch.equal(stream.masked(0, 4, 8, 0.2, VOCABULARY).input_ids,
                           seeded.masked(0, 4, 8, 0.2, VOCABULARY).input_ids)
    assert not torch.equal(stream.masked(0, 4, 8, 0.2, VOCABULARY).input_ids,
                           stream.masked(1, 4, 8, 0.2, VOCABULARY).input_ids)


def test_an_epoch_visits_every_window_once(tmp_path):
    np.arange(600, dtype=np.uint16).tofile(tmp_path / "count.bin")
    stream = TokenStream(tmp_path / "count.bin", SPECIAL)
    per_epoch = (600 - 6) // 6  # 99 windows of 6 ids; 33 batches of 3
    ids = np.concatenate([stream.windows(step, 3, 8) for step in range(33)])
    assert (ids[:, 0] == 2).all() and (ids[:, -1] == 3).all() and len(set(ids[:, 1].tolist())) == per_epoch
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
    assert not chosen[:, [0, -1]].any() and after.min() >= 2
    assert (after[chosen] == SPECIAL["[MASK]"]).mean() == pytest.approx(0.8, abs=0.06)
    # A token replaced at random is the old one by chance now and then, hence a little over 10 %.
    assert (after[chosen] == labels).mean() == pytest.approx(0.1, abs=0.05)


def test_smoothing_masks_rare_tokens_more_often_and_special_ones_never(tmp_path):
    rng = np.random.default_rng(0)
    ids = np.where(rng.random(20_000) < 0.95, 5, rng.integers(6, 10, 20_000))  # one token 75 times as frequent as any other
    ids[::50] = SPECIAL["[SEP]"]
    ids.astype(np.uint16).tofile(tmp_path / "uneven.bin")
    stream = TokenStream(tmp_path / "uneven.bin", SPECIAL)
    share = {}
    for smoothing in (0.0, 0.7):
        labels = torch.cat([stream.masked(step, 8, 64, 0.1, VOCABULARY, smoothing).labels for step in range(30)])
        assert len(labels) == 30 * 50 and labels.min() >= 5
        share[smoothing] = (labels > 5).float().mean().item()
    assert share[0.0] == pytest.approx(0.05, abs=0.015)
    assert share[0.7] > 6 * share[0.0]  # chosen one by one with weights 75 ** 0.7 = 20 to 1; a window runs out of rare tokens


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_change_of_smoothing_is_bayes_rule(kind):
    model, ids = scrambled(tiny_bert()), some_ids()
    if kind == "student":
        model = models.student_from(model, (1,)).eval()
    frequency = torch.rand(VOCABULARY, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.01
    frequency /= frequency.sum()
    before = logits_of(model, ids).softmax(-1).double()
    models.change_smoothing(model, frequency.log(), 0.0, 0.7)
    expected = before * frequency**-0.7
    torch.testing.assert_close(logits_of(model, ids).softmax(-1).double(), expected / expected.sum(-1, keepdim=True),
                               rtol=1e-4, atol=1e-7)
    models.change_smoothing(model, frequency.log(), 0.7, 0.0)
    torch.testing.assert_close(logits_of(model, ids).softmax(-1).double(), before, rtol=1e-4, atol=1e-7)


def test_the_held_out_loss_undoes_the_smoothing_and_leaves_the_model_as_it_is(stream, monkeypatch):
    model, stage = scrambled(tiny_bert()), Stage(2, 8, 4, 1, 1e-3, smoothing=0.7)
    monkeypatch.setattr(program, "log_frequency", lambda s: torch.from_numpy(s.log_frequency(VOCABULARY)))
    before = weights(model)
    streams = {"train": stream, "validation": stream}
    undone = program.held_out_loss(model, losses.masked_lm, streams, stage, "cpu")
    assert equal(before, weights(model))
    models.change_smoothing(model, torch.from_numpy(stream.log_frequency(VOCABULARY)), 0.7, 0.0)
    assert undone == train.validation_loss(model, losses.masked_lm, stream, stage, device="cpu")


def test_too_few_tokens_and_a_missing_file_are_named(tmp_path):
    stream = TokenStream(write_ids(tmp_path / "short.bin", 20), SPECIAL)
    with pytest.raises(ValueError, match="20 tokens are too few for one batch of 4 x 8"):
        stream.windows(0, 4, 8)
    with pytest.raises(FileNotFoundError, match=r"nothing\.bin: no token ids here\. Run `python -m tools\.pretrain"):
        TokenStream(tmp_path / "nothing.bin", SPECIAL)


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
    model = tiny_bert()
    assert run_stage(model, losses.masked_lm, STAGE, stream, tmp_path, Progress(), device="cpu")
    return weights(model)


def resume(stream, folder):
    """What the program does when it is started again: a fresh model, and everything else from the checkpoint."""
    model, progress = tiny_bert(seed=99), read_progress(folder / "checkpoint.safetensors")
    assert run_stage(model, losses.masked_lm, STAGE, stream, folder, progress, device="cpu")
    assert progress.step == STAGE.steps == 12 and progress.tokens == STAGE.tokens
    return weights(model)


def test_training_first_learns_which_of_all_words_occur(tmp_path):
    np.tile(np.arange(5, 12, dtype=np.uint16), 600).tofile(tmp_path / "cycle.bin")
    stream, model = TokenStream(tmp_path / "cycle.bin", SPECIAL), tiny_bert()
    stage = Stage(layers=2, length=8, batch_size=4, tokens=4 * 8 * 200, rate=1e-2, warmup=3)
    before = train.validation_loss(model, losses.masked_lm, stream, stage, device="cpu", batches=5)
    assert run_stage(model, losses.masked_lm, stage, stream, tmp_path, Progress(), device="cpu")
    after = train.validation_loss(model, losses.masked_lm, stream, stage, device="cpu", batches=5)
    assert before == pytest.approx(math.log(VOCABULARY), abs=0.3) and after == pytest.approx(math.log(7), abs=0.15)
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in logged] == [50, 100, 150, 200] and logged[0]["mlm"] > logged[-1]["mlm"]


@pytest.mark.parametrize("step", [1, 5, 11])
def test_a_run_killed_at_any_step_and_resumed_gives_the_same_weights_bit_for_bit(stream, tmp_path, uninterrupted, step):
    folder = tmp_path / "killed"
    folder.mkdir()
    with pytest.raises(Killed):
        run_stage(tiny_bert(), killed_at(step), STAGE, stream, folder, Progress(), device="cpu", save_every=0)
    assert read_progress(folder / "checkpoint.safetensors").step == step
    assert equal(resume(stream, folder), uninterrupted)


def test_a_run_killed_long_after_its_last_checkpoint_repeats_the_steps_in_between(stream, tmp_path, uninterrupted):
    folder = tmp_path / "killed"
    folder.mkdir()
    progress = Progress()
    model = tiny_bert()
    assert not run_stage(model, losses.masked_lm, STAGE, stream, folder, progress, device="cpu", stop_after=0)
    with pytest.raises(Killed):
        run_stage(model, killed_at(6), STAGE, stream, folder, progress, device="cpu", save_every=math.inf)
    assert progress.step == 7 and read_progress(folder / "checkpoint.safetensors").step == 1
    assert equal(resume(stream, folder), uninterrupted)


def test_a_run_stopped_every_step_gives_the_same_weights_bit_for_bit(stream, tmp_path, uninterrupted):
    folder = tmp_path / "stopped"
    folder.mkdir()
    progress, stops = Progress(), 0
    while not run_stage(tiny_bert(), losses.masked_lm, STAGE, stream, folder, progress, device="cpu", stop_after=0):
        progress, stops = read_progress(folder / "checkpoint.safetensors"), stops + 1
    assert stops == 12
    resumed = tiny_bert(seed=5)
    load_checkpoint(folder / "checkpoint.safetensors", resumed)
    assert equal(weights(resumed), uninterrupted)


def test_a_half_written_checkpoint_does_not_disturb(stream, tmp_path, uninterrupted, monkeypatch):
    folder = tmp_path / "killed"
    folder.mkdir()
    with pytest.raises(Killed):
        run_stage(tiny_bert(), killed_at(4), STAGE, stream, folder, Progress(), device="cpu", save_every=0)

    def save_half(tensors, file, metadata):
        file.write_bytes(b"\x00" * 100)
        raise Killed

    progress = read_progress(folder / "checkpoint.safetensors")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(train, "save_file", save_half)
        run_stage(tiny_bert(), losses.masked_lm, STAGE, stream, folder, progress, device="cpu", save_every=0)
    assert (folder / "checkpoint.part").stat().st_size == 100
    assert read_progress(folder / "checkpoint.safetensors").step == 4
    assert equal(resume(stream, folder), uninterrupted)
    assert not (folder / "checkpoint.part").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(stream, tmp_path):
    def loss_of(model, batch):
        return losses.masked_lm(model, batch)[0] * math.nan, {}

    with pytest.raises(FloatingPointError, match="loss is nan at stage 0, step 0"):
        run_stage(tiny_bert(), loss_of, STAGE, stream, tmp_path, Progress(), device="cpu")


def test_the_rate_rises_stays_and_falls():
    stage = Stage(layers=1, length=10, batch_size=1, tokens=1000, rate=1.0, warmup=10, decay=0.5)  # 100 steps
    assert [stage.rate_at(s) for s in (0, 4, 9, 30, 50, 75, 99)] == pytest.approx([0.1, 0.5, 1, 1, 1, 0.5, 0.02])
    assert Stage(layers=1, length=10, batch_size=1, tokens=1000, rate=1.0, decay=0.0).rate_at(99) == 1.0


def pretend_run(tmp_path, monkeypatch, folder: str):
    """Settings for the whole program: a plan of three stages that grows the teacher, on tiny files."""
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *(f"w{i}" for i in range(VOCABULARY - 5))]) + "\n", encoding="utf-8")
    monkeypatch.setattr(program, "VOCAB", vocabulary)
    work = tmp_path / folder
    work.mkdir()
    write_ids(work / "train.bin")
    write_ids(work / "validation.bin", seed=1)
    plan = Plan(teacher=(Stage(1, 8, 4, 32 * 3, 1e-3), Stage(2, 8, 4, 32 * 3, 1e-3, smoothing=0.7),
                         Stage(2, 16, 4, 64 * 2, 1e-3)))

    class Arguments:
        work, plan, device, compile, stop_after, start = tmp_path / folder, "tiny", "cpu", False, math.inf, None

    return Arguments, plan


def test_a_whole_teacher_stopped_after_every_step_equals_one_trained_in_one_go(tmp_path, monkeypatch, capsys):
    arguments, plan = pretend_run(tmp_path, monkeypatch, "one-go")
    expected = weights(program.teacher(arguments, plan))
    arguments, plan = pretend_run(tmp_path, monkeypatch, "in-steps")
    arguments.stop_after = 0
    stops = 0
    while True:
        try:
            model = program.teacher(arguments, plan)
            break
        except SystemExit as stopped:
            assert "run the same command" in str(stopped.code)
            stops += 1
    assert stops == 8 and len(model.bert.encoder.layer) == 2 and equal(weights(model), expected)
    logged = [json.loads(line) for line in (tmp_path / "one-go/tiny/teacher/log.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in logged] == [(0, 3), (1, 3), (2, 2)]
    assert all(2 < line["validation_mlm"] < 8 for line in logged)


def test_checkpoints_give_back_weights_moments_and_progress(tmp_path):
    model = tiny_bert()
    optimizer = train.make_optimizer(model)
    losses.hidden_and_logits(model, some_ids(), torch.tensor([1, 2]))[1].sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, Progress(2, 30, 400, 5.0))
    again = tiny_bert(seed=3)
    fresh = train.make_optimizer(again)
    load_checkpoint(tmp_path / "c.safetensors", again, fresh)
    assert equal(weights(model), weights(again))
    assert read_progress(tmp_path / "c.safetensors") == Progress(2, 30, 400, 5.0)
    assert len(optimizer.state) > 30
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        for key, value in optimizer.state.get(ours, {}).items():
            assert torch.equal(value, fresh.state[theirs][key])


# Models


def scrambled(model):
    """Untrained biases are all 0 and norms all 1: with random ones a mix-up shows."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model.eval()


def logits_of(model, ids) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits


def test_a_student_with_all_layers_computes_what_its_teacher_computes():
    teacher, ids = scrambled(tiny_bert(3)), some_ids()
    student = models.student_from(teacher, (0, 1, 2)).eval()
    assert (logits_of(student, ids) - logits_of(teacher, ids)).abs().max() < 1e-5
    other = models.student_from(teacher, (0, 2, 1)).eval()
    assert (logits_of(other, ids) - logits_of(teacher, ids)).abs().max() > 1e-2


def test_a_student_takes_the_layers_named_in_their_order():
    teacher = scrambled(tiny_bert(12))
    student = models.student_from(teacher, models.TEACHER_LAYERS)
    assert models.TEACHER_LAYERS == (0, 2, 4, 7, 9, 11) and len(student.distilbert.transformer.layer) == 6
    for new, old in enumerate(models.TEACHER_LAYERS):
        assert torch.equal(student.distilbert.transformer.layer[new].attention.q_lin.weight,
                           teacher.bert.encoder.layer[old].attention.self.query.weight)


def test_a_student_becomes_a_bert_that_computes_the_same_and_can_be_cut_out_again():
    student = models.student_from(scrambled(tiny_bert(4)), (0, 2)).eval()
    again, ids = models.bert_from(student).eval(), some_ids()
    assert len(again.bert.encoder.layer) == 2
    torch.testing.assert_close(logits_of(again, ids), logits_of(student, ids))
    torch.testing.assert_close(logits_of(models.student_from(again, (0, 1)).eval(), ids), logits_of(student, ids))


def test_a_start_without_weights_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"no model\.safetensors there\. Name the folder of an earlier student"):
        program.from_start(tmp_path, tmp_path)


def test_stacking_repeats_the_layers_from_the_bottom_and_keeps_the_rest():
    model = scrambled(tiny_bert(2))
    deeper = models.stack(model, 5)
    layers = deeper.bert.encoder.layer
    assert len(layers) == 5 and deeper.config.num_hidden_layers == 5 and model.config.num_hidden_layers == 2
    for number, layer in enumerate(layers):
        assert equal(weights(layer), weights(model.bert.encoder.layer[number % 2]))
    assert not equal(weights(layers[0]), weights(layers[1]))
    assert equal(weights(deeper.bert.embeddings), weights(model.bert.embeddings))
    assert equal(weights(deeper.cls), weights(model.cls))


def trained_norms(model):
    """Norms with a spread of their own in every place, as training leaves them; the rest stays as it is."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "LayerNorm" in name:
            with torch.no_grad():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def test_inserted_layers_pass_on_what_they_get_and_the_student_is_cut_out_of_the_trained_ones():
    shallow, ids = trained_norms(tiny_bert(layers=6)), some_ids()
    deep = models.deepen(shallow, 12).eval()
    assert deep.config.num_hidden_layers == len(deep.bert.encoder.layer) == 12
    for new, old in enumerate(models.TEACHER_LAYERS):
        assert equal(weights(deep.bert.encoder.layer[old]), weights(shallow.bert.encoder.layer[new]))
    with torch.no_grad():
        before, after = (m.bert(input_ids=ids)[0] for m in (shallow, deep))
        doubled = models.with_layers(shallow, [i // 2 for i in range(12)]).eval().bert(input_ids=ids)[0]
    assert F.cosine_similarity(before, after, dim=-1).min() > 0.99
    assert (before - after).norm() < 0.2 * (before - doubled).norm()
    student = models.student_from(deep, models.TEACHER_LAYERS).eval()
    torch.testing.assert_close(logits_of(student, ids), logits_of(shallow, ids))
    deep(input_ids=ids).logits.square().sum().backward()  # the zeros learn from the first step on
    assert all(layer.output.dense.weight.grad.abs().max() > 0 for layer in deep.bert.encoder.layer)


def test_layers_are_inserted_only_where_every_trained_one_has_a_place():
    for places in ((1, 2), (0,), (0, 1, 2)):
        with pytest.raises(ValueError, match=r"places for 2 trained layers, the first of them 0"):
            models.insert(tiny_bert(2), 4, places)


def test_other_depths_are_stacked():
    deeper = models.deepen(tiny_bert(3), 6)
    assert equal(weights(deeper.bert.encoder.layer[4]), weights(deeper.bert.encoder.layer[1]))


def test_new_positions_continue_the_rotations_of_the_trained_ones():
    model = tiny_bert()
    weight = model.bert.embeddings.position_embeddings.weight
    steps = torch.arange(len(weight)).double()
    angle = steps * 2 * torch.pi / 9  # positions 1 to 18 are two whole turns
    curve = torch.stack([torch.cos(angle), torch.sin(angle), torch.cos(2 * angle), torch.sin(2 * angle)], 1)
    mixing = torch.randn(4, weight.shape[1], generator=torch.Generator().manual_seed(0)).double()
    wanted = (curve @ mixing).float()
    with torch.no_grad():
        weight[:20] = wanted[:20]
    models.extend_positions(model, trained=20, wanted=30, rank=4)
    after = model.bert.embeddings.position_embeddings.weight
    assert torch.equal(after[:19], wanted[:19])
    cosine = torch.nn.functional.cosine_similarity(after[20:30] - wanted[1:19].mean(0), wanted[20:30] - wanted[1:19].mean(0))
    assert cosine.min() > 0.99

@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_logits_at_the_chosen_positions_are_those_of_the_whole_model(kind):
    model, ids = scrambled(tiny_bert()), some_ids()
    if kind == "student":
        model = models.student_from(model, (1,)).eval()
    positions = torch.tensor([0, 9, 10, 25])
    hidden, logits = models.hidden_and_logits(model, ids, positions)
    assert hidden.shape == (3, 10, 16)
    torch.testing.assert_close(logits, logits_of(model, ids).reshape(30, -1)[positions])


def test_embeddings_start_from_word_vectors_and_log_frequencies():
    model = tiny_bert()
    vectors, frequency = torch.randn(VOCABULARY, 16), torch.randn(VOCABULARY)
    models.set_embeddings(model, vectors, frequency)
    assert torch.equal(model.get_input_embeddings().weight, vectors)
    assert torch.equal(model.get_output_embeddings().weight, vectors)
    assert torch.equal(model.cls.predictions.bias, frequency)


def test_words_with_the_same_neighbours_get_vectors_alike():
    rng = np.random.default_rng(0)
    # Ids 5 and 6 are interchangeable between 10 and 11; 7 lives between 20 and 21.
    phrases = [(10, 5, 11), (10, 6, 11), (20, 7, 21), (20, 7, 21)]
    ids = np.concatenate([phrases[i] for i in rng.integers(4, size=400)])
    vectors = word_vectors(ids, VOCABULARY, dim=4, window=1)
    assert vectors.shape == (VOCABULARY, 4) and vectors.dtype == np.float32
    five, six, seven = vectors[[5, 6, 7]]
    assert np.linalg.norm(five) == pytest.approx(0.5, abs=1e-4)
    assert five @ six / 0.25 > 0.9 > 0.5 > five @ seven / 0.25


# Losses


def softmax(x, temperature):
    e = np.exp(np.array(x) / temperature)
    return e / e.sum()


def test_the_distillation_losses_equal_a_case_worked_out_by_hand(monkeypatch):
    student_logits, teacher_logits, label = [[2.0, 0.0, -2.0]], [[0.0, 2.0, 0.0]], 1
    student_hidden, teacher_hidden = [[[3.0, 4.0], [1.0, 0.0]]], [[[4.0, 3.0], [0.0, 1.0]]]  # cosines 24/25 and 0
    outputs = {"student": (torch.tensor(student_hidden), torch.tensor(student_logits)),
               "teacher": (torch.tensor(teacher_hidden), torch.tensor(teacher_logits))}
    monkeypatch.setattr(losses, "hidden_and_logits", lambda model, ids, positions: outputs[model.role])
    student, teacher = torch.nn.Module(), torch.nn.Module()
    student.role, teacher.role = "student", "teacher"
    batch = MaskedBatch(torch.zeros(1, 2, dtype=torch.long), torch.tensor([0]), torch.tensor([label]))

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
    only, _ = losses.Distillation(teacher, weights={"soft": 0.0, "mlm": 0.0, "cosine": 1.0})(student, batch)
    assert only.item() == pytest.approx(0.52, rel=1e-5)


def test_a_student_equal_to_its_teacher_has_only_the_masked_lm_loss_left_and_the_teacher_stays_frozen(stream):
    teacher = scrambled(tiny_bert())
    student = models.student_from(teacher, (0, 1)).eval()
    batch = stream.masked(0, 4, 8, 0.2, VOCABULARY)
    loss, parts = losses.Distillation(teacher)(student, batch)
    assert parts["soft"] == pytest.approx(0, abs=1e-4) and parts["cosine"] == pytest.approx(0, abs=1e-5)
    assert parts["mlm"] == pytest.approx(losses.masked_lm(teacher, batch)[1]["mlm"], rel=1e-4)
    loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


def test_the_masked_lm_loss_is_the_cross_entropy_at_the_chosen_positions(stream):
    model, batch = scrambled(tiny_bert()), stream.masked(0, 4, 8, 0.2, VOCABULARY)
    logits = logits_of(model, batch.input_ids).reshape(-1, VOCABULARY)[batch.positions]
    expected = F.cross_entropy(logits, batch.labels).item()
    assert losses.masked_lm(model, batch)[1]["mlm"] == pytest.approx(expected, rel=1e-5)


# Text


def test_reviews_that_also_stand_in_train_or_test_are_left_out(tmp_path):
    folder = tmp_path / "datasets/stanfordnlp/imdb"
    write_parquet(folder / "train.parquet", text=["In train.<br />Yes"])
    write_parquet(folder / "test.parquet", text=["In test"])
    write_parquet(folder / "unsupervised.parquet",
                  text=["in  TRAIN.<br />yes", "New<br />one", " In Test ", "In test, nearly"])
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
    order = [texts.index(text) for text in pq.read_table(tmp_path / "t.parquet")["text"].to_pylist()]
    assert order != sorted(order) and sorted(order) == list(range(40))


def test_a_source_that_counts_three_times_is_encoded_three_times_with_its_copies_far_apart(tmp_path):
    once, first, second = ("alpha beta gamma delta " * 12, "one two three four five " * 12, "six seven eight nine ten " * 12)
    corpus.collect([(iter([once]), 1), (iter([first, second]), 3)], tmp_path / "t.parquet")
    table = {row["text"]: row["repeats"] for row in pq.read_table(tmp_path / "t.parquet").to_pylist()}
    assert table == {once: 1, first: 3, second: 3}
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "alpha", "one", "six"]), encoding="utf-8")
    assert corpus.encode(tmp_path / "t.parquet", vocab, tmp_path)["train"] == 12 * 4 + 6 * 12 * 5 + 7
    ids = np.fromfile(tmp_path / "train.bin", dtype=np.uint16)
    assert [(ids == n).sum() for n in (5, 6, 7)] == [12, 36, 36]
    documents = "".join({5: "a", 6: "b", 7: "c"}.get(n, "") for n in ids[np.isin(ids, [5, 6, 7])])[::12].replace("a", "")
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
    write_parquet(tmp_path / "t.parquet", text=["The film.", "A Film", "held out"], split=splits, repeats=[1, 1, 3])
    counts = corpus.encode(tmp_path / "t.parquet", MINI / "vocab.txt", tmp_path)
    pieces = (MINI / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words = [pieces[i] for i in np.fromfile(tmp_path / "train.bin", dtype=np.uint16)]
    assert words == ["the", "film", ".", "[SEP]", "a", "film", "[SEP]"] and counts["train"] == 7
    assert counts["validation"] == len(np.fromfile(tmp_path / "validation.bin", dtype=np.uint16)) > 1
    assert not list(tmp_path.glob("*.part"))


def test_the_embedded_vocabulary_has_its_size_and_special_pieces_first():
    pieces = (MINI / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert len(pieces) == len(set(pieces)) == corpus.VOCAB_SIZE == 8192
    assert program.special_ids() == SPECIAL


def test_every_plan_ends_with_a_student_of_six_layers_at_the_full_length():
    for name, plan in PLANS.items():
        depths = [stage.layers for stage in plan.teacher]
        assert depths == sorted(depths) and plan.teacher[-1].length == 512, name
        assert depths[-1] == (12 if plan.student else 6), name
        assert all(stage.layers == 6 for stage in plan.student), name
