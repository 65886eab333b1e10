"""Right answers to the exercises of lesson 11, written another way than the solution: each must get all points."""

RIGHT = {
    "e11_1": [
        (
            "NumPy's inverted distribution",
            "    import numpy as np\n\n"
            "    return np.percentile(np.array(seconds)[warm_up:] * 1000, [50, 95], method='inverted_cdf')\n",
        ),
    ],
    "e11_2": [
        (
            "row by row",
            "    top, rows, scales = 2 ** (bits - 1) - 1, [], []\n"
            "    for row in weights:\n"
            "        scale = row.abs().max() / top if row.any() else torch.tensor(1.0)\n"
            "        rows.append(torch.round(row / scale))\n        scales.append(scale)\n"
            "    return torch.stack(rows), torch.stack(scales)[:, None]\n",
        ),
    ],
    "e11_4": [
        (
            "the two smallest of each four, set to 0 in a copy",
            "    out = weights.clone().reshape(-1, 4)\n"
            "    out.scatter_(1, out.abs().argsort(dim=1)[:, :2], 0.0)\n"
            "    return out.reshape(weights.shape)\n",
        ),
    ],
}
