"""start_lab chooses profile, precision and checkpoint by what it finds, and says so in one line."""

import errno
import json
import os
import re
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from conftest import MINI
from safetensors.torch import save_file

from course_utils import hub, lab, precision
from course_utils.hub import CheckpointError
from course_utils.lab import PROFILES, Lab, choose_profile, start_lab
from course_utils.timing import Stopwatch


@pytest.fixture(autouse=True)
def a_plain_cpu(monkeypatch):
    """A machine without CUDA device and native bfloat16; a test changes what it is about."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, raising=False
    )
    monkeypatch.setattr(lab, "training_speed", lambda kind, device="cpu": 2000.0)
    precision.has_native_bf16.cache_clear()


@contextmanager
def hub_that(monkeypatch, answer):
    """A server on this machine in the Hub's place; ``answer`` writes the reply to a request."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):  # http.server's own spelling
            answer(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    ).start()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def status(code):
    def answer(handler):
        handler.send_response(code)
        handler.end_headers()

    return answer


def stall(handler):
    time.sleep(1.5)


def drip(handler):
    """One header every 0.1 s: each wait is short, the whole is not."""
    handler.send_response_only(200)
    handler.flush_headers()
    for number in range(15):
        handler.wfile.write(f"X-Drop-{number}: 1\r\n".encode())
        handler.wfile.flush()
        time.sleep(0.1)


def babble(handler):
    handler.wfile.write(b"this is not HTTP\r\n\r\n")


@pytest.mark.parametrize(
    ("code", "answers"), [(200, True), (404, True), (405, True), (500, False), (503, False)]
)
def test_the_hub_answers_unless_it_reports_a_fault_of_its_own(monkeypatch, code, answers):
    with hub_that(monkeypatch, status(code)):
        assert hub.hub_answers() is answers


@pytest.mark.parametrize("kind", [stall, drip], ids=["stall", "drip"])
def test_a_hub_slower_than_the_limit_does_not_answer_and_costs_no_more_than_the_limit(
    monkeypatch, kind
):
    def ignoring_hang_ups(handler):
        with suppress(OSError):
            kind(handler)

    with hub_that(monkeypatch, ignoring_hang_ups):
        start = time.perf_counter()
        assert hub.hub_answers(seconds=0.4) is False
        assert 0.35 < time.perf_counter() - start < 1.2


def test_something_that_is_no_hub_does_not_answer(monkeypatch):
    with hub_that(monkeypatch, babble):
        assert (
            hub.ask_hub(seconds=1.0) is False
        )  # it runs in a thread of hub_answers, where an error would be printed
        assert hub.hub_answers() is False
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # closed: the discard service
    assert hub.hub_answers() is False
    monkeypatch.setenv("HF_ENDPOINT", "huggingface.co")  # no address
    assert hub.hub_answers() is False


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_offline_mode_asks_nobody(monkeypatch, value):
    monkeypatch.setattr(hub, "ask_hub", lambda seconds: True)
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert hub.hub_answers() is False
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert hub.hub_answers() is True


@pytest.mark.parametrize("name", ["mini", "cpu", "gpu"])
def test_argument_and_environment_choose_a_profile_and_the_argument_wins(monkeypatch, name):
    assert choose_profile(name) == (PROFILES[name], "the notebook asks for it")
    monkeypatch.setenv("COURSE_PROFILE", name)
    assert choose_profile() == (PROFILES[name], "COURSE_PROFILE asks for it")
    assert choose_profile("mini") == (PROFILES["mini"], "the notebook asks for it")


def test_an_unknown_profile_is_named_with_the_known_ones(monkeypatch):
    with pytest.raises(ValueError, match=r"no profile 'tpu'\. Choose one of: auto, mini, cpu, gpu"):
        start_lab("05", profile="tpu")
    monkeypatch.setenv("COURSE_PROFILE", "big")
    with pytest.raises(ValueError, match=r"no profile 'big'\..*\(COURSE_PROFILE asks for it\)"):
        start_lab("05")


def test_a_profile_in_the_environment_may_be_written_in_capitals(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "MINI")
    assert choose_profile()[0] == PROFILES["mini"]


