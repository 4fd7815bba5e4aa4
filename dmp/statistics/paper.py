"""Arithmetic on the paper's printed numbers."""

from decimal import Decimal, InvalidOperation


def paper_difference(a: float | str | None, b: float | str | None) -> Decimal | None:
    """Return ``a - b`` with the digits that are printed: 5.61 - 6.26 is -0.65.

    None if either number is unknown, or is text that is not a plain number.
    """
    if a is None or b is None:
        return None
    try:
        difference = Decimal(str(a)) - Decimal(str(b))
    except InvalidOperation:
        return None
    return difference if difference.is_finite() else None
