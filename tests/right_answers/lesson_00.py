"""Right answers to the exercises of lesson 00, written another way than the solution: each must get all points."""

RIGHT = {
    "e0_1": [
        (
            "a list and its index",
            "    words = [answer['token_str'].lower() for answer in answers]\n"
            "    return words.index(word.lower()) + 1 if word.lower() in words else None\n",
        ),
    ],
    "e0_2": [
        (
            "a loop, row by row",
            "    best, found = -1, None\n"
            "    for row, (line, right) in enumerate(zip(logits, truth)):\n"
            "        line = np.asarray(line, dtype=float)\n"
            "        sure = 1 / np.exp(line - line.max()).sum()\n"
            "        if line.argmax() != right and sure > best:\n"
            "            best, found = sure, row\n"
            "    return found\n",
        ),
    ],
    "e0_3": [
        (
            "a dictionary and a sort",
            "    times = {}\n"
            "    for pair in zip(true, predicted):\n"
            "        if pair[0] != pair[1]:\n"
            "            times[pair] = times.get(pair, 0) + 1\n"
            "    ordered = sorted(times.items(), key=lambda item: (-item[1], item[0]))\n"
            "    return ordered[0] if ordered else (None, 0)\n",
        ),
    ],
}
