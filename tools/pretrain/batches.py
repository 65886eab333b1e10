"""Batches for masked language modelling. Each is a function of (seed, step) alone, so a resumed run repeats them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

# Ids in the published vocabulary; those below 999 are special or unused.
CLS, SEP, MASK, FIRST_PIECE = 101, 102, 103, 999
COUNTED_TOKENS = 20_000_000  # enough to know how frequent a token is


@dataclass(frozen=True)
class MaskedBatch:
    """``input_ids`` (batch, length) after masking; ``positions`` (n,) index the flattened batch; ``labels`` (n,).

    ``pieces`` and ``tokens`` are the numbers of chosen and of all tokens. A part of a batch has those of the whole batch:
    losses are sums divided by them, so that the parts' losses and gradients add up to those of the whole.
    """

    input_ids: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor
    pieces: int
    tokens: int

    def part(self, rank: int, size: int, device: str) -> MaskedBatch:
        """The rows of process ``rank`` of ``size``, on its device."""
        rows, length = self.input_ids.shape
        first, last = (n * rows // size for n in (rank, rank + 1))
        mine = (self.positions >= first * length) & (self.positions < last * length)
        ids, labels = self.input_ids[first:last].to(device), self.labels[mine].to(device)
        positions = (self.positions[mine] - first * length).to(device)
        return replace(self, input_ids=ids, positions=positions, labels=labels)


class TokenStream:
    """Windows of a long stream of ids, each wrapped in ``[CLS]`` … ``[SEP]``, visited in a new order every epoch."""

    def __init__(self, file: Path, seed: int = 0):
        if not file.exists():
            raise FileNotFoundError(
                f"{file}: no token ids here. Run `python -m tools.pretrain corpus` first."
            )
        self.ids = np.memmap(file, dtype=np.uint16, mode="r")
        self.seed = seed
        self._order: tuple[tuple[int, int], np.ndarray] | None = None

    def windows(self, step: int, batch_size: int, length: int) -> np.ndarray:
        """Ids (batch_size, length) of batch number ``step``."""
        body = length - 2
        per_epoch = (len(self.ids) - body) // body
        batches = per_epoch // batch_size
        if batches == 0:
            raise ValueError(
                f"{len(self.ids)} tokens are too few for one batch of {batch_size} x {length}."
            )
        epoch, index = divmod(step, batches)
        if self._order is None or self._order[0] != (epoch, length):
            rng = np.random.default_rng([self.seed, epoch, length])
            self._order = ((epoch, length), rng.permutation(per_epoch))
        chosen = self._order[1][index * batch_size : (index + 1) * batch_size]
        shift = np.random.default_rng([self.seed, epoch]).integers(body)
        out = np.empty((batch_size, length), dtype=np.int64)
        out[:, 0], out[:, -1] = CLS, SEP
        for row, window in enumerate(chosen):
            start = min(window * body + shift, len(self.ids) - body)
            out[row, 1:-1] = self.ids[start : start + body]
        return out

    def log_frequency(self, vocab_size: int) -> torch.Tensor:
        """Natural logarithm of each token's share of the text (vocab_size,); a token not seen counts once."""
        counts = np.maximum(np.bincount(self.ids[:COUNTED_TOKENS], minlength=vocab_size), 1.0)
        return torch.from_numpy(np.log(counts / counts.sum())).float()

    def masked(
        self, step: int, batch_size: int, length: int, share: float, vocab_size: int
    ) -> MaskedBatch:
        """A batch with ``share`` of its ordinary tokens chosen: 80 % masked, 10 % replaced at random, 10 % kept.

        The choice is drawn afresh for every batch (dynamic masking), and always has the same number of tokens, so
        that shapes never change.
        """
        ids = self.windows(step, batch_size, length)
        rng = np.random.default_rng([self.seed, 1, step])
        score = np.where(ids >= FIRST_PIECE, rng.random(ids.shape), 2.0)
        count = round(share * batch_size * (length - 2))
        positions = np.sort(np.argpartition(score.ravel(), count)[:count])
        labels = ids.ravel()[positions].copy()
        fate = rng.random(count)
        replaced = np.where(fate < 0.8, MASK, rng.integers(FIRST_PIECE, vocab_size, count))
        ids.ravel()[positions] = np.where(fate < 0.9, replaced, labels)
        return MaskedBatch(*map(torch.from_numpy, (ids, positions, labels)), count, ids.size)
