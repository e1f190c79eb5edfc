"""Scaled dot-product attention."""

import math

import torch


def attend(queries, keys, values):
    """Mix the values by how well their keys match the queries."""
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])
    return torch.softmax(scores, dim=-1) @ values
