"""Rules for every file of the repository."""

from __future__ import annotations

import ast
import csv
import json
import re
import subprocess
import sys
import textwrap
import tomllib
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from tools.lessons import ROOT, lessons, measured, repository

TRACKED = [
    ROOT / f
    for f in subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if (ROOT / f).is_file()
]
TEXT = [f for f in TRACKED if f.suffix not in {".png", ".safetensors"}]
COURSE = [f for f in TEXT if f.suffix in {".py", ".ipynb"} and "tests" not in f.parts]
SOURCES = [lesson.source for lesson in lessons()]


def mentions(pattern: str, files=None) -> list[str]:
    """``file:line`` of every line that matches."""
    found = []
    for file in TEXT if files is None else files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if len(line) < 20_000 and re.search(pattern, line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=["lint", "format"])
def test_the_code_is_clean_and_formatted(command):
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


def test_no_path_of_a_machine_stands_in_any_file():
    others = [f for f in TEXT if f.name not in {"test_policy.py", "test_notebooks.py"}]
    assert not mentions(r"(?<![\w.:/])/(?:home|root|work|Users)/\w|[A-Z]:\\+Users", others)


def test_no_output_names_the_folder_in_which_a_lesson_ran():
    assert not mentions(r"build/work", [f for f in TEXT if f.suffix == ".ipynb"])


def test_no_package_index_is_named():
    assert not mentions("index" + r"-url|find" + "-links|pypi" + r"\.org/simple")


@pytest.mark.parametrize(
    "pattern",
    [
        r"trust_remote" + "_code",
        "weights_only" + "=False",
        r"evaluate\.load" + r"\([\"']",
        r"load_dataset\(\"(?:imdb|sst2|ag_news)\"",
        r"pickle\.load|joblib\.load|(from|import) (pickle|dill|cloudpickle|joblib)\b|read_pickle|allow_pickle=True",
    ],
)
def test_nothing_loads_code(pattern):
    allowed = {"course_utils/metrics.py"}  # its docstring says why evaluate.load isn't used
    assert not [m for m in mentions(pattern, COURSE) if m.split(":")[0] not in allowed]


def test_no_file_holds_a_secret():
    assert not mentions(
        r"hf_[A-Za-z0-9]{20,}|gh[oprsu]_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16}|PRIVATE KEY" + "-----"
    )


def test_no_file_is_a_pickle():
    """By its name, or by its first bytes: protocol 2 or later."""
    named = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
    assert not [
        f"{f.relative_to(ROOT)}"
        for f in TRACKED
        if f.suffix in named or re.match(rb"\x80[\x02-\x05]", f.read_bytes()[:2])
    ]


