"""Plausible wrong answers to the exercises of lesson 07, and a part of the message each must get."""

WRONG = {
    "e7_1": [
        ("returns a constant", "    return 0.5\n", "one number per row of logits"),
        (
            "takes the logits for probabilities",
            "    z = np.sort(np.asarray(logits, dtype=float), axis=1)\n    return z[:, -1] - z[:, -2]\n",
            "not logit",
        ),
        (
            "subtracts the smallest",
            "    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)\n"
            "    return p.max(axis=1) - p.min(axis=1)\n",
            "not the smallest",
        ),
        (
            "normalises over the whole table",
            "    p = np.sort(np.exp(logits) / np.exp(logits).sum(), axis=1)\n"
            "    return p[:, -1] - p[:, -2]\n",
            "take the largest minus the second largest *probability*",
        ),
        (
            "overflows",
            "    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)\n"
            "    p = np.sort(p, axis=1)\n    return p[:, -1] - p[:, -2]\n",
            "before np.exp",
        ),
        (
            "changes its input",
            "    logits = np.asarray(logits, dtype=float)\n"
            "    logits -= logits.max(axis=1, keepdims=True)\n"
            "    p = np.sort(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), axis=1)\n"
            "    return p[:, -1] - p[:, -2]\n",
            "no -= on the input",
        ),
    ],
    "e7_2": [
        ("returns a constant", "    return 1.0\n", "2 of 5"),
        (
            "stops at the first mistake",
            "    order = np.argsort(-np.asarray(score))\n    right = np.asarray(right)[order]\n"
            "    count = 0\n    while count < len(right) and right[: count + 1].mean() >= target:\n"
            "        count += 1\n    return count / len(right)\n",
            "don't stop at the first failure",
        ),
        (
            "takes the rows as they come",
            "    right = np.asarray(right, dtype=float)\n"
            "    share = np.cumsum(right) / np.arange(1, len(right) + 1)\n"
            "    good = np.flatnonzero(share >= target)\n"
            "    return float(good.max() + 1) / len(right) if len(good) else 0.0\n",
            "wherever they stand",
        ),
        (
            "tears equal scores apart",
            "    right = np.asarray(right, dtype=float)[np.argsort(-np.asarray(score), kind='stable')]\n"
            "    share = np.cumsum(right) / np.arange(1, len(right) + 1)\n"
            "    good = np.flatnonzero(share >= target)\n"
            "    return float(good.max() + 1) / len(right) if len(good) else 0.0\n",
            "no threshold answers only one of two messages",
        ),
        (
            "fails where nothing keeps the promise",
            "    score, right = np.asarray(score), np.asarray(right)\n"
            "    return max(float((score >= t).mean()) for t in score if right[score >= t].mean() >= target)\n",
            "your code stopped with ValueError",
        ),
        (
            "returns the accuracy",
            "    score, right = np.asarray(score), np.asarray(right)\n"
            "    return max([float(right[score >= t].mean()) for t in score], default=0.0)\n",
            "2 of 5",
        ),
        (
            "sorts its input",
            "    score, right = np.asarray(score), np.asarray(right)\n"
            "    found = [float((score >= t).mean()) for t in score if right[score >= t].mean() >= target]\n"
            "    score.sort()\n    return max(found, default=0.0)\n",
            "sort a copy",
        ),
    ],
    "e7_4": [
        ("returns a constant", "    return ['neutral'] * len(positive)\n", "near 1 is pos"),
        (
            "exchanges the ends",
            "    return ['neg' if p >= high else 'pos' if p <= low else 'neutral' for p in positive]\n",
            "near 1 is pos, near 0 is neg",
        ),
        (
            "knows only its own band",
            "    return ['pos' if p >= 0.6 else 'neg' if p <= 0.4 else 'neutral' for p in positive]\n",
            "use low and high",
        ),
        (
            "gives the borders to neutral",
            "    return ['pos' if p > high else 'neg' if p < low else 'neutral' for p in positive]\n",
            "p equal to high is pos",
        ),
        (
            "returns a word for the mean",
            "    p = np.mean(positive)\n"
            "    return 'pos' if p >= high else 'neg' if p <= low else 'neutral'\n",
            "return a list, as long as the input",
        ),
    ],
    "e7_5": [
        ("returns a constant", "    return 2\n", "has one window, not none"),
        (
            "forgets [CLS] and [SEP]",
            "    return 1 + max(0, math.ceil((tokens - size) / (size - overlap)))\n",
            "take two of the 512 places",
        ),
        (
            "takes the overlap for the step",
            "    return 1 + max(0, math.ceil((tokens - (size - 2)) / max(overlap, 1)))\n",
            "the step is room - overlap",
        ),
        (
            "ignores the overlap",
            "    return max(1, math.ceil(tokens / (size - 2)))\n",
            "brings 446 new ones",
        ),
        (
            "counts a window for each step begun",
            "    return max(1, math.ceil(tokens / (size - 2 - overlap)))\n",
            "take two of the 512 places",
        ),
        (
            "knows only the sizes in the text",
            "    return 1 + max(0, math.ceil((tokens - 510) / 446))\n",
            "two windows of 510 each",
        ),
        (
            "rounds down",
            "    return 1 + max(0, (tokens - size + 2) // (size - 2 - overlap))\n",
            "round up",
        ),
    ],
}
