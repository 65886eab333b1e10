"""Run one student's files alone: bubblewrap gives them users, processes and files (read-only, nothing of ours) of their own,
no network; cgroups limit memory and processes where systemd offers them, else this module watches."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import selectors
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tools.grade.find import no_result
from tools.lessons import MEASURED, ROOT

if TYPE_CHECKING:
    from tools.grade.assemble import Assignment

NO_ISOLATION = "--run-student-code-with-my-own-rights-and-network"
PROGRAM = ["__init__.py", "grade/__init__.py", "grade/inside.py", "grade/find.py"]
SYSTEM = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/sbin"]
SYSTEM += ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"]


class IsolationError(RuntimeError):
    """There is no way to run student code safely on this machine. The message says what to install."""


@dataclass(frozen=True)
class Limits:
    """``seconds`` for one exercise with its setup, longer where the machine is busy (five times what the libraries took to
    load); ``start`` for the sandbox itself, ``silence`` between two messages; ``memory`` in bytes above the libraries' own.
    """

    seconds: float = 40.0
    start: float = 900.0
    silence: float = 600.0
    memory: int = 2 * 2**30
    processes: int = 24
    output: int = 8 * 2**20
    scratch: int = 64 * 2**20


@functools.cache
def cgroup() -> list[str]:
    """The words that put a command into a cgroup of its own, where systemd is there and lets this user."""
    limits = ["-p", f"MemoryMax={2 * Limits.memory}", "-p", "MemorySwapMax=0", "-p", "TasksMax=200"]
    for who in (["--user"], []):
        words = ["systemd-run", *who, "--scope", "--quiet", "--collect", *limits]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if not subprocess.run([*words, "true"], capture_output=True, timeout=10).returncode:
                return words
    return []


def namespace_flags() -> list[str]:
    """``--as-pid-1``: else bubblewrap's own first process stays inside, with the pipe that results go through."""
    alone = "--unshare-all --unshare-user --die-with-parent --new-session --cap-drop ALL"
    return ["bwrap", *alone.split(), *["--hostname", "grader", "--clearenv", "--as-pid-1"]]


def check_isolation() -> None:
    """Raise IsolationError unless bubblewrap is there and can make a user namespace."""
    if not shutil.which("bwrap"):
        raise IsolationError(
            "bubblewrap (bwrap) isn't installed, and student code is never run without isolation. Install it (Debian, "
            "Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap; on Windows and macOS grade in a Linux virtual "
            "machine), or see INSTRUCTORS.md."
        )
    trial = subprocess.run(
        [*namespace_flags(), "--ro-bind", "/", "/", "true"], capture_output=True, text=True
    )
    if trial.returncode:
        raise IsolationError(
            f"bubblewrap can't isolate here: {trial.stderr.strip()[:300]}. On Ubuntu 24.04 and later unprivileged "
            "user namespaces must be allowed: sysctl kernel.apparmor_restrict_unprivileged_userns=0."
        )


def command(limits: Limits, isolated: bool) -> list[str]:
    """The command that starts ``inside.py``. Of the course it sees the helper package, the data and itself, read-only."""
    environment = {
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
    program = [sys.executable, "-m", "tools.grade.inside"]
    if not isolated:
        return ["env", "-i", *(f"{k}={v}" for k, v in environment.items()), *program]
    flags = namespace_flags()
    for folder in map(Path, SYSTEM):
        if folder.is_symlink():
            flags += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.exists():
            flags += ["--ro-bind", str(folder), str(folder)]
    size = ["--size", str(limits.scratch), "--tmpfs"]
    flags += ["--proc", "/proc", "--dev", "/dev", *size, "/dev/shm", *size, "/tmp"]
    ours = [ROOT / "course_utils", ROOT / "data", MEASURED, *(ROOT / "tools" / p for p in PROGRAM)]
    for path in [*ours, Path(sys.prefix), Path(sys.base_prefix)]:
        if path.exists() and not path.is_relative_to("/usr"):
            flags += ["--ro-bind", str(path), str(path)]
    for name, value in environment.items():
        flags += ["--setenv", name, value]
    flags += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    return [*cgroup(), *flags, *program]


class Watch(threading.Thread):
    """Kill the sandbox when it holds too many processes or too much memory. ``reason`` says which."""

    def __init__(self, process: subprocess.Popen, limits: Limits):
        super().__init__(daemon=True)
        self.process, self.limits, self.reason = process, limits, ""

    def run(self) -> None:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self.process.pid)
            while self.process.poll() is None and not self.reason:
                members = root.children(recursive=True)
                sizes = []
                for member in members:
                    with contextlib.suppress(psutil.Error):
                        sizes.append(member.memory_info().rss)
                # shared by all after a fork
                libraries = min((s for s in sizes if s > 50 * 2**20), default=0)
                most = 1.5 * self.limits.memory
                if len(members) > self.limits.processes:
                    self.reason = f"started more than {self.limits.processes} processes"
                elif sum(max(0, s - libraries) for s in sizes) > most:
                    self.reason = f"used more than {most / 2**30:.0f} GiB of memory"
                time.sleep(0.05)
            if self.reason:
                self.process.kill()


