"""Plausible wrong answers to the exercises of lesson 11, and a part of the message each must get."""

WRONG = {
    "e11_1": [
        ("returns a constant", "    return 50.0, 95.0\n", "drop the first warm_up calls"),
        (
            "forgets the warm-up",
            "    kept = sorted(seconds)\n"
            "    return tuple(1000 * kept[-(-len(kept) * s // 100) - 1] for s in (50, 95))\n",
            "drop the first warm_up calls",
        ),
        (
            "sorts before it drops the warm-up",
            "    kept = sorted(seconds)[warm_up:]\n"
            "    return tuple(1000 * kept[-(-len(kept) * s // 100) - 1] for s in (50, 95))\n",
            "before you sort",
        ),
        (
            "interpolates",
            "    return tuple(1000 * np.quantile(seconds[warm_up:], [0.5, 0.95]))\n",
            "interpolate nothing",
        ),
        (
            "returns seconds",
            "    kept = sorted(seconds[warm_up:])\n"
            "    return tuple(kept[-(-len(kept) * s // 100) - 1] for s in (50, 95))\n",
            "in milliseconds",
        ),
        (
            "counts places from 0",
            "    kept = sorted(seconds[warm_up:])\n"
            "    return tuple(1000 * kept[min(len(kept) * s // 100, len(kept) - 1)] for s in (50, 95))\n",
            "count places from 1",
        ),
        (
            "rounds the place to the nearest",
            "    kept = sorted(seconds[warm_up:])\n"
            "    return tuple(1000 * kept[int(len(kept) * s / 100 + 0.5) - 1] for s in (50, 95))\n",
            "round up, not to the nearest",
        ),
        (
            "sorts its input",
            "    del seconds[:warm_up]\n    seconds.sort()\n"
            "    return tuple(1000 * seconds[-(-len(seconds) * s // 100) - 1] for s in (50, 95))\n",
            "sorted(...) makes a new list",
        ),
    ],
    "e11_2": [
        (
            "returns a constant",
            "    return torch.zeros_like(weights), torch.ones(weights.shape[0], 1)\n",
            "divide each row by its own scale",
        ),
        (
            "one scale for the matrix",
            "    top = 2 ** (bits - 1) - 1\n    scale = weights.abs().max() / top\n"
            "    return (weights / scale).round(), scale.expand(weights.shape[0], 1)\n",
            "divide each row by its own scale",
        ),
        (
            "cuts off in place of rounding",
            "    scales = weights.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)\n"
            "    scales = torch.where(scales == 0, torch.ones_like(scales), scales)\n"
            "    return (weights / scales).trunc(), scales\n",
            "round to the nearest",
        ),
        (
            "forgets the row of zeros",
            "    scales = weights.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)\n"
            "    return (weights / scales).round(), scales\n",
            "0 / 0 is nan",
        ),
        (
            "always 8 bits",
            "    scales = weights.abs().amax(dim=1, keepdim=True) / 127\n"
            "    scales = torch.where(scales == 0, torch.ones_like(scales), scales)\n"
            "    return (weights / scales).round(), scales\n",
            "the top is 2 ** (bits - 1) - 1",
        ),
        (
            "divides in place",
            "    scales = weights.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)\n"
            "    scales = torch.where(scales == 0, torch.ones_like(scales), scales)\n"
            "    return weights.div_(scales).round_(), scales\n",
            "nothing in place",
        ),
    ],
    "e11_4": [
        (
            "returns a constant",
            "    return torch.zeros_like(weights)\n",
            "groups of four neighbours",
        ),
        (
            "halves the whole matrix",
            "    return weights * (weights.abs() > weights.abs().median())\n",
            "groups of four neighbours within a row",
        ),
        (
            "forgets the sign",
            "    groups = weights.reshape(-1, 4)\n    keep = groups.topk(2, dim=1).indices\n"
            "    return (groups * torch.zeros_like(groups).scatter(1, keep, 1.0)).reshape(weights.shape)\n",
            "compare abs()",
        ),
        (
            "a threshold that equal weights pass",
            "    groups = weights.reshape(-1, 4)\n"
            "    least = groups.abs().topk(2, dim=1).values[:, 1:]\n"
            "    return (groups * (groups.abs() >= least)).reshape(weights.shape)\n",
            "not a threshold that equal weights all pass",
        ),
        (
            "sets zeros in place",
            "    groups = weights.view(-1, 4)\n"
            "    drop = groups.abs().topk(2, dim=1, largest=False).indices\n"
            "    groups.scatter_(1, drop, 0.0)\n    return weights\n",
            "clone first",
        ),
    ],
}
