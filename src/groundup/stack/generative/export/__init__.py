"""Export: a model as GGUF for llama.cpp, and as a folder for Hugging Face."""

from groundup.stack.generative.export.export import (
    Readable,
    Stored,
    build_llama,
    export_gguf,
    export_hugging_face,
    from_gguf,
    gguf_tensors,
    llama_metadata,
    pack_safetensors,
    pack_value,
    permute_heads,
    read_gguf,
    recover_merges,
    store,
    tokenizer_metadata,
    write_gguf,
)

__all__ = [
    "Readable",
    "Stored",
    "build_llama",
    "export_gguf",
    "export_hugging_face",
    "from_gguf",
    "gguf_tensors",
    "llama_metadata",
    "pack_safetensors",
    "pack_value",
    "permute_heads",
    "read_gguf",
    "recover_merges",
    "store",
    "tokenizer_metadata",
    "write_gguf",
]
