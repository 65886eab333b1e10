"""Models and data sets on the Hugging Face Hub, each pinned to one full revision.

With a pinned revision the course measures the same model and data next year as today.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from huggingface_hub import hf_hub_download, is_offline_mode
from huggingface_hub.errors import (
    HTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open


class CheckpointError(ValueError):
    """A model's folder can't be used. The message names the file, what was expected, the remedy."""


CHECKPOINT_FILES = {
    "config.json": "JSON",
    "model.safetensors": "safetensors",
    "tokenizer.json": "JSON",
}
MODEL_FILES = (*CHECKPOINT_FILES, "tokenizer_config.json", "vocab.txt")
# What the Hub's client raises where a download fails.
HUB_ERRORS = (OSError, ValueError, RuntimeError, HTTPError)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ENOSPC)
GONE = (RepositoryNotFoundError, RevisionNotFoundError, RemoteEntryNotFoundError)


@dataclass(frozen=True)
class HubModel:
    repo: str
    revision: str


@dataclass(frozen=True)
class HubDataset:
    """``files`` maps a split to the parquet file that holds it, below the repository's root."""

    repo: str
    revision: str
    files: dict[str, str] = field(hash=False)
    config: str | None = None

    @property
    def folder(self) -> Path:
        """The data set's folder in a mirror."""
        return Path("datasets", *self.repo.split("/"), *([self.config] if self.config else []))


MODELS = {
    "distilbert": HubModel(
        "distilbert/distilbert-base-uncased", "12040accade4e8a0f71eabdb258fecc2e7e948be"
    ),
    "bert": HubModel("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594"),
}

DATASETS = {
    "reviews": HubDataset(
        "stanfordnlp/imdb",
        "e6281661ce1c48d982bc483cf8a173c1bbeb5d31",
        {s: f"plain_text/{s}-00000-of-00001.parquet" for s in ("train", "test")},
    ),
    "messages": HubDataset(
        "ucirvine/sms_spam",
        "cae486f927c250fe1d4a5b55f11357964ed1646c",
        {"train": "plain_text/train-00000-of-00001.parquet"},
    ),
    "requests": HubDataset(
        "clinc/clinc_oos",
        "155b9c710419136e17307b80d0a13e68cd46b4ec",
        {s: f"plus/{s}-00000-of-00001.parquet" for s in ("train", "validation", "test")},
        "plus",
    ),
}


def mirror() -> Path | None:
    """The folder that ``COURSE_MIRROR`` names, or None. Raises FileNotFoundError."""
    if not (value := os.environ.get("COURSE_MIRROR", "").strip()):
        return None
    folder = Path(os.path.expanduser(value)).resolve()  # noqa: PTH111 - ~ without a home
    if not (os.access(folder, os.R_OK | os.X_OK) and folder.is_dir()):
        raise FileNotFoundError(
            f"COURSE_MIRROR={value}: there is no such folder, or you may not read it ({folder}). "
            "Expected a folder with datasets/ and models/ inside; correct the path, or unset "
            "COURSE_MIRROR to use the profile's own data."
        )
    return folder


def mirrored_model(name: str) -> Path | None:
    """The mirror's copy of a model of ``MODELS``, or None without a mirror or such a copy."""
    folder = mirror()
    path = folder and folder / "models" / MODELS[name].repo
    return path if path and path.is_dir() else None


def check_checkpoint(folder: Path) -> None:
    """Raise CheckpointError unless ``folder`` has readable config, weights and tokenizer files."""
    cure = (
        "Fetch the repository again, or copy the mirror again; an interrupted copy leaves a part "
        "of a file, and git without LFS a note of three lines."
    )
    for name, form in CHECKPOINT_FILES.items():
        file = folder / name
        if not file.is_file():
            raise CheckpointError(
                f"{file}: this file is missing. Expected {', '.join(CHECKPOINT_FILES)}. {cure}"
            )
        try:
            if form == "JSON":
                found = json.loads(file.read_text(encoding="utf-8"))
                if not (found and isinstance(found, dict)):
                    raise ValueError("it holds no object with names and values")
            else:
                safe_open(file, "pt")  # compares the table of contents with the file's length
        except (SafetensorError, OSError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{file}: not readable as {form} ({error}). Expected a whole {form} file. {cure}"
            ) from None


def matches(file: Path, digest: str) -> bool:
    """Whether ``digest`` is a file's SHA-256 (64 digits) or git's SHA-1 of it (40 digits)."""
    if len(digest) == 64:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == digest
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == digest


def fetch(repo: str, revision: str, files: Iterable[str], kind: str = "model") -> list[Path]:
    """Download files of the Hub into its cache and check their hashes; its client checks lengths.

    ``kind`` is "model" or "dataset". Raises one of HUB_ERRORS.
    """
    paths = []
    for file in files:
        for _ in range(2):
            path = Path(hf_hub_download(repo, file, repo_type=kind, revision=revision))
            # The link's target is named by its hash. Some Windows machines have no links.
            name = path.readlink().name if path.is_symlink() else ""
            if len(name) not in (40, 64) or matches(path, name):
                break
            path.resolve().unlink()
            path.unlink()
        else:
            raise OSError(
                f"{file} arrived damaged twice: its content is not the one that the Hub gave the "
                "hash of"
            )
        paths.append(path)
    return paths


def fetch_model(name: str) -> None:
    """Download a model of ``MODELS`` into the Hub's cache, where ``from_pretrained`` finds it.

    In offline mode nothing is fetched. Raises CheckpointError.
    """
    model = MODELS[name]
    try:
        if not is_offline_mode():
            fetch(model.repo, model.revision, MODEL_FILES)
    except HUB_ERRORS as error:
        raise CheckpointError(failure(model, error)) from error


def reason(error: Exception) -> str:
    """One of HUB_ERRORS in one line."""
    if isinstance(error, GONE):
        return "the Hub has it no longer"
    line, *_ = [*str(error).strip().splitlines(), ""]
    return f"{type(error).__name__}: {line}"


def failure(source: HubModel | HubDataset, error: Exception) -> str:
    """The error message where a model or data set of the Hub can't be loaded."""
    cure = "Check the network and run the cell again; what has arrived whole is kept"
    if getattr(error, "errno", None) in UNWRITABLE:
        cure = "Set HF_HOME to a folder that can be written to, on a disk with space"
    elif isinstance(error, GONE):
        cure = "Tell the authors of the course"
    mirrored = (
        "the mirror that COURSE_MIRROR names lacks it: add it with `make mirror TO=that-folder`"
        if mirror()
        else "set COURSE_MIRROR to a mirror"
    )
    return (
        f"{source.repo} at revision {source.revision}: could not be loaded ({reason(error)}). "
        f"{cure}. Or {mirrored}, or use what is embedded in the course: "
        'start_lab(..., profile="mini").'
    )


def hub_answers(seconds: float = 3.0) -> bool:
    """Whether the Hub offers the model within ``seconds``; False where HF_HUB_OFFLINE is set."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    answer: list[bool] = []
    # urlopen's timeout is for each wait and leaves out the name look-up; join limits the total.
    thread = threading.Thread(target=lambda: answer.append(ask_hub(seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return answer == [True]


def ask_hub(seconds: float) -> bool:
    model = MODELS["distilbert"]
    url = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url += f"/{model.repo}/resolve/{model.revision}/config.json"
    try:  # X-Error-Code says that the revision or the whole repository is gone
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
    except urllib.error.HTTPError as error:
        return error.code < 500 and error.code != 429 and "X-Error-Code" not in error.headers
    except (OSError, ValueError, HTTPException):
        return False
    return True
