"""Each fault of the Hub ends in a retry that works or in one clear message, and never in a damaged cache.

A learner's process asks a Hub on this machine (``hub_server``) that a test breaks. It starts once, because importing
transformers takes seconds, and its waits are fifty times shorter than those it asks for.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
from conftest import ROOT, write_parquet
from hub_server import HubServer

from course_utils import hub as course_hub

LEARNER = """
import contextlib, io, json, sys, time
sleep, waits = time.sleep, []
time.sleep = lambda seconds: (waits.append(seconds), sleep(seconds / 50))
import datasets, huggingface_hub
from transformers import AutoModel, AutoTokenizer, DistilBertConfig, DistilBertModel, DistilBertTokenizerFast
from course_utils import hub, lab
from course_utils.data import load_task
from course_utils.lab import PROFILES, checkpoint_of, start_lab
lab.choose_precision, lab.training_speed = lambda device: "fp32", lambda *_: 1000.0
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 10_000  # the least that is kept of a download that breaks off
huggingface_hub.file_download._ETAG_RETRY_TIMEOUT = 1  # a minute, for each of six further questions to a Hub that is silent
names = dict(globals())
for line in sys.stdin:
    waits.clear()
    printed, error = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        try:
            huggingface_hub.HfFileSystem.clear_instance_cache()
            exec(json.loads(line), names)
        except Exception as caught:
            error = caught
    kinds = [kind.__name__ for kind in type(error).__mro__]
    print(json.dumps({"printed": printed.getvalue(), "kinds": kinds, "message": str(error or ""), "waits": waits}), flush=True)
"""

MAKE_MODEL = """
folder = {folder!r}
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "film"]
with open(folder + "/vocab.txt", "w") as file:
    file.write("\\n".join(vocabulary) + "\\n")
DistilBertTokenizerFast(vocab=folder + "/vocab.txt").save_pretrained(folder)
config = DistilBertConfig(vocab_size=len(vocabulary), dim=32, hidden_dim=64, n_heads=2, n_layers=1)
DistilBertModel(config).save_pretrained(folder)
"""

README = """---
dataset_info:
  config_name: plain_text
  features:
  - {name: text, dtype: string}
  - {name: label, dtype: {class_label: {names: {'0': neg, '1': pos}}}}
  splits:
  - {name: train, num_bytes: 33432823, num_examples: 25000}
  - {name: test, num_bytes: 32650685, num_examples: 25000}
  - {name: unsupervised, num_bytes: 67106794, num_examples: 50000}
configs:
- config_name: plain_text
  default: true
  data_files:
  - {split: train, path: plain_text/train-*}
  - {split: test, path: plain_text/test-*}
  - {split: unsupervised, path: plain_text/unsupervised-*}
