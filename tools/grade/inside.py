"""Runs inside the sandbox, one for each submission: the student's code in one process, the tests in another.

Three processes. The first imports the libraries and forks an *examiner* for each exercise. The examiner runs what the
lesson needs, forks the *student* process, and only then receives the tests. Both talk over a socket in JSON: the student's
answers arrive as plain values (numbers, texts, lists, arrays), never as objects with behaviour of their own, so nothing
that student code patches, overrides or prints touches a verdict. The examiner can't be read or traced by the student
process (``PR_SET_DUMPABLE``), and the tests were never in the student's memory.
"""

from __future__ import annotations

import base64
import builtins
import contextlib
import ctypes
import io
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback

import numpy as np
import torch

import course_utils.exercises

CALL_SECONDS, EXERCISE_SECONDS = 20.0, 60.0
MESSAGE_LIMIT, TEXT_LIMIT, LINE_LIMIT = 32 * 2**20, 60, 300
ARRAY_KINDS = "biufcU"
ENDED = "your code ended its own process (os._exit, a crash or too much memory)"


class Unsendable(TypeError):
    """A value that isn't plain."""


class StudentError(Exception):
    """An exception of a type that the student's code defined, or that only a library has."""


class Channel:
    """JSON messages over a socket, each with its length in front.

    ``shared`` holds objects that both processes have had since the fork: they cross by name. ``functions`` of the examiner
    cross as numbers, and a call of one comes back as a message.
    """

    def __init__(self, end: socket.socket, shared: dict[str, object], is_examiner: bool):
        self.end, self.shared, self.is_examiner, self.functions, self.broken = end, shared, is_examiner, [], ""

    def send(self, message: dict) -> None:
        data = json.dumps(message).encode()
        if len(data) > MESSAGE_LIMIT:
            raise Unsendable(f"a value of more than {MESSAGE_LIMIT // 2**20} MiB")
        self.end.sendall(struct.pack("!Q", len(data)) + data)

    def read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not select.select([self.end], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"no answer within {CALL_SECONDS:.0f} seconds")
            if not (part := self.end.recv(min(size - len(data), 1 << 20))):
                raise EOFError
            data += part
        return bytes(data)

    def receive(self, seconds: float = 1e9) -> dict:
        deadline = time.monotonic() + seconds
        size = struct.unpack("!Q", self.read(8, deadline))[0]
        if size > MESSAGE_LIMIT:
            raise EOFError
        message = json.loads(self.read(size, deadline))
        if not isinstance(message, dict):
            raise EOFError
        return message

    def pack(self, value: object, depth: int = 0) -> object:
        """A value as JSON. Raises Unsendable for anything that isn't plain."""
        if depth > 50:
            raise Unsendable("a value nested more than 50 deep")
        if value is None or isinstance(value, (bool, int, float, str)):
            kind = next(t for t in (bool, int, float, str, type(None)) if isinstance(value, t))
            return value if kind is type(None) else kind(value)
        if isinstance(value, np.generic):
            return {"number": self.pack(np.asarray(value), depth + 1)}
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in ARRAY_KINDS:
                raise Unsendable(f"an array of type {value.dtype}")
            return {
                "array": [value.dtype.str, list(value.shape), base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()]
            }
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu()
            half = plain.dtype in (torch.bfloat16, torch.float16)
            return {
                "tensor": [
                    str(plain.dtype),
                    value.requires_grad,
                    self.pack((plain.float() if half else plain).numpy(), depth + 1),
                ]
            }
        for kind, name in ((list, "list"), (tuple, "tuple"), (set, "set"), (frozenset, "set"), (range, "list")):
            if isinstance(value, kind):
                return {name: [self.pack(v, depth + 1) for v in value]}
        if isinstance(value, dict):
            return {"dict": [[self.pack(k, depth + 1), self.pack(v, depth + 1)] for k, v in value.items()]}
        if self.is_examiner:
            for name, known in self.shared.items():
                if known is value:
                    return {"name": name}
            if callable(value):
                self.functions.append(value)
                return {"function": len(self.functions) - 1}
        raise Unsendable(f"an object of class {type(value).__name__}")

    def unpack(self, packed: object) -> object:
        if not isinstance(packed, dict):
            return packed
        ((kind, content),) = packed.items()
        if kind == "list":
            return [self.unpack(v) for v in content]
        if kind == "tuple":
            return tuple(self.unpack(v) for v in content)
        if kind == "set":
            return {self.unpack(v) for v in content}
        if kind == "dict":
            return {self.unpack(k): self.unpack(v) for k, v in content}
        if kind == "array":
            dtype, shape, data = content
            if np.dtype(dtype).kind not in ARRAY_KINDS:
                raise Unsendable(f"an array of type {dtype}")
            return np.frombuffer(base64.b64decode(data), dtype=dtype).reshape(shape).copy()
        if kind == "number":
            return self.unpack(content)[()]
        if kind == "tensor":
            dtype, requires_grad, array = content
            kind_of_number = getattr(torch, str(dtype).removeprefix("torch."), None)
            if not isinstance(kind_of_number, torch.dtype):
                raise Unsendable(f"a tensor of type {dtype}")
            tensor = torch.from_numpy(np.asarray(self.unpack(array))).to(kind_of_number)
            return tensor.requires_grad_() if requires_grad and tensor.is_floating_point() else tensor
        if kind == "name" and not self.is_examiner:
            return self.shared[content]
        if kind == "function" and not self.is_examiner:
            return lambda *args, **kwargs: self.call_back(content, args, kwargs)
        raise Unsendable(f"a message of kind {kind}")

    def pack_call(self, args: tuple, kwargs: dict) -> dict:
        return {"args": [self.pack(a) for a in args], "kwargs": {k: self.pack(v) for k, v in kwargs.items()}}

    def call_back(self, number: int, args: tuple, kwargs: dict) -> object:
        """The student's side: call a function of the examiner's."""
        self.send({"callback": number, **self.pack_call(args, kwargs)})
        return self.result(self.receive())

    def result(self, message: dict) -> object:
        if "error" in message:
            name, text = (str(part)[:LINE_LIMIT].replace("\n", " ") for part in message["error"])
            kind = getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                try:
                    raise kind(text)
                except TypeError as error:  # UnicodeDecodeError and its like need more than a text
                    if kind is not TypeError:
                        raise StudentError(f"{name}: {text}") from error
                    raise
            raise type(name if name.isidentifier() else "StudentError", (StudentError,), {})(text)
        return self.unpack(message["value"])

    def call(self, name: str, args: tuple, kwargs: dict) -> object:
        """The examiner's side: call a function of the student's and serve what it calls back."""
        if self.broken:
            raise ChildProcessError(self.broken)
        try:
            self.send({"call": name, **self.pack_call(args, kwargs)})
            deadline = time.monotonic() + CALL_SECONDS
            while "callback" in (message := self.receive(deadline - time.monotonic())):
                self.send(self.answer(self.functions[int(message["callback"])], message))
            for old, new in zip(args, message.get("after") or [], strict=False):
                self.follow(old, new)
        except TimeoutError as error:
            self.broken = f"not run any more after the {CALL_SECONDS:.0f} seconds above, probably an endless loop"
            raise error
        except Unsendable:
            raise
        except Exception:  # whatever goes wrong with what the student's process sends is the student's
            self.broken = ENDED
            raise ChildProcessError(ENDED) from None
        return self.result(message)

    def answer(self, function, message: dict) -> dict:
        """Call ``function`` with what the message holds; the reply has a value or an error."""
        try:
            args = [self.unpack(a) for a in message["args"]]
            value = function(*args, **{k: self.unpack(v) for k, v in message["kwargs"].items()})
            reply = {"value": self.pack(value)}
            if not self.is_examiner:
                reply["after"] = [self.pack(a) if isinstance(a, (list, dict, np.ndarray, torch.Tensor)) else None for a in args]
            return reply
        except Unsendable as error:
            return {"error": ["TypeError", f"the answer must be plain numbers, texts, lists, arrays or tensors, not {error}"]}
        except NameError as error:
            return {"error": ["NameError", f"{error}; what your function needs must stand in its own cell or in the lesson"]}
        except BaseException as error:
            return {"error": [type(error).__name__, str(error)]}

    def follow(self, old: object, packed: object) -> None:
        """Change an argument as the student's code changed its copy, so that a test for it sees it."""
        if packed is None or json.dumps(packed) == json.dumps(self.pack(old)):
            return
        new = self.unpack(packed)
        if isinstance(old, list) and isinstance(new, list):
            old[:] = new
        elif isinstance(old, dict) and isinstance(new, dict):
            old.clear()
            old.update(new)
        elif isinstance(old, np.ndarray) and isinstance(new, np.ndarray) and old.shape == new.shape:
            old[...] = new
        elif isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor) and old.shape == new.shape:
            old.data.copy_(new)


