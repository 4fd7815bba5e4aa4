from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dmp.statistics.study import cells, comparisons

METRICS = ["fid", "denoising_mse", "kid"]
PAPER = {"baseline": 6.27, "fine-tuning": "6.80", "dmp": 5.87}
LEVELS = {"fid": 20.0, "denoising_mse": 0.0312, "kid": 0.0123}


@pytest.fixture
def study():
    return SimpleNamespace(
        id="table2",
        title="Further training of converged backbones",
        source="Table 2",
        variance=None,
        baselines=False,
        metrics=METRICS,
        notes=["A note of\nthe study."],
        cells=[
            SimpleNamespace(
                task=task,
                variant=variant,
                label=variant.capitalize(),
                paper={"fid": number},
                not_run="not built yet" if task == "text" else None,
                unmeasured={},
            )
            for task in ("unconditional", "class", "text")
            for variant, number in PAPER.items()
        ],
        comparisons=[
            SimpleNamespace(task=task, variant=variant, against=against)
            for task in ("unconditional", "class", "text")
            for variant, against in (
                ("dmp", "baseline"),
                ("fine-tuning", "baseline"),
                ("dmp", "fine-tuning"),
            )
        ],
    )


@pytest.fixture
def scale():
    task = SimpleNamespace(
        stands_for="FFHQ, DiT-B/2",
        description="digits, DiT with 4 blocks",
        caution="",
        pretraining=SimpleNamespace(decay=None),
    )
    return SimpleNamespace(
        name="digits",
        title="8×8 handwritten digits",
        conclusive=True,
        tasks={"unconditional": task, "class": task},
    )


@pytest.fixture
def baselines():
    row = {"converged": True, "fid_last": 20.1, "relative_change": -0.081, "p_value": 0.0014}
    return pd.DataFrame(
        [
            {"task": task, "baseline_seed": seed, **row, "iterations": 4000, "commit": "c"}
            for task in ("unconditional", "class")
            for seed in (0, 1)
        ]
    )


@pytest.fixture
def measure(study):
    """Return a function from the number of seeds and baselines to (cells, comparisons)."""

    def measured(seeds=3, baseline_seeds=1):
        rng = np.random.default_rng(0)
        results = pd.DataFrame(
            [
                {
                    "task": task,
                    "variant": variant,
                    "seed": seed,
                    "baseline_seed": seed % baseline_seeds,
                    "metric": metric,
                    "bin": "all",
                    "iteration": 0 if variant == "baseline" else 300,
                    "value": LEVELS[metric] * rng.normal(1, 0.02),
                    "samples": 1438,
                    "protocol": "a1b2c3",
                    "evaluator": "digits-classifier",
                    "commit": "c",
                    "config": variant,
                }
                for task in ("unconditional", "class")
                for variant in PAPER
                for seed in range(seeds)
                for metric in METRICS
            ]
        )
        return cells(results, study), comparisons(results, study)

    return measured
