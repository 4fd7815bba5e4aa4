"""Are verdicts right as often as they claim? Studies are drawn with known effects."""

import numpy as np
import pytest
from scipy import stats

from dmp.claims.contrast import contrast, power
from dmp.claims.evaluate import evaluate

STUDIES, SEEDS, SD, LEVEL = 400, 5, 0.3, 10.0
VARIANTS = ["dmp,depth=1", "dmp,depth=half", "dmp", "fine-tuning", "prompt-tuning", "continued"]


def _difference(variant, predicts):
    return {"test": "difference", "task": "unconditional", "variant": variant,
            "against": "baseline", "predicts": predicts}  # fmt: skip


EVIDENCE = [
    *(_difference(variant, "better") for variant in VARIANTS[:4]),
    _difference("prompt-tuning", "worse"),
    _difference("continued", "not-better"),
    {"test": "trend", "task": "unconditional", "variants": ["baseline", *VARIANTS[:3]],
     "predicts": "better"},
    {"test": "interaction", "task": "unconditional", "both": "dmp", "first": "fine-tuning",
     "second": "prompt-tuning", "neither": "baseline", "predicts": "better"},
    {"test": "equivalence", "task": "unconditional", "variant": "dmp,depth=1",
     "against": "baseline", "margin_percent": 5},
]  # fmt: skip


@pytest.fixture
def simulate(make, table, rows):
    """Verdicts (studies, evidence) for true means, seed effects that pairs share, and noise."""

    def simulated(effects, seed, pieces=EVIDENCE, studies=STUDIES):
        rng, found = np.random.default_rng(seed), []
        names = ["baseline", *VARIANTS]
        results = table(rows({name: np.zeros(SEEDS) for name in names}))
        means = LEVEL + np.array([0.0, *effects])
        claims = make(*pieces)
        for _ in range(studies):
            shared = rng.normal(0, 1, size=SEEDS)
            values = means[:, None] + shared + rng.normal(0, SD / np.sqrt(2), (7, SEEDS))
            found.append(evaluate(claims, results.assign(value=values.ravel())))
        return found

    return simulated


def _within(count, n, p):
    """Not rejected by an exact binomial test at a level that a right program fails once in 10^4."""
    return stats.binomtest(int(count), n, p, alternative="greater").pvalue > 1e-4


def test_where_nothing_is_true_false_verdicts_keep_the_family_wise_level(simulate):
    # Effects of 0, and a difference just at the margins: the worst case of each kind.
    found = simulate([0.0] * 6, seed=1)
    false = 0
    for evaluated in found:
        verdicts = dict(zip(evaluated["claim"], evaluated["verdict"], strict=True))
        # 'Not better' and 'equivalent' are true here.
        true = {"C06": "supported", "C09": "supported"}
        false += any(v != "inconclusive" and true.get(c) != v for c, v in verdicts.items())
    assert _within(false, STUDIES, 0.05)
    assert false > 0


def test_true_effects_do_not_loosen_the_correction_of_the_others(simulate):
    # 'Not better' and 'equal' are false, both just at the margin of 5 %.
    found = simulate([-0.5, 0, 0, 0, 1.5, -0.5], seed=2)
    true = {"C01": "supported", "C05": "supported", "C06": "contradicted"}
    false = 0
    for row in found:
        verdicts = dict(zip(row["claim"], row["verdict"], strict=True))
        # The trend and the interaction have effects of their own sign.
        judged = {c: v for c, v in verdicts.items() if c not in ("C07", "C08")}
        false += any(v != "inconclusive" and true.get(c) != v for c, v in judged.items())
        assert verdicts["C05"] != "contradicted"
    assert _within(false, STUDIES, 0.05)


def test_intervals_cover_and_power_is_what_it_says(simulate):
    effect, single = -0.45, [_difference("dmp", "better")]
    found = simulate([0, 0, effect, 0, 0, 0], seed=3, pieces=single)
    low, high = (np.array([e[name][0] for e in found]) for name in ("low", "high"))
    covered = np.sum((low <= effect) & (effect <= high))
    assert stats.binomtest(int(covered), STUDIES, 0.95).pvalue > 1e-3
    supported = sum(e["verdict"][0] == "supported" for e in found)
    assert stats.binomtest(supported, STUDIES, power(effect / SD, SEEDS)).pvalue > 1e-3
    assert all(e["verdict"][0] != "contradicted" for e in found)


def test_intervals_of_several_baselines_cover():
    # Seeds of a baseline share its effect: as units, seeds would cover far too rarely.
    rng, covered, naive = np.random.default_rng(4), 0, 0
    baselines = np.arange(12) % 4
    for _ in range(2000):
        shift = rng.normal(0, 1, size=4)[baselines]
        values = np.column_stack([shift + rng.normal(0, 0.3, 12), np.zeros(12)])
        found = contrast(values, (1, -1), baselines)
        covered += found.low <= 0 <= found.high
        found = contrast(values, (1, -1), np.zeros(12))
        naive += found.low <= 0 <= found.high
    assert stats.binomtest(covered, 2000, 0.95).pvalue > 1e-3
    assert naive < 0.85 * 2000


def test_divergence_keeps_its_level(make, table, rows):
    rng = np.random.default_rng(5)
    piece = {"test": "divergence", "task": "unconditional", "variant": "dmp",
             "against": "baseline", "predicts": "more"}  # fmt: skip
    claims, false = make(piece), 0
    results = table(rows({"dmp": np.zeros(8), "baseline": np.zeros(8)}, metric="diverged"))
    for _ in range(300):
        drawn = results.assign(value=(rng.random(16) < 0.4).astype(float))
        false += evaluate(claims, drawn)["verdict"][0] != "inconclusive"
    assert _within(false, 300, 0.05)
