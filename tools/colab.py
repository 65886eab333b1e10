"""Run lessons as Colab runs them: with Colab's package versions, each from its notebook alone.

``.venv-colab`` gets the packages that the course needs and Colab has, in Colab's versions. Each lesson's notebook is put
alone into an empty folder and run there: its setup cell has to fetch the course and to install what Colab lacks, without
changing any package that was there. ``--fetch`` first writes Colab's newest versions to ``.github/colab-constraints.txt``.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.parse
import urllib.request
import venv
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from course_utils.setup import requirement_name
from tools.build import strip, write
from tools.launch import python_of
from tools.lessons import ROOT, Lesson, lesson_number, lessons, repository
from tools.run_lessons import first_error, printed

CONSTRAINTS = ROOT / ".github/colab-constraints.txt"
ENVIRONMENT = ROOT / ".venv-colab"
OUT = ROOT / "build/colab"
COLAB_FILES = "https://raw.githubusercontent.com/googlecolab/backend-info/main/"
# Beside what the course asks for, a notebook needs a kernel and a pip of the versions that Colab has.
MACHINERY = ("pip", "ipykernel")
FAKE_COLAB = {
    "google/colab/__init__.py": "",
    "google/colab/drive.py": 'def mount(*_, **__):\n    raise RuntimeError("Drive was mounted although nobody asked for it")\n',
}
PROBE = (
    "import importlib.util, course_utils\n"
    "print(importlib.util.find_spec('google.colab') is not None, course_utils.__file__)"
)


def versions(frozen: str) -> dict[str, str]:
    """Name -> version of each line of ``pip freeze``; lines without a version (a folder, a git address) are left out.

    ``torch==2.11.0+cu128`` and ``torch @ https://…/torch-2.11.0%2Bcu128-cp313-….whl`` both give 2.11.0, the number
    under which package indexes have it.
    """
    found = {}
    for line in frozen.splitlines():
        name, version = "", ""
        if match := re.match(r"([\w.-]+)==([^\s;]+)", line):
            name, version = match.groups()
        elif match := re.match(r"([\w.-]+) @ \S+/[^/\s]+?-([^/\s-]+)-[^/\s]+\.whl", line):
            name, version = match[1], urllib.parse.unquote(match[2])
        if name:
            found[requirement_name(name)] = version.split("+")[0]
    return found


def fetch() -> None:
    """Write Colab's newest versions to the constraints file. Raises SystemExit where there is no such list."""

    def get(name: str) -> str:
        with urllib.request.urlopen(COLAB_FILES + name, timeout=30) as answer:
            return answer.read().decode("utf-8")

    try:
        frozen, system = versions(get("pip-freeze.txt")), get("os-info.txt")
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"Colab's list of packages could not be fetched ({error}). Nothing was written."
        ) from None
    text = constraints(
        frozen, re.search(r"^Python (\d+\.\d+)", system, re.M), datetime.date.today()
    )
    CONSTRAINTS.write_text(text, encoding="utf-8")
    print(f"wrote {CONSTRAINTS.relative_to(ROOT)}: {len(frozen)} packages")


def constraints(frozen: dict[str, str], python: re.Match | None, day: datetime.date) -> str:
    """The text of the constraints file. Raises SystemExit for what can't be Colab's list."""
    if (
        len(frozen) < 300
        or not {"torch", "transformers", "numpy", "ipykernel"} <= frozen.keys()
        or not python
    ):
        raise SystemExit(
            f"This is not Colab's list of packages ({len(frozen)} versions found). Look at {COLAB_FILES} "
            "for where it is now. Nothing was written."
        )
    head = (
        f"# Versions of the Python packages in Google Colab's standard image on {day} (Python {python[1]}). "
        "A pip constraints file.\n"
    )
    return head + "".join(f"{name}=={version}\n" for name, version in sorted(frozen.items()))


def split(wanted: list[str], colab: dict[str, str]) -> tuple[list[str], list[str]]:
    """The course's requirements that Colab has, and those that it lacks."""
    there = [r for r in wanted if requirement_name(r) in colab]
    return there, [r for r in wanted if r not in there]


def torch_version(colab: str) -> str:
    """Colab's, except on a machine that has a CPU build: there another number would bring gigabytes of CUDA."""
    try:
        here = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return colab
    return here.removesuffix("+cpu") if here.endswith("+cpu") else colab


def added(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [f"{name} {version}" for name, version in sorted(after.items()) if name not in before]


def disturbed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Packages that were installed and now have another version, or are missing."""
    return [
        f"{name} {version} " + (f"became {after[name]}" if name in after else "is gone")
        for name, version in sorted(before.items())
        if after.get(name) != version
    ]


def pip(python: Path, *arguments: str) -> str:
    """What pip prints; an error of pip ends the program with pip's own words."""
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"pip {' '.join(arguments[:2])} … failed:\n{done.stderr[-3000:]}")
    return done.stdout


def installed(python: Path) -> dict[str, str]:
    return {
        requirement_name(p["name"]): p["version"]
        for p in json.loads(pip(python, "list", "--format", "json"))
    }


