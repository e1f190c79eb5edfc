"""LLM serving: keys and values in pages, requests that join and leave at every step, and a client for any server of it.

    engine = Engine(model, PagedCache(model.config, blocks=64, size=16), slots=8, budget=64)
    request = engine.submit(prompt, limit=100)     # joins at a step that has room, in the order of arrival
    while engine.busy:
        for request, token in engine.step():       # one call of the model for all that run
            ...                                    # the tokens are those of each request alone

    for piece in Client("http://localhost:8000/v1", "my-model").stream(messages):    # vLLM, llama.cpp, …
        print(piece, end="")

Sources: Kwon et al., 2023, https://arxiv.org/abs/2309.06180 (pages); Yu et al., OSDI 2022 (a schedule for each step).

Not here: a kernel that reads pages where they lie (they are gathered), several devices, sampling, swapping to the host.
"""

import codecs
import contextlib
import hashlib
import http.client
import json
import math
import re
import urllib.error
import urllib.request
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from groundup.stack.generative.gpt import Config

LINE_END = re.compile(r"\r\n|\n|\r(?!\Z)")  # a last \r may be half of \r\n
Model = Callable[[Tensor, Tensor, Tensor, Any], Tensor]
"""(tokens, positions, mask, cache) give logits of shape (batch, tokens, vocabulary); `generative/gpt` is one."""
Row = tuple[Sequence[int], int, int]
"""The blocks of a sequence, and which of its tokens a step computes: those from start up to, without, end."""


# --- blocks ---------------------------------------------------------------------------------------------------------


class BlockPool:
    """Numbers of blocks, with how many sequences use each, and the keys of those whose content may be used again.

    A block that nobody uses is free, and is given out again, the one that has been free for longest first. Until then
    its content stays, and `find` may bring it back.

    Attributes:
        uses: how many sequences use each block.
    """

    def __init__(self, blocks: int) -> None:
        if blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {blocks}.")
        self.uses = [0] * blocks
        self._free = OrderedDict.fromkeys(range(blocks))
        self._blocks: dict[bytes, int] = {}
        self._keys: dict[int, bytes] = {}

    @property
    def free(self) -> int:
        """How many blocks nobody uses."""
        return len(self._free)

    def allocate(self) -> int:
        """Give out a free block for one user; what it held is forgotten. Refuse if there is none."""
        if not self._free:
            raise ValueError(f"blocks: all {len(self.uses)} are used, got a request for one more. Preempt a sequence.")
        block, _ = self._free.popitem(last=False)
        self._blocks.pop(self._keys.pop(block, b""), None)
        self.uses[block] = 1
        return block

    def share(self, block: int) -> None:
        """Add a user; a block that was free is free no more."""
        self._free.pop(block, None)
        self.uses[block] += 1

    def release(self, blocks: Sequence[int]) -> None:
        """Take a user from each block, the last first, so that ends of texts are given out before their beginnings."""
        for block in reversed(blocks):
            if self.uses[block] < 1:
                raise ValueError(f"blocks must be in use to be released, got {block}, which nobody uses.")
            self.uses[block] -= 1
            if self.uses[block] == 0:
                self._free[block] = None

    def remember(self, key: bytes, block: int) -> None:
        """Let `find` find a block by the key of its content. Of two with the same content the first is kept."""
        if self._blocks.setdefault(key, block) == block:
            self._keys[block] = key

    def find(self, key: bytes) -> int | None:
        """Return the block whose content has the key, or None."""
        return self._blocks.get(key)


def block_key(before: bytes, tokens: Sequence[int]) -> bytes:
    """Return the key of a full block: a hash (BLAKE2b) of its tokens and of the key of the block before it.

    Keys and values of a token depend on all tokens before it, so a block means nothing without those.
    """
    return hashlib.blake2b(before + json.dumps(list(tokens)).encode(), digest_size=16).digest()


