"""The vision transformer beside transformers' own: the same logits with its weights, at two resolutions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from groundup.stack.deep.vit import VisionTransformer, rollout


def theirs() -> Any:
    """A small ViTForImageClassification with random weights, those of its norms and positions too."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    make: Any = ViTConfig
    config = make(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        image_size=24,
        patch_size=4,
        num_labels=7,
        layer_norm_eps=1e-6,
        attn_implementation="eager",
    )
    model = ViTForImageClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def load(ours: VisionTransformer, model: Any) -> None:
    """Copy the weights of theirs into ours."""
    embeddings, attention_names = model.vit.embeddings, ("query", "key", "value", "out")
    with torch.no_grad():
        ours.class_token.copy_(embeddings.cls_token[0, 0])
        ours.positions.copy_(embeddings.position_embeddings[0])
        ours.patches.weight.copy_(embeddings.patch_embeddings.projection.weight)
        ours.get_parameter("patches.bias").copy_(embeddings.patch_embeddings.projection.bias)
    for block, layer in zip(ours.blocks, model.vit.layers, strict=True):
        mine: Any = block
        parts = (layer.attention.q_proj, layer.attention.k_proj, layer.attention.v_proj, layer.attention.o_proj)
        for name, part in zip(attention_names, parts, strict=True):
            getattr(mine.attention.attention, name).load_state_dict(part.state_dict())
        mine.norms[0].load_state_dict(layer.layernorm_before.state_dict())
        mine.norms[1].load_state_dict(layer.layernorm_after.state_dict())
        mine.dense[0].load_state_dict(layer.mlp.fc1.state_dict())
        mine.dense[2].load_state_dict(layer.mlp.fc2.state_dict())
    ours.norm.load_state_dict(model.vit.layernorm.state_dict())
    ours.head.load_state_dict(model.classifier.state_dict())


@pytest.fixture(scope="module")
def pair() -> tuple[VisionTransformer, Any]:
    model = theirs()
    ours = VisionTransformer(24, 4, 32, 3, 4, 7).eval()
    load(ours, model)
    return ours, model


def test_logits_are_those_of_transformers(pair: tuple[VisionTransformer, Any]) -> None:
    ours, model = pair
    images = torch.randn(3, 3, 24, 24)
    with torch.no_grad():
        expected = model(images, output_attentions=True)
        logits, weights = ours(images), ours.attention(images)
    assert float(expected.logits.std()) > 0.1
    torch.testing.assert_close(logits, expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(weights, torch.stack(expected.attentions), rtol=1e-4, atol=1e-5)


def test_hidden_states_are_those_of_vitmodel(pair: tuple[VisionTransformer, Any]) -> None:
    ours, model = pair
    images = torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        hidden, expected = ours.encode(images)[0], model.vit(images).last_hidden_state
    torch.testing.assert_close(hidden, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 40)])
def test_logits_at_another_resolution(pair: tuple[VisionTransformer, Any], height: int, width: int) -> None:
    ours, model = pair
    images = torch.randn(2, 3, height, width)
    with torch.no_grad():
        expected = model(images, interpolate_pos_encoding=True).logits
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_transformers(pair: tuple[VisionTransformer, Any]) -> None:
    ours, model = pair
    images, labels = torch.randn(4, 3, 24, 24), torch.tensor([0, 3, 6, 3])
    for network in (ours, model):
        network.zero_grad()
        result = network(images)
        torch.nn.functional.cross_entropy(getattr(result, "logits", result), labels).backward()
    embeddings = model.vit.embeddings
    assert ours.patches.weight.grad is not None
    torch.testing.assert_close(
        ours.patches.weight.grad, embeddings.patch_embeddings.projection.weight.grad, rtol=1e-3, atol=1e-5
    )
    torch.testing.assert_close(ours.positions.grad, embeddings.position_embeddings.grad[0], rtol=1e-3, atol=1e-5)


def test_rollout_finds_the_patch_that_was_looked_at() -> None:
    weights = torch.full((2, 1, 2, 5, 5), 0.01)
    weights[..., 3] = 0.96
    assert rollout(weights)[0, 0, 1:].argmax() == 2
