"""``make badges`` changes the one setting that says where the course lives, and refuses what is no repository."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
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
    assert (
        link
        == "https://colab.research.google.com/github/ada/course/blob/main/notebooks/05_name.ipynb"
    )


@pytest.mark.parametrize(
    "name",
    [
        "course",
        "https://github.com/ada/course",
        "ada/course/",
        "ada/",
        '-a/"b"',
        "a b/c",
        "https://gitlab.com/ada",
        "http://gitlab.com/ada/course",
        "https://ada:secret@gitlab.com/ada/course",
        "ada/c\n",
        "",
    ],
)
def test_what_is_no_repository_is_refused_and_nothing_is_written(copy, name):
    with pytest.raises(ValueError, match=r"is not a repository\. Expected owner/name"):
        badges.set_repository(name, "main")
    assert (copy / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()


def test_a_gitlab_project_goes_by_its_address_and_a_private_repository_says_so(copy):
    badges.set_repository("https://gitlab.example.org/nlp/2026/course", "main", private=True)
    home = lessons.repository()
    assert home.private and home.folder == "course"
    assert (
        home.colab(copy / "notebooks/05.ipynb")
        == "https://gitlab.example.org/nlp/2026/course/-/blob/main/notebooks/05.ipynb"
    )
    badges.set_repository("ada/course", "main")
    assert lessons.repository() == lessons.Repository("ada/course", "main")


@pytest.mark.parametrize("branch", ["", "a branch", 'main"\nx = "1'])
def test_what_is_no_branch_is_refused(copy, branch):
    with pytest.raises(ValueError, match="is not a branch name"):
        badges.set_repository("ada/course", branch)
    assert (copy / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()


# --- the whole program, on a copy: it rewrites the read-me and every notebook ---

LESSON = """# %% [markdown]
# {{badge}}
#
# # What is one and one?
#
# {{cost}}

# %% tags=["setup"]
# {{setup}}

# %%
print(1 + 1)
"""
RUN = "from tools import badges; badges.main()"


@pytest.fixture
def repository(built, tmp_path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The programs of this repository beside one short lesson, whose notebook ran; in git."""
    top = tmp_path_factory.mktemp("built")
    for name in (
        "pyproject.toml",
        "README.md",
        "INSTRUCTORS.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
    ):
        top.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, top / name)
    shutil.copytree(
        ROOT / "tools",
        top / "tools",
        ignore=shutil.ignore_patterns("__pycache__", "pretrain", "grade"),
    )
    (top / "notebooks/sources").mkdir(parents=True)
    (top / "notebooks/sources/00_one.py").write_text(LESSON, encoding="utf-8")
    python(
        top,
        "from tools.build import build_learner; from tools.lessons import lessons; build_learner(lessons()[0], False)",
    )
    file = top / "notebooks/00_one.ipynb"
    notebook = nbformat.read(file, as_version=4)
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        cell.execution_count = number
    cell.outputs = [nbformat.v4.new_output("stream", text="2\n")]
    nbformat.write(notebook, file)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        git(top, "-c", "user.name=a", "-c", "user.email=a@example.com", *command)
    return top


def python(top: Path, code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *arguments], cwd=top, capture_output=True, text=True
    )


def git(top: Path, *command: str) -> str:
    return subprocess.run(
        ["git", *command], cwd=top, check=True, capture_output=True, text=True
    ).stdout


