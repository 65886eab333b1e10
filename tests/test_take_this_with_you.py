"""The program at the end of a lesson runs anywhere: without the course, in an empty folder, in a process of its own."""

import os
import re
import subprocess
import sys

import pytest

from course_utils.lab import EMBEDDED_MODELS
from tools.lessons import lessons

HEADING = "# ## Take this with you"
PUBLISHED = "distilbert/distilbert-base-uncased"


def program(source: str) -> str:
    """The block of Python below the heading, as a reader would copy it."""
    below = source.split(HEADING, 1)[1]
    block = re.search(r"^# ```python\n(.*?)^# ```$", below, re.S | re.M)[1]
    return re.sub(r"^# ?", "", block, flags=re.M)


PROGRAMS = {
    lesson.number: program(text)
    for lesson in lessons()
    if HEADING in (text := lesson.source.read_text(encoding="utf-8"))
}


def test_the_first_lesson_has_one():
    assert "00" in PROGRAMS


@pytest.mark.parametrize("number", PROGRAMS)
def test_it_is_short_and_needs_nothing_of_the_course(number):
    code = PROGRAMS[number]
    assert 15 <= len(code.splitlines()) <= 36
    assert "course_utils" not in code and PUBLISHED in code and "use_safetensors=True" in code


@pytest.mark.slow
@pytest.mark.parametrize("number", PROGRAMS)
def test_it_runs_with_the_embedded_model_in_the_published_one_s_place(number, tmp_path):
    file = tmp_path / "program.py"
    local = str(EMBEDDED_MODELS["mini-distilbert"])
    file.write_text(PROGRAMS[number].replace(PUBLISHED, local), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    run = subprocess.run(
        [sys.executable, "-I", str(file)],
        cwd=tmp_path,
        env=environment | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.strip(), "it prints nothing"
