"""``check``: instant feedback on an exercise, and a record of which exercises are solved."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

Property = tuple[str, Callable[[], object]] | tuple[str, Callable[[], object], str]
MARKS = {"solved": "✅", "not solved yet": "❌", "not attempted": "○"}


def check(name: str, *properties: Property, strict: bool = False) -> bool:
    """Print a tick or a cross per property of a solution; a cross with the probable mistake.

    Parameters
    ----------
    name : number and title of the exercise.
    properties : ``(what should hold, function without arguments, probable mistake)``; the last may
        be left out. A property holds only where the function returns ``True`` or NumPy's true:
        other truthy objects don't pass.
    strict : raise AssertionError at the first property that fails, for graders.

    Raises
    ------
    ValueError : without any property, which would pass every answer.

    Returns
    -------
    Whether all hold. For an unsolved exercise (NotImplementedError) it prints one line.
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
    """At most 300 printable characters: an answer's text can't look like a line of the check."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:300]).split())


def stopped_with(error: BaseException) -> str:
    try:
        return one_line(f"your code stopped with {type(error).__name__}: {error}")
    except BaseException:  # its own __str__ is broken
        return "your code stopped with an exception that can't be shown"


def progress_file() -> Path:
    """The file with the exercises' states: ``COURSE_PROGRESS``, or one in the course's folder."""
    named = os.environ.get("COURSE_PROGRESS")
    return Path(named or Path(__file__).resolve().parents[1] / ".course-progress.json")


def recorded() -> dict[str, str]:
    """Name of each exercise checked so far -> "solved", "not solved yet" or "not attempted"."""
    try:
        known = json.loads(progress_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # no file yet, or a damaged one: start anew
        return {}
    return {n: s for n, s in known.items() if s in list(MARKS)} if isinstance(known, dict) else {}


def remember(name: str, state: str) -> None:
    """Record an exercise's state, if the file can be written; what was solved stays solved."""
    known = recorded()
    if known.get(name) == "solved":
        return
    file = progress_file()
    with contextlib.suppress(OSError, ValueError):
        part = file.with_name(f"{file.name}.{os.getpid()}")
        part.write_text(json.dumps(known | {name: state}, indent=1), encoding="utf-8")
        os.replace(part, file)


def progress(lesson: str = "") -> None:
    """Print the states recorded on this machine for ``lesson`` ("05"), or for all lessons."""
    states = {
        name: state
        for name, state in recorded().items()
        if not lesson or name.split(".")[0] == str(int(lesson))
    }
    for name, state in sorted(states.items()):
        print(one_line(f"{MARKS[state]} {name}: {state}"))
    print(f"{sum(s == 'solved' for s in states.values())} of {len(states)} exercises solved")
