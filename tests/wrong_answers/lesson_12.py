"""Plausible wrong answers to the exercises of lesson 12, and a part of the message each must get."""

WRONG = {
    "e12_1": [
        ("returns a constant", "    return 3\n", "each pass that is left takes up to batch texts"),
        (
            "forgets the running pass",
            "    return math.floor(patience / pass_seconds + 1e-9) * batch\n",
            "four passes fit, three are left",
        ),
        (
            "counts passes, not texts",
            "    return max(0, math.floor(patience / pass_seconds + 1e-9) - 1)\n",
            "takes up to batch texts",
        ),
        (
            "rounds up",
            "    return max(0, math.ceil(patience / pass_seconds - 1e-9) - 1) * batch\n",
            "round down",
        ),
        (
            "gives a queue fewer than 0 places",
            "    return (math.floor(patience / pass_seconds + 1e-9) - 1) * batch\n",
            "fewer than 0 places",
        ),
        (
            "trusts floating point",
            "    return max(0, int(patience / pass_seconds) - 1) * batch\n",
            "a hair below 3",
        ),
        (
            "returns a float",
            "    return max(0.0, patience // pass_seconds - 1) * batch\n",
            "return Python's own int",
        ),
    ],
    "e12_2": [
        ("returns a constant", "    return 0.5\n", "doesn't ease off"),
        (
            "tries everything again",
            "    return None if attempt >= 4 else max(0.5 * 2**attempt, retry_after or 0)\n",
            "however often it is sent",
        ),
        (
            "asks again only where a status came",
            "    if status not in (429, 502, 503, 504) or attempt >= 4:\n        return None\n"
            "    return max(0.5 * 2**attempt, retry_after or 0)\n",
            "a crash sends no status",
        ),
        (
            "never gives up",
            "    if status not in (None, 429, 502, 503, 504):\n        return None\n"
            "    return max(0.5 * 2**attempt, retry_after or 0)\n",
            "attempt 4 is the fifth try",
        ),
        (
            "grows in a straight line",
            "    if status not in (None, 429, 502, 503, 504) or attempt >= 4:\n        return None\n"
            "    return max(0.5 * (attempt + 1), retry_after or 0)\n",
            "0.5, 1, 2, 4",
        ),
        (
            "ignores Retry-After",
            "    if status not in (None, 429, 502, 503, 504) or attempt >= 4:\n        return None\n"
            "    return 0.5 * 2**attempt\n",
            "before Retry-After is over",
        ),
        (
            "lets Retry-After shorten the wait",
            "    if status not in (None, 429, 502, 503, 504) or attempt >= 4:\n        return None\n"
            "    return retry_after or 0.5 * 2**attempt\n",
            "take the larger",
        ),
        (
            "looks the visible values up",
            "    return {0: 0.5, 1: 1, 2: 2, 3: 4}.get(attempt)\n",
            "before Retry-After is over",
        ),
    ],
    "e12_3": [
        ("returns a constant", "    return 5\n", "a day that isn't high starts the count anew"),
        (
            "counts high days, in a row or not",
            "    high = [day for day, count in enumerate(counts, start=1) if count >= limit]\n"
            "    return high[days - 1] if len(high) >= days else None\n",
            "a day that isn't high starts the count anew",
        ),
        (
            "takes the first high day",
            "    return next((d for d, c in enumerate(counts, start=1) if c >= limit), None)\n",
            "the second high day",
        ),
        (
            "counts days from 0",
            "    row = 0\n    for day, count in enumerate(counts):\n"
            "        row = row + 1 if count >= limit else 0\n        if row == days:\n"
            "            return day\n    return None\n",
            "counted from 1",
        ),
        (
            "wants more than the limit",
            "    row = 0\n    for day, count in enumerate(counts, start=1):\n"
            "        row = row + 1 if count > limit else 0\n        if row == days:\n"
            "            return day\n    return None\n",
            "at least: >=, not >",
        ),
        (
            "always waits for two",
            "    for day in range(2, len(counts) + 1):\n"
            "        if min(counts[day - 2 : day]) >= limit:\n            return day\n    return None\n",
            "use the argument days",
        ),
        (
            "returns 0 where it never happens",
            "    row = 0\n    for day, count in enumerate(counts, start=1):\n"
            "        row = row + 1 if count >= limit else 0\n        if row == days:\n"
            "            return day\n    return 0\n",
            "a day that isn't high starts the count anew",
        ),
    ],
}
