"""check tells a right answer from a wrong one, and no trick, crash or blank answer passes."""

import json

import numpy as np
import pytest

from course_utils.exercises import check, progress, recorded


class Agreeable:
    """Equal to everything and true, as a learner's object can be by accident or on purpose."""

    def __eq__(self, other):
        return True

    def __bool__(self):
        return True

    __hash__ = None

    def __repr__(self):
        return "Agreeable()"


class TrueInName(int):
    """A number that is 1 and says True."""

    def __repr__(self):
        return "True"


def not_solved():
    raise NotImplementedError


def broken():
    raise ZeroDivisionError("division by zero")


def test_a_right_answer_gets_a_tick_a_property_and_the_count(capsys):
    assert (
        check(
            "Exercise 1",
            ("it is short", lambda: len("abc") < 5),
            ("it is lower case", "abc".islower),
        )
        is True
    )
    assert capsys.readouterr().out == "✅ it is short\n✅ it is lower case\nExercise 1: 2 of 2\n"


def test_a_wrong_answer_gets_its_hint_and_the_other_properties_are_still_tried(capsys):
    wrong, right = (
        ("the mean is 2", lambda: 3 == 2, "you divided by n - 1"),
        ("it is a number", lambda: True),
    )
    assert check("Exercise 1", wrong, right) is False
    assert capsys.readouterr().out == (
        "❌ the mean is 2: you divided by n - 1\n✅ it is a number\nExercise 1: 1 of 2\n"
    )


def test_without_a_hint_a_wrong_answer_shows_what_came(capsys):
    assert check("Exercise 1", ("it holds", lambda: None)) is False
    assert "❌ it holds: got None" in capsys.readouterr().out


@pytest.mark.parametrize(
    "claims", [Agreeable(), TrueInName(1), 1, 1.0, "True", [True], np.ones(1, dtype=bool)]
)
def test_only_a_real_true_passes(claims, capsys):
    assert check("Exercise 1", ("it holds", lambda: claims)) is False
    assert check("Exercise 1", ("it equals 3", lambda: claims == Agreeable() and claims)) is False
    assert "✅" not in capsys.readouterr().out


def test_an_object_equal_to_everything_fails_where_the_comparison_is_handed_on():
    assert check("Exercise 1", ("the answer is 3", lambda: abs(Agreeable()) == 3)) is False
    assert check("Exercise 1", ("the type is int", lambda: type(Agreeable()) is int)) is False


@pytest.mark.parametrize(
    ("value", "passes"), [(np.float64(2.0) > 1, True), (np.int64(1) > 1, False)]
)
def test_numpys_own_truth_counts(value, passes):
    assert type(value) is np.bool_
    assert check("Exercise 1", ("it is larger", lambda: value)) is passes


def test_an_exception_is_shown_with_type_and_message_and_no_traceback(capsys):
    assert (
        check("Exercise 1", ("it runs", broken, "never shown"), ("the next", lambda: True)) is False
    )
    assert capsys.readouterr().out == (
        "❌ it runs: your code stopped with ZeroDivisionError: division by zero\n✅ the next\nExercise 1: 1 of 2\n"
    )


def test_an_answer_whose_own_printing_crashes_is_a_wrong_answer(capsys):
    class Unprintable:
        def __repr__(self):
            raise RuntimeError("no picture")

    assert check("Exercise 1", ("it holds", Unprintable)) is False
    assert "your code stopped with RuntimeError: no picture" in capsys.readouterr().out


def test_an_exercise_not_attempted_gives_one_calm_line(capsys):
    assert check("Exercise 1", ("it holds", not_solved), ("the next", lambda: True)) is False
    assert capsys.readouterr().out == "Exercise 1: not attempted yet\n"


@pytest.mark.parametrize(
    ("holds", "message"),
    [
        (not_solved, "Exercise 1: not attempted yet"),
        (broken, "Exercise 1: it holds: your code stopped with ZeroDivisionError"),
        (lambda: False, "Exercise 1: it holds: you forgot the minus"),
        (Agreeable, "Exercise 1: it holds: you forgot"),
    ],
)
def test_strict_raises_at_the_first_property_that_fails(holds, message):
    with pytest.raises(AssertionError, match=message):
        check(
            "Exercise 1",
            ("fine", lambda: True),
            ("it holds", holds, "you forgot the minus"),
            strict=True,
        )


def test_strict_lets_a_right_answer_pass():
    assert check("Exercise 1", ("fine", lambda: True), strict=True) is True


def test_a_check_without_properties_proves_nothing_and_is_refused():
    with pytest.raises(ValueError, match="Exercise 1: no property to check"):
        check("Exercise 1")


# Progress


def test_what_is_solved_is_remembered_and_stays_solved(capsys):
    check("5.1 Steps", ("it holds", not_solved))
    check("5.2 Curves", ("it holds", lambda: False))
    check("6.1 Cost", ("it holds", lambda: True))
    assert recorded() == {
        "5.1 Steps": "not attempted",
        "5.2 Curves": "not solved yet",
        "6.1 Cost": "solved",
    }
    check("5.1 Steps", ("it holds", lambda: True))
    check("5.1 Steps", ("it holds", not_solved))  # the notebook was opened afresh
    capsys.readouterr()
    progress("05")
    assert (
        capsys.readouterr().out
        == "✅ 5.1 Steps: solved\n❌ 5.2 Curves: not solved yet\n1 of 2 exercises solved\n"
    )
    progress()
    assert "2 of 3 exercises solved" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_damaged_record_starts_anew(content, tmp_path, monkeypatch, capsys):
    (tmp_path / "damaged.json").write_text(content, encoding="utf-8")
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "damaged.json"))
    assert recorded() == {} and check("5.1 Steps", ("it holds", lambda: True)) is True
    assert json.loads((tmp_path / "damaged.json").read_text(encoding="utf-8")) == {
        "5.1 Steps": "solved"
    }


def test_where_nothing_can_be_written_the_check_still_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "no such folder/progress.json"))
    assert check("5.1 Steps", ("it holds", lambda: True)) is True and recorded() == {}
