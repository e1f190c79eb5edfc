"""A mean, built on the sums of another unit, which it imports in every way there is."""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import groundup.stack.bedrock.sums
import groundup.stack.bedrock.sums.sums as module
from groundup.stack.bedrock.sums import total
from groundup.stack.bedrock.sums.sums import total as same_total

from groundup.stack.bedrock import sums as package


def mean(values):
    """The sum of the values, divided by their number."""
    return total(values) / len(values)


def totals(values):
    """The sum, by every way to the function."""
    from groundup.stack.bedrock.sums import sums as imported_late

    ways = [groundup.stack.bedrock.sums.total, module.total, package.total, package.sums.total, total, same_total]
    return [way(values) for way in [*ways, imported_late.total]]
