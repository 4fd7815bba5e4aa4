from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fake_results import result_rows
from statsmodels.stats.power import TTestIndPower, TTestPower

from dmp.statistics.variance import variances

TASK = "unconditional"
NAMES = (
    "baseline",
    "dmp",
    "dmp,sampling_seed=7",
    "dmp,sampling_seed=8",
    "baseline,sampling_seed=7",
)


def study(metrics=("fid",)):
    return SimpleNamespace(
        id="pairing",
        metrics=list(metrics),
        cells=[
            SimpleNamespace(
                task=TASK, variant=name, label="", paper={}, not_run=None, unmeasured={}
            )
            for name in NAMES
        ],
        variance=SimpleNamespace(task=TASK, variant="dmp", against="baseline"),
    )


def simulated(seeds: int, sampling: float, training: float) -> pd.DataFrame:
    """Sampling noise is shared by the arms of a seed, and fixed where a cell says so."""
    rng = np.random.default_rng(0)
    noise, own = rng.normal(0, sampling, seeds), rng.normal(0, training, (3, seeds))
    arms = (10 + noise, 9 + noise + own[0], 9.3 + own[1], 8.8 + own[2], np.full(seeds, 10.3))
    return pd.DataFrame(result_rows(dict(zip(NAMES, arms, strict=True)), TASK))


def test_parts_of_a_known_variance_are_found():
    row = variances(simulated(4000, sampling=2.0, training=0.5), study()).iloc[0]
    assert row.sd_sampling == pytest.approx(2.0, rel=0.05)
    assert row.sd_training == pytest.approx(0.5, rel=0.05)
    assert row.sd_both == pytest.approx(np.hypot(2.0, 0.5), rel=0.05)
    assert row.sd_paired == pytest.approx(0.5, rel=0.05)
    assert row.sd_unpaired == pytest.approx(np.sqrt(4 + 4.25), rel=0.05)
    assert row.removed_percent == pytest.approx(100 * (1 - 0.25 / 8.25), abs=1)


def test_seeds_have_the_power_that_they_are_counted_for():
    row = variances(simulated(30, sampling=0.3, training=0.2), study()).iloc[0]
    effect = 0.05 * row["mean"]
    paired, unpaired = int(row.seeds_paired), int(row.seeds_unpaired)
    single = row.sd_unpaired / np.sqrt(2)
    for n, reached in ((paired, True), (paired - 1, False)):
        if n >= 2:
            assert (TTestPower().power(effect / row.sd_paired, n, 0.05) >= 0.8) == reached
    for n, reached in ((unpaired, True), (unpaired - 1, False)):
        if n >= 2:
            assert (TTestIndPower().power(effect / single, n, 0.05) >= 0.8) == reached
    assert paired <= unpaired


def test_one_seed_and_no_variance_have_no_answer():
    row = variances(simulated(1, 1.0, 1.0), study()).iloc[0]
    assert row[["sd_paired", "seeds_paired", "removed_percent"]].isna().all()
    row = variances(simulated(3, 0.0, 0.0), study()).iloc[0]
    assert row.sd_paired == 0
    assert np.isnan(row.seeds_paired)
