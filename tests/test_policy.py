"""Rules for every file of the repository."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import pytest

from tools.lessons import ROOT, lessons, measured

TRACKED = [ROOT / f for f in subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True,
                                            text=True, check=True).stdout.splitlines() if (ROOT / f).is_file()]
TEXT = [f for f in TRACKED if f.suffix in {".py", ".md", ".ipynb", ".toml", ".yml", ".yaml", ".txt", ".cff", ".sh", ""}
        and f.suffix != ".safetensors"]
COURSE = [f for f in TEXT if f.suffix in {".py", ".ipynb"} and "tests" not in f.parts]


def mentions(pattern: str, files=None) -> list[str]:
    """``file:line`` of every line that matches."""
    found = []
    for file in TEXT if files is None else files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if len(line) < 20_000 and re.search(pattern, line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def test_the_code_is_clean():
    run = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_no_path_of_a_machine_stands_in_any_file():
    others = [f for f in TEXT if f.name not in {"test_policy.py", "test_notebooks.py"}]
    assert not mentions(r"(?<![\w.:/])/(?:home|root|work|Users)/\w", others)


def test_no_package_index_is_named():
    assert not mentions("index" + r"-url|find" + "-links|pypi" + r"\.org/simple")


@pytest.mark.parametrize("pattern", [
    r"trust_remote" + "_code", r"pickle\.load", "weights_only" + "=False", r"evaluate\.load" + r"\(\"",
    r"hf_[A-Za-z0-9]{20,}", r"load_dataset\(\"(?:imdb|sst2|ag_news)\"",
])
def test_nothing_loads_code_or_secrets(pattern):
    allowed = {"course_utils/metrics.py"}  # its docstring says why evaluate.load isn't used
    assert not [m for m in mentions(pattern, COURSE) if m.split(":")[0] not in allowed]


def test_hub_models_are_loaded_at_a_revision_and_as_safetensors():
    for file in (ROOT / "notebooks/sources").glob("*.py"):
        for call in re.findall(r"(\w+)\.from_pretrained\(\s*([^)]*)\)", file.read_text(encoding="utf-8")):
            name, arguments = call
            if "lab.checkpoint" in arguments:
                assert "revision=" in arguments, f"{file.name}: {name}.from_pretrained without a revision"
                assert "Tokenizer" in name or "use_safetensors=True" in arguments, f"{file.name}: {name} may load a pickle"


def test_every_hub_source_is_pinned_to_a_full_revision():
    from course_utils.hub import DATASETS, MODELS

    for source in [*DATASETS.values(), *MODELS.values()]:
        assert re.fullmatch(r"[0-9a-f]{40}", source.revision) and "/" in source.repo


def test_workflow_actions_are_pinned_to_a_commit():
    uses = [u for f in (ROOT / ".github/workflows").glob("*.yml") for u in re.findall(r"uses:\s*(\S+)", f.read_text("utf-8"))]
    assert uses
    assert not [u for u in uses if not re.search(r"@[0-9a-f]{40}$", u)]


def test_versions_are_pinned_in_one_file_only():
    pins = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", pin) for pin in pins)
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert not [d for d in tomllib.load(file)["project"]["dependencies"] if "==" in d]


def test_what_colab_has_satisfies_the_ranges():
    from packaging.requirements import Requirement

    colab = dict(line.split("==") for line in (ROOT / ".github/colab-constraints.txt").read_text("utf-8").splitlines()
                 if "==" in line and not line.startswith("#"))
    colab = {name.lower().replace("_", "-"): version.split(" ")[0] for name, version in colab.items()}
    with open(ROOT / "pyproject.toml", "rb") as file:
        wanted = [Requirement(d) for d in tomllib.load(file)["project"]["dependencies"]]
    present = [r for r in wanted if r.name.lower() in colab]
    assert len(present) >= 9
    assert not [f"{r} but Colab has {colab[r.name.lower()]}" for r in present if colab[r.name.lower()] not in r.specifier]


def test_the_helper_package_stays_small():
    sizes = {f.name: sum(1 for line in f.read_text("utf-8").splitlines() if line.strip() and not line.strip().startswith("#"))
             for f in (ROOT / "course_utils").glob("*.py")}
    assert max(sizes.values()) <= 200 and sum(sizes.values()) <= 900, sizes


def test_lessons_do_not_import_the_maintainers_tools():
    assert not mentions(r"^\s*(?:from|import) tools\b", list((ROOT / "notebooks/sources").glob("*.py")))


def test_the_readme_lists_each_lesson_with_its_measured_cost():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for lesson in lessons():
        m = measured()[lesson.number]["mini"]
        row = next(line for line in readme.splitlines() if lesson.notebook.name in line and line.startswith("|"))
        assert lesson.title in row and f"{m['minutes']:.1f} min, {m['memory_gib']:.1f} GiB" in row


def test_links_in_the_prose_lead_to_files():
    for page in [f for f in TRACKED if f.suffix == ".md"]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: no file {target}"


def test_tracked_json_is_json():
    for file in TRACKED:
        if file.suffix in {".json", ".ipynb"}:
            json.loads(file.read_text(encoding="utf-8"))


def test_large_files_are_only_the_embedded_models():
    assert not [f for f in TRACKED if f.stat().st_size > 3_000_000 and "data/models" not in f.as_posix()]
