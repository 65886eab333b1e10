"""How long each part is trained. Grow by editing here: nothing else in the course knows these numbers."""

from __future__ import annotations

from dataclasses import dataclass

from tools.pretrain.train import Stage

M = 1_000_000


@dataclass(frozen=True)
class Plan:
    """``teacher`` and ``student`` are stages run in order; an empty ``student`` means: cut out, not distilled.

    ``ablation`` is the stage that ``evaluate`` repeats with each loss left out.
    """

    teacher: tuple[Stage, ...]
    student: tuple[Stage, ...] = ()
    ablation: Stage | None = None


PLANS = {
    # About an hour on two cores with native bf16. Ends at six layers, so the "student" is that model itself.
    "brief": Plan(teacher=(Stage(3, 64, 32, 8 * M, 1e-3, decay=0.0), Stage(6, 128, 16, 18 * M, 7e-4, decay=0.9),
                           Stage(6, 512, 4, 2 * M, 1.5e-4))),
    # About two hours on the same machine. It starts like "brief": that run's checkpoint before its last stage goes on
    # here. Twelve layers bear half the rate of six: at 7e-4 the loss jumped from 3.9 to 5.5 within 900 steps.
    "cpu": Plan(teacher=(Stage(3, 64, 32, 8 * M, 1e-3, decay=0.0), Stage(6, 128, 16, 18 * M, 7e-4, decay=0.9),
                         Stage(12, 128, 16, 9 * M, 3e-4, warmup=100, decay=0.95),
                         Stage(12, 512, 4, 600_000, 1e-4, warmup=30)),
                student=(Stage(6, 128, 16, 5 * M, 4e-4), Stage(6, 512, 4, 600_000, 1e-4, warmup=30)),
                ablation=Stage(6, 128, 16, 500_000, 4e-4, warmup=30)),
    # Goes on from a student that is there already (`--start` and its folder): six layers read on, twice as fast as twelve,
    # then grow. Two hours on two cores with native bf16.
    "more": Plan(teacher=(Stage(6, 128, 16, 36 * M, 7e-4, warmup=200, decay=0.8, smoothing=0.7),
                          Stage(12, 128, 16, 6 * M, 4e-4, smoothing=0.7), Stage(12, 512, 4, 400_000, 1e-4, warmup=30)),
                 student=(Stage(6, 128, 16, 2_500_000, 3e-4), Stage(6, 512, 4, 400_000, 1e-4, warmup=30)),
                 ablation=Stage(6, 128, 16, 500_000, 4e-4, warmup=30)),
    # A billion tokens: half an hour on a current data-centre GPU.
    "gpu": Plan(teacher=(Stage(3, 128, 256, 60 * M, 1e-3, decay=0.0), Stage(6, 128, 256, 120 * M, 1e-3, decay=0.0),
                         Stage(12, 128, 256, 900 * M, 8e-4, warmup=500, decay=0.9, smoothing=0.7),
                         Stage(12, 512, 64, 100 * M, 2e-4)),
                student=(Stage(6, 128, 256, 700 * M, 6e-4, warmup=500), Stage(6, 512, 64, 80 * M, 2e-4)),
                ablation=Stage(6, 128, 256, 50 * M, 6e-4)),
}