@pytest.mark.parametrize("value", ["~no-such-user/mirror", "stick"])
def test_a_mirror_that_is_not_there_is_named_with_the_place_looked_in(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_MIRROR", value)
    with pytest.raises(FileNotFoundError, match="there is no such folder") as error:
        hub.mirror()
    assert f"COURSE_MIRROR={value}:" in str(error.value) and str(tmp_path / value) in str(
        error.value
    )


def test_a_mirror_that_is_a_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "stick").touch()
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path / "stick"))
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        hub.mirror()


def test_a_mirror_that_may_not_be_read_is_told_from_one_that_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    monkeypatch.setattr(hub.os, "access", lambda path, mode: False)
    with pytest.raises(FileNotFoundError, match="or you may not read it"):
        hub.mirror()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_to_is_not_called_a_network_fault(code):
    message = hub.failure(hub.MODELS["bert"], OSError(code, os.strerror(code), "/cache"))
    assert "Set HF_HOME to a folder" in message and "Check the network" not in message
    assert "Check the network" in hub.failure(hub.MODELS["bert"], OSError("cut off"))


@pytest.mark.parametrize(
    ("cuda", "answers", "name", "reason"),
    [
        (False, False, "mini", "there is no CUDA device"),
        (False, True, "mini", "there is no CUDA device"),
        (True, True, "gpu", "there is a CUDA device"),
        (True, False, "mini", "the Hub does not answer"),
    ],
)
def test_auto_chooses_by_device_and_hub(monkeypatch, cuda, answers, name, reason):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(hub, "hub_answers", lambda: answers)
    assert choose_profile("auto") == (PROFILES[name], reason)


def test_without_a_cuda_device_the_hub_is_not_asked(monkeypatch):
    monkeypatch.setattr(hub, "hub_answers", lambda: pytest.fail("the Hub was asked"))
    assert choose_profile()[0].name == "mini"


def test_auto_takes_a_mirrored_model_without_asking_the_hub(tmp_path, monkeypatch):
    (tmp_path / "models/distilbert/distilbert-base-uncased").mkdir(parents=True)
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(hub, "hub_answers", lambda: pytest.fail("the Hub was asked"))
    assert choose_profile()[0].name == "gpu"


def test_a_mirror_without_models_is_named_as_the_reason(tmp_path, monkeypatch):
    (tmp_path / "datasets").mkdir()
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    reason = "the mirror holds no models and the Hub does not answer"
    assert choose_profile() == (PROFILES["mini"], reason)


def test_profiles_differ_in_source_and_grow_in_size():
    mini, cpu, gpu = (PROFILES[name] for name in ("mini", "cpu", "gpu"))
    assert [p.source for p in (mini, cpu, gpu)] == ["embedded", "hub", "hub"]
    assert cpu.train_rows == 2000 and gpu.train_rows is None and gpu.test_rows is None
    assert mini.learning_rate > cpu.learning_rate > gpu.learning_rate and gpu.max_length == 512


