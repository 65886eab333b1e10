"""Plausible wrong answers to the exercises of lesson 03, and a part of the message each must get."""

WRONG = {
    "e3_1": [
        (
            "returns the share in use",
            "    cells = sum(len(batch) * max(batch) for batch in batches)\n"
            "    return sum(sum(batch) for batch in batches) / cells\n",
            "the share in use",
        ),
        (
            "divides by the real tokens",
            "    real = sum(sum(batch) for batch in batches)\n"
            "    return sum(len(batch) * max(batch) for batch in batches) / real - 1\n",
            "divided by the real tokens",
        ),
        (
            "pads all batches to one length",
            "    longest = max(max(batch) for batch in batches)\n"
            "    rows = sum(len(batch) for batch in batches)\n"
            "    return 1 - sum(sum(batch) for batch in batches) / (rows * longest)\n",
            "the longest row of all",
        ),
        (
            "averages the batches' shares",
            "    return sum(1 - sum(b) / (len(b) * max(b)) for b in batches) / len(batches)\n",
            "averaged the batches' shares",
        ),
    ],
    "e3_2": [
        (
            "leaves the colleague's version",
            "    return hidden.mean(1)\n",
            "the padding is in your sum",
        ),
        (
            "divides by the padded length",
            "    return (hidden * mask.unsqueeze(-1)).mean(1)\n",
            "not by the padded length",
        ),
        (
            "divides by the tokens of the batch",
            "    return (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum()\n",
            "the tokens of the whole batch",
        ),
        (
            "averages over the rows",
            "    return (hidden * mask.unsqueeze(-1)).sum(0) / mask.sum(0).unsqueeze(-1)\n",
            "average over the tokens",
        ),
    ],
    "e3_3": [
        (
            "scales the error like the variance",
            "    return error * measured_at / batch_size\n",
            "its square root 4-fold",
        ),
        (
            "turns the ratio round",
            "    return error * (batch_size / measured_at) ** 0.5\n",
            "you turned the ratio round",
        ),
        ("leaves the batch size out", "    return error\n", "left the batch size out"),
    ],
    "e3_4": [
        (
            "forgets the devices",
            "    for k in range(1, wanted + 1):\n"
            "        if wanted % k == 0 and wanted // k <= fits:\n"
            "            return wanted // k, k\n",
            "the devices multiply too",
        ),
        (
            "fills the memory",
            "    return fits, -(-wanted // (fits * devices))\n",
            "you filled the memory",
        ),
        (
            "rounds the accumulation up",
            "    return min(fits, wanted), -(-wanted // (fits * devices))\n",
            "20 x 3 is 60",
        ),
        (
            "takes single rows",
            "    return 1, wanted // devices\n",
            "section 5 shows that they are slower",
        ),
    ],
    "e3_5": [
        (
            "leaves the answers in order of length",
            "    return np.array(predict(sorted(texts, key=len)))\n",
            "put it back there",
        ),
        (
            "reads in place of writing",
            "    order = np.argsort([len(text) for text in texts])\n"
            "    return np.asarray(predict([texts[i] for i in order]))[order]\n",
            "that is what puts them back",
        ),
        (
            "doesn't sort at all",
            "    return np.asarray(predict(texts))\n",
            "before predict sees them",
        ),
        (
            "looks the answers up by length",
            "    lengths, answers = sorted(map(len, texts)), predict(sorted(texts, key=len))\n"
            "    return np.array([answers[lengths.index(len(text))] for text in texts])\n",
            "keep places, not lengths",
        ),
    ],
}
