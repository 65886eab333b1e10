"""``python -m browser.build``: fine-tune two models, and write the page with all that it needs into build/browser/.

The folder can be put on any web server: no path in it is absolute, nothing is loaded from elsewhere, and it needs no
headers of its own. Models that are there already are kept; ``--again`` makes them anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import service.export
from tools.lessons import ROOT

SOURCES = ROOT / "browser"
BUILT = ROOT / "build/browser"
PACKAGES = ROOT / "build/browser-packages"
LIBRARIES = (
    "onnxruntime-web/dist/ort.wasm.min.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
    "@huggingface/tokenizers/dist/tokenizers.min.mjs",
)
# Task -> what the page says of it, its pieces at most, epochs, how many times the profile's learning rate.
TASKS = {
    "requests": ("Requests to a shop", "Where is my parcel? It should be here by now.", 64, 4, 3),
    "reviews": ("Film reviews", "A warm and funny film, though the end comes late.", 256, 4, 1),
}


class BuildError(RuntimeError):
    """The page can't be built. The message says what is missing and what to do."""


def fetch_libraries(folder: Path = PACKAGES) -> Path:
    """``node_modules`` with the exact versions of package-lock.json; no package's own program is run.

    Raises BuildError where npm is missing or can't fetch them.
    """
    modules, lock = folder / "node_modules", SOURCES / "package-lock.json"
    kept = folder / lock.name
    whole = all((modules / file).is_file() for file in LIBRARIES)
    if whole and kept.is_file() and kept.read_bytes() == lock.read_bytes():
        return modules
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("The page's libraries come from npm, which isn't here: install Node.js.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", lock.name):
        shutil.copy(SOURCES / name, folder / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        kept.unlink()
        raise BuildError(f"npm can't fetch the page's libraries:\n{done.stderr.strip()[-1500:]}")
    return modules


def fine_tune(task: str) -> tuple[Any, Any, list[str]]:
    """The profile's model, trained on ``task`` with all its classes; its tokenizer; the names of the classes."""
    from course_utils.data import load_task
    from course_utils.lab import start_lab

    _, _, limit, epochs, rate = TASKS[task]
    lab = start_lab("11")
    rows = load_task(task, lab.profile)["train"]
    labels = rows.features["label"].names
    print(f"Training on {len(rows)} rows of {task}: a few minutes …", flush=True)
    return *service.export.fine_tune(lab, rows, labels, epochs, rate, limit), labels


def export(
    model: Any, tokenizer: Any, labels: list[str], task: str, folder: Path, bits: int = 8
) -> Path:
    """Write ``folder``: model.onnx (8 or 32 bits), tokenizer.json, about.json. All of it or nothing."""
    title, example, limit, *_ = TASKS[task]
    about = {"name": task, "title": title, "example": example, "limit": limit, "labels": labels}
    return service.export.write_model(model, tokenizer, folder, {"about.json": about}, bits)


def assemble(to: Path, modules: Path) -> list[dict[str, Any]]:
    """Put page and libraries beside the models of ``to/models``, and write models.json; returns what it says."""
    for name in ("index.html", "try.js"):
        shutil.copy(SOURCES / name, to / name)
    for file in LIBRARIES:
        shutil.copy(modules / file, to / Path(file).name)
    notices = ["onnxruntime-web: Copyright (c) Microsoft Corporation, MIT License\n"]
    notices += [(modules / "@huggingface/tokenizers/LICENSE").read_text(encoding="utf-8")]
    (to / "LICENSES.txt").write_text("\n".join(notices), encoding="utf-8")
    known = []
    for task in TASKS:
        folder = to / "models" / task
        if (folder / "about.json").is_file():
            about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            size = sum((folder / n).stat().st_size for n in ("model.onnx", "tokenizer.json"))
            known.append({**about, "folder": f"models/{task}", "bytes": size})
    (to / "models.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return known


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m browser.build", description=__doc__)
    parser.add_argument("--task", action="append", choices=list(TASKS), help="by default both")
    parser.add_argument("--again", action="store_true", help="fine-tune models that are there, too")
    arguments = parser.parse_args()
    try:
        modules = fetch_libraries()
    except BuildError as error:
        raise SystemExit(str(error)) from None
    for task in arguments.task or TASKS:
        folder = BUILT / "models" / task
        if arguments.again or not (folder / "about.json").is_file():
            export(*fine_tune(task), task, folder)
    for model in assemble(BUILT, modules):
        print(f"{model['title']}: {model['bytes'] / 1e6:.1f} MB, {len(model['labels'])} classes")
    print(f"wrote {BUILT.relative_to(ROOT)}/. To look at it, leave this running:")
    print(f"  python3 -m http.server 8011 --bind 127.0.0.1 --directory {BUILT.relative_to(ROOT)}")
    print("and open http://127.0.0.1:8011/")


if __name__ == "__main__":
    main()
