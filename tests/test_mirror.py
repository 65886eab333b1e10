"""``make mirror`` fills a folder for COURSE_MIRROR, says what is wrong, and leaves no half file."""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, write_parquet
from hub_server import HubServer

from course_utils import hub
from course_utils.data import TASKS, load_task
from course_utils.lab import PROFILES
from tools import mirror

Usage = namedtuple("Usage", "total used free")
PLACES = [item.place for item in mirror.wanted()]
WEIGHTS = "models/distilbert/distilbert-base-uncased/model.safetensors"
TRAIN, TEST = (f"datasets/stanfordnlp/imdb/{split}.parquet" for split in ("train", "test"))


@pytest.fixture
def other(tmp_path) -> Path:
    """Another mirror: every file of the course, small; those of the models aren't models."""
    folder = tmp_path / "other"
    for place in PLACES:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(f"{place}\n".encode() * 50)
    for task, source in hub.DATASETS.items():
        for split in source.files:
            write_parquet(
                folder / source.folder / f"{split}.parquet",
                **{
                    TASKS[task].text: [f"{split} number {i}" for i in range(60)],
                    TASKS[task].hub_label: [TASKS[task].labels[i % 2] for i in range(60)],
                },
            )
    return folder


@pytest.fixture
def stick(tmp_path) -> Path:
    return tmp_path / "stick"


def run(*arguments: object) -> SimpleNamespace:
    """``python -m tools.mirror`` in this process: exit status and the message on leaving."""
    argv, sys.argv = sys.argv, ["mirror", *map(str, arguments)]
    try:
        mirror.main()
    except SystemExit as stopped:
        assert isinstance(stopped.code, str)  # Python prints it and exits with 1
        return SimpleNamespace(status=1, message=stopped.code)
    finally:
        sys.argv = argv
    return SimpleNamespace(status=0, message="")


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_same(stick: Path, other: Path) -> None:
    assert content(stick).keys() - {"SHA256SUMS", "README.txt"} == set(PLACES)
    assert {place: (stick / place).read_bytes() for place in PLACES} == {
        p: (other / p).read_bytes() for p in PLACES
    }


def test_a_mirror_holds_every_file_of_the_course_in_its_layout():
    assert len(PLACES) == 21 and sorted(PLACES) == PLACES
    assert {
        TRAIN,
        TEST,
        WEIGHTS,
        "datasets/ucirvine/sms_spam/train.parquet",
        "models/google-bert/bert-base-uncased/vocab.txt",
    } <= set(PLACES)


