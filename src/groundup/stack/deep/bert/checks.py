"""Checks of BERT."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    module_conventions,
)
from groundup.stack.deep.bert import (
    Bert,
    Block,
    Classifier,
    Config,
    Embeddings,
    MaskedLanguageModel,
    SpanReader,
    best_span,
    layer_groups,
    linear_schedule,
    mask_tokens,
    masked_loss,
)

SMALL = Config(vocabulary=11, layers=2, heads=2, width=6, hidden=10, places=9, kinds=3, dropout=0.3, epsilon=0.01)
PAD, START, END, MASK = 0, 1, 2, 3


def drawn(rng, module):
    """The module in float64, every weight drawn from `rng`, and in eval mode."""
    module = module.double().eval()
    module.load_state_dict(
        {name: torch.from_numpy(rng.normal(size=v.shape)) for name, v in module.state_dict().items()}
    )
    return module


def norm(x, layer):
    """LayerNorm by its formula."""
    x = x - x.mean(dim=-1, keepdim=True)
    return x / (x.square().mean(dim=-1, keepdim=True) + layer.eps).sqrt() * layer.weight + layer.bias


# --- Embeddings -----------------------------------------------------------------------------------------------------


def test_embeddings_by_hand():
    """Word (3, 0), place (1, 0) and segment (0, 2) sum to (4, 2); with epsilon 8 that is (1, -1) / 3."""
    layer = Embeddings(Config(vocabulary=2, width=2, places=3, kinds=2, epsilon=8.0)).eval()
    with torch.no_grad():
        layer.words.weight[1] = torch.tensor([3.0, 0.0])
        layer.places.weight[0] = torch.tensor([1.0, 0.0])
        layer.kinds.weight[1] = torch.tensor([0.0, 2.0])
    outputs = layer.forward(torch.tensor([[1]]), torch.tensor([[1]]))
    assert_close(outputs, [[[1 / 3, -1 / 3]]], rtol=1e-6)


def test_embeddings_are_the_normed_sum(rng):
    """Each token is the norm of its word, its place from 0 on and its segment."""
    layer = drawn(rng, Embeddings(SMALL))
    tokens, kinds = torch.from_numpy(rng.integers(11, size=(4, 9))), torch.from_numpy(rng.integers(3, size=(4, 9)))
    summed = layer.words.weight[tokens] + layer.places.weight[:9] + layer.kinds.weight[kinds]
    assert_close(layer.forward(tokens, kinds), norm(summed, layer.norm))


def test_embeddings_without_segments_are_of_segment_0(rng):
    """None stands for segment 0 everywhere; given segments are used."""
    layer, tokens = drawn(rng, Embeddings(SMALL)), torch.from_numpy(rng.integers(11, size=(2, 5)))
    first = layer.forward(tokens, torch.zeros(2, 5, dtype=torch.long))
    assert_close(layer.forward(tokens), first)
    assert (layer.forward(tokens, torch.ones(2, 5, dtype=torch.long)) - first).abs().max() > 1e-6, "segment 1"


def test_embeddings_drop_what_was_normed():
    """In training each number is 0 or what it is in eval mode, over 1 - dropout."""
    torch.manual_seed(0)
    layer, tokens = Embeddings(SMALL), torch.randint(11, (20, 9))
    outputs, expected = layer.train().forward(tokens), layer.eval().forward(tokens) / 0.7
    dropped = outputs == 0
    assert 0.2 < float(dropped.double().mean()) < 0.4, f"a share of {float(dropped.double().mean()):.2f} is dropped"
    assert_close(outputs[~dropped], expected[~dropped], "what is kept", rtol=1e-4, atol=1e-5)


def test_embeddings_refuse_a_text_longer_than_their_places():
    """Nine places take nine tokens, and ten are refused."""
    layer = Embeddings(SMALL)
    assert_shape(layer.forward(torch.zeros(1, 9, dtype=torch.long)), (1, 9, 6))
    assert_refuses(lambda: layer.forward(torch.zeros(1, 10, dtype=torch.long)), "tokens", 9, 10)


# --- Block ----------------------------------------------------------------------------------------------------------


def slowly(block, inputs, mask):
    """The block by its formula, one head of one text at a time."""
    layer, outputs = block.attention, torch.zeros_like(inputs)
    size = inputs.shape[-1] // layer.heads
    for row, seen in enumerate(mask):
        queries, keys, values = (part(inputs[row]) for part in (layer.query, layer.key, layer.value))
        for head in range(layer.heads):
            own = slice(head * size, (head + 1) * size)
            scores = queries[:, own] @ keys[seen][:, own].T / math.sqrt(size)
            outputs[row, :, own] = scores.softmax(dim=-1) @ values[seen][:, own]
    hidden = norm(inputs + layer.out(outputs), block.norms[0])
    inner = block.up(hidden)
    inner = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
    return norm(hidden + block.down(inner), block.norms[1])


def test_block_by_hand():
    """Where attention and feed-forward give 0, each norm makes (3, 1) into (1, -1), and the second has weight 2."""
    block = Block(Config(width=2, heads=1, hidden=1, epsilon=0.0)).eval()
    for part in (block.attention.out, block.down):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    block.norms[1].load_state_dict({"weight": torch.tensor([2.0, 2.0]), "bias": torch.zeros(2)})
    assert_close(block.forward(torch.tensor([[[3.0, 1.0]]])), [[[2.0, -2.0]]], rtol=1e-6)


def test_block_is_its_formula(rng):
    """Attention over all tokens, add, norm; exact GELU between two layers, add, norm."""
    block, inputs = drawn(rng, Block(SMALL)), torch.from_numpy(rng.normal(size=(3, 5, 6)))
    assert_close(block.forward(inputs), slowly(block, inputs, torch.ones(3, 5, dtype=torch.bool)), rtol=1e-6)


def test_block_hides_padding(rng):
    """Nobody looks at a token where the mask is False, and each text has its own mask."""
    block, inputs = drawn(rng, Block(SMALL)), torch.from_numpy(rng.normal(size=(2, 4, 6)))
    mask = torch.tensor([[True, True, True, False], [True, False, True, True]])
    assert_close(block.forward(inputs, mask), slowly(block, inputs, mask), "two masks", rtol=1e-6)
    changed = inputs.clone()
    changed[0, 3] += 5
    assert_close(block.forward(changed, mask)[0, :3], block.forward(inputs, mask)[0, :3], "padding was changed")


def test_block_sees_both_sides(rng):
    """The first token depends on the last, and the last on the first."""
    block, inputs = drawn(rng, Block(SMALL)), torch.from_numpy(rng.normal(size=(1, 4, 6)))
    for here, there in ((0, 3), (3, 0)):
        given = inputs.clone().requires_grad_()
        (slope,) = torch.autograd.grad(block.forward(given)[0, here].square().sum(), given)
        assert slope[0, there].abs().max() > 1e-9, f"token {here} does not see token {there}"


def test_block_drops_twice():
    """In training what attention gives, and what the feed-forward layer gives, go through dropout before the sum."""
    block, inputs = Block(SMALL).train(), torch.randn(2, 3, 6)
    given = []
    block.dropout.register_forward_hook(lambda module, args, output: given.append((args[0], output)))
    reads = []
    for layer in block.norms:
        layer.register_forward_hook(lambda module, args, output: reads.append((args[0], output)))
    block.forward(inputs)
    assert len(given) == 2, f"dropout ran {len(given)} times"
    assert_close(reads[0][0].detach(), (inputs + given[0][1]).detach(), "the first norm reads the sum", rtol=1e-5)
    assert_close(reads[1][0].detach(), (reads[0][1] + given[1][1]).detach(), "so does the second", rtol=1e-5)


# "follows_the_device" imports SymPy.
@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device", "takes_any_leading_axes"]))
def test_block_is_a_module(convention):
    """It keeps PyTorch's conventions."""
    convention(lambda: Block(SMALL), torch.randn(2, 3, 6))


