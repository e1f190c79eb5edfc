# pyright: basic
"""Ways to get llm_serving wrong, and right ways that differ."""

import codecs
import math

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.production.llm_serving.llm_serving import block_key


@mistake("PagedCache.reserve", edit=("if self.pool.uses[old] > 1:", "if False:"))
def writes_into_shared_blocks():
    """You write into a block that another sequence reads, too. Copy it first, and let the copy take its place."""


@mistake("PagedCache.reserve", edit=("self.pool.release([old])", "pass"))
def keeps_the_old_block():
    """The copied block still counts this sequence among its users, and is never free again. Release it."""


@mistake(
    "PagedCache.reserve",
    edit=(
        "range(start // self.size, min(len(blocks), math.ceil(end / self.size)))",
        "range(min(len(blocks), math.ceil(end / self.size)))",
    ),
)
def copies_every_shared_block():
    """You copy shared blocks that nobody writes. Begin with the block of the first new token: sharing is the gain."""


@mistake(
    "PagedCache.reserve",
    edit=("self.keys[:, target], self.values[:, target] = self.keys[:, source], self.values[:, source]", "pass"),
)
def copies_the_number_only():
    """The new block has the content of whoever had it before. Copy keys and values of all its slots."""


@mistake("PagedView.extend", edit=("stored_keys[self.all]", "stored_keys[self.new]"))
def returns_new_keys_only():
    """You return the keys of the new tokens. They look at all tokens before them, too: read `all` slots."""


@mistake("PagedView.extend", edit=("stored[layer, self.new] = ", "stored[:, self.new] = "))
def writes_every_layer():
    """You write a layer's keys into all layers. What an earlier layer had written is lost."""


@mistake("flat_mask", edit=("(query_rows[:, None] == key_rows) & ", ""))
def lets_requests_see_each_other():
    """A token looks into other requests: their text leaks into its own. Compare the rows, too."""


@mistake("flat_mask", edit=("places <= positions[:, None]", "places < positions[:, None]"))
def hides_a_token_from_itself():
    """A token does not see itself. The first of a row then sees nothing at all, and gives NaN."""


@mistake("flat_mask", edit=("torch.arange(start, end) for _", "torch.arange(end - start) for _"))
def counts_positions_from_zero():
    """You count positions from 0 in each step. A token's position is its place in its own text: from start to end."""


@mistake("Engine.reuse_prefix", edit=("(len(request.tokens) - 1) // size", "len(request.tokens) // size"))
def leaves_nothing_to_compute():
    """You reuse the whole prompt. Its last token must be computed, or there are no logits to go on from."""


@mistake("Engine.reuse_prefix", edit=('request.keys[-1] if request.keys else b""', 'b""'))
def takes_a_block_for_its_tokens():
    """You look for a block by its own tokens. Its keys depend on all tokens before: chain the key of the one before."""


@mistake("Engine.reuse_prefix", edit=("self.cache.pool.share(block)", "pass"))
def takes_without_counting():
    """You use a block without being counted. Its first user releases it, and it is given to somebody else."""


@mistake("Engine.schedule", edit=("self.preempt(self.running[-1])", "self.preempt(self.running[0])"))
def preempts_the_first():
    """You preempt the earliest request. It has waited longest and holds most; whoever came last has to go."""


@mistake(
    "Engine.schedule",
    edit=[
        ("request = self.waiting[0]", "request = min(self.waiting, key=lambda each: each.missing)"),
        (
            "self.running.append(self.waiting.popleft())",
            "self.waiting.remove(request)\n        self.running.append(request)",
        ),
    ],
)
def admits_the_shortest():
    """You admit the shortest first. While short requests come, a long one waits for ever: go by arrival."""


@mistake("Engine.schedule", edit=("            left -= 1\n", ""))
def decodes_for_free():
    """Decoding tokens count for the budget, too: the step is longer than it may be."""


@mistake(
    "events",
    edit=(
        "*lines, rest = LINE_END.split(rest + decoder.decode(chunk))",
        "lines = LINE_END.split(decoder.decode(chunk))",
    ),
)
def takes_pieces_for_lines():
    """You take each piece of bytes for whole lines. Keep the unfinished line for the next piece."""


@mistake("events", edit=("decoder.decode(chunk)", 'chunk.decode("utf-8-sig", "replace")'))
def decodes_piece_by_piece():
    """You decode each piece by itself. A character that was cut becomes two signs of an error: decode incrementally."""


@mistake("events", edit=('yield "\\n".join(data)', "yield from data"))
def gives_out_every_line():
    """An event may have several lines of data. They are one: join them by line ends."""


@variant("flat_mask")
def block_by_block(rows):
    """Each row's triangle is put into its place."""
    mask = torch.zeros(sum(end - start for _, start, end in rows), sum(end for _, _, end in rows), dtype=torch.bool)
    positions, row, column = [], 0, 0
    for _, start, end in rows:
        mask[row : row + end - start, column : column + end] = torch.ones(end, end, dtype=torch.bool).tril()[start:]
        positions += range(start, end)
        row, column = row + end - start, column + end
    return torch.tensor([positions]), mask[None, None]


@variant("PagedView.extend")
def by_index_copy(self, layer, keys, values):
    """Write by `index_copy_`, read by `index_select`."""
    results = []
    for stored, given in ((self.cache.keys, keys), (self.cache.values, values)):
        stored[layer].index_copy_(0, self.new, given.squeeze(0).permute(1, 0, 2).contiguous())
        results.append(stored[layer].index_select(0, self.all).permute(1, 0, 2).unsqueeze(0))
    return results[0], results[1]


@variant("PagedCache.reserve")
def slot_by_slot(self, blocks, start, end):
    """Copy slot by slot, and count the missing blocks beforehand."""
    if self.needed(blocks, start, end) > self.pool.free:
        raise ValueError(f"blocks: {self.pool.free} are free, {self.needed(blocks, start, end)} are needed.")
    first, last = start // self.size, math.ceil(end / self.size)
    for place, old in list(enumerate(blocks))[first:last]:
        if self.pool.uses[old] >= 2:
            new = self.pool.allocate()
            for offset in range(self.size):
                self.keys[:, new * self.size + offset] = self.keys[:, old * self.size + offset]
                self.values[:, new * self.size + offset] = self.values[:, old * self.size + offset]
            blocks[place] = new
            self.pool.release([old])
    for _ in range(last - len(blocks)):
        blocks.append(self.pool.allocate())


@variant("Engine.reuse_prefix")
def with_a_while_loop(self, request):
    """Until a block is missing, or less than a block and a token is left."""
    key, size = b"", self.cache.size
    while len(request.tokens) - request.computed > size:
        key = block_key(key, request.tokens[request.computed : request.computed + size])
        block = self.cache.pool.find(key)
        if block is None:
            break
        self.cache.pool.share(block)
        request.keys, request.blocks = [*request.keys, key], [*request.blocks, block]
        request.computed += size


@variant("events")
def by_the_characters(chunks):
    """A machine that reads characters: the line so far, and whether the last one was a carriage return."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    line, data, after_return, first = "", [], False, True
    for chunk in chunks:
        for character in decoder.decode(chunk):
            if first and character == "\ufeff":
                first = False
                continue
            first = False
            if character == "\n" and after_return:
                after_return = False
                continue
            after_return = character == "\r"
            if character not in "\r\n":
                line += character
                continue
            if line.startswith("data:") or line == "data":
                value = line[5:]
                data.append(value[1:] if value[:1] == " " else value)
            elif line == "" and data:
                yield "\n".join(data)
                data = []
            line = ""
