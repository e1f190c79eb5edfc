"""BERT: an encoder that learns language by filling gaps, and the heads that it is fine-tuned with.

Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding"
(2018), https://arxiv.org/abs/1810.04805, whose sections are cited below. With the weights of a checkpoint the outputs
are those of `transformers`. The attention is that of `deep/attention`; True in a mask means "is a token, no padding".

Not here: the tokenizer (WordPiece), next-sentence prediction, and the training loop, which is that of `deep/training`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.stack.deep.attention import MultiHeadAttention


@dataclass(frozen=True)
class Config:
    """The sizes of a BERT; the defaults are those of bert-base.

    Attributes:
        vocabulary: how many tokens there are.
        layers: blocks.
        heads: attentions of a block; they divide the width.
        width: size of a token's vector.
        hidden: inner size of a block's feed-forward layer.
        places: the longest sequence.
        kinds: kinds of segments: question and passage, or first and second sentence.
        dropout: probability with which a number, or a weight of attention, is dropped in training.
        epsilon: added to the variance in every norm.
    """

    vocabulary: int = 30_522
    layers: int = 12
    heads: int = 12
    width: int = 768
    hidden: int = 3072
    places: int = 512
    kinds: int = 2
    dropout: float = 0.1
    epsilon: float = 1e-12


class Embeddings(nn.Module):
    """A vector for each token: of the word, of its place and of its segment, added up and normed (section 3)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.places = nn.Embedding(config.places, config.width)
        self.kinds = nn.Embedding(config.kinds, config.width)
        self.norm = nn.LayerNorm(config.width, config.epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, tokens: Int[Tensor, "batch tokens"], kinds: Int[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        """Look up word, place and segment, add the three, norm the sum, and drop.

        Args:
            tokens: numbers below the vocabulary.
            kinds: the segment of each token; None puts all into segment 0.

        Raises:
            ValueError: there are more tokens than places.
        """
        _check_length(tokens.shape[1], self.places.num_embeddings)
        if kinds is None:
            kinds = torch.zeros_like(tokens)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.dropout(self.norm(self.words(tokens) + self.places(places) + self.kinds(kinds)))


class Block(nn.Module):
    """Self-attention and a feed-forward layer; the sum of each with what came in is normed ("post-norm")."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.width, config.heads, config.dropout)
        self.up = nn.Linear(config.width, config.hidden)
        self.down = nn.Linear(config.hidden, config.width)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width, config.epsilon) for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, inputs: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        """Return the new vectors of the tokens; every token sees both sides.

        What attention and the feed-forward layer give goes through dropout, is added to what they read, and the sum is
        normed by `norms[0]` and `norms[1]`. The feed-forward layer is `down(gelu(up(x)))` with the exact GELU.

        Args:
            inputs: the vectors of the tokens.
            mask: True for tokens, False for padding, which nobody looks at.
        """
        keys = None if mask is None else mask[:, None, :]  # (batch, 1, tokens): the same keys for every query
        looked, _ = self.attention(inputs, inputs, keys)
        hidden = self.norms[0](inputs + self.dropout(looked))
        fed = self.down(nn.functional.gelu(self.up(hidden)))
        return self.norms[1](hidden + self.dropout(fed))


class Bert(nn.Module):
    """Embeddings and blocks: a vector in context for each token.

    New weights are drawn as BERT's were: normal with deviation 0.02, biases 0.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.pooler = nn.Linear(config.width, config.width)
        self.apply(_draw)

    def forward(
        self,
        tokens: Int[Tensor, "batch tokens"],
        kinds: Int[Tensor, "batch tokens"] | None = None,
        mask: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Return the last block's vectors. The arguments are those of `Embeddings.forward` and `Block.forward`."""
        hidden = self.embeddings(tokens, kinds)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return hidden

    def pool(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        """One vector for a whole sequence: its first token's, through a dense layer and tanh."""
        return self.pooler(hidden[:, 0]).tanh()


class MaskedLanguageModel(nn.Module):
    """BERT with the head that names hidden words; its last matrix is that of the word embeddings (section 3.1)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bert = Bert(config)
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, config.epsilon)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))
        self.dense.apply(_draw)

    def forward(
        self, tokens: Int[Tensor, "batch tokens"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens vocabulary"]:
        """Return a score for every word at every place."""
        hidden = self.norm(nn.functional.gelu(self.dense(self.bert(tokens, None, mask))))
        return hidden @ self.bert.embeddings.words.weight.T + self.bias


class Classifier(nn.Module):
    """BERT with a linear layer on the pooled vector: a class for a text or for a pair of texts."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        self.bert = Bert(config)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, classes)
        self.head.apply(_draw)

    def forward(
        self,
        tokens: Int[Tensor, "batch tokens"],
        kinds: Int[Tensor, "batch tokens"] | None = None,
        mask: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Return a score for every class."""
        return self.head(self.dropout(self.bert.pool(self.bert(tokens, kinds, mask))))


class SpanReader(nn.Module):
    """BERT with two scores for each token: does the answer begin here, and does it end here (section 4.2)?"""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bert = Bert(config)
        self.head = nn.Linear(config.width, 2)
        self.head.apply(_draw)

    def forward(
        self,
        tokens: Int[Tensor, "batch tokens"],
        kinds: Int[Tensor, "batch tokens"] | None = None,
        mask: Bool[Tensor, "batch tokens"] | None = None,
    ) -> tuple[Float[Tensor, "batch tokens"], Float[Tensor, "batch tokens"]]:
        """Return the scores of starts and of ends; `best_span` reads them."""
        starts, ends = self.head(self.bert(tokens, kinds, mask)).unbind(dim=-1)
        return starts, ends


class Span(NamedTuple):
    """An answer: the tokens `first` to `last`, both included, and `gain`, its score less that of no answer."""

    first: int
    last: int
    gain: float


def mask_tokens(
    tokens: Int[Tensor, "batch tokens"],
    special: Sequence[int],
    mask_token: int,
    vocabulary: int,
    rng: np.random.Generator,
    share: float = 0.15,
) -> tuple[Int[Tensor, "batch tokens"], Bool[Tensor, "batch tokens"]]:
    """Choose places to be predicted, and hide most of them (section 3.1, "Masked LM").

    Every place is chosen with probability `share`, independently; a special token never. Of the chosen places 80 %
    become `mask_token`, 10 % a token drawn from the whole vocabulary, and 10 % stay as they are, each by its own draw.

    Args:
        tokens: the true tokens. They are not changed.
        special: tokens that are never chosen: start, separator, padding.
        mask_token: what stands for a hidden word.
        vocabulary: random tokens are below it.
        rng: where all draws come from.
        share: probability of being chosen.

    Returns:
        The tokens to read, and True at the chosen places, also at those that stayed.

    Raises:
        ValueError: `share` is not a probability.
    """
    _check_share(share)
    candidate = ~torch.isin(tokens, torch.tensor(special))
    chosen = torch.from_numpy(rng.random(tokens.shape) < share) & candidate
    fate = torch.from_numpy(rng.random(tokens.shape))
    drawn = torch.from_numpy(rng.integers(vocabulary, size=tokens.shape))
    inputs = torch.where(chosen & (fate < 0.8), mask_token, tokens)
    return torch.where(chosen & (fate >= 0.9), drawn, inputs), chosen


def masked_loss(
    logits: Float[Tensor, "batch tokens vocabulary"],
    tokens: Int[Tensor, "batch tokens"],
    chosen: Bool[Tensor, "batch tokens"],
) -> Float[Tensor, ""]:
    """The mean of -log probability of the true tokens, over the chosen places of all rows together.

    Other places have no part in it. Where no place was chosen it is 0, with gradients of 0, not NaN.
    """
    costs = nn.functional.cross_entropy(logits[chosen], tokens[chosen], reduction="sum")
    return costs / chosen.sum().clamp(min=1)


def best_span(
    starts: Float[Tensor, " tokens"],
    ends: Float[Tensor, " tokens"],
    legal: Bool[Tensor, " tokens"],
    longest: int = 30,
    margin: float = 0.0,
) -> Span | None:
    """The answer that a reader's scores point at, or None for "the passage does not say" (section 4.3).

    A span is scored by its start plus its end. It is legal if both ends are, if it does not end before it starts, and
    if it has at most `longest` tokens. "No answer" is the span of token 0 alone, and wins where it exceeds the best
    legal span by more than `margin`.

    Args:
        starts: score of each token as the first.
        ends: score of each token as the last.
        legal: True for tokens of the passage, as opposed to question, special tokens and padding.
        longest: tokens of the longest answer.
        margin: by how much no answer has to win; it is tuned on questions with known answers.

    Returns:
        The best legal span; None where no answer wins, and where no span is legal.

    Raises:
        ValueError: the three differ in length, or `longest` is below 1.
    """
    _check_span(starts, ends, legal, longest)
    allowed = torch.ones(len(starts), len(ends), dtype=torch.bool).triu().tril(longest - 1)
    allowed = allowed & legal[:, None] & legal
    scores = (starts[:, None] + ends).masked_fill(~allowed, -torch.inf)  # (first, last)
    first, last = divmod(int(scores.argmax()), len(ends))
    gain = float(scores[first, last] - starts[0] - ends[0])
    return Span(first, last, gain) if allowed.any() and gain >= -margin else None


def linear_schedule(step: int, warmup: int, total: int) -> float:
    """The learning rate of a step as a share of its peak: from 0 up over `warmup` steps, then straight to 0 at `total`.

    It is the lambda of `torch.optim.lr_scheduler.LambdaLR`; steps count from 0.
    """
    if step < warmup:
        return step / warmup
    return max(0.0, (total - step) / max(1, total - warmup))


def layer_groups(
    model: MaskedLanguageModel | Classifier | SpanReader, rate: float, decay: float, weight_decay: float = 0.01
) -> list[dict[str, Any]]:
    """Parameter groups for fine-tuning: the deeper a layer lies under the head, the smaller its learning rate.

    The head and the pooler learn at `rate`, the last block at `rate * decay`, the block under it at `rate * decay²`,
    and so on; the embeddings come last, at `rate * decay^(layers + 1)` (Howard and Ruder, 2018,
    https://arxiv.org/abs/1801.06146). Biases and norms, which are vectors, have no weight decay.

    Args:
        model: BERT under a head.
        rate: learning rate of the head.
        decay: ratio of the rates of neighbouring layers; 1 gives all the same.
        weight_decay: decay of the matrices.

    Returns:
        For each layer two groups with `params`, `lr` and `weight_decay`, for `torch.optim.AdamW`. Each parameter that
        requires a gradient stands in one of them; frozen ones stand in none. A group without parameters is left out.

    Raises:
        ValueError: `decay` is not above 0 and at most 1.
    """
    _check_decay(decay)
    below = [model.bert.embeddings, *model.bert.blocks]
    groups, taken = [], set()
    for depth, layer in enumerate([*below, model]):
        own = [weight for weight in layer.parameters() if weight.requires_grad and weight not in taken]
        taken.update(own)
        for matrices in (True, False):
            params = [weight for weight in own if (weight.ndim > 1) == matrices]
            if params:
                lr = rate * decay ** (len(below) - depth)
                groups.append({"params": params, "lr": lr, "weight_decay": weight_decay if matrices else 0.0})
    return groups


_NAMES = (
    (r"embeddings\.word_embeddings", "embeddings.words"),
    (r"embeddings\.position_embeddings", "embeddings.places"),
    (r"embeddings\.token_type_embeddings", "embeddings.kinds"),
    (r"embeddings\.LayerNorm", "embeddings.norm"),
    (r"encoder\.layer\.(\d+)\.attention\.self", r"blocks.\1.attention"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense", r"blocks.\1.attention.out"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm", r"blocks.\1.norms.0"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense", r"blocks.\1.up"),
    (r"encoder\.layer\.(\d+)\.output\.dense", r"blocks.\1.down"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm", r"blocks.\1.norms.1"),
    (r"pooler\.dense", "pooler"),
    (r"cls\.predictions\.transform\.dense", "dense"),
    (r"cls\.predictions\.transform\.LayerNorm", "norm"),
    (r"cls\.predictions\.bias", "bias"),
    (r"^(classifier|qa_outputs)\.", "head."),
)


def load_hugging_face(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the tensors of a checkpoint of `transformers` into a model of this module that has the same shape.

    BertModel fits `Bert`, and BertForMaskedLM, -SequenceClassification and -QuestionAnswering fit the heads. A pooler
    that the checkpoint lacks stays as it was drawn.

    Raises:
        ValueError: a tensor is missing, is too much, or has another shape.
    """
    renamed = {}
    for name, tensor in state.items():
        if "cls.predictions.decoder" in name or name.endswith("position_ids"):
            continue  # the word embeddings once more, and a buffer that counts
        for pattern, replacement in _NAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    wrong = [name for name, value in renamed.items() if wanted.get(name) != value.shape]
    wrong += [name for name in wanted if name not in renamed and "pooler" not in name]
    if wrong:
        raise ValueError(f"state does not fit the model at {sorted(wrong)[:5]}: give the Config of the checkpoint.")
    model.load_state_dict(renamed, strict=False)


def _draw(module: nn.Module) -> None:
    """Draw the weights of one layer as BERT's were."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _check_length(tokens: int, places: int) -> None:
    if tokens > places:
        raise ValueError(f"tokens must be at most {places} long, the places of the model, got {tokens}: cut the text.")


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, got {share}: 0.15 is BERT's.")


def _check_span(starts: Tensor, ends: Tensor, legal: Tensor, longest: int) -> None:
    if not len(starts) == len(ends) == len(legal):
        raise ValueError(
            f"starts, ends and legal must have one length, got {len(starts)}, {len(ends)} and {len(legal)}: "
            "give the scores of one text."
        )
    if longest < 1:
        raise ValueError(f"longest must be at least 1, got {longest}: an answer has a token.")


def _check_decay(decay: float) -> None:
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1, got {decay}: 1 gives all layers the same rate.")