def test_a_copy_of_another_mirror_is_complete_and_listed_as_sha256sum_lists(other, stick, capsys):
    assert run(stick, "--from", other).status == 0
    assert_same(stick, other)
    lines = (stick / "SHA256SUMS").read_text().splitlines()
    assert lines == [
        f"{hashlib.sha256((stick / place).read_bytes()).hexdigest()}  {place}" for place in PLACES
    ]
    if program := shutil.which("sha256sum"):
        assert (
            subprocess.run(
                [program, "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=stick
            ).returncode
            == 0
        )
    readme = (stick / "README.txt").read_text()
    assert all(
        f"{m.repo} at revision {m.revision}" in readme
        for m in (*hub.MODELS.values(), *mirror.SOURCES.values())
    )
    assert f"{stick} is complete. Use it with COURSE_MIRROR={stick}" in capsys.readouterr().out
    assert run(stick, "--verify").status == 0


def test_lessons_load_their_data_from_a_mirror_that_was_filled(other, stick, monkeypatch, capsys):
    run(stick, "--from", other)
    for path in (stick, *stick.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setenv("COURSE_MIRROR", str(stick))
    assert {s: len(split) for s, split in load_task("reviews", PROFILES["cpu"]).items()} == {
        "train": 54,
        "validation": 6,
        "test": 60,
    }
    assert {s: len(split) for s, split in load_task("messages", PROFILES["gpu"]).items()} == {
        "train": 45,
        "validation": 6,
        "test": 9,
    }
    assert {s: len(split) for s, split in load_task("requests", PROFILES["gpu"]).items()} == {
        "train": 60,
        "validation": 60,
        "test": 60,
    }
    assert "(mirror, stanfordnlp/imdb)" in capsys.readouterr().out
    assert hub.mirrored_model("distilbert") == stick / "models/distilbert/distilbert-base-uncased"
    for path in (stick, *stick.rglob("*")):
        path.chmod(0o755)


def test_a_mirror_of_the_data_alone_is_complete_without_the_models(other, stick, capsys):
    shutil.rmtree(other / "models")
    data = {place for place in PLACES if place.startswith("datasets/")}
    assert run(stick, "--from", other, "--data").status == 0
    assert content(stick).keys() - {"SHA256SUMS", "README.txt"} == data
    assert "distilbert-base" not in (stick / "README.txt").read_text()
    assert run(stick, "--verify", "--data").status == 0
    assert f"{stick} is complete" in capsys.readouterr().out
    assert (
        f"make mirror TO={stick} fetches" in run(stick, "--verify").message
    )  # all: some is missing
    (stick / TRAIN).write_bytes(b"cut")
    assert f"make mirror TO={stick} DATA=1 fetches" in run(stick, "--verify", "--data").message


def test_data_fetched_anew_leaves_a_mirrors_models_on_its_list(other, stick):
    run(stick, "--from", other)
    assert run(stick, "--from", other, "--data").status == 0
    assert run(stick, "--verify").status == 0


def test_a_second_run_leaves_right_files_alone(other, stick, capsys):
    run(stick, "--from", other)
    before = {place: (stick / place).stat().st_ino for place in PLACES}
    capsys.readouterr()
    assert run(stick, "--from", other).status == 0
    assert {place: (stick / place).stat().st_ino for place in PLACES} == before
    assert "MiB" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-5]), "changed or cut off"),
        (lambda file: file.write_bytes(b"X" + file.read_bytes()[1:]), "changed or cut off"),
        (lambda file: file.write_bytes(b""), "changed or cut off"),
        (lambda file: file.unlink(), "missing"),
        (lambda file: (file.unlink(), file.symlink_to("nowhere")), "missing"),
    ],
    ids=["cut off", "changed", "empty", "deleted", "link to nowhere"],
)
def test_verify_names_a_damaged_file_and_the_next_run_mends_it(
    other, stick, capsys, spoil, finding
):
    run(stick, "--from", other)
    spoil(stick / WEIGHTS)
    before = content(stick)
    capsys.readouterr()
    verified = run(stick, "--verify")
    assert verified.status == 1 and verified.message.startswith(
        f"{stick} is not complete. make mirror TO={stick} fetches"
    )
    assert capsys.readouterr().err == f"{WEIGHTS}: {finding}\n" and content(stick) == before
    assert run(stick, "--from", other).status == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if "MiB" in line]
    assert len(printed) == 1 and printed[0].startswith(WEIGHTS)
    assert_same(stick, other)


def test_what_another_mirror_lacks_is_named_and_the_rest_copied(other, stick, capsys):
    shutil.rmtree(other / "models/google-bert")
    filled = run(stick, "--from", other)
    assert filled.status == 1
    assert capsys.readouterr().err.splitlines() == [
        f"models/google-bert/bert-base-uncased/{name}: {other} lacks it"
        for name in (
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        )
    ]
    assert {place for place in PLACES if (stick / place).is_file()} == {
        p for p in PLACES if "google" not in p
    }
    assert run(stick, "--verify").status == 1
    assert f"{PLACES[-1]}: not in SHA256SUMS\n" in capsys.readouterr().err


def test_a_complete_mirror_stays_complete_when_another_that_lacks_files_is_copied_over_it(
    other, stick
):
    run(stick, "--from", other)
    shutil.rmtree(other / "models")
    assert run(stick, "--from", other).status == 0 and run(stick, "--verify").status == 0


def test_a_file_that_the_other_mirrors_own_list_calls_damaged_is_not_copied(
    other, tmp_path, stick, capsys
):
    run(other.with_name("first"), "--from", other)
    first = other.with_name("first")
    (first / TRAIN).write_bytes((first / TRAIN).read_bytes()[:-5])
    assert run(stick, "--from", first).status == 1
    assert (
        capsys.readouterr().err
        == f"{TRAIN}: {first / TRAIN} is damaged, its hash is not the one that {first} gives\n"
    )
    assert content(stick).keys() == set(PLACES) - {TRAIN} | {"SHA256SUMS", "README.txt"}


def test_a_copy_that_fails_half_way_leaves_the_old_file_and_no_part_of_the_new_one(
    other, stick, monkeypatch
):
    run(stick, "--from", other)
    (stick / WEIGHTS).write_bytes(b"old")
    before = content(stick)

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(mirror.os, "fsync", fail)
        message = run(stick, "--from", other).message
    assert message == (
        f"{stick}: Input/output error. Look at the disk, then run the command again; what has "
        "arrived is kept."
    )
    assert content(stick) == before
    (stick / f"{WEIGHTS}.part").write_bytes(b"what a power cut left")
    assert run(stick, "--from", other).status == 0
    assert_same(stick, other)


