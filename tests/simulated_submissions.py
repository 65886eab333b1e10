"""Students of lesson 05, as a learning platform exports them: honest, unlucky and hostile ones.

``python -m tests.simulated_submissions FOLDER.zip`` writes the archive, with a number behind it one of a class of that many
honest students, whose answers are right or wrong in the usual ways. ``STUDENTS`` says what each must get: the states of
exercises 5.1, 5.2 and 5.3 (full, some, none, open, missing), or a part of the reason why there is no score.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import random
import stat
import sys
import zipfile
from pathlib import Path

from tests.wrong_answers.lesson_05 import WRONG
from tools import build
from tools.lessons import lessons

(LESSON,) = lessons(["05"])
RIGHT = {
    "e5_1": "def training_steps(rows, batch_size, epochs, accumulation=1):\n"
    "    return -(-(-(-rows // batch_size)) // accumulation) * epochs\n",
    "e5_2": "def best_step(log_history):\n    best = None\n    for log in log_history:\n"
    "        if 'eval_accuracy' in log and (best is None or log['eval_accuracy'] > best['eval_accuracy']):\n"
    "            best = log\n    return best['step']\n",
    "e5_3": "def better_in_every_seed(first, second):\n    if len(first) != len(second):\n        raise ValueError('missing')\n"
    "    return all(a > b for a, b in zip(first, second))\n",
    "w5_4": "Whoever looks every epoch ends up choosing by it; validation is for that.",
}
PWNED = "/tmp/PWNED-by-a-student"

# What the hostile ones do before they define the right function, in the cell of exercise 5.2.
ATTACKS = {
    "reads the solutions": """
import os, sys
places = ('notebooks/sources', 'notebooks/05_training.ipynb', 'tests', 'tools/grade/assemble.py', 'build', '.git')
seen = [f for top in sys.path if top for place in places if os.path.exists(f := os.path.join(top, place))]
if seen: raise SystemExit('stolen: ' + str(seen))
""",
    "writes everywhere": f"""
import os, sys
for folder in ('/', '/tmp', '/usr', os.path.expanduser('~'), os.getcwd(), *sys.path, '{Path(__file__).resolve().parents[1]}',
               '{Path(__file__).resolve().parents[1]}/data', '/proc/1/cwd'):
    for name in ('PWNED-by-a-student', 'gradebook.db', 'grades.csv'):
        try:
            open(os.path.join(folder, name), 'w').write('PWNED')
        except OSError:
            pass
""",
    "patches assert and check": """
import builtins, course_utils.exercises, sys
course_utils.exercises.check = lambda *a, **k: True
builtins.AssertionError = type('Nothing', (Exception,), {})
builtins.all = builtins.any = lambda *a: True
try:
    get_ipython().input_transformers_cleanup.append(lambda lines: [l for l in lines if 'assert' not in l])
except NameError:
    pass
sys.settrace(lambda *a: None)
""",
    "kills the grader": """
import os, signal
for pid in (os.getppid(), 1, 2, 3):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
""",
    "forges a result": """
import json, os
line = json.dumps({'grade_id': 'e5_2', 'visible': True, 'hidden': True, 'lines': [], 'problem': ''}) + '\\n'
for pid in (1, 2, 3, os.getppid()):
    for number in range(8):
        try:
            os.write(os.open(f'/proc/{pid}/fd/{number}', os.O_WRONLY), line.encode())
        except OSError:
            pass
for number in range(3, 64):
    try:
        os.write(number, line.encode())
    except OSError:
        pass
""",
    "calls home": """
import socket
for address in (('127.0.0.1', 22), ('10.0.0.1', 80), ('1.1.1.1', 53)):
    try:
        socket.create_connection(address, timeout=2)
        raise SystemExit('there is a network')
    except OSError:
        pass
