"""Can the suite be fooled? Each fault is planted in a copy of the repository, and the suite must go red and name the place.

The untouched copy must pass the same tests first: otherwise red would prove nothing.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue

import matplotlib.pyplot as plt
import nbformat
import pytest
import test_policy
from conftest import ROOT

from course_utils import plots
from tools.build import WIDGET_VIEW, write

pytestmark = pytest.mark.slow
LESSON = "06_evaluation"  # where faults are planted that need no execution
SOURCE, NOTEBOOK = f"notebooks/sources/{LESSON}.py", f"notebooks/{LESSON}.ipynb"
TINY, TINY_ANSWERS = (
    "notebooks/sources/99_tiny.py",
    "tests/wrong_answers/lesson_99.py",
)  # a lesson of a few seconds

# A lesson as small as can be, with what every lesson has: a setup cell, a measured number, an exercise and its check.
TINY_LESSON = """# %% [markdown]
# # Is it tiny?

# %% tags=["setup"]
# {{setup}}

# %%
from course_utils import exercises

assert Path(exercises.__file__).parents[1] == Path.cwd().parents[1], "not the copy's own helpers"

# %%
share = sum([1, 0, 1, 1]) / 4
assert share == 0.75

# %% [markdown]
# Right in 75 % of the rows.

# %% tags=["exercise"] nbgrader={"grade_id": "e99_1", "grade": false, "locked": false, "solution": true, "schema_version": 3}
def double(number):
    ### BEGIN SOLUTION
    return 2 * number
    ### END SOLUTION


# %% tags=["check"]
exercises.check("99.1 Double",
                ("twice 3 is 6", lambda: double(3) == 6, "you returned the number itself"),
                ("twice 0 is 0", lambda: double(0) == 0, "you added two"));
"""
TINY_WRONG = """WRONG = {"e99_1": [("the number itself", "    return number\\n", "returned the number itself"),
                   ("adds two", "    return number + 2\\n", "added two")]}
"""


def copy_of_the_repository(folder: Path) -> Path:
    """What git tracks or would, the tiny lesson, and the models, which no fault touches, as a link."""
    for name in subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines():
        if not name.startswith("data/models/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "data/models").symlink_to(ROOT / "data/models")
    (folder / TINY).write_text(TINY_LESSON, encoding="utf-8")
    (folder / TINY_ANSWERS).write_text(TINY_WRONG, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


# Importing the libraries takes pytest seconds, so a process that holds them forks once per run. What belongs to the
# repository is imported after the fork, from the copy: a test below asserts it.
FORK = """
import json, os, signal, sys
import IPython.core.inputtransformer2, jupytext, nbclient, nbconvert.filters, nbformat
import numpy, pandas, PIL.Image, pyarrow.parquet, pytest
for line in sys.stdin:
    copy, said, tests = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(300)
        os.chdir(copy)
        os.environ["PYTHONPATH"] = sys.path[0] = copy
        os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY), 1)
        os.dup2(1, 2)
        status = pytest.main(["-q", "-rf", "-p", "no:cacheprovider", *tests])
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Run:
    status: int
    said: str


