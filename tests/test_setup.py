"""The setup cell adds what a machine lacks and moves nothing that it has."""

import base64
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from conftest import ROOT

from course_utils import setup
from course_utils.setup import (
    SetupError,
    check_names,
    ensure_packages,
    places,
    prepare,
    requirement_name,
    work_folder,
)
from tools import build
from tools.lessons import Repository, lessons


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A repository that wants three packages; ``has`` sets what is installed, ``calls`` is what pip was told."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["torch>=2.10", "huggingface-hub>=1.0", "evaluate>=0.4.6"]\n',
        encoding="utf-8",
    )
    calls = []

    def has(**packages: str) -> None:
        found = [
            SimpleNamespace(metadata={"Name": name}, version=version)
            for name, version in packages.items()
        ]
        monkeypatch.setattr(setup.importlib.metadata, "distributions", lambda: found)

    def run(command, stderr, text):
        held = Path(command[command.index("-c") + 1]).read_text(encoding="utf-8").splitlines()
        calls.append((command, held))
        return subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setattr(setup.subprocess, "run", run)
    return SimpleNamespace(has=has, calls=calls, root=tmp_path)


@pytest.mark.parametrize(
    ("torch", "hub", "named"),
    [
        ("2.9.1+cu128", "1.27.0", ["torch 2.9.1+cu128 (2.10 or newer is needed)"]),
        ("2.10.0", "0.36.2", ["huggingface-hub 0.36.2 (1.0 or newer is needed)"]),
        (
            "1.13",
            "0.9",
            [
                "torch 1.13 (2.10 or newer is needed)",
                "huggingface-hub 0.9 (1.0 or newer is needed)",
            ],
        ),
        ("2.10.0a0+git12", "1", []),  # as in a vendor's container
        ("3", "1.0.0rc1", []),
    ],
)
def test_a_package_that_is_too_old_is_named_before_anything_is_installed(
    machine, torch, hub, named
):
    machine.has(torch=torch, huggingface_hub=hub)
    if not named:
        assert ensure_packages(machine.root) == ["evaluate>=0.4.6"]
        return
    with pytest.raises(SetupError) as error:
        ensure_packages(machine.root)
    assert str(error.value).startswith(f"Too old for the course: {', '.join(named)}. Nothing was ")
    assert "`make learn`" in str(error.value) and "restart the kernel" in str(error.value)
    assert machine.calls == []


def test_every_range_is_a_lowest_version_and_colab_is_never_too_old(machine):
    with open(ROOT / "pyproject.toml", "rb") as file:
        wanted = tomllib.load(file)["project"]["dependencies"]
    assert all(re.fullmatch(r"[a-z-]+>=\d+(\.\d+){0,3}", r) for r in wanted), "setup.release"
    lines = (ROOT / ".github/colab-constraints.txt").read_text(encoding="utf-8").splitlines()
    has = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    machine.has(**has)
    assert {requirement_name(r) for r in ensure_packages(ROOT)} == {"evaluate", "optuna"}
    machine.has(**has | {"transformers": "5.14.9"})
    with pytest.raises(SetupError, match=r"Too old for the course: transformers 5\.14\.9 \("):
        ensure_packages(ROOT)


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("evaluate>=0.4.6", "evaluate"),
        ("huggingface_hub", "huggingface-hub"),
        ("Zope.Interface ~= 5", "zope-interface"),
        ("numpy!=2.1", "numpy"),
        ("torch[opt]<3; python_version > '3'", "torch"),
        ("a @ https://host.example/a.whl", "a"),
    ],
)
def test_a_requirement_is_reduced_to_the_name_that_pypi_uses(requirement, name):
    assert requirement_name(requirement) == name


def test_nothing_is_installed_where_nothing_is_missing_however_names_are_spelt(machine, capsys):
    machine.has(Torch="2.13.0+cpu", huggingface_hub="2.4.0", evaluate="0.4.6")
    assert ensure_packages(machine.root) == [] and machine.calls == []
    assert capsys.readouterr().out == ""


