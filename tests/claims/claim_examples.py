"""Values of four seeds, and the evidence that is judged on them in most tests of claims."""

import numpy as np
import pandas as pd
from fake_results import relevant
from fake_results import result_rows as rows

from dmp.claims.evaluate import evaluate
from dmp.claims.schema import Claims
from dmp.config import from_data

BASE = np.array([10.2, 9.9, 10.4, 10.1])
LARGER = BASE + np.array([1.0, 1.2, 0.9, 1.1])
SMALLER = BASE - [1.0, 1.2, 0.9, 1.1]
DIFFERENCE = {
    "test": "difference", "task": "unconditional", "variant": "dmp", "against": "baseline",
    "predicts": "better",
}  # fmt: skip
EQUIVALENCE = {k: v for k, v in DIFFERENCE.items() if k != "predicts"} | {"test": "equivalence"}


def table(*parts):
    """Return lists of rows as results."""
    return pd.DataFrame([row for part in parts for row in part])


def make(*evidence, **fields):
    """Return pieces of evidence, as in the file, as claims with FID as only endpoint."""
    data = {
        "endpoints": [relevant("fid", 1)],
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


def judge(evidence, arms=None, *parts, **fields):
    """Judge a piece of evidence on arms of FID, or on other rows; return its row of the table."""
    if arms is not None:
        parts = (rows(arms), *parts)
    return evaluate(make(evidence), table(*parts), **fields).iloc[0]