@dataclass(frozen=True)
class Colab:
    """The environment that simulates Colab: ``packages`` is what is installed before a lesson, ``missing`` what Colab lacks."""

    python: Path
    versions: dict[str, str]
    packages: dict[str, str]
    missing: list[str]


def prepare() -> Colab:
    """Make ``.venv-colab``, or restore the existing one to its first state, without what a lesson installed."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    colab = versions(CONSTRAINTS.read_text(encoding="utf-8"))
    there, missing = split(wanted, colab)
    # Colab's torch was built for another CUDA than the one that pip installs: its requirements name those that fit.
    colab = {
        name: version
        for name, version in colab.items()
        if not name.startswith(("cuda-", "nvidia-", "triton"))
    }
    theirs = colab["torch"]
    colab["torch"] = torch_version(theirs)
    if colab["torch"] != theirs:
        del colab["setuptools"]  # another torch asks for another one
        print(f"torch {colab['torch']}, this machine's CPU build, stands for Colab's {theirs}")
    python, record = python_of(ENVIRONMENT), ENVIRONMENT / "made.json"
    stamp = hashlib.sha256(json.dumps([colab, wanted, sys.version]).encode()).hexdigest()
    try:
        made = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        made = {}
    if made.get("stamp") == stamp:
        machine = Colab(python, colab, made["packages"], missing)
        restore(machine)
        return machine
    print(f"Making {ENVIRONMENT.name} with Colab's versions …", flush=True)
    start = time.perf_counter()
    record.unlink(missing_ok=True)
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "colab.txt"
        pins.write_text(
            "".join(f"{name}=={version}\n" for name, version in colab.items()), encoding="utf-8"
        )
        pip(python, "install", "-q", "-c", str(pins), *MACHINERY)
        pip(python, "install", "-q", "-c", str(pins), *there)
        # What Colab lacks may depend on packages that Colab has. They are there before the setup cell runs.
        report = json.loads(
            pip(python, "install", "-q", "--dry-run", "--report", "-", "-c", str(pins), *missing)
        )
        names = {requirement_name(p["metadata"]["name"]) for p in report["install"]} & colab.keys()
        if names:
            pip(
                python,
                "install",
                "-q",
                "-c",
                str(pins),
                *(f"{name}=={colab[name]}" for name in sorted(names)),
            )
    packages = installed(python)
    record.write_text(json.dumps({"stamp": stamp, "packages": packages}), encoding="utf-8")
    print(f"{len(packages)} packages, {(time.perf_counter() - start) / 60:.1f} min", flush=True)
    return Colab(python, colab, packages, missing)


def restore(machine: Colab) -> None:
    """Take out what a lesson installed. Raises SystemExit where something else was changed."""
    now = installed(machine.python)
    if extra := [name for name in now if name not in machine.packages]:
        pip(machine.python, "uninstall", "-q", "-y", *extra)
    if wrong := disturbed(machine.packages, installed(machine.python)):
        (ENVIRONMENT / "made.json").unlink()
        raise SystemExit(
            f"{ENVIRONMENT.name} is no longer as it was made ({', '.join(wrong)}). The next run makes it anew."
        )


def snapshot(folder: Path) -> str:
    """A bare copy of what is committed, under the branch that setup cells ask for; returns its ``file://`` address."""
    bare = folder / "course.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(ROOT), str(bare)], check=True)
    subprocess.run(
        ["git", "-C", str(bare), "update-ref", f"refs/heads/{repository().branch}", "HEAD"],
        check=True,
    )
    return bare.as_uri()


def write_fake_colab(folder: Path) -> None:
    """Write a package ``google.colab``, by which programs recognise Colab."""
    for name, text in FAKE_COLAB.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def kernel_environment(folder: Path, python: Path, source: str) -> dict[str, str]:
    """The variables of a kernel without paths to this repository; the profile is ``mini``, the Hub is offline."""
    foreign = ("COURSE_", "PYTHON", "JUPYTER", "IPYTHON", "VIRTUAL_ENV", "CONDA", "MPL", "HF_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "PATH": f"{python.parent}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": str(folder / "fake"),
        "IPYTHONDIR": str(folder / "ipython"),
        "COURSE_SOURCE": source,
        "COURSE_PROFILE": "mini",
        "HF_HUB_OFFLINE": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def execute(notebook: nbformat.NotebookNode, folder: Path, environment: dict[str, str]) -> str:
    """Run all cells in a kernel of ``.venv-colab`` started in ``folder / "content"``; returns what stopped it, or ""."""
    running = [0]
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="colab",
        store_widget_state=False,
        record_timing=False,
        on_cell_execute=lambda cell, cell_index: running.append(cell_index),
        resources={"metadata": {"path": str(folder / "content")}},
    )
    try:
        client.execute(env=environment)
    except CellExecutionError:
        return first_error(notebook)
    except (CellTimeoutError, DeadKernelError) as error:
        return f"cell {running[-1]}: {type(error).__name__}"
    return ""


