import gc

import pandas as pd
import pytest
from fake_results import relevant

from dmp.claims.evaluate import evaluate
from dmp.claims.schema import Claims
from dmp.config import from_data


def _rows(arms, task="unconditional", metric="fid", **fields):
    """One row per seed and variant; ``arms``: variant to values, seeds from 0."""
    row = {"baseline_seed": 0, "bin": "all", "iteration": 300, "samples": 1000, "protocol": "p",
           "evaluator": "e", "commit": "c", "config": "x"}  # fmt: skip
    return [
        {"task": task, "variant": variant, "seed": seed, "metric": metric, "value": float(value)}
        | row
        | fields
        for variant, values in arms.items()
        for seed, value in enumerate(values)
    ]


FID = relevant("fid", 1)


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch):
    """Holm in statsmodels collects garbage at every call: most of the time of these tests."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.fixture
def table():
    """A function from lists of rows to results."""
    return lambda *parts: pd.DataFrame([row for part in parts for row in part])


@pytest.fixture
def rows():
    return _rows


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
def judge(make, table, rows):
    """One piece of evidence on arms of FID, or on other rows: its row of the table."""

    def judged(evidence, arms=None, *parts, **fields):
        if arms is not None:
            parts = (rows(arms), *parts)
        return evaluate(make(evidence), table(*parts), **fields).iloc[0]

    return judged
