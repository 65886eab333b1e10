"""The setup cell adds what a machine lacks and moves nothing that it has."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from course_utils import setup
from course_utils.setup import ensure_packages, requirement_name


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A repository that wants three packages; ``has`` sets what is installed, ``calls`` is what pip was told."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["torch>=2.10", "huggingface-hub>=1.0", "evaluate>=0.4.6"]\n', encoding="utf-8")
    calls = []

    def has(**packages: str) -> None:
        found = [SimpleNamespace(metadata={"Name": name}, version=version) for name, version in packages.items()]
        monkeypatch.setattr(setup.importlib.metadata, "distributions", lambda: found)

    def run(command, check):
        calls.append((command, Path(command[command.index("-c") + 1]).read_text(encoding="utf-8").splitlines()))
        assert check
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(setup.subprocess, "run", run)
    return SimpleNamespace(has=has, calls=calls, root=tmp_path)


@pytest.mark.parametrize(("requirement", "name"), [
    ("evaluate>=0.4.6", "evaluate"), ("huggingface_hub", "huggingface-hub"), ("Zope.Interface ~= 5", "zope-interface"),
    ("numpy!=2.1", "numpy"), ("torch[opt]<3; python_version > '3'", "torch"), ("a @ https://host.example/a.whl", "a"),
])
def test_a_requirement_is_reduced_to_the_name_that_pypi_uses(requirement, name):
    assert requirement_name(requirement) == name


def test_nothing_is_installed_where_nothing_is_missing_however_names_are_spelt(machine, capsys):
    machine.has(Torch="2.13.0+cpu", huggingface_hub="2.4.0", evaluate="0.4.6")
    assert ensure_packages(machine.root) == [] and machine.calls == []
    assert capsys.readouterr().out == ""


def test_only_what_is_missing_is_installed_and_all_the_rest_held_where_it_is(machine, capsys):
    machine.has(torch="2.10.0+cu128", huggingface_hub="1.2.0", numpy="2.0.2", pip="24.1", setuptools="75.0")
    assert ensure_packages(machine.root) == ["evaluate>=0.4.6"]
    (command, constraints), = machine.calls
    assert command[:6] == [sys.executable, "-m", "pip", "install", "-q", "-c"] and command[7:] == ["evaluate>=0.4.6"]
    assert sorted(constraints) == ["huggingface-hub==1.2.0", "numpy==2.0.2", "torch==2.10.0"]
    assert capsys.readouterr().out == "installed: evaluate>=0.4.6\n"


def test_a_failing_pip_stops_the_cell(machine, monkeypatch):
    machine.has(torch="2.10.0")

    def run(command, check):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(setup.subprocess, "run", run)
    with pytest.raises(subprocess.CalledProcessError):
        ensure_packages(machine.root)


def test_the_pinned_environment_has_everything_that_the_package_wants(monkeypatch):
    monkeypatch.setattr(setup.subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    assert ensure_packages(ROOT) == []
