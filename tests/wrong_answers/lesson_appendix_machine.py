"""Plausible wrong answers to the exercises of the appendix on machines, and a part of the message each must get."""

WRONG = {
    "e0_7": [
        (
            "returns seconds",
            "    return 3 * texts * tokens_per_text * epochs / forward_tokens_per_second\n",
            "divide by 60",
        ),
        (
            "counts the forward pass only",
            "    return texts * tokens_per_text * epochs / forward_tokens_per_second / 60\n",
            "three times as long",
        ),
        (
            "forgets the epochs",
            "    return 3 * texts * tokens_per_text / forward_tokens_per_second / 60\n",
            "multiply by the number of epochs",
        ),
        (
            "multiplies by the speed",
            "    return 3 * texts * tokens_per_text * epochs * forward_tokens_per_second / 60\n",
            "divide the tokens by the tokens per second",
        ),
    ],
}