def test_only_what_is_missing_is_installed_and_all_the_rest_held_where_it_is(machine, capsys):
    machine.has(
        torch="2.10.0+cu128", huggingface_hub="1.2.0", numpy="2.0.2", pip="24.1", setuptools="75.0"
    )
    assert ensure_packages(machine.root) == ["evaluate>=0.4.6"]
    ((command, constraints),) = machine.calls
    assert command[:6] == [sys.executable, "-m", "pip", "install", "-q", "-c"] and command[7:] == [
        "evaluate>=0.4.6"
    ]
    assert sorted(constraints) == ["huggingface-hub==1.2.0", "numpy==2.0.2", "torch==2.10.0"]
    assert capsys.readouterr().out == "installed: evaluate>=0.4.6\n"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "error: externally-managed-environment\n\n× This environment is externally managed",
            "PEP 668",
        ),
        ("/usr/bin/python3: No module named pip", "There is no pip in"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "is full",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 122] Disk quota exceeded",
            "Your quota",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 30] Read-only file system: '/usr/lib'",
            "can't be written to",
        ),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(Network is unreachable)'\n"
            "ERROR: No matching distribution found for evaluate>=0.4.6",
            "Connect to the network once",
        ),
        (
            "ERROR: Cannot install evaluate because these package versions have conflicting dependencies.\n"
            "ERROR: ResolutionImpossible: for help visit",
            "does not go with the versions that are installed",
        ),
        (
            "ERROR: No matching distribution found for evaluate>=0.4.6",
            "No package fits this Python",
        ),
        ("ERROR: something new", "Installing the packages failed."),
    ],
)
def test_a_failing_pip_stops_the_cell_with_its_one_cause(machine, monkeypatch, said, words):
    machine.has(torch="2.10.0")
    monkeypatch.setattr(
        setup.subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(
            command, 1, stderr="an earlier line\n" * 20 + said
        ),
    )
    with pytest.raises(SetupError) as error:
        ensure_packages(machine.root)
    message, _, tail = str(error.value).partition("pip said:")
    assert words in message and said.splitlines()[-1] in tail and tail.count("an earlier line") < 6
    causes = (
        "PEP 668",
        "no pip",
        "is full",
        "quota",
        "be written to",
        "network",
        "not go with",
        "No package fits",
    )
    assert sum(cause in message for cause in causes) == (words != "Installing the packages failed.")


def test_a_full_temporary_folder_stops_the_cell_with_its_name(machine, monkeypatch):
    def full(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp']")

    machine.has(torch="2.10.0")
    monkeypatch.setattr(setup.tempfile, "TemporaryDirectory", full)
    with pytest.raises(
        SetupError, match=r"The temporary folder .* can't be written to, or its disk is full"
    ):
        ensure_packages(machine.root)
    assert machine.calls == []


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 10, 12)])
def test_an_old_python_is_named_with_what_to_do(machine, monkeypatch, version):
    monkeypatch.setattr(setup.sys, "version_info", version)
    monkeypatch.setattr(setup.sys, "version", ".".join(map(str, version)) + " (main)")
    with pytest.raises(
        SetupError,
        match=rf"needs Python 3\.11 or newer; this notebook runs on {version[0]}\.{version[1]}",
    ):
        prepare(machine.root)


def test_the_pinned_environment_has_everything_that_the_package_wants(monkeypatch):
    monkeypatch.setattr(setup.subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    assert ensure_packages(ROOT) == []


@pytest.mark.parametrize("name", ["datasets.py", "evaluate/__init__.py"])
def test_a_file_that_takes_a_packages_place_is_named(name, tmp_path, monkeypatch):
    check_names("torch", "datasets", "evaluate", "not-installed-anywhere")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SetupError) as error:
        prepare(ROOT)
    package = name.split("/")[0].removesuffix(".py")
    assert str(error.value).startswith(f"{tmp_path / name} has the name of the package {package}")
    assert "Rename it" in str(error.value) and "restart the kernel" in str(error.value)


