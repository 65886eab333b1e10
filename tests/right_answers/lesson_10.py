"""Right answers to the exercises of lesson 10, written another way than the solution: each must get all points."""

RIGHT = {
    "e10_1": [
        (
            "over the set of labels, with a regular expression",
            "    import re\n\n"
            "    def key(label):\n        return re.sub('[-_]', ' ', label).strip().lower()\n\n"
            "    groups = [[s for s in sorted(set(labels)) if key(s) == k] for k in set(map(key, labels))]\n"
            "    return sorted(g for g in groups if len(g) > 1)\n",
        ),
    ],
    "e10_2": [
        (
            "a sort of row numbers",
            "    rows = [i for i, p in enumerate(probabilities) if max(p) > p[labels[i]]]\n"
            "    return sorted(rows, key=lambda i: probabilities[i][labels[i]])[:count]\n",
        ),
    ],
    "e10_3": [
        (
            "a straight line through the logarithms",
            "    import numpy as np\n\n"
            "    (n1, e1), (n2, e2) = sorted((first, second))\n"
            "    if e2 >= e1:\n        return None\n"
            "    slope = (np.log(n2) - np.log(n1)) / (np.log(e2) - np.log(e1))\n"
            "    return math.ceil(round(float(np.exp(np.log(n1) + slope * (np.log(target) - np.log(e1)))), 6))\n",
        ),
    ],
}
