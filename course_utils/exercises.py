"""``check``: instant feedback on an exercise. Pure Python; works in Colab, JupyterLab, nbgrader and pytest."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

Property = tuple[str, Callable[[], object]] | tuple[str, Callable[[], object], str]
MARKS = {"solved": "✅", "not solved yet": "❌", "not attempted": "○"}


def check(name: str, *properties: Property, strict: bool = False) -> bool:
    """Print one line per property of a solution: a tick, or a cross with what the answer probably did wrong.

    Parameters
    ----------
    name : number and title of the exercise.
    properties : ``(what should hold, function without arguments, what probably went wrong)``; the last may be left out.
        A property holds only where the function returns a real ``True``: objects that claim to be true don't pass.
    strict : raise AssertionError at the first property that fails, for graders.

    Raises
    ------
    ValueError : without any property, which would pass every answer.

    Returns
    -------
    Whether all hold. An exercise that isn't solved yet (it raises NotImplementedError) gives one calm line.
    """
    if not properties:
        raise ValueError(f"{name}: no property to check. Give at least one (what, function).")
    numpy = sys.modules.get("numpy")  # comparing NumPy numbers gives NumPy's own bool
    truth_types = (bool, numpy.bool_) if numpy else (bool,)
    passed = 0
    for what, holds, *hint in properties:
        try:
            result = holds()
            # By identity: "in" would ask the answer's own type whether it is one of these.
            good = any(type(result) is t for t in truth_types) and bool(result)
            problem = "" if good else (hint[0] if hint else one_line(f"got {result!r}"))
        except NotImplementedError:
            print(f"{name}: not attempted yet")
            if strict:
                raise AssertionError(f"{name}: not attempted yet") from None
            remember(name, "not attempted")
            return False
        except (Exception, SystemExit, GeneratorExit) as error:  # without a traceback of the course
            good, problem = False, stopped_with(error)
        print(f"✅ {what}" if good else f"❌ {what}: {problem}")
        passed += good
        if strict and not good:
            raise AssertionError(f"{name}: {what}: {problem}")
    print(f"{name}: {passed} of {len(properties)}")
    remember(name, "solved" if passed == len(properties) else "not solved yet")
    return passed == len(properties)


def one_line(text: str) -> str:
    """At most 300 printable characters: an answer's own text can't look like a line of the check."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:300]).split())


def stopped_with(error: BaseException) -> str:
    try:
        return one_line(f"your code stopped with {type(error).__name__}: {error}")
    except BaseException:  # its own __str__ is broken
        return "your code stopped with an exception that can't be shown"


def progress_file() -> Path:
    """Where this machine keeps what is solved: ``COURSE_PROGRESS``, or a file in the course's folder."""
    return Path(
        os.environ.get("COURSE_PROGRESS")
        or Path(__file__).resolve().parents[1] / ".course-progress.json"
    )


def recorded() -> dict[str, str]:
    """Name of each exercise checked so far -> "solved", "not solved yet" or "not attempted"."""
    try:
        known = json.loads(progress_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # no file yet, or a damaged one: start anew
        return {}
    return {n: s for n, s in known.items() if s in list(MARKS)} if isinstance(known, dict) else {}


def remember(name: str, state: str) -> None:
    """Keep an exercise's state; what was solved once stays solved. Where nothing can be written, nothing is kept."""
    known = recorded()
    if known.get(name) == "solved":
        return
    file = progress_file()
    try:
        part = file.with_name(f"{file.name}.{os.getpid()}")
        part.write_text(json.dumps(known | {name: state}, indent=1), encoding="utf-8")
        os.replace(part, file)
    except (OSError, ValueError):
        return


def progress(lesson: str = "") -> None:
    """Print what is solved of ``lesson`` ("05"), or of all lessons. It is kept in a file on this machine and sent nowhere."""
    states = {
        name: state
        for name, state in recorded().items()
        if not lesson or name.split(".")[0] == str(int(lesson))
    }
    for name, state in sorted(states.items()):
        print(one_line(f"{MARKS[state]} {name}: {state}"))
    print(f"{sum(s == 'solved' for s in states.values())} of {len(states)} exercises solved")
