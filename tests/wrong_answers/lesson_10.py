"""Plausible wrong answers to the exercises of lesson 10, and a part of the message each must get."""

WRONG = {
    "e10_1": [
        ("returns a constant", "    return []\n", "compare in small letters"),
        (
            "counts rows instead of spellings",
            "    found = {}\n    for label in labels:\n"
            '        key = label.replace("-", " ").replace("_", " ").strip().casefold()\n'
            "        found.setdefault(key, []).append(label)\n"
            "    return sorted(sorted(s) for s in found.values() if len(s) > 1)\n",
            "collect sets",
        ),
        (
            "forgets the marks",
            "    found = {}\n    for label in labels:\n"
            "        found.setdefault(label.strip().casefold(), set()).add(label)\n"
            "    return sorted(sorted(s) for s in found.values() if len(s) > 1)\n",
            "replace - and _ by a space",
        ),
        (
            "returns the keys instead of what was written",
            "    found = {}\n    for label in labels:\n"
            '        key = label.replace("-", " ").replace("_", " ").strip().casefold()\n'
            "        found.setdefault(key, set()).add(label)\n"
            "    return sorted([k] * len(s) for k, s in found.items() if len(s) > 1)\n",
            "return the labels as they were written",
        ),
        (
            "sorts the list that it was given",
            "    labels.sort()\n    found = {}\n    for label in labels:\n"
            '        key = label.replace("-", " ").replace("_", " ").strip().casefold()\n'
            "        found.setdefault(key, set()).add(label)\n"
            "    return sorted(sorted(s) for s in found.values() if len(s) > 1)\n",
            "don't sort or change labels itself",
        ),
    ],
    "e10_2": [
        ("looks up the visible rows", "    return [3, 0][:count]\n", "look at every row"),
        (
            "sorts the wrong way",
            "    p, y = np.asarray(probabilities, dtype=float), np.asarray(labels)\n"
            "    given = p[np.arange(len(y)), y]\n"
            '    order = np.argsort(given, kind="stable")[::-1]\n'
            "    return [int(i) for i in order if p[i].argmax() != y[i]][:count]\n",
            "lowest first",
        ),
        (
            "sorts by how sure the model is",
            "    p, y = np.asarray(probabilities, dtype=float), np.asarray(labels)\n"
            '    order = np.argsort(-p.max(axis=1), kind="stable")\n'
            "    return [int(i) for i in order if p[i].argmax() != y[i]][:count]\n",
            "not the largest",
        ),
        (
            "keeps rows that agree",
            "    p, y = np.asarray(probabilities, dtype=float), np.asarray(labels)\n"
            "    given = p[np.arange(len(y)), y]\n"
            '    return np.argsort(given, kind="stable")[:count].tolist()\n',
            "leave out rows whose label is the most probable one",
        ),
        (
            "cuts before it filters",
            "    p, y = np.asarray(probabilities, dtype=float), np.asarray(labels)\n"
            "    given = p[np.arange(len(y)), y]\n"
            '    order = np.argsort(given, kind="stable")[: 2 * count // 2]\n'
            "    return [int(i) for i in order[:1] if p[i].argmax() != y[i]]\n",
            "drop rows that agree",
        ),
    ],
    "e10_3": [
        ("returns a constant", "    return 1600\n", "from the points that you were given"),
        (
            "draws a straight line",
            "    (n1, e1), (n2, e2) = sorted([first, second])\n    if e2 >= e1:\n        return None\n"
            "    return math.ceil(n2 + (e2 - target) * (n2 - n1) / (e1 - e2))\n",
            "not a straight line",
        ),
        (
            "takes the points in the order given",
            "    (n1, e1), (n2, e2) = first, second\n    if e2 >= e1:\n        return None\n"
            "    b = math.log(e1 / e2) / math.log(n2 / n1)\n"
            "    return math.ceil(n2 * (e2 / target) ** (1 / b) - 1e-9)\n",
            "sort the points",
        ),
        (
            "forgets the flat curve",
            "    (n1, e1), (n2, e2) = sorted([first, second])\n"
            "    b = math.log(e1 / e2) / math.log(n2 / n1) or 1e-3\n"
            "    return math.ceil(min(n2 * (e2 / target) ** (1 / b), 1e12) - 1e-9)\n",
            "return None where more labels did not lower the error",
        ),
        (
            "returns a float",
            "    (n1, e1), (n2, e2) = sorted([first, second])\n    if e2 >= e1:\n        return None\n"
            "    b = math.log(e1 / e2) / math.log(n2 / n1)\n"
            "    return float(math.ceil(n2 * (e2 / target) ** (1 / b) - 1e-9))\n",
            "gives Python's own int",
        ),
    ],
}
