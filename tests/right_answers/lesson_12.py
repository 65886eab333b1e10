"""Right answers to the exercises of lesson 12, written another way than the solution: each must get all points."""

RIGHT = {
    "e12_1": [
        (
            "counts the passes that end in time",
            "    passes = 0\n"
            "    while (passes + 1) * pass_seconds <= patience * (1 + 1e-9):\n        passes += 1\n"
            "    return batch * (passes - 1) if passes else 0\n",
        ),
    ],
    "e12_2": [
        (
            "case by case, waits in a list",
            "    waits = [0.5, 1.0, 2.0, 4.0]\n"
            "    if attempt >= len(waits) or status not in {None, 429, 502, 503, 504}:\n        return None\n"
            "    if retry_after is None or retry_after < waits[attempt]:\n        return waits[attempt]\n"
            "    return float(retry_after)\n",
        ),
    ],
    "e12_3": [
        (
            "looks back from each day",
            "    for day in range(days, len(counts) + 1):\n"
            "        if all(count >= limit for count in counts[day - days : day]):\n            return day\n"
            "    return None\n",
        ),
    ],
}