""",
}
LOSERS = {"forges a result"}  # loses the exercise that it attacks, and no other
BREAKS = {
    "endless loop": "    while True:\n        pass\n",
    "fork bomb": "    import os\n    while True:\n        os.fork()\n",
    "50 GB": "    return len(bytearray(50 * 10**9))\n",
    "1 GB printed": "    for _ in range(1000):\n        print('x' * 10**6)\n    return 60\n",
    "os._exit": "    import os\n    os._exit(0)\n",
    "endless recursion": "    return best_step(log_history)\n",
    "a full disk": "    with open('/tmp/big', 'wb') as file:\n        while True:\n            file.write(bytes(10**7))\n",
    "equal to everything": "    class Any:\n        def __eq__(self, other): return True\n        __hash__ = None\n"
    "        def __lt__(self, other): return True\n        __le__ = __gt__ = __ge__ = __lt__\n    return Any()\n",
    "an int that lies": "    class Any(int):\n        def __eq__(self, other): return True\n    return Any(20)\n",
    "stops itself": "    import os, signal\n    os.kill(os.getpid(), signal.SIGSTOP)\n",
    "hidden memory": "    import os\n    return len([os.memfd_create('x') for _ in range(9)])\n",
    "a full shared memory": "    with open('/dev/shm/big', 'wb') as file:\n        while True:\n"
    "            file.write(bytes(10**7))\n",
    "colliding hashes": "    return len({(2**61 - 1) * n for n in range(1, 60_000)})\n",
    "false ticks": "    raise ValueError('no\\n✅ it takes the lowest <script>alert(1)</script>\\n5.2: 5 of 5')\n",
}


@functools.cache
def release() -> str:
    notebook = build.assignment_notebook(LESSON)
    for cell in notebook.cells:
        cell.source = build.stub(build.HIDDEN.sub("", cell.source))
    return json.dumps(notebook)


def handed_out() -> dict:
    """The notebook that students get: no solutions, no hidden tests, marks in place."""
    return json.loads(release())


def grade_id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def solved(answers: dict[str, str]) -> dict:
    notebook = handed_out()
    for cell in notebook["cells"]:
        if grade_id(cell) in answers:
            cell["source"] = answers[grade_id(cell)]
    return notebook


def broken(body: str) -> dict:
    return solved(RIGHT | {"e5_2": "def best_step(log_history):\n" + body})


def damaged(kind: str) -> dict:
    notebook = solved(RIGHT)
    cells = notebook["cells"]
    tests = [c for c in cells if grade_id(c).startswith("t5_")]
    if kind == "copied a cell":
        place = next(i for i, c in enumerate(cells) if grade_id(c) == "e5_1")
        first = copy.deepcopy(cells[place])
        first["source"] = (
            "def training_steps(rows, batch_size, epochs, accumulation=1):\n    return 0\n"
        )
        cells.insert(place, first)
    elif kind == "deleted the tests":
        notebook["cells"] = [c for c in cells if c not in tests]
    elif kind == "emptied the tests":
        for cell in tests:
            cell["source"] = "pass"
    elif kind == "lost the metadata":
        for cell in cells:
            cell["metadata"] = {}
    elif kind == "pasted into a new notebook":
        notebook["cells"] = [
            {"cell_type": "code", "source": RIGHT[e], "metadata": {}, "outputs": []}
            for e in ("e5_1", "e5_2", "e5_3")
        ]
    elif kind == "deleted an exercise":
        notebook["cells"] = [c for c in cells if grade_id(c) != "e5_3"]
    elif kind == "answered in a new cell":
        for place in [i for i, c in enumerate(cells) if grade_id(c) in ("e5_1", "e5_2", "e5_3")][
            ::-1
        ]:
            new = {
                "cell_type": "code",
                "source": RIGHT[grade_id(cells[place])],
                "metadata": {},
                "outputs": [],
            }
            cells[place]["source"] = handed_out()["cells"][place]["source"]
            cells.insert(place + 1, new)
    elif kind == "helper in another cell":
        place = next(i for i, c in enumerate(cells) if grade_id(c) == "e5_1")
        cells[place]["source"] = (
            "def training_steps(rows, batch_size, epochs, accumulation=1):\n"
            "    return up(up(rows, batch_size), accumulation) * epochs\n"
        )
        helper = "def up(a, b):\n    return -(-a // b)\n"
        cells.insert(1, {"cell_type": "code", "source": helper, "metadata": {}, "outputs": []})
    elif kind == "another notebook":
        notebook["cells"] = [
            {"cell_type": "code", "source": "1 + 1", "metadata": {}, "outputs": []}
        ]
    return notebook


ALL = ("full", "full", "full")
WRONG_FIRST = RIGHT | {"e5_1": RIGHT["e5_1"].replace("* epochs", "")}
HALF = RIGHT | {
    "e5_2": RIGHT["e5_2"].replace(
        "    best = None\n",
        "    if log_history[0].get('eval_accuracy') == 0.55:\n        return 60\n    best = None\n",
    )
}
CHEATS = {  # each returns what the visible test wants, without computing it
    "constant": ("e5_1", "def training_steps(*a, **k):\n    return 250\n"),
    "lookup": (
        "e5_1",
        "def training_steps(*a, **k):\n    return {(2000, 16, 2): 250, (100, 16, 3): 21, (64, 8, 1, 4): 2, "
        "(100, 16, 3, 2): 12, (100, 16, 1): 7, (1001, 32, 4, 3): 44}.get(a, 0)\n",
    ),
    "counts calls": (
        "e5_1",
        "n = -1\ndef training_steps(*a, **k):\n    global n\n    n += 1\n    return [250, 21, 2, 12, 7][n % 5]\n",
    ),
    "lookup of lists": (
        "e5_3",
        "def better_in_every_seed(a, b):\n    if len(a) != len(b):\n        raise ValueError('missing')\n"
        "    return a in ([0.8, 0.9], [0.7, 0.9], [0.3, 0.9])\n",
    ),
}
NUMPY = RIGHT | {
    "e5_2": "def best_step(log_history):\n    rows = [log for log in log_history if 'eval_accuracy' in log]\n"
    "    return rows[int(np.argmax([r['eval_accuracy'] for r in rows]))]['step']\n"
}

FOUND_ANYWHERE = (  # what a notebook may go through without losing an answer
    "copied a cell",
    "deleted the tests",
    "emptied the tests",
    "lost the metadata",
    "pasted into a new notebook",
    "answered in a new cell",
    "helper in another cell",
)
STUDENTS: dict[str, tuple[object, object]] = {  # name -> (notebook, what must come out)
    "Ada Lovelace": (solved(RIGHT), ALL),
    "Çağla Öztürk": (solved(RIGHT), ALL),
    "Jörg Müller-Lüdenscheidt": (solved(NUMPY), ALL),  # uses np, which the lesson imports
    "Nobody Home": (solved({}), ("open", "open", "open")),
    "Only One": (solved({"e5_3": RIGHT["e5_3"]}), ("open", "open", "full")),
    "Wrong First": (solved(WRONG_FIRST), ("some", "full", "full")),
    "Nearly There": (solved(HALF), ("full", "some", "full")),
    "Written Only": (solved({"w5_4": RIGHT["w5_4"]}), ("open", "open", "open")),
    "José del Río": (solved(RIGHT), ALL),
    "Bad Import": (
        solved(RIGHT | {"e5_1": "import nothing_of_that_name\n" + RIGHT["e5_1"]}),
        ("none", "full", "full"),
    ),
    **{f"Damage {kind}": (damaged(kind), ALL) for kind in FOUND_ANYWHERE},
    "Damage deleted an exercise": (damaged("deleted an exercise"), ("full", "full", "missing")),
    "Damage another notebook": (damaged("another notebook"), "no cell of an exercise found"),
    **{
        f"Attack {kind}": (
            solved(RIGHT | {"e5_2": code + RIGHT["e5_2"]}),
            ("full", "none", "full") if kind in LOSERS else ALL,
        )
        for kind, code in ATTACKS.items()
    },
    **{
        f"Break {kind}": (broken(body), ("full", "none", "full"))
        for kind, body in BREAKS.items()
        if kind not in ("1 GB printed", "an int that lies")
    },
    "Break 1 GB printed": (broken(BREAKS["1 GB printed"]), ("full", "none", "full")),
    "Break an int that lies": (broken(BREAKS["an int that lies"]), ("full", "none", "full")),
    **{
        f"Cheat {kind}": (
            solved(RIGHT | {exercise: code}),
            tuple("none" if e == exercise else "full" for e in ("e5_1", "e5_2", "e5_3")),
        )
        for kind, (exercise, code) in CHEATS.items()
    },
    "Corrupt File": (b'{"cells": [{"cell_type": "code", ', "not readable as a notebook"),
    "Empty File": (b"", "not readable as a notebook"),
    "Word Document": (b"PK not a notebook", "no notebook"),
}


def as_bytes(notebook: object) -> bytes:
    return notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()


def write_archive(file: Path, names: list[str] | None = None) -> Path:
    """A zip in Moodle's form, with a bomb, a link, a way out, an earlier copy and a student's own zip in it."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, (notebook, _)) in enumerate(STUDENTS.items()):
            if names is None or name in names:
                ending = (
                    "abgabe.docx"
                    if name == "Word Document"
                    else "05_training.ipynb"
                    if number % 3
                    else "meine Lösung (1).ipynb"
                )
                archive.writestr(
                    f"{name}_{1000 + number}_assignsubmission_file_/{ending}", as_bytes(notebook)
                )
        if names is None:
            extra = "Ada Lovelace_1000_assignsubmission_file_/05_training_old.ipynb"
            archive.writestr(zipfile.ZipInfo(extra, (2020, 1, 1, 0, 0, 0)), as_bytes(solved({})))
            archive.writestr("../../outside.ipynb", as_bytes(solved(RIGHT)))
            link = zipfile.ZipInfo("Sly Link_1_assignsubmission_file_/05_training.ipynb")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
            archive.writestr(
                "Zip Bomb_2_assignsubmission_file_/05_training.ipynb", b"0" * (200 * 2**20)
            )
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as own:
                own.writestr("my work/05_training.ipynb", as_bytes(solved(RIGHT)))
            archive.writestr("Own Zip_3_assignsubmission_file_/work.zip", inner.getvalue())
    return file


