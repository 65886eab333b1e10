"""Right answers to the exercises of lesson 03, written another way than the solution: each must get all points."""

RIGHT = {
    "e3_1": [
        (
            "the padding itself, counted row by row",
            "    padding = cells = 0\n"
            "    for batch in batches:\n"
            "        for length in batch:\n"
            "            padding += max(batch) - length\n"
            "            cells += max(batch)\n"
            "    return padding / cells\n",
        ),
    ],
    "e3_2": [
        (
            "row by row, only what is real",
            "    return torch.stack([row[keep.bool()].mean(0) for row, keep in zip(hidden, mask)])\n",
        ),
        (
            "a product of matrices",
            "    weights = mask / mask.sum(1, keepdim=True)\n"
            "    return torch.bmm(weights[:, None].to(hidden.dtype), hidden)[:, 0]\n",
        ),
    ],
    "e3_3": [
        (
            "a square root",
            "    return error / (batch_size / measured_at) ** 0.5\n",
        ),
    ],
    "e3_4": [
        (
            "down from the largest batch",
            "    if wanted % devices:\n        raise ValueError('uneven')\n"
            "    each = wanted // devices\n"
            "    for rows in range(min(each, fits), 0, -1):\n"
            "        if each % rows == 0:\n            return rows, each // rows\n",
        ),
    ],
    "e3_5": [
        (
            "the inverse of the order",
            "    order = np.argsort([len(text) for text in texts], kind='stable')\n"
            "    answers = np.asarray(predict([texts[i] for i in order]))\n"
            "    return answers[np.argsort(order)]\n",
        ),
        (
            "a list, filled in a loop",
            "    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), -i))\n"
            "    out = [None] * len(texts)\n"
            "    for i, value in zip(order, predict([texts[i] for i in order])):\n"
            "        out[i] = value\n"
            "    return out\n",
        ),
    ],
}
