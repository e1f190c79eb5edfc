"""Teach a model that continues text to answer: chats as tokens, of which only the assistant's train.

    example = encode_chat(messages, CHATML, tokenizer.encode, specials)     # tokens, and which of them train
    batch = pack(examples, length=512, padding=0)                           # several chats in a row, none sees another
    loss = sft_step(model, [batch], optimizer)                              # the assistant's tokens only

A template says how a chat is written as text: ChatML (OpenAI, 2023; Qwen and others use it), Llama 3's, and one of our
own. Their special tokens are single tokens that no text can be made of.

Not covered: calls of tools as objects (write them as JSON into the assistant's content), pictures, templates in Jinja.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

IGNORE = -100
"""The label of a token that does not train; PyTorch's cross-entropy leaves it out."""

ROLES = ("system", "user", "assistant", "tool")

Message = Mapping[str, str]
"""A "role", one of `ROLES`, and its "content"."""


class NothingTrains(ValueError):
    """An example or a batch in which no token trains: its loss would be 0 / 0."""


class Piece(NamedTuple):
    """A part of a chat: ordinary text or one special token; `trains` where the model must learn to write it."""

    text: str
    special: bool
    trains: bool


class Example(NamedTuple):
    """A chat as tokens, and for each whether it trains."""

    tokens: list[int]
    trains: list[bool]


class Packed(NamedTuple):
    """Rows of several examples, filled up with padding.

    Attributes:
        tokens: of shape (rows, length).
        labels: the token itself where it trains, else `IGNORE`.
        positions: the place of each token in its own example, from 0; 0 for padding.
        segments: which example of its row a token is of, from 0; -1 for padding.
    """

    tokens: Int[Tensor, "rows length"]
    labels: Int[Tensor, "rows length"]
    positions: Int[Tensor, "rows length"]
    segments: Int[Tensor, "rows length"]


@dataclass(frozen=True)
class Template:
    """How a message is written.

    Attributes:
        header: the pieces ahead of the content; "{role}" stands for the role, and "<|…|>" is a special token.
        stop: the special token that ends a message.
        after: text after the stop token.
        begin: the special token that begins a chat, if any.
        strip: whether the content loses white space at both ends.
    """

    header: tuple[str, ...]
    stop: str
    after: str = ""
    begin: str = ""
    strip: bool = False

    @property
    def specials(self) -> tuple[str, ...]:
        """Every special token, each once."""
        texts = [part.format(role=role) for role in ROLES for part in self.header]
        return tuple(dict.fromkeys(text for text in (self.begin, *texts, self.stop) if _is_special(text)))

    @property
    def jinja(self) -> str:
        """The same template in Jinja, as files of models carry it for transformers and llama.cpp.

        Only `render` refuses a special token in a content: programs that run this one read it as what it poses as.
        """
        header = _joined("".join(self.header).split("{role}"), "message['role']")
        content = "message['content'] | trim" if self.strip else "message['content']"
        answer = "".join(self.header).format(role="assistant")
        return (
            (f"{{{{ {json.dumps(self.begin)} }}}}" if self.begin else "")
            + f"{{% for message in messages %}}{{{{ {header} }}}}{{{{ {content} }}}}"
            + f"{{{{ {json.dumps(self.stop + self.after)} }}}}{{% endfor %}}"
            + f"{{% if add_generation_prompt %}}{{{{ {json.dumps(answer)} }}}}{{% endif %}}"
        )


CHATML = Template(header=("<|im_start|>", "{role}\n"), stop="<|im_end|>", after="\n")
LLAMA3 = Template(
    header=("<|start_header_id|>", "{role}", "<|end_header_id|>", "\n\n"),
    stop="<|eot_id|>",
    begin="<|begin_of_text|>",
    strip=True,
)
GROUNDUP = Template(header=("<|{role}|>",), stop="<|end|>", begin="<|begin|>")

# --- from a chat to tokens ------------------------------------------------------------------------------------------


def render(messages: Sequence[Message], template: Template, *, generate: bool = False) -> list[Piece]:
    """Write a chat by a template.

    The assistant's content and the stop token after it train; headers, other roles and text after a stop token do not.

    Args:
        messages: each with a role and a content.
        template: how messages are written.
        generate: end with the header of an answer, for the model to go on from.

    Raises:
        ValueError: no message, an unknown role, or a content with a special token in it, which could pose as another
            speaker.
    """
    _check_messages(messages, template)
    pieces = [Piece(template.begin, True, False)] if template.begin else []
    for message in messages:
        trains = message["role"] == "assistant"
        content = message["content"].strip() if template.strip else message["content"]
        pieces += _header(template, message["role"])
        pieces += [Piece(content, False, trains), Piece(template.stop, True, trains)]
        if template.after:
            pieces.append(Piece(template.after, False, False))
    if generate:
        pieces += _header(template, "assistant")
    return pieces


