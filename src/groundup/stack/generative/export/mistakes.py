# pyright: basic
"""Ways to get an export wrong, and right ways that differ."""

import struct

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.generative.export.export import (
    ALIGNMENT,
    ARRAY,
    KINDS,
    MAGIC,
    NUMBERS,
    STRING,
    VERSION,
    _number,
    merge_bytes,
    pack_value,
)


@mistake("pack_value", edit=('struct.pack("<Q", len(data)) + data', 'struct.pack("<Q", len(value)) + data'))
def counts_characters():
    """You write how many characters a text has. A reader needs how many bytes: é has two in UTF-8."""


@mistake("pack_value", edit=('struct.pack("<IQ", kinds[0]', 'struct.pack("<QQ", kinds[0]'))
def writes_the_items_type_in_eight_bytes():
    """You write the type of a list's items in eight bytes. Types take four everywhere; lengths take eight."""


@mistake(
    "pack_value",
    edit=('b"".join(data for _, data in packed)', 'b"".join(bytes([kind]) + data for kind, data in packed)'),
)
def repeats_the_type_of_each_item():
    """You write a type before each item. A list says it once, so all its items are of one type."""


@mistake("pack_value", edit=("if len(kinds) != 1:", "if not kinds:"))
def mixes_types():
    """You let a list mix types. The reader will read all items as the first type, and be lost after the second."""


@mistake("write_gguf", edit=("*reversed(tensor.shape)", "*tensor.shape"))
def writes_the_first_axis_first():
    """You write sizes in PyTorch's order. GGUF has the last axis first: a matrix would be read turned over."""


@mistake("write_gguf", edit=("offset += len(_padded(tensor.data, alignment))", "offset += len(tensor.data)"))
def forgets_the_padding_in_offsets():
    """Your offsets count data only. What fills up to the next multiple moves every tensor behind it."""


@mistake("write_gguf", edit=("file.write(_padded(header, alignment))", "file.write(header)"))
def begins_the_data_at_once():
    """You write the data right behind the header. It begins at a multiple of the alignment, like each tensor in it."""


@mistake("write_gguf", edit=("VERSION, len(tensors), len(metadata)", "VERSION, len(metadata), len(tensors)"))
def swaps_the_counts():
    """You write the number of metadata values first. Tensors are counted first, though they come second."""


@mistake("read_gguf", edit=('cursor.unpack(f"<{axes}Q")[::-1]', 'cursor.unpack(f"<{axes}Q")'))
def keeps_the_order_of_axes():
    """You keep the sizes in the file's order. It has the last axis first: turn them round."""


@mistake("read_gguf", edit=('metadata.get("general.alignment", ALIGNMENT)', "ALIGNMENT"))
def always_aligns_to_32():
    """You take 32 for every file. Its metadata may say another alignment, and then all data stands elsewhere."""


@mistake("read_gguf", edit=("if offset != end:", "if offset < 0:"))
def believes_every_offset():
    """You do not compare a tensor's offset with the end of the one before: two tensors could share their bytes."""


@mistake("read_gguf", edit=("if version != VERSION:", "if version < 1:"))
def reads_every_version():
    """You read any version as the third. Version 1 had lengths of four bytes: refuse what you do not know."""


@mistake(
    "permute_heads",
    edit=("weight.unflatten(0, (heads, 2, -1)).transpose(1, 2)", "weight.unflatten(0, (heads, -1, 2)).transpose(1, 2)"),
)
def permutes_the_wrong_way():
    """You turn neighbours into halves, which is the way back. Here halves become neighbours: view (heads, 2, half)."""


@mistake("permute_heads", edit=("(heads, 2, -1)", "(1, 2, -1)"))
def ignores_the_heads():
    """You permute all rows as one head. Each head has halves of its own."""


@mistake("gguf_tensors", edit=("permute_heads(weight, heads) if heads else weight", "weight"))
def forgets_to_permute():
    """You leave queries and keys in our order. The file loads, and is nonsense from the second token on."""


