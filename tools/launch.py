"""Prepare ``.venv`` and open JupyterLab on the first lesson. Runs with the system's Python and nothing installed.

``launch.py install`` only prepares; ``launch.py learn`` also opens; ``launch.py instructor`` prepares ``.venv-instructor``
too. A stamp in each environment remembers what was installed, so a second call starts in seconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
INSTRUCTOR_VENV = ROOT / ".venv-instructor"
NEEDED_GIB = 4.0


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def stop(message: str) -> None:
    sys.exit(f"\n{message}\n")


def check_machine() -> None:
    """Say in plain words what is missing, before anything is written."""
    if sys.version_info < (3, 11):
        stop(f"This course needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable}).\n"
             "Install a newer Python, then run: make learn PYTHON=/path/to/python3.11")
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < NEEDED_GIB and not VENV.exists():
        stop(f"Not enough disk space: {free:.1f} GiB free, {NEEDED_GIB:.0f} GiB needed for PyTorch and the other "
             "packages. Free some space and run the command again; nothing was written.")


def wanted_stamp(requirements: str = "requirements.txt") -> str:
    return hashlib.sha256((ROOT / requirements).read_bytes() + sys.version.encode()).hexdigest()


def install(folder: Path | None = None, requirements: str = "requirements.txt") -> None:
    """Make ``.venv`` (or ``folder``) and install the pinned requirements, unless that was done already."""
    folder = folder or VENV
    check_machine()
    stamp = folder / "installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted_stamp(requirements) and python_of(folder).exists():
        return
    if not python_of(folder).exists():
        print(f"Making {folder.name} …", flush=True)
        try:
            venv.create(folder, with_pip=True, clear=folder.exists())
        except (subprocess.CalledProcessError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)  # half of one would be taken for a whole one the next time
            stop(f"Making {folder.name} failed ({error}).\nOn Debian and Ubuntu the part of Python that does it comes apart: "
                 "sudo apt install python3-venv. Then run the command again.")
    print(f"Installing the packages of {requirements} (a few minutes the first time) …", flush=True)
    command = [python_of(folder), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", ROOT / requirements]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        stop(explain(done.stderr))
    stamp.write_text(wanted_stamp(requirements), encoding="utf-8")


def explain(error: str) -> str:
    """pip's error in plain words, with its own last lines below."""
    tail = "\n".join(error.strip().splitlines()[-6:])
    lower = error.lower()
    if "no space left" in lower or "errno 28" in lower:
        cause = "The disk is full. Free a few GiB and run the command again: it goes on where it stopped."
    elif any(sign in lower for sign in ("connection", "getaddrinfo", "name resolution", "network is unreachable", "timed out")):
        cause = ("The package index can't be reached, and the packages aren't installed yet. Connect to the network once "
                 "and run the command again; after that the course works offline.")
    elif "no matching distribution" in lower or "could not find a version" in lower:
        cause = "No package fits this Python and this machine. Try Python 3.11, 3.12 or 3.13 on 64-bit Linux, macOS or Windows."
    else:
        cause = "Installing the packages failed."
    return f"{cause}\n\npip said:\n{tail}"


def first_lesson() -> str:
    found = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        stop("There is no lesson in notebooks/. Fetch the repository again.")
    return found[0].relative_to(ROOT).as_posix()


def learn() -> None:
    """Serve JupyterLab on this machine only and open the first lesson (``NO_BROWSER=1``: print the address)."""
    command = [str(python_of(VENV)), "-m", "jupyterlab", "--ip=127.0.0.1", f"--ServerApp.root_dir={ROOT}",
               f"--LabApp.default_url=/lab/tree/{first_lesson()}"]
    if os.environ.get("NO_BROWSER", "") not in ("", "0"):
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    print(f"Opening {first_lesson()}. Stop the server with Ctrl-C.", flush=True)
    try:
        sys.exit(subprocess.run(command, cwd=ROOT).returncode)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    install()
    if sys.argv[1:] == ["instructor"]:
        install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    if sys.argv[1:] == ["learn"]:
        learn()
