"""``check``: instant feedback on an exercise. Pure Python; works in Colab, JupyterLab, nbgrader and pytest."""

from __future__ import annotations

import sys
from collections.abc import Callable

Property = tuple[str, Callable[[], object]] | tuple[str, Callable[[], object], str]


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
            good = type(result) in truth_types and bool(result)
            problem = "" if good else (hint[0] if hint else f"got {result!r}")
        except NotImplementedError:
            print(f"{name}: not attempted yet")
            if strict:
                raise AssertionError(f"{name}: not attempted yet") from None
            return False
        except Exception as error:  # the learner sees type and message, not a traceback from inside the course
            good, problem = False, f"your code stopped with {type(error).__name__}: {error}"
        print(f"✅ {what}" if good else f"❌ {what}: {problem}")
        passed += good
        if strict and not good:
            raise AssertionError(f"{name}: {what}: {problem}")
    print(f"{name}: {passed} of {len(properties)}")
    return passed == len(properties)
