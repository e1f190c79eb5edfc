"""The checks of `means`."""
# pyright: reportMissingImports=false

from groundup.stack.bedrock.means import mean, totals

from groundup.checking import assert_close


def test_mean_by_hand():
    """The mean of 2 and 4 is 3."""
    assert_close(mean([2.0, 4.0]), 3.0, "mean([2, 4]) is 3")


def test_every_way_leads_to_one_function():
    """However `total` is imported, it is the same."""
    assert_close(totals([2.0, 4.0]), [6.0] * 7, "totals([2, 4]) is 6 by every way")
