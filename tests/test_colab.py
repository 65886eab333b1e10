"""What `make test-colab` decides by, and the setup cell in an empty folder. The real run needs minutes: `make test-colab`."""

import datetime
import json
import os
import re
import subprocess
import sys
import tomllib

import nbformat
import pytest
from conftest import ROOT

from course_utils import setup
from tools import build, colab
from tools.lessons import lessons, repository

BEFORE = {"torch": "2.11.0", "numpy": "2.1.3"}
AFTER = BEFORE | {"evaluate": "0.4.6"}
MACHINE = colab.Colab(
    ROOT, {"torch": "2.11.0", "numpy": "2.1.3", "sqlalchemy": "2.0.52"}, BEFORE, ["evaluate>=0.4.6"]
)


# Colab's versions


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("torch==2.11.0+cu128", {"torch": "2.11.0"}),
        ("Huggingface_Hub==1.27.0", {"huggingface-hub": "1.27.0"}),
        (
            "torch @ https://host.example/whl/cu128/torch-2.11.0%2Bcu128-cp313-cp313-linux_x86_64.whl#sha256=0a",
            {"torch": "2.11.0"},
        ),
        ("google-colab @ file:///colabtools/dist/google-colab-1.0.0.tar.gz", {}),
        ("# numpy==1.0", {}),
        ("", {}),
        ("jax @ git+https://host.example/jax.git", {}),
        ("tomli==2.0.1 ; python_version < '3.11'", {"tomli": "2.0.1"}),
    ],
)
def test_a_line_of_pip_freeze_gives_the_version_that_an_index_has(line, found):
    assert colab.versions(line) == found


@pytest.fixture
def colabs_files(tmp_path, monkeypatch):
    """Colab's two files in a folder of this machine, and a constraints file to write."""
    (tmp_path / "pip-freeze.txt").write_text(
        "torch==2.12.0+cu128\ntransformers==5.20.0\nnumpy==2.2.0\nipykernel==6.17.1\n"
        + "".join(f"package-{n}==1.{n}\n" for n in range(300)),
        encoding="utf-8",
    )
    (tmp_path / "os-info.txt").write_text(
        "# made by\nUbuntu 22.04.5 LTS\nPython 3.14.2\n", encoding="utf-8"
    )
    (tmp_path / "constraints.txt").write_text("torch==2.11.0\n", encoding="utf-8")
    monkeypatch.setattr(colab, "COLAB_FILES", tmp_path.as_uri() + "/")
    monkeypatch.setattr(colab, "CONSTRAINTS", tmp_path / "constraints.txt")
    monkeypatch.setattr(colab, "ROOT", tmp_path)
    return tmp_path


def test_the_newest_versions_replace_the_old_ones_with_their_day_and_python(colabs_files, capsys):
    colab.fetch()
    first, *lines = (colabs_files / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert (
        str(datetime.date.today()) in first and "(Python 3.14)" in first and first.startswith("#")
    )
    assert "torch==2.12.0" in lines and len(lines) == 304
    assert capsys.readouterr().out == "wrote constraints.txt: 304 packages\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("pip-freeze.txt", None, "could not be fetched"),
        ("os-info.txt", None, "could not be fetched"),
        ("pip-freeze.txt", "<html>moved</html>", "not Colab's list of packages (0 versions found)"),
        ("os-info.txt", "Ubuntu", "not Colab's list of packages"),
    ],
)
def test_what_is_not_colabs_list_is_refused_and_nothing_is_written(
    colabs_files, name, content, words
):
    if content is None:
        (colabs_files / name).unlink()
    else:
        (colabs_files / name).write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        colab.fetch()
    assert words in str(stopped.value) and "Nothing was written" in str(stopped.value)
    assert (colabs_files / "constraints.txt").read_text(encoding="utf-8") == "torch==2.11.0\n"


def test_colab_lacks_evaluate_and_optuna_and_nothing_else_that_the_course_wants():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    there, missing = colab.split(
        wanted, colab.versions(colab.CONSTRAINTS.read_text(encoding="utf-8"))
    )
    assert [m.split(">")[0] for m in missing] == ["evaluate", "optuna"]
    assert sorted(there + missing) == sorted(wanted)


