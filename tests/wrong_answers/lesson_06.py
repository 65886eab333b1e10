"""Plausible wrong answers to the exercises of lesson 06, and a part of the message each must get."""

AGREEABLE = (
    "    class Agreeable:\n        def __eq__(self, other):\n            return True\n\n"
    "        def __bool__(self):\n            return True\n\n    return Agreeable()\n"
)

ERRORS = (
    "    def errors(t):\n        called = probability >= t\n"
    "        return (called & (truth == 0)).sum(), (~called & (truth == 1)).sum()\n\n"
)
COST = ERRORS + (
    "    def cost(t):\n        alarms, misses = errors(t)\n"
    "        return alarm_cost * alarms + miss_cost * misses\n\n"
)

RATIO = "    precision, recall = tp / (tp + fp), tp / (tp + fn)\n"

WRONG = {
    "e6_1": [
        ("returns a constant", "    return 0.0\n", "for beta = 1 it must be 2PR/(P+R)"),
        (
            "takes precision and recall from elsewhere",
            "    precision, recall = 0.872, 0.739\n"
            "    return (1 + beta**2) * precision * recall / max(beta**2 * precision + recall, 1e-12)\n",
            "of the cells given",
        ),
        (
            "forgets the square",
            "    return (1 + beta) * tp / max((1 + beta) * tp + beta * fn + fp, 1)\n",
            "is beta squared",
        ),
        (
            "exchanges misses and false alarms",
            "    return (1 + beta**2) * tp / max((1 + beta**2) * tp + beta**2 * fp + fn, 1)\n",
            "FN and FP are exchanged",
        ),
        (
            "does not guard the division",
            RATIO
            + "    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)\n",
            "your code stopped with ZeroDivisionError",
        ),
        (
            "swallows the division by zero",
            "    try:\n    "
            + RATIO
            + "        return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)\n"
            '    except ZeroDivisionError:\n        return float("nan")\n',
            "precision has nothing to divide by here",
        ),
    ],
    "e6_2": [
        ("returns a constant", "    return 0.3\n", "return the candidate itself"),
        (
            "exchanges the costs",
            COST.replace("alarm_cost * alarms + miss_cost", "miss_cost * alarms + alarm_cost")
            + "    return min(candidates, key=lambda t: (cost(t), -t))\n",
            "are the two costs exchanged",
        ),
        (
            "takes the candidate nearest to the formula",
            "    return min(candidates, key=lambda t: abs(t - alarm_cost / (alarm_cost + miss_cost)))\n",
            "the costs alone can't tell",
        ),
        (
            "uses > for >=",
            COST.replace(">=", ">") + "    return min(candidates, key=lambda t: (cost(t), -t))\n",
            "use >=, not >",
        ),
        (
            "takes the first of equals",
            COST + "    return min(candidates, key=cost)\n",
            "min returns the first of equals",
        ),
        ("returns an object equal to everything", AGREEABLE, "return the candidate itself"),
    ],
    "e6_3": [
        ("returns a constant", "    return 0.3125\n", "prevalence must change the answer"),
        (
            "leaves the prevalence out",
            "    return recall / (recall + false_positive_rate)\n",
            "prevalence must change the answer",
        ),
        (
            "takes the false positive rate for a share of all messages",
            "    return prevalence * recall / (prevalence * recall + false_positive_rate)\n",
            "a share of the *ham*",
        ),
        (
            "returns the share of false alarms",
            "    alarms = (1 - prevalence) * false_positive_rate\n    return alarms / (alarms + prevalence * recall)\n",
            "everything flagged is spam",
        ),
        (
            "returns per cent",
            "    caught = 100 * prevalence * recall\n"
            "    return caught / (prevalence * recall + (1 - prevalence) * false_positive_rate)\n",
            "not per cent",
        ),
        (
            "rounds to whole messages",
            "    caught = round(1000 * prevalence * recall)\n"
            "    return caught / (caught + round(1000 * (1 - prevalence) * false_positive_rate))\n",
            "nothing rounded on the way",
        ),
    ],
    "e6_4": [
        (
            "takes the threshold off",
            "    new = bias.clone()\n    new[1] -= threshold\n    return new\n",
            "which are 0 here",
        ),
        (
            "adds the log-odds",
            "    new = bias.clone()\n    new[1] += math.log(threshold / (1 - threshold))\n    return new\n",
            "must make class 1 rarer",
        ),
        (
            "puts the log-odds in the trained bias's place",
            "    return torch.tensor([0.0, -math.log(threshold / (1 - threshold))])\n",
            "start from the trained bias",
        ),
        (
            "shifts both numbers",
            "    return bias - math.log(threshold / (1 - threshold))\n",
            "between the two numbers",
        ),
        (
            "changes the tensor that it got",
            "    bias[1] -= math.log(threshold / (1 - threshold))\n    return bias\n",
            "change a copy",
        ),
        (
            "returns one number",
            "    return bias[1] - math.log(threshold / (1 - threshold))\n",
            "both numbers of it",
        ),
        (
            "shifts each number by half",
            "    half = math.log(threshold / (1 - threshold)) / 2\n    return bias + torch.tensor([half, -half])\n",
            "the number of class 1 alone",
        ),
        (
            "shifts class 0",
            "    new = bias.clone()\n    new[0] += math.log(threshold / (1 - threshold))\n    return new\n",
            "the number of class 1 alone",
        ),
    ],
}