def test_a_disk_that_is_too_small_is_named_before_anything_is_written(other, stick, monkeypatch):
    monkeypatch.setattr(mirror.shutil, "disk_usage", lambda path: Usage(0, 0, 2**29))
    real = mirror.facts_of_mirror
    monkeypatch.setattr(
        mirror,
        "facts_of_mirror",
        lambda *_: {
            place: mirror.Facts(2**28, fact.digest, fact.path) for place, fact in real(*_).items()
        },
    )
    message = run(stick, "--from", other).message
    assert message == (
        f"{stick}: not enough space on its disk, 5.25 GiB needed, 0.50 GiB free. Nothing was "
        "written; free some space, or use a larger disk."
    )
    assert not stick.exists()


def test_room_is_needed_twice_where_the_hubs_cache_is_on_the_same_disk(stick, monkeypatch):
    monkeypatch.setattr(mirror.constants, "HF_HUB_CACHE", str(stick.with_name("cache")))
    monkeypatch.setattr(mirror.shutil, "disk_usage", lambda path: Usage(0, 0, 41 * 2**28))
    facts = {place: mirror.Facts(2**28, "0" * 64) for place in PLACES}
    with pytest.raises(mirror.MirrorError, match=r"10\.50 GiB needed, 10\.25 GiB free"):
        mirror.check_space(stick, mirror.wanted(), facts)
    mirror.check_space(stick, mirror.wanted()[1:], facts)


def test_a_disk_that_fills_up_on_the_way_says_how_much_is_missing(other, stick, monkeypatch):
    copy = shutil.copyfileobj

    def fill_up(reader, writer, size):
        if "imdb/train" in writer.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(reader, writer, size)

    monkeypatch.setattr(mirror.shutil, "copyfileobj", fill_up)
    message = run(stick, "--from", other).message
    assert re.fullmatch(
        rf"{stick}: its disk is full, \d\.\d\d GiB more needed, \d+\.\d\d GiB free\. Free some "
        r"space and run the command again; what has arrived is kept\.",
        message,
    )
    assert content(stick).keys() == set(PLACES[: PLACES.index(TRAIN)])


def test_a_folder_that_can_not_be_one_is_named_with_what_is_wrong(other, stick, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("unplugged")
    for path in (tmp_path / "file", tmp_path / "file/below"):
        assert run(path, "--from", other).message.startswith(
            f"{tmp_path / 'file'} is a file, where a folder is expected."
        )
    for path in (tmp_path / "link", tmp_path / "link/below"):
        assert run(path, "--from", other).message == (
            f"{tmp_path / 'link'} is a link to unplugged, which isn't there. Plug that in, or "
            "remove the link."
        )
    stick.mkdir()
    (stick / "models").symlink_to("unplugged")
    assert run(stick, "--from", other).message.startswith(
        f"{stick / 'models'} is a link to unplugged, which isn't there."
    )
    assert run("").message == "Which folder? make mirror TO=folder"


def test_a_mirror_that_can_not_be_copied_is_named_with_what_is_wrong(other, stick, tmp_path):
    assert run(other, "--from", other).message.startswith(f"{other} can't be filled from itself.")
    for path in (tmp_path / "nowhere", tmp_path):
        assert (
            run(stick, "--from", path).message
            == f"{path} is no mirror. Expected a folder with datasets/ or models/ inside."
        )
    (other / "SHA256SUMS").write_bytes(b"\x80 nonsense\n")
    assert run(stick, "--from", other).message.startswith(
        f"{other / 'SHA256SUMS'}, line 1: not a line of sha256sum."
    )
    assert run(stick, "--verify").message.startswith(
        f"{stick / 'SHA256SUMS'} isn't there or is empty. Fill the mirror first"
    )


def test_links_on_the_stick_are_replaced_and_nothing_is_written_where_they_lead(
    other, stick, tmp_path
):
    (tmp_path / "precious").write_text("mine")
    (stick / TRAIN).parent.mkdir(parents=True)
    for name in (TRAIN, f"{TEST}.part", "SHA256SUMS.part"):
        (stick / name).symlink_to(tmp_path / "precious")
    assert run(stick, "--from", other).status == 0
    assert (tmp_path / "precious").read_text() == "mine" and not (stick / TRAIN).is_symlink()
    assert_same(stick, other)


@pytest.fixture
def from_hub(other, stick, tmp_path):
    """``fill()`` fills the stick from a Hub on this machine that has the files of ``other``."""
    quick = (
        "import sys, time; sleep = time.sleep; time.sleep = lambda seconds: sleep(seconds / 50); "
        "import tools.mirror; tools.mirror.main()"
    )
    with HubServer(other) as server:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "COURSE_"))
        }
        environment |= {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            "HF_HUB_ETAG_TIMEOUT": "1",
            "NO_PROXY": "*",
        }

        def fill() -> subprocess.CompletedProcess:
            server.requests.clear()
            return subprocess.run(
                [sys.executable, "-c", quick, stick],
                cwd=ROOT,
                env=environment,
                text=True,
                capture_output=True,
                timeout=600,  # a busy machine takes a minute to import the libraries
            )

        yield SimpleNamespace(fill=fill, server=server, cache=tmp_path / "hf")