def test_the_models_hang_together(rng):
    """Padding changes no score of any head, and the tied matrix learns from both of its uses."""
    tokens, mask = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]]), torch.tensor([[True] * 4, [True] * 3 + [False]])
    classifier, reader = drawn(rng, Classifier(SMALL, 3)), drawn(rng, SpanReader(SMALL))
    assert_close(classifier(tokens, None, mask)[1], classifier(tokens[1:, :3])[0], "classes", rtol=1e-6)
    assert_close(reader(tokens, None, mask)[1][1, :3], reader(tokens[1:, :3])[1][0], "ends", rtol=1e-6)
    model = drawn(rng, MaskedLanguageModel(SMALL))
    words = model.bert.embeddings.words.weight
    (slope,) = torch.autograd.grad(masked_loss(model(tokens, mask), tokens, mask), words)
    assert bool((slope.abs().sum(dim=1) > 0).all()), "words that were not read are scored, and so have a gradient"


# --- mask_tokens ----------------------------------------------------------------------------------------------------


def many(rng, rows=400, columns=500):
    """Tokens 10 to 999 between a start and an end, and padding."""
    tokens = torch.from_numpy(rng.integers(10, 1000, (rows, columns)))
    tokens[:, 0], tokens[:, -20], tokens[:, -19:] = START, END, PAD
    return tokens


