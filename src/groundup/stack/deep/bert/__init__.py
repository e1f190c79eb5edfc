"""BERT: masked language modelling, and heads that are fine-tuned."""

from groundup.stack.deep.bert.bert import (
    Bert,
    Block,
    Classifier,
    Config,
    Embeddings,
    MaskedLanguageModel,
    Span,
    SpanReader,
    best_span,
    layer_groups,
    linear_schedule,
    load_hugging_face,
    mask_tokens,
    masked_loss,
)

__all__ = [
    "Bert",
    "Block",
    "Classifier",
    "Config",
    "Embeddings",
    "MaskedLanguageModel",
    "Span",
    "SpanReader",
    "best_span",
    "layer_groups",
    "linear_schedule",
    "load_hugging_face",
    "mask_tokens",
    "masked_loss",
]
