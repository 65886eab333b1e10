"""Plausible wrong answers to the exercises of lesson 04, and a part of the message each must get."""

WRONG = {
    "e4_1": [
        (
            "takes the lowest point itself",
            "    best = int(np.nanargmin(losses))\n    if best == len(losses) - 1:\n        raise ValueError('too short')\n"
            "    return rates[best]\n",
            "take a tenth of that rate",
        ),
        (
            "returns the place",
            "    best = int(np.nanargmin(losses))\n    if best == len(losses) - 1:\n        raise ValueError('too short')\n"
            "    return best / 10\n",
            "return the rate, not its place",
        ),
        (
            "takes nan for the lowest",
            "    best = int(np.argmin(losses))\n    if best == len(losses) - 1:\n        raise ValueError('too short')\n"
            "    return rates[best] / 10\n",
            "your code stopped with ValueError: too short",
        ),
        (
            "takes nan for the lowest, without a test of the end",
            "    return rates[int(np.argmin(losses))] / 10\n",
            "np.argmin takes nan for the lowest",
        ),
        (
            "trusts a test that never broke",
            "    return rates[int(np.nanargmin(losses))] / 10\n",
            "at the last rate, raise a ValueError",
        ),
    ],
    "e4_2": [
        (
            "takes the single best cell",
            "    scores = np.asarray(scores)\n"
            "    return tuple(int(i) for i in np.unravel_index(scores.argmax(), scores.shape))\n",
            "you took the single best cell",
        ),
        (
            "counts the diagonal neighbours too",
            "    scores = np.asarray(scores, dtype=float)\n    padded = np.pad(scores, 1, constant_values=np.nan)\n"
            "    rows, columns = scores.shape\n"
            "    around = [padded[i:i + rows, j:j + columns] for i in range(3) for j in range(3)]\n"
            "    return tuple(int(i) for i in np.unravel_index(np.nanmean(around, axis=0).argmax(), scores.shape))\n",
            "not the diagonal ones",
        ),
        (
            "pads with zeros",
            "    scores = np.asarray(scores, dtype=float)\n    padded = np.pad(scores, 1)\n"
            "    around = [scores, padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]\n"
            "    return tuple(int(i) for i in np.unravel_index(np.mean(around, axis=0).argmax(), scores.shape))\n",
            "a mean, not a sum",
        ),
        (
            "lets the map wrap round",
            "    scores = np.asarray(scores, dtype=float)\n"
            "    around = [scores] + [np.roll(scores, shift, axis) for shift in (-1, 1) for axis in (0, 1)]\n"
            "    return tuple(int(i) for i in np.unravel_index(np.mean(around, axis=0).argmax(), scores.shape))\n",
            "takes the opposite border for a neighbour",
        ),
        (
            "returns one number",
            "    scores = np.asarray(scores, dtype=float)\n    padded = np.pad(scores, 1, constant_values=np.nan)\n"
            "    around = [scores, padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]\n"
            "    return int(np.nanmean(around, axis=0).argmax())\n",
            "your code stopped with TypeError",
        ),
    ],
    "e4_3": [
        (
            "takes the variance of whether the two differ",
            "    return math.ceil(1.96**2 * disagreement * (1 - disagreement) / difference**2)\n",
            "not of the difference",
        ),
        (
            "adds up two variances, as for different rows",
            "    return math.ceil(1.96**2 * 2 * disagreement / difference**2)\n",
            "nothing is doubled",
        ),
        (
            "forgets the square of 1.96",
            "    return math.ceil(1.96 * disagreement / difference**2)\n",
            "square the 1.96",
        ),
        (
            "forgets the square of the difference",
            "    return math.ceil(1.96**2 * disagreement / difference)\n",
            "1 / difference squared",
        ),
        (
            "leaves the disagreement out",
            "    return math.ceil(1.96**2 * 0.06 / difference**2)\n",
            "which must enter",
        ),
        (
            "rounds down",
            "    return int(1.96**2 * disagreement / difference**2)\n",
            "math.ceil rounds up",
        ),
    ],
    "e4_4": [
        (
            "divides by the number of steps, not the last step's number",
            "    steps = math.ceil(rows / batch_size) * epochs\n"
            "    return 1.0 if warmup_steps == 0 else min(1.0, steps / warmup_steps)\n",
            "so the last has number steps - 1",
        ),
        (
            "counts one epoch",
            "    steps = math.ceil(rows / batch_size)\n"
            "    return 1.0 if warmup_steps == 0 else min(1.0, (steps - 1) / warmup_steps)\n",
            "count the steps of all epochs",
        ),
        (
            "drops the last batch",
            "    steps = rows // batch_size * epochs\n"
            "    return 1.0 if warmup_steps == 0 else min(1.0, (steps - 1) / warmup_steps)\n",
            "round up to whole batches per epoch",
        ),
        (
            "goes above the whole rate",
            "    steps = math.ceil(rows / batch_size) * epochs\n"
            "    return 1.0 if warmup_steps == 0 else (steps - 1) / warmup_steps\n",
            "cap the share at 1",
        ),
        (
            "divides by zero",
            "    return min(1.0, (math.ceil(rows / batch_size) * epochs - 1) / warmup_steps)\n",
            "your code stopped with ZeroDivisionError",
        ),
    ],
    "e4_5": [
        (
            "takes the mean of all runs' test scores",
            "    means = {s: [r['validation'] for r in runs if r['setting'] == s] for s in {r['setting'] for r in runs}}\n"
            "    best = max(means, key=lambda s: sum(means[s]) / len(means[s]))\n"
            "    return best, sum(r['test'] for r in runs) / len(runs)\n",
            "0.83 the mean of all settings",
        ),
        (
            "the colleague's version",
            "    best = max(runs, key=lambda run: run['test'])\n    return best['setting'], best['test']\n",
            "choose by validation",
        ),
        (
            "chooses by the best single validation score",
            "    best = max(runs, key=lambda run: run['validation'])['setting']\n"
            "    tests = [run['test'] for run in runs if run['setting'] == best]\n    return best, sum(tests) / len(tests)\n",
            "by the mean over a setting's seeds",
        ),
        (
            "reports the best seed",
            "    def mean(setting):\n        scores = [r['validation'] for r in runs if r['setting'] == setting]\n"
            "        return sum(scores) / len(scores)\n\n"
            "    best = max({run['setting'] for run in runs}, key=mean)\n"
            "    return best, max(run['test'] for run in runs if run['setting'] == best)\n",
            "0.84 is the best seed's",
        ),
        (
            "reports the validation score",
            "    def mean(setting):\n        scores = [r['validation'] for r in runs if r['setting'] == setting]\n"
            "        return sum(scores) / len(scores)\n\n"
            "    best = max({run['setting'] for run in runs}, key=mean)\n    return best, mean(best)\n",
            "0.85 a validation score",
        ),
        (
            "adds up instead of averaging",
            "    def total(setting):\n        return sum(r['validation'] for r in runs if r['setting'] == setting)\n\n"
            "    best = max({run['setting'] for run in runs}, key=total)\n"
            "    tests = [run['test'] for run in runs if run['setting'] == best]\n    return best, sum(tests) / len(tests)\n",
            "a sum favours the setting with more runs",
        ),
        (
            "chooses by the worst seed",
            "    scores = {s: [r['validation'] for r in runs if r['setting'] == s] for s in {r['setting'] for r in runs}}\n"
            "    best = max(scores, key=lambda s: min(scores[s]))\n"
            "    tests = [run['test'] for run in runs if run['setting'] == best]\n    return best, sum(tests) / len(tests)\n",
            "add up a setting's scores and divide",
        ),
        (
            "chooses by the middle seed",
            "    scores = {s: [r['validation'] for r in runs if r['setting'] == s] for s in {r['setting'] for r in runs}}\n"
            "    best = max(scores, key=lambda s: np.median(scores[s]))\n"
            "    tests = [run['test'] for run in runs if run['setting'] == best]\n    return best, sum(tests) / len(tests)\n",
            "add up a setting's scores and divide",
        ),
    ],
}