def test_mask_tokens_has_the_shares_of_the_paper(rng):
    """15 % are chosen; of these 80 % are hidden, 10 % random and 10 % as they were."""
    tokens = many(rng)
    inputs, chosen = mask_tokens(tokens, [PAD, START, END], MASK, 5000, rng)
    assert_shape(inputs, tokens.shape, "what is read")
    ordinary = tokens >= 10
    assert abs(float(chosen[ordinary].double().mean()) - 0.15) < 0.005, "15 % of the ordinary tokens are chosen"
    hidden, same = (inputs == MASK)[chosen].double().mean(), (inputs == tokens)[chosen].double().mean()
    assert abs(float(hidden) - 0.8) < 0.012, f"of the chosen {float(hidden):.3f} are hidden"
    assert abs(float(same) - 0.1) < 0.01, f"of the chosen {float(same):.3f} are as they were"


def test_mask_tokens_leaves_the_others(rng):
    """Tokens that were not chosen stay, special ones are never chosen, and the argument is not changed."""
    tokens = many(rng, 30, 60)
    inputs, chosen = mask_tokens(tokens, [PAD, START, END], MASK, 1000, rng, share=1.0)
    assert bool((chosen == (tokens >= 10)).all()), "with share 1 all but the special ones are chosen"
    assert bool((inputs == tokens)[~chosen].all()), "what was not chosen stays"
    inputs, chosen = mask_tokens(tokens, [PAD, START, END], MASK, 1000, rng, share=0.0)
    assert not bool(chosen.any()), "with share 0 none is chosen"
    assert bool((inputs == tokens).all()), "and all stay"
    assert_unchanged(lambda x: mask_tokens(x, [PAD], MASK, 1000, np.random.default_rng(1), 0.5)[0], tokens)


def test_mask_tokens_draws_random_tokens_from_the_whole_vocabulary(rng):
    """Of four tokens each stands in for a tenth of the chosen places by a quarter, the smallest and the largest too."""
    tokens = torch.full((200, 100), 7)
    inputs, _ = mask_tokens(tokens, [], 9, 4, rng, share=1.0)
    counts = Counter(inputs.flatten().tolist())
    assert set(counts) == {0, 1, 2, 3, 7, 9}, f"tokens {sorted(counts)}"
    assert all(350 < counts[token] < 650 for token in range(4)), f"each of 0 to 3 in about 500 places: {counts}"
    assert len(set(inputs[inputs < 4].tolist())) == 4, "one draw for each place"


def test_mask_tokens_chooses_each_place_by_itself(rng):
    """Rows differ in how many of their places are chosen, and places in what becomes of them."""
    inputs, chosen = mask_tokens(torch.full((2000, 10), 7), [], 9, 4, rng, share=0.5)
    assert_close(chosen.sum(dim=1).double().var(), 2.5, "a row's count is binomial", rtol=0.2)
    fates = torch.stack([(inputs == 9)[:, 0], (inputs == 9)[:, 1]]).double()
    assert abs(float(torch.corrcoef(fates)[0, 1])) < 0.12, "neighbours are hidden independently"
    hidden = (inputs == 9)[chosen].double().mean()
    assert abs(float(hidden) - 0.8) < 0.03, f"whether a place is chosen does not change its fate: {float(hidden):.2f}"


def test_mask_tokens_draws_from_its_generator():
    """The same generator gives the same masks, and nothing else is drawn from."""
    tokens = torch.full((6, 9), 7)
    assert_draws_from(lambda rng: mask_tokens(tokens, [], 9, 50, rng, 0.5)[0].numpy())
    assert_refuses_values(
        lambda value: mask_tokens(tokens, [], 9, 50, np.random.default_rng(0), value), "share", -0.1, 1.5
    )


# --- masked_loss ----------------------------------------------------------------------------------------------------


def test_masked_loss_by_hand():
    """True words with probability 1/2 and 1/4 at the two chosen places cost (log 2 + log 4) / 2."""
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.25, 0.5, 0.25]]]))
    chosen = torch.tensor([[True, False, True]])
    tokens = torch.tensor([[0, 0, 2]])
    assert_close(masked_loss(logits, tokens, chosen), 1.5 * math.log(2), "two places", rtol=1e-6)
    assert_close(masked_loss(logits[:, :2], tokens[:, :2], chosen[:, :2]), math.log(2), "a single place", rtol=1e-6)