def fetched(server: HubServer) -> list[str]:
    return [
        request for request in server.requests if request.startswith(("GET /cdn/", "GET /cache/"))
    ]


def test_a_mirror_is_filled_from_the_hub_once_and_mended_from_its_cache(from_hub, other, stick):
    first = from_hub.fill()
    assert first.returncode == 0, first.stderr
    assert_same(stick, other)
    assert len(fetched(from_hub.server)) == len(PLACES)
    resolved = [request for request in from_hub.server.requests if "/resolve/" in request]
    pins = {source.revision for source in (*hub.MODELS.values(), *mirror.SOURCES.values())}
    assert {re.search("/resolve/([0-9a-f]{40})/", request)[1] for request in resolved} == pins
    assert run(stick, "--verify").status == 0
    (stick / TRAIN).write_bytes(b"cut")
    second = from_hub.fill()
    assert second.returncode == 0 and second.stdout.startswith(
        f"{TRAIN} (0.0 MiB)\n{stick} is complete."
    )
    assert not [request for request in from_hub.server.requests if "/api/" not in request]
    assert len([request for request in from_hub.server.requests if "/revision/" in request]) == 7
    assert_same(stick, other)


def test_a_hub_that_stops_half_way_is_one_line_and_the_next_run_fetches_the_rest(
    from_hub, other, stick
):
    from_hub.server.fail("last", WEIGHTS)
    done = from_hub.fill()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    missing = PLACES[PLACES.index(WEIGHTS) + 1]
    named = [line for line in done.stderr.splitlines() if line.startswith("models/")]
    assert len(named) == 1 and named[0].startswith(
        f"{missing}: could not be fetched (LocalEntryNotFoundError: "
    )
    assert [place for place in PLACES if (stick / place).exists()] == PLACES[
        : PLACES.index(missing)
    ]
    assert not [path for path in stick.rglob("*") if path.suffix == ".part"]
    assert run(stick, "--verify").status == 1
    from_hub.server.start()
    assert from_hub.fill().returncode == 0
    assert len(fetched(from_hub.server)) == len(PLACES) - PLACES.index(missing)
    assert_same(stick, other)


def test_files_that_arrive_damaged_are_fetched_again_and_never_reach_the_stick(
    from_hub, other, stick
):
    from_hub.server.fail(
        "wrong", TRAIN.rpartition("/")[0].removeprefix("datasets/") + "/plain_text/train"
    )
    assert from_hub.fill().returncode == 0
    assert_same(stick, other)
    shutil.rmtree(from_hub.cache)
    (stick / WEIGHTS).write_bytes(b"old")
    from_hub.server.fail("wrong", WEIGHTS, times=99)
    done = from_hub.fill()
    assert done.returncode == 1
    assert (
        f"{WEIGHTS}: could not be fetched (OSError: model.safetensors arrived damaged twice"
        in done.stderr
    )
    assert (stick / WEIGHTS).read_bytes() == b"old" and run(stick, "--verify").status == 1


def test_a_vanished_revision_is_named_and_the_rest_fetched(from_hub, stick):
    revision = hub.DATASETS["messages"].revision
    from_hub.server.fail("gone", "/api/datasets/ucirvine", times=99)
    done = from_hub.fill()
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[0]
        == f"datasets/ucirvine/sms_spam/train.parquet: the Hub lacks it at revision {revision}"
    )
    assert len(fetched(from_hub.server)) == len(PLACES) - 1 and (stick / WEIGHTS).is_file()


@pytest.mark.parametrize(
    ("kind", "reason"), [("refused", "ConnectError"), (503, "503 Service Unavailable")]
)
def test_a_hub_that_does_not_answer_is_one_line_that_names_another_way(
    from_hub, stick, kind, reason
):
    if kind == "refused":
        from_hub.server.stop()
    else:
        from_hub.server.fail(kind, "/api/", times=99)
    done = from_hub.fill()
    if kind == "refused":
        from_hub.server.start()
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and not stick.exists()
    assert done.stderr.startswith("The Hub does not answer (") and reason in done.stderr
    assert "or copy another mirror: --from FOLDER (make mirror TO=… FROM=…)." in done.stderr
