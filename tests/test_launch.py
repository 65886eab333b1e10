"""``make learn`` says in plain words what is missing and does nothing twice. Nothing is installed here."""

import ast
import subprocess
import sys
from collections import namedtuple
from types import SimpleNamespace

import pytest

from tools import launch

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty repository whose Python environments and programs are pretended; ``commands`` is what would have run."""
    commands = []

    def create(folder, with_pip, clear):
        commands.append("venv")
        launch.python_of(folder).parent.mkdir(parents=True, exist_ok=clear)
        launch.python_of(folder).touch()
        version = sys.version.split()[0]
        (folder / "pyvenv.cfg").write_text(f"version = {version}\n", encoding="utf-8")

    def run(command, **_):
        commands.append([str(part) for part in command])
        return subprocess.CompletedProcess(command, 0, stderr="")

    (tmp_path / "requirements.txt").write_text("torch==2.13.0\n", encoding="utf-8")
    monkeypatch.setattr(launch, "ROOT", tmp_path)
    monkeypatch.setattr(launch, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(launch.venv, "create", create)
    monkeypatch.setattr(launch.subprocess, "run", run)
    free = Usage(0, 0, 100 * 2**30)
    monkeypatch.setattr(launch.shutil, "disk_usage", lambda path: free)
    return SimpleNamespace(root=tmp_path, commands=commands)


def message_of(call) -> str:
    with pytest.raises(SystemExit) as stopped:
        call()
    assert isinstance(stopped.value.code, str)
    return stopped.value.code


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 12)])
def test_an_old_python_is_named_with_what_to_do_before_anything_else_is_read(version, tmp_path):
    file = tmp_path / "tools/launch.py"  # alone: an old Python could not read what it imports
    file.parent.mkdir()
    file.write_bytes((launch.ROOT / "tools/launch.py").read_bytes())
    name = ".".join(map(str, version))
    code = (
        f"import runpy, sys; sys.version_info, sys.version = {version}, '{name} (main)'; "
        f"runpy.run_path({str(file)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("\nThis course needs Python 3.11")
    assert f"this is {name}" in done.stderr and "make learn PYTHON=" in done.stderr
    assert [f.name for f in tmp_path.iterdir()] == ["tools"]


@pytest.mark.parametrize(
    ("platform", "index", "free", "needed"),
    [
        ("linux", "", 1.5, 8),
        ("linux", "", 7.5, 8),  # PyTorch with CUDA's libraries
        ("linux", launch.CPU_INDEX, 3.5, 4),
        ("linux", launch.CPU_INDEX, 7.5, 0),
        ("darwin", "", 1.5, 4),
        ("win32", "", 7.5, 0),
    ],
)
def test_a_full_disk_is_named_with_what_is_needed_before_anything_is_written(
    repository, monkeypatch, platform, index, free, needed
):
    monkeypatch.setattr(launch.sys, "platform", platform)
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index)
    monkeypatch.setattr(launch.shutil, "disk_usage", lambda path: Usage(0, 0, free * 2**30))
    if not needed:
        launch.check_machine()
        return
    message = message_of(launch.install)
    assert f"Not enough disk space: {free} GiB free, up to {needed} GiB needed" in message
    assert "nothing was written" in message
    assert (f"set PIP_EXTRA_INDEX_URL={launch.CPU_INDEX}" in message) is (needed == 8)
    assert repository.commands == [] and not (repository.root / ".venv").exists()


def test_a_first_install_makes_the_environment_and_installs_the_pins(repository):
    launch.install()
    venv, pip = repository.commands
    assert venv == "venv" and pip[1:4] == ["-m", "pip", "install"]
    assert pip[-2:] == ["-r", str(repository.root / "requirements.txt")]
    assert pip[0] == str(launch.python_of(repository.root / ".venv"))


def test_a_second_install_does_nothing_until_the_pins_change(repository):
    launch.install()
    launch.install()
    assert len(repository.commands) == 2
    (repository.root / "requirements.txt").write_text("torch==2.14.0\n", encoding="utf-8")
    launch.install()
    assert len(repository.commands) == 3 and repository.commands[2][1:4] == ["-m", "pip", "install"]


def test_an_interrupted_install_counts_for_neither_the_new_pins_nor_the_old(
    repository, monkeypatch
):
    launch.install()
    pins = repository.root / "requirements.txt"
    before = pins.read_text(encoding="utf-8")
    pins.write_text("torch==2.14.0\n", encoding="utf-8")
    run = launch.subprocess.run

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(launch.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        launch.install()
    monkeypatch.setattr(launch.subprocess, "run", run)
    pins.write_text(before, encoding="utf-8")
    launch.install()  # half of the new pins are there
    assert len(repository.commands) == 3 and repository.commands[2][1:4] == ["-m", "pip", "install"]
    launch.install()
    assert len(repository.commands) == 3


def test_a_stamp_that_cannot_be_removed_is_explained(repository, monkeypatch):
    launch.install()
    (repository.root / "requirements.txt").write_text("torch==2.14.0\n", encoding="utf-8")

    def locked(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(launch.Path, "unlink", locked)
    message = message_of(launch.install)
    assert "can't be written to" in message and len(repository.commands) == 2


def test_little_space_does_not_matter_once_everything_is_installed(repository, monkeypatch):
    launch.install()
    monkeypatch.setattr(launch.shutil, "disk_usage", lambda path: Usage(0, 0, 2**30))
    launch.install()
    assert len(repository.commands) == 2


def test_another_python_makes_the_environment_anew_and_a_bug_fix_release_only_installs(
    repository, monkeypatch
):
    monkeypatch.setattr(sys, "version", "3.98.0 (main)")
    launch.install()
    monkeypatch.setattr(sys, "version", "3.98.1 (main)")
    launch.install()
    assert [c == "venv" for c in repository.commands] == [True, False, False]
    monkeypatch.setattr(sys, "version", "3.99.0 (main)")
    launch.install()
    assert [c == "venv" for c in repository.commands[3:]] == [True, False]


def test_the_pins_that_another_file_takes_over_count_too(repository):
    (repository.root / "requirements-site.txt").write_text("-c requirements.txt\nsphinx\n")
    folder = repository.root / ".venv-site"
    launch.install(folder, "requirements-site.txt")
    launch.install(folder, "requirements-site.txt")
    assert len(repository.commands) == 2
    (repository.root / "requirements.txt").write_text("torch==2.14.0\n", encoding="utf-8")
    launch.install(folder, "requirements-site.txt")
    assert len(repository.commands) == 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NameResolutionError(\"Failed to "
            "resolve 'pypi.org' ([Errno -2] Name or service not known)\")': /simple/torch/\n"
            "ERROR: No matching distribution found for torch==2.13.0",
            "Connect to the network once",
        ),
        ("ConnectionError: [Errno 101] Network is unreachable", "Connect to the network once"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "is full (100.0 GiB free)",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", "No package fits this Python"),
        ("ERROR: something else", "Installing the packages failed."),
        (
            "/course/.venv/bin/python: No module named pip",
            "interrupted, delete it and run `make learn`",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'",
            "can't be written to",
        ),
        (
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed\n"
            "ERROR: No matching distribution found for torch==2.13.0",
            "certificate is not trusted",
        ),
    ],
)
def test_pips_error_is_put_in_plain_words_and_no_stamp_is_left(
    repository, monkeypatch, error, words
):
    monkeypatch.setattr(
        launch.subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(
            command, 1, stderr="an earlier line\n" * 20 + error
        ),
    )
    message = message_of(launch.install)
    assert (
        words in message
        and error.splitlines()[-1] in message
        and message.count("an earlier line") < 6
    )
    assert not (repository.root / ".venv/installed").exists()


def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_tried(
    repository, monkeypatch
):
    monkeypatch.setattr(launch.os, "access", lambda path, mode: path != repository.root)
    message = message_of(launch.install)
    assert f"The course's folder {repository.root} can't be written to. Copy it" in message
    assert repository.commands == [] and "network" not in message


def test_a_read_only_course_that_is_installed_opens_all_the_same(repository, monkeypatch):
    launch.install()
    monkeypatch.setattr(launch.os, "access", lambda path, mode: path != repository.root)
    launch.install()
    assert len(repository.commands) == 2


def test_a_full_temporary_folder_is_told_from_a_full_disk(repository, monkeypatch, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    usage = {temporary: Usage(0, 0, 2**20)}
    monkeypatch.setattr(
        launch.shutil, "disk_usage", lambda path: usage.get(path, Usage(0, 0, 100 * 2**30))
    )
    message = message_of(launch.install)
    assert f"The temporary folder {temporary} is full" in message and "TMPDIR" in message
    assert repository.commands == []
    usage[temporary] = Usage(0, 0, 2 * 2**30)  # enough to begin with, then it runs full
    monkeypatch.setattr(
        launch.subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(
            command, 1, stderr="OSError: [Errno 28] No space left on device"
        ),
    )
    assert f"The disk of {temporary} is full (2.0 GiB free)" in message_of(launch.install)
    usage[temporary], usage[repository.root / ".venv"] = Usage(0, 0, 2**33), Usage(0, 0, 2**20)
    message = message_of(launch.install)
    assert (
        f"The disk of {repository.root / '.venv'} is full (0.0 GiB free)" in message
        and "TMPDIR" not in message
    )


def failed(said: bytes) -> subprocess.CalledProcessError:
    return subprocess.CalledProcessError(1, ["python"], output=said)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "is full"),
        (PermissionError(13, "Permission denied"), "can't be written to"),
        (failed(b"OSError: [Errno 28] No space left on device"), "is full"),
        (failed(b"OSError: [Errno 122] Disk quota exceeded"), "Your quota"),
        (failed(b"No usable temporary directory found in ['/tmp']"), "The temporary folder"),
        (failed(b"PermissionError: [Errno 13] Permission denied: '/x'"), "can't be written to"),
    ],
)
def test_an_environment_that_cannot_be_made_has_its_own_cause(
    repository, monkeypatch, error, words
):
    def create(folder, **_):
        raise error

    monkeypatch.setattr(launch.venv, "create", create)
    message = message_of(launch.install)
    assert words in message and "python3-venv" not in message and "network" not in message


def test_a_disk_that_is_full_after_the_installation_is_named(repository, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(launch, "wanted_stamp", full)
    message = message_of(launch.install)
    assert "is full" in message and "Python said" in message


def test_an_environment_that_cannot_be_made_is_explained_and_not_left_half_made(
    repository, monkeypatch
):
    def create(folder, **_):
        folder.mkdir()
        raise subprocess.CalledProcessError(1, ["python", "-m", "ensurepip"])

    monkeypatch.setattr(launch.venv, "create", create)
    message = message_of(launch.install)
    assert "Making .venv failed" in message and "python3-venv" in message
    assert not (repository.root / ".venv").exists()


def test_learn_serves_this_machine_only_and_opens_the_first_lesson(repository, monkeypatch):
    (repository.root / "notebooks").mkdir()
    for name in ("01_second.ipynb", "00_first.ipynb", "draft.ipynb"):
        (repository.root / "notebooks" / name).touch()
    monkeypatch.setenv("NO_BROWSER", "1")
    with pytest.raises(SystemExit) as stopped:
        launch.learn()
    (command,) = repository.commands
    assert stopped.value.code == 0
    assert {
        "--ip=127.0.0.1",
        "--no-browser",
        "--LabApp.default_url=/lab/tree/notebooks/00_first.ipynb",
    } < set(command)


def test_learn_leads_jupyter_away_from_a_home_that_cannot_be_written_to(repository, monkeypatch):
    (repository.root / "notebooks").mkdir()
    (repository.root / "notebooks/00_first.ipynb").touch()
    given = {}
    monkeypatch.setattr(launch, "places", lambda root: {"JUPYTER_RUNTIME_DIR": "elsewhere"})
    monkeypatch.setattr(
        launch.subprocess,
        "run",
        lambda command, cwd, env: given.update(env) or SimpleNamespace(returncode=0),
    )
    with pytest.raises(SystemExit):
        launch.learn()
    assert given["JUPYTER_RUNTIME_DIR"] == "elsewhere" and given["PATH"]


def test_learn_says_so_where_nothing_can_be_written(repository, monkeypatch):
    (repository.root / "notebooks").mkdir()
    (repository.root / "notebooks/00_first.ipynb").touch()

    def nowhere(root):
        raise launch.SetupError("Neither a nor b can be written to.")

    monkeypatch.setattr(launch, "places", nowhere)
    assert "can be written to" in message_of(launch.learn)


def test_no_browser_is_left_out_by_default(repository, monkeypatch):
    (repository.root / "notebooks").mkdir()
    (repository.root / "notebooks/00_first.ipynb").touch()
    monkeypatch.delenv("NO_BROWSER", raising=False)
    with pytest.raises(SystemExit):
        launch.learn()
    assert "--no-browser" not in repository.commands[0]


def test_a_repository_without_lessons_is_named(repository):
    assert "no lesson in notebooks/" in message_of(launch.learn)


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("tools/launch.py", (3, 6)),
        ("tools/setup_cell.py", (3, 9)),
        ("course_utils/setup.py", (3, 9)),
        ("course_utils/__init__.py", (3, 9)),
    ],
)
def test_older_pythons_can_read_what_tells_them_that_they_are_too_old(file, version):
    code = (launch.ROOT / file).read_text(encoding="utf-8")
    assert version >= (3, 7) or "from __future__ import annotations" not in code
    tree = ast.parse(code, feature_version=version)
    above = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert "tomllib" not in " ".join(ast.unparse(node) for node in above)


def test_it_needs_nothing_but_the_standard_library():
    code = "import sys, tools.launch; print([m for m in ('torch', 'numpy', 'tomllib') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=launch.ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr
