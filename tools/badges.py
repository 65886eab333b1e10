"""Point every badge and the setup cells at a repository: ``python -m tools.badges owner/name [branch] [--private]``.

On GitLab the project's address stands for ``owner/name``.
"""

from __future__ import annotations

import re
import sys

import nbformat

from tools.build import build_learner, learner_notebook, write
from tools.lessons import ROOT, Lesson, Repository, lessons, repository

README = ROOT / "README.md"
# All that `make badges` may change; the workflow that may push commits these and nothing else.
CHANGES = ("pyproject.toml", "README.md", "INSTRUCTORS.md", "CITATION.cff", "notebooks")
NAME = r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+"
GITLAB = r"https://(?!github\.com/)[A-Za-z0-9.:-]+(?:/[A-Za-z0-9._-]+){2,}"


def set_repository(name: str, branch: str, private: bool = False) -> None:
    """Rewrite the one setting in pyproject.toml. Raises ValueError for what is neither ``owner/name`` nor an address."""
    if not re.fullmatch(f"{NAME}|{GITLAB}", name):
        raise ValueError(
            f"{name!r} is not a repository. Expected owner/name, as in REPO=ada/distilbert-course; "
            "on GitLab the project's address, as in REPO=https://gitlab.com/ada/distilbert-course."
        )
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", branch):
        raise ValueError(f"{branch!r} is not a branch name.")
    file = ROOT / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    text = re.sub(r'^repository = ".*"$', f'repository = "{name}"', text, flags=re.M)
    lines = f'branch = "{branch}"\n' + "private = true\n" * private
    text = re.sub(r'^branch = ".*"\n(private = .*\n)?', lines, text, flags=re.M)
    file.write_text(text, encoding="utf-8")


def is_stale(lesson: Lesson) -> bool:
    """Whether the committed notebook's cells differ from those that its source gives."""
    committed = nbformat.read(lesson.notebook, as_version=4).cells
    return [c.source for c in committed] != [c.source for c in learner_notebook(lesson).cells]


def pointed(text: str, before: Repository, after: Repository) -> str:
    """The page with its addresses moved to another repository, and ``cd`` after ``git clone`` with that one's folder."""
    text = before.moved_to(after, text)
    clone = re.compile(rf"^(git clone .*{re.escape(after.url)})(?: \S+)?\ncd \S+$", re.M)
    text = clone.sub(lambda found: f"{found[1]}\ncd {after.folder}", text)
    if (
        after.is_gitlab
    ):  # without GitHub's workflows, and without Colab, which opens none of its notebooks
        text = re.sub(r"^\[!\[CI\].*\n", "", text, flags=re.M)
        text = re.sub(r"\[!\[Open in Colab\]\(\S+?\)\]", "[Lesson 00]", text)
        text = text.replace("Open in Colab:", "Read:")
    return text


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--private"]
    if len(words) not in (1, 2):
        raise SystemExit("usage: make badges REPO=owner/name [BRANCH=main] [PRIVATE=1]")
    before = repository()
    if stale := [lesson.notebook.name for lesson in lessons() if is_stale(lesson)]:
        raise SystemExit(
            f"{', '.join(stale)}: differs from its source. Run `make notebooks` first; nothing "
            "was changed."
        )
    try:
        set_repository(words[0], (*words, before.branch)[1], "--private" in sys.argv)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    after = repository()
    for file in (README, ROOT / "INSTRUCTORS.md", ROOT / "CITATION.cff"):
        text = pointed(file.read_text(encoding="utf-8"), before, after)
        file.write_text(text, encoding="utf-8")
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
