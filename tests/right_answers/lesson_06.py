"""Right answers to the exercises of lesson 06, written another way than the solution: each must get all points."""

RIGHT = {
    "e6_1": [
        (
            "by precision and recall",
            "    if tp == 0:\n        return 0.0\n"
            "    p, r = tp / (tp + fp), tp / (tp + fn)\n"
            "    return (1 + beta**2) * p * r / (beta**2 * p + r)\n",
        ),
    ],
    "e6_2": [
        (
            "loops",
            "    best = None\n"
            "    for t in sorted(candidates, reverse=True):\n"
            "        cost = 0\n"
            "        for p, y in zip(probability, truth):\n"
            "            cost += miss_cost if y == 1 and p < t else alarm_cost if y == 0 and p >= t else 0\n"
            "        if best is None or cost < best[0]:\n            best = cost, t\n"
            "    return best[1]\n",
        ),
    ],
    "e6_3": [
        (
            "by the odds",
            "    if false_positive_rate == 0:\n        return 1.0\n"
            "    odds = prevalence / (1 - prevalence) * recall / false_positive_rate\n"
            "    return odds / (1 + odds)\n",
        ),
    ],
    "e6_4": [
        (
            "a difference of tensors",
            "    return bias - torch.tensor([0.0, math.log(threshold / (1 - threshold))])\n",
        ),
        (
            "a new tensor from two numbers",
            "    one = float(bias[1]) - math.log(threshold) + math.log(1 - threshold)\n"
            "    return torch.tensor([float(bias[0]), one])\n",
        ),
    ],
}