def limit_student() -> None:
    """Memory above what the libraries take, file size, open files, CPU time; no core dumps; silence."""
    pages = int(open("/proc/self/statm").read().split()[0])
    memory = pages * resource.getpagesize() + int(os.environ["GRADE_MEMORY"])
    for what, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 100 * 2**20),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CPU, int(EXERCISE_SECONDS)),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, int(os.environ["GRADE_PROCESSES"])),
    ):
        with contextlib.suppress(ValueError):
            resource.setrlimit(what, (limit, limit))
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)


def be_student(end: socket.socket, namespace: dict) -> None:
    channel = Channel(end, dict(namespace), is_examiner=False)
    keep = end.fileno()
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(number) > 2 and int(number) != keep:
            with contextlib.suppress(OSError):
                os.close(int(number))
    limit_student()
    order = channel.receive()
    try:
        exec(compile(order["code"], "<exercise>", "exec"), namespace)
        values = {}
        for name in order["names"]:
            if callable(namespace.get(name)):
                values[name] = {"callable": True}
            elif name in namespace:
                values[name] = {"value": channel.pack(namespace[name])}
        channel.send({"defined": values})
    except BaseException as error:
        channel.send({"error": [type(error).__name__, str(error)]})
    while True:
        message = channel.receive()
        channel.send(channel.answer(namespace[message["call"]], message))


