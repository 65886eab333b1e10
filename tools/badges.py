"""Point every badge and the setup cells at a repository: ``python -m tools.badges owner/name [branch]``."""

from __future__ import annotations

import re
import sys

import nbformat

from tools.build import build_learner, learner_notebook, write
from tools.lessons import ROOT, Lesson, lessons, repository

README = ROOT / "README.md"
# All that `make badges` may change; the workflow that may push commits these and nothing else.
CHANGES = ("pyproject.toml", "README.md", "INSTRUCTORS.md", "CITATION.cff", "notebooks")


def set_repository(name: str, branch: str) -> None:
    """Rewrite the one setting in pyproject.toml. Raises ValueError for a name that isn't ``owner/name``."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", name):
        raise ValueError(
            f"{name!r} is not a repository. Expected owner/name, as in REPO=ada/distilbert-course."
        )
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", branch):
        raise ValueError(f"{branch!r} is not a branch name.")
    file = ROOT / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    text = re.sub(r'^repository = ".*"$', f'repository = "{name}"', text, flags=re.M)
    file.write_text(
        re.sub(r'^branch = ".*"$', f'branch = "{branch}"', text, flags=re.M), encoding="utf-8"
    )


def is_stale(lesson: Lesson) -> bool:
    """Whether the committed notebook's cells differ from those that its source gives."""
    committed = nbformat.read(lesson.notebook, as_version=4).cells
    return [c.source for c in committed] != [c.source for c in learner_notebook(lesson).cells]


def same_folder(text: str, name: str) -> str:
    """The two commands of the read-me with the folder that the setup cell makes and looks for."""
    folder = name.split("/")[1]
    clone = re.compile(r"^(git clone .*https://github\.com/\S+)(?: \S+)?\ncd \S+$", re.M)
    return clone.sub(lambda found: f"{found[1]}\ncd {folder}", text)


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: make badges REPO=owner/name [BRANCH=main]")
    before = repository()
    if stale := [lesson.notebook.name for lesson in lessons() if is_stale(lesson)]:
        raise SystemExit(
            f"{', '.join(stale)}: differs from its source. Run `make notebooks` first; nothing "
            "was changed."
        )
    try:
        set_repository(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else before.branch)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    after = repository()
    old, new = f"{before.name}/blob/{before.branch}/", f"{after.name}/blob/{after.branch}/"
    for file in (README, ROOT / "INSTRUCTORS.md", ROOT / "CITATION.cff"):
        text = file.read_text(encoding="utf-8").replace(old, new)
        text = text.replace(f"github.com/{before.name}", f"github.com/{after.name}")
        file.write_text(same_folder(text, after.name), encoding="utf-8")
    for lesson in lessons():
        outputs = [
            c for c in nbformat.read(lesson.notebook, as_version=4).cells if c.cell_type == "code"
        ]
        build_learner(lesson, run=False)
        notebook = nbformat.read(lesson.notebook, as_version=4)
        # The setup cell names the repository, so its id changed and its (empty) output must be
        # carried over by place.
        code = [c for c in notebook.cells if c.cell_type == "code"]
        for cell, previous in zip(code, outputs, strict=True):
            cell.outputs, cell.execution_count = previous.outputs, previous.execution_count
        write(notebook, lesson.notebook)
    print(f"badges point to {after.name}, branch {after.branch}")


if __name__ == "__main__":
    main()
