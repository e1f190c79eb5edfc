"""`generative/preferences` against TRL: the same logits, tokens and masks give the losses of its trainers."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.stack.generative.preferences import answer_log_probs, dpo_loss, ipo_loss, reward_loss

pytest.importorskip("trl")
BETA, EPSILON = 0.3, 0.1
CPU = SimpleNamespace(device="cpu", gather=lambda value: value, gather_for_metrics=lambda value: value)


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits of policy and reference, tokens and answers: three chosen answers, then three rejected, padded."""
    generator = torch.Generator().manual_seed(0)
    policy, reference = torch.randn(2, 6, 9, 7, generator=generator).double()
    tokens = torch.randint(0, 7, (6, 9), generator=generator)
    begins, ends = torch.tensor([2, 3, 1, 2, 3, 1]), torch.tensor([5, 9, 3, 8, 4, 7])
    places = torch.arange(9)
    return policy, reference, tokens, (places >= begins[:, None]) & (places < ends[:, None])


def trls(kind: str) -> Tensor:
    """The loss of TRL's DPO trainer, called without a trainer: its model is a function that returns our logits."""
    from trl.trainer.dpo_trainer import DPOTrainer

    policy, reference, tokens, answer = batch()

    def model(logits: Tensor) -> Any:
        def forward(labels: Tensor, **_: Any) -> Any:
            labels = labels[:, 1:]
            log_probs = logits[:, :-1].log_softmax(-1).gather(2, labels.clamp(min=0)[:, :, None])[:, :, 0]
            rest = dict.fromkeys(("entropy", "mean_logits", "is_top1"), torch.zeros(labels.shape).bool())
            return SimpleNamespace(log_probs=log_probs.masked_fill(labels == -100, 0.0), **rest)

        return forward

    trained: Any = model(policy)
    sums = [model(reference)(tokens.masked_fill(~answer, -100)).log_probs.sum(1).chunk(2)][0]
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=CPU,
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[kind],
        loss_weights=[1.0],
        beta=BETA,
        label_smoothing=EPSILON,
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    inputs = {
        "input_ids": tokens,
        "attention_mask": torch.ones_like(tokens),
        "completion_mask": answer.long(),
        "ref_chosen_logps": sums[0],
        "ref_rejected_logps": sums[1],
    }
    return DPOTrainer._compute_loss(trainer, trained, inputs, False)  # type: ignore[arg-type]


def ours(loss: Any, **options: float) -> Tensor:
    policy, reference, tokens, answer = batch()
    parts = [slice(0, 3), slice(3, 6)]
    pairs = [answer_log_probs(logits[p], tokens[p], answer[p]) for logits in (policy, reference) for p in parts]
    return loss(*pairs, **options)


def test_dpo_is_trls() -> None:
    torch.testing.assert_close(ours(dpo_loss, beta=BETA), trls("sigmoid"))


def test_ipo_is_trls() -> None:
    torch.testing.assert_close(ours(ipo_loss, tau=BETA), trls("ipo"))


def test_label_smoothing_is_half_way_to_trls_robust_loss() -> None:
    """Its robust loss of (1 - ε) · right - ε · wrong, over 1 - 2ε, and ours give the two parts."""
    smooth, plain = ours(dpo_loss, beta=BETA, label_smoothing=EPSILON), ours(dpo_loss, beta=BETA)
    wrong = (smooth - (1 - EPSILON) * plain) / EPSILON
    torch.testing.assert_close(((1 - EPSILON) * plain - EPSILON * wrong) / (1 - 2 * EPSILON), trls("robust"))


@pytest.mark.parametrize("margin", [None, 0.7])
def test_the_reward_loss_is_trls(margin: float | None) -> None:
    from trl.trainer.reward_trainer import RewardTrainer

    rewards = torch.randn(8, 1, generator=torch.Generator().manual_seed(1)).double()
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=False),
        accelerator=CPU,
        args=SimpleNamespace(center_rewards_coefficient=None),
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
    )
    inputs: dict[str, Any] = {"input_ids": torch.zeros(8, 2), "attention_mask": torch.ones(8, 2)}
    if margin is not None:
        inputs["margin"] = margin
    loss = RewardTrainer.compute_loss(trainer, lambda **_: SimpleNamespace(logits=rewards), inputs)  # type: ignore[arg-type]
    torch.testing.assert_close(reward_loss(rewards[:4, 0], rewards[4:, 0], margin or 0.0), loss)
