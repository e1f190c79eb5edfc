"""LLM serving: a cache in pages, continuous batching, prefixes used again, and a client for any server."""

from groundup.stack.production.llm_serving.llm_serving import (
    BlockPool,
    Client,
    Engine,
    PagedCache,
    PagedView,
    Request,
    ServerError,
    block_key,
    events,
    flat_mask,
)

__all__ = [
    "BlockPool",
    "Client",
    "Engine",
    "PagedCache",
    "PagedView",
    "Request",
    "ServerError",
    "block_key",
    "events",
    "flat_mask",
]
