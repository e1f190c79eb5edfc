"""Training a network: a dataset, the loop, a device, when to stop, and checkpoints that go on where they stopped."""

from groundup.stack.deep.training.training import (
    EarlyStopping,
    Images,
    Score,
    Training,
    describe_device,
    evaluate,
    fit,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    train_epoch,
)

__all__ = [
    "EarlyStopping",
    "Images",
    "Score",
    "Training",
    "describe_device",
    "evaluate",
    "fit",
    "load_checkpoint",
    "pick_device",
    "save_checkpoint",
    "train_epoch",
]
