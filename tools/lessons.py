"""The repository's lessons, settings and measurements, for the maintainers' programs."""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "sources"
MEASURED = NOTEBOOKS / "measured.json"
GITHUB = "https://github.com/"


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


def lesson_number(text: str) -> str:
    """A lesson's number as an argument of a command: ``argparse`` prints why there is none."""
    try:
        lessons([text])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


@dataclass(frozen=True)
class Repository:
    """Where the course lives: ``owner/name`` on GitHub or the address of a GitLab project, and the branch that badges open.

    ``private``: the setup cell takes a token from Colab's Secrets.
    """

    name: str
    branch: str
    private: bool = False

    @property
    def is_gitlab(self) -> bool:
        return "://" in self.name

    @property
    def url(self) -> str:
        return self.name if self.is_gitlab else GITHUB + self.name

    @property
    def folder(self) -> str:
        """What ``git clone`` and the setup cell call the folder that they make."""
        return self.name.rpartition("/")[2]

    @property
    def files(self) -> str:
        """What the address of a file's page begins with."""
        return f"{self.url}{'/-' if self.is_gitlab else ''}/blob/{self.branch}/"

    @property
    def notebooks(self) -> str:
        """The same where notebooks are opened: on Colab, which opens GitHub's and not GitLab's."""
        return self.files.replace(GITHUB, "https://colab.research.google.com/github/")

    def moved_to(self, other: Repository, text: str) -> str:
        """The text with all addresses in this repository changed to those in another."""
        kinds = ("url", "files", "notebooks")  # on GitLab the last two are one address
        moves = {getattr(self, kind): getattr(other, kind) for kind in kinds}
        # In one pass, longest first: the new address may begin with the old one. A longer name is another repository.
        found = [re.escape(old) + ("" if old.endswith("/") else r"(?![\w-])") for old in moves]
        pattern = "|".join(sorted(found, key=len, reverse=True))
        return re.sub(pattern, lambda match: moves[match[0]], text)

    def colab(self, notebook: Path) -> str:
        return self.notebooks + notebook.relative_to(ROOT).as_posix()


def repository() -> Repository:
    with open(ROOT / "pyproject.toml", "rb") as file:
        course = tomllib.load(file)["tool"]["course"]
    return Repository(course["repository"], course["branch"], course.get("private", False))


def measured() -> dict[str, dict[str, dict]]:
    """lesson number -> profile -> {minutes, memory_gib, speed, machine, date}; beside them ``proved`` (``mini``, see
    ``tools.proof``), ``untrained`` or ``headline`` and ``inputs`` (``cpu``, see ``tools.published``)."""
    return json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
