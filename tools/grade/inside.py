"""Runs inside the sandbox, once for each student: finds the answers, runs them, tests them.

The first process imports the libraries and never runs student code. It forks one process to read the files and one for each
exercise, gives each its limits and a pipe of its own, and empties ``/tmp`` and ``/dev/shm`` between them. In an exercise's
process the expected values are computed first, by the lesson's solution, on inputs that vary with the student; only then is
the student's code run, in a namespace of its own and on copies. What a line of the pipe may say counts for that exercise of
that student and for nothing else.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import ctypes
import io
import json
import os
import random
import resource
import select
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator

import numpy as np
import psutil

import course_utils.exercises
from tools.grade import find

PHASE_SECONDS, CPU_SECONDS = 8.0, 25  # of the processor
# for one exercise with its setup; on a busy machine five times what the libraries took to load
SECONDS = 40
VARIED, LINES, LINE = 40, 60, 300
SENT, PROCESSES = 4 * 2**20, 24
TEMPORARY = ("/tmp", "/dev/shm")
SIMPLE = (bool, int, float, complex, str, type(None))


DICTIONARIES = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)


def is_tensor(value: object) -> bool:
    """PyTorch is loaded where an exercise needs it, and only there: most exercises take a second without it."""
    torch = sys.modules.get("torch")
    return torch is not None and type(value) in (torch.Tensor, torch.nn.Parameter)


class TooLong(BaseException):
    """Student code ran longer than a part of the test may take."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TooLong after so many seconds of the processor."""

    def stop(*_) -> None:
        raise TooLong

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


# --- plain values ---


def plain_copy(value: object) -> object:
    """A copy of lists, dictionaries, arrays and tensors, all the way down; anything else (a model, a function) as it is."""
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(plain_copy(v) for v in value)
    if type(value) is dict:
        return {k: plain_copy(v) for k, v in value.items()}
    if is_tensor(value):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return value.copy() if type(value) is np.ndarray else value


def plain(value: object) -> object:
    """Numbers, texts and lists of a value, without any behaviour of its own. Raises TypeError for other objects."""
    kind = type(value)
    if kind in SIMPLE:
        return value
    if is_tensor(value):
        return plain(value.detach().cpu().double().numpy())
    if kind is np.ndarray and value.dtype.kind in "biufcU":
        return value.tolist()
    if issubclass(kind, np.generic):
        return np.generic.item(value)
    if kind in (list, tuple, range):
        return [plain(v) for v in value]
    if kind in (set, frozenset):
        return sorted((plain(v) for v in value), key=repr)
    if kind in DICTIONARIES:
        return [
            [plain(k), plain(v)] for k, v in sorted(value.items(), key=lambda pair: repr(pair[0]))
        ]
    raise TypeError(f"an object of class {kind.__name__}")


