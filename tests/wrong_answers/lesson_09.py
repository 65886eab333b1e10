"""Plausible wrong answers to the exercises of lesson 09, and a part of the message each must get."""

WRONG = {
    "e9_1": [
        ("a constant", "    return [(0, 0), (1, 2), (3, 3)][:k]\n", "not from memory"),
        (
            "keeps overlapping spans",
            "    total = np.asarray(total, dtype=float)\n"
            "    places = [p for p in np.argsort(-total, axis=None) if total.flat[p] > -np.inf]\n"
            "    return [np.unravel_index(p, total.shape) for p in places[:k]]\n",
            "leave them out",
        ),
        (
            "takes what isn't allowed",
            "    total, found = np.asarray(total, dtype=float), []\n"
            "    for place in np.argsort(-total, axis=None):\n"
            "        i, j = np.unravel_index(place, total.shape)\n"
            "        if all(max(i, j) < min(a, b) or min(i, j) > max(a, b) for a, b in found):\n"
            "            found.append((i, j))\n"
            "    return (found + [(0, 0)] * k)[:k]\n",
            "stop at -inf",
        ),
        (
            "lets no answer begin right behind another",
            "    total, found = np.asarray(total, dtype=float), []\n"
            "    for place in np.argsort(-total, axis=None):\n"
            "        i, j = np.unravel_index(place, total.shape)\n"
            "        if total[i, j] > -np.inf and all(j < a - 1 or i > b + 1 for a, b in found):\n"
            "            found.append((i, j))\n"
            "    return found[:k]\n",
            "(0, 1) and (2, 2) share no piece",
        ),
        (
            "spoils the table",
            "    total, found = np.asarray(total), []\n"
            "    while len(found) < k and total.max() > -np.inf:\n"
            "        i, j = np.unravel_index(total.argmax(), total.shape)\n"
            "        found.append((i, j))\n"
            "        total[: j + 1, i:] = -np.inf\n"
            "    return found\n",
            "work on a copy",
        ),
        (
            "overlooks a span around one that it kept",
            "    total, found = np.asarray(total, dtype=float), []\n"
            "    for place in np.argsort(-total, axis=None, kind='stable'):\n"
            "        i, j = np.unravel_index(place, total.shape)\n"
            "        if len(found) < k and total[i, j] > -np.inf and not any(a <= i <= b or a <= j <= b for a, b in found):\n"
            "            found.append((i, j))\n"
            "    return found\n",
            "two spans are apart only if",
        ),
    ],
    "e9_2": [
        ("a constant", "    return 12288, 1 / 12\n", "not 2 x rank x outputs"),
        (
            "counts both matrices as square",
            "    trained = sum(2 * rank * outputs for outputs, inputs in shapes)\n"
            "    return trained, trained / sum(o * i for o, i in shapes)\n",
            "not 2 x rank x outputs",
        ),
        (
            "a mean of shares",
            "    shares = [rank * (o + i) / (o * i) for o, i in shapes]\n"
            "    return sum(rank * (o + i) for o, i in shapes), sum(shares) / len(shares)\n",
            "counts small matrices too much",
        ),
        (
            "B alone",
            "    trained = sum(rank * outputs for outputs, inputs in shapes)\n"
            "    return trained, trained / sum(o * i for o, i in shapes)\n",
            "A and B have 16 x 384 weights each",
        ),
    ],
    "e9_3": [
        ("a constant", "    return 5.0\n", "nobody is silent"),
        (
            "counts wrong answers alone",
            "    scores, right = np.asarray(scores, float), np.asarray(right, bool)\n"
            "    return min([np.inf, *sorted(scores, reverse=True)],\n"
            "               key=lambda t: (scores[~right] >= t).sum())\n",
            "nobody is silent",
        ),
        (
            "never thinks of never speaking",
            "    scores, right = np.asarray(scores, float), np.asarray(right, bool)\n"
            "    return min(sorted(scores, reverse=True), key=lambda t: wrong_cost\n"
            "               * (scores[~right] >= t).sum() + silence_cost * (scores < t).sum())\n",
            "infinity is a threshold too",
        ),
        (
            "the lowest of equally cheap ones",
            "    scores, right = np.asarray(scores, float), np.asarray(right, bool)\n"
            "    return min([*sorted(scores), np.inf], key=lambda t: wrong_cost\n"
            "               * (scores[~right] >= t).sum() + silence_cost * (scores < t).sum())\n",
            "replace the best only where the cost is lower",
        ),
        (
            "sorts what it is given",
            "    order = np.argsort(-np.asarray(scores, float), kind='stable')\n"
            "    s, r = np.asarray(scores, float)[order], np.asarray(right, bool)[order]\n"
            "    costs = [silence_cost * len(s)] + [wrong_cost * (~r[s >= t]).sum()\n"
            "                                       + silence_cost * (s < t).sum() for t in s]\n"
            "    if isinstance(scores, np.ndarray):\n"
            "        scores.sort()\n"
            "    return [np.inf, *s][int(np.argmin(costs))]\n",
            "work on copies",
        ),
    ],
}