def test_a_fork_points_everything_at_itself_and_changes_nothing_else(repository):
    done = python(repository, RUN, "ada/nlp-class", "trunk")
    assert done.stdout == "badges point to ada/nlp-class, branch trunk\n", done.stderr
    changed = git(repository, "status", "--porcelain").splitlines()
    names = {line[3:] for line in changed}
    assert (
        names
        == {
            "pyproject.toml",
            "README.md",
            "INSTRUCTORS.md",
            "CITATION.cff",
            "notebooks/00_one.ipynb",
        }
        & names
    )
    assert {"pyproject.toml", "README.md", "CITATION.cff", "notebooks/00_one.ipynb"} <= names
    before = lessons.repository().name
    for name in names:
        assert before not in (repository / name).read_text(encoding="utf-8"), name
    text = (repository / "notebooks/00_one.ipynb").read_text(encoding="utf-8")
    assert (
        "github/ada/nlp-class/blob/trunk/notebooks/00_one.ipynb" in text
        and "https://github.com/ada/nlp-class" in text
    )
    code = [c for c in nbformat.reads(text, as_version=4).cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == [1, 2] and code[1].outputs[0].text == "2\n"


@pytest.mark.parametrize("before", ["ada/course", "https://gitlab.com/nlp/course"])
@pytest.mark.parametrize(
    "after", ["ada/course-2", "ada/course", "https://gitlab.com/nlp/course-2027", "ab/c"]
)
def test_addresses_move_once_even_where_the_new_one_begins_with_the_old(before, after):
    old, new = lessons.Repository(before, "main"), lessons.Repository(after, "term/2")

    def page(home):
        return (
            f"{home.files}notebooks/00.ipynb {home.notebooks}notebooks/00.ipynb {home.url}/actions/x "
            f"{home.url}.git ({home.url}) "
        )

    others = f"{old.url}-data {old.url}2/blob/main/a"
    # GitLab's pages and notebooks have one address: what it leads to on GitHub is opened on Colab
    wanted = page(new) if not old.is_gitlab else page(new).replace(new.files, new.notebooks)
    assert old.moved_to(new, page(old) + others) == wanted + others


def test_a_second_time_it_changes_nothing(repository):
    python(repository, RUN, "ada/nlp-class", "trunk")
    before = git(repository, "diff")
    assert python(repository, RUN, "ada/nlp-class", "trunk").returncode == 0
    assert git(repository, "diff") == before


def test_the_read_me_of_a_fork_makes_the_folder_that_its_setup_cell_looks_for(repository):
    python(repository, RUN, "ada/nlp-class")
    readme = (repository / "README.md").read_text(encoding="utf-8")
    clone = r"^git clone (-.* )?https://github\.com/ada/nlp-class\ncd nlp-class$"
    assert re.search(clone, readme, re.M)
    cell = (repository / "notebooks/00_one.ipynb").read_text(encoding="utf-8")
    assert 'Path(\\"ada/nlp-class\\").name' in cell


def test_on_gitlab_notebooks_are_downloaded_and_nothing_leads_to_github_or_colab(repository):
    address = "https://gitlab.com/nlp/2026/course"
    done = python(repository, RUN, address, "trunk", "--private")
    assert done.returncode == 0, done.stderr
    readme = (repository / "README.md").read_text(encoding="utf-8")
    clone = r"^git clone (-.* )?https://gitlab\.com/nlp/2026/course\ncd course$"
    assert re.search(clone, readme, re.M) and "/actions/" not in readme
    assert f"[Lesson 00]({address}/-/blob/trunk/notebooks/00_start.ipynb)" in readme
    assert not re.search(r"github\.com/distilbert-course|colab\.research", readme)
    cells = nbformat.read(repository / "notebooks/00_one.ipynb", as_version=4).cells
    assert f"({address}/-/raw/trunk/notebooks/00_one.ipynb?inline=false)" in cells[0].source
    setup = next(c.source for c in cells if c.cell_type == "code")
    assert f'"{address}")' in setup and "{source}/-/archive/trunk/course.zip" in setup
    assert 'userdata.get("COURSE_TOKEN")' in setup and "github" not in setup
    assert python(repository, RUN, "ada/nlp-class", "main").returncode == 0  # and back
    again = (repository / "notebooks/00_one.ipynb").read_text(encoding="utf-8")
    assert "gitlab" not in again and "COURSE_TOKEN" not in again


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "usage: make badges"),
        (["not a name"], "is not a repository"),
        (["ada/course", "no branch"], "is not a branch"),
    ],
)
def test_what_it_does_not_understand_changes_nothing(arguments, words, repository):
    done = python(repository, RUN, *arguments)
    assert done.returncode == 1 and words in done.stderr
    assert git(repository, "status", "--porcelain") == ""


def test_a_notebook_that_differs_from_its_source_is_left_to_its_author(repository):
    with open(repository / "notebooks/sources/00_one.py", "a", encoding="utf-8") as source:
        source.write("\n# %%\nprint(3)\n")
    done = python(repository, RUN, "ada/nlp-class")
    assert (
        done.returncode == 1
        and "00_one.ipynb: differs from its source. Run `make notebooks` first" in done.stderr
    )
    assert git(repository, "status", "--porcelain") == " M notebooks/sources/00_one.py\n"


def test_the_workflow_commits_what_badges_may_change_and_nothing_else():
    workflow = (ROOT / ".github/workflows/rebadge.yml").read_text(encoding="utf-8")
    assert f"git add -- {' '.join(badges.CHANGES)}\n" in workflow
    assert not re.search(r"git add (-A|--all|\.)|commit (-a|--all)", workflow)


def test_no_test_runs_the_program_on_this_repository():
    for file in (ROOT / "tests").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert (
            not re.search(
                r"tools\.badges\b|make\W+badges",
                re.sub(r"^.*from tools\.badges.*$", "", text, flags=re.M),
            )
            or file.name == "test_badges.py"
        ), file.name
