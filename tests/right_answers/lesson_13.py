"""Right answers to the exercises of lesson 13, written another way than the solution: each must get all points."""

RIGHT = {
    "e13_1": [
        (
            "steps, from one upwards",
            "    share, rest = divmod(effective, workers)\n"
            "    if rest or share == 0:\n        return None\n"
            "    for steps in range(1, share + 1):\n"
            "        if share % steps == 0 and share // steps <= most:\n            return share // steps, steps\n",
        ),
    ],
    "e13_2": [
        (
            "one list of all that was met",
            "    met = sum(map(list, seen), [])\n"
            "    return sorted(row for row in set(rows) if row not in met), sorted({r for r in met if met.count(r) > 1})\n",
        ),
    ],
    "e13_3": [
        (
            "a power",
            "    return (7200 * save * hours / machines) ** 0.5\n",
        ),
    ],
}
