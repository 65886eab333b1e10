"""Right answers to the exercises of lesson 02, written another way than the solution: each must get all points."""

RIGHT = {
    "e2_1": [
        (
            "a row of its own, another temperature, a wider tolerance",
            "    logits = torch.tensor([[1.0, 3.0, 0.0, -2.0]], requires_grad=True)\n"
            "    (slope,) = torch.autograd.grad(loss(logits, logits.detach(), 2.0), logits)\n"
            "    return bool((slope.abs() < 1e-4).all())\n",
        ),
    ],
    "e2_2": [
        (
            "SciPy's entropy, which divides by the sums first",
            "    from scipy.stats import entropy\n\n    return entropy(teacher, student)\n",
        ),
        (
            "in PyTorch, as the lesson does",
            "    p, q = torch.tensor(teacher), torch.tensor(student)\n"
            "    return (p[p > 0] * (p[p > 0] / q[p > 0]).log()).sum()\n",
        ),
        (
            "in NumPy, as a difference of two sums",
            "    import numpy as np\n\n    p, q = np.array(teacher, dtype=float), np.array(student, dtype=float)\n"
            "    p, q = p[p > 0], q[p > 0]\n"
            "    return (p * np.log(p)).sum() - (p * np.log(q)).sum()\n",
        ),
    ],
    "e2_4": [
        (
            "linspace",
            "    return np.linspace(0, depth - 1, keep).round().astype(int).tolist()\n",
        ),
        (
            "halves rounded up",
            "    return [int(i * (depth - 1) / (keep - 1) + 0.5) for i in range(keep)]\n",
        ),
    ],
    "e2_5": [
        (
            "the difference over the teacher's errors",
            "    wrong = 100 - teacher\n    return (teacher - student) / wrong\n",
        ),
    ],
}
