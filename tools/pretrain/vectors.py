"""Word vectors to start from: positive PMI of neighbouring tokens, cut to rank ``dim`` by a truncated SVD.

Levy and Goldberg (2014, "Neural Word Embedding as Implicit Matrix Factorization") show that this is what word2vec's
skip-gram factorises. With random embeddings a deep, narrow masked language model sits on the unigram plateau for
millions of tokens; with these it leaves the plateau at once.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils.extmath import randomized_svd


def cooccurrences(ids: np.ndarray, vocab_size: int, window: int) -> np.ndarray:
    """Symmetric counts (vocab_size, vocab_size), float32, of tokens at most ``window`` apart, nearer ones weighing more."""
    counts = np.zeros(vocab_size * vocab_size, dtype=np.float32)
    ids = ids.astype(np.int64)
    for distance in range(1, window + 1):
        pairs = ids[:-distance] * vocab_size + ids[distance:]
        counts += np.bincount(pairs, minlength=len(counts)).astype(np.float32) / distance
    counts = counts.reshape(vocab_size, vocab_size)
    return counts + counts.T


def word_vectors(ids: np.ndarray, vocab_size: int, dim: int, window: int = 5, seed: int = 0) -> np.ndarray:
    """Centred vectors of length 0.5, shape (vocab_size, dim), float32."""
    counts = cooccurrences(ids, vocab_size, window)
    total = counts.sum()
    row = counts.sum(1, keepdims=True)
    context = row.T**0.75  # smoothed context distribution: rare neighbours would dominate otherwise
    context /= context.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(counts / total) - np.log(row / total) - np.log(context)
    np.nan_to_num(pmi, copy=False, nan=0.0, neginf=0.0)
    np.maximum(pmi, 0.0, out=pmi)
    u, s, _ = randomized_svd(pmi, dim, n_iter=3, random_state=seed)
    vectors = u * np.sqrt(s)
    vectors -= vectors.mean(0)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (0.5 * vectors / np.maximum(norm, 1e-6)).astype(np.float32)
