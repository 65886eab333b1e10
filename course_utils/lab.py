"""``start_lab``: choose a profile that fits the machine, and print it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from course_utils import hub
from course_utils.precision import choose_precision, training_speed
from course_utils.setup import work_folder
from course_utils.timing import Stopwatch, duration, keep_freed_memory, peak_memory_gib

ROOT = Path(__file__).resolve().parents[1]
EMBEDDED_MODELS = {
    name: ROOT / "data/models" / name for name in ("mini-distilbert", "mini-student")
}
# Which model a lesson uses as model, teacher and student, by the source of its profile.
PARTS = {
    "embedded": {
        "model": "mini-distilbert",
        "teacher": "mini-distilbert",
        "student": "mini-student",
    },
    "hub": {"model": "distilbert", "teacher": "bert", "student": "distilbert"},
}


@dataclass(frozen=True)
class Profile:
    """The size of a lesson: which model, which data, how many rows, how long.

    ``learning_rate`` belongs here because it goes with the model and the number of rows.
    """

    name: str
    source: str  # "embedded" or "hub"
    train_rows: int | None
    validation_rows: int
    test_rows: int | None
    learning_rate: float
    max_length: int = 256
    batch_size: int = 16
    epochs: int = 2

    @property
    def rows(self) -> dict[str, int | None]:
        """The most rows that each split may have; None means all."""
        rows = (self.train_rows, self.validation_rows, self.test_rows)
        return dict(zip(("train", "validation", "test"), rows, strict=True))


PROFILES = {
    "mini": Profile("mini", "embedded", 2000, 500, 1000, learning_rate=1e-4),
    "cpu": Profile("cpu", "hub", 2000, 500, 2000, learning_rate=5e-5),
    "gpu": Profile("gpu", "hub", None, 2500, None, 3e-5, max_length=512, batch_size=32),
}


def choose_profile(wanted: str = "auto") -> tuple[Profile, str]:
    """The profile and the reason for it. ``COURSE_PROFILE`` decides where ``wanted`` is "auto"."""
    if wanted == "auto":
        wanted = os.environ.get("COURSE_PROFILE", "").strip().lower() or "auto"
        asked = "COURSE_PROFILE asks for it"
    else:
        asked = "the notebook asks for it"
    if wanted in PROFILES:
        return PROFILES[wanted], asked
    if wanted != "auto":
        raise ValueError(
            f"There is no profile {wanted!r}. Choose one of: auto, {', '.join(PROFILES)} ({asked})."
        )
    if not torch.cuda.is_available():
        return PROFILES["mini"], "there is no CUDA device"
    if hub.mirrored_model("distilbert") or hub.hub_answers():
        return PROFILES["gpu"], "there is a CUDA device"
    where = (
        "the mirror holds no models and the Hub does not answer"
        if hub.mirror()
        else "the Hub does not answer"
    )
    return PROFILES["mini"], where


@dataclass(frozen=True)
class Lab:
    """What ``start_lab`` chose; ``from_pretrained`` takes ``checkpoint`` and ``revision``."""

    lesson: str
    profile: Profile
    device: str
    precision: str
    checkpoint: str
    revision: str
    workdir: Path
    seed: int
    watch: Stopwatch

    @property
    def teacher(self) -> tuple[str, str]:
        """Checkpoint and revision of lesson 02's teacher: ``mini-distilbert`` or BERT."""
        return checkpoint_of("teacher", self.profile)

    @property
    def student(self) -> tuple[str, str]:
        """Checkpoint and revision of its student: ``mini-student`` or DistilBERT."""
        return checkpoint_of("student", self.profile)

    @property
    def precision_arguments(self) -> dict[str, bool]:
        """Keywords for ``TrainingArguments``, such as ``{"use_cpu": True, "bf16": True}``.

        On a CPU, ``TrainingArguments`` refuses ``bf16=True`` without ``use_cpu=True``.
        """
        keywords = {"use_cpu": True} if self.device == "cpu" else {}
        return keywords | ({} if self.precision == "fp32" else {self.precision: True})

    def finish(self, headline: str) -> None:
        """Print the main result, the minutes and the peak memory; ``make run`` reads the lines."""
        print(f"Headline: {headline}")
        print(f"Minutes: {self.watch.seconds / 60:.1f}")
        print(f"Peak memory: {peak_memory_gib():.1f} GiB")