@dataclass
class Result:
    """The outcome of one lesson; ``problems`` is empty where it passed."""

    lesson: Lesson
    minutes: float
    headline: str
    added: list[str]
    problems: list[str] = field(default_factory=list)


def judge(
    before: dict[str, str], after: dict[str, str], again: dict[str, str], machine: Colab
) -> list[str]:
    """What is wrong with the packages after a lesson, and after its setup cell ran once more."""
    new, problems = [n for n in after if n not in before], []
    if moved := disturbed(before, after):
        problems.append(f"the setup cell changed what was there: {', '.join(moved)}")
    if lacking := [r for r in machine.missing if requirement_name(r) not in after]:
        problems.append(f"the setup cell did not install {', '.join(lacking)}")
    if needless := [n for n in new if n in machine.versions]:
        problems.append(f"the setup cell installed what Colab has: {', '.join(needless)}")
    if again != after:
        problems.append(
            f"a second run changed packages: {', '.join(added(after, again) + disturbed(after, again))}"
        )
    return problems


def text_of(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


def run(lesson: Lesson, machine: Colab) -> Result:
    """Put the committed notebook alone into an empty folder and run it; then its setup cell once more, in a new kernel."""
    with tempfile.TemporaryDirectory(prefix="colab-") as name:
        folder = Path(name).resolve()
        (folder / "content").mkdir()
        write_fake_colab(folder / "fake")
        environment = kernel_environment(folder, machine.python, snapshot(folder))
        committed = subprocess.run(
            ["git", "show", f"HEAD:{lesson.notebook.relative_to(ROOT).as_posix()}"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        notebook = nbformat.reads(committed.decode("utf-8"), as_version=4)
        (folder / "content" / lesson.notebook.name).write_bytes(committed)
        for cell in notebook.cells:
            if cell.cell_type == "code":  # what stands there afterwards was printed here
                cell.outputs, cell.execution_count = [], None
        start = time.perf_counter()
        problem = execute(notebook, folder, environment)
        result = Result(
            lesson, (time.perf_counter() - start) / 60, printed(notebook, "Headline"), []
        )
        strip(notebook)
        write(notebook, OUT / lesson.notebook.name)
        after = installed(machine.python)
        result.added = added(machine.packages, after)
        if problem:
            result.problems.append(problem)
            return result
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if not re.search(r"^Headline: ", text_of(code[-1]), re.M):
            result.problems.append("the last cell does not print Headline:")
        second = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in (code[0].source, PROBE)]
        )
        if problem := execute(second, folder, environment):
            result.problems.append(f"the setup cell's second run: {problem}")
            return result
        result.problems += judge(machine.packages, after, installed(machine.python), machine)
        if said := text_of(second.cells[0]):
            result.problems.append(f"the setup cell's second run printed {said!r}")
        course = folder / "content" / repository().folder / "course_utils/__init__.py"
        if text_of(second.cells[1]).split() != ["True", str(course)]:
            result.problems.append(
                f"expected google.colab and the course's clone, found: {text_of(second.cells[1])!r}"
            )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.colab", description=__doc__)
    parser.add_argument(
        "lesson",
        nargs="*",
        type=lambda text: text if text == "all" else lesson_number(text),
        help="two digits, or all; 00 and 05 by default",
    )
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="only write Colab's newest versions to the constraints file",
    )
    args = parser.parse_args()
    if args.fetch:
        return fetch()
    chosen = lessons([] if args.lesson == ["all"] else args.lesson or ["00", "05"])
    if subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip():
        print("note: what isn't committed is not part of this run")
    machine, results = prepare(), []
    print(
        f"Python {platform.python_version()}; Colab lacks {', '.join(machine.missing) or 'nothing'}"
    )
    with tempfile.TemporaryDirectory() as folder:  # where nbclient finds the kernel
        spec = Path(folder) / "kernels/colab/kernel.json"
        spec.parent.mkdir(parents=True)
        spec.write_text(
            json.dumps(
                {
                    "argv": [
                        str(machine.python),
                        "-m",
                        "ipykernel_launcher",
                        "-f",
                        "{connection_file}",
                    ],
                    "display_name": "Colab",
                    "language": "python",
                }
            ),
            encoding="utf-8",
        )
        os.environ["JUPYTER_PATH"] = folder
        for lesson in chosen:
            print(f"lesson {lesson.number}: {lesson.title} …", flush=True)
            restore(machine)
            results.append(run(lesson, machine))
            print(
                "\n".join(f"      FAILED {p}" for p in results[-1].problems)
                or f"      {results[-1].headline}",
                flush=True,
            )
        restore(machine)
    print("\n| lesson | minutes | packages added | result |\n|---|---|---|---|")
    for r in results:
        print(
            f"| {r.lesson.number} {r.lesson.title} | {r.minutes:.1f} | {', '.join(r.added) or 'none'} | "
            f"{'; '.join(r.problems) or 'reached the end'} |"
        )
    raise SystemExit(any(r.problems for r in results))


if __name__ == "__main__":
    main()
