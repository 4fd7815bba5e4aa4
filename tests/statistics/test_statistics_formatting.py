from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dmp.statistics.formatting import (
    format_interval,
    format_number,
    format_p,
    format_paper,
    format_range,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((6.2713, 6.2292, 6.3134), "6.271 [6.229, 6.313]"),
        ((-0.4012, -0.9, 0.0976), "−0.401 [−0.900, 0.098]"),
        ((20.04, 18.6, 21.48), "20.0 [18.6, 21.5]"),
        ((1234.5, 1200.1, 1268.9), "1234 [1200, 1269]"),
        ((0.00012, -0.5, 0.50024), "0.000 [−0.500, 0.500]"),
        ((-1.08e-5, -1.31e-5, -8.5e-6), "−1.08e−5 [−1.31e−5, −0.85e−5]"),
        ((0.0, 0.0, 0.0), "0 [0, 0]"),
        ((-0.1, -0.1, -0.1), "−0.100 [−0.100, −0.100]"),
        ((6.2713, NAN, NAN), "6.27"),
        ((NAN, NAN, NAN), "–"),
    ],
)
def test_interval_is_printed_with_the_digits_that_its_width_leaves(numbers, text):
    assert format_interval(*numbers) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3.14159, "3.14"),
        (-12345.6, "−12346"),
        (0.00123456, "0.00123"),
        (2.5e-8, "2.50e−8"),
        (float("inf"), "∞"),
        (-float("inf"), "−∞"),
        (NAN, "–"),
    ],
)
def test_number_is_printed_with_three_digits(number, text):
    assert format_number(number) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.25, "0.250"),
        (0.001, "0.001"),
        (0.00099, "<0.001"),
        (0, "<0.001"),
        (1, "1.000"),
        (NAN, "–"),
    ],
)
def test_p_value_is_never_printed_as_zero(p, text):
    assert format_p(p) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.27, "6.27"), ("6.80", "6.80"), (Decimal("-0.40"), "−0.40"), (None, "–"), (NAN, "–")],
)
def test_paper_number_is_printed_as_it_stands(value, text):
    assert format_paper(value) == text


@given(middle=st.floats(-1e6, 1e6), half=st.floats(1e-12, 1e6))
def test_printed_limits_are_within_a_twentieth_of_the_half_width(middle, half):
    assume(half > 1e-6 * abs(middle))
    low, high = middle - half, middle + half
    texts = format_range(low, high).strip("[]").split(", ")
    printed = [float(text.replace("−", "-")) for text in texts]
    np.testing.assert_allclose(printed, [low, high], rtol=0, atol=0.0501 * half)
