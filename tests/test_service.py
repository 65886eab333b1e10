"""The service, started on a free port of loopback with a tiny untrained model: limits, hostile input, overload, stop.

Every test counts: what the callers got must be what the service says that it answered.
"""

from __future__ import annotations

import json
import logging
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
import torch
import uvicorn
from datasets import Dataset
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from tokenizers import Tokenizer

import service.export as exporting
from service.app import FILES, Classifier, Server, Settings, create_app, refusal, serve
from service.export import export
from tests.tiny_model import LABELS, tiny_model
from tools.lessons import ROOT

pytestmark = pytest.mark.slow
GONE = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The untrained model, its tokenizer, and the folder that was exported from them."""
    model, tokenizer = tiny_model()
    folder = tmp_path_factory.mktemp("service") / "model"
    return model, tokenizer, export(model, tokenizer, LABELS, folder)


@contextmanager
def running(folder: Path, **settings):
    """The service in a process of its own, as (process, client); killed at the end whatever happens."""
    environment = os.environ | {f"SERVICE_{k.upper()}": str(v) for k, v in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "--model", str(folder), "--port", "0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("ready at http://127.0.0.1:"), process.stderr.read()
        limits = httpx.Limits(max_connections=200)
        with httpx.Client(base_url=line.split()[-1], timeout=30, limits=limits) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def client(pair):
    with running(pair[2], timeout=2) as (_, client):
        yield client


def books(client) -> dict[str, float]:
    """Name or ``name:label`` -> value of what /metrics says."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {":".join([s.name, *s.labels.values()]): s.value for f in families for s in f.samples}


def answered(count: dict[str, float]) -> dict[int, float]:
    """Status -> how many answers the service counted with it."""
    name = "service_answered_total:"
    return {int(k.removeprefix(name)): v for k, v in count.items() if k.startswith(name)}


def ask(client, text: str = "where is my parcel?") -> httpx.Response:
    return client.post("/predict", json={"text": text})


# --- the model and the settings ---


def test_the_exported_model_gives_the_answers_of_the_original(pair):
    model, tokenizer, folder = pair
    texts = ["where is it", "send me a new lamp, the old one is broken", "hi"]
    with torch.no_grad():
        wanted = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1)
    got, cut = Classifier(folder).probabilities(texts)
    assert np.abs(got - wanted.numpy()).max() < 0.02 and cut == [False] * 3
    assert sorted(f.name for f in folder.iterdir()) == [
        "labels.json",
        "model.onnx",
        "tokenizer.json",
    ]


def test_a_model_trained_in_16_bits_answers_and_is_exported_in_32(pair, tmp_path):
    model, tokenizer, _ = pair
    model.save_pretrained(tmp_path / "tiny"), tokenizer.save_pretrained(tmp_path / "tiny")
    lab = types.SimpleNamespace(
        checkpoint=str(tmp_path / "tiny"),
        revision="main",
        profile=types.SimpleNamespace(learning_rate=1e-4),
        workdir=tmp_path,
        seed=0,
        precision_arguments={"use_cpu": True, "bf16": True},
    )
    rows = Dataset.from_dict({"text": ["where is it", "stop it"] * 8, "label": [2, 0] * 8})
    trained, tokenizer = exporting.fine_tune(lab, rows, LABELS, epochs=1)
    inputs = tokenizer(["where is it"], return_tensors="pt")
    assert trained(**inputs).logits.dtype == torch.float32
    graph = exporting.network(trained, tokenizer).graph
    casts = {a.i for node in graph.node if node.op_type == "Cast" for a in node.attribute}
    kinds = {weights.data_type for weights in graph.initializer} | casts
    assert onnx.TensorProto.FLOAT in kinds and onnx.TensorProto.BFLOAT16 not in kinds


@pytest.mark.parametrize(("rows", "classes", "epochs"), [(1050, 30, 3), (2000, 150, 5), (2, 2, 31)])
def test_a_class_with_few_rows_is_seen_more_often(rows, classes, epochs):
    assert exporting.epochs_for(rows, classes) == epochs


def refused_export(folder, monkeypatch) -> str:
    """What ``python -m service.export FOLDER`` says where it refuses; it must do so before it trains."""
    monkeypatch.setattr(sys, "argv", ["service.export", str(folder)])
    monkeypatch.setattr("course_utils.lab.start_lab", lambda *_: pytest.fail("it began to train"))
    with pytest.raises(SystemExit) as stopped:
        exporting.main()
    return str(stopped.value)