def called(call: ast.Call) -> str:
    """The last name of what is called: ``fit`` in ``make().fit(rows)``."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_hub_models_and_data_are_loaded_at_a_revision_and_as_safetensors():
    for file in [*SOURCES, *(ROOT / "course_utils").glob("*.py")]:
        for call in [
            n
            for n in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(n, ast.Call)
        ]:
            if called(call) not in {
                "from_pretrained",
                "pipeline",
                "load_dataset",
                "snapshot_download",
                "hf_hub_download",
            }:
                continue
            words = {k.arg: ast.unparse(k.value) for k in call.keywords}
            first = int(ast.unparse(call.func).startswith("PeftModel"))  # (model, adapter's folder)
            origin = words.get("model") or ", ".join(map(ast.unparse, call.args[first:][:1]))
            place, what = f"{file.relative_to(ROOT)}:{call.lineno}", ast.unparse(call.func)
            # Three need none: a folder that the lesson saved, files that were fetched at their revision, and lesson 00's
            # errors, which meet an empty cache offline.
            if (
                not re.search(r"\bfolder\b|^'parquet'$", origin)
                and words.get("cache_dir") != "empty"
            ):
                pin = words.get("revision", "")
                assert re.search(r"revision$|^'[0-9a-f]{40}'$", pin), (
                    f"{place}: {what} without a pinned revision"
                )
            # An adapter's class has no such argument; the course's own folder holds safetensors alone (test_reader.py).
            if called(call) == "from_pretrained" and "Tokenizer" not in what and not first:
                assert words.get("use_safetensors") == "True", f"{place}: {what} may load a pickle"


def test_programs_load_models_as_safetensors_and_files_of_the_hub_at_a_revision():
    """The programs load models from folders of this repository, which have no revision."""
    folders = ("tools", "service", "scale", "browser")
    for file in sorted(f for folder in folders for f in (ROOT / folder).rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = called(call) if isinstance(call, ast.Call) else ""
            what = ast.unparse(call.func) if name else ""
            words = {k.arg: ast.unparse(k.value) for k in call.keywords} if name else {}
            place = f"{file.relative_to(ROOT)}:{call.lineno}: {what}" if name else ""
            if name in {"snapshot_download", "hf_hub_download"}:
                assert "revision" in words, f"{place} without a pinned revision"
            elif name == "from_pretrained" and not re.search("Tokenizer|Config|Peft", what):
                assert words.get("use_safetensors") == "True", f"{place} may load a pickle"


def test_every_hub_source_is_pinned_to_a_full_revision():
    from course_utils.hub import DATASETS, MODELS
    from course_utils.spans import SOURCES

    for source in [*DATASETS.values(), *SOURCES.values(), *MODELS.values()]:
        assert re.fullmatch(r"[0-9a-f]{40}", source.revision) and "/" in source.repo


def test_workflow_actions_are_pinned_to_a_commit():
    uses = [
        u
        for f in (ROOT / ".github/workflows").glob("*.yml")
        for u in re.findall(r"uses:\s*(\S+)", f.read_text("utf-8"))
    ]
    assert uses
    assert not [u for u in uses if not re.search(r"@[0-9a-f]{40}$", u)]


def test_make_clean_leaves_what_took_hours_or_what_a_person_wrote(tmp_path):
    stays = [
        "browser",
        "grade",
        "home",
        "instructor",
        "pretrain",
        "progress",
        "reader",
        "service",
        "work",
        "unknown",
    ]
    for name in (*stays, "bench", "run", "site", "site-source"):
        (tmp_path / "build" / name).mkdir(parents=True)
    (tmp_path / "build/newest.txt").touch()
    command = ["make", "-f", str(ROOT / "Makefile"), "clean"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert sorted(f.name for f in (tmp_path / "build").iterdir()) == sorted(stays)
    (tmp_path / "build").rename(tmp_path / "other")
    subprocess.run(command, cwd=tmp_path, check=True)


def test_the_course_has_one_version():
    with open(ROOT / "pyproject.toml", "rb") as file:
        version = tomllib.load(file)["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == version


def test_versions_are_pinned_in_one_file_only():
    pins = [
        line
        for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", pin) for pin in pins)
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert not [d for d in tomllib.load(file)["project"]["dependencies"] if "==" in d]


def test_what_colab_has_satisfies_the_ranges():
    from packaging.requirements import Requirement

    colab = dict(
        line.split("==")
        for line in (ROOT / ".github/colab-constraints.txt").read_text("utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    colab = {
        name.lower().replace("_", "-"): version.split(" ")[0] for name, version in colab.items()
    }
    with open(ROOT / "pyproject.toml", "rb") as file:
        wanted = [Requirement(d) for d in tomllib.load(file)["project"]["dependencies"]]
    present = [r for r in wanted if r.name.lower() in colab]
    assert len(present) >= 9
    assert not [
        f"{r} but Colab has {colab[r.name.lower()]}"
        for r in present
        if colab[r.name.lower()] not in r.specifier
    ]


def test_the_helper_package_stays_small():
    sizes = {
        f.name: sum(
            1
            for line in f.read_text("utf-8").splitlines()
            if line.strip() and not line.strip().startswith("#")
        )
        for f in (ROOT / "course_utils").glob("*.py")
    }
    # Half of it reads files and names what is wrong with them, or gives a run its folder.
    assert max(sizes.values()) <= 275 and sum(sizes.values()) <= 2800, sizes


def test_lessons_do_not_import_the_maintainers_tools():
    assert not mentions(
        r"^\s*(?:from|import) tools\b", list((ROOT / "notebooks/sources").glob("*.py"))
    )


def test_the_readme_lists_each_lesson_with_its_measured_cost():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for lesson in lessons():
        m = measured()[lesson.number]["mini"]
        row = next(
            line
            for line in readme.splitlines()
            if lesson.notebook.name in line and line.startswith("|")
        )
        assert lesson.title in row and f"{m['minutes']:.1f} min, {m['memory_gib']:.1f} GiB" in row


def test_links_in_the_prose_lead_to_files():
    notebooks = {repository().colab(lesson.notebook) for lesson in lessons()}
    for page in [f for f in TRACKED if f.suffix == ".md"]:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", line):
                assert (page.parent / target).exists(), (
                    f"{page.relative_to(ROOT)}:{number}: no file {target}"
                )
            for badge in re.findall(
                r"\]\((https://colab\.research\.google\.com/github/[^)]+)\)", line
            ):
                assert badge in notebooks, (
                    f"{page.relative_to(ROOT)}:{number}: {badge} opens no notebook of this repository"
                )


def test_tracked_json_is_json():
    for file in TRACKED:
        if file.suffix in {".json", ".ipynb"}:
            json.loads(file.read_text(encoding="utf-8"))


def test_large_files_are_only_the_embedded_models():
    assert not [
        f for f in TRACKED if f.stat().st_size > 3_000_000 and "data/models" not in f.as_posix()
    ]


# The data: what stands in the test split must be new.


def test_no_row_stands_almost_word_for_word_in_two_splits():
    """Almost: of all runs of three words in two texts, more than half are in both. Case, digits and marks don't count."""
    for task, column in {"reviews": "text", "messages": "sms", "requests": "text"}.items():
        places, runs, where = [], [], defaultdict(list)
        for file in sorted((ROOT / "data" / task).glob("*.csv")):
            for line, row in enumerate(
                csv.DictReader(file.read_text(encoding="utf-8").splitlines()), start=2
            ):
                words = re.findall(r"[a-z']+", row[column].lower())
                runs.append(set(zip(words, words[1:], words[2:], strict=False)) or {tuple(words)})
                places.append((file.stem, f"{file.relative_to(ROOT)}:{line}"))
                for run in runs[-1]:
                    where[run].append(len(runs) - 1)
        shared = Counter(pair for rows in where.values() for pair in combinations(rows, 2))
        alike = [(a, b) for (a, b), n in shared.items() if n / len(runs[a] | runs[b]) > 0.5]
        assert not [
            f"{places[a][1]} = {places[b][1]}" for a, b in alike if places[a][0] != places[b][0]
        ]


