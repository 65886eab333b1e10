"""Right answers to the exercises of lesson 01, written another way than the solution: each must get all points."""

RIGHT = {
    "e1_1": [
        (
            "a large negative number in place of minus infinity, and einsum",
            "    scores = torch.einsum('...qd,...kd->...qk', q, k) * q.shape[-1] ** -0.5\n"
            "    scores = scores + (1 - mask.float()) * -1e9\n"
            "    return torch.einsum('...qk,...kd->...qd', torch.softmax(scores, dim=-1), v)\n",
        ),
        (
            "the library's own",
            "    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask.bool())\n",
        ),
    ],
    "e1_3": [
        (
            "a list of shapes, counted",
            "    matrices = [(width, width)] * 4 + [(width, inner), (inner, width)]\n"
            "    layer = sum(rows * columns + columns for rows, columns in matrices) + 4 * width\n"
            "    return vocabulary * width + positions * width + 2 * width + layers * layer\n",
        ),
    ],
    "e1_4": [
        (
            "by speeds",
            "    speed = (1 / fast) / (1 / slow)\n    return [speed * 100 - 100, (slow - fast) / slow * 100]\n",
        ),
    ],
    "e1_5": [
        (
            "loops over blocks and heads",
            "    best = None\n"
            "    for block in range(len(maps)):\n"
            "        for head in range(len(maps[block])):\n"
            "            got = maps[block, head].sum(0)[place]\n"
            "            if best is None or got > best[0]:\n"
            "                best = got, block, head\n"
            "    return best[1:]\n",
        ),
    ],
}
