"""How numbers are printed: as many digits as their uncertainty leaves meaning to."""

import math
from decimal import Decimal

MISSING = "–"
_MINUS = "−"
# Below this, numbers are printed with a power of ten.
_SMALLEST_PLAIN = 1e-4


def format_number(value: float) -> str:
    """Return a number with three significant digits, never fewer than its integer part."""
    return MISSING if math.isnan(value) else _format([value], 0.0)[0]


def format_interval(mean: float, low: float, high: float) -> str:
    """Return ``mean [low, high]``; ``mean`` alone where there is no interval; a dash for NaN."""
    if math.isnan(mean):
        return MISSING
    if math.isnan(low):
        return format_number(mean)
    mean_text, low_text, high_text = _format([mean, low, high], (high - low) / 2)
    return f"{mean_text} [{low_text}, {high_text}]"


def format_range(low: float, high: float) -> str:
    """Return ``[low, high]`` of an interval; a dash where there is none."""
    if math.isnan(low):
        return MISSING
    low_text, high_text = _format([low, high], (high - low) / 2)
    return f"[{low_text}, {high_text}]"


def format_p(p_value: float) -> str:
    """Return a p value with three decimals, or ``<0.001``."""
    if math.isnan(p_value):
        return MISSING
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def p_text(p_value: float) -> str:
    """Return ``p = 0.012`` or ``p < 0.001``."""
    text = format_p(p_value)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def format_percent(value: float) -> str:
    """Return ``+1.5 %`` or ``−6.4 %``."""
    return f"{value:+.1f} %".replace("-", _MINUS)


def format_paper(value: float | str | Decimal | None) -> str:
    """Return the paper's number with the digits of its file."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    return str(value).replace("-", _MINUS) if isinstance(value, Decimal) else str(value)


def _format(values: list[float], half_width: float) -> list[str]:
    """Print values alike: three digits of the largest and two of the half width."""
    finite = [abs(value) for value in values if math.isfinite(value)]
    largest = max(finite, default=0.0)
    small = 0 < largest < _SMALLEST_PLAIN
    power = math.floor(math.log10(largest)) if small else 0
    wanted = [2 - math.floor(math.log10(largest)) + power] if largest else [0]
    # A half width that is nothing but rounding error has no digits to show.
    if 1e-9 * largest < half_width < math.inf:
        wanted.append(1 - math.floor(math.log10(half_width)) + power)
    decimals = max(0, *wanted)
    suffix = f"e{_MINUS}{-power}" if small else ""
    return [_fixed(value, power, decimals, suffix) for value in values]


def _fixed(value: float, power: int, decimals: int, suffix: str) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    # A Decimal holds the float exactly and shifts its point without rounding.
    text = f"{Decimal(value).scaleb(-power):.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", _MINUS) + suffix
