"""LoRA: adapters of low rank on a frozen base, merged or apart, on full or 4-bit weights."""

from groundup.stack.generative.lora.lora import (
    LoRALinear,
    QuantizedLinear,
    adapter_state,
    add_lora,
    dequantize,
    load_adapter,
    merge_lora,
    quantize,
)

__all__ = [
    "LoRALinear",
    "QuantizedLinear",
    "adapter_state",
    "add_lora",
    "dequantize",
    "load_adapter",
    "merge_lora",
    "quantize",
]