# --- places to write to ---


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A course, a home and a temporary folder; ``shut`` takes away the right to write to some."""
    made = SimpleNamespace(**{name: tmp_path / name for name in ("course", "home", "temporary")})
    for folder in vars(made).values():
        folder.mkdir()
    for name in (
        "COURSE_WORK",
        "COURSE_PROGRESS",
        "XDG_CACHE_HOME",
        "HF_HOME",
        "MPLCONFIGDIR",
        "IPYTHONDIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.setenv("USERPROFILE", str(made.home))
    monkeypatch.setenv("TMPDIR", str(made.temporary))
    closed, plain, access = [], setup.writable, os.access

    def inside(folder) -> bool:
        return any(Path(folder).is_relative_to(c) for c in closed)

    def shut(*names):
        closed.extend(getattr(made, name) for name in names)
        if "temporary" in names:
            monkeypatch.setattr(setup, "own_temporary_folder", lambda: None)

    monkeypatch.setattr(setup, "writable", lambda folder: not inside(folder) and plain(folder))
    monkeypatch.setattr(
        setup.os, "access", lambda path, mode: not inside(path) and access(path, mode)
    )
    made.shut = shut
    return made


def test_on_a_usual_machine_nothing_is_led_elsewhere(folders):
    assert places(folders.course) == {}
    assert work_folder(folders.course) == folders.course / "build/work"


def test_a_course_that_cannot_be_written_to_leads_work_and_progress_to_the_home(folders):
    folders.shut("course")
    cache = folders.home / ".cache/distilbert-course"
    assert places(folders.course) == {
        "COURSE_WORK": str(cache / "work"),
        "COURSE_PROGRESS": str(cache / "progress/progress.json"),
    }
    assert work_folder(folders.course) == cache / "work" and (cache / "work").is_dir()


def test_a_home_that_cannot_be_written_to_leads_the_libraries_caches_into_the_course(
    folders, monkeypatch
):
    folders.shut("home")
    monkeypatch.setenv("MPLCONFIGDIR", "what the user set")
    found, home = places(folders.course), folders.course / "build/home"
    assert found["HF_HOME"] == str(home / "huggingface") and "MPLCONFIGDIR" not in found
    assert (
        found["JUPYTER_RUNTIME_DIR"] == str(home / "jupyter/runtime") and "COURSE_WORK" not in found
    )


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows gives each user a temporary folder")
def test_with_neither_a_temporary_folder_of_this_user_alone_is_taken(folders):
    folders.shut("course", "home")
    own = folders.temporary / f"distilbert-course-{os.getuid()}"
    assert places(folders.course)["COURSE_WORK"] == str(own / "work")
    assert own.stat().st_mode & 0o077 == 0
    own.chmod(0o777)  # another user could have put files there
    with pytest.raises(SetupError):
        work_folder(folders.course)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="every user of Windows has a home")
def test_a_user_without_a_home_works_elsewhere(folders, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(setup.Path, "home", nowhere)
    assert places(folders.course)["HF_HOME"] == str(folders.course / "build/home/huggingface")
    folders.shut("course")
    own = folders.temporary / f"distilbert-course-{os.getuid()}"
    assert places(folders.course)["COURSE_WORK"] == str(own / "work")


def test_where_nothing_can_be_written_the_message_names_the_places(folders):
    folders.shut("course", "home", "temporary")
    with pytest.raises(SetupError) as error:
        places(folders.course)
    assert all(
        str(f) in str(error.value) for f in (folders.course, folders.home, folders.temporary)
    )
    assert "Free some disk space" in str(error.value)


def test_a_work_folder_that_the_user_chose_is_used_or_refused_by_its_name(folders, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(folders.temporary / "mine"))
    assert (
        work_folder(folders.course) == folders.temporary / "mine" and places(folders.course) == {}
    )
    folders.shut("temporary")
    with pytest.raises(SetupError, match=r"COURSE_WORK=.*mine: this folder can't be written to"):
        places(folders.course)


def test_a_work_folder_may_lie_below_the_home_and_does_not_move_with_the_notebook(
    folders, monkeypatch
):
    monkeypatch.chdir(folders.course)
    monkeypatch.setenv("COURSE_WORK", "~/mine")
    assert work_folder(folders.course) == folders.home / "mine"
    monkeypatch.setenv("COURSE_WORK", "here")
    assert work_folder(folders.course) == folders.course / "here"
    assert not (folders.course / "~").exists()


def without_privileges() -> list[str]:
    """What to put before a command so that permissions count for it; root may write anywhere."""
    if not hasattr(os, "geteuid"):
        pytest.skip("Windows has other permissions")
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv: a folder that is read-only for root was not tested")
    dropped = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]


PREPARED = """
import os, sys
from pathlib import Path
from course_utils.setup import places
print(*sorted(places(Path(sys.argv[1]))))
"""


@pytest.mark.parametrize(
    ("shut", "names"),
    [
        ([], ""),
        (["course"], "COURSE_PROGRESS COURSE_WORK"),
        (
            ["home"],
            "HF_HOME IPYTHONDIR JUPYTER_CONFIG_DIR JUPYTER_DATA_DIR JUPYTER_RUNTIME_DIR MPLCONFIGDIR",
        ),
    ],
)
def test_folders_that_are_really_read_only_are_found_out(shut, names, tmp_path):
    for name in ("course", "home"):
        (tmp_path / name).mkdir(mode=0o555 if name in shut else 0o755)
    command = [*without_privileges(), sys.executable, "-c", PREPARED, tmp_path / "course"]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
    )
    assert run.stdout.strip() == names, run.stderr


@pytest.fixture
def full_disk(tmp_path):
    """A mounted disk of 1 MiB with no byte left."""
    folder = tmp_path / "full"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if (
        not shutil.which("mount")
        or subprocess.run(["mount", *options], capture_output=True).returncode
    ):
        pytest.skip("no disk can be mounted here: a full one was not tested")
    try:
        (folder / "filler").write_bytes(bytes(2**20))
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_counts_as_one_that_cannot_be_written_to(full_disk, tmp_path):
    assert setup.writable(tmp_path) and not setup.writable(full_disk)


# --- the setup cell ---


@pytest.fixture
def cell() -> str:
    """The setup cell of a fork called ada/nlp-class."""
    return f"{build.setup_cell(Repository('ada/nlp-class', 'main'))}\nprint(root)"


def course(folder: Path) -> Path:
    """As much of the course as the setup cell looks at."""
    for name in ("course_utils/__init__.py", "course_utils/setup.py", "tools/setup_cell.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "pyproject.toml").write_text("[project]\ndependencies = []\n", encoding="utf-8")
    return folder


@pytest.fixture
def published(tmp_path) -> str:
    """The address of a repository that holds it."""
    folder = course(tmp_path / "published")
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *command],
            cwd=folder,
            check=True,
        )
    return folder.as_uri()


@pytest.fixture
def start(tmp_path, cell):
    """A function that runs the cell in a folder, with a home of its own; returns what it printed."""
    (tmp_path / "home").mkdir()

    def run(
        folder: Path, source: str = "file:///nowhere", before=(), **variables
    ) -> SimpleNamespace:
        folder.mkdir(parents=True, exist_ok=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COURSE_", "PYTHON", "GIT_", "HF_"))
        }
        home = str(tmp_path / "home")
        environment |= {"HOME": home, "USERPROFILE": home, "COURSE_SOURCE": source, **variables}
        done = subprocess.run(
            [*before, sys.executable, "-c", cell],
            cwd=folder,
            capture_output=True,
            text=True,
            env=environment,
        )
        message = done.stderr[done.stderr.rfind("RuntimeError: ") :] if done.returncode else ""
        return SimpleNamespace(
            root=done.stdout.strip().splitlines()[-1:], message=message, all=done.stderr
        )

    return run


def test_the_cell_finds_the_course_around_and_beside_it_whatever_its_folder_is_called(
    start, tmp_path
):
    above = course(tmp_path / "any name")
    assert start(above / "notebooks").root == [str(above)]
    beside = course(tmp_path / "work/course-main")
    assert start(tmp_path / "work").root == [str(beside)]


def test_the_cell_fetches_the_course_into_a_folder_named_after_its_repository(
    start, tmp_path, published
):
    found = start(tmp_path / "empty", published)
    assert found.root == [str(tmp_path / "empty/nlp-class")], found.all
    assert start(tmp_path / "empty").root == found.root  # and finds it there the next time


def test_another_package_of_that_name_is_not_taken_for_the_course(start, tmp_path, published):
    other = tmp_path / "project/course_utils"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    (other / "setup.py").touch()
    here = tmp_path / "project/deep"
    assert start(here, published).root == [str(here / "nlp-class")]


@pytest.mark.parametrize(
    "content", ["course_utils/setup.py", ".git/HEAD", "my own notes.txt", None]
)
def test_a_half_made_clone_or_another_folder_of_that_name_is_left_alone(
    start, tmp_path, published, content
):
    taken = tmp_path / "here/nlp-class" / (content or "")
    (taken.parent if content else taken).mkdir(parents=True)
    if content:
        taken.write_text("mine", encoding="utf-8")
    here = tmp_path / "here"
    assert start(here, published).root == [str(tmp_path / "home/nlp-class")]
    assert not content or taken.read_text(encoding="utf-8") == "mine"
    assert start(here).root == [str(tmp_path / "home/nlp-class")]


def test_where_the_name_is_taken_everywhere_the_cell_says_which_folder_to_move(
    start, tmp_path, published
):
    for folder in (tmp_path / "here/nlp-class", tmp_path / "home/nlp-class"):
        folder.mkdir(parents=True)
        (folder / "notes.txt").touch()
    message = start(tmp_path / "here", published).message
    assert (
        f"Rename or delete {tmp_path / 'here/nlp-class'}, which is not the whole course" in message
    )


def test_a_read_only_folder_leads_the_course_into_the_home(start, tmp_path, published):
    before = without_privileges()
    (tmp_path / "here").mkdir(mode=0o555)
    assert start(tmp_path / "here", published, before).root == [str(tmp_path / "home/nlp-class")]


def test_where_neither_can_be_written_to_the_cell_says_so(start, tmp_path, published):
    before = without_privileges()
    (tmp_path / "here").mkdir(mode=0o555)
    (tmp_path / "home").chmod(0o555)
    message = start(tmp_path / "here", published, before).message
    assert "Start Jupyter in a folder that you may write to" in message and "network" not in message


def test_a_full_disk_is_named(start, full_disk, published):
    message = start(full_disk, published).message
    assert f"Free 1 GiB on the disk of {full_disk}" in message and "network" not in message


def test_a_machine_without_git_is_told_two_ways_out(start, tmp_path, published):
    message = start(tmp_path / "here", published, PATH=str(tmp_path)).message
    assert f"Install git, or unpack {published}/archive/main.zip in {tmp_path / 'here'}" in message
    course(tmp_path / "here/nlp-class-main")  # as the archive is called when it is unpacked
    assert start(tmp_path / "here", published, PATH=str(tmp_path)).root == [
        str(tmp_path / "here/nlp-class-main")
    ]


def test_a_repository_or_branch_that_is_not_there_is_not_called_a_network_fault(
    start, tmp_path, published
):
    message = start(tmp_path / "here", (tmp_path / "nowhere.git").as_uri()).message
    assert (
        "Check this address and its branch main, then run the cell again. Git said: fatal: "
        in message
    )
    subprocess.run(["git", "branch", "-m", "trunk"], cwd=tmp_path / "published", check=True)
    assert "Check this address and its branch main" in start(tmp_path / "here", published).message
    assert not (tmp_path / "here/nlp-class").exists()


@pytest.mark.skipif(os.name == "nt", reason="a pretended git is a shell script")
@pytest.mark.parametrize(
    ("said", "cure"),
    [
        (
            "fatal: unable to access 'https://github.com/ada/nlp-class/': Could not resolve host: github.com",
            "Check the network",
        ),
        (
            "fatal: unable to access 'https://github.com/x/': Failed to connect to github.com port 443",
            "Check the network",
        ),
        (
            "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            "Check this address",
        ),
        (
            "remote: Repository not found.\nfatal: repository 'https://github.com/x/' not found",
            "Check this address",
        ),
        ("xcrun: error: invalid active developer path, missing xcrun", "Install git"),
        ("fatal: write error: No space left on device", "Free 1 GiB on the disk"),
        ("error: unable to write file x: Disk quota exceeded", "Free 1 GiB on the disk"),
        ("fatal: something new", "Read what git says"),
    ],
)
def test_each_of_gits_errors_gets_one_cure(said, cure, start, tmp_path):
    git = tmp_path / "bin/git"
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\ncat >&2 <<"END"\n{said}\nEND\nexit 128\n', encoding="utf-8")
    git.chmod(0o755)
    message = start(
        tmp_path / "here",
        "https://github.com/ada/nlp-class",
        PATH=f"{git.parent}{os.pathsep}{os.environ['PATH']}",
    ).message
    cures = (
        "Install git",
        "Rename or delete",
        "Start Jupyter",
        "Free 1 GiB",
        "Check the network",
        "Check this address",
        "Read what git says",
    )
    assert cure in message and said in message and sum(c in message for c in cures) == 1


# --- a private repository, on this machine's loopback ---


class PrivateGit(BaseHTTPRequestHandler):
    """git's own program for HTTP behind a user name and a password."""

    folder, token, seen = "", "", []

    def do_GET(self):
        given = self.headers.get("Authorization", "")
        self.seen.append(given)
        if given != "Basic " + base64.b64encode(f"course:{self.token}".encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            return self.end_headers()
        address = urlsplit(self.path)
        environment = {
            "GIT_PROJECT_ROOT": self.folder,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": address.path,
            "QUERY_STRING": address.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        said = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            env=os.environ | environment,
            capture_output=True,
        ).stdout
        self.wfile.write(b"HTTP/1.0 200 OK\r\n" + said)
        return None

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def private(tmp_path, published):
    """The address of the same course where git asks for a user name and a password."""
    bare = tmp_path / "served/ada/nlp-class"
    subprocess.run(["git", "clone", "-q", "--bare", published, bare], check=True)
    handler = type("Here", (PrivateGit,), {"folder": str(tmp_path / "served"), "seen": []})
    handler.token = "t0ken"
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield SimpleNamespace(
            url=f"http://127.0.0.1:{server.server_port}/ada/nlp-class", seen=handler.seen
        )
        server.shutdown()


COLAB = """
import sys, types
sys.modules["google"] = types.ModuleType("google")
sys.modules["google.colab"] = colab = types.ModuleType("google.colab")
colab.userdata = types.SimpleNamespace(get={"COURSE_TOKEN": %r}.__getitem__)
"""


def run_private(folder: Path, home: Path, url: str, before: str) -> subprocess.CompletedProcess:
    cell = build.setup_cell(Repository(url, "main", private=True))
    environment = {
        n: v for n, v in os.environ.items() if not n.startswith(("COURSE_", "PYTHON", "GIT_"))
    }
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{cell}\nprint(root)"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment | {"HOME": str(home), "USERPROFILE": str(home)},
    )


