"""`generative/lora` against peft: our adapters load there, theirs load here, and both give the same outputs."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from groundup.stack.generative.lora import adapter_state, add_lora, load_adapter, merge_lora

peft = pytest.importorskip("peft")
TARGETS = ["query", "value"]


def model() -> nn.Module:
    torch.manual_seed(0)
    block = {"query": nn.Linear(12, 12), "value": nn.Linear(12, 8, bias=False), "out": nn.Linear(8, 12)}

    class Block(nn.ModuleDict):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self["out"](torch.relu(self["value"](torch.tanh(self["query"](x)))))

    return nn.Sequential(Block(block), Block({name: type(layer)(*size(layer)) for name, layer in block.items()}))


def size(layer: nn.Linear) -> tuple[int, int, bool]:
    return layer.in_features, layer.out_features, layer.bias is not None


def stir(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Adapters that have trained: none is 0."""
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(weight.shape, generator=generator) / 3 for name, weight in weights.items()}


def test_peft_opens_a_folder_of_ours(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    ours = model()
    add_lora(ours, TARGETS, rank=3, alpha=12)
    load_adapter(ours, stir(adapter_state(ours)))
    save_file(adapter_state(ours), tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 3, "lora_alpha": 12, "target_modules": TARGETS, "base_model_name_or_path": None}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    theirs = peft.PeftModel.from_pretrained(model(), tmp_path)
    inputs = torch.randn(5, 12)
    assert not torch.allclose(ours(inputs), model()(inputs), atol=1e-2)
    torch.testing.assert_close(ours(inputs), theirs(inputs), rtol=0, atol=1e-6)
    torch.testing.assert_close(merge_lora(ours)(inputs), theirs.merge_and_unload()(inputs), rtol=0, atol=1e-5)


def test_an_adapter_of_pefts_loads_here() -> None:
    theirs = peft.get_peft_model(model(), peft.LoraConfig(r=2, lora_alpha=5, target_modules=TARGETS))
    names = peft.get_peft_model_state_dict(theirs)
    ours = model()
    add_lora(ours, TARGETS, rank=2, alpha=5)
    assert set(adapter_state(ours)) == set(names)
    weights = stir(names)
    peft.set_peft_model_state_dict(theirs, weights)
    load_adapter(ours, weights)
    inputs = torch.randn(5, 12)
    torch.testing.assert_close(ours(inputs), theirs(inputs), rtol=0, atol=1e-6)
