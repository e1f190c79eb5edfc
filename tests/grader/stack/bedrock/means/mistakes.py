"""What people get wrong about `means`."""

from groundup.anatomy import mistake


@mistake("mean")
def forgets_to_divide(values):
    """You did not divide by the number of values."""
    return total(values)  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
