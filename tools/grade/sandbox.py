"""Run one student's files alone: bubblewrap gives them users, processes and files (read-only, nothing of ours) of their own,
no network. Process 1 in it watches over memory and processes; a cgroup does too, where systemd offers it."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.grade.find import MEMORY, no_result
from tools.lessons import ROOT

if TYPE_CHECKING:
    from tools.grade.assemble import Assignment

NO_ISOLATION = "--run-student-code-with-my-own-rights-and-network"
OURS = ["course_utils", "data", "notebooks/measured.json"]
OURS += [
    f"tools/{p}" for p in ("__init__.py", "grade/__init__.py", "grade/inside.py", "grade/find.py")
]
SYSTEM = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/sbin"]
SYSTEM += ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"]
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LOGNAME": "student",
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "COURSE_PROFILE": "mini",
    "COURSE_PROGRESS": "/dev/null/none",
    "COURSE_WORK": "/tmp/work",
    "HF_HUB_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MPLBACKEND": "agg",
}
# seconds for one student, should the limits inside ever fail; bytes of each folder that can be written to
LIMIT, SCRATCH = 2 * 3600, 64 * 2**20
# --as-pid-1: else bubblewrap's own first process stays inside, with the pipe that results go through
ALONE = "--unshare-all --unshare-user --die-with-parent --new-session --cap-drop ALL"
BWRAP = ["bwrap", *ALONE.split(), "--hostname", "grader", "--clearenv", "--as-pid-1"]


class IsolationError(RuntimeError):
    """There is no way to run student code safely on this machine. The message says what to install."""


@functools.cache
def cgroup() -> list[str]:
    """The words that put a command into a cgroup of its own, where systemd is there and lets this user."""
    limits = ["-p", f"MemoryMax={2 * MEMORY}", "-p", "MemorySwapMax=0", "-p", "TasksMax=200"]
    for who in (["--user"], []):
        words = ["systemd-run", *who, "--scope", "--quiet", "--collect", *limits]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if not subprocess.run([*words, "true"], capture_output=True, timeout=10).returncode:
                return words
    return []


def check_isolation() -> None:
    """Raise IsolationError unless bubblewrap is there and can make a user namespace."""
    if not shutil.which("bwrap"):
        raise IsolationError(
            "bubblewrap (bwrap) isn't installed, and student code is never run without isolation. Install it (Debian, "
            "Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap; on Windows and macOS grade in a Linux virtual "
            "machine), or see INSTRUCTORS.md."
        )
    trial = [*BWRAP, "--ro-bind", "/", "/", "true"]
    run = subprocess.run(trial, capture_output=True, text=True)
    if run.returncode:
        raise IsolationError(
            f"bubblewrap can't isolate here: {run.stderr.strip()[:300]}. On Ubuntu 24.04 and later unprivileged "
            "user namespaces must be allowed: sysctl kernel.apparmor_restrict_unprivileged_userns=0."
        )


def command(isolated: bool) -> list[str]:
    """The command that starts ``inside.py``. Of the course it sees the helper package, the data and itself, read-only."""
    program = [sys.executable, "-m", "tools.grade.inside"]
    if not isolated:
        return ["env", "-i", *(f"{k}={v}" for k, v in ENVIRONMENT.items()), *program]
    flags = []
    for folder in map(Path, SYSTEM):
        if folder.is_symlink():
            flags += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.exists():
            flags += ["--ro-bind", str(folder), str(folder)]
    size = ["--size", str(SCRATCH), "--tmpfs"]
    flags += ["--proc", "/proc", "--dev", "/dev", *size, "/dev/shm", *size, "/tmp"]
    for path in [*(ROOT / p for p in OURS), Path(sys.prefix), Path(sys.base_prefix)]:
        if path.exists() and not path.is_relative_to("/usr"):
            flags += ["--ro-bind", str(path), str(path)]
    for name, value in ENVIRONMENT.items():
        flags += ["--setenv", name, value]
    flags += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    return [*cgroup(), *BWRAP, *flags, *program]


def talk(job: dict, isolated: bool) -> tuple[list[dict], str, str]:
    """Start a sandbox and give it the job: (what it said, why it was ended, the grader's own error)."""
    why, error, content = "", "", json.dumps(job).encode()
    given = {"cwd": ROOT, "input": content, "capture_output": True, "timeout": LIMIT}
    try:
        run = subprocess.run(command(isolated), **given)
        if run.returncode == 1:  # bubblewrap's, or an error of Python's outside of student code
            error = run.stderr.decode("utf-8", "replace")[-2000:]
        elif run.returncode:
            why = "ended the sandbox"
    except subprocess.TimeoutExpired as expired:
        run, why = expired, f"took longer than {LIMIT / 3600:.0f} hours"
    *lines, _ = (run.stdout or b"").split(b"\n")
    return [json.loads(line) for line in lines], why, error


def grade_files(
    files: list[tuple[str, bytes]],
    assignments: dict[str, Assignment],
    seed: str,
    isolated: bool = True,
) -> dict:
    """{"files": outcome of each file, "lessons": {number: {"file", "taken", "states", "remarks", "results"}}}.

    An exercise that breaks the sandbox gets the reason; the others go on in a new one.
    """
    job = {
        "files": [(name, base64.b64encode(data).decode()) for name, data in files],
        "lessons": {number: a.job() for number, a in assignments.items()},
        "seed": seed,
        "done": {},
    }
    out, faults = {}, 0
    while True:
        messages, why, error = talk(job, isolated)
        if not out:
            if error and not messages:
                raise RuntimeError(f"the sandbox did not start: {error}")
            unread = [[[name, f"can't be read: it {why}"]] for name, _ in files]
            out = messages[0] if messages else {"files": unread, "lessons": {}}
            results = {number: {} for number in out["lessons"]}
        found = [m for m in messages if "result" in m]
        for m in found:
            results[m["lesson"]][m["grade_id"]] = m["result"]
        left = [
            (number, e.grade_id)
            for number, lesson in out["lessons"].items()
            for e in assignments[number].exercises
            if lesson["states"][e.grade_id] == "done" and e.grade_id not in results[number]
        ]
        if left and why:
            number, grade_id = left.pop(0)
            results[number][grade_id] = no_result(f"stopped by the grader: it {why}")
        elif left and not found:
            # PyTorch's threads may not survive a fork: rare, and gone in a new sandbox
            faults += 1
            if faults > 2:
                raise RuntimeError(f"the grader itself failed: {error}")
        if not left:
            for number, lesson in out["lessons"].items():
                lesson["results"] = results[number]
            return out
        job["done"] = {number: list(ids) for number, ids in results.items()}
