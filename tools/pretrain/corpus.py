"""Collect plain text, hold some of it out, and turn it into one stream of token ids per split.

Layout of the work folder: ``texts.parquet`` (text, split), ``train.bin`` and ``validation.bin`` (uint16 token ids,
documents separated by ``[SEP]``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import BertWordPieceTokenizer
from tqdm.auto import tqdm

MIN_CHARACTERS = 200
VALIDATION_SHARE = 0.005
# Reviews are an eighth of the text; written twelve times they make up 63 % of the training tokens.
REVIEW_REPEATS = 12
LINE_BREAK = "<br />"  # as IMDb's reviews have it


def text_digest(text: str) -> str:
    """Hash of a text that ignores case and white space, so that copies of one review have the same."""
    return hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()


def in_validation(text: str, share: float = VALIDATION_SHARE) -> bool:
    """Whether a text is held out. Decided by its hash alone: the same in every run and in every order."""
    return int(text_digest(text)[:8], 16) / 0x1_0000_0000 < share


def read_texts(folder: Path) -> Iterator[str]:
    """Texts of every .parquet (column ``text``) and .txt file (blank line between documents) below ``folder``."""
    files = (
        [folder]
        if folder.is_file()
        else sorted(p for p in folder.rglob("*") if p.suffix in {".parquet", ".txt"})
    )
    if not files:
        raise FileNotFoundError(
            f"{folder}: no .parquet or .txt file here. Name a folder of text with --text."
        )
    for file in files:
        if file.suffix == ".txt":
            yield from file.read_text(encoding="utf-8").split("\n\n")
        else:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=2000, columns=["text"]):
                yield from batch.column("text").to_pylist()


def imdb_texts(mirror: Path) -> Iterator[str]:
    """IMDb's unlabelled reviews without those that are also in the labelled train or test split."""
    folder = mirror / "datasets/stanfordnlp/imdb"
    labelled = {
        text_digest(t) for name in ("train", "test") for t in read_texts(folder / f"{name}.parquet")
    }
    for text in read_texts(folder / "unsupervised.parquet"):
        if text_digest(text) not in labelled:
            yield text.replace(LINE_BREAK, " ")


def collect(sources: list[tuple[Iterator[str], int]], out: Path) -> dict[str, int]:
    """Write every text of at least ``MIN_CHARACTERS`` once, ordered by hash, which mixes the sources.

    Each source comes with the number of times that ``encode`` will write its training texts.
    """
    seen: dict[str, str] = {}
    repeats: dict[str, int] = {}
    for source, times in sources:
        for text in tqdm(source, desc="reading", unit=" texts", mininterval=5):
            if len(text) >= MIN_CHARACTERS:
                digest = text_digest(text)
                seen.setdefault(digest, text)
                repeats[digest] = max(times, repeats.get(digest, 1))
    order = sorted(seen)
    splits = ["validation" if in_validation(seen[d]) else "train" for d in order]
    out.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "text": [seen[d] for d in order],
        "split": splits,
        "repeats": [repeats[d] for d in order],
    }
    pq.write_table(pa.table(columns), out, compression="zstd")
    return {name: splits.count(name) for name in ("train", "validation")}


def encode(texts: Path, vocab_file: Path, work: Path) -> dict[str, int]:
    """Write ``train.bin`` and ``validation.bin``; returns the number of tokens in each.

    The copies of a repeated text are written far apart: in one window a model could look a masked word up in the other
    copy.
    """
    again: list[tuple[int, np.ndarray]] = []
    tokenizer = BertWordPieceTokenizer(str(vocab_file), lowercase=True, strip_accents=True)
    separator = tokenizer.token_to_id("[SEP]")
    counts = {"train": 0, "validation": 0}
    files = {name: open(work / f"{name}.bin.part", "wb") for name in counts}
    source = pq.ParquetFile(texts)
    with tqdm(total=source.metadata.num_rows, desc="encoding", unit=" texts", mininterval=5) as bar:
        for batch in source.iter_batches(batch_size=2000):
            encoded = tokenizer.encode_batch(
                batch.column("text").to_pylist(), add_special_tokens=False
            )
            rows = zip(
                batch.column("split").to_pylist(),
                batch.column("repeats").to_pylist(),
                encoded,
                strict=True,
            )
            for split, repeats, e in rows:
                ids = np.asarray([*e.ids, separator], dtype=np.uint16)
                files[split].write(ids.tobytes())
                counts[split] += len(ids)
                if split == "train" and repeats > 1:
                    again.append((repeats, ids))
            bar.update(len(encoded))
    for turn in range(1, max((repeats for repeats, _ in again), default=1)):
        for repeats, ids in again:
            if repeats > turn:
                files["train"].write(ids.tobytes())
                counts["train"] += len(ids)
    for name, file in files.items():
        file.close()
        (work / f"{name}.bin.part").replace(work / f"{name}.bin")
    return counts
