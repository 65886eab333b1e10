"""Plausible wrong answers to the exercises of lesson 02, and a part of the message each must get."""

WRONG = {
    "e2_1": [
        (
            "asks at T = 1, where forgetting T changes nothing",
            "    same = torch.tensor([[2.0, 0.5, -1.0]])\n    student = same.clone().requires_grad_()\n"
            "    loss(student, same, 1.0).backward()\n    return float(student.grad.abs().max()) < 1e-5\n",
            "at T = 1",
        ),
        (
            "asks with equal logits, which no temperature changes",
            "    same = torch.zeros(1, 3, requires_grad=True)\n    loss(same, same.detach(), 3.0).backward()\n"
            "    return float(same.grad.abs().max()) < 1e-5\n",
            "all logits alike",
        ),
        (
            "compares with the lesson's value, T² included",
            "    s, t = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 0.0]])\n"
            "    return abs(float(loss(s, t, 3.0) - soft_target_loss(s, t, 3.0))) < 1e-5\n",
            "T² is not what is tested",
        ),
        (
            "asks for a loss of 0, which a cross-entropy never has",
            "    same = torch.tensor([[2.0, 0.5, -1.0]])\n    return abs(float(loss(same, same, 3.0))) < 1e-5\n",
            "the teacher's entropy, not 0",
        ),
        (
            "says yes when the loss is above 0",
            "    same = torch.tensor([[2.0, 0.5, -1.0]])\n    return float(loss(same, same, 3.0)) > 1e-5\n",
            "its gradient is 0",
        ),
        ("accepts everything", "    return True\n", "always says yes"),
    ],
    "e2_2": [
        (
            "swaps teacher and student",
            "    return sum(q * math.log(q / p) for p, q in zip(teacher, student, strict=True) if p > 0 and q > 0)\n",
            "the other way round",
        ),
        (
            "takes the cross-entropy",
            "    return -sum(p * math.log(q) for p, q in zip(teacher, student, strict=True))\n",
            "that is the cross-entropy",
        ),
        (
            "takes logarithms to base 2",
            "    return sum(p * math.log2(p / q) for p, q in zip(teacher, student, strict=True) if p > 0)\n",
            "math.log2 is another",
        ),
        (
            "divides by the number of words",
            "    terms = [p * math.log(p / q) for p, q in zip(teacher, student, strict=True) if p > 0]\n"
            "    return sum(terms) / len(teacher)\n",
            "don't divide by the number of words",
        ),
        (
            "forgets that 0 log 0 is 0",
            "    return sum(p * math.log(p / q) for p, q in zip(teacher, student, strict=True))\n",
            "your code stopped with ValueError",
        ),
        (
            "weighs by the student",
            "    return sum(q * math.log(p / q) for p, q in zip(teacher, student, strict=True) if p > 0)\n",
            "weigh by the teacher",
        ),
    ],
    "e2_4": [
        (
            "takes every second layer and drops the last",
            "    return list(range(0, depth, depth // keep))\n",
            "end at depth - 1",
        ),
        ("takes the first layers", "    return list(range(keep))\n", "end at depth - 1"),
        (
            "cuts off instead of rounding",
            "    return [int(i * (depth - 1) / (keep - 1)) for i in range(keep)]\n",
            "round, don't cut off",
        ),
        (
            "counts from 1",
            "    return [1 + round(i * (depth - 1) / (keep - 1)) for i in range(keep)]\n",
            "the numbers 0 to 11",
        ),
        (
            "takes the last layers",
            "    return list(range(depth - keep, depth))\n",
            "start with layer 0",
        ),
    ],
    "e2_5": [
        (
            "divides by the teacher's accuracy",
            "    return (teacher - student) / teacher\n",
            "not by its accuracy",
        ),
        ("gives the difference in points", "    return (teacher - student) / 100\n", "by 100"),
        (
            "divides by the student's errors",
            "    return (teacher - student) / (100 - student)\n",
            "the student's errors",
        ),
        ("returns the ratio", "    return (100 - student) / (100 - teacher)\n", "subtract 1"),
        (
            "takes the absolute value",
            "    return abs((100 - student) / (100 - teacher) - 1)\n",
            "don't take the absolute value",
        ),
    ],
}