---
"""


@dataclass(frozen=True)
class Source:
    """What a learner loads from the Hub: how, what is printed then, and the file that the faults are about."""

    code: str
    printed: str
    error: str
    file: str
    pin: course_hub.HubModel | course_hub.HubDataset


SOURCES = {
    "model": Source(
        'checkpoint, revision = checkpoint_of("model", PROFILES["cpu"])\n'
        "model = AutoModel.from_pretrained(checkpoint, revision=revision, use_safetensors=True)\n"
        "tokenizer = AutoTokenizer.from_pretrained(checkpoint, revision=revision)\n"
        'print(model.config.dim, tokenizer.tokenize("Film"))',
        "32 ['film']\n",
        "CheckpointError",
        "model.safetensors",
        course_hub.MODELS["distilbert"],
    ),
    "data": Source(
        'load_task("reviews", PROFILES["cpu"])',
        "reviews: train 36, validation 4, test 16 (Hub, stanfordnlp/imdb at e628166)\n",
        "DataError",
        "train-00000-of-00001.parquet",
        course_hub.DATASETS["reviews"],
    ),
}


@contextmanager
def learner(
    hub: HubServer, home: Path, timeout: int = 1
) -> Iterator[Callable[[str], SimpleNamespace]]:
    """A learner's process that asks ``hub``; ``run(code)`` gives what was printed, the error and the waits.

    ``timeout``: seconds after which it takes the Hub for silent; files of hundreds of megabytes on a busy machine need some.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "COURSE_"))
    }
    environment |= {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DOWNLOAD_TIMEOUT": str(timeout),
        "NO_PROXY": "*",
        "HF_HUB_ETAG_TIMEOUT": str(timeout),
        "COURSE_WORK": str(home / "work"),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    with open(home / "stderr.txt", "w") as noise:
        process = subprocess.Popen(
            [sys.executable, "-c", LEARNER],
            cwd=ROOT,
            env=environment,
            text=True,
            stderr=noise,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

        def run(code: str) -> SimpleNamespace:
            process.stdin.write(json.dumps(code) + "\n")
            process.stdin.flush()
            if not (line := process.stdout.readline()):
                pytest.fail(
                    f"the learner's process ended:\n{(home / 'stderr.txt').read_text()[-2000:]}"
                )
            return SimpleNamespace(**json.loads(line))

        yield run
        process.stdin.close()
        process.wait(10)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """The Hub and a learner's process."""
    folder, home = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("home")
    model = folder / "models/distilbert/distilbert-base-uncased"
    model.mkdir(parents=True)
    for split, rows in (("train", 40), ("test", 16)):
        write_parquet(
            folder / f"datasets/stanfordnlp/imdb/{split}.parquet",
            label=[i % 2 for i in range(rows)],
            text=[
                f"A {('poor', 'fine')[i % 2]} film, {split} {i}. {'More of it. ' * i}"
                for i in range(rows)
            ],
        )
    (folder / "datasets/stanfordnlp/imdb/README.md").write_text(README, encoding="utf-8")
    with HubServer(folder) as hub, learner(hub, home) as run:
        assert not run(MAKE_MODEL.format(folder=str(model))).message
        yield SimpleNamespace(hub=hub, run=run, home=home / "hf")


@pytest.fixture
def hub(machine):
    """The Hub in good health, and nothing in the learner's cache."""
    machine.hub.stop()
    machine.hub.start()
    shutil.rmtree(machine.home, ignore_errors=True)
    return machine.hub


@pytest.fixture
def run(machine) -> Callable[[str], SimpleNamespace]:
    return machine.run


@pytest.fixture(params=list(SOURCES))
def source(request) -> Source:
    return SOURCES[request.param]


@pytest.fixture
def cached(machine) -> Callable[[], set[str]]:
    """Names of the files that the cache shows, once each one's content was found to be what its name promises."""

    def look() -> set[str]:
        for blob in machine.home.glob("hub/*/blobs/*"):
            content = blob.read_bytes()
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            assert blob.name in {hashlib.sha256(content).hexdigest(), git}, (
                f"{blob} is damaged or half-written"
            )
        shown = [path for path in machine.home.glob("hub/*/snapshots/**/*") if not path.is_dir()]
        assert all(path.is_symlink() and path.exists() for path in shown)
        return {path.name for path in shown}

    return look


def assert_loads(run, source: Source) -> SimpleNamespace:
    answer = run(source.code)
    assert (answer.message, answer.printed) == ("", source.printed)
    return answer


def assert_clear(answer: SimpleNamespace, source: Source, reason: str) -> None:
    assert answer.kinds[0] == source.error and "ValueError" in answer.kinds
    start = f"{source.pin.repo} at revision {source.pin.revision}: could not be loaded ("
    assert answer.message.startswith(start) and reason in answer.message[len(start) :]
    assert "\n" not in answer.message
    assert (
        "set COURSE_MIRROR to a mirror" in answer.message
        and 'start_lab(..., profile="mini")' in answer.message
    )


def test_a_hub_in_good_health_is_asked_at_the_pinned_revision_and_only_once(
    hub, run, source, cached
):
    answer = assert_loads(run, source)
    asked = [request for request in hub.requests if "/resolve/" in request]
    assert asked and all(
        f"/{source.pin.repo}/resolve/{source.pin.revision}/" in request for request in asked
    )
    assert answer.waits == [] and source.file in cached()
    hub.requests.clear()
    assert_loads(run, source)
    assert not [request for request in hub.requests if "/cdn/" in request or "/cache/" in request]


@pytest.mark.parametrize(
    ("kind", "method", "times", "waits"),
    [
        (429, "GET", 2, [3, 3]),  # the two seconds that the Hub asks for and one more, each time
        (429, "HEAD", 2, [3]),  # the first of two is repeated at once
        (503, "HEAD", 2, [3]),
        ("stall", "HEAD", 1, []),
        ("stall", "GET", 1, [1]),
        ("pause", "GET", 1, [1]),
        ("drop", "GET", 1, [1]),
        ("cut", "GET", 1, [1]),
        ("wrong", "GET", 1, []),
    ],
)
def test_a_fault_that_passes_ends_in_a_retry_that_works(
    hub, run, source, cached, kind, method, times, waits
):
    hub.fail(kind, source.file, method, times, retry_after=2)
    answer = assert_loads(run, source)
    assert hub.faults[0].times == 0 and answer.waits == waits
    assert source.file in cached()


def test_a_download_that_breaks_off_goes_on_where_it_broke_off(hub, run, cached):
    hub.fail("cut", "model.safetensors")
    assert_loads(run, SOURCES["model"])
    size = (
        hub.locate("models/distilbert/distilbert-base-uncased", "model.safetensors").stat().st_size
    )
    ranges = [request.split()[2:] for request in hub.requests if request.startswith("GET /cdn/")]
    assert ranges == [[], [f"bytes={size // 2 // 10_000 * 10_000}-"]]  # half of it, in whole pieces
    assert "model.safetensors" in cached()


@pytest.mark.parametrize(
    ("kind", "method", "times", "reason"),
    [
        (503, "GET", 1, "503 Service Unavailable"),
        (503, "any", 99, "An error happened while trying to locate the file on the Hub"),
        (429, "any", 99, "An error happened while trying to locate the file on the Hub"),
        ("drop", "HEAD", 1, "Server disconnected without sending a response"),
        ("stall", "any", 99, "An error happened while trying to locate the file on the Hub"),
        ("pause", "GET", 99, "timed out"),
        ("cut", "GET", 99, "peer closed connection without sending complete message body"),
        ("short", "GET", 1, "Consistency check failed: file should be of size"),
        ("wrong", "GET", 99, "arrived damaged twice"),
        ("last", "HEAD", 1, "Connection re"),  # refused or reset
    ],
)
def test_a_fault_that_lasts_is_one_clear_error_and_leaves_no_part_of_a_file(
    hub, run, source, cached, kind, method, times, reason
):
    hub.fail(kind, source.file, method, times)
    answer = run(source.code)
    assert_clear(answer, source, reason)
    assert (
        "Check the network and run the cell again; what has arrived whole is kept."
        in answer.message
    )
    assert source.file not in cached()
    if kind == "last":
        hub.start()
    hub.faults.clear()
    assert_loads(run, source)
    assert source.file in cached()


def test_a_revision_that_has_vanished_is_said_to_be_gone_and_nobody_is_sent_to_look_at_the_network(
    hub, run, source, cached
):
    hub.fail("gone", source.pin.repo, "any", 99)
    answer = run(source.code)
    assert_clear(answer, source, "the Hub has it no longer). Tell the authors of the course.")
    assert "network" not in answer.message and cached() == set()
    hub.faults.clear()
    assert_loads(run, source)


def test_without_any_network_the_error_says_what_to_do(hub, run, source, cached):
    hub.stop()
    answer = run(source.code)
    assert_clear(answer, source, "cannot find the requested files in the local cache")
    assert answer.waits == [1, 2, 4, 8, 8] and cached() == set()
    hub.start()
    assert_loads(run, source)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("model", "config.json", "model.safetensors"),
        ("data", "train-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
    ],
)
def test_a_network_that_ends_between_two_files_keeps_the_first_and_fetches_the_second_later(
    hub, run, cached, name, first, second
):
    hub.fail("last", first)
    answer = run(SOURCES[name].code)
    assert_clear(answer, SOURCES[name], "")
    assert first in cached() and second not in cached()
    hub.start()
    assert_loads(run, SOURCES[name])
    assert second in cached() and not [
        r for r in hub.requests if f"/{first}" in r and r.startswith("GET /c")
    ]


def test_what_has_arrived_once_is_used_without_any_network(hub, run, source):
    assert_loads(run, source)
    hub.stop()
    assert_loads(run, source)


def test_a_model_whose_files_have_all_arrived_loads_though_the_network_ends_there(hub, run):
    hub.fail("last", "vocab.txt")
    assert_loads(run, SOURCES["model"])
    hub.start()  # that it can be stopped again


def test_a_damaged_file_that_another_program_left_in_the_cache_is_fetched_again(
    hub, run, source, cached
):
    hub.fail("wrong", source.file)
    name = next(
        (file for file in getattr(source.pin, "files", {}).values() if file.endswith(source.file)),
        source.file,
    )
    kind = "dataset" if "parquet" in name else "model"
    download = f"huggingface_hub.hf_hub_download({source.pin.repo!r}, {name!r}, revision={source.pin.revision!r}, "
    assert not run(download + f"repo_type={kind!r})").message
    with pytest.raises(AssertionError, match="damaged"):
        cached()
    assert_loads(run, source)
    assert source.file in cached()


ON_A_GPU = """
from unittest import mock
with mock.patch("torch.cuda.is_available", lambda: True), mock.patch("torch.cuda.get_device_name", lambda: "a GPU"):
    lab = start_lab("05")
print(lab.profile.name, lab.checkpoint)
"""


def test_requests_are_mapped_by_the_names_in_their_files_though_a_download_breaks_off(
    hub, run, cached
):
    names = ["weather", "alarm", "oos"]  # not in alphabetical order, as on the Hub
    features = datasets.Features(
        {"text": datasets.Value("string"), "intent": datasets.ClassLabel(names=names)}
    )
    source = course_hub.DATASETS["requests"]
    (hub.folder / source.folder).mkdir(parents=True)
    for split in source.files:
        rows = [{"text": f"{split} {n} {i}", "intent": n} for n in names for i in range(9)]
        split_rows = datasets.Dataset.from_list(rows, features=features)
        split_rows.to_parquet(hub.folder / source.folder / f"{split}.parquet")
    hub.fail("cut", "plus/validation-00000")
    answer = run(
        'test = load_task("requests", PROFILES["cpu"])["test"]\n'
        "numbers = {row['text'].split()[1]: row['label'] for row in test}\n"
        "print(test.features['label'].names, numbers)"
    )
    assert answer.message == "" and answer.printed == (
        "requests: train 27, validation 27, test 27 (Hub, clinc/clinc_oos at 155b9c7)\n"
        "['alarm', 'oos', 'weather'] {'weather': 2, 'alarm': 0, 'oos': 1}\n"
    )
    assert hub.faults[0].times == 0 and "validation-00000-of-00001.parquet" in cached()
    asked = [request for request in hub.requests if "/resolve/" in request]
    assert asked and all(f"/clinc_oos/resolve/{source.revision}/plus/" in r for r in asked)


@pytest.mark.usefixtures("mini_model")
@pytest.mark.parametrize("kind", [429, 503, "gone", "drop", "stall", "refused"])
def test_auto_takes_the_mini_profile_where_the_hub_does_not_give_the_model(hub, run, kind):
    if kind == "refused":
        hub.stop()
    else:
        hub.fail(kind, "/resolve/", "any", 99)
    answer = run(ON_A_GPU)
    assert not answer.message and answer.printed.startswith(
        "Lesson 05 · profile mini (the Hub does not answer)"
    )
    hub.stop()
    hub.start()
    assert run(ON_A_GPU).printed.startswith(
        "Lesson 05 · profile gpu (there is a CUDA device) · a GPU"
    )


@pytest.mark.parametrize(
    "name", ["an-etag-that-is-no-hash", None], ids=["a proxy's ETag", "no links"]
)
def test_a_file_whose_hash_is_not_known_is_taken_as_it_came(tmp_path, monkeypatch, name):
    (tmp_path / (name or "vocab.txt")).write_text("film")
    if name:
        (tmp_path / "vocab.txt").symlink_to(name)
    monkeypatch.setattr(course_hub, "hf_hub_download", lambda *_, **__: str(tmp_path / "vocab.txt"))
    assert course_hub.fetch("a/b", "0" * 40, ["vocab.txt"]) == [tmp_path / "vocab.txt"]


@pytest.mark.usefixtures("mini_model")
def test_a_download_that_fails_in_start_lab_ends_in_mini_where_start_lab_chose_and_in_an_error_where_the_learner_did(
    hub, run
):
    hub.fail("cut", "model.safetensors", times=99)
    answer = run(ON_A_GPU)
    error, line, published, chosen = answer.printed.splitlines()
    assert published.startswith("The published model instead")
    assert (
        error.startswith("distilbert/distilbert-base-uncased at revision")
        and "peer closed connection" in error
    )
    assert line.startswith("Lesson 05 · profile mini (the Hub does not give the model)")
    assert chosen.startswith("mini ") and chosen.endswith("data/models/mini-distilbert")
    assert_clear(run('start_lab("05", profile="cpu")'), SOURCES["model"], "peer closed connection")
