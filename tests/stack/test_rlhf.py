"""`generative/rlhf` against TRL: the same log-probabilities, advantages and masks give its GRPO trainer's loss."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from groundup.stack.generative.rlhf import grpo_loss

pytest.importorskip("trl")


class Trainer(SimpleNamespace):
    """Settings of TRL's trainer, without the trainer: what is not named is off."""

    def __getattr__(self, name: str) -> Any:
        return None


@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_grpo_is_trls(beta: float) -> None:
    from trl.trainer.grpo_trainer import GRPOTrainer

    generator = torch.Generator().manual_seed(0)
    new, old, reference = torch.randn(3, 6, 8, generator=generator).double()
    advantages = torch.randn(6, generator=generator).double()
    mask = torch.arange(8) < torch.tensor([8, 1, 5, 2, 7, 3])[:, None]
    trainer = Trainer(
        model=SimpleNamespace(training=False),
        accelerator=SimpleNamespace(
            num_processes=1,
            gather=lambda value: value,
            gather_for_metrics=lambda value: value,
            reduce=lambda value, **_: value,
        ),
        args=Trainer(use_bias_correction_kl=False),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        importance_sampling_level="token",
        loss_type="grpo",
        beta=beta,
        epsilon_low=0.2,
        epsilon_high=0.2,
        use_vllm=False,
        _metrics={"eval": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *_, **__: (new, torch.zeros_like(new), None),
    )
    inputs = {
        "prompt_ids": torch.zeros(6, 1),
        "prompt_mask": torch.ones(6, 1),
        "completion_ids": torch.zeros(6, 8),
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
    }
    expected = GRPOTrainer._compute_loss(trainer, None, inputs)  # type: ignore[arg-type]
    torch.testing.assert_close(grpo_loss(new, old, reference, advantages, mask, clip=0.2, beta=beta), expected)