def contents(folder) -> dict[str, bytes | None]:
    return {str(f): f.read_bytes() if f.is_file() else None for f in sorted(folder.rglob("*"))}


def test_a_folder_that_is_no_export_is_refused_before_the_training_and_stays(
    pair, tmp_path, monkeypatch
):
    model, tokenizer, exported = pair
    for name, files in {
        "models": ["mine.txt"],
        "mixed": [*(f.name for f in exported.iterdir()), "notes.md"],
        "tokenizer": ["tokenizer.json"],
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "models", target_is_directory=True)
    monkeypatch.chdir(tmp_path / "models")
    before = contents(tmp_path)
    for name in ("models", "mixed", "tokenizer", "file", "link", "models/../models", "file/below"):
        said = refused_export(tmp_path / name, monkeypatch)
        assert said.startswith("service.export: ")
        assert name == "file/below" or "Name a folder that isn't there yet" in said
        with pytest.raises(OSError):
            export(model, tokenizer, LABELS, tmp_path / name)
    assert "no earlier export (mine.txt)" in refused_export(Path(), monkeypatch)
    assert contents(tmp_path) == before
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert "the folder that you are in" in refused_export(Path(), monkeypatch)


def test_an_earlier_export_and_an_empty_folder_are_replaced(pair, tmp_path):
    model, tokenizer, _ = pair
    (tmp_path / "new").mkdir()
    for labels in (LABELS, LABELS[::-1]):
        export(model, tokenizer, labels, tmp_path / "new")
        assert Classifier(tmp_path / "new").labels == labels
    assert [f.name for f in tmp_path.iterdir()] == ["new"]


def test_an_export_that_fails_leaves_the_earlier_one_and_the_logging_as_they_were(
    pair, tmp_path, monkeypatch
):
    model, tokenizer, _ = pair
    folder = export(model, tokenizer, LABELS, tmp_path / "new")
    before = contents(tmp_path)

    def fails(*_):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(exporting, "network", fails)
    with pytest.raises(RuntimeError):
        export(model, tokenizer, LABELS, folder)
    assert contents(tmp_path) == before and logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize("there", ["old", "none"])
