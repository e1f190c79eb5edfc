# pyright: basic
"""Ways to get instruction tuning wrong, and right ways that differ."""

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.generative.instruction_tuning.instruction_tuning import (
    IGNORE,
    NothingTrains,
    Packed,
    Piece,
    _check_messages,
    _header,
    packed_mask,
    sft_loss,
)


@mistake("render", edit=("Piece(template.stop, True, trains)", "Piece(template.stop, True, False)"))
def never_trains_the_stop_token():
    """Your stop token does not train. The model never learns to end its answer, and talks on until it is cut off."""


@mistake("render", edit=('message["role"] == "assistant"', 'message["role"] != "assistant"'))
def inverts_the_mask():
    """You train everybody but the assistant: the model learns to ask, and not to answer."""


@mistake("render", edit=('trains = message["role"] == "assistant"', "trains = True"))
def trains_everybody():
    """You train every message. The model then learns to write users' questions, too; only its answers should train."""


@mistake(
    "render",
    edit=('message["content"].strip() if template.strip else message["content"]', 'message["content"].strip()'),
)
def strips_everywhere():
    """You strip the content in every template. Only some do: the prompt then differs from that at inference."""


@mistake(
    "encode_chat",
    edit=("[_special(specials, piece.text)] if piece.special else encode(piece.text)", "encode(piece.text)"),
)
def spells_special_tokens():
    """You give special tokens to the tokenizer as letters. Each is one token with a number of its own."""


@mistake("encode_chat", edit=("trains[:max_tokens]", "trains"))
def cuts_tokens_only():
    """You cut the tokens and not their marks: both must have the same length."""


@mistake("encode_chat", edit=("    if not any(example.trains):", "    if not any(trains):"))
def looks_before_the_cut():
    """You ask whether a token trains before the cut. An answer that is cut off leaves nothing: look at what is left."""


@mistake("pack", edit=("torch.arange(len(tokens))", "torch.arange(place.start, place.stop)"))
def counts_positions_on():
    """Your positions go on from one example to the next. Each example begins at 0, as it will at inference."""


@mistake("pack", edit=("            packed.labels[number, start] = IGNORE\n", ""))
def predicts_across_the_border():
    """You train the first token of an example: the last token of its neighbour would have to predict it."""


@mistake(
    "pack",
    edit=(
        "tokens.masked_fill(~torch.tensor(example.trains), IGNORE)",
        "tokens.masked_fill(~torch.tensor(example.trains) | (tokens == padding), IGNORE)",
    ),
)
def takes_padding_by_its_number():
    """You ignore every token with the number of the padding. Where padding is the stop token, no answer ever ends."""


@mistake("pack", edit=("sum(len(other.tokens) for other in row) + size <= length", "False"))
def packs_nothing():
    """You give every example a row of its own. Put it into the first row with room for it."""


@mistake("packed_mask", edit=("same.tril()", "same"))
def looks_ahead():
    """Your tokens see what comes after them in their example, so the answer can be copied. Keep the lower triangle."""


@mistake("packed_mask", edit=("return same.tril()", "return torch.ones_like(same).tril()"))
def sees_the_neighbours():
    """Your mask is causal over the whole row: an example sees the ones packed before it."""


@mistake("packed_mask", edit=("same.tril()", "same.tril(-1)"))
def does_not_see_itself():
    """Your tokens do not see themselves, and the first of an example sees nothing at all. Keep the diagonal."""


@mistake("sft_loss", edit=("logits[:, :-1].flatten(0, 1), targets.flatten()", "logits.flatten(0, 1), labels.flatten()"))
def predicts_itself():
    """You compare logits and labels at the same place. The logits at t predict the label at t + 1."""


@mistake("sft_loss", edit=("ignore_index=IGNORE)", 'ignore_index=IGNORE, reduction="sum") / targets.numel()'))
def divides_by_the_padded_length():
    """You divide by all places, padding and prompt among them. Take the mean over the tokens that train."""


@mistake("sft_step", edit=("(count / sum(counts))", "(1 / len(batches))"))
def averages_batches():
    """You average the batches' means. Tokens in a short batch then count for more: weigh by tokens."""


@mistake("sft_step", edit=("    optimizer.zero_grad()\n", ""))
def keeps_old_gradients():
    """You never forget the gradients of the last step: they add up."""


@mistake("sft_step", edit=("    nn.utils.clip_grad_norm_(model.parameters(), max_norm)\n", ""))
def never_clips():
    """You do not clip. One odd example can then throw the model off."""


@variant("render")
def as_a_generator(messages, template, *, generate=False):
    """Pieces come one by one."""
    _check_messages(messages, template)

    def pieces():
        if template.begin:
            yield Piece(template.begin, True, False)
        for message in messages:
            role, content = message["role"], message["content"]
            yield from _header(template, role)
            yield Piece(content.strip() if template.strip else content, False, role == "assistant")
            yield Piece(template.stop, True, role == "assistant")
            if template.after:
                yield Piece(template.after, False, False)
        if generate:
            yield from _header(template, "assistant")

    return list(pieces())


@variant("pack")
def through_lists(examples, length, padding):
    """Rows are lists until the end."""
    if not len(examples):
        raise ValueError("examples is empty")
    rows = []
    for number, one in enumerate(examples):
        if not one.tokens or len(one.tokens) > length:
            raise ValueError(f"example {number} has {len(one.tokens)} tokens; 1 to length={length} are allowed")
        for row in rows:
            if len(row[0]) + len(one.tokens) <= length:
                break
        else:
            row = [[], [], [], []]
            rows.append(row)
        segment = row[3][-1] + 1 if row[3] else 0
        row[0] += one.tokens
        row[1] += [t if mark and place else IGNORE for place, (t, mark) in enumerate(zip(*one, strict=True))]
        row[2] += range(len(one.tokens))
        row[3] += [segment] * len(one.tokens)
    for row in rows:
        for part, filling in zip(row, (padding, IGNORE, 0, -1), strict=True):
            part += [filling] * (length - len(part))
    return Packed(*(torch.tensor([row[place] for row in rows]) for place in range(4)))


@variant("sft_loss")
def by_log_softmax(logits, labels):
    """Gathered from the log-softmax, and divided by the count."""
    targets = labels[:, 1:]
    kept = targets != IGNORE
    if not kept.any():
        raise NothingTrains(f"all labels are {IGNORE}")
    return -logits[:, :-1][kept].log_softmax(-1).gather(1, targets[kept][:, None]).mean()


@variant("sft_step")
def sums_then_divides(model, batches, optimizer, max_norm=1.0):
    """The loss is a sum over tokens, divided by how many train in all."""
    optimizer.zero_grad()
    count = sum((b.labels[:, 1:] != IGNORE).sum() for b in batches)
    losses = []
    for b in batches:
        own = (b.labels[:, 1:] != IGNORE).sum()
        loss = sft_loss(model(b.tokens, b.positions, packed_mask(b.segments)), b.labels) * own / count
        loss.backward()
        losses.append(loss.detach())
    torch.nn.utils.clip_grad_norm_(list(model.parameters()), max_norm)
    optimizer.step()
    return float(sum(losses))
