"""Right answers to the appendix on machines, written another way than the solution: each must get all points."""

RIGHT = {
    "e0_7": [
        (
            "by tokens a minute",
            "    per_minute = forward_tokens_per_second / 3 * 60\n"
            "    return texts / per_minute * tokens_per_text * epochs\n",
        ),
    ],
}
