"""Run one submission alone: bubblewrap gives it users, processes and files (read-only, no solutions) of its own, no network."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.grade.assemble import Assignment, Exercise, without_magics
from tools.lessons import MEASURED, ROOT

NO_ISOLATION = "--run-student-code-with-my-own-rights-and-network"


class IsolationError(RuntimeError):
    """There is no way to run student code safely on this machine. The message says what to install."""


@dataclass(frozen=True)
class Limits:
    """Per submission. ``seconds`` counts one exercise with its setup, ``memory`` is in bytes above the libraries' own."""

    seconds: float = 180.0
    memory: int = 2 * 2**30
    processes: int = 24
    output: int = 4 * 2**20


def check_isolation() -> None:
    """Raise IsolationError unless bubblewrap is there and can make a user namespace."""
    cure = (
        "Install it (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap; on Windows and macOS grade "
        "in a Linux virtual machine), or see INSTRUCTORS.md."
    )
    if not shutil.which("bwrap"):
        raise IsolationError(f"bubblewrap (bwrap) isn't installed, and student code is never run without isolation. {cure}")
    trial = subprocess.run([*namespace_flags(), "--ro-bind", "/", "/", "true"], capture_output=True, text=True)
    if trial.returncode:
        raise IsolationError(
            f"bubblewrap can't isolate here: {trial.stderr.strip()[:300]}. On Ubuntu 24.04 and later unprivileged "
            "user namespaces must be allowed: sysctl kernel.apparmor_restrict_unprivileged_userns=0."
        )


def namespace_flags() -> list[str]:
    """``--as-pid-1``: else bubblewrap's own first process stays inside, with the pipe that results go through."""
    return [
        "bwrap",
        "--unshare-all",
        "--unshare-user",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--hostname",
        "grader",
        "--clearenv",
        "--as-pid-1",
    ]