def test_an_export_that_cannot_take_its_place_leaves_the_earlier_one(
    pair, tmp_path, monkeypatch, there
):
    """As on Windows, where a folder that is in use can't be renamed, or on a disk that goes away."""
    model, tokenizer, _ = pair
    folder = tmp_path / "new"
    if there == "old":
        export(model, tokenizer, LABELS, folder)
    before, rename = contents(tmp_path), Path.rename

    def fails(self, target):
        if self.suffix == ".part":
            raise PermissionError("in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(PermissionError):
        export(model, tokenizer, LABELS[::-1], folder)
    assert contents(tmp_path) == before


def test_an_earlier_export_is_whole_until_the_new_one_is(pair, tmp_path, monkeypatch):
    model, tokenizer, _ = pair
    folder = export(model, tokenizer, LABELS, tmp_path / "new")
    before, rename, seen = contents(folder), Path.rename, []

    def watched(self, target):
        seen.append([{n.rpartition("/")[2] for n in contents(f)} for f in tmp_path.iterdir()])
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    export(model, tokenizer, LABELS[::-1], folder)
    names = {n.rpartition("/")[2] for n in before}
    assert seen == [[names, names]] * 2, "before each rename both exports are complete"
    assert contents(folder) != before and [f.name for f in tmp_path.iterdir()] == ["new"]


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def test_the_version_changes_with_each_of_the_three_files(pair, tmp_path):
    versions = {Classifier(pair[2]).version}
    for name in FILES:
        other = copied(pair[2], tmp_path / name)
        content = (other / name).read_bytes()
        if name == "labels.json":
            content = json.dumps(LABELS[::-1]).encode()
        elif name == "tokenizer.json":
            content += b"\n"
        else:
            graph = onnx.load_from_string(content)
            graph.doc_string = "another"
            content = graph.SerializeToString()
        (other / name).write_bytes(content)
        versions.add(Classifier(other).version)
    assert len(versions) == 4


@pytest.mark.parametrize("labels", [LABELS[:-1], [*LABELS, "one more"]])
def test_labels_that_are_not_the_model_s_are_refused_at_the_start(pair, tmp_path, labels):
    other = copied(pair[2], tmp_path / "other")
    (other / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    words = f"has {len(labels)} labels, model.onnx answers with {len(LABELS)}"
    with pytest.raises(ValueError, match=words):
        Classifier(other)


def test_a_folder_that_is_replaced_while_it_is_read_is_refused(pair, tmp_path, monkeypatch):
    other, load = copied(pair[2], tmp_path / "other"), Tokenizer.from_file

    def slow(path):
        (other / "labels.json").write_text(json.dumps(LABELS[::-1]), encoding="utf-8")
        return load(path)

    monkeypatch.setattr("service.app.Tokenizer", types.SimpleNamespace(from_file=slow))
    with pytest.raises(ValueError, match="was replaced while it was read"):
        Classifier(other)


def test_a_text_alone_and_in_a_batch_gets_nearly_the_same(pair):
    """Nearly: int8 scales the activations by the largest of the whole batch."""
    classify, texts = Classifier(pair[2]), ["track it", "I want my money back " * 5, "cancel"]
    together = classify.probabilities(texts)[0]
    alone = np.concatenate([classify.probabilities([text])[0] for text in texts])
    assert np.abs(together - alone).max() < 0.02


def test_settings_come_from_the_environment_and_wrong_ones_are_named():
    settings = Settings.from_environment({"SERVICE_PORT": "0", "SERVICE_TIMEOUT": "0.5"}, batch=8)
    assert (settings.port, settings.timeout, settings.batch) == (0, 0.5, 8)
    assert settings.host == "127.0.0.1", "nobody else may call unless somebody says so"
    for name, value in [("QUEUE", "many"), ("QUEUE", "0"), ("TIMEOUT", "nan"), ("GRACE", "-1")]:
        with pytest.raises(ValueError, match=name.lower() + "|" + name):
            Settings.from_environment({f"SERVICE_{name}": value})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("QUEUE", "0", "SERVICE_QUEUE=0: the least value is 1"),
        ("PORT", "-1", "SERVICE_PORT=-1: the least value is 0"),
        ("PORT", "65536", "SERVICE_PORT=65536: the largest value is 65535"),
        ("MAX_PIECES", "2", "SERVICE_MAX_PIECES=2: the least value is 3"),
        ("TIMEOUT", "0", "SERVICE_TIMEOUT=0.0: it must be a number of seconds, more than 0"),
        ("TIMEOUT", "inf", "SERVICE_TIMEOUT=inf: it must be a number of seconds, more than 0"),
        ("GRACE", "nan", "SERVICE_GRACE=nan: it must be a number of seconds, 0 or more"),
    ],
)
def test_a_value_out_of_range_is_told_by_the_variable_and_the_range(name, value, words):
    with pytest.raises(ValueError) as error:
        Settings.from_environment({f"SERVICE_{name}": value})
    assert words in str(error.value)


def test_a_variable_that_is_no_setting_is_named(caplog):
    assert Settings.from_environment({"SERVICE_QUEU": "3", "HOME": "/"}).queue == 64
    (record,) = caplog.records
    assert "SERVICE_QUEU is no setting" in (said := record.getMessage())
    assert "Did you mean SERVICE_QUEUE?" in said


