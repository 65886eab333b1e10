"""Plausible wrong answers to the exercises of lesson 13, and a part of the message each must get."""

WRONG = {
    "e13_1": [
        ("returns a constant", "    return (8, 4)\n", "never more rows than the worker's share"),
        (
            "forgets the workers",
            "    rows = min(most, effective)\n    return (rows, effective // rows)\n",
            "each worker's share is 32 rows",
        ),
        (
            "rounds the steps",
            "    if effective % workers:\n        return None\n    each = effective // workers\n"
            "    rows = min(most, each)\n    return (rows, max(1, each // rows))\n",
            "rows must divide the share exactly",
        ),
        (
            "rounds the share",
            "    each = effective // workers\n"
            "    rows = next((r for r in range(min(most, each), 0, -1) if each % r == 0), None)\n"
            "    return rows and (rows, each // rows)\n",
            "return None where the share is no whole number",
        ),
        (
            "gives the pair the wrong way round",
            "    each = effective // workers\n"
            "    rows = next((r for r in range(min(most, each), 0, -1) if each % r == 0), 1)\n"
            "    return None if effective % workers else (each // rows, rows)\n",
            "in steps of 8",
        ),
    ],
    "e13_2": [
        ("returns a constant", "    return [], []\n", "compare with rows, and sort"),
        (
            "audits the first worker alone",
            "    times = Counter(seen[0])\n"
            "    return sorted(set(rows) - set(times)), sorted(r for r, n in times.items() if n > 1)\n",
            "nothing is missing",
        ),
        (
            "counts a row once a worker",
            "    times = Counter(row for worker in seen for row in set(worker))\n"
            "    return sorted(set(rows) - set(times)), sorted(r for r, n in times.items() if n > 1)\n",
            "a worker may meet a row twice itself",
        ),
        (
            "counts inside each worker",
            "    met = {row for worker in seen for row in worker}\n"
            "    twice = {row for worker in seen for row in worker if list(worker).count(row) > 1}\n"
            "    return sorted(set(rows) - met), sorted(twice)\n",
            "count over all workers together",
        ),
        (
            "sorts neither list",
            "    times = Counter(row for worker in seen for row in worker)\n"
            "    return list(set(rows) - set(times)), [r for r, n in times.items() if n > 1]\n",
            "sorted(...) both",
        ),
        (
            "empties what it was given",
            "    times = Counter()\n    for worker in seen:\n        while worker:\n"
            "            times[worker.pop()] += 1\n"
            "    return [r for r in rows if r not in times], [r for r, n in times.items() if n > 1]\n",
            "compare with rows, and sort",
        ),
    ],
    "e13_3": [
        ("returns a constant", "    return 120\n", "with more machines failures come sooner"),
        (
            "forgets the machines",
            "    return math.sqrt(2 * save * hours * 3600)\n",
            "with more machines failures come sooner",
        ),
        (
            "computes in hours",
            "    return math.sqrt(2 * save * hours / machines)\n",
            "hours are 3600 seconds",
        ),
        (
            "takes no root",
            "    return 2 * save * hours * 3600 / machines\n",
            "the root of",
        ),
        (
            "thinks that more machines are safer",
            "    return math.sqrt(2 * save * hours * 3600 * machines)\n",
            "with more machines failures come sooner",
        ),
    ],
}
