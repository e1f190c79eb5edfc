"""Fine-tuning of models of Hugging Face, offline, on tiny random ones of the architectures that people fine-tune."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("trl")
pytest.importorskip("bitsandbytes")

from groundup.errors import ConfigError
from groundup.systems.language_model import hub
from groundup.systems.language_model.hub import HubTuning, finetune_hub
from groundup.systems.language_model.run_folder import RunFolder
from groundup.systems.language_model.stages import Options
from groundup.systems.language_model.training import Progress
from tests.systems.language_model.conftest import instructions

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
SIZE: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128,
}  # fmt: skip
ARCHITECTURES = {
    "Qwen2": {},
    "Mistral": {},
    "Llama": {},
    "GptOss": {"num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 16},
}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "read_instructions", instructions)


@pytest.fixture(scope="module")
def models(trained: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each architecture, with the tokenizer and the template of a run of ours."""
    import transformers

    folders = {}
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained.path / "export" / "hugging_face")
    for name, more in ARCHITECTURES.items():
        torch.manual_seed(0)
        stop = tokenizer.eos_token_id
        config = getattr(transformers, f"{name}Config")(
            # More than there are tokens: the class of an architecture's tokenizer may add its own.
            vocab_size=len(tokenizer) + 8,
            bos_token_id=None,
            eos_token_id=stop,
            pad_token_id=stop,
            **SIZE,
            **more,
        )
        folders[name] = tmp_path_factory.mktemp(name)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return folders


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_adapters_learn_are_merged_and_load_again(name, method, models, tmp_path):
    import transformers
    from peft import PeftModel

    seen: list[Progress] = []
    tuning = HubTuning(method, steps=8, rank=4, learning_rate=1e-2, context=64, examples=6, four_bit=False)
    entry = finetune_hub(str(models[name]), tmp_path / "tuned", tuning, Options(report=seen.append))
    rows = {row["measure"]: row for row in entry["rows"]}
    loss = rows["loss on held-out " + ("answers" if method == "sft" else "pairs")]
    assert loss["value"] < loss["baseline"]
    assert [progress.step for progress in seen] == list(range(1, 9))
    assert rows["weights that trained"]["value"] < rows["weights of the model"]["value"] / 3
    merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "tuned" / "merged")
    base = transformers.AutoModelForCausalLM.from_pretrained(models[name])
    tokens = torch.arange(20)[None] + 40
    before = base(tokens).logits
    adapted = PeftModel.from_pretrained(base, tmp_path / "tuned" / "adapter").eval()
    assert torch.allclose(merged(tokens).logits, adapted(tokens).logits, atol=1e-4)
    assert not torch.allclose(merged(tokens).logits, before, atol=1e-2)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "tuned" / "merged")
    assert theirs.chat_template


def test_a_base_in_four_bits_is_merged_as_the_adapter_saw_it(models, tmp_path):
    # Llama has no biases: bitsandbytes 0.50 cannot add one to a layer that is judged on a CPU.
    import transformers
    from peft import PeftModel

    tuning = HubTuning("sft", steps=6, rank=4, learning_rate=1e-2, context=64, examples=6, four_bit=True)
    entry = finetune_hub(str(models["Llama"]), tmp_path / "tuned", tuning, Options())
    assert entry["rows"][0]["value"] < entry["rows"][0]["baseline"]
    assert {row["measure"]: row["value"] for row in entry["rows"]}["bits a weight of the base"] == 4
    merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "tuned" / "merged")
    assert getattr(merged.config, "quantization_config", None) is None
    saw = PeftModel.from_pretrained(hub._base(str(models["Llama"]), tuning, "cpu"), tmp_path / "tuned" / "adapter")
    whole = PeftModel.from_pretrained(
        transformers.AutoModelForCausalLM.from_pretrained(models["Llama"]), tmp_path / "tuned" / "adapter"
    )
    tokens = torch.arange(20)[None] + 40
    gaps = [(merged(tokens).logits - each.eval()(tokens).logits).abs().max().item() for each in (saw, whole)]
    assert gaps[0] < 0.01 < gaps[1], "merged onto what the adapter saw, and not onto what was there before the rounding"


def test_what_cannot_be_fine_tuned_is_refused(tmp_path, models, monkeypatch):
    with pytest.raises(ConfigError, match=r"--model must be smollm2, a GGUF file, or a model .*, got '.*nowhere'"):
        finetune_hub(str(tmp_path / "nowhere"), tmp_path / "tuned", HubTuning(four_bit=False), Options())
    asked = []

    def unreachable(self, name, timeout):
        asked.append((name, timeout))
        raise OSError("Name or service not known\nand much more")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "_load", None)
    wanted = (
        r"got 'missing': there is no such folder, and no answer from Hugging Face \(Name or service not known\)\. "
        r"Check the name and the network, or give a folder\.$"
    )
    with pytest.raises(ConfigError, match=wanted):
        finetune_hub("missing", tmp_path / "tuned", HubTuning(four_bit=False), Options())
    assert asked == [("missing", 10)], "once, and transformers never"
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, local_files_only: f"kept/{name}")
    assert hub._place("missing") == "kept/missing"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ConfigError, match=r"full must be a new folder or an empty one"):
        finetune_hub(str(models["Llama"]), tmp_path / "full", HubTuning(four_bit=False), Options())
    for name, value in (("method", "ppo"), ("steps", 0), ("beta", 0.0)):
        with pytest.raises(ConfigError, match=f"{name} must be .*, got '?{value}"):
            replace(HubTuning(), **{name: value})
