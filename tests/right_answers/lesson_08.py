"""Right answers to the exercises of lesson 08, written another way than the solution: each must get all points."""

RIGHT = {
    "e8_1": [
        (
            "counts by kind, in a defaultdict",
            "    from collections import defaultdict\n\n"
            "    found, said, there = defaultdict(int), defaultdict(int), defaultdict(int)\n"
            "    for real, claims in zip(truth, claimed):\n"
            "        for entity in real:\n            there[entity[2]] += 1\n"
            "        for entity in claims:\n            said[entity[2]] += 1\n"
            "            found[entity[2]] += entity in real\n"
            "    out = defaultdict(tuple)\n"
            "    for kind in set(said) | set(there):\n"
            "        right = found[kind]\n"
            "        out[kind] = (right / said[kind] if said[kind] else 0.0, right / there[kind] if there[kind] else 0.0)\n"
            "    return out\n",
        ),
    ],
    "e8_2": [
        (
            "remembers the words that it has seen",
            "    out, seen = [], set()\n"
            "    for word in word_ids:\n"
            "        tag = None if word is None else tags[word]\n"
            "        if word in seen and tag.startswith('B-'):\n            tag = 'I-' + tag[2:]\n"
            "        if word is not None:\n            seen.add(word)\n"
            "        out.append(tag)\n    return out\n",
        ),
    ],
    "e8_3": [
        (
            "word by word, the deepest window",
            "    out = []\n"
            "    for word in range(length):\n"
            "        tags = [(min(word - start, start + len(t) - 1 - word), -place, t[word - start])\n"
            "                for place, (start, t) in enumerate(windows) if start <= word < start + len(t)]\n"
            "        out.append(max(tags)[2] if tags else 'O')\n    return out\n",
        ),
    ],
}
