# pyright: basic
"""Ways to get BERT and its fine-tuning wrong, and right ways that differ."""

import torch
from torch import nn

from groundup.anatomy import mistake, variant
from groundup.stack.deep.bert.bert import Span


@mistake("Embeddings.forward", edit=(" + self.kinds(kinds)", ""))
def forgets_the_segments():
    """You leave out the segments. A reader then cannot tell the question from the passage."""


@mistake("Embeddings.forward", edit=("torch.arange(tokens.shape[1], ", "torch.arange(1, tokens.shape[1] + 1, "))
def counts_places_from_1():
    """Your places begin at 1. The first token is at place 0; the longest text would ask for a place too many."""


@mistake(
    "Embeddings.forward",
    edit=(
        "self.norm(self.words(tokens) + self.places(places) + self.kinds(kinds))",
        "self.norm(self.words(tokens)) + self.places(places) + self.kinds(kinds)",
    ),
)
def norms_the_words_alone():
    """You norm the words and add the rest. The norm takes the sum of all three."""


@mistake("Block.forward")
def norms_what_is_read(self, inputs, mask=None):
    """You norm what each part reads ("pre-norm", as GPT does). BERT norms the sum, and its weights fit only that."""
    keys = None if mask is None else mask[:, None, :]
    normed = self.norms[0](inputs)
    looked, _ = self.attention(normed, normed, keys)
    hidden = inputs + self.dropout(looked)
    return hidden + self.dropout(self.down(nn.functional.gelu(self.up(self.norms[1](hidden)))))


@mistake("Block.forward", edit=("nn.functional.gelu(self.up(hidden))", "nn.functional.relu(self.up(hidden))"))
def cuts_by_relu():
    """Your feed-forward layer has ReLU, as the transformer of 2017. BERT has the exact GELU."""


@mistake("Block.forward", edit=("mask[:, None, :]", "~mask[:, None, :]"))
def looks_at_padding_only():
    """You invert the mask. True stands for a token here, and for "may look" in the attention: pass it on as it is."""


@mistake(
    "Block.forward", edit=("self.norms[1](hidden + self.dropout(fed))", "self.norms[1](inputs + self.dropout(fed))")
)
def adds_the_block_input():
    """Your second sum adds what the block read. It adds what the first norm gave, or attention's work is lost."""


@mistake("mask_tokens", edit=("& candidate", "| ~candidate"))
def hides_special_tokens():
    """You choose the special tokens. Start, separators and padding are no words: there is nothing to predict."""


@mistake("mask_tokens", edit=("chosen & (fate < 0.8)", "chosen"))
def hides_all_that_is_chosen():
    """You hide every chosen place. Fine-tuning never shows [MASK]: keep 10 %, and make 10 % random."""


@mistake(
    "mask_tokens", edit=("return torch.where(chosen & (fate >= 0.9), drawn, inputs), chosen", "return inputs, chosen")
)
def draws_no_random_token():
    """None of your chosen places gets a random token. They make the model doubt also words that it can see."""


@mistake("mask_tokens", edit=("drawn, inputs), chosen", "drawn, inputs), inputs != tokens"))
def forgets_places_that_stayed():
    """You report the places that changed. The chosen tenth that stays counts too: the model must name it as well."""


@mistake("masked_loss", edit=("chosen.sum().clamp(min=1)", "chosen.numel()"))
def divides_by_all_places():
    """You divide by all places. The mean is over the chosen ones, or the loss shrinks with the share of masks."""


@mistake("masked_loss")
def takes_the_mean_of_rows(logits, tokens, chosen):
    """You take each row's mean, and then theirs. A chosen place counts the same in whichever row it stands."""
    costs = nn.functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none") * chosen
    counts = chosen.sum(dim=1)
    return (costs.sum(dim=1) / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)


@mistake("best_span", edit=(".triu()", ""))
def ends_before_it_starts():
    """Your span may end before it starts. Both scores are high there, and no text lies between."""


@mistake("best_span", edit=("tril(longest - 1)", "tril(longest)"))
def lets_one_token_too_many():
    """Your longest span has a token more than `longest`: first and last are both part of it."""


@mistake("best_span", edit=("gain >= -margin", "gain >= margin"))
def asks_the_span_for_the_margin():
    """You demand the margin of the span. No answer must win by more than the margin; otherwise the span stands."""


@mistake("layer_groups", edit=("decay ** (len(below) - depth)", "decay ** depth"))
def learns_fastest_below():
    """Your embeddings learn at the full rate and the head at the smallest. It is the other way round."""


@mistake("layer_groups", edit=("weight_decay if matrices else 0.0", "weight_decay"))
def decays_vectors_too():
    """You decay biases and norms. A norm's weight means 1, so pulling it to 0 changes the model."""


@mistake("layer_groups", edit=(" and weight not in taken", ""))
def lists_weights_twice():
    """Your last groups hold the layers below once more. An optimizer refuses a parameter in two groups."""


@variant("Block.forward")
def without_the_attention_module(self, inputs, mask=None):
    """PyTorch's scaled dot products between the four projections."""
    layer = self.attention
    queries, keys, values = (
        part(inputs).unflatten(-1, (layer.heads, -1)).transpose(1, 2) for part in (layer.query, layer.key, layer.value)
    )
    seen = None if mask is None else mask[:, None, None, :]
    chance = layer.dropout if self.training else 0.0
    looked = nn.functional.scaled_dot_product_attention(queries, keys, values, seen, dropout_p=chance)
    hidden = self.norms[0](self.dropout(layer.out(looked.transpose(1, 2).flatten(2))) + inputs)
    return self.norms[1](self.dropout(self.down(nn.functional.gelu(self.up(hidden)))) + hidden)


@variant("mask_tokens")
def one_draw_for_both(tokens, special, mask_token, vocabulary, rng, share=0.15):
    """One uniform draw decides whether a place is chosen and what becomes of it."""
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, got {share}.")
    draw = torch.from_numpy(rng.random(tuple(tokens.shape)))
    draw[sum((tokens == each for each in special), torch.zeros_like(tokens)).bool()] = 2.0
    inputs = tokens.clone()
    inputs[draw < 0.8 * share] = mask_token
    swapped = (draw >= 0.8 * share) & (draw < 0.9 * share)
    inputs[swapped] = torch.from_numpy(rng.integers(0, vocabulary, int(swapped.sum())))
    return inputs, draw < share


@variant("best_span")
def by_two_loops(starts, ends, legal, longest=30, margin=0.0):
    """Every pair, one by one."""
    if not len(starts) == len(ends) == len(legal):
        raise ValueError(f"starts, ends and legal differ in length: {len(starts)}, {len(ends)}, {len(legal)}")
    if longest < 1:
        raise ValueError(f"longest is {longest}")
    best = None
    for first in range(len(starts)):
        for last in range(first, min(first + longest, len(ends))):
            gain = float(starts[first] + ends[last] - starts[0] - ends[0])
            if legal[first] and legal[last] and (best is None or gain > best.gain):
                best = Span(first, last, gain)
    return best if best is not None and best.gain >= -margin else None