class PagedCache:
    """Keys and values of all layers, in blocks of `size` tokens that lie anywhere.

    Token t of a sequence is in slot blocks[t // size] · size + t % size.

    Attributes:
        config: of the model.
        pool: which blocks are used.
        keys: of shape (layers, blocks · size, kv_heads, head_dim).
        values: the same.
    """

    def __init__(self, config: Config, blocks: int, size: int, dtype: torch.dtype = torch.float32) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1 token, got {size}.")
        self.config, self.pool, self.size = config, BlockPool(blocks), size
        shape = (config.layers, blocks * size, config.groups, config.head_dim)
        self.keys, self.values = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)

    def needed(self, blocks: Sequence[int], start: int, end: int) -> int:
        """Return how many blocks `reserve` would take from the pool."""
        shared = sum(self.pool.uses[block] > 1 for block in blocks[start // self.size : math.ceil(end / self.size)])
        return shared + max(0, math.ceil(end / self.size) - len(blocks))

    def reserve(self, blocks: list[int], start: int, end: int) -> None:
        """Make room for the tokens from start up to, without, end of a sequence; `blocks` is changed in place.

        1. A block that will be written and that another sequence uses, too, is copied into a new one: keys and values
           of all its slots, in every layer. The new one takes its place, and the old one loses this user (copy on
           write).
        2. New blocks are added at the end until they hold `end` tokens.

        Raises:
            ValueError: the pool has fewer free blocks than `needed`. Nothing is changed then.
        """
        if self.needed(blocks, start, end) > self.pool.free:
            raise ValueError(f"blocks: {self.needed(blocks, start, end)} are needed, got {self.pool.free} free ones.")
        for place in range(start // self.size, min(len(blocks), math.ceil(end / self.size))):
            old = blocks[place]
            if self.pool.uses[old] > 1:
                blocks[place] = self.pool.allocate()
                source, target = (slice(block * self.size, (block + 1) * self.size) for block in (old, blocks[place]))
                self.keys[:, target], self.values[:, target] = self.keys[:, source], self.values[:, source]
                self.pool.release([old])
        while len(blocks) * self.size < end:
            blocks.append(self.pool.allocate())

    def fork(self, blocks: Sequence[int]) -> list[int]:
        """Return blocks for a second sequence that begins as the first does; both share them until one writes."""
        for block in blocks:
            self.pool.share(block)
        return list(blocks)

    def slots(self, blocks: Sequence[int], start: int, end: int) -> Int[Tensor, " tokens"]:
        """Return the slots of the tokens from start up to, without, end."""
        tokens = torch.arange(start, end)
        return torch.tensor(blocks, dtype=torch.long)[tokens // self.size] * self.size + tokens % self.size

    def view(self, rows: Sequence[Row]) -> "PagedView":
        """Return the cache of one call of a model, for the tokens of several sequences laid end to end."""
        return PagedView(self, rows)


class PagedView:
    """What a model takes for its cache in one call: see `groundup.stack.generative.gpt.Cache`.

    The call has a batch of 1. Its tokens are those of the first row from start to end, then those of the second, ….
    """

    def __init__(self, cache: PagedCache, rows: Sequence[Row]) -> None:
        self.cache = cache
        self.new = torch.cat([cache.slots(*row) for row in rows])
        self.all = torch.cat([cache.slots(blocks, 0, end) for blocks, _, end in rows])

    def extend(
        self, layer: int, keys: Float[Tensor, "1 heads new dim"], values: Float[Tensor, "1 heads new dim"]
    ) -> tuple[Float[Tensor, "1 heads all dim"], Float[Tensor, "1 heads all dim"]]:
        """Write a layer's new keys and values into their slots (`new`); return those of `all` slots, row by row."""
        for stored, given in ((self.cache.keys, keys), (self.cache.values, values)):
            stored[layer, self.new] = given[0].transpose(0, 1)
        stored_keys, stored_values = self.cache.keys[layer], self.cache.values[layer]  # (slots, heads, dim)
        return stored_keys[self.all].transpose(0, 1)[None], stored_values[self.all].transpose(0, 1)[None]


def flat_mask(rows: Sequence[Row]) -> tuple[Int[Tensor, "1 new"], Bool[Tensor, "1 1 new all"]]:
    """Return the positions of the rows' new tokens laid end to end, and which of all tokens each may look at.

    A token sees those of its own row up to itself, and nothing of another row. Keys are laid as `PagedView` lays them:
    the first row's tokens from 0 to its end, then the second's, ….
    """
    positions = torch.cat([torch.arange(start, end) for _, start, end in rows])
    places = torch.cat([torch.arange(end) for _, _, end in rows])
    query_rows = torch.repeat_interleave(torch.tensor([end - start for _, start, end in rows]))
    key_rows = torch.repeat_interleave(torch.tensor([end for _, _, end in rows]))
    mask = (query_rows[:, None] == key_rows) & (places <= positions[:, None])
    return positions[None], mask[None, None]


# --- the engine -----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Request:
    """A prompt that is being continued.

    Attributes:
        number: in the order of arrival.
        tokens: the prompt, and what was generated.
        prompt: how many of the tokens are the prompt.
        limit: how many are generated at most.
        blocks: where its keys and values are.
        computed: how many tokens have keys and values there.
        keys: of its full blocks, as `block_key` makes them.
        finished: whether it is done.
    """

    number: int
    tokens: list[int]
    prompt: int
    limit: int
    blocks: list[int] = field(default_factory=list)
    computed: int = 0
    keys: list[bytes] = field(default_factory=list)
    finished: bool = False

    @property
    def generated(self) -> list[int]:
        """The tokens behind the prompt."""
        return self.tokens[self.prompt :]

    @property
    def missing(self) -> int:
        """How many tokens have no keys and values yet: 1 while decoding, more in the prefill."""
        return len(self.tokens) - self.computed


class Engine:
    """Continuous batching: each step calls the model once, for whichever requests have something to compute.

    Text is greedy, and the same as of each request alone without a cache.

    Args:
        model: a `Model` in evaluation mode, of the cache's config.
        cache: for all requests.
        slots: most requests that run at a time.
        budget: most tokens of a step, at least `slots`, and at most the model's context.
        stop: tokens that end a request, which holds them.
        reuse: whether blocks of earlier requests with the same beginning are used again.

    Attributes:
        waiting: requests that have no blocks, in the order of arrival.
        running: requests that have, in the order of arrival.
        steps: calls of the model.
        computed: tokens that the model computed in all steps.
        preempted: how often a request lost its blocks.
    """

    def __init__(
        self,
        model: Model,
        cache: PagedCache,
        slots: int,
        budget: int,
        *,
        stop: Collection[int] = (),
        reuse: bool = True,
    ) -> None:
        if slots < 1 or not slots <= budget <= cache.config.context:
            raise ValueError(
                f"budget must be from slots (at least 1) to the context of {cache.config.context}, "
                f"got budget {budget} and slots {slots}."
            )
        self.model, self.cache, self.slots, self.budget = model, cache, slots, budget
        self.stop, self.reuse = frozenset(stop), reuse
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.steps = self.computed = self.preempted = self._arrived = 0

    @property
    def busy(self) -> bool:
        """Whether any request is not finished."""
        return bool(self.waiting or self.running)

    def submit(self, prompt: Sequence[int], limit: int) -> Request:
        """Let a request wait for its turn; refuse one that would not fit into the cache or the context if alone."""
        room = min(len(self.cache.pool.uses) * self.cache.size, self.cache.config.context)
        if not prompt or limit < 1 or len(prompt) + limit - 1 > room:
            raise ValueError(
                f"prompt and limit must be of at least one token each, and together at most {room + 1}, "
                f"got {len(prompt)} and {limit}. Add blocks, or shorten the request."
            )
        self.waiting.append(Request(self._arrived, list(prompt), len(prompt), limit))
        self._arrived += 1
        return self.waiting[-1]

    def reuse_prefix(self, request: Request) -> None:
        """Give a request without blocks those full blocks, from its beginning on, that the pool still holds.

        They are shared, their keys are noted in `keys`, and their tokens count as computed. At least one token is left
        to compute: without it there would be no logits. The first block that is not found ends the search.
        """
        size = self.cache.size
        for place in range((len(request.tokens) - 1) // size):
            before = request.keys[-1] if request.keys else b""
            key = block_key(before, request.tokens[place * size : (place + 1) * size])
            block = self.cache.pool.find(key)
            if block is None:
                return
            self.cache.pool.share(block)
            request.blocks.append(block)
            request.keys.append(key)
            request.computed += size

    def preempt(self, request: Request) -> None:
        """Take all blocks from a running request, and let it wait before all others. It is computed again later."""
        self.cache.pool.release(request.blocks)
        request.blocks, request.keys, request.computed = [], [], 0
        self.running.remove(request)
        self.waiting.appendleft(request)
        self.preempted += 1

    def schedule(self) -> list[tuple[Request, int]]:
        """Choose what the next step computes: requests, and how many tokens of each, `budget` together at most.

        1. Decoding: each running request that misses one token, by arrival, has it computed. If its block is missing,
           the latest of the running requests is preempted, again and again until there is room; that may be the
           request itself.
        2. Prefill: then running requests that miss more, by arrival, as many tokens as the budget has left.
        3. Admission: then the waiting, by arrival, nobody before an earlier one, while there is a free slot and budget
           left: blocks are reused (if `reuse`), and all others for its tokens reserved at once. One for which there are
           not enough blocks gives back those that it got, and waits with all behind it. So does one preempted in
           this step: somebody has taken one of its blocks.
        """
        plan, left = [], self.budget
        for request in [each for each in self.running if each.missing == 1]:
            while request in self.running and self._lacks(request):
                self.preempt(self.running[-1])
            if request in self.running:
                self.cache.reserve(request.blocks, request.computed, len(request.tokens))
                plan.append((request, 1))
                left -= 1
        for request in [each for each in self.running if each.missing > 1]:
            if left:
                plan.append((request, min(left, request.missing)))
                left -= plan[-1][1]
        while self.waiting and left and len(self.running) < self.slots:
            request = self.waiting[0]
            if self.reuse:
                self.reuse_prefix(request)
            if self._lacks(request):
                self.cache.pool.release(request.blocks)
                request.blocks, request.keys, request.computed = [], [], 0
                break
            self.cache.reserve(request.blocks, request.computed, len(request.tokens))
            self.running.append(self.waiting.popleft())
            plan.append((request, min(left, request.missing)))
            left -= plan[-1][1]
        return plan

    @torch.no_grad()
    def step(self) -> list[tuple[Request, int]]:
        """Compute what `schedule` chose in one call of the model; return each new token with its request."""
        plan = self.schedule()
        if not plan:
            return []
        rows = [(request.blocks, request.computed, request.computed + new) for request, new in plan]
        tokens = [token for request, new in plan for token in request.tokens[request.computed :][:new]]
        positions, mask = flat_mask(rows)
        logits = self.model(torch.tensor([tokens]), positions, mask, self.cache.view(rows))[0]
        self.steps, self.computed = self.steps + 1, self.computed + len(tokens)
        written, last = [], -1
        for request, new in plan:
            last += new
            request.computed += new
            self._remember(request)
            if request.missing == 0:
                request.tokens.append(int(logits[last].argmax()))
                written.append((request, request.tokens[-1]))
                self._finish(request)
        return written

    def _lacks(self, request: Request) -> bool:
        """Whether the pool has too few blocks for all tokens of a request."""
        return self.cache.needed(request.blocks, request.computed, len(request.tokens)) > self.cache.pool.free

    def _remember(self, request: Request) -> None:
        size = self.cache.size
        for place in range(len(request.keys), request.computed // size):
            before = request.keys[-1] if request.keys else b""
            request.keys.append(block_key(before, request.tokens[place * size : (place + 1) * size]))
            self.cache.pool.remember(request.keys[-1], request.blocks[place])

    def _finish(self, request: Request) -> None:
        if len(request.generated) == request.limit or request.tokens[-1] in self.stop:
            request.finished = True
            self.running.remove(request)
            self.cache.pool.release(request.blocks)
            request.blocks = []


# --- the client -----------------------------------------------------------------------------------------------------


class ServerError(Exception):
    """A server that was not reached, refused a request, or broke off.

    Attributes:
        status: of HTTP, or None where there was no answer or it broke off.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def events(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each server-sent event, however its bytes were cut (WHATWG HTML, section 9.2).

    Text is UTF-8, and a character may be cut, too. Lines end in `LINE_END`. A field is a name, a colon, at most one
    space that does not count, and a value; all but `data` is passed over, comments with it. Several values of one event
    are joined by line ends. A blank line ends an event; without data it is none, and one that nothing ends is dropped.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    rest, data = "", []
    for chunk in chunks:
        *lines, rest = LINE_END.split(rest + decoder.decode(chunk))
        for line in lines:
            name, _, value = line.partition(":")
            if name == "data":
                data.append(value.removeprefix(" "))
            elif not line and data:
                yield "\n".join(data)
                data = []


@dataclass(frozen=True)
class Client:
    """One client for servers that speak OpenAI's chat completions: vLLM, llama.cpp's, and others.

    Attributes:
        url: up to and with the version, as "http://localhost:8000/v1" (vLLM) or "http://localhost:8080/v1" (llama.cpp).
        model: its name; llama.cpp serves one and takes any.
        key: sent as a bearer token, to `url` only, or None.
        timeout: seconds without a byte after which the request is given up.
        opener: makes the request; `urllib.request.urlopen`, or a stand-in.
    """

    url: str
    model: str
    key: str | None = None
    timeout: float = 60.0
    opener: Callable[..., Any] = urllib.request.urlopen

    def stream(self, messages: Sequence[Mapping[str, str]], **options: Any) -> Iterator[str]:
        """Yield pieces of the answer as they come. Closing the iterator closes the connection, and servers then stop.

        Args:
            messages: of a chat, each with a role and its content.
            options: of the request: temperature, max_tokens, ….

        Raises:
            ServerError: the server is not reached, answers with an error or sends one, or breaks off before [DONE].
        """
        body = {"model": self.model, "messages": list(messages), "stream": True, **options}
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        if self.key:  # not sent to where a redirect leads
            request.add_unredirected_header("Authorization", f"Bearer {self.key}")
        try:
            with self.opener(request, timeout=self.timeout) as response:
                for data in events(iter(lambda: response.read1(65_536), b"")):
                    if data == "[DONE]":
                        return
                    yield _piece(data)
        except urllib.error.HTTPError as error:
            raise ServerError(f"{address} answered {error.code}: {_message(error.read())}", error.code) from error
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"{address} did not answer to the end: {error!r}. Does the server run there?") from error
        raise ServerError(f"{address} broke off before the end of the answer.")

    def complete(self, messages: Sequence[Mapping[str, str]], **options: Any) -> str:
        """Return the whole answer. Ctrl-C closes the connection before it goes on upwards."""
        with contextlib.closing(self.stream(messages, **options)) as pieces:  # pyright: ignore[reportArgumentType]
            return "".join(pieces)


def _piece(data: str) -> str:
    """The text of one event; the first has a role alone, and one of usage has no choices."""
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ServerError(f"the server sent an event that is no JSON: {data[:200]}") from error
    if "error" in content:
        raise ServerError(f"the server sent an error: {_message(data.encode())}")
    return "".join(choice["delta"].get("content") or "" for choice in content.get("choices", []))


def _message(body: bytes) -> str:
    """What an error says: OpenAI's form, or the text as it is."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:500]
    return str(error.get("message", error) if isinstance(error, dict) else error)