# The lessons: the test split chooses nothing.


class Choices(ast.NodeVisitor):
    """Follow what comes from the test split through a lesson's names, in order, and note each choice that looks at it.

    A choice is: training or validating on it; ``argmax`` and the like over all rows (along an axis they read off the
    predicted class); ``max``, ``min`` or ``sorted`` with a ``key``; an ``if`` that keeps something. A rule of thumb:
    it doesn't follow a split whose name is computed.
    """

    def __init__(self, code: str):
        tree = ast.parse(code)
        self.seen: set[str] = set()
        self.found: list[tuple[int, str]] = []
        calls = {
            f.name: {called(c) for c in ast.walk(f) if isinstance(c, ast.Call)}
            for f in ast.walk(tree)
            if isinstance(f, ast.FunctionDef)
        }
        self.training = {"fit", "fit_transform", "optimize", "hyperparameter_search"}
        for _ in calls:  # a function that calls a training function is one
            self.training |= {
                f
                for f, inside in calls.items()
                if inside & self.training or any(c.endswith("Trainer") for c in inside)
            }
        self.visit(tree)

    def looks(self, *nodes: ast.AST | None) -> bool:
        return any(
            getattr(n, "value", None) == "test" or (isinstance(n, ast.Name) and n.id in self.seen)
            for node in nodes
            if node
            for n in self.walk(node)
        )

    def walk(self, node: ast.AST):
        """Like ``ast.walk``, but ``parts["train"]`` reads that split alone, whatever else is in ``parts``."""
        yield node
        key = node.slice if isinstance(node, ast.Subscript) else None
        if isinstance(key, ast.Constant) and key.value in ("train", "validation"):
            return
        for child in ast.iter_child_nodes(node):
            yield from self.walk(child)

    def bind(self, target: ast.AST, looked: bool) -> None:
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            return  # parts["test"] = …: only what reads that entry looks at the test split
        names = {
            n.id
            for n in ast.walk(target)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        if isinstance(target, ast.Subscript | ast.Attribute):
            names = (
                {n.id for n in ast.walk(target.value) if isinstance(n, ast.Name)}
                if looked
                else set()
            )
        self.seen = self.seen | names if looked else self.seen - names

    def visit_Assign(self, node):
        self.generic_visit(node)
        for target in node.targets:
            self.bind(target, self.looks(node.value))

    def visit_For(self, node):
        self.bind(node.target, self.looks(node.iter))
        self.generic_visit(node)

    def visit_FunctionDef(self, node):
        before = self.seen
        self.seen = before - {a.arg for a in node.args.args}
        self.generic_visit(node)
        looks = self.looks(*node.body)
        self.seen = before | {node.name} if looks else before - {node.name}

    def visit_If(self, node):
        if self.looks(node.test) and any(isinstance(n, ast.Assign) for n in ast.walk(node)):
            self.found.append((node.lineno, "if"))
        self.generic_visit(node)

    def visit_Call(self, node):
        name, words = called(node), {k.arg: k.value for k in node.keywords}
        library = ast.unparse(node.func).split(".")[0] in {"np", "torch"}
        if name in self.training:
            looks = self.looks(*node.args, *words.values())
        elif name in {"argmax", "argmin", "nanargmax", "nanargmin", "idxmax", "idxmin"}:
            looks = len(node.args) == library and not words and self.looks(node)
        else:
            looks = name in {"max", "min", "sorted"} and "key" in words and self.looks(node)
        for what in [name] * looks + [
            w for w in ("train_dataset", "eval_dataset") if self.looks(words.get(w))
        ]:
            self.found.append((node.lineno, what))
        self.generic_visit(node)


def test_the_test_split_chooses_nothing():
    """A line that chooses while it handles test rows says by what: ``# chosen on validation`` or ``# chosen on train``."""
    for file in SOURCES:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert not [
            f"{file.relative_to(ROOT)}:{n}: {what} looks at the test split: {lines[n - 1].strip()}"
            for n, what in Choices("\n".join(lines)).found
            if not re.search(r"# chosen on (train|validation)", lines[n - 1])
        ]


# The lessons: a number in the prose has its source, or the code beside it holds it.

NUMBER = re.compile(r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?(?!\w)")
SENTENCE = re.compile(r"\S.*?(?:[.!?;](?=\s)|$)", re.S)
SOURCE = re.compile(
    r"quoted|\bpaper\b|\barticles?\b|tutorial|README|model cards?\b|et al\.|\b(?:imagine|suppose)\b",
    re.I,
)
NO_CLAIM = re.compile(  # code, links, lessons' numbers, formulas, words of others, years, bits, lists, cross references
    r"```.*?```|`[^`]*`|\[\d\d\]\(|\]\([^)]*\)|\$[^$]*\$|\"[^\"]*\"|\b(?:19|20)\d\d\b|\d+[- ]bits?\b|^\W*\d+\.(?= )"
    r"|\b95\s%(?=\s\[?(?:confidence|half-width|interval))"
    r"|\b(?:appendix|arXiv|chapter|error|exercise|hint|issue|lesson|question|request|section|silent|table)s?\s[\d.]+"
    r"(?:(?:,|\sand|\sto)\s[\d.]+)*",
    re.I | re.M | re.S,
)
NO_MEASUREMENTS = {"Further reading", "Take this with you"}
PERCENT = re.compile(r"(?:\s(?:to|or)\s[\d.]+)?\s%")  # a line may end anywhere


def blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def claims(paragraph: str) -> list[re.Match]:
    """The numbers that the lesson itself states. Counts up to twelve are left out: every code holds them."""
    text = SENTENCE.sub(lambda m: blank(m) if SOURCE.search(m[0]) else m[0], paragraph)
    text = NO_CLAIM.sub(blank, text if not paragraph.lstrip().startswith(">") else "")
    return [
        m
        for m in NUMBER.finditer(text)
        if not re.fullmatch(r"\d|1[0-2]", m[0]) or re.match(r"\s%", text[m.end() :])
    ]


def parts(source: str) -> list[tuple[str, str, int, str]]:
    """(section, "code" or "prose", first line, text): cells of code, and paragraphs, items and rows of prose."""
    found, section, kind = [], "", ""
    for number, line in enumerate(source.splitlines(), start=1):
        if line.startswith("# %%"):
            kind = (
                "code" if "[markdown]" not in line else "" if '["solution"]' in line else "prose"
            )  # answers make theirs up
            found.append(["", "", 0, []])
        elif kind == "prose" and (line == "#" or line.startswith("# #")):
            section = line[5:] if line.startswith("# ## ") else section
            found.append(["", "", 0, []])
        elif kind:
            if not found[-1][3] or (kind == "prose" and re.match(r"# +(?:\||\* |\d+\. )", line)):
                found.append([section, kind, number, []])
            found[-1][3].append(line if kind == "code" else line[2:])
    return [
        (section, kind, number, "\n".join(lines)) for section, kind, number, lines in found if lines
    ]


def held(code: str) -> set[float]:
    """The numbers in a cell, and those in strings that an assert compares."""
    tree = ast.parse(code)
    compared = [
        n.value
        for a in ast.walk(tree)
        if isinstance(a, ast.Assert)
        for n in ast.walk(a.test)
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    return {
        float(n.value)
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and type(n.value) in (int, float)
    } | {float(m[0].replace(",", "")) for text in compared for m in NUMBER.finditer(text)}


def is_held(number: str, percent: bool, numbers: set[float]) -> bool:
    """Whether the code holds it as it stands, or, where it is a percentage, as a share or percentage that rounds to it."""
    value, decimals = float(number.replace(",", "")), len(number.partition(".")[2])
    return value in numbers or (
        percent and any(value in (round(n, decimals), round(100 * n, decimals)) for n in numbers)
    )


def unproven(source: str) -> list[tuple[int, int, str]]:
    """(line, column, number) of each claim that no code holds.

    Up to two digits must stand in the code of the same section, more anywhere in the lesson, since they hardly meet by
    chance. What stands before the first section and after the last looks at the whole lesson.
    """
    here, found = defaultdict(set), []
    for section, kind, _, text in parts(source):
        if kind == "code":
            here[section] |= held(text)
    everywhere = set().union(*here.values())
    for section, kind, first, text in parts(source):
        for m in claims(text) if kind == "prose" and section not in NO_MEASUREMENTS else []:
            numbers = (
                everywhere
                if len(re.sub(r"\D", "", m[0])) > 2 or not section[:1].isdigit()
                else here[section]
            )
            if not is_held(m[0], bool(PERCENT.match(text, m.end())), numbers):
                column = (
                    m.start() - text.rfind("\n", 0, m.start()) + 1
                )  # of the source, where "# " stands before it
                found.append((first + text.count("\n", 0, m.start()), column, m[0]))
    return found


def test_an_edit_that_only_wraps_lines_makes_no_number_a_claim():
    for source in SOURCES:
        for _, kind, _, text in parts(source.read_text(encoding="utf-8")):
            if kind == "prose" and not re.search(r"[|>]|```", text):
                wrapped = textwrap.fill(
                    " ".join(text.split()), 57, break_long_words=False, break_on_hyphens=False
                )
                assert [m[0] for m in claims(wrapped)] == [m[0] for m in claims(text)], wrapped


@pytest.mark.parametrize(
    "source",
    SOURCES,
    ids=lambda file: file.stem[:2],
)
def test_every_number_in_the_prose_is_held_by_code_or_has_a_source(source):
    """The cure: an assert with the number in its section, the source's name in its sentence, or a sentence generated from
    the measurement. What is made up begins with "imagine" or "suppose"."""
    lines = source.read_text(encoding="utf-8").splitlines()
    assert not [
        f"{source.name}:{number}: {claim}, in …{lines[number - 1][max(column - 40, 0) : column + 30]}…"
        for number, column, claim in unproven("\n".join(lines))
    ]
