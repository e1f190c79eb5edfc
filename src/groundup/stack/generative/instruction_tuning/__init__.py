"""Instruction tuning: chat templates, masks over what must not train, packing, and the loop."""

from groundup.stack.generative.instruction_tuning.instruction_tuning import (
    CHATML,
    GROUNDUP,
    IGNORE,
    LLAMA3,
    Example,
    NothingTrains,
    Packed,
    Piece,
    Template,
    encode_chat,
    pack,
    packed_mask,
    render,
    sft_loss,
    sft_step,
)

__all__ = [
    "CHATML",
    "GROUNDUP",
    "IGNORE",
    "LLAMA3",
    "Example",
    "NothingTrains",
    "Packed",
    "Piece",
    "Template",
    "encode_chat",
    "pack",
    "packed_mask",
    "render",
    "sft_loss",
    "sft_step",
]