@pytest.mark.parametrize(
    ("here", "taken"), [("2.13.0+cpu", "2.13.0"), ("2.13.0", "2.11.0"), (None, "2.11.0")]
)
def test_only_a_machine_with_a_cpu_build_keeps_its_own_torch(here, taken, monkeypatch):
    def version(name):
        if here is None:
            raise colab.importlib.metadata.PackageNotFoundError(name)
        return here

    monkeypatch.setattr(colab.importlib.metadata, "version", version)
    assert colab.torch_version("2.11.0") == taken


# Before and after


def test_additions_and_disturbances_are_told_apart():
    after = {"torch": "2.13.0", "evaluate": "0.4.6"}
    assert colab.added(BEFORE, after) == ["evaluate 0.4.6"]
    assert colab.disturbed(BEFORE, after) == ["numpy 2.1.3 is gone", "torch 2.11.0 became 2.13.0"]
    assert colab.added(AFTER, AFTER) == colab.disturbed(AFTER, AFTER) == []


def test_a_lesson_that_only_adds_what_is_missing_is_good():
    assert colab.judge(BEFORE, AFTER, AFTER, MACHINE) == []
    assert (
        colab.judge(BEFORE, AFTER | {"alembic": "1.18.0"}, AFTER | {"alembic": "1.18.0"}, MACHINE)
        == []
    )


@pytest.mark.parametrize(
    ("after", "again", "problem"),
    [
        (
            AFTER | {"torch": "2.13.0"},
            None,
            "the setup cell changed what was there: torch 2.11.0 became 2.13.0",
        ),
        (
            {"torch": "2.11.0", "evaluate": "0.4.6"},
            None,
            "the setup cell changed what was there: numpy 2.1.3 is gone",
        ),
        (BEFORE, None, "the setup cell did not install evaluate>=0.4.6"),
        (
            AFTER | {"sqlalchemy": "2.1.9"},
            None,
            "the setup cell installed what Colab has: sqlalchemy",
        ),
        (AFTER, AFTER | {"optuna": "5.0.0"}, "a second run changed packages: optuna 5.0.0"),
        (AFTER, BEFORE, "a second run changed packages: evaluate 0.4.6 is gone"),
    ],
)
def test_anything_else_is_named(after, again, problem):
    assert colab.judge(BEFORE, after, after if again is None else again, MACHINE) == [problem]


def test_what_a_lesson_added_is_taken_out_and_a_changed_environment_is_made_anew(
    tmp_path, monkeypatch
):
    state, calls = dict(AFTER), []

    def pip(python, *arguments):
        calls.append(arguments)
        state.pop("evaluate")

    monkeypatch.setattr(colab, "installed", lambda python: dict(state))
    monkeypatch.setattr(colab, "pip", pip)
    monkeypatch.setattr(colab, "ENVIRONMENT", tmp_path)
    (tmp_path / "made.json").touch()
    colab.restore(MACHINE)
    assert calls == [("uninstall", "-q", "-y", "evaluate")] and (tmp_path / "made.json").exists()
    state["numpy"] = "2.4.6"
    with pytest.raises(
        SystemExit, match=r"numpy 2\.1\.3 became 2\.4\.6\)\. The next run makes it anew"
    ):
        colab.restore(MACHINE)
    assert not (tmp_path / "made.json").exists()


def test_of_a_package_that_is_there_twice_the_one_in_use_is_held(tmp_path, monkeypatch):
    """Colab's system has an old copy of some packages behind the new one: held at the old version, pip would put it back."""
    folders = [tmp_path / "new", tmp_path / "old"]
    for folder, version in zip(folders, ("1.17.0", "1.16.0"), strict=True):
        (folder / f"six-{version}.dist-info").mkdir(parents=True)
        (folder / f"six-{version}.dist-info/METADATA").write_text(
            f"Name: six\nVersion: {version}\n", encoding="utf-8"
        )
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["evaluate"]\n', encoding="utf-8"
    )
    held = []

    def run(command, **_):
        held.extend(
            (tmp_path / command[command.index("-c") + 1]).read_text(encoding="utf-8").splitlines()
        )
        return subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setattr(sys, "path", [str(f) for f in folders])
    monkeypatch.setattr(setup.subprocess, "run", run)
    setup.ensure_packages(tmp_path)
    assert held == ["six==1.17.0"]