def proxy(channel: Channel, name: str):
    def function(*args, **kwargs):
        return channel.call(name, args, kwargs)

    function.__name__ = name
    return function


def take_message() -> dict | None:
    """The next message of the outside, read byte by byte so that no process takes what belongs to another."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size and (part := os.read(0, size - len(data))):
            data += part
        return data

    head = exactly(8)
    return json.loads(exactly(struct.unpack("!Q", head)[0])) if len(head) == 8 else None


def tell(message: dict) -> None:
    data = memoryview((json.dumps(message) + "\n").encode())
    while data:
        data = data[os.write(1, data) :]


def attempt(code: str, namespace: dict, printed: io.StringIO) -> str:
    """Run a part of a test cell; returns the error that stopped it, or nothing."""
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "<test>", "exec"), namespace)
    except NotImplementedError:
        return "not attempted yet"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:LINE_LIMIT]}".strip(": ")
    return ""


def examine(job: dict) -> dict:
    """One exercise: set up, let the student's process define its functions, test them."""
    namespace: dict = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for statement in job["setup"]:
            exec(compile(statement, "<lesson>", "exec"), namespace)
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            ours.close()
            be_student(theirs, namespace)
        finally:
            os._exit(0)
    theirs.close()
    channel = Channel(ours, {k: v for k, v in namespace.items() if not k.startswith("__")}, is_examiner=True)
    tests = take_message()
    result = {"grade_id": job["grade_id"], "visible": False, "hidden": False, "lines": [], "problem": ""}
    try:
        channel.send({"code": tests["code"], "names": job["names"]})
        reply = channel.receive(CALL_SECONDS)
        if "error" in reply:
            name, text = (str(p)[:LINE_LIMIT] for p in reply["error"])
            return result | {"problem": f"the cell itself stopped with {name}: {text}"}
        defined = {
            name: proxy(channel, name) if "callable" in value else channel.unpack(value["value"])
            for name, value in reply["defined"].items()
            if name in job["names"]
        }
    except TimeoutError:
        return result | {"problem": f"the cell itself ran longer than {CALL_SECONDS:.0f} seconds"}
    except Exception:  # as in Channel.call
        return result | {"problem": ENDED}
    if missing := [name for name in job["names"] if name not in defined]:
        return result | {"problem": f"the cell does not define {', '.join(missing)}"}
    namespace |= defined
    verdicts: list[bool] = []
    plain_check = course_utils.exercises.check

    def check(*args, **kwargs):
        verdicts.append(plain_check(*args, **kwargs))
        return verdicts[-1]

    course_utils.exercises.check = namespace["check"] = check
    printed = io.StringIO()
    problem = attempt(tests["visible"], namespace, printed)
    result["lines"] = [line[:LINE_LIMIT] for line in printed.getvalue().splitlines()][:TEXT_LIMIT]
    result["visible"] = not problem and bool(verdicts) and all(verdict is True for verdict in verdicts)
    result["hidden"] = result["visible"] and not attempt(tests["hidden"], namespace, io.StringIO())
    return result | {"problem": problem if not result["visible"] else ""}


def warm_up(statements: list[str]) -> None:
    """Import what the exercises need and measure this machine once, so that every examiner inherits it."""
    namespace: dict = {}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for statement in statements:
            exec(compile(statement, "<lesson>", "exec"), namespace)


def main() -> None:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: other processes of this user may not look inside
    torch.set_num_threads(1)
    warm_up(take_message()["warm_up"])
    tell({"ready": True})
    while True:
        if (examiner := os.fork()) == 0:
            try:
                if (job := take_message()) is None:
                    os._exit(3)
                tell(examine(job))
                os._exit(0)
            except BaseException as error:  # an error of the course, not of the student
                tell({"fault": f"{type(error).__name__}: {error}", "where": traceback.format_exc()[-1500:]})
                os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(examiner, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # whatever the student's code left running
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        if code:
            sys.exit(0 if code == 3 else 4)


if __name__ == "__main__":
    main()