def test_masked_loss_is_pytorchs(rng):
    """It is cross-entropy over the chosen places of all rows, which weigh the same however many a row has."""
    logits, tokens = torch.from_numpy(rng.normal(size=(3, 7, 5))), torch.from_numpy(rng.integers(5, size=(3, 7)))
    chosen = torch.zeros(3, 7, dtype=torch.bool)
    chosen[0, 2], chosen[1] = True, True
    expected = nn.functional.cross_entropy(logits.transpose(1, 2), tokens.masked_fill(~chosen, -100))
    assert_close(masked_loss(logits, tokens, chosen), expected, "1 place of row 0, 7 of row 1, none of row 2")


def test_masked_loss_has_gradients_at_chosen_places_only(rng):
    """A logit of a place that was not chosen has the gradient 0."""
    logits = torch.from_numpy(rng.normal(size=(2, 4, 5))).requires_grad_()
    chosen = torch.tensor([[True, False, False, False], [False, False, True, True]])
    masked_loss(logits, torch.ones(2, 4, dtype=torch.long), chosen).backward()
    assert bool(((logits.grad != 0).all(dim=-1) == chosen).all()), "gradients elsewhere, or none at a chosen place"


def test_masked_loss_of_no_place_is_0():
    """Without a chosen place the loss is 0 with gradients of 0, so that a step does nothing."""
    logits = torch.randn(1, 3, 5, requires_grad=True)
    loss = masked_loss(logits, torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.bool))
    loss.backward()
    assert_close(loss, 0.0, "the loss")
    assert logits.grad is not None, "the loss must hang on the logits"
    assert_close(logits.grad, torch.zeros(1, 3, 5), "gradients")


# --- best_span ------------------------------------------------------------------------------------------------------


def scores(*values):
    """A tensor of floats."""
    return torch.tensor(values, dtype=torch.float64)


def answer(*given, **options):
    """The span as a plain tuple; a reader that finds none fails."""
    span = best_span(*given, **options)
    assert span is not None, "there is an answer"
    return tuple(span)


def test_best_span_by_hand():
    """Start 2 (score 4) and end 3 (score 3) make 7, and no answer makes 1 + 1: a gain of 5."""
    legal = torch.tensor([False, True, True, True])
    span = answer(scores(1, 0, 4, 2), scores(1, 6, 1, 3), legal)
    assert [type(each) for each in span] == [int, int, float], f"plain numbers, not {span}"
    assert span == (2, 3, 5.0), f"{span}: end 1 is higher, but lies before start 2"


@pytest.mark.parametrize("longest", [1, 2, 4, 30])
def test_best_span_is_a_search_over_all_pairs(longest, rng):
    """It is the best of all legal pairs, tried one by one."""
    for _ in range(20):
        starts, ends = (torch.from_numpy(rng.normal(size=12)) for _ in range(2))
        legal = torch.from_numpy(rng.random(12) < 0.7)
        legal[5] = True
        pairs = [(i, j) for i in range(12) for j in range(i, min(i + longest, 12)) if legal[i] and legal[j]]
        expected = max(pairs, key=lambda pair: float(starts[pair[0]] + ends[pair[1]]))
        *pair, gain = answer(starts, ends, legal, longest, margin=100.0)
        assert tuple(pair) == expected, f"{pair}, and the best pair is {expected}"
        assert_close(gain, starts[expected[0]] + ends[expected[1]] - starts[0] - ends[0], "gain")


def test_best_span_has_thirty_tokens_at_most_unless_told():
    """The default lets 30 tokens pass and 31 not."""
    for last, first in ((30, 1), (31, 2)):
        starts, ends = torch.zeros(33, dtype=torch.float64), torch.zeros(33, dtype=torch.float64)
        starts[1], starts[2], ends[last] = 5.0, 4.0, 6.0
        span = answer(starts, ends, torch.ones(33, dtype=torch.bool))
        assert span[:2] == (first, last), f"start 1 is the best, end {last} as well: {span}"


