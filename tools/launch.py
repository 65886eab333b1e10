"""Prepare ``.venv`` and open JupyterLab on the first lesson, with the system's Python alone.

``launch.py install`` only prepares; ``launch.py learn`` also opens; ``launch.py instructor``
prepares ``.venv-instructor`` too; ``launch.py site`` prepares ``.venv-site`` alone. A stamp in each
environment remembers what was installed, so a second call starts in seconds.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

# Before the import below, which Python 3.6 can't read; it has to be able to read this file.
if sys.version_info < (3, 11):
    sys.exit(
        f"\nThis course needs Python 3.11 or newer; this is {sys.version.split()[0]} "
        f"({sys.executable}).\n"
        "Install a newer Python, then run: make learn PYTHON=/path/to/python3.11\n"
    )

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from course_utils.setup import (  # noqa: E402
    SetupError,
    explain_pip,
    free_gib,
    places,
    temporary_folder,
)

VENV = ROOT / ".venv"
INSTRUCTOR_VENV = ROOT / ".venv-instructor"
SITE_VENV = ROOT / ".venv-site"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED_TEMPORARY_GIB = 0.5  # where pip unpacks one package after another


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def stop(message: str) -> None:
    sys.exit(f"\n{message}\n")


def needed_gib() -> float:
    """On the course's disk. PyPI's PyTorch for Linux comes with CUDA's libraries, that of ``CPU_INDEX`` without."""
    indexes = os.environ.get("PIP_INDEX_URL", "") + os.environ.get("PIP_EXTRA_INDEX_URL", "")
    return 8.0 if sys.platform == "linux" and "cpu" not in indexes else 4.0


def check_machine() -> None:
    """Say in plain words what is missing, before anything is written."""
    if VENV.exists():
        return
    if not os.access(ROOT, os.W_OK):
        stop(
            f"The course's folder {ROOT} can't be written to. Copy it into a folder of your own "
            "and run the command there; nothing was written."
        )
    if free_gib(ROOT) < needed_gib():
        less = f" On a machine without a GPU 4 GiB do: set PIP_EXTRA_INDEX_URL={CPU_INDEX} first."
        stop(
            f"Not enough disk space: {free_gib(ROOT):.1f} GiB free, up to {needed_gib():.0f} GiB "
            "needed for PyTorch and the other packages. Free some space and run the command again; "
            f"nothing was written.{less if needed_gib() > 4 else ''}"
        )
    temporary = temporary_folder()
    if temporary.is_dir() and free_gib(temporary) < NEEDED_TEMPORARY_GIB:
        stop(
            f"The temporary folder {temporary} is full: {free_gib(temporary):.1f} GiB free. Free "
            "1 GiB there, or set TMPDIR to a folder with more space; nothing was written."
        )


def wanted_stamp(requirements: str = "requirements.txt") -> str:
    """Changes with this Python and with the pins, also those that another file takes by ``-c requirements.txt``."""
    files = {ROOT / "requirements.txt", ROOT / requirements}
    pins = b"".join(file.read_bytes() for file in sorted(files))
    return hashlib.sha256(pins + sys.version.encode()).hexdigest()


def same_python(folder: Path) -> bool:
    """Whether an environment was made by this version of Python (3.11, 3.12 …)."""
    try:
        text = (folder / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return False
    made = re.search(r"(?m)^version *= *(\d+\.\d+)", text)
    return made is not None and made[1] == ".".join(sys.version.split(".")[:2])


def install(folder=None, requirements: str = "requirements.txt") -> None:
    """Make ``.venv`` (or ``folder``) and install the pins, unless that was done already."""
    folder = folder or VENV
    check_machine()
    stamp = folder / "installed"
    if (
        stamp.exists()
        and stamp.read_text(encoding="utf-8") == wanted_stamp(requirements)
        and python_of(folder).exists()
    ):
        return
    try:
        stamp.unlink(
            missing_ok=True
        )  # from here on the environment is neither the old nor the new one
    except OSError as error:
        stop(explain_pip(str(error), folder).replace("pip said:", "Python said:"))
    if not python_of(folder).exists() or not same_python(folder):
        print(f"Making {folder.name} for Python {sys.version.split()[0]} …", flush=True)
        try:
            venv.create(folder, with_pip=True, clear=folder.exists())
        except (subprocess.CalledProcessError, OSError) as error:
            # An incomplete environment would be used as a complete one the next time.
            shutil.rmtree(folder, ignore_errors=True)
            stop(explain_venv(error, folder))
    print(f"Installing the packages of {requirements} (a few minutes the first time) …", flush=True)
    command = [python_of(folder), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["-r", ROOT / requirements]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        stop(explain_pip(done.stderr, folder))
    try:
        stamp.write_text(wanted_stamp(requirements), encoding="utf-8")
    except OSError as error:
        stop(explain_pip(str(error), folder).replace("pip said:", "Python said:"))


def explain_venv(error: Exception, folder: Path) -> str:
    """Why an environment could not be made, and what to do."""
    output = getattr(error, "output", None) or b""
    said = f"{error}\n{output.decode(errors='replace') if isinstance(output, bytes) else output}"
    signs = "errno|no space left|quota|temporary directory"
    if isinstance(error, OSError) or re.search(signs, said.lower()):
        return explain_pip(said, folder.parent).replace("pip said:", "Python said:")
    return (
        f"Making {folder.name} failed ({error}).\nOn Debian and Ubuntu the part of Python that "
        "does it is a package of its own: sudo apt install python3-venv. Then run the command "
        "again."
    )


def first_lesson() -> str:
    found = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        stop("There is no lesson in notebooks/. Fetch the repository again.")
    return found[0].relative_to(ROOT).as_posix()


def learn() -> None:
    """Serve JupyterLab on this machine only and open the first lesson.

    With ``NO_BROWSER=1`` it prints the address instead.
    """
    command = [str(python_of(VENV)), "-m", "jupyterlab", "--ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{first_lesson()}"]
    try:
        environment = {**os.environ, **places(ROOT)}
    except SetupError as error:
        stop(str(error))
    if os.environ.get("NO_BROWSER", "") not in ("", "0"):
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    print(f"Opening {first_lesson()}. Stop the server with Ctrl-C.", flush=True)
    try:
        sys.exit(subprocess.run(command, cwd=ROOT, env=environment).returncode)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    if sys.argv[1:] == ["site"]:
        sys.exit(install(SITE_VENV, "requirements-site.txt"))
    install()
    if sys.argv[1:] == ["instructor"]:
        install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    if sys.argv[1:] == ["learn"]:
        learn()
