"""The checks of `heads`: they compare with what the exercise may not use."""
# pyright: reportMissingImports=false

import torch
from groundup.stack.deep.heads import attend
from torch import nn

from groundup.checking import assert_close


def test_attend_agrees_with_torch():
    """attend is PyTorch's own attention."""
    queries, keys, values = torch.randn(3, 2, 4, 8, generator=torch.Generator().manual_seed(0)).unbind()
    expected = nn.functional.scaled_dot_product_attention(queries, keys, values)
    assert_close(attend(queries, keys, values), expected, "attend of random vectors", rtol=1e-4, atol=1e-5)


def test_attend_in_a_layer():
    """With weights that do nothing, PyTorch's layer attends in the same way."""
    layer = nn.MultiheadAttention(4, 1, bias=False, batch_first=True)
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.cat([torch.eye(4)] * 3))
        layer.out_proj.weight.copy_(torch.eye(4))
        rows = torch.eye(4).unsqueeze(0)
        expected, _ = layer(rows, rows, rows)
    assert_close(attend(rows, rows, rows), expected, "attend of unit vectors", rtol=1e-4, atol=1e-5)
