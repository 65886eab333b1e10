"""The losses of masked LM and distillation, at the chosen (masked) positions of a batch."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tools.pretrain.batches import MaskedBatch
from tools.pretrain.models import hidden_and_logits

TEMPERATURE = 2.0
WEIGHTS = {"soft": 5.0, "mlm": 2.0, "cosine": 1.0}


def masked_lm(model: torch.nn.Module, batch: MaskedBatch) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy of the chosen tokens."""
    _, logits = hidden_and_logits(model, batch.input_ids, batch.positions)
    loss = F.cross_entropy(logits.float(), batch.labels, reduction="sum") / batch.pieces
    return loss, {"mlm": loss.item()}


class Distillation:
    """``5 * soft + 2 * mlm + 1 * cosine`` (weights of the released single-GPU recipe), teacher frozen.

    soft: KL(teacher / T, student / T) * T**2, over the chosen positions; mlm: as ``masked_lm``; cosine: one minus the
    cosine of the last hidden states, over all tokens. The factor T**2 keeps the soft gradients' size independent of T
    (Hinton et al. 2015). A weight of 0 leaves that loss out, for the ablation.
    """

    def __init__(
        self,
        teacher: torch.nn.Module,
        weights: dict[str, float] = WEIGHTS,
        temperature: float = TEMPERATURE,
    ):
        self.teacher = teacher.eval().requires_grad_(False)
        self.weights, self.temperature = weights, temperature

    def __call__(
        self, model: torch.nn.Module, batch: MaskedBatch
    ) -> tuple[torch.Tensor, dict[str, float]]:
        hidden, logits = hidden_and_logits(model, batch.input_ids, batch.positions)
        with torch.no_grad():
            teacher_hidden, teacher_logits = hidden_and_logits(
                self.teacher, batch.input_ids, batch.positions
            )
        t = self.temperature
        student_log, teacher_log = (
            F.log_softmax(x.float() / t, -1) for x in (logits, teacher_logits)
        )
        soft = F.kl_div(student_log, teacher_log, reduction="sum", log_target=True)
        mlm = F.cross_entropy(logits.float(), batch.labels, reduction="sum")
        cosine = 1 - F.cosine_similarity(hidden.float(), teacher_hidden.float(), dim=-1)
        parts = {
            "soft": soft * t**2 / batch.pieces,
            "mlm": mlm / batch.pieces,
            "cosine": cosine.sum() / batch.tokens,
        }
        loss = sum(self.weights[name] * part for name, part in parts.items())
        return loss, {name: part.item() for name, part in parts.items()}
