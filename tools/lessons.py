"""The repository's lessons, settings and measurements, for the maintainers' programs."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "sources"
MEASURED = NOTEBOOKS / "measured.json"


@dataclass(frozen=True)
class Lesson:
    """One lesson or appendix: its source and the learner notebook made from it."""

    source: Path

    @property
    def number(self) -> str:
        """Two digits; an appendix goes by its whole name."""
        return self.source.stem if self.is_appendix else self.source.stem[:2]

    @property
    def is_appendix(self) -> bool:
        return self.source.stem.startswith("appendix_")

    @property
    def notebook(self) -> Path:
        return NOTEBOOKS / f"{self.source.stem}.ipynb"

    @property
    def title(self) -> str:
        """The first heading of the source."""
        return re.search(r"^# # (.+)$", self.source.read_text(encoding="utf-8"), re.M)[1]


def lessons(wanted: list[str] | None = None) -> list[Lesson]:
    """All lessons in order, then the appendices; or those whose numbers are ``wanted``.

    Raises ValueError for a number that doesn't exist.
    """
    files = [f for form in ("[0-9][0-9]_*.py", "appendix_*.py") for f in sorted(SOURCES.glob(form))]
    found = [Lesson(p) for p in files]
    if not wanted:
        return found
    numbers = {lesson.number for lesson in found}
    if unknown := [w for w in wanted if w.zfill(2) not in numbers]:
        raise ValueError(
            f"There is no lesson {', '.join(unknown)}. Lessons: {', '.join(sorted(numbers))}."
        )
    return [lesson for lesson in found if lesson.number in {w.zfill(2) for w in wanted}]


@dataclass(frozen=True)
class Repository:
    """Where the course lives: ``owner/name`` and the branch that badges open."""

    name: str
    branch: str

    def colab(self, notebook: Path) -> str:
        path = notebook.relative_to(ROOT).as_posix()
        return f"https://colab.research.google.com/github/{self.name}/blob/{self.branch}/{path}"


def repository() -> Repository:
    with open(ROOT / "pyproject.toml", "rb") as file:
        course = tomllib.load(file)["tool"]["course"]
    return Repository(course["repository"], course["branch"])


def measured() -> dict[str, dict[str, dict]]:
    """lesson number -> profile -> {minutes, memory_gib, speed, machine, date}; beside them ``proved`` (``mini``, see
    ``tools.proof``), ``untrained`` or ``headline`` and ``inputs`` (``cpu``, see ``tools.published``)."""
    return json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
