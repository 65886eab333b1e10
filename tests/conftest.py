"""Settings and fixtures that several test files share."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_EVALUATE_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[1]
MINI = ROOT / "data/models/mini-distilbert"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No test depends on the caller's profile or mirror, and none writes into ``build/work``."""
    for name in ("COURSE_PROFILE", "COURSE_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))


@pytest.fixture
def mirror(mirror_folder) -> Path:
    """The real data sets, for maintainers who have them at hand."""
    return mirror_folder


@pytest.fixture(scope="session")
def mirror_folder() -> Path:
    folder = ROOT.parent / "shared/mirror"
    if not folder.is_dir():
        pytest.skip("../shared/mirror isn't there: loading real IMDb and SMS Spam was not tested")
    return folder


@pytest.fixture
def mini_model() -> Path:
    """The embedded student. The skip is for the time before its first training only."""
    if not (MINI / "model.safetensors").exists():
        pytest.skip("the embedded model isn't there: nothing that needs its weights was tested")
    return MINI


@pytest.fixture
def one_thread():
    """Tiny models run far faster on one thread, the more so where another program keeps the other cores busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def embedded(task: str) -> pd.DataFrame:
    """All rows of an embedded task as they stand in the files, with a column ``split``."""
    return pd.concat(
        [
            pd.read_csv(
                ROOT / f"data/{task}/{split}.csv", keep_default_na=False, encoding="utf-8"
            ).assign(split=split)
            for split in ("train", "validation", "test")
        ],
        ignore_index=True,
    )


def write_parquet(file: Path, **columns: list) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)
    return file
