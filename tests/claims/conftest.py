import pandas as pd
import pytest
from fake_results import relevant, result_rows

from dmp.claims.evaluate import evaluate
from dmp.claims.schema import Claims
from dmp.config import from_data

FID = relevant("fid", 1)


@pytest.fixture
def table():
    """A function from lists of rows to results."""
    return lambda *parts: pd.DataFrame([row for part in parts for row in part])


@pytest.fixture
def rows():
    return result_rows


@pytest.fixture
def make():
    """A function from pieces of evidence, as in the file, to claims with FID as only endpoint.

    Of FID 1 % is relevant, of recall too.
    """

    def claims(*evidence, **fields):
        data = {
            "endpoints": [FID],
            "further_metrics": [
                relevant("recall", 1, better="higher"),
                relevant("denoising_gap", 1),
                relevant("prompts_used", 1, better="higher"),
                relevant("denoising_mse", 0.1),
                relevant("diverged", 10),
                relevant("seconds", 5),
            ],
            "claims": [
                {"id": f"C{k:02}", "statement": "s", "location": "l", "evidence": [piece]}
                for k, piece in enumerate(evidence, start=1)
            ],
        }
        return from_data(Claims, data | fields, "test")

    return claims


@pytest.fixture
def judge(make, table):
    """One piece of evidence on arms of FID, or on other rows: its row of the table."""

    def judged(evidence, arms=None, *parts, **fields):
        if arms is not None:
            parts = (result_rows(arms), *parts)
        return evaluate(make(evidence), table(*parts), **fields).iloc[0]

    return judged
