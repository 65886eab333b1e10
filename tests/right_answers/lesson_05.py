"""Right answers to the exercises of lesson 05, written another way than the solution: each must get all points."""

RIGHT = {
    "e5_1": [
        (
            "ranges counted",
            "    batches = len(range(0, rows, batch_size))\n"
            "    return epochs * len(range(0, batches, accumulation))\n",
        ),
    ],
    "e5_2": [
        (
            "a loop that keeps the best",
            "    best, step = -1, None\n"
            "    for log in log_history:\n"
            "        if log.get('eval_accuracy', -1) > best:\n"
            "            best, step = log['eval_accuracy'], log['step']\n"
            "    return step\n",
        ),
        (
            "a sort by accuracy, then by place",
            "    rows = [(-log['eval_accuracy'], place, log['step'])\n"
            "            for place, log in enumerate(log_history) if 'eval_accuracy' in log]\n"
            "    return sorted(rows)[0][2]\n",
        ),
    ],
    "e5_3": [
        (
            "NumPy, lengths compared first",
            "    if len(first) != len(second):\n        raise ValueError('a run is missing')\n"
            "    return bool((np.array(first) > np.array(second)).all())\n",
        ),
    ],
}