class Runner:
    """Runs tests of copies, one after the other."""

    def __init__(self, folder: Path):
        environment = os.environ | {"PYTEST_ADDOPTS": "", "COLUMNS": "200"}
        self.said = folder / f"said-{id(self)}.txt"
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORK],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, copy: Path, tests: list[str]) -> Run:
        self.said.unlink(missing_ok=True)
        self.process.stdin.write(json.dumps([str(copy), str(self.said), tests]) + "\n")
        self.process.stdin.flush()
        return Run(int(self.process.stdout.readline()), self.said.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runners(tmp_path_factory):
    """Two, in a queue."""
    free: Queue[Runner] = Queue()
    for _ in range(2):
        free.put(Runner(tmp_path_factory.mktemp("runner")))
    yield free
    for runner in free.queue:
        runner.process.communicate()


def run_tests(runners: Queue[Runner], copy: Path, tests: list[str]) -> Run:
    runner = runners.get()
    try:
        return runner.run(copy, tests)
    finally:
        runners.put(runner)


# How faults are planted: each function takes what to change, and returns what changes it in a copy. A plant that finds
# nothing to change stops, so that no fault passes for planted.

Plant = Callable[[Path], object]


def plant(function: Callable) -> Callable[..., Plant]:
    return lambda *arguments: partial(function, *arguments)


@plant
def replace(file: str, old: str, new: str, copy: Path) -> None:
    text = (copy / file).read_text(encoding="utf-8")
    assert old in text, f"nothing to plant at: {file} has no {old!r}"
    (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")


@plant
def append(file: str, text: str, copy: Path) -> None:
    with open(copy / file, "a", encoding="utf-8") as f:
        f.write(text)


def cell(text: str, marker: str = "") -> Plant:
    """A cell at the end of the lesson's source."""
    return append(SOURCE, f"\n\n# %%{marker}\n{text}\n")


def prose(text: str) -> Plant:
    return cell(f"# {text}", " [markdown]")


@plant
def new_file(file: str, content: bytes, copy: Path) -> None:
    (copy / file).write_bytes(content)


@plant
def notebook(change: Callable[[nbformat.NotebookNode, list], object], copy: Path) -> None:
    """``change`` gets the committed notebook and its code cells."""
    changed = nbformat.read(copy / NOTEBOOK, as_version=4)
    before = json.dumps(changed)
    change(changed, [c for c in changed.cells if c.cell_type == "code"])
    assert json.dumps(changed) != before
    write(changed, copy / NOTEBOOK)


def output(kind: str, **content) -> Plant:
    return notebook(lambda _, code: code[3].outputs.append(nbformat.v4.new_output(kind, **content)))


def swap(_, code: list) -> None:
    code[4].execution_count, code[5].execution_count = (
        code[5].execution_count,
        code[4].execution_count,
    )


def strip(_, code: list) -> None:
    for stripped in code:
        stripped.outputs, stripped.execution_count = [], None


def unprinted(_, code: list) -> None:
    next(c for c in code if c.source.startswith("check(")).outputs = []


def solve(_, code: list) -> None:
    stub = next(c for c in code if "NotImplementedError()" in c.source)
    stub.source = stub.source.replace("raise NotImplementedError()", "return 0.75")


def first_figure(code: list) -> nbformat.NotebookNode:
    return next(o for c in code for o in c.outputs if "image/png" in o.get("data", {}))


def empty_plot(axes: bool) -> Plant:
    canvas, ax = plots.new_figure()
    ax.set(title="Nothing was drawn between these axes", xlabel="a label", ylabel="another")
    ax.set_visible(axes)
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png")
    plt.close(canvas)
    png = base64.b64encode(buffer.getvalue()).decode()
    return notebook(lambda _, code: first_figure(code).data.update({"image/png": png}))


def over_budget(copy: Path) -> None:
    known = json.loads((copy / "notebooks/measured.json").read_text(encoding="utf-8"))
    known["06"]["mini"] |= {"minutes": 95.5, "speed": 10_800}
    (copy / "notebooks/measured.json").write_text(json.dumps(known), encoding="utf-8")


def endless(copy: Path) -> None:
    """The limit is shortened, so that nobody waits for a quarter of an hour."""
    replace(TINY, "share = ", "import time\ntime.sleep(600)\nshare = ")(copy)
    replace("tests/test_notebooks.py", "--nbval-cell-timeout=1800", "--nbval-cell-timeout=3")(copy)


def no_markers(copy: Path) -> None:
    for marker in ("### BEGIN SOLUTION", "### END SOLUTION"):
        replace(SOURCE, marker, "#")(copy)


def solution_elsewhere(copy: Path) -> None:
    body = re.search(
        r"### BEGIN SOLUTION\n(.+?)### END", (copy / SOURCE).read_text(encoding="utf-8"), re.S
    )[1]
    cell(f"def the_same(tp, fp, fn, beta):\n{body}")(copy)


def wrong_number(copy: Path) -> None:
    """One more in the last digit of the first number with a decimal that lesson 01 states in its prose."""
    file = copy / "notebooks/sources/01_distilbert.py"
    source = file.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    place, number = next(
        (place, claim[0])
        for _, kind, line, text in test_policy.parts(source)
        if kind == "prose"
        for claim in test_policy.claims(text)
        if "." in claim[0]
        for place in range(line - 1, line + text.count("\n"))
        if claim[0] in lines[place]
    )
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    lines[place] = lines[place].replace(number, wrong)
    file.write_text("".join(lines), encoding="utf-8")


@plant
def leak(task: str, change: Callable[[str], str], copy: Path) -> None:
    """The longest text of the test split stands in train too, changed a little."""
    with open(copy / f"data/{task}/test.csv", encoding="utf-8", newline="") as file:
        row = max(csv.reader(file), key=lambda row: len(row[0]))
    with open(copy / f"data/{task}/train.csv", "a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow([change(row[0]), *row[1:]])


def other_marks(text: str) -> str:
    return text.upper().replace(",", " ;").replace(".", "!")


def other_words(text: str) -> str:
    return text.replace(" the ", " that ", 2).replace(" a ", " one ", 1)


@dataclass(frozen=True)
class Fault:
    name: str
    test: str  # the one that must find it
    plant: Plant
    says: tuple[str, ...]  # patterns of what it must say; the first has the place


def faults(test: str, place: str, *rows: tuple) -> list[Fault]:
    """Rows of (name, plant, what is said behind the place, more that is said)."""
    return [Fault(name, test, how, (place + said, *more)) for name, how, said, *more in rows]


HUB = "distilbert/distilbert-base-uncased"
FOLDER = "/" + "home/ada/course"
EXPECTED, DIFFERS, UNPINNED = (
    "expected 'returned the number",
    r", cell \d+: differs",
    ".* without a pinned revision",
)
TINY_RUNS = (
    "test_notebooks.py::test_it_runs_to_the_end_on_mini_and_every_answer_gets_what_it_deserves[99]"
)
PLACE, LINE, SOURCE_CELL = (
    rf"{LESSON}\.ipynb, cell \d+",
    rf"{LESSON}\.py:\d+: ",
    rf"{LESSON}\.py, cell \d+",
)

FAULTS = [
    *faults(
        TINY_RUNS,
        r"99_tiny\.ipynb::Cell ",
        ("an exception in a cell", append(TINY, "\n# %%\n1 / 0\n"), r"\d+", "ZeroDivisionError"),
        (
            "a measured value that is wrong",
            replace(TINY, "[1, 0, 1, 1]", "[1, 0, 0, 1]"),
            "2",
            "assert share == 0.75",
        ),
        (
            "a number in an assert that is wrong",
            replace(TINY, "share == 0.75", "share == 0.76"),
            "2",
            "assert share == 0.76",
        ),
        (
            "a check that accepts a wrong answer",
            replace(TINY, "double(3) == 6", "double(3) > 2"),
            "5",
            EXPECTED,
        ),
        (
            "a wrong answer that gets another message",
            replace(TINY_ANSWERS, '"added two")', '"squared")'),
            "8",
            "'squared'",
        ),
        (
            "a solution that its check refuses",
            replace(TINY, "return 2 * number", "return number ** 2"),
            "11",
            "❌ twice 3",
        ),
        ("a cell that never ends", endless, "2", "Timeout of 3 seconds"),
    ),
    *faults(
        "test_notebooks.py::test_committed_cells_ran_once_and_in_order[06]",
        PLACE,
        (
            "a cell never run",
            notebook(lambda _, code: code[5].update(execution_count=None)),
            ": ran as None, expected 6",
        ),
        ("cells run out of order", notebook(swap), ": ran as 6, expected 5"),
        ("a notebook without its outputs", notebook(strip), ": ran as None, expected 1"),
    ),
    *faults(
        "test_notebooks.py::test_a_cell_that_prints_has_its_output[06]",
        PLACE,
        ("an output cleared, its count kept", notebook(unprinted), ": without its output"),
    ),
    *faults(
        "test_notebooks.py::test_no_output_is_an_error_a_path_or_a_widget[06]",
        rf"{LESSON}\.ipynb",
        (
            "an error kept as output",
            output("error", ename="ValueError", evalue="no", traceback=[]),
            r", cell \d+ stopped",
        ),
        (
            "a machine path in an output",
            output("stream", text=f"saved in {FOLDER}\n"),
            r", cell \d+ prints a path",
        ),
        (
            "widget state",
            notebook(lambda all, _: all.metadata.update(widgets={"state": {}})),
            ": widget state",
        ),
        (
            "a widget view",
            output("display_data", data={WIDGET_VIEW: {"model_id": "1"}}),
            r", cell \d+ keeps a widget view",
        ),
    ),
    *faults(
        "test_notebooks.py::test_every_figure_shows_something_and_has_alt_text[06]",
        PLACE,
        (
            "a missing alt text",
            notebook(lambda _, code: first_figure(code).metadata.clear()),
            ": a figure without a sentence",
        ),
        ("an empty plot: a white square", empty_plot(axes=False), ": the figure is empty"),
        ("an empty plot: axes and a title", empty_plot(axes=True), ": the figure is empty"),
    ),
    *faults(
        "test_notebooks.py::test_minutes_and_memory_stay_inside_the_budget[06]",
        rf"{LESSON}\.ipynb: ",
        ("minutes over the budget, as measured", over_budget, "95.5 min"),
        (
            "minutes over the budget, as printed",
            notebook(
                lambda _, code: code[-1].outputs.append(
                    nbformat.v4.new_output("stream", text="Minutes: 999.9\n")
                )
            ),
            r"\d{2,}\.\d+ min",
        ),
    ),
    *faults(
        "test_build.py::test_the_committed_notebook_is_neither_stale_nor_edited_by_hand[06]",
        NOTEBOOK,
        (
            "a stale notebook",
            replace(SOURCE, "import numpy as np", "import numpy as np  # newer"),
            DIFFERS,
        ),
        (
            "a hand-edited notebook: a cell changed",
            notebook(lambda all, _: all.cells[9].update(source="Edited.")),
            DIFFERS,
        ),
        (
            "a hand-edited notebook: a cell added",
            notebook(lambda all, _: all.cells.append(all.cells[0])),
            r": \d+ cells, not",
        ),
        ("a solution left: a stub solved by hand", notebook(solve), DIFFERS),
    ),
    *faults(
        "test_build.py::test_a_learner_sees_no_solution_unfolded_and_no_hidden_test[06]",
        SOURCE_CELL,
        (
            "a solution left: no end marker",
            replace(SOURCE, "### END SOLUTION", "### END SOLUTON"),
            ".*: a marker without",
        ),
        ("a solution left: shown in another cell", solution_elsewhere, ".* shows a solution"),
        (
            "a hidden test left",
            replace(SOURCE, "### END HIDDEN TESTS", "### END HIDEN TESTS"),
            ".*: a marker without",
        ),
    ),
    *faults(
        "test_build.py::test_every_exercise_has_a_stub_that_parses_and_hints[06]",
        rf"{LESSON}\.py: no stub in",
        ("a solution left: no markers", no_markers, "", "def f_beta"),
    ),
    *faults(
        "test_build.py::test_the_badge_opens_the_notebook_itself[06]",
        f"{NOTEBOOK}, cell 0: ",
        (
            "a broken badge in a notebook",
            replace(NOTEBOOK, f"/notebooks/{LESSON}.ipynb", "/notebooks/6.ipynb"),
            ".*/6.ipynb",
        ),
    ),
    *faults(
        "test_build.py::test_no_cell_may_fail_unseen[06]",
        SOURCE_CELL,
        ("a failing shell command: !", cell("!false"), r": .*system\('false'\)"),
        ("a failing shell command: x = !", cell("files = !false"), r": .*getoutput\('false'\)"),
        ("a failing shell command: %%bash", cell("%%bash\nfalse"), ": .*run_cell_magic"),
        ("a failing shell command: %sx", cell("%sx false"), ": .*run_line_magic"),
        (
            "a failing shell command: os.system",
            cell("import os\nos.system('false')"),
            r": os\.system",
        ),
        (
            "a failing program: subprocess.run",
            cell("subprocess.run(['false'])"),
            ": .* without check=True",
        ),
        (
            "a failing program: run under its own name",
            cell("from subprocess import run\nrun(['false'])"),
            ": from subprocess",
        ),
        (
            "an exception allowed by a comment",
            cell("# NBVAL_RAISES_EXCEPTION\n1 / 0"),
            ": .*NBVAL_RAISES_EXCEPTION",
        ),
        (
            "an exception allowed by a tag",
            cell("1 / 0", ' tags=["raises-exception"]'),
            ": .*raises-exception",
        ),
        (
            "a cell skipped by a tag",
            cell("1 / 0", ' tags=["skip-execution"]'),
            ": .*skip-execution",
        ),
    ),
    *faults(
        "test_build.py::test_links_inside_the_course_lead_somewhere[06]",
        LINE,
        ("a link to no file, in a lesson", prose("[more](nowhere.md)"), r"no file nowhere\.md"),
        (
            "a link to no word of the glossary",
            prose("[more](glossary.md#nothing)"),
            "the glossary has no nothing",
        ),
    ),
    *faults(
        "test_policy.py::test_links_in_the_prose_lead_to_files",
        r"\.md:\d+: ",
        (
            "a link to no file, in a page",
            append("CONTRIBUTING.md", "\n[more](nowhere.md)\n"),
            r"no file nowhere\.md",
        ),
        (
            "a broken badge on a page",
            replace("README.md", "/notebooks/00_start.ipynb)", "/00.ipynb)"),
            ".* opens no notebook",
        ),
    ),
    *faults(
        "test_policy.py::test_every_number_in_the_prose_is_held_by_code_or_has_a_source[01]",
        r"01_distilbert\.py:\d+: ",
        ("a wrong number in prose: changed", wrong_number, r"\d+\.\d+, in"),
    ),
    *faults(
        "test_policy.py::test_every_number_in_the_prose_is_held_by_code_or_has_a_source[06]",
        LINE,
        (
            "a wrong number in prose: new",
            prose("## 14. More\n#\n# It is right in 91.37 % of cases."),
            r"91\.37, in",
        ),
    ),
    *faults(
        "test_policy.py::test_hub_models_and_data_are_loaded_at_a_revision_and_as_safetensors",
        LINE,
        ("no revision: from_pretrained", cell(f'AutoTokenizer.from_pretrained("{HUB}")'), UNPINNED),
        (
            "no revision: the lab's checkpoint",
            cell("AutoTokenizer.from_pretrained(lab.checkpoint)"),
            UNPINNED,
        ),
        ("no revision: pipeline", cell(f'pipeline("fill-mask", model="{HUB}")'), UNPINNED),
        ("no revision: load_dataset", cell('load_dataset("stanfordnlp/imdb")'), UNPINNED),
        (
            "a branch for a revision",
            cell(f'AutoTokenizer.from_pretrained("{HUB}", revision="main")'),
            UNPINNED,
        ),
        (
            "weights that may be a pickle",
            cell("AutoModel.from_pretrained(name, revision=lab.revision)"),
            ".* may load a",
        ),
    ),
    *faults(
        "test_policy.py::test_nothing_loads_code",
        rf"{SOURCE}:\d+: ",
        ("a pickle opened", cell("model = pickle." + "load(open('model', 'rb'))"), "model"),
        ("a pickle's reader by another name", cell("from " + "pickle import load as take"), "from"),
        ("remote code", cell("load(lab.checkpoint, trust_remote" + "_code=True)"), "load"),
        ("a metric that is a downloaded program", cell("f1 = evaluate.load" + "('f1')"), "f1"),
    ),
    *faults(
        "test_policy.py::test_no_file_is_a_pickle",
        "data/reviews/model",
        ("a pickle, by its name", new_file("data/reviews/model.pt", b"weights"), r"\.pt"),
        (
            "a pickle, by its bytes",
            new_file("data/reviews/model.dat", b"\x80\x04\x95\x00"),
            r"\.dat",
        ),
    ),
    *faults(
        "test_policy.py::test_no_path_of_a_machine_stands_in_any_file",
        rf"{SOURCE}:\d+: ",
        ("a machine path in a source", cell(f"folder = '{FOLDER}'"), "folder"),
    ),
    *faults(
        "test_policy.py::test_no_file_holds_a_secret",
        r"\w+:\d+: .*",
        (
            "a secret in a page",
            append("CONTRIBUTING.md", f"\nHF_TOKEN=hf_{'a1B2' * 8}\n"),
            "HF_TOKEN",
        ),
        ("a secret in an output", output("stream", text=f"token ghp_{'a1B2' * 9}\n"), "token ghp"),
    ),
    *faults(
        "test_policy.py::test_no_row_stands_almost_word_for_word_in_two_splits",
        r"data/\w+/test\.csv:\d+ = data/\w+/train\.csv:\d+",
        ("a test row in train: other case and marks", leak("messages", other_marks), ""),
        ("a test row in train: some words changed", leak("reviews", other_words), ""),
    ),
    *faults(
        "test_policy.py::test_the_test_split_chooses_nothing",
        rf"{SOURCE}:\d+: ",
        (
            "the test split validates",
            cell('Trainer(model=spam_model, eval_dataset=messages["test"])'),
            "eval_dataset looks at",
        ),
        (
            "the test split trains",
            cell('more = messages["test"]\nspam_words.fit(more["sms"], more["label"])'),
            "fit looks at",
        ),
        (
            "the test split trains, in a function",
            cell('fine_tune(messages["test"], "sms", "more")'),
            "fine_tune looks at",
        ),
        (
            "the test split chooses a threshold",
            cell(
                'gains = [f1_of(messages["test"]["label"], p > t) for t in thresholds]\n'
                "best = thresholds[np.argmax(gains)]"
            ),
            "argmax looks at",
        ),
        (
            "the test split chooses a model",
            cell("best = max(models, key=lambda m: m.score(test_truth))"),
            "max looks at",
        ),
        (
            "the test split chooses an epoch",
            cell(
                'for epoch in range(3):\n    loss = evaluate(messages["test"], epoch)\n'
                "    if loss < least:\n        least, best = loss, epoch"
            ),
            "if looks at",
        ),
    ),
]


@pytest.fixture(scope="module")
def runs(request, runners, tmp_path_factory):
    """Fault -> its run, for those of this session. At the end a table says what was found, where, and by what words."""
    chosen = [
        item.callspec.params["fault"]
        for item in request.session.items
        if item.function is test_a_planted_fault_turns_the_suite_red_and_is_named
    ]
    found: dict[str, str] = {}

    def run(fault: Fault) -> Run:
        copy = copy_of_the_repository(tmp_path_factory.mktemp("copy"))
        try:
            fault.plant(copy)
        except Exception as error:
            return Run(-1, f"not planted: {error!r}")
        result = run_tests(runners, copy, [f"tests/{fault.test}"])
        shutil.rmtree(copy)
        return result

    with ThreadPoolExecutor(2) as pool:
        yield dict(zip([f.name for f in chosen], pool.map(run, chosen), strict=True)), found
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{len(found)} of {len(chosen)} planted faults found")
        for fault in chosen:
            verdict = "found " if fault.name in found else "MISSED"
            print(f"{verdict} | {fault.name} | {fault.test} | {found.get(fault.name, '')}")


def test_the_untouched_copy_passes_every_test_that_finds_a_fault(runners, tmp_path):
    run = run_tests(
        runners,
        copy_of_the_repository(tmp_path),
        sorted({f"tests/{fault.test}" for fault in FAULTS}),
    )
    assert run.status == 0, run.said[-4000:]
    assert " passed" in run.said and "skipped" not in run.said


def test_the_copy_imports_its_own_modules_not_the_installed_ones(runners, tmp_path):
    copy = copy_of_the_repository(tmp_path)
    (copy / "tests/test_here.py").write_text(
        "import course_utils, tools.build, tools.lessons, test_policy, conftest\n\n\ndef test_here():\n"
        "    for module in (course_utils, tools.build, tools.lessons, test_policy, conftest):\n"
        f"        assert module.__file__.startswith({str(copy)!r}), module.__file__\n",
        encoding="utf-8",
    )
    run = run_tests(runners, copy, ["tests/test_here.py"])
    assert run.status == 0, run.said[-4000:]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_turns_the_suite_red_and_is_named(fault, runs):
    results, found = runs
    run = results[fault.name]
    assert run.status == 1 and f"FAILED tests/{fault.test}" in run.said, (
        f"not found:\n{run.said[-4000:]}"
    )
    for pattern in fault.says:
        assert re.search(pattern, run.said), (
            f"found, but the message lacks {pattern!r}:\n{run.said[-4000:]}"
        )
    line = next(line for line in run.said.splitlines() if re.search(fault.says[0], line))
    found[fault.name] = re.sub(r"^E\s+(AssertionError: )?", "", line).strip(" _")[:120]


def test_most_numbers_in_the_prose_can_not_be_altered_unnoticed():
    """One more in the last digit. What passes is a number that the section's code happens to hold for another reason:
    results are generated, so what prose still states are mostly settings and round numbers of examples."""
    noticed = []
    for source in test_policy.SOURCES:
        text = source.read_text(encoding="utf-8")
        lines, before = text.splitlines(keepends=True), test_policy.unproven(text)
        for _, kind, first, paragraph in test_policy.parts(text):
            for claim in test_policy.claims(paragraph) if kind == "prose" else []:
                above, column = (
                    paragraph.count("\n", 0, claim.start()),
                    claim.end() - paragraph.rfind("\n", 0, claim.end()),
                )
                line, altered = lines[first + above - 1], str((int(claim[0][-1]) + 1) % 10)
                changed = [
                    *lines[: first + above - 1],
                    line[:column] + altered + line[column + 1 :],
                    *lines[first + above :],
                ]
                noticed.append(test_policy.unproven("".join(changed)) != before)
    assert len(noticed) > 100 and sum(noticed) / len(noticed) > 0.5, (
        f"{sum(noticed)} of {len(noticed)} noticed"
    )