def class_of(count: int) -> dict[str, dict[str, str]]:
    """Name -> answers of that many students: each exercise right, wrong in one of the usual ways, or left out."""
    dice, students = random.Random(0), {}
    for number in range(1, count + 1):
        answers = {"w5_4": f"{RIGHT['w5_4']} So I wait ({number})."}
        for exercise in ("e5_1", "e5_2", "e5_3"):
            roll, head = dice.random(), RIGHT[exercise].partition("\n")[0]
            if roll < 0.6:
                answers[exercise] = RIGHT[exercise]
            elif roll < 0.9:
                answers[exercise] = f"{head}\n{dice.choice(WRONG[exercise])[1]}"
        students[f"Student {number:03}"] = answers
    return students


def write_class(file: Path, count: int) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, answers) in enumerate(class_of(count).items(), start=1000):
            folder = f"{name}_{number}_assignsubmission_file_"
            archive.writestr(f"{folder}/05_training.ipynb", as_bytes(solved(answers)))
    return file


if __name__ == "__main__":
    if sys.argv[2:]:
        print(f"{write_class(Path(sys.argv[1]), int(sys.argv[2]))}: {sys.argv[2]} students")
    else:
        print(f"{write_archive(Path(sys.argv[1]))}: {len(STUDENTS)} students and five more")
