"""Several processes that train one model, started by `torchrun`: each takes its share of the batch."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import nn

from groundup.errors import ConfigError
from groundup.stack.generative.scaling import average_gradients, shard


def join() -> int:
    """Join the other processes, where `torchrun` started this one; return how many there are."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return count


def leave() -> None:
    """Part from the other processes."""
    if _joined():
        torch.distributed.destroy_process_group()


def share(batch: torch.Tensor) -> torch.Tensor:
    """The rows of a batch that are this process's; their number divides by that of the processes."""
    count, rank = count_processes(), _rank()
    if len(batch) % count:
        raise ConfigError(f"batch must divide by the {count} processes, got {len(batch)} rows. Start fewer.")
    return shard(batch, rank, count)


def average(parameters: Iterable[nn.Parameter], loss: float) -> float:
    """Average the gradients over the processes, in place, and the loss, which is returned."""
    if count_processes() == 1:
        return loss
    average_gradients(parameters, count_processes(), torch.distributed.all_reduce)
    total = torch.tensor(loss, dtype=torch.float64)
    torch.distributed.all_reduce(total)
    return float(total) / count_processes()


def count_processes() -> int:
    """The number of processes that train together."""
    return torch.distributed.get_world_size() if _joined() else 1


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return _rank() == 0


def wait_for_all() -> None:
    """Wait until every process is here."""
    if count_processes() > 1:
        torch.distributed.barrier()


def _rank() -> int:
    return torch.distributed.get_rank() if _joined() else 0


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
