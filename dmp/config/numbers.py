"""The kinds of numbers that files may give: each has limits, so that a slip ends where it is read.

What a number may be beside the others, such as a batch no larger than its dataset, is checked where
both are known.
"""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import AfterValidator, Field

# Iterations, images, samples.
Count = Annotated[int, Field(ge=1, le=10**9)]
# Of one image there is no covariance, and no pair.
Several = Annotated[int, Field(ge=2, le=10**9)]
# Edges, widths and depths of networks, and what a tensor has of something.
Size = Annotated[int, Field(ge=1, le=2**16)]
# Seeds, jobs, processes, threads.
Few = Annotated[int, Field(ge=1, le=1000)]
Bytes = Annotated[int, Field(ge=1, le=10**15)]
# NumPy's older generators, which Optuna has, take no more.
LARGEST_SEED = 2**32 - 1
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]

Probability = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
LearningRate = Annotated[float, Field(ge=1e-12, le=100)]
# Of something else of the file; from so small or large a one only zeros and infinities follow.
Factor = Annotated[float, Field(ge=1e-6, le=1e6)]
# Of a term that may be left out.
Weight = Annotated[float, Field(ge=0, le=1e6)]
Percent = Annotated[float, Field(ge=1e-6, le=1000)]
# Of something in a second, or in units of which a machine has many.
Rate = Annotated[float, Field(ge=1e-6, le=1e12)]
# Whatever else is measured.
Value = Annotated[float, Field(ge=-1e12, le=1e12)]


def _plain_number(text: str) -> str:
    try:
        known = len(text) <= 30 and abs(Decimal(text)) <= 10**12
    except InvalidOperation:  # what a comparison with NaN is, too
        known = False
    if not known:
        raise ValueError("must be a plain number in quotes, with the digits that are printed")
    return text


# As text, where its last digit may be a zero.
Printed = Annotated[str, AfterValidator(_plain_number)]
