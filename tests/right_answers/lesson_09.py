"""Right answers to the exercises of lesson 09, written another way than the solution: each must get all points."""

RIGHT = {
    "e9_1": [
        (
            "the spans alone, and sets of pieces",
            "    n = len(total)\n"
            "    spans = [(total[i][j], i, j) for i in range(n) for j in range(i, n) if total[i][j] > -np.inf]\n"
            "    found, taken = [], set()\n"
            "    for _, i, j in sorted(spans, key=lambda span: -span[0]):\n"
            "        if len(found) < k and not taken & set(range(i, j + 1)):\n"
            "            found.append((i, j))\n            taken |= set(range(i, j + 1))\n"
            "    return found\n",
        ),
        (
            "the largest again and again, on a copy",
            "    total, found = np.array(total, dtype=float), []\n"
            "    while len(found) < k and total.max() > -np.inf:\n"
            "        i, j = np.unravel_index(total.argmax(), total.shape)\n"
            "        found.append((int(i), int(j)))\n"
            "        total[: j + 1, i:] = -np.inf\n"
            "    return found\n",
        ),
    ],
    "e9_2": [
        (
            "two sums in a loop",
            "    trained = whole = 0\n"
            "    for rows, columns in shapes:\n"
            "        trained += rows * rank + rank * columns\n        whole += rows * columns\n"
            "    return [trained, trained / whole]\n",
        ),
    ],
    "e9_3": [
        (
            "the cost of every threshold, infinity first",
            "    def cost(t):\n"
            "        total = 0\n"
            "        for s, r in zip(scores, right):\n"
            "            total += silence_cost if s < t else 0 if r else wrong_cost\n"
            "        return total\n\n"
            "    return min([float('inf'), *sorted(map(float, scores), reverse=True)], key=cost)\n",
        ),
    ],
}