def checkpoint_of(part: str, profile: Profile) -> tuple[str, str]:
    """Checkpoint and revision of the model for ``part``: "model", "teacher" or "student".

    Raises hub.CheckpointError where a local file is missing or damaged, or the download fails.
    """
    name = PARTS[profile.source][part]
    path = EMBEDDED_MODELS.get(name) or hub.mirrored_model(name)
    if path:
        hub.check_checkpoint(path)
        return str(path), "main"
    hub.fetch_model(name)
    return hub.MODELS[name].repo, hub.MODELS[name].revision


def expected_minutes(lesson: str, profile: str, speed: float) -> float | None:
    """The minutes measured for the course, scaled to a machine with this ``training_speed``."""
    try:
        file = ROOT / "notebooks/measured.json"
        measured = json.loads(file.read_text(encoding="utf-8"))[lesson][profile]
        return measured["minutes"] * measured["speed"] / speed
    except (OSError, KeyError, TypeError, ValueError):
        return None


def time_here(lesson: str, profile: str, precision: str, device: str) -> str:
    """The minutes to expect on this machine, as text."""
    minutes = (
        None
        if device == "cuda"
        else expected_minutes(lesson, profile, training_speed(precision, device))
    )
    if minutes:
        return f"about {duration(60 * minutes)} here"
    return "not measured here yet"


def start_lab(lesson: str, profile: str = "auto", seed: int = 0) -> Lab:
    """Choose profile, device, precision and checkpoint; seed Python, NumPy and PyTorch; print it.

    Parameters
    ----------
    lesson : two digits, as in the notebook's name: ``"05"``.
    profile : ``"auto"``, ``"mini"``, ``"cpu"`` or ``"gpu"``.

    Raises
    ------
    ValueError : for a profile that doesn't exist.
    FileNotFoundError : where ``COURSE_MIRROR`` names a folder that isn't there.
    hub.CheckpointError : where a local model has a missing or damaged file, or the download fails.
        Where nobody named a profile, a failed download raises nothing: mini is used instead.
    """
    import datasets  # here, not above: importing these two takes seconds
    import transformers

    keep_freed_memory()
    transformers.set_seed(seed)
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    chosen, reason = choose_profile(profile)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = choose_precision(device)
    try:
        checkpoint, revision = checkpoint_of("model", chosen)
    except hub.CheckpointError as error:
        if (
            reason.endswith("asks for it")
            or chosen.source == "embedded"
            or hub.mirrored_model("distilbert")
        ):
            raise
        print(error)
        chosen, reason = PROFILES["mini"], "the Hub does not give the model"
        checkpoint, revision = checkpoint_of("model", chosen)
    workdir = work_folder(ROOT) / f"lesson-{lesson}"
    workdir.mkdir(parents=True, exist_ok=True)
    name = (
        torch.cuda.get_device_name()
        if device == "cuda"
        else f"CPU with {torch.get_num_threads()} threads"
    )
    time = time_here(lesson, chosen.name, precision, device)
    print(
        f"Lesson {lesson} · profile {chosen.name} ({reason}) · {name}, {precision} · time: {time}"
    )
    if chosen.name == "mini" and not reason.endswith("asks for it"):
        time = time_here(lesson, "cpu", precision, device)
        print(
            'The published model instead: profile = "cpu" below the setup cell; it needs the Hub. '
            f"Time: {time}"
        )
    return Lab(lesson, chosen, device, precision, checkpoint, revision, workdir, seed, Stopwatch())