def talk(job: dict, limits: Limits, isolated: bool) -> tuple[list[dict], str]:
    """Start a sandbox, give it the job, read what it says until it ends: (messages, why it was ended, or nothing)."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command(limits, isolated), cwd=ROOT, **pipes)
    watch = Watch(process, limits)
    watch.start()
    content = json.dumps(job).encode()

    def give() -> None:
        with contextlib.suppress(OSError), process.stdin:
            process.stdin.write(content)

    threading.Thread(target=give, daemon=True).start()
    data, errors, why, end = bytearray(), bytearray(), "", time.monotonic() + limits.start
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while process.stdout in [key.fileobj for key in selector.get_map().values()] and not why:
            for key, _ in selector.select(1.0):
                part = os.read(key.fileobj.fileno(), 1 << 16)
                if not part:
                    selector.unregister(key.fileobj)
                (data if key.fileobj is process.stdout else errors).extend(part)
                end = time.monotonic() + limits.silence if key.fileobj is process.stdout else end
                del errors[:-2000]
            why = "sent more than the grader takes" if len(data) > limits.output else why
            why = f"was silent for {limits.silence:.0f} seconds" if time.monotonic() > end else why
    watch.join(0.2)
    process.kill()
    process.wait()
    lines = bytes(data).decode("utf-8", "replace").split("\n")[:-1]
    messages = [json.loads(line) for line in lines]
    if not messages or not ("end" in messages[-1] or "again" in messages[-1] or why):
        why = why or f"ended the sandbox {bytes(errors).decode(errors='replace')[-300:]}"
    return messages, watch.reason or why


def grade_files(
    files: list[tuple[str, bytes]],
    assignments: dict[str, Assignment],
    seed: str,
    limits: Limits,
    isolated: bool = True,
) -> dict:
    """{"files": outcome of each file, "lessons": {number: {"file", "taken", "states", "remarks", "results"}}}.

    An exercise that breaks the sandbox gets the reason; the others go on in a new one.
    """
    job = {
        "files": [(name, base64.b64encode(data).decode()) for name, data in files],
        "lessons": {number: a.job() for number, a in assignments.items()},
        "seed": seed,
        "memory": limits.memory,
        "seconds": limits.seconds,
        "done": {},
    }
    out, faults = None, 0
    while True:
        messages, why = talk(job, limits, isolated)
        if not messages:
            if out is None and "ended the sandbox" in why:
                raise IsolationError(f"the sandbox did not start: {why}")
            outcomes = [[[name, f"can't be read: it {why}"]] for name, _ in files]
            return out or {"files": outcomes, "lessons": {}}
        if out is None:
            out = messages[0]
            for lesson in out["lessons"].values():
                lesson["results"] = {}
        fault = ""
        for message in [m for m in messages[1:] if "result" in m]:
            result = message["result"]
            if "fault" in result:
                fault = result["fault"] + result["where"]
            else:
                out["lessons"][message["lesson"]]["results"][message["grade_id"]] = result
        todo = [
            (number, e.grade_id)
            for number, lesson in out["lessons"].items()
            for e in assignments[number].exercises
            if lesson["states"][e.grade_id] == "done" and e.grade_id not in lesson["results"]
        ]
        if not todo:
            return out
        faults += bool(fault)
        if faults > 2:  # PyTorch's threads may not survive a fork: rare, and gone in a new sandbox
            raise RuntimeError(f"the grader itself failed: {fault}")
        if why and not fault:
            number, grade_id = todo[0]
            out["lessons"][number]["results"][grade_id] = no_result(
                f"stopped by the grader: it {why}"
            )
        job["done"] = {number: list(lesson["results"]) for number, lesson in out["lessons"].items()}
