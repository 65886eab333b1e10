"""``make badges`` changes the one setting that says where the course lives, and refuses what is no repository."""

import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

from tools import badges, lessons


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """A copy of pyproject.toml for the tools to work on."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    monkeypatch.setattr(badges, "ROOT", tmp_path)
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    return tmp_path


def test_the_repository_changes_and_nothing_else_does(copy):
    before = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    badges.set_repository("ada/my.course-2", "term/2026")
    after = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))
    assert after["tool"].pop("course") == {"repository": "ada/my.course-2", "branch": "term/2026"}
    before["tool"].pop("course")
    assert after == before


def test_badges_open_the_notebooks_own_path_in_the_new_repository(copy):
    badges.set_repository("ada/course", "main")
    link = lessons.repository().colab(copy / "notebooks/05_name.ipynb")
    assert link == "https://colab.research.google.com/github/ada/course/blob/main/notebooks/05_name.ipynb"


@pytest.mark.parametrize("name", [
    "course", "https://github.com/ada/course", "ada/course/", "ada/", '-a/"b"', "a b/c", "ada/c\n", ""])
def test_what_is_no_repository_is_refused_and_nothing_is_written(copy, name):
    with pytest.raises(ValueError, match=r"is not a repository\. Expected owner/name"):
        badges.set_repository(name, "main")
    assert (copy / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()


@pytest.mark.parametrize("branch", ["", "a branch", 'main"\nx = "1'])
def test_what_is_no_branch_is_refused(copy, branch):
    with pytest.raises(ValueError, match="is not a branch name"):
        badges.set_repository("ada/course", branch)
    assert (copy / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()