@pytest.mark.parametrize(
    ("found", "system", "chosen"),
    [
        ({"avx512_bf16": True}, "Linux", "bf16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "Linux", "bf16"),
        ({"avx512_bf16": False, "avx2": True}, "Linux", "fp32"),
        ({"bf16": True}, "Linux", "bf16"),
        ({"bf16": True}, "Darwin", "fp32"),
    ],
)
def test_a_cpu_computes_in_bf16_where_the_processor_has_it(monkeypatch, found, system, chosen):
    monkeypatch.setattr(precision.platform, "system", lambda: system)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    precision.has_native_bf16.cache_clear()
    assert precision.choose_precision("cpu") == chosen
    precision.has_native_bf16.cache_clear()


def test_an_older_pytorch_is_asked_for_avx512_alone(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(precision.platform, "system", lambda: "Linux")
    precision.has_native_bf16.cache_clear()
    assert precision.choose_precision("cpu") == "bf16"
    precision.has_native_bf16.cache_clear()


@pytest.mark.parametrize(
    ("capability", "chosen"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")]
)
def test_bf16_is_taken_on_a_gpu_from_capability_8(monkeypatch, capability, chosen):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert precision.choose_precision("cuda") == chosen


def test_the_timed_product_counts_two_operations_a_term(monkeypatch):
    monkeypatch.undo()  # the real one
    ticks = iter(range(100))
    monkeypatch.setattr(precision.time, "perf_counter", lambda: float(next(ticks)))
    assert precision.product_gflops.__wrapped__("fp32", size=10, repeats=2) == pytest.approx(
        2 * 10**3 / 1.0 / 1e9
    )


@pytest.mark.parametrize("kind", ["fp32", "bf16"])
def test_the_training_speed_counts_the_tokens_of_the_fastest_step_and_leaves_the_random_state_alone(
    kind, monkeypatch
):
    ticks = iter([0.0, 4.0, 10.0, 12.0, 20.0, 25.0])  # steps of 4, 2 and 5 seconds
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(ticks))
    state = torch.random.get_rng_state()
    assert precision.training_speed.__wrapped__(kind) == 8 * 64 / 2
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("device", "kind", "keywords"),
    [
        ("cpu", "fp32", {"use_cpu": True}),
        ("cpu", "bf16", {"use_cpu": True, "bf16": True}),
        ("cuda", "fp16", {"fp16": True}),
        ("cuda", "bf16", {"bf16": True}),
    ],
)
def test_precision_arguments_are_what_training_arguments_takes(tmp_path, device, kind, keywords):
    made = Lab("05", PROFILES["mini"], device, kind, "", "main", tmp_path, 0, Stopwatch())
    assert made.precision_arguments == keywords


def test_cpu_precision_arguments_are_accepted_by_training_arguments(tmp_path):
    from transformers import TrainingArguments

    made = Lab("05", PROFILES["mini"], "cpu", "bf16", "", "main", tmp_path, 0, Stopwatch())
    arguments = TrainingArguments(output_dir=str(tmp_path), **made.precision_arguments)
    assert arguments.device.type == "cpu" and arguments.bf16


def model_folder(folder):
    """A mirror's folder that looks like a model's."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "distilbert"}), encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0"}), encoding="utf-8")
    save_file({"weight": torch.zeros(100, 10)}, folder / "model.safetensors")
    return folder


@pytest.fixture
def mirrored(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path / "mirror"))
    return model_folder(tmp_path / "mirror/models/distilbert/distilbert-base-uncased")


def test_start_lab_says_everything_in_one_line(mirrored, monkeypatch, tmp_path, capsys):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/measured.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    start_lab("05", profile="cpu")
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert re.fullmatch(
        r"Lesson 05 · profile cpu \(the notebook asks for it\) · CPU with \d+ threads, fp32 · "
        r"time: not measured here yet\n",
        line,
    )


def test_start_lab_scales_the_measured_minutes_to_this_machine(
    mirrored, monkeypatch, tmp_path, capsys
):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/measured.json").write_text(
        json.dumps({"05": {"cpu": {"minutes": 6.0, "speed": 1000}}}), encoding="utf-8"
    )
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    start_lab("05", profile="cpu")  # a machine twice as fast as the one that was measured
    assert capsys.readouterr().out.endswith(" · time: about 3 min here\n")


def test_auto_names_the_way_to_the_published_model_and_its_minutes(
    mini_model, monkeypatch, tmp_path, capsys
):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/measured.json").write_text(
        json.dumps({"05": {"cpu": {"minutes": 30.0, "speed": 1000}}}), encoding="utf-8"
    )
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    start_lab("05")
    first, second = capsys.readouterr().out.splitlines()
    assert (
        first.startswith("Lesson 05 · profile mini (there is no CUDA device)")
        and 'profile = "cpu"' in second
    )
    assert second.endswith("about 15 min here")


def test_start_lab_seeds_everything_and_makes_its_folder(mirrored, tmp_path):
    made = start_lab("05", profile="cpu", seed=7)
    first = torch.rand(3), np.random.rand(3)
    again = start_lab("05", profile="cpu", seed=7)
    assert torch.equal(first[0], torch.rand(3)) and np.array_equal(first[1], np.random.rand(3))
    assert made.workdir == again.workdir == tmp_path / "work/lesson-05" and made.workdir.is_dir()


def test_finish_prints_the_three_lines_that_make_run_reads(tmp_path, capsys):
    watch = Stopwatch(started=0.0, stopped=90.0)
    made = Lab("05", PROFILES["mini"], "cpu", "fp32", "", "main", tmp_path, 0, watch)
    made.finish("accuracy 0.81")
    assert re.fullmatch(
        r"Headline: accuracy 0\.81\nMinutes: 1\.5\nPeak memory: \d+\.\d GiB\n",
        capsys.readouterr().out,
    )


def test_checkpoints_come_from_the_mirror_else_from_the_hub_at_the_pinned_revision(
    mirrored, monkeypatch
):
    assert lab.checkpoint_of("model", PROFILES["cpu"]) == (str(mirrored), "main")
    repo, revision = lab.checkpoint_of("teacher", PROFILES["cpu"])  # the mirror hasn't got it
    assert repo == "google-bert/bert-base-uncased" and revision == hub.MODELS["bert"].revision
    monkeypatch.delenv("COURSE_MIRROR")
    repo, revision = lab.checkpoint_of("student", PROFILES["gpu"])
    assert (
        repo == "distilbert/distilbert-base-uncased"
        and revision == hub.MODELS["distilbert"].revision
    )


def test_the_lab_says_who_plays_teacher_and_student(mirrored, tmp_path):
    def made(profile):
        return Lab("02", PROFILES[profile], "cpu", "fp32", "", "main", tmp_path, 0, Stopwatch())

    assert made("mini").teacher == (str(MINI), "main")
    assert made("mini").student == (str(MINI.parent / "mini-student"), "main")
    assert made("cpu").teacher == ("google-bert/bert-base-uncased", hub.MODELS["bert"].revision)
    assert made("cpu").student == (str(mirrored), "main")


def test_mini_takes_the_embedded_checkpoint_whatever_the_mirror_has(mini_model, mirrored):
    made = start_lab("05", profile="mini")
    assert (made.checkpoint, made.revision, made.profile.name) == (str(MINI), "main", "mini")


@pytest.mark.parametrize(("name", "form"), list(hub.CHECKPOINT_FILES.items()))
def test_a_checkpoint_cut_off_in_the_middle_is_one_clear_error(mirrored, name, form):
    whole = (mirrored / name).read_bytes()
    for part in (
        whole[: len(whole) // 2],
        whole[:-1],
        b"",
        b"version https://git-lfs.github.com/spec/v1\n",
    ):
        (mirrored / name).write_bytes(part)
        with pytest.raises(CheckpointError) as error:
            start_lab("05", profile="cpu")
        message = str(error.value)
        assert message.startswith(f"{mirrored / name}: not readable as {form} (")
        assert "git without LFS" in message
        assert (
            f"Expected a whole {form} file" in message
            and "Fetch the repository again, or copy the" in message
        )
    (mirrored / name).write_bytes(whole)
    assert start_lab("05", profile="cpu").checkpoint == str(mirrored)


@pytest.mark.parametrize("name", list(hub.CHECKPOINT_FILES))
def test_a_checkpoint_that_lacks_a_file_names_it(mirrored, name):
    (mirrored / name).unlink()
    with pytest.raises(CheckpointError) as error:
        start_lab("05", profile="cpu")
    assert (
        f"{mirrored / name}: this file is missing. Expected config.json, model.safetensors, tokenizer.json"
        in str(error.value)
    )


def test_an_embedded_model_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(lab.EMBEDDED_MODELS, "mini-distilbert", tmp_path / "mini-distilbert")
    with pytest.raises(
        CheckpointError, match=r"mini-distilbert[/\\]config\.json: this file is missing"
    ):
        start_lab("05", profile="mini")


def test_the_embedded_model_loads_in_float32_with_its_tokenizer(mini_model):
    from transformers import AutoModel, AutoTokenizer

    hub.check_checkpoint(mini_model)
    model = AutoModel.from_pretrained(mini_model, use_safetensors=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(mini_model)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert (model.config.n_layers, model.config.dim, model.config.vocab_size, len(tokenizer)) == (
        6,
        384,
        30522,
        30522,
    )
    assert tokenizer.model_max_length == 512 and tokenizer.tokenize("Films") == tokenizer.tokenize(
        "films"
    )
    with torch.no_grad():
        hidden = model(
            **tokenizer(
                ["A fine film.", "A fine film, all in all."], padding=True, return_tensors="pt"
            )
        )[0]
    assert hidden.shape[0] == 2 and torch.isfinite(hidden).all() and hidden.std() > 0.1