@pytest.mark.parametrize(("pieces", "says"), [(1, "the least value is 3"), (513, "at most 512")])
def test_pieces_that_the_model_cannot_read_are_refused_at_the_start(pair, pieces, says):
    with pytest.raises(ValueError, match=f"SERVICE_MAX_PIECES={pieces}: .*{says}"):
        Classifier(pair[2], max_pieces=pieces)
    run = subprocess.run(
        [sys.executable, "-m", "service", "--model", str(pair[2]), "--port", "0"],
        cwd=ROOT,
        env=os.environ | {"SERVICE_MAX_PIECES": str(pieces)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 1 and not run.stdout and "Traceback" not in run.stderr
    assert f"service: SERVICE_MAX_PIECES={pieces}: " in run.stderr


@pytest.mark.parametrize("pieces", [3, 512])
def test_the_least_and_the_most_pieces_cut_a_longer_text(pair, pieces):
    (answer,) = Classifier(pair[2], max_pieces=pieces)(["word " * 600])
    assert answer.truncated


def test_ray_serve_listens_where_the_settings_say(monkeypatch):
    """With a stand-in for Ray, which the course doesn't install."""
    started = {}
    ray = types.ModuleType("ray")
    ray.serve = types.SimpleNamespace(
        deployment=lambda **_: lambda made: made,
        ingress=lambda _: lambda made: type("Made", (made,), {"bind": lambda: None}),
        start=lambda http_options: started.update(http_options),
        run=lambda *_, **__: None,
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("SERVICE_PORT", "9001")
    monkeypatch.setenv("SERVICE_HOST", "127.0.0.2")
    runpy.run_module("service.ray_app", run_name="__main__")
    assert started == {"host": "127.0.0.2", "port": 9001}
    monkeypatch.setenv("SERVICE_PORT", "0")
    with pytest.raises(SystemExit, match="SERVICE_PORT=0"):
        runpy.run_module("service.ray_app", run_name="__main__")


def test_the_container_s_health_check_asks_the_port_of_the_service(client, monkeypatch):
    page = (ROOT / "service/Containerfile").read_text(encoding="utf-8")
    (line,) = [row for row in page.splitlines() if row.startswith("HEALTHCHECK CMD ")]
    _, *arguments = json.loads(line.removeprefix("HEALTHCHECK CMD "))
    for port, status in ((client.base_url.port, 0), (1, 1)):
        monkeypatch.setenv("SERVICE_PORT", str(port))
        check = subprocess.run([sys.executable, *arguments], capture_output=True, timeout=60)
        assert check.returncode == status


def test_every_setting_stands_in_the_readme():
    page = (ROOT / "service/README.md").read_text(encoding="utf-8")
    assert not [f.name for f in fields(Settings) if f"SERVICE_{f.name.upper()}" not in page]


def test_a_folder_without_a_model_is_named_before_anything_listens(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no model.onnx, .*python -m service.export"):
        serve(Settings(model=tmp_path, port=0))


# --- one request ---


def test_it_answers_and_says_which_model_did(client, pair):
    answer = ask(client).json()
    assert answer["label"] in LABELS and 0.25 <= answer["confidence"] <= 1
    assert answer["model"] == Classifier(pair[2]).version and not answer["truncated"]
    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True, "model": answer["model"]}
    assert ask(client, "word " * 300).json()["truncated"]


BODIES = {
    "10 MB of text": (b'{"text": "' + b"x" * 10_000_000 + b'"}', 413, "larger than 16,384 bytes"),
    "too many characters": (json.dumps({"text": "x" * 3000}), 413, "3,000 characters"),
    "no JSON": ('{"text": ', 400, "no JSON"),
    "no body": ("", 422, "Send"),
    "a list": ('["text"]', 422, "Send"),
    "no text": ("{}", 422, '"text" is missing'),
    "a number": ('{"text": 7}', 422, "must be a text"),
    "null": ('{"text": null}', 422, "must be a text"),
    "another field": ('{"text": "a", "model": "mine"}', 422, 'no field "model"'),
    "empty": ('{"text": ""}', 422, "empty"),
    "white space": ('{"text": " \\n\\t "}', 422, "empty"),
    "invisible characters": ('{"text": "\\u200b\\u2060"}', 422, "empty"),
    "a null character": ('{"text": "a\\u0000b"}', 422, "U+0000"),
    "nothing but page breaks": ('{"text": "\\u000c \\u000c"}', 422, "empty"),
    "half a surrogate pair": ('{"text": "a\\ud800"}', 422, "U+D800"),
    "bytes that are no UTF-8": (b'{"text": "\xff\xfe"}', 400, "no JSON"),
    "5,000 open brackets": ("[" * 5000, 400, "no JSON"),
    "a number of 9,000 digits": ('{"text": ' + "9" * 9000 + "}", 400, "no JSON"),
}


@pytest.mark.parametrize("name", BODIES)
def test_hostile_input_is_answered_in_words(client, name):
    body, status, words = BODIES[name]
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"] and len(answer.content) < 300
    assert ask(client).status_code == 200, "the next caller gets an answer"


def test_a_form_of_a_web_page_is_refused(client):
    answer = client.post(
        "/predict", content='{"text": "a"}', headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 422 and "Content-Type" in answer.json()["error"]


def test_unknown_paths_and_methods_are_answered_in_words(client):
    assert client.get("/admin").json() == {"error": "Not Found"}
    assert client.get("/predict").status_code == 405


def test_languages_and_signs_of_the_world_are_welcome():
    for text in (
        "¿Dónde está mi pedido?",
        "注文はどこですか",
        "طلبي متأخر",
        "🙂👩‍👩‍👧",
        "a\tb\r\nc",
        "a page break\fof a PDF, a soft break\vof a mail",
        "I\x92m waiting\x85",  # Windows-1252, wrongly decoded
    ):
        assert refusal(text, 2000) is None
    assert refusal("x" * 2000, 2000) is None and refusal("x" * 2001, 2000)[0] == 413


def test_a_control_character_parts_two_words_and_changes_nothing_else(pair):
    classify = Classifier(pair[2])
    with_space, *others = (
        classify.probabilities([f"where is{sign}my order"])[0] for sign in (" ", "\f", "\v", "\x92")
    )
    assert all((other == with_space).all() for other in others)
    assert (classify.probabilities(["where ismy order"])[0] != with_space).any()


def test_a_body_that_does_not_arrive_is_not_waited_for(client):
    """Bytes that trickle in, one at a time, would hold a connection for ever."""
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port), timeout=10) as line:
        head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        line.sendall(head.encode())
        assert b" 408 " in line.recv(1000)


def test_a_caller_who_leaves_is_booked(client):
    before = books(client)["service_left_total"]
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port)) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{")
        time.sleep(0.2)
    deadline = time.monotonic() + 5
    while books(client)["service_left_total"] == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert books(client)["service_left_total"] == before + 1


def posted(port: int, text: str) -> socket.socket:
    """A connection on which a whole request was sent, and nothing read."""
    line = socket.create_connection(("127.0.0.1", port))
    body = json.dumps({"text": text}).encode()
    head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return line


def until(true) -> None:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert true()


def test_a_caller_who_leaves_after_the_request_is_booked_and_costs_no_pass(pair):
    """One text is in the model, two wait, and one of their callers goes."""
    app = create_app(Settings(model=pair[2], timeout=30))
    server = Server(uvicorn.Config(app, port=0, log_level="warning"), app.state, 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    asked, goes_on, metrics = [], threading.Event(), app.state.metrics
    try:
        until(lambda: server.started)
        port, classify = server.servers[0].sockets[0].getsockname()[1], app.state.worker.classify

        def slow(texts):
            asked.extend(texts)
            assert goes_on.wait(20)
            return classify(texts)

        app.state.worker.classify = slow
        first = posted(port, "first")
        until(lambda: asked == ["first"])
        leaver, last = posted(port, "leaver"), posted(port, "last")
        until(lambda: app.state.worker.queue.qsize() == 2)
        leaver.close()
        until(lambda: metrics.left._value.get() == 1)
        goes_on.set()
        for line in (first, last):
            with line:
                assert b" 200 " in line.recv(1000)
    finally:
        goes_on.set()
        server.should_exit = True
        thread.join(30)
    assert asked == ["first", "last"]
    assert metrics.totals() == {"received": 3, "answered": 2}
    assert metrics.progress._value.get() == 0


# --- the books ---


def test_the_metrics_add_up(pair):
    app = create_app(Settings(model=pair[2], batch=8))
    with TestClient(app) as client, ThreadPoolExecutor(16) as pool:
        texts = ["where is my order"] * 90 + [""] * 7 + ["x" * 2500] * 3
        got = Counter(pool.map(lambda text: ask(client, text).status_code, texts))
        count = books(client)
    assert got == {200: 90, 422: 7, 413: 3} == answered(count)
    assert count["service_received_total"] == 100
    times = {s: count[f"service_seconds_count:{s}"] for s in (200, 413, 422)}
    assert times == got, "a refusal's time isn't counted among those of answers"
    assert count["service_in_progress"] == count["service_waiting"] == 0
    assert count["service_confidence_count"] == 90 == count["service_batch_texts_sum"]
    assert sum(v for k, v in count.items() if k.startswith("service_labels_total")) == 90
    assert count["service_batch_texts_count"] <= 90, "texts that waited together share a pass"


# --- overload and stop ---


def test_a_failure_is_answered_and_the_worker_lives_on(pair):
    app = create_app(Settings(model=pair[2]))
    with TestClient(app, raise_server_exceptions=False) as client:
        classify = app.state.worker.classify

        def fails(texts):
            raise RuntimeError("out of memory")

        app.state.worker.classify = fails
        assert ask(client).status_code == 500 and "not yours" in ask(client).json()["error"]
        app.state.worker.classify = classify
        assert ask(client).status_code == 200
        count = books(client)
        assert answered(count) == {500: 2, 200: 1} and count["service_received_total"] == 3
        assert count["service_seconds_count:500"] == 2 and count["service_in_progress"] == 0
        app.state.task.cancel()
        time.sleep(0.1)
        assert (
            client.get("/healthz").status_code == 500 and client.get("/readyz").status_code == 503
        )


def test_a_pass_that_hangs_is_told_to_the_supervisor_and_the_balancer(pair):
    app, goes_on = create_app(Settings(model=pair[2], timeout=0.5)), threading.Event()
    with TestClient(app) as client:
        worker = app.state.worker
        classify = worker.classify
        assert worker.patience == 30, "a slow pass isn't one that hangs"

        def hangs(texts):
            assert goes_on.wait(20)
            return classify(texts)

        hangs.version, worker.classify, worker.patience = classify.version, hangs, 2
        try:
            assert ask(client).status_code == 503 and client.get("/healthz").status_code == 200
            until(worker.stuck)
            assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [500, 503]
        finally:
            goes_on.set()
        until(lambda: not worker.stuck())
        worker.classify = classify
        assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        assert ask(client).status_code == 200


def test_overload_refuses_at_once_and_loses_nobody(pair):
    """A model as slow as a large one: 20 callers, 3 places, each waits at most 0.3 s."""
    app = create_app(Settings(model=pair[2], queue=3, timeout=0.3))
    with TestClient(app) as client, ThreadPoolExecutor(20) as pool:
        classify = app.state.worker.classify
        app.state.worker.classify = lambda texts: time.sleep(0.12) or classify(texts)
        answers = list(pool.map(lambda _: ask(client), range(60)))
        app.state.worker.classify = classify
        assert ask(client).status_code == 200, "it has recovered"
        count = books(client)
    got = Counter(a.status_code for a in answers)
    assert got.keys() == {200, 429, 503} and sum(got.values()) == 60
    assert all(
        a.headers["Retry-After"] and a.json()["error"] for a in answers if a.status_code > 200
    )
    assert answered(count) == got + Counter({200: 1})


def test_overload_over_the_network(pair):
    with running(pair[2], queue=2) as (_, client), ThreadPoolExecutor(48) as pool:
        got = Counter(pool.map(lambda _: ask(client).status_code, range(400)))
        assert sum(got.values()) == 400 and got.keys() <= {200, 429, 503} and got[200] and got[429]
        assert answered(books(client)) == got


def stopped_under_load(folder: Path, **settings):
    """SIGTERM while 12 callers ask without a pause: what they got, the last line, the exit status, what /readyz said."""
    got, ready, over = Counter(), set(), threading.Event()

    def caller(client):
        while not over.is_set():
            try:
                got[ask(client).status_code] += 1
            except GONE:
                return  # the door is closed: this request was never accepted

    with running(folder, **settings) as (process, client), ThreadPoolExecutor(12) as pool:
        callers = [pool.submit(caller, client) for _ in range(12)]
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        try:
            for _ in range(4):
                time.sleep(0.1)
                ready.add(client.get("/readyz").status_code)
        except GONE:
            pass
        said = process.communicate(timeout=30)[0]
        over.set()
        for done in callers:
            done.result()
    return got, said.strip(), process.returncode, ready


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer"
)
@pytest.mark.parametrize("batch", [1, 8])
def test_a_stop_under_load_answers_every_request_that_was_accepted(pair, batch):
    got, said, status, _ = stopped_under_load(pair[2], batch=batch)
    number = sum(got.values())
    assert got.keys() == {200} and number > 20
    assert said == f"stopped: {number} requests received, {number} answered" and status == 0


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer"
)
def test_with_grace_it_is_first_not_ready_and_answers_meanwhile(pair):
    got, said, status, ready = stopped_under_load(pair[2], grace=0.6)
    number = sum(got.values())
    assert ready == {503} and got.keys() == {200} and status == 0
    assert said == f"stopped: {number} requests received, {number} answered"
