"""How long each part is trained. Grow by editing here: nothing else in the course knows these numbers."""

from __future__ import annotations

from dataclasses import dataclass

from tools.pretrain.train import Stage

M = 1_000_000


@dataclass(frozen=True)
class Plan:
    """``teacher`` and ``student`` are stages run in order; an empty ``student`` means: cut out, not distilled."""

    teacher: tuple[Stage, ...]
    student: tuple[Stage, ...] = ()


PLANS = {
    # About an hour on two cores with native bf16. Ends at six layers, so the "student" is that model itself.
    "brief": Plan(teacher=(Stage(3, 64, 32, 8 * M, 1e-3, decay=0.0), Stage(6, 128, 16, 18 * M, 7e-4, decay=0.9),
                           Stage(6, 512, 4, 2 * M, 1.5e-4))),
    # Four to six hours on the same machine.
    "cpu": Plan(teacher=(Stage(3, 64, 32, 14 * M, 1e-3, decay=0.0), Stage(6, 128, 16, 24 * M, 7e-4, decay=0.0),
                         Stage(12, 128, 16, 40 * M, 7e-4, decay=0.9), Stage(12, 512, 4, 5 * M, 1.5e-4)),
                student=(Stage(6, 128, 16, 30 * M, 5e-4), Stage(6, 512, 4, 3 * M, 1.5e-4))),
    # A billion tokens: half an hour on a current data-centre GPU.
    "gpu": Plan(teacher=(Stage(3, 128, 256, 60 * M, 1e-3, decay=0.0), Stage(6, 128, 256, 120 * M, 1e-3, decay=0.0),
                         Stage(12, 128, 256, 900 * M, 8e-4, warmup=500, decay=0.9), Stage(12, 512, 64, 100 * M, 2e-4)),
                student=(Stage(6, 128, 256, 700 * M, 6e-4, warmup=500), Stage(6, 512, 64, 80 * M, 2e-4))),
}