def encode_chat(
    messages: Sequence[Message],
    template: Template,
    encode: Callable[[str], Sequence[int]],
    specials: Mapping[str, int],
    max_tokens: int | None = None,
) -> Example:
    """Turn a chat into tokens, and mark those that train.

    Args:
        messages: each with a role and a content.
        template: how messages are written.
        encode: the tokens of an ordinary text; it is never given a special token.
        specials: the token of each special of the template.
        max_tokens: cut after as many; None cuts nothing.

    Raises:
        NothingTrains: no token trains: there is no answer, or it was cut off.
        ValueError: a special token has no number, or `render` refuses the chat.
    """
    tokens: list[int] = []
    trains: list[bool] = []
    for piece in render(messages, template):
        part = [_special(specials, piece.text)] if piece.special else encode(piece.text)
        tokens += part
        trains += [piece.trains] * len(part)
    example = Example(tokens[:max_tokens], trains[:max_tokens])
    if not any(example.trains):
        raise NothingTrains(
            f"messages have no assistant's token within max_tokens={max_tokens}: roles are "
            f"{', '.join(message['role'] for message in messages)}. Leave the chat out, or shorten its prompt."
        )
    return example


# --- from examples to rows ------------------------------------------------------------------------------------------


def pack(examples: Sequence[Example], length: int, padding: int) -> Packed:
    """Put examples into rows, each into the first row with room for it, in their order.

    The first token of an example never trains: what stands before it belongs to another. Padding never trains, also
    where its number is that of a token which does.

    Args:
        examples: each at most `length` tokens long.
        length: tokens of a row.
        padding: the token that fills up rows.

    Raises:
        ValueError: there is no example, or one is empty or longer than a row.
    """
    rows: list[list[Example]] = []
    for number, example in enumerate(examples):
        size = len(example.tokens)
        if not 0 < size <= length:
            raise ValueError(f"examples must have 1 to length={length} tokens, and example {number} has {size}.")
        row = next((row for row in rows if sum(len(other.tokens) for other in row) + size <= length), None)
        if row is None:
            rows.append([example])
        else:
            row.append(example)
    if not rows:
        raise ValueError("examples must hold at least 1 example, got none.")
    packed = Packed(*(torch.full((len(rows), length), value) for value in (padding, IGNORE, 0, -1)))
    for number, row in enumerate(rows):
        start = 0
        for segment, example in enumerate(row):
            place = slice(start, start + len(example.tokens))
            tokens = torch.tensor(example.tokens)
            packed.tokens[number, place] = tokens
            packed.labels[number, place] = tokens.masked_fill(~torch.tensor(example.trains), IGNORE)
            packed.labels[number, start] = IGNORE
            packed.positions[number, place] = torch.arange(len(tokens))
            packed.segments[number, place] = segment
            start = place.stop
    return packed


def packed_mask(segments: Int[Tensor, "rows length"]) -> Bool[Tensor, "rows length length"]:
    """Return which token (row) may look at which (column): itself and earlier ones of its own example.

    Padding looks at padding, so that no token looks at nothing.
    """
    same = segments[:, :, None] == segments[:, None, :]  # (rows, length, length)
    return same.tril()


# --- the loss and a step --------------------------------------------------------------------------------------------


def sft_loss(logits: Float[Tensor, "rows length vocabulary"], labels: Int[Tensor, "rows length"]) -> Float[Tensor, ""]:
    """Return the mean cross-entropy over the tokens that train. The logits at place t predict the label at t + 1.

    Raises:
        NothingTrains: every label after the first is `IGNORE`.
    """
    targets = labels[:, 1:]
    if not (targets != IGNORE).any():
        raise NothingTrains(f"labels of shape {tuple(labels.shape)} are {IGNORE} everywhere: nothing in it trains.")
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=IGNORE)


def sft_step(model: nn.Module, batches: Sequence[Packed], optimizer: Any, max_norm: float = 1.0) -> float:
    """Take one step on several batches as if they were one, and return the loss before it.

    Each token that trains counts the same, whichever batch it stands in: a batch counts by its share of them.

    Args:
        model: called with tokens, positions and the mask of `packed_mask`; returns logits.
        batches: gradients are summed over them, one batch in memory at a time.
        optimizer: any of PyTorch's: it has `zero_grad` and `step`.
        max_norm: gradients are scaled down to this norm where they are larger.

    Raises:
        NothingTrains: a batch has no token that trains.
    """
    counts = [int((batch.labels[:, 1:] != IGNORE).sum()) for batch in batches]
    optimizer.zero_grad()
    total = 0.0
    for batch, count in zip(batches, counts, strict=True):
        logits = model(batch.tokens, batch.positions, packed_mask(batch.segments))
        loss = sft_loss(logits, batch.labels) * (count / sum(counts))
        loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total


def _header(template: Template, role: str) -> Iterator[Piece]:
    for part in template.header:
        text = part.format(role=role)
        yield Piece(text, _is_special(text), False)


def _joined(parts: Sequence[str], between: str) -> str:
    """Texts as literals of Jinja, with an expression between every two."""
    return f" + {between} + ".join(json.dumps(part) for part in parts)


def _is_special(text: str) -> bool:
    return text.startswith("<|") and text.endswith("|>")


def _special(specials: Mapping[str, int], text: str) -> int:
    if text not in specials:
        raise ValueError(f"specials must give the token of {text!r}, and has {', '.join(specials) or 'none'}.")
    return specials[text]


def _check_messages(messages: Sequence[Message], template: Template) -> None:
    if not messages:
        raise ValueError("messages must hold at least 1 message, got none.")
    for number, message in enumerate(messages):
        if message["role"] not in ROLES:
            raise ValueError(f"role must be one of {', '.join(ROLES)}, got {message['role']!r} in message {number}.")
        for special in template.specials:
            if special in message["content"]:
                raise ValueError(
                    f"content must not hold the special token {special!r}, and message {number} does: "
                    "it could pose as another speaker. Take it out of the text."
                )