# A folder that holds only the notebook


def python(code: str, folder, **variables: str) -> subprocess.CompletedProcess:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COURSE_", "PYTHON"))
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        env=kept | variables,
    )


def test_the_fake_package_makes_a_machine_look_like_colab_and_refuses_to_mount_drive(tmp_path):
    colab.write_fake_colab(tmp_path)
    found = python(
        "import importlib.util; print(importlib.util.find_spec('google.colab') is not None)",
        ROOT,
        PYTHONPATH=str(tmp_path),
    )
    assert found.stdout == "True\n", found.stderr
    mounted = python(
        "from google.colab import drive; drive.mount('/content/drive')",
        ROOT,
        PYTHONPATH=str(tmp_path),
    )
    assert mounted.returncode and "Drive was mounted although nobody asked for it" in mounted.stderr


def test_a_kernel_gets_nothing_from_this_repository_and_no_way_to_the_hub(tmp_path, monkeypatch):
    foreign = (
        "COURSE_MIRROR",
        "PYTHONPATH",
        "PYTHONWARNINGS",
        "VIRTUAL_ENV",
        "MPLBACKEND",
        "HF_ENDPOINT",
        "JUPYTER_PATH",
    )
    for name in foreign:
        monkeypatch.setenv(name, "of this repository")
    got = colab.kernel_environment(tmp_path, tmp_path / "bin/python", "file:///course.git")
    assert "of this repository" not in got.values()
    assert (
        got["COURSE_SOURCE"] == "file:///course.git"
        and got["COURSE_PROFILE"] == "mini"
        and got["HF_HUB_OFFLINE"] == "1"
    )
    assert got["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin") and got["PYTHONPATH"] == str(
        tmp_path / "fake"
    )


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("x / 0", "cell 1: ZeroDivisionError: division by zero"),
        ("import os\nos._exit(1)", "cell 1: DeadKernelError"),
    ],
)
def test_a_cell_that_stops_is_named(code, problem, tmp_path, monkeypatch):
    spec = tmp_path / "kernels/colab/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(
        json.dumps(
            {
                "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "Colab",
                "language": "python",
            }
        ),
        encoding="utf-8",
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (tmp_path / "content").mkdir()
    cells = [nbformat.v4.new_code_cell(source) for source in ("x = 1", code, "print('never')")]
    assert (
        colab.execute(nbformat.v4.new_notebook(cells=cells), tmp_path, dict(os.environ)) == problem
    )


@pytest.fixture
def setup_cell() -> str:
    return build.fill("{{setup}}", lessons()[0])


def test_the_setup_cell_fetches_the_course_into_an_empty_folder(setup_cell, tmp_path):
    source = colab.snapshot(tmp_path)
    (tmp_path / "content").mkdir()
    code = f"{setup_cell}\nimport course_utils\nprint(added, course_utils.__file__)"
    for _ in range(2):  # the second time the course is there
        done = python(code, tmp_path / "content", COURSE_SOURCE=source)
        course = tmp_path / "content" / repository().folder
        assert done.stdout == f"[] {course / 'course_utils/__init__.py'}\n", done.stderr
        source = "file:///nowhere"


def test_a_course_that_cannot_be_fetched_ends_in_one_message_that_says_what_to_do(
    setup_cell, tmp_path
):
    source = (tmp_path / "nowhere.git").as_uri()
    done = python(setup_cell, tmp_path, COURSE_SOURCE=source, HOME=str(tmp_path / "home"))
    message = done.stderr[done.stderr.rindex("RuntimeError") :]
    assert done.returncode == 1 and not (tmp_path / repository().folder).exists()
    assert re.match(
        rf"RuntimeError: The course could not be fetched from {re.escape(source)}\. Check this address and its "
        rf"branch {re.escape(repository().branch)}, then run the cell again\. Git said: fatal: ",
        message,
    ), done.stderr
    assert "CalledProcessError" not in done.stderr