@mistake("gguf_tensors", edit=("permute_heads(weight, heads)", "permute_heads(weight, config.heads)"))
def permutes_keys_by_all_heads():
    """You permute keys by the number of all heads. They have fewer where heads share them: `_turned` says how many."""


@mistake("recover_merges")
def cuts_off_the_last_byte(vocabulary):
    """You cut the last byte off. Two tokens of several bytes may have been merged: cut by the tokens of lower ids."""
    pairs = []
    for token, _ in sorted(vocabulary.items(), key=lambda item: item[1]):
        if len(token) > 1:
            if token[:-1] not in vocabulary:
                raise ValueError(f"vocabulary holds {token!r}, which nothing makes")
            pairs.append((token[:-1], token[-1:]))
    return pairs


@mistake("recover_merges", edit=("merge_bytes(token, ranks)", "merge_bytes(token, vocabulary)"))
def cuts_by_the_whole_vocabulary():
    """You cut a token by the whole vocabulary, which holds the token itself. Use the tokens that came before it."""


@mistake("recover_merges", edit=("key=lambda item: item[1]", "key=lambda item: (len(item[0]), item[1])"))
def orders_by_length():
    """You go from short tokens to long ones. Merges are applied in the order of ids: a long one may come early."""


@variant("pack_value")
def by_match(value):
    """One case after another."""
    match value:
        case str():
            return STRING, len(value.encode()).to_bytes(8, "little") + value.encode()
        case []:
            raise ValueError("value is an empty list, which has no type")
        case [first, *_]:
            kind = pack_value(first)[0]
            if any(pack_value(item)[0] != kind for item in value):
                raise ValueError(f"value mixes types: {value}")
            head = kind.to_bytes(4, "little") + len(value).to_bytes(8, "little")
            return ARRAY, head + b"".join(pack_value(item)[1] for item in value)
    number = value if hasattr(value, "dtype") else _number(value)
    name = number.dtype.newbyteorder("<")
    for kind, known in NUMBERS.items():
        if name == known:
            return kind, number.astype(known).tobytes()
    raise ValueError(f"value is of a type that GGUF has not: {value!r}")


@variant("write_gguf")
def piece_by_piece(path, metadata, tensors):
    """Every piece is written as it comes."""
    step = int(metadata.get("general.alignment", ALIGNMENT))

    def fill(file):
        file.write(bytes(-file.tell() % step))

    with open(path, "wb") as file:
        file.write(MAGIC + struct.pack("<I", VERSION) + struct.pack("<QQ", len(tensors), len(metadata)))
        for key, value in metadata.items():
            kind, data = pack_value(value)
            file.write(pack_value(key)[1] + kind.to_bytes(4, "little") + data)
        place = 0
        for name, tensor in tensors.items():
            file.write(pack_value(name)[1] + struct.pack("<I", len(tensor.shape)))
            file.writelines(struct.pack("<Q", size) for size in tensor.shape[::-1])
            file.write(struct.pack("<IQ", KINDS[tensor.kind][0], place))
            place += (len(tensor.data) + step - 1) // step * step
        fill(file)
        for tensor in tensors.values():
            file.write(tensor.data)
            fill(file)


@variant("permute_heads")
def by_slices(weight, heads):
    """Each head's halves, zipped."""
    parts = [torch.stack(head.chunk(2), dim=1).flatten(0, 1) for head in weight.chunk(heads)]
    return torch.cat(parts)


@variant("recover_merges")
def by_trying_every_cut(vocabulary):
    """The cut into two earlier tokens that merging would have reached."""
    order = sorted((token for token in vocabulary if len(token) > 1), key=vocabulary.__getitem__)
    pairs, known = [], {token: number for token, number in vocabulary.items() if len(token) == 1}
    for token in order:
        cuts = [(token[:at], token[at:]) for at in range(1, len(token))]
        cuts = [cut for cut in cuts if cut[0] in known and cut[1] in known]
        cuts = [cut for cut in cuts if list(cut) == merge_bytes(token, known)]
        if not cuts:
            raise ValueError(f"vocabulary: nothing makes {token!r}")
        pairs += cuts
        known[token] = vocabulary[token]
    return pairs
