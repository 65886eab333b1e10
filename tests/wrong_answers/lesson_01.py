"""Plausible wrong answers to the exercises of lesson 01, and a part of the message each must get."""

WRONG = {
    "e1_1": [
        (
            "the colleague's version",
            "    weights = (q @ k.transpose(-1, -2)).softmax(-2)\n    return weights @ v\n",
            "the softmax runs over the wrong axis",
        ),
        (
            "leaves the mask out",
            "    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])\n    return scores.softmax(-1) @ v\n",
            "keys with mask 0 still get weight",
        ),
        (
            "sets the masked scores to 0",
            "    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) * mask\n    return scores.softmax(-1) @ v\n",
            "a score of 0 is not a weight of 0",
        ),
        (
            "masks the weights after the softmax",
            "    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])\n    return (scores.softmax(-1) * mask) @ v\n",
            "not the weights after it",
        ),
        (
            "forgets the scaling",
            "    scores = (q @ k.transpose(-1, -2)).masked_fill(mask == 0, -math.inf)\n    return scores.softmax(-1) @ v\n",
            "the scores are scaled differently",
        ),
        (
            "divides by the width, not by its square root",
            "    scores = q @ k.transpose(-1, -2) / q.shape[-1]\n"
            "    return scores.masked_fill(mask == 0, -math.inf).softmax(-1) @ v\n",
            "the square root of the width of a slice",
        ),
        (
            "divides by the root of the number of tokens",
            "    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-2])\n"
            "    return scores.masked_fill(mask == 0, -math.inf).softmax(-1) @ v\n",
            "the square root of the width of a slice",
        ),
        (
            "masks the queries in place of the keys",
            "    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])\n"
            "    return scores.masked_fill(mask[:, None] == 0, -1e9).softmax(-1) @ v\n",
            "keys with mask 0 still get weight",
        ),
    ],
    "e1_2": [
        (
            "thinks that a model reads from left to right",
            "    return {'a': (True, True), 'b': (False, False), 'c': (True, True), 'd': (True, False)}\n",
            "a block looks at those after it too",
        ),
        (
            "forgets the position",
            "    return {'a': (True, False), 'b': (True, False), 'c': (True, True), 'd': (True, False)}\n",
            "another place, another position embedding",
        ),
        (
            "thinks that padding is read",
            "    return {'a': (True, False), 'b': (False, False), 'c': (True, False), 'd': (True, False)}\n",
            "the attention mask hides the padding",
        ),
        (
            "thinks that the first vector knows the context",
            "    return {'a': (False, False), 'b': (False, False), 'c': (True, True), 'd': (False, False)}\n",
            "the first vector knows nothing else",
        ),
        (
            "thinks that a word keeps its vector",
            "    return {pair: (True, True) for pair in 'abcd'}\n",
            "the block then brings in the other word",
        ),
    ],
    "e1_3": [
        (
            "forgets the biases",
            "    norm = 2 * width\n"
            "    return (vocabulary + positions) * width + norm + layers * (4 * width**2 + 2 * width * inner + 2 * norm)\n",
            "every matrix of a layer has a bias",
        ),
        (
            "forgets the normalisation of the embeddings",
            "    layer = 4 * (width**2 + width) + 2 * width * inner + inner + width + 4 * width\n"
            "    return (vocabulary + positions) * width + layers * layer\n",
            "and one normalisation",
        ),
        (
            "gives every layer its own embeddings",
            "    layer = 4 * (width**2 + width) + 2 * width * inner + inner + width + 4 * width\n"
            "    return layers * ((vocabulary + positions) * width + 2 * width + layer)\n",
            "whatever the number of layers",
        ),
        (
            "three matrices in attention",
            "    layer = 3 * (width**2 + width) + 2 * width * inner + inner + width + 4 * width\n"
            "    return (vocabulary + positions) * width + 2 * width + layers * layer\n",
            "four matrices, not three",
        ),
        (
            "multiplies by the heads",
            "    layer = 12 * 4 * (width**2 + width) + 2 * width * inner + inner + width + 4 * width\n"
            "    return (vocabulary + positions) * width + 2 * width + layers * layer\n",
            "don't multiply by the number of heads",
        ),
        (
            "one normalisation in a layer",
            "    layer = 4 * (width**2 + width) + 2 * width * inner + inner + width + 2 * width\n"
            "    return (vocabulary + positions) * width + 2 * width + layers * layer\n",
            "two normalisations of 2 × width",
        ),
    ],
    "e1_4": [
        (
            "less time twice",
            "    saved = 100 * (1 - fast / slow)\n    return saved, saved\n",
            "faster compares speeds",
        ),
        (
            "faster twice",
            "    gain = 100 * (slow / fast - 1)\n    return gain, gain\n",
            "less time compares times",
        ),
        (
            "the wrong way round",
            "    return 100 * (1 - fast / slow), 100 * (slow / fast - 1)\n",
            "faster compares speeds",
        ),
        (
            "forgets to subtract 1",
            "    return 100 * slow / fast, 100 * (1 - fast / slow)\n",
            "not 200 and not 50",
        ),
        (
            "the time that is left",
            "    return 100 * (slow / fast - 1), 100 * fast / slow\n",
            "no difference is 0 %, not 100 %",
        ),
        (
            "shares in place of percentages",
            "    return slow / fast - 1, 1 - fast / slow\n",
            "100 * (slow / fast - 1)",
        ),
    ],
    "e1_5": [
        (
            "averages rows",
            "    return divmod(int(maps[:, :, place].mean(-1).argmax()), maps.shape[1])\n",
            "take the column",
        ),
        (
            "takes the maximum over those who look",
            "    return divmod(int(maps[:, :, :, place].amax(-1).argmax()), maps.shape[1])\n",
            "take the mean, not the maximum",
        ),
        (
            "returns the number of the cell",
            "    return int(maps[:, :, :, place].mean(-1).argmax())\n",
            "your code stopped with TypeError",
        ),
        (
            "divides by the number of blocks",
            "    return divmod(int(maps[:, :, :, place].mean(-1).argmax()), maps.shape[0])\n",
            "divide by the number of heads",
        ),
        (
            "returns the head first",
            "    return divmod(int(maps[:, :, :, place].mean(-1).argmax()), maps.shape[1])[::-1]\n",
            "return the block first",
        ),
        (
            "always looks at the last token",
            "    return divmod(int(maps[:, :, :, -1].mean(-1).argmax()), maps.shape[1])\n",
            "use the given place",
        ),
    ],
}
