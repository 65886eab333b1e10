"""Plausible wrong answers to the exercises of lesson 00, and a part of the message each must get."""

WRONG = {
    "e0_1": [
        (
            "counts from 0",
            "    words = [answer['token_str'] for answer in answers]\n"
            "    return words.index(word.lower()) if word.lower() in words else None\n",
            "a rank that starts at 1",
        ),
        (
            "returns the probability",
            "    for answer in answers:\n        if answer['token_str'] == word.lower():\n            return answer['score']\n",
            "not the probability",
        ),
        (
            "compares capitals with small letters",
            "    for rank, answer in enumerate(answers, start=1):\n        if answer['token_str'] == word:\n"
            "            return rank\n",
            "compare in small letters",
        ),
        (
            "stops where the word is missing",
            "    return [answer['token_str'] for answer in answers].index(word.lower()) + 1\n",
            "your code stopped with ValueError",
        ),
        (
            "returns 0 for a missing word",
            "    for rank, answer in enumerate(answers, start=1):\n        if answer['token_str'] == word.lower():\n"
            "            return rank\n    return 0\n",
            "return None",
        ),
        (
            "leaves the loop at the first answer",
            "    for rank, answer in enumerate(answers, start=1):\n"
            "        return rank if answer['token_str'] == word.lower() else None\n",
            "the place in the list",
        ),
    ],
    "e0_2": [
        (
            "compares logits instead of probabilities",
            "    logits, truth = np.asarray(logits), np.asarray(truth)\n"
            "    wrong = np.flatnonzero(logits.argmax(1) != truth)\n"
            "    return int(wrong[logits.max(1)[wrong].argmax()]) if len(wrong) else None\n",
            "hardly sure",
        ),
        (
            "returns the first mistake",
            "    wrong = np.flatnonzero(np.asarray(logits).argmax(1) != np.asarray(truth))\n"
            "    return int(wrong[0]) if len(wrong) else None\n",
            "not the first",
        ),
        (
            "stops where all is right",
            "    powers = np.exp(np.asarray(logits, float))\n"
            "    sure = (powers / powers.sum(1, keepdims=True)).max(1)\n"
            "    wrong = np.flatnonzero(powers.argmax(1) != np.asarray(truth))\n"
            "    return int(wrong[sure[wrong].argmax()])\n",
            "your code stopped with ValueError",
        ),
        (
            "looks at right answers too",
            "    powers = np.exp(np.asarray(logits, float))\n"
            "    return int((powers / powers.sum(1, keepdims=True)).max(1).argmax())\n",
            "the one row whose answer is wrong",
        ),
        (
            "softmax over the texts",
            "    powers = np.exp(np.asarray(logits, float))\n"
            "    sure = (powers / powers.sum(0)).max(1)\n"
            "    wrong = np.flatnonzero(powers.argmax(1) != np.asarray(truth))\n"
            "    return int(wrong[sure[wrong].argmax()]) if len(wrong) else None\n",
            "look at every row",
        ),
    ],
    "e0_3": [
        (
            "counts right answers too",
            "    from collections import Counter\n"
            "    pairs = Counter(zip(true, predicted))\n"
            "    pair = min(pairs, key=lambda pair: (-pairs[pair], pair))\n"
            "    return pair, pairs[pair]\n",
            "leave out the rows",
        ),
        (
            "takes 1 for 2 and 2 for 1 as one",
            "    from collections import Counter\n"
            "    pairs = Counter(tuple(sorted(p)) for p in zip(true, predicted) if p[0] != p[1])\n"
            "    pair = min(pairs, key=lambda pair: (-pairs[pair], pair))\n"
            "    return pair, pairs[pair]\n",
            "true first, predicted second",
        ),
        (
            "takes the first that was met",
            "    from collections import Counter\n"
            "    pairs = Counter(p for p in zip(true, predicted) if p[0] != p[1])\n"
            "    return pairs.most_common(1)[0] if pairs else (None, 0)\n",
            "take the smaller pair",
        ),
        (
            "stops without a mistake",
            "    from collections import Counter\n"
            "    pairs = Counter(p for p in zip(true, predicted) if p[0] != p[1])\n"
            "    pair = min(pairs, key=lambda pair: (-pairs[pair], pair))\n"
            "    return pair, pairs[pair]\n",
            "your code stopped with ValueError",
        ),
        (
            "predicted comes first",
            "    from collections import Counter\n"
            "    pairs = Counter((p, t) for t, p in zip(true, predicted) if t != p)\n"
            "    if not pairs:\n        return None, 0\n"
            "    pair = min(pairs, key=lambda pair: (-pairs[pair], pair))\n"
            "    return pair, pairs[pair]\n",
            "return the pair with its count",
        ),
    ],
}
