"""`production/llm_serving`: two kinds of positions in pages, and the client against servers, llama.cpp's too."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.stack.generative.decoding import generate
from groundup.stack.generative.export import export_gguf
from groundup.stack.generative.gpt import GPT, Config
from groundup.stack.generative.tokenization import train_tokenizer
from groundup.stack.production.llm_serving import Client, Engine, PagedCache, ServerError, flat_mask

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("positions", ["rope", "learned"])
@pytest.mark.parametrize("size", [1, 3, 16])
def test_texts_are_those_of_decoding_without_a_cache(positions: Any, size: int) -> None:
    torch.manual_seed(1)
    shape = Config(19, 2, 4, 16, 48, kv_heads=2, positions=positions)
    model = GPT(shape).double().eval()
    for weight in model.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.5)
    prompts = [torch.randint(19, (length,)).tolist() for length in (3, 17, 1, 9, 17)]
    engine = Engine(model, PagedCache(shape, 60 // size, size, torch.float64), slots=3, budget=7)
    requests = [engine.submit(prompt, 10) for prompt in prompts]
    while engine.busy:
        engine.step()
    for prompt, request in zip(prompts, requests, strict=True):
        assert request.generated == [step[0] for step in generate(model, [prompt], 10, cached=False)]


def test_forked_sequences_go_their_own_ways() -> None:
    """Two continuations share the prompt's blocks: each has the logits of its own text, and the prompt is kept once."""
    torch.manual_seed(2)
    shape = Config(19, 2, 2, 8, 32)
    model, cache = GPT(shape).double().eval(), PagedCache(shape, 8, 4, torch.float64)

    def read(blocks: list[int], tokens: list[int], start: int) -> torch.Tensor:
        cache.reserve(blocks, start, len(tokens))
        rows = [(blocks, start, len(tokens))]
        positions, mask = flat_mask(rows)
        with torch.no_grad():
            return model(torch.tensor([tokens[start:]]), positions, mask, cache.view(rows))[0]

    prompt, first = [1, 2, 3, 4, 5, 6], []
    read(first, prompt, 0)
    second = cache.fork(first)
    for blocks, more in ((first, [7, 8, 9]), (second, [10, 11, 12])):
        text = prompt + more
        with torch.no_grad():
            expected = model(torch.tensor([text]))[0, 6:]
        torch.testing.assert_close(read(blocks, text, 6), expected)
    assert first[0] == second[0]
    assert first[1] != second[1]


class Handler(BaseHTTPRequestHandler):
    """Streams what a question asks for, in small pieces, as chat completions."""

    protocol_version = "HTTP/1.1"
    hung_up = threading.Event()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = body["messages"][-1]["content"]
        if kind == "refuse":
            answer = json.dumps({"error": {"message": f"no model {body['model']}"}}).encode()
            self.send_response(404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for number in range(10_000 if kind == "forever" else 3):
                self.send(json.dumps({"choices": [{"index": 0, "delta": {"content": f"é{number} "}}]}))
                time.sleep(0.01 if kind == "forever" else 0)
        except OSError:
            self.hung_up.set()
            return
        if kind == "break off":
            self.close_connection = True
            return
        self.send("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def send(self, data: str) -> None:
        """Send an event in pieces of seven bytes."""
        event = f"data: {data}\r\n\r\n".encode()
        for start in range(0, len(event), 7):
            piece = event[start : start + 7]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Handler.hung_up.clear()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def ask(what: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": what}]


def test_the_client_streams_over_http(address: str) -> None:
    assert Client(address, "m").complete(ask("write")) == "é0 é1 é2 "


def test_the_client_names_what_a_server_did(address: str) -> None:
    with pytest.raises(ServerError, match="no model m") as caught:
        Client(address, "m").complete(ask("refuse"))
    assert caught.value.status == 404
    with pytest.raises(ServerError, match="did not answer to the end"):
        Client(address, "m").complete(ask("break off"))
    with pytest.raises(ServerError, match="did not answer"):
        Client("http://127.0.0.1:9/v1", "m", timeout=5).complete(ask("write"))


def test_a_server_notices_that_nobody_listens(address: str) -> None:
    stream: Any = Client(address, "m").stream(ask("forever"))
    assert next(stream) == "é0 "
    stream.close()
    assert Handler.hung_up.wait(20)


def test_the_client_streams_from_llama_cpp(tmp_path: Path) -> None:
    """A tiny model with random weights, served by llama.cpp itself: streamed and whole, the text is the same."""
    x = pytest.importorskip("xllamacpp")
    torch.manual_seed(0)
    words = train_tokenizer([Path(__file__).read_text()], 512, ["<|end|>"])
    made = GPT(Config(512, 2, 4, 64, 256, kv_heads=2, tied=False)).requires_grad_(False)
    export_gguf(tmp_path / "model.gguf", made, words, "F32", "<|end|>")
    params = x.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers = str(tmp_path / "model.gguf"), 256, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup, params.verbosity, params.port = False, -1, 0
    server: Any = x.Server(params)
    whole = server.handle_chat_completions({"messages": MESSAGES, "max_tokens": 12, "temperature": 0.0})
    client = Client(f"{server.listening_address}/v1", "any")
    pieces = list(client.stream(MESSAGES, max_tokens=12, temperature=0.0))
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    with pytest.raises(ServerError) as caught:
        client.complete([{"role": "user", "content": "word " * 2000}])
    assert caught.value.status == 400