@pytest.mark.skipif(os.name == "nt", reason="Colab is Linux")
def test_on_colab_a_private_repository_is_cloned_with_the_token_of_the_secrets(tmp_path, private):
    here = tmp_path / "content"
    done = run_private(here, tmp_path, private.url, COLAB % "t0ken")
    assert done.stdout.strip() == str(here / "nlp-class"), done.stderr
    assert (here / "nlp-class/course_utils/setup.py").is_file() and private.seen[0] == ""
    for file in (here / "nlp-class/.git").rglob("*"):
        assert not file.is_file() or b"t0ken" not in file.read_bytes(), file


@pytest.mark.skipif(os.name == "nt", reason="Colab is Linux")
@pytest.mark.parametrize("before", ["", COLAB % "wr0ng"], ids=["no token", "a wrong token"])
def test_without_the_right_token_the_cell_stops_and_shows_none(tmp_path, private, before):
    done = run_private(tmp_path / "content", tmp_path, private.url, before)
    assert done.returncode and f"could not be fetched from {private.url}." in done.stderr
    assert "wr0ng" not in done.stderr
    assert not (tmp_path / "content/nlp-class").exists()


def test_a_private_course_that_was_uploaded_needs_no_token(tmp_path):
    uploaded = course(tmp_path / "content/nlp-class")
    done = run_private(uploaded.parent, tmp_path, "http://127.0.0.1:9/ada/nlp-class", "")
    assert done.stdout.strip() == str(uploaded), done.stderr


def test_the_cell_is_the_one_in_the_lessons():
    assert (
        build.SETUP.startswith("# Setup: run this first.")
        and max(map(len, build.SETUP.splitlines())) <= 100
    )
    assert "{{" not in build.fill("{{setup}}", lessons()[0])
