"""Prepare a notebook's machine: packages that it lacks, and places to write to.

Standard library only, and readable by the older Pythons that it refuses.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

NEEDED_PYTHON = (3, 11)
OWN_ENVIRONMENT = (
    "Use the course's own environment: run `make learn` (or `python3 tools/launch.py learn`) in "
    "the course's folder and open the notebook there."
)


class SetupError(RuntimeError):
    """The course can't run here yet. The message names the cause and the cure."""


# --- places to write to ---


def writable(folder: Path) -> bool:
    """Whether a file of 64 KiB can be written below ``folder``, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))
            file.flush()
        return True
    except OSError:
        return False


def user_cache(*names: str) -> Path | None:
    """A folder below ``.cache`` in the home folder; None for a user who has no home."""
    try:
        return Path.home().joinpath(".cache", *names)
    except RuntimeError:
        return None


def writable_folder(root: Path, name: str) -> Path:
    """A folder to write to: in the course, else in the home folder, else in a temporary one.

    Raises SetupError where none of them can be written to.
    """
    places = [root / "build", user_cache("distilbert-course"), own_temporary_folder()]
    for place in places:
        if place and writable(place / name):
            return place / name
    raise SetupError(
        f"Neither {places[0]} nor {places[1] or 'a home folder'} nor {temporary_folder()} can be "
        "written to. Free "
        "some disk space, or copy the course into a folder of your own and open it there."
    )


def temporary_folder() -> Path:
    """The folder for temporary files. ``tempfile`` would leave it for another where it is full."""
    names = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return next((Path(name) for name in names if name), Path("/tmp"))


def own_temporary_folder() -> Path | None:
    """A temporary folder that only this user can write to, the same one each time; or None."""
    if not hasattr(os, "getuid"):  # Windows: each user's temporary folder is their own
        return temporary_folder() / "distilbert-course"
    folder = temporary_folder() / f"distilbert-course-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(known.st_mode) and known.st_mode & 0o022 == 0
    return folder if private and known.st_uid == os.getuid() else None


def work_folder(root: Path) -> Path:
    """Where lessons keep checkpoints: the folder that ``COURSE_WORK`` names, or a writable one."""
    if not (named := os.environ.get("COURSE_WORK", "").strip()):
        return writable_folder(root, "work")
    folder = Path(os.path.expanduser(named)).absolute()  # noqa: PTH111 - ~ without a home
    if not writable(folder):
        raise SetupError(
            f"COURSE_WORK={named}: this folder can't be written to, or its disk is full. Set "
            "COURSE_WORK to another one, or unset it."
        )
    return folder


def places(root: Path) -> dict[str, str]:
    """Environment variables that replace folders that can't be written to.

    Empty on a usual machine. What the user has set stays.
    """
    found = {"COURSE_WORK": str(work_folder(root))}
    if found["COURSE_WORK"] == str(root / "build/work") or "COURSE_WORK" in os.environ:
        del found["COURSE_WORK"]
    if not os.access(root, os.W_OK):
        found["COURSE_PROGRESS"] = str(writable_folder(root, "progress") / "progress.json")
    cache = os.environ.get("XDG_CACHE_HOME") or user_cache()
    if not cache or not writable(Path(cache)):
        folder = writable_folder(root, "home")
        names = {"HF_HOME": "huggingface", "MPLCONFIGDIR": "matplotlib", "IPYTHONDIR": "ipython"}
        names |= {f"JUPYTER_{kind}_DIR": f"jupyter/{kind.lower()}" for kind in ("CONFIG", "DATA")}
        names["JUPYTER_RUNTIME_DIR"] = "jupyter/runtime"
        found |= {variable: str(folder / name) for variable, name in names.items()}
    return {variable: value for variable, value in found.items() if variable not in os.environ}


# --- packages ---


def requirement_name(requirement: str) -> str:
    """``"Huggingface_Hub>=1.0"`` -> ``"huggingface-hub"``: without versions, as in PEP 503."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement.strip())[0]).lower()


def release(version: str) -> list[int]:
    """``"2.10.0a0+cu128"`` -> ``[2, 10, 0, 0]``: what comes before the letters, in four numbers."""
    numbers = [int(n) for n in re.match(r"[\d.]*", version)[0].split(".") if n]
    return (numbers + [0] * 4)[:4]