def test_best_span_says_when_there_is_no_answer():
    """No answer wins by more than the margin, 0 unless told; a tie goes to the span."""
    legal = torch.tensor([False, True, True])
    starts, ends = scores(2, 1, 0), scores(3, 0, 1)  # the best span makes 2, no answer makes 5
    assert best_span(starts, ends, legal) is None, "no answer is better by 3"
    assert best_span(scores(0.5, 1, 0), scores(2, 0, 1), legal) is None, "no answer is better by a half"
    assert best_span(starts, ends, legal, margin=2.9) is None, "3 is more than 2.9"
    assert answer(starts, ends, legal, margin=3.0) == (1, 2, -3.0), "3 is not more than 3"
    assert answer(scores(1, 1, 0), scores(1, 0, 1), legal) == (1, 2, 0.0), "a tie without a margin"
    assert best_span(scores(0, 1, 0), scores(0, 0, 1), legal, margin=-2.5) is None, "a gain of 2 is not 2.5"


def test_best_span_without_a_legal_token_is_none():
    """Where no token is legal there is no answer, however large the margin."""
    nothing = torch.zeros(3, dtype=torch.bool)
    assert best_span(scores(1, 2, 3), scores(1, 2, 3), nothing, margin=math.inf) is None, "no legal token"


def test_best_span_refuses():
    """Lengths that differ and spans without a token are refused."""
    legal = torch.ones(3, dtype=torch.bool)
    assert_refuses(lambda: best_span(scores(1, 2, 3), scores(1, 2), legal), "ends", 3, 2)
    assert_refuses(lambda: best_span(scores(1, 2, 3), scores(1, 2, 3), legal, longest=0), "longest", 0)


# --- fine-tuning ----------------------------------------------------------------------------------------------------


def test_layer_groups_by_hand():
    """Two blocks, rate 8, decay 1/2: head and pooler 8, blocks 4 and 2 from above, embeddings 1."""
    model = Classifier(SMALL, 3)
    rates = {id(weight): group["lr"] for group in layer_groups(model, 8.0, 0.5) for weight in group["params"]}
    parts = {"head": model.head, "pooler": model.bert.pooler, "embeddings": model.bert.embeddings}
    parts |= {"upper": model.bert.blocks[1], "lower": model.bert.blocks[0]}
    for name, expected in {"head": 8.0, "pooler": 8.0, "upper": 4.0, "lower": 2.0, "embeddings": 1.0}.items():
        found = {rates.get(id(weight)) for weight in parts[name].parameters()}
        assert found == {expected}, f"{name}: {found}, not {expected}"


def test_layer_groups_decay_matrices_only():
    """Matrices decay by weight_decay, 0.01 unless told, and biases and norms not at all."""
    model = SpanReader(SMALL)
    for options, expected in (({}, 0.01), ({"weight_decay": 0.3}, 0.3)):
        for group in layer_groups(model, 1.0, 0.9, **options):
            for weight in group["params"]:
                assert_close(group["weight_decay"], expected if weight.ndim == 2 else 0.0, f"{weight.ndim} axes")


def test_layer_groups_hold_each_weight_once():
    """All weights of every head stand in one group each, the tied one too; frozen ones in none; no group is empty."""
    for model in (Classifier(SMALL, 2), SpanReader(SMALL), MaskedLanguageModel(SMALL)):
        counts = Counter(id(weight) for group in layer_groups(model, 1.0, 0.5) for weight in group["params"])
        assert counts == {id(weight): 1 for weight in model.parameters()}, f"{type(model).__name__}: each once"
    frozen = Classifier(SMALL, 2)
    frozen.bert.requires_grad_(False)
    groups = layer_groups(frozen, 1.0, 0.5)
    assert [len(group["params"]) for group in groups] == [1, 1], "only the head's matrix and bias learn"


def test_layer_groups_refuse_a_decay_of_0():
    """A decay must lie above 0 and be at most 1."""
    assert_refuses_values(lambda value: layer_groups(SpanReader(SMALL), 1.0, value), "decay", 0.0, 1.5, -0.5)


def test_linear_schedule_by_hand():
    """Up over 4 steps, down to 0 at 12, and 0 after; without a warm-up it begins at the peak."""
    found = [linear_schedule(step, 4, 12) for step in (0, 1, 4, 6, 12, 13)]
    assert_close(found, [0.0, 0.25, 1.0, 0.75, 0.0, 0.0], "warm-up of 4")
    assert_close(linear_schedule(0, 0, 5), 1.0, "no warm-up")


def test_bert_draws_its_weights_small():
    """Matrices are normal with deviation 0.02 and biases 0, as BERT's were."""
    torch.manual_seed(0)
    model = Bert(Config(vocabulary=500, layers=1, heads=2, width=32, hidden=64, places=20))
    assert_close(model.embeddings.words.weight.std(), 0.02, "words", rtol=0.05)
    assert_close(model.get_parameter("blocks.0.up.bias"), torch.zeros(64), "a bias")
