"""`generative/scaling` against PyTorch's counter of operations, and two processes against one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from groundup.stack.generative.gpt import GPT, AdamW, Config, clip_gradients, cross_entropy
from groundup.stack.generative.scaling import average_gradients, count_flops, shard

SMALL = Config(61, 2, 6, 48, 32, kv_heads=3, tied=False)


@pytest.mark.parametrize("changes", [{}, {"kv_heads": 1}, {"feed_forward": "gelu"}, {"layers": 5}, {"context": 256}])
def test_operations_are_within_five_percent_of_what_pytorch_counts(changes: dict[str, Any]) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    config = replace(SMALL, **changes)
    length = 20 if config.context == 32 else 60
    tokens = torch.randint(61, (3, length), generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        loss = cross_entropy(GPT(config)(tokens), tokens)
        assert count_flops(config, 3, length, backward=False) == counter.get_total_flops()
        loss.backward()
    # Fused attention computes its weights anew on the way back: operations of the kernel and not of the model.
    assert count_flops(config, 3, length) == pytest.approx(counter.get_total_flops(), rel=0.05)


def steps(rank: int, workers: int, meeting: str, out: str) -> None:
    """Take three steps on this worker's rows; worker 0 saves the weights."""
    torch.set_num_threads(1)
    if workers > 1:
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    torch.manual_seed(0)
    model = GPT(SMALL)
    optimizer = AdamW(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        inputs, targets = torch.randint(61, (2, 4, 20), generator=generator)
        optimizer.zero_grad()
        cross_entropy(model(shard(inputs, rank, workers)), shard(targets, rank, workers)).backward()
        if workers > 1:
            average_gradients(model.parameters(), workers)
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()
    if rank == 0:
        torch.save(model.state_dict(), out)
    if workers > 1:
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of PyTorch has no torch.distributed")
def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    steps(0, 1, "", str(tmp_path / "one.pt"))
    meeting = (tmp_path / "meeting").as_uri()
    spawn(steps, (2, meeting, str(tmp_path / "two.pt")), nprocs=2)
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-5)