def free_gib(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 2**30


def full_disk(*folders: Path) -> str:
    """Which of ``folders`` has the least space left, and what to do about it."""
    free, folder = min((free_gib(folder), folder) for folder in folders if folder.is_dir())
    cure = f"The disk of {folder} is full ({free:.1f} GiB free). Free a few GiB there"
    if folder == folders[0]:
        cure += ", or set TMPDIR to a folder with more space"
    return f"{cure}."


def explain_pip(error: str, environment: Path) -> str:
    """pip's ``error`` in plain words, one cause and its cure, with its own last lines below.

    ``environment`` is the folder that pip installs into.
    """
    causes = {
        r"externally-managed-environment": "This Python belongs to the operating system, and pip "
        f"may not add to it (PEP 668). {OWN_ENVIRONMENT}",
        r"no module named pip": f"There is no pip in {environment}. Where it is a folder .venv "
        "whose installation was interrupted, delete it and run `make learn` again; elsewhere run "
        "`python3 -m ensurepip`.",
        r"disk quota|errno 122": f"Your quota on the disk of {environment} or of "
        f"{temporary_folder()} is used up. Delete files of yours there.",
        r"no space left|errno 28": full_disk(temporary_folder(), environment),
        r"no usable temporary directory": f"The temporary folder {temporary_folder()} can't be "
        "written to, or its disk is full. Free some space there, or set TMPDIR to another folder.",
        r"permission denied|read-only file system|errno 13|errno 30": "The folder that packages "
        f"are installed into can't be written to ({environment}). Use an environment of your own: "
        "run `make learn` in a copy of the course.",
        r"certificate.verify.failed": "The package index's certificate is not trusted here: a "
        "proxy that reads along, or a wrong clock. Set PIP_CERT to your network's certificate.",
        r"connection|getaddrinfo|name resolution|network is unreachable|timed out": "The package "
        "index can't be reached, and the packages aren't installed yet. Connect to the network "
        "once; after that the course works offline.",
        r"resolutionimpossible|conflicting dependencies": "What is missing does not go with the "
        f"versions that are installed. {OWN_ENVIRONMENT}",
        r"no matching distribution|could not find a version": "No package fits this Python and "
        "this machine. Try Python 3.11, 3.12 or 3.13 on 64-bit Linux, macOS or Windows.",
    }
    lower = error.lower()
    found = (cause for sign, cause in causes.items() if re.search(sign, lower))
    tail = "\n".join(error.strip().splitlines()[-6:])
    return f"{next(found, 'Installing the packages failed.')} Then try again.\n\npip said:\n{tail}"


def ensure_packages(root: Path) -> list[str]:
    """Install those dependencies of ``pyproject.toml`` that are missing; returns their names.

    Every installed package goes into a constraints file, so pip can add but not replace: on Colab
    an upgrade of transformers or NumPy would break other packages and want a restart.

    Raises SetupError where pip can't install them, or an installed one is too old.
    """
    import tomllib  # here: older Pythons, which are told so, don't have it

    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    wanted = tomllib.loads(text)["project"]["dependencies"]
    installed: dict[str, str] = {}
    for d in importlib.metadata.distributions():
        # Colab has some packages twice, the system's old one last: the first is the one in use.
        if d.metadata["Name"]:
            installed.setdefault(requirement_name(d.metadata["Name"]), d.version)
    floors = {requirement_name(r): r.partition(">=")[2] for r in wanted}
    old = {n: f for n, f in floors.items() if release(installed.get(n) or f) < release(f)}
    if old:
        found = ", ".join(f"{n} {installed[n]} ({f} or newer is needed)" for n, f in old.items())
        raise SetupError(
            f"Too old for the course: {found}. Nothing was changed, for other programs may need "
            f"these. {OWN_ENVIRONMENT} On Colab choose the latest runtime version; on other hosted "
            f"machines run `%pip install -U {' '.join(old)}` and restart the kernel."
        )
    missing = [r for r in wanted if requirement_name(r) not in installed]
    if missing:
        held = [
            f"{name}=={version.split('+')[0]}"
            for name, version in installed.items()
            if name not in {"pip", "setuptools"}
        ]
        try:
            with tempfile.TemporaryDirectory() as folder:
                constraints = Path(folder) / "installed.txt"
                constraints.write_text("\n".join(held), encoding="utf-8")
                pip = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints)]
                done = subprocess.run([*pip, *missing], stderr=subprocess.PIPE, text=True)
        except OSError as error:  # no temporary folder, or a full one
            raise SetupError(explain_pip(str(error), Path(sys.prefix))) from None
        if done.returncode:
            raise SetupError(explain_pip(done.stderr, Path(sys.prefix)))
        importlib.invalidate_caches()
        print("installed:", ", ".join(missing))
    return missing


def check_names(*names: str) -> None:
    """Raise SetupError where something else of a package's name is what Python would import."""
    for name in names:
        try:
            own = importlib.metadata.distribution(name).locate_file(f"{name}/__init__.py")
        except importlib.metadata.PackageNotFoundError:
            continue
        found = importlib.machinery.PathFinder.find_spec(name)
        if found and found.origin and own.is_file() and not own.samefile(found.origin):
            raise SetupError(
                f"{found.origin} has the name of the package {name} and would be imported in its "
                "place. Rename it, or take its folder out of PYTHONPATH; then restart the kernel."
            )


def prepare(root: Path) -> list[str]:
    """What the setup cell calls: check Python, find places to write to, install what is missing.

    Returns the packages that were installed. Raises SetupError where something keeps the course
    from running; it says what, and the cure.
    """
    if sys.version_info < NEEDED_PYTHON:
        raise SetupError(
            f"The course needs Python 3.11 or newer; this notebook runs on "
            f"{sys.version.split()[0]} ({sys.executable}). Choose another kernel, or install a "
            f"newer Python and run `make learn PYTHON=/path/to/python3.11` in {root}."
        )
    moved = places(root)
    os.environ.update(moved)
    for variable, value in moved.items():
        print(f"{variable}={value}: the usual folder can't be written to")
    added = ensure_packages(root)
    check_names("torch", "transformers", "datasets", "evaluate", "accelerate", "numpy")
    return added