def command(limits: Limits, isolated: bool) -> list[str]:
    """The command that starts ``inside.py``. Of the course it sees the helper package, the data and itself, read-only."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "COURSE_PROFILE": "mini",
        "COURSE_PROGRESS": "/dev/null/none",
        "COURSE_WORK": "/tmp/work",
        "HF_HUB_OFFLINE": "1",
        "HF_EVALUATE_OFFLINE": "1",
        "HF_HOME": "/tmp/hf",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": "/tmp/mpl",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GRADE_MEMORY": str(limits.memory),
        "GRADE_PROCESSES": str(limits.processes),
    }
    program = [sys.executable, str(ROOT / "tools/grade/inside.py")]
    if not isolated:
        return ["env", "-i", *(f"{k}={v}" for k, v in environment.items()), *program]
    flags = namespace_flags()
    for folder in (
        "/usr",
        "/bin",
        "/lib",
        "/lib32",
        "/lib64",
        "/sbin",
        "/etc/ld.so.cache",
        "/etc/alternatives",
        "/etc/localtime",
    ):
        path = Path(folder)
        if path.is_symlink():
            flags += ["--symlink", str(path.readlink()), folder]
        elif path.exists():
            flags += ["--ro-bind", folder, folder]
    flags += ["--proc", "/proc", "--dev", "/dev", "--size", str(256 * 2**20), "--tmpfs", "/tmp"]
    seen = [
        ROOT / "course_utils",
        ROOT / "data",
        ROOT / "tools/grade/inside.py",
        MEASURED,
        Path(sys.prefix),
        Path(sys.base_prefix),
    ]
    for path in seen:
        if path.exists() and not path.is_relative_to("/usr"):
            flags += ["--ro-bind", str(path), str(path)]
    for name, value in environment.items():
        flags += ["--setenv", name, value]
    return [*flags, "--remount-ro", "/", "--chdir", "/tmp", *program]


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
                libraries = min((s for s in sizes if s > 50 * 2**20), default=0)  # shared by all after a fork
                if len(members) > self.limits.processes:
                    self.reason = f"started more than {self.limits.processes} processes"
                elif sum(max(0, s - libraries) for s in sizes) > 1.5 * self.limits.memory:
                    self.reason = f"used more than {1.5 * self.limits.memory / 2**30:.0f} GiB of memory"
                time.sleep(0.05)
            if self.reason:
                self.process.kill()


class Sandbox:
    """One running sandbox. ``ask`` sends an exercise and waits for its result."""

    def __init__(self, warm_up: list[str], limits: Limits, isolated: bool = True):
        self.limits = limits
        self.process = subprocess.Popen(
            command(limits, isolated), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.watch = Watch(self.process, limits)
        self.watch.start()
        self.buffer, self.received = b"", 0
        self.send({"warm_up": warm_up})
        if "ready" not in (first := self.line(120)):
            self.close()
            raise IsolationError(
                f"the sandbox did not start: {first.get('lost')} {self.process.stderr.read().decode(errors='replace')[-800:]}"
            )

    def line(self, seconds: float) -> dict:
        """The next message; ``{"lost": why}`` where none comes."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return {"lost": f"took longer than {seconds:.0f} seconds"}
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                self.received += len(part)
                if not part:
                    self.watch.join(1)
                    return {"lost": self.watch.reason or "ended the sandbox"}
                if self.received > self.limits.output:
                    return {"lost": "sent more than the grader takes"}
                self.buffer += part
        first, _, self.buffer = self.buffer.partition(b"\n")
        try:
            message = json.loads(first)
        except ValueError:
            return {"lost": "broke the grader's protocol"}
        return message if isinstance(message, dict) else {"lost": "broke the grader's protocol"}

    def send(self, *messages: dict) -> None:
        with contextlib.suppress(BrokenPipeError):  # ``line`` tells why
            for message in messages:
                data = json.dumps(message).encode()
                self.process.stdin.write(struct.pack("!Q", len(data)) + data)
            self.process.stdin.flush()

    def ask(self, exercise: Exercise, code: str) -> dict:
        job = {"grade_id": exercise.grade_id, "setup": exercise.setup_for(code), "names": exercise.names}
        tests = {"code": without_magics(code), "visible": exercise.visible, "hidden": exercise.hidden}
        self.send(job, tests)
        return self.line(self.limits.seconds)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def warm_up_of(assignment: Assignment) -> list[str]:
    """The imports of all exercises, and ``start_lab`` where one of them needs it."""
    statements = dict.fromkeys(s for e in assignment.exercises for s in e.setup)
    return [s for s in statements if s.startswith(("import ", "from ", "profile = ", "lab = start_lab("))]


def grade_answers(assignment: Assignment, answers: dict[str, str], limits: Limits, isolated: bool = True) -> dict[str, dict]:
    """grade_id -> {visible, hidden, lines, problem} for every exercise of the lesson.

    An exercise that breaks its sandbox gets the reason; the others go on in a new one.
    """
    results: dict[str, dict] = {}
    sandbox = None
    try:
        for exercise in assignment.exercises:
            empty = {"visible": False, "hidden": False, "lines": []}
            code = answers.get(exercise.grade_id)
            if code is None:
                results[exercise.grade_id] = empty | {"problem": "the exercise's cell is missing from the notebook"}
                continue
            if code.strip() == exercise.stub.strip():
                results[exercise.grade_id] = empty | {"problem": "not attempted yet"}
                continue
            sandbox = sandbox or Sandbox(warm_up_of(assignment), limits, isolated)
            for _ in range(3):  # a thread pool of PyTorch's may not survive the fork: rare, and gone in a new sandbox
                result = sandbox.ask(exercise, code)
                if "fault" not in result:
                    break
                sandbox.close()
                sandbox = Sandbox(warm_up_of(assignment), limits, isolated)
            if "fault" in result:
                raise RuntimeError(f"{exercise.grade_id}: the grader itself failed: {result['fault']}\n{result['where']}")
            if "lost" in result or result.get("grade_id") != exercise.grade_id:
                result = empty | {"problem": f"stopped by the grader: it {result.get('lost', 'broke the protocol')}"}
                sandbox.close()
                sandbox = None
            results[exercise.grade_id] = {k: result[k] for k in ("visible", "hidden", "lines", "problem")}
    finally:
        if sandbox:
            sandbox.close()
    return results
