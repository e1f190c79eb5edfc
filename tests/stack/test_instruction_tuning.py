"""`generative/instruction_tuning` against transformers: `apply_chat_template` gives the same text, tokens and marks."""

import itertools
from typing import Any

import pytest

from groundup.stack.generative.instruction_tuning import CHATML, GROUNDUP, LLAMA3, Template, encode_chat, render

transformers = pytest.importorskip("transformers")
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Is it up?\n"},
    {"role": "assistant", "content": "Yes, since 14:02."},
    {"role": "user", "content": "Sure?"},
    {"role": "assistant", "content": "Ja, läuft."},
]
# As the models publish them, with the marks that transformers reads the assistant's tokens from.
JINJA = {
    "chatml": (
        CHATML,
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}"
        "{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ),
    "llama3": (
        LLAMA3,
        "{{ '<|begin_of_text|>' }}{% for message in messages %}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}{% else %}"
        "{{ message['content'] | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    ),
    "groundup": (
        GROUNDUP,
        "{{ '<|begin|>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
        "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
        "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    ),
}


def tokenizer(template: Template) -> Any:
    """A byte-level tokenizer without merges, with the template's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=letters, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    whole = transformers.PreTrainedTokenizerFast(tokenizer_object=inner)
    whole.add_special_tokens({"additional_special_tokens": list(template.specials)})
    return whole


@pytest.mark.parametrize("name", JINJA)
def test_text_tokens_and_marks_are_those_of_apply_chat_template(name: str) -> None:
    template, jinja = JINJA[name]
    theirs = tokenizer(template)
    theirs.chat_template = jinja
    for generate in (False, True):
        text = theirs.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=generate)
        assert "".join(piece.text for piece in render(CHAT, template, generate=generate)) == text
    expected = theirs.apply_chat_template(CHAT, return_assistant_tokens_mask=True, return_dict=True)
    specials = {text: theirs.convert_tokens_to_ids(text) for text in template.specials}
    ours = encode_chat(CHAT, template, lambda text: theirs.encode(text, add_special_tokens=False), specials)
    assert ours.tokens == expected["input_ids"]
    assert [int(mark) for mark in ours.trains] == expected["assistant_masks"]
    assert theirs.decode(list(itertools.compress(*ours))).count(template.stop) == 2
