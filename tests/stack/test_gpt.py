"""`generative/gpt` against transformers and PyTorch: the same logits, gradients, steps."""

import re
from typing import Any

import pytest
import torch

from groundup.stack.generative.gpt import AdamW, clip_gradients, cross_entropy, from_hugging_face

transformers = pytest.importorskip("transformers")
SMALL = {"vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 6, "rms_norm_eps": 1e-3}
LLAMA_SMALL = SMALL | {"intermediate_size": 40, "num_key_value_heads": 2, "max_position_embeddings": 19}


def theirs(kind: str) -> Any:
    """A small model of transformers whose every weight is random, norms and biases too."""
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=37, n_positions=19, n_embd=24, n_layer=3, n_head=6, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
        )
        model = transformers.GPT2LMHeadModel(config)
    elif kind == "qwen2":
        model = transformers.Qwen2ForCausalLM(
            transformers.Qwen2Config(**LLAMA_SMALL, tie_word_embeddings=True, rope_theta=1e6)
        )
    else:
        tied = kind == "llama-tied"
        model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(**LLAMA_SMALL, tie_word_embeddings=tied, rope_theta=500.0)
        )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize("kind", ["llama", "llama-tied", "qwen2", "gpt2"])
@pytest.mark.parametrize("as_dict", [True, False])
def test_a_checkpoint_of_transformers_gives_the_same_logits_and_gradients(kind: str, as_dict: bool) -> None:
    model = theirs(kind)
    ours = from_hugging_face(model.state_dict(), model.config.to_dict() if as_dict else model.config)
    tokens = torch.randint(37, (2, 19), generator=torch.Generator().manual_seed(1))
    expected, logits = model(tokens).logits, ours(tokens)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    expected_loss = torch.nn.functional.cross_entropy(expected[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss = cross_entropy(logits[:, :-1], tokens[:, 1:])
    torch.testing.assert_close(loss, expected_loss, rtol=1e-6, atol=1e-6)
    loss.backward()
    expected_loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    if kind != "llama":
        gradients["lm_head.weight"] = torch.zeros(0)
    renamed = from_hugging_face({name: gradients[name] for name in model.state_dict()}, model.config)
    assert sum(parameter.numel() for parameter in ours.parameters()) == sum(p.numel() for p in model.parameters())
    for name, parameter in renamed.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"betas": (0.7, 0.9), "eps": 0.1, "weight_decay": 0.3, "lr": 0.05}])
def test_steps_are_those_of_pytorch(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in ((3, 2), (5,))]
    theirs = [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]
    mine, other = AdamW(ours, **settings), torch.optim.AdamW(theirs, **settings)
    for step in range(30):
        for parameter, twin in zip(ours, theirs, strict=True):
            gradient = torch.randn_like(parameter) * 10 ** (step % 3 - 1)
            parameter.grad, twin.grad = gradient, gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_(theirs, 2.0)
        assert clip_gradients(ours, 2.0) == pytest.approx(norm.item(), rel=1e-6)
        mine.step()
        other.step()
        resumed = AdamW(ours)
        resumed.load_state_dict(mine.state_dict())
        assert set(mine.state_dict()) == set(other.state_dict())
        mine = resumed
        for parameter, twin in zip(ours, theirs, strict=True):
            torch.testing.assert_close(parameter, twin, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"model_type": "mamba"}, "model_type='mamba'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling={'rope_type': 'yarn'}"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling"),
        ({"attention_bias": True}, "attention_bias=True"),
        ({"mlp_bias": True}, "mlp_bias=True"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"use_sliding_window": True}, "use_sliding_window=True"),
        ({"head_dim": 16}, "head_dim=16"),
    ],
)
def test_what_would_load_and_give_other_logits_is_refused(changes: dict[str, Any], name: str) -> None:
    config = LLAMA_SMALL | {"model_type": "llama"} | changes
    with pytest.raises(ValueError, match=re.escape(name)):
        from_hugging_face({}, config)


def test_a_tensor_that_is_missing_or_too_many_is_refused() -> None:
    model = theirs("llama")
    state = model.state_dict()
    state["model.layers.0.mlp.extra_proj.weight"] = state.pop("model.norm.weight")
    with pytest.raises(RuntimeError, match="norm.weight"):
        from_hugging_face(state, model.config)
