"""The template that exported files carry: llama.cpp and transformers write a chat with it as we do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from groundup.stack.generative.decoding import GREEDY
from groundup.stack.generative.instruction_tuning import render
from groundup.systems.language_model.data import TEMPLATE, encode_prompt
from groundup.systems.language_model.run_folder import RunFolder
from groundup.systems.language_model.speaking import Speaker

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 3 plus 1?"},
    {"role": "assistant", "content": "It is 4.\n"},
    {"role": "user", "content": " And\n\n1 plus 1?"},
]


def written() -> str:
    return "".join(piece.text for piece in render(CHAT, TEMPLATE, generate=True))


def llama_cpp(path: Path, context: int) -> Any:
    x: Any = pytest.importorskip("xllamacpp")
    params = x.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers = str(path), context, 1, 0
    params.cpuparams.n_threads, params.warmup, params.verbosity = 1, False, -1
    params.cache_type_k = params.cache_type_v = x.ggml_type.GGML_TYPE_F32
    return x.Server(params)


def asked(server: Any, path: str, body: dict[str, Any]) -> Any:
    address = f"{server.listening_address}{path}"
    request = Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_llama_cpp_writes_a_chat_as_we_do_and_answers_the_same(trained: RunFolder) -> None:
    server = llama_cpp(trained.path / "export" / "model-f16.gguf", 64)
    assert asked(server, "/apply-template", {"messages": CHAT})["prompt"] == written()
    chat = [{"role": "user", "content": "What is 3 plus 1?"}]
    answer = server.handle_chat_completions({"messages": chat, "max_tokens": 8, "temperature": 0})
    ours = Speaker.of_run(trained).answer(chat, GREEDY, 8)
    text = "".join(ours.pieces)
    assert answer["usage"]["prompt_tokens"] == len(encode_prompt(chat, trained.tokenizer)) == ours.prompt_tokens
    assert answer["choices"][0]["message"]["content"].strip() == text.strip()


def test_transformers_writes_a_chat_as_we_do(trained: RunFolder) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(trained.path / "export" / "hugging_face")
    assert theirs.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True) == written()
    ids = theirs.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ids == encode_prompt(CHAT, trained.tokenizer)
    assert theirs.eos_token == TEMPLATE.stop
