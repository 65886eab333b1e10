"""Right answers to the exercises of lesson 07, written another way than the solution: each must get all points."""

RIGHT = {
    "e7_1": [
        (
            "PyTorch's softmax and topk",
            "    import torch\n\n"
            "    top = torch.as_tensor(np.array(logits, dtype=float)).softmax(1).topk(2).values\n"
            "    return (top[:, 0] - top[:, 1]).numpy()\n",
        ),
    ],
    "e7_2": [
        (
            "loops over the thresholds",
            "    best = 0.0\n"
            "    for t in set(map(float, score)):\n"
            "        answered = [bool(r) for s, r in zip(score, right) if s >= t]\n"
            "        if sum(answered) / len(answered) >= target:\n"
            "            best = max(best, len(answered) / len(score))\n"
            "    return best\n",
        ),
    ],
    "e7_4": [
        (
            "a loop with three branches",
            "    out = []\n"
            "    for p in positive:\n"
            "        if p >= high:\n            out.append('pos')\n"
            "        elif p > low:\n            out.append('neutral')\n"
            "        else:\n            out.append('neg')\n"
            "    return out\n",
        ),
    ],
    "e7_5": [
        (
            "the walk that the check shows",
            "    n, end = 1, size - 2\n"
            "    while end < tokens:\n        end += size - 2 - overlap\n        n += 1\n"
            "    return n\n",
        ),
        (
            "whole numbers alone",
            "    step = size - 2 - overlap\n"
            "    return 1 if tokens <= size - 2 else 1 + (tokens - size + 1 + step) // step\n",
        ),
    ],
}
