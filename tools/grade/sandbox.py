"""Run one student's files alone: bubblewrap gives them users, processes and files (read-only, nothing of ours) of their own,
no network; cgroups limit memory and processes where systemd offers them, else this module watches."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

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
    "USER": "student",
    "LOGNAME": "student",
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "COURSE_PROFILE": "mini",
    "COURSE_PROGRESS": "/dev/null/none",
    "COURSE_WORK": "/tmp/work",
    "HF_HUB_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "HF_HOME": "/tmp/hf",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp/mpl",
}
# seconds until the first message, and between two
START, SILENCE = 900, 600
PROCESSES, OUTPUT, SCRATCH = 24, 8 * 2**20, 64 * 2**20
# bubblewrap's own first process stays outside, without the pipe that results go through
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


class Watch(threading.Thread):
    """Kill the sandbox when it holds too many processes or too much memory, or is silent. ``reason`` says which."""

    def __init__(self, process: subprocess.Popen):
        super().__init__(daemon=True)
        self.process, self.reason = process, ""
        self.end = time.monotonic() + START

    def run(self) -> None:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self.process.pid)
            while self.process.poll() is None and not self.reason:
                members, sizes = root.children(recursive=True), []
                for member in members:
                    with contextlib.suppress(psutil.Error):
                        sizes.append(member.memory_info().rss)
                # shared by all after a fork
                libraries = min((s for s in sizes if s > 50 * 2**20), default=0)
                if len(members) > PROCESSES:
                    self.reason = f"started more than {PROCESSES} processes"
                elif sum(max(0, s - libraries) for s in sizes) > 1.5 * MEMORY:
                    self.reason = f"used more than {1.5 * MEMORY / 2**30:.0f} GiB of memory"
                elif time.monotonic() > self.end:
                    self.reason = f"was silent for {SILENCE} seconds"
                time.sleep(0.05)
        if self.reason:
            self.process.kill()


def talk(job: dict, isolated: bool) -> tuple[list[dict], str, str]:
    """Start a sandbox and give it the job: (what it said, why it was ended, the grader's own error)."""
    messages, size, pipe = [], 0, subprocess.PIPE
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command(isolated), cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors
        ) as process,
    ):
        watch = Watch(process)
        watch.start()
        with contextlib.suppress(OSError), process.stdin:
            process.stdin.write(json.dumps(job).encode())
        while (line := process.stdout.readline(OUTPUT)).endswith(b"\n") and size < OUTPUT:
            watch.end = time.monotonic() + SILENCE
            size += len(line)
            messages.append(json.loads(line))
        if size + len(line) >= OUTPUT:
            watch.reason = watch.reason or "sent more than the grader takes"
        watch.join()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")[-2000:]
    if watch.reason or process.returncode == 0:
        return messages, watch.reason, ""
    if process.returncode == 1:  # bubblewrap's, or an error of Python's outside of student code
        return messages, "", said
    return messages, "ended the sandbox", ""


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
        elif (
            left and not found
        ):  # PyTorch's threads may not survive a fork: rare, and gone in a new sandbox
            faults += 1
            if faults > 2:
                raise RuntimeError(f"the grader itself failed: {error}")
        if not left:
            for number, lesson in out["lessons"].items():
                lesson["results"] = results[number]
            return out
        job["done"] = {number: list(ids) for number, ids in results.items()}
