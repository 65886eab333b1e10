"""Right answers to the exercises of lesson 04, written another way than the solution: each must get all points."""

RIGHT = {
    "e4_1": [
        (
            "pairs without nan",
            "    pairs = [(loss, rate) for rate, loss in zip(rates, losses) if not math.isnan(loss)]\n"
            "    loss, rate = min(pairs)\n"
            "    if loss == losses[-1]:\n        raise ValueError('too short')\n"
            "    return rate * 0.1\n",
        ),
    ],
    "e4_2": [
        (
            "loops",
            "    rows, columns, best = len(scores), len(scores[0]), None\n"
            "    for i in range(rows):\n        for j in range(columns):\n"
            "            cells = [scores[i][j]]\n"
            "            cells += [scores[a][j] for a in (i - 1, i + 1) if 0 <= a < rows]\n"
            "            cells += [scores[i][b] for b in (j - 1, j + 1) if 0 <= b < columns]\n"
            "            mean = sum(cells) / len(cells)\n"
            "            if best is None or mean > best[0]:\n                best = mean, i, j\n"
            "    return best[1:]\n",
        ),
    ],
    "e4_3": [
        (
            "by the standard error",
            "    rows = (1.96 * math.sqrt(disagreement) / difference) ** 2\n"
            "    return int(rows) + (rows > int(rows))\n",
        ),
    ],
    "e4_4": [
        (
            "a count of batches",
            "    steps = len(range(0, rows, batch_size)) * epochs\n"
            "    if not warmup_steps:\n        return 1\n"
            "    return min(steps - 1, warmup_steps) / warmup_steps\n",
        ),
    ],
    "e4_5": [
        (
            "pandas",
            "    import pandas as pd\n\n"
            "    means = pd.DataFrame(runs).groupby('setting')[['validation', 'test']].mean()\n"
            "    best = means['validation'].idxmax()\n    return best, means.loc[best, 'test']\n",
        ),
        (
            "one pass over the runs",
            "    scores = {}\n"
            "    for run in runs:\n        scores.setdefault(run['setting'], []).append(run)\n"
            "    best = max(scores, key=lambda s: np.mean([r['validation'] for r in scores[s]]))\n"
            "    return best, float(np.mean([r['test'] for r in scores[best]]))\n",
        ),
    ],
}
