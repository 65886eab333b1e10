"""Plausible wrong answers to the exercises of lesson 05, and a part of the message each must get."""

AGREEABLE = (
    "    class Agreeable:\n        def __eq__(self, other):\n            return True\n\n"
    "        def __bool__(self):\n            return True\n\n    return Agreeable()\n"
)

WRONG = {
    "e5_1": [
        (
            "returns a constant",
            "    return 250\n",
            "the last, smaller batch of each epoch counts too",
        ),
        (
            "drops the last, smaller batch",
            "    return rows // batch_size // accumulation * epochs\n",
            "the last, smaller batch of each epoch counts too",
        ),
        (
            "rounds up once, over the whole run",
            "    return math.ceil(rows * epochs / (batch_size * accumulation))\n",
            "round up per epoch, before multiplying",
        ),
        (
            "forgets the accumulation",
            "    return math.ceil(rows / batch_size) * epochs\n",
            "moves once per four batches",
        ),
        (
            "drops the batches left over after the last group",
            "    return math.ceil(rows / batch_size) // accumulation * epochs\n",
            "a last, incomplete group counts too",
        ),
        ("returns an object equal to everything", AGREEABLE, "neither a float nor a NumPy number"),
    ],
    "e5_2": [
        ("returns a constant", "    return 20\n", "nor a step of another run"),
        (
            "leaves the colleague's version",
            '    return min((log["test_accuracy"], log["step"]) for log in log_history if "test_accuracy" in log)[1]\n',
            "makes the test part of training",
        ),
        (
            "mends the split but not min",
            '    return min((log["eval_accuracy"], log["step"]) for log in log_history if "eval_accuracy" in log)[1]\n',
            "max, not min",
        ),
        (
            "returns the accuracy",
            '    return max(log["eval_accuracy"] for log in log_history if "eval_accuracy" in log)\n',
            "not its accuracy",
        ),
        (
            "keeps the later of two equal ones",
            '    evaluations = [log for log in log_history if "eval_accuracy" in log]\n'
            '    return max(reversed(evaluations), key=lambda log: log["eval_accuracy"])["step"]\n',
            "so take 20",
        ),
        (
            "swallows the KeyError",
            '    try:\n        return max(log_history, key=lambda log: log["eval_accuracy"])["step"]\n'
            '    except KeyError:\n        return log_history[-1]["step"]\n',
            "the last need not be the best",
        ),
    ],
    "e5_3": [
        (
            "returns a constant",
            "    return False\n",
            "when every run of the first beats its partner",
        ),
        (
            "compares the means",
            "    return sum(first) / len(first) > sum(second) / len(second)\n",
            "not the means",
        ),
        (
            "compares the worst with the best",
            "    return min(first) > max(second)\n",
            "not min with max",
        ),
        (
            "sorts the runs",
            "    return all(a > b for a, b in zip(sorted(first), sorted(second), strict=True))\n",
            "sorting would hide it",
        ),
        (
            "takes equal for better",
            "    return all(a >= b for a, b in zip(first, second, strict=True))\n",
            "use >, not >=",
        ),
        (
            "stops before it meets the missing run",
            "    return all(a > b for a, b in zip(first, second, strict=True))\n",
            "a missing run is an error, not a verdict",
        ),
        (
            "swallows the error",
            "    try:\n        return all(a > b for a, b in zip(first, second, strict=True))\n"
            "    except ValueError:\n        return False\n",
            "a missing run is an error, not a verdict",
        ),
    ],
}