def same(one: object, other: object) -> bool:
    """Whether two plain values agree, numbers to four digits."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, (int, float, complex)) and isinstance(other, (int, float, complex)):
        return bool(np.isclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True))
    return type(one) is type(other) and one == other


def add_up(values: np.ndarray) -> bool:
    """Whether each row, or the one list of numbers, is a distribution: it adds up to 1."""
    return values.size > 1 and bool(np.isclose(values.sum(-1), 1, atol=1e-6).all())


def varied(value: object, dice: random.Random) -> object:
    """Another value of the same kind: numbers a little smaller or larger, lists of records, sets, texts
    and whole numbers in another order. What makes a value a possible one stays: probabilities add up to 1, a table with
    infinite places keeps them where they are, and a whole number, which may be a code, is the same half of the time."""
    if type(value) is bool or (type(value) is int and (abs(value) <= 2 or dice.random() < 0.5)):
        return value
    if type(value) is int:
        step = max(1, abs(value) // 5)
        return max(1, value + dice.randint(-step, step)) if value > 0 else value
    if type(value) is float:
        return value if value in (0.0, 1.0) else value * dice.uniform(0.85, 1)
    if type(value) is dict:
        return {k: varied(v, dice) for k, v in value.items()}
    if type(value) in (set, frozenset):
        return type(value)(varied(v, dice) for v in sorted(value, key=repr))
    if type(value) in (list, tuple):
        items = [varied(v, dice) for v in value]
        floats = type(value) is list and all(type(v) is float for v in value)
        if floats and add_up(np.array(value)):
            items = [v / sum(items) for v in items]
        whole = all(type(v) is int for v in items) and dice.random() < 0.5  # labels, lengths
        if type(value) is list and (whole or all(type(v) in (str, dict, set) for v in items)):
            dice.shuffle(items)  # never a tuple: a call's arguments are one
        return type(value)(items)
    numbers = value.detach().numpy() if is_tensor(value) else value
    real = type(numbers) is np.ndarray and numbers.dtype.kind == "f"
    if real and not set(np.unique(numbers).tolist()) <= {0.0, 1.0}:
        rolls = np.random.default_rng(dice.randrange(2**31))
        other = numbers * rolls.uniform(0.85, 1, numbers.shape)
        if numbers.ndim and add_up(numbers):
            other = other / other.sum(-1, keepdims=True)
        other = other.astype(numbers.dtype)
        if other.ndim > 1 and np.isfinite(other).all() and dice.random() < 0.5:
            axis = dice.randrange(other.ndim)
            other = np.roll(other, dice.randrange(other.shape[axis]), axis)
        if not is_tensor(value):
            return other
        return type(value).new_tensor(value, other).requires_grad_(value.requires_grad)
    return plain_copy(value)


# --- one exercise ---


def quietly(statements: list[str], namespace: dict | None = None) -> dict:
    """Run the statements, in a new namespace unless one is given; the namespace."""
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for statement in statements:
            exec(compile(statement, "<lesson>", "exec"), namespace)
    return namespace


def attempt(code: str, namespace: dict) -> str:
    """Run a part of a test cell; the error that stopped it, or nothing."""
    try:
        quietly([code], namespace)
    except NotImplementedError:
        return "not attempted yet"
    except (Exception, SystemExit) as error:
        return course_utils.exercises.stopped_with(error)
    return ""


def copying(
    function: Callable, before: Callable | None = None, after: Callable | None = None
) -> Callable:
    """The function on copies of its arguments; ``before`` gets (args, kwargs), copies too."""

    def call(*args, **kwargs):
        if before:
            before((plain_copy(args), plain_copy(kwargs)))
        try:
            return function(*plain_copy(args), **plain_copy(kwargs))
        finally:
            if after:
                after()

    return call


def recorded(exercise: dict, setup: list[str]) -> tuple[dict[str, Callable], dict[str, list]]:
    """(the solution's functions, the arguments of every call that the tests make of each)."""
    namespace = quietly([*setup, exercise["solution"]])
    functions = {n: namespace[n] for n in exercise["names"] if callable(namespace[n])}
    calls: dict[str, list] = {name: [] for name in functions}
    namespace |= {name: copying(f, before=calls[name].append) for name, f in functions.items()}

    def check(_, *properties):
        for _, holds, *_ in properties:
            with contextlib.suppress(Exception):
                holds()

    course_utils.exercises.check = namespace["check"] = check
    attempt(exercise["visible"] + "\n" + exercise["hidden"], namespace)
    return functions, calls


def expectations(exercise: dict, setup: list[str], seed: str) -> list[tuple]:
    """(name, args, kwargs, expected) of inputs like those in the tests, seen by nobody before; no student code has run yet."""
    functions, calls = recorded(exercise, setup)
    dice, cases = random.Random(seed), []
    end = time.process_time() + 3
    for name, function in functions.items():
        known = [readable(call) for call in calls[name]]
        for _ in range(3 * VARIED if calls[name] and any(calls[name][0]) else 0):
            args, kwargs = varied(dice.choice(calls[name]), dice)
            late = len(cases) >= 4 and time.process_time() > end
            if len(cases) == VARIED or late or readable((args, kwargs)) in known:
                continue
            with contextlib.suppress(Exception):
                values = [plain(copying(function)(*args, **kwargs)) for _ in range(2)]
                if same(*values):
                    cases.append((name, args, kwargs, values[0]))
    return cases


def shown(value: object) -> str:
    """The value for a person to read."""
    try:
        return repr(plain(value))
    except TypeError:
        return f"<{type(value).__name__}>"


def readable(value: object) -> str:
    """A text for comparing inputs, which may hold models and functions."""
    if type(value) in (list, tuple, dict):
        return repr([readable(v) for v in (value.items() if type(value) is dict else value)])
    return shown(value)


class Guard:
    """Puts back what student code patches in the modules that tests rely on, and remembers its name."""

    def __init__(self, names: list[str]):
        owners = [sys.modules[n] for n in names if n in sys.modules]
        owners += [sys.modules["torch"].Tensor] if "torch" in sys.modules else []
        self.before = [(owner, dict(vars(owner))) for owner in owners]
        self.patched: set[str] = set()

    def restore(self) -> None:
        for owner, before in self.before:
            for name, value in before.items():
                if vars(owner).get(name) is value or name.startswith("__"):
                    continue
                self.patched.add(f"{owner.__name__}.{name}")
                with contextlib.suppress(Exception):
                    setattr(owner, name, value)
        sys.settrace(None)
        sys.setprofile(None)


GUARDED = (
    "builtins math random numpy torch torch.nn.functional sklearn.metrics course_utils.exercises"
)


def run_exercise(
    exercise: dict, code: str, seed: str, memory: int, send: Callable[[dict], None]
) -> None:
    """Send the result as far as it is known, again and again: ``further`` values and hidden test first, then tick by tick."""
    plain_check = course_utils.exercises.check
    own_setup = find.setup_for(exercise, exercise["solution"])
    began = time.process_time()
    cases = expectations(exercise, own_setup, seed)
    # where a model runs, a right answer is slow
    phase = PHASE_SECONDS + time.process_time() - began
    tests = quietly(own_setup)
    try:
        with at_most(PHASE_SECONDS):
            student = quietly(find.setup_for(exercise, code))
    except (Exception, TooLong):  # what the code reads takes the lesson long to compute
        student = quietly(own_setup)
    names, visible, hidden = exercise["names"], exercise["visible"], exercise["hidden"]
    exercise.clear()
    checks = [lambda *a, **k: False]  # the one in use stands first
    course_utils.exercises.check = tests["check"] = lambda *a, **k: checks[0](*a, **k)
    guard, result = Guard(GUARDED.split()), find.no_result("")
    limit(memory, 3 * phase)

    def send_result(**news) -> None:
        patched = ", ".join(sorted(guard.patched))[:200]
        patches = [f"patches {patched}"] if patched else []
        send(result | news | {"remarks": patches + result["remarks"]})
        result.update(news)

    def timed(function, *args):
        try:
            with at_most(phase):
                function(*args)
        finally:
            guard.restore()
            if guard.patched:
                send_result()

    try:
        timed(quietly, [find.without_magics(code)], student)
    except NotImplementedError:
        return send_result(problem="not attempted yet")
    except TooLong:
        return send_result(problem=f"the cell itself ran longer than {phase:.0f} seconds")
    except BaseException as error:
        said = course_utils.exercises.stopped_with(error)
        return send_result(problem=f"the cell itself stopped: {said}")
    if missing := [n for n in names if n not in student]:
        return send_result(problem=f"the cell does not define {', '.join(missing)}")

    def further() -> None:
        functions = {name: student[name] for name in names}
        for name in filter(lambda name: callable(functions[name]), names):
            functions[name] = copying(functions[name], after=guard.restore)
        tests.update(functions)
        attempt(visible, tests)  # for the names that it defines
        problem = attempt(hidden, tests)
        answers = [answer(functions[name], args, kwargs) for name, args, kwargs, _ in cases]
        right = sum(same(a, expected) for a, (*_, expected) in zip(answers, cases, strict=True))
        for a, (name, args, kwargs, expected) in zip(answers, cases, strict=True):
            if not same(a, expected):
                given = [*map(shown, args), *(f"{k}={shown(v)}" for k, v in kwargs.items())]
                call = f"{name}({', '.join(given)})"[: LINE // 2]
                result["example"] = f"{call} gave {a!r:.60}, not {expected!r:.60}"
                break
        again = [answer(functions[name], args, kwargs) for name, args, kwargs, _ in cases[4::-1]]
        if any(not same(a, b) for a, b in zip(again[::-1], answers, strict=False)):
            result["remarks"].append(
                "gives other answers when asked again: does it count its calls?"
            )
            problem = problem or "other answers when asked again"
        counts = collections.Counter(repr(expected) for *_, expected in cases)
        agrees = agreement(right, len(cases), max(counts.values(), default=0))
        send_result(agrees=agrees, right=right, of=len(cases), held=not problem)

    def ticks() -> None:
        tests.update({name: student[name] for name in names})

        def check(name, *properties):
            for what, holds, *hint in properties:
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    good = plain_check(name, (what, holds, *hint)) is True
                guard.restore()
                line = printed.getvalue().splitlines()[0][:LINE]
                if line.endswith("not attempted yet"):
                    raise NotImplementedError
                if (count := len(result["lines"])) < LINES:
                    ticked, lines = result["ticks"] + good, [*result["lines"], line]
                    # one that may come and is never reached is not ticked
                    send_result(ticks=ticked, lines=lines, properties=count + 2)
            return False

        checks[0] = check
        problem, count = attempt(visible, tests) or result["problem"], len(result["lines"])
        whole = result["ticks"] == count > 0 and not problem
        send_result(problem=problem, properties=count, hidden=whole and result["held"])

    for part, slow in ((further, "on other values it ran"), (ticks, "it ran")):
        try:
            timed(part)
        except TooLong:
            send_result(problem=f"{slow} longer than {phase:.0f} seconds, probably an endless loop")


def answer(function: Callable, args: tuple, kwargs: dict) -> object:
    """The student's answer as a plain value; an exception and an object with behaviour of its own agree with nothing."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return plain(function(*args, **kwargs))
    except Exception as error:
        return [f"<{type(error).__name__}>"]


# --- processes ---


def limit(memory: int, seconds: float = CPU_SECONDS) -> None:
    """Memory and CPU time above what this process has taken so far, file size, open files; no core dumps."""
    for what, most in (
        (resource.RLIMIT_AS, psutil.Process().memory_info().vms + memory),
        (resource.RLIMIT_FSIZE, 64 * 2**20),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CPU, int(time.process_time() + seconds) + 1),
        (resource.RLIMIT_NPROC, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError):
            resource.setrlimit(what, (most, most))


def forbid_hidden_memory() -> None:
    """No memory that the limits above don't see: memfd_create, shmget and io_uring are answered with EPERM (seccomp)."""
    numbers = {"x86_64": (319, 447, 29, 425), "aarch64": (279, 447, 194, 425)}
    calls = numbers.get(os.uname().machine, ())
    lines = [(0x20, 0, 0, 0)]  # load the call's number; compare it with each; allow; refuse
    lines += [(0x15, len(calls) - place, 0, number) for place, number in enumerate(calls)]
    lines += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    head = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if libc.prctl(22, 2, head, 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def excess() -> str:
    """What the processes started by this one take beyond their limits together, or nothing."""
    own, used = psutil.Process(), 0
    members, libraries = own.children(recursive=True), own.memory_info().rss  # shared after a fork
    for member in members:
        with contextlib.suppress(psutil.Error):
            used += max(0, member.memory_info().rss - libraries)
    if len(members) > PROCESSES:
        return f"started more than {PROCESSES} processes"
    most = 1.5 * find.MEMORY
    return f"used more than {most / 2**30:.0f} GiB of memory" if used > most else ""


def in_child(work: Callable[[Callable], None], seconds: float) -> tuple[list[dict], str]:
    """Run ``work(send)`` in a process of its own; what it sent, and why it was ended, if it was."""
    reading, writing = os.pipe()
    sign = os.urandom(12).hex()
    if (child := os.fork()) == 0:
        try:
            quiet = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(quiet, number)
            os.close(reading)
            pipe = open(writing, "w", encoding="utf-8")

            def send(message: dict) -> None:
                print(sign + json.dumps(message), file=pipe, flush=True)

            try:
                work(send)
            except BaseException as error:
                fault = f"{type(error).__name__}: {error}"[:300]
                send({"fault": fault, "where": traceback.format_exc()[-1500:]})
        finally:
            os._exit(0)
    os.close(writing)
    data, why, end, status = b"", "", time.monotonic() + seconds, 0
    while not why:
        if time.monotonic() > end:
            why = f"took longer than {seconds:.0f} seconds"
        elif select.select([reading], [], [], 0.05)[0]:
            part = os.read(reading, 1 << 16)
            data += part
            why = "sent more than the grader takes" if len(data) > SENT else ""
            if not part:
                break
        else:
            pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
            if pid and not os.WIFSTOPPED(status):
                break
            why, status = "stopped its own process" if pid else excess(), 0
    # and whatever the student's code left running in the sandbox
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1 if os.getpid() == 1 else child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, ended = os.waitpid(-1, 0)
            status = ended if pid == child else status
    os.close(reading)
    if os.WIFSIGNALED(status) and not why:
        why = f"ended its own process ({signal.Signals(os.WTERMSIG(status)).name})"
    messages = []
    for line in data.decode("utf-8", "replace").split("\n")[:-1]:
        if not line.startswith(sign):
            return [], "wrote into the grader's channel"
        messages.append(json.loads(line.removeprefix(sign)))
    return messages, why


def empty() -> None:
    """Nothing that one exercise left behind is there for the next. Only the sandbox's own folders are ever emptied."""
    if os.getpid() == 1:
        subprocess.run(["chmod", "-R", "u+rwx", *TEMPORARY], stderr=subprocess.DEVNULL)
        subprocess.run(["find", *TEMPORARY, "-mindepth", "1", "-delete"], check=True)


def result_of(messages: list[dict], why: str) -> dict:
    """One exercise's result: the last that its process sent, of the right types, unless the grader had to stop it."""
    sent, result = messages[-1] if messages else {}, find.no_result("")
    if "fault" in sent:
        return sent
    result |= {k: v for k, v in sent.items() if type(v) is type(result.get(k))}
    result["example"] = result["example"][: 2 * LINE]
    for name in ("lines", "remarks"):
        result[name] = [str(line)[:LINE] for line in result[name][:LINES]]
    if why:
        result |= {"problem": f"stopped by the grader: it {why}", "hidden": False}
    return result


def agreement(right: int, of: int, guess: int) -> float:
    """The share of other inputs with the right answer, above what one constant would get; half of it is enough for 1.

    Fewer than four inputs decide nothing: neither alone, nor where all others have one and the same answer.
    """
    if of < 4:
        return 1.0
    above = (right - guess) / (of - guess) if of - guess >= 4 else right / of
    return min(1.0, max(0.0, 2 * above))


def load_libraries(exercises: list[dict]) -> None:
    """Import what the exercises need once, before the processes fork that run them."""
    statements = dict.fromkeys(s for e in exercises for s in find.setup_for(e, e["solution"]))
    starts = ("import ", "from ", "profile = ", "lab = start_lab(")
    quietly([s for s in statements if s.startswith(starts)], {})


def grade(job: dict, say: Callable[[dict], None]) -> None:
    """Say what was found in the files, then each exercise's result."""
    seconds = max(SECONDS, 5 * (time.time() - psutil.Process().create_time()))
    files = [(name, base64.b64decode(data)) for name, data in job["files"]]

    def read(send):
        limit(find.MEMORY)
        send(find.read_hand_in(files, job["lessons"]))

    messages, why = in_child(read, seconds)
    if not messages or "fault" in messages[0]:
        reason = f"can't be read: it {why or messages[0]['fault']}"
        return say({"files": [[[name, reason]] for name, _ in files], "lessons": {}})
    say(messages[0])
    for number, found in messages[0]["lessons"].items():
        done, states = job["done"].get(number, []), found["states"]
        todo = [e for e in job["lessons"][number]["exercises"] if e["grade_id"] not in done]
        todo = [e for e in todo if states[e["grade_id"]] == "done"]
        load_libraries(todo)
        for exercise in todo:
            empty()
            grade_id = exercise["grade_id"]
            code, seed = found["taken"][grade_id], job["seed"] + grade_id

            def work(send, exercise=exercise, code=code, seed=seed, todo=todo):
                own = dict(exercise)
                for part in (job, *todo):  # this process needs its own exercise only
                    part.clear()
                run_exercise(own, code, seed, find.MEMORY, send)

            result = result_of(*in_child(work, seconds))
            if "fault" in result:
                sys.exit(result["fault"] + result["where"])
            say({"lesson": number, "grade_id": grade_id, "result": result})
    return None


def main() -> None:
    # PR_SET_DUMPABLE: other processes of this user may not look inside
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    if os.getpid() == 1:
        forbid_hidden_memory()
    grade(json.load(sys.stdin), lambda message: print(json.dumps(message), flush=True))


if __name__ == "__main__":
    main()
