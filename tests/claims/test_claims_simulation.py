"""Are verdicts right as often as they claim? Studies are drawn with known effects."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from dmp.claims.evaluate import judge, measure
from dmp.claims.numbers import Numbers
from dmp.statistics.contrast import Aligned
from dmp.statistics.paired import power

STUDIES, SEEDS, SD, LEVEL = 500, 5, 0.3, 10.0
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


class Drawn(Numbers):
    """In place of results: true means, and noise that pairs share."""

    def aligned(self, task, variants):
        return Aligned(np.column_stack([self.results[v] for v in variants]), np.zeros(SEEDS))


def drawn(effects, rng):
    names = ["baseline", *VARIANTS]
    means = LEVEL + np.array([0.0, *effects])
    noise = rng.normal(0, SD / np.sqrt(2), (len(names), SEEDS)) + rng.normal(0, 1, SEEDS)
    return Drawn(dict(zip(names, means[:, None] + noise, strict=True)), {})


@pytest.fixture
def simulate(make):
    """For each study, claim to (finding, verdict)."""

    def simulated(effects, seed, evidence=EVIDENCE):
        rng, claims = np.random.default_rng(seed), make(*evidence)
        for _ in range(STUDIES):
            found = measure(claims, drawn(effects, rng))
            verdicts = [verdict for *_, verdict in judge(found, claims.level)]
            yield {p.claim: (p.found, v) for p, v in zip(found, verdicts, strict=True)}

    return simulated


def _within(count, n, p):
    """Not rejected by an exact binomial test at a level that a right program fails once in 10^4."""
    return stats.binomtest(int(count), n, p, alternative="greater").pvalue > 1e-4


def test_where_nothing_is_true_false_verdicts_keep_the_family_wise_level(simulate):
    # With effects of 0 'not better' and 'equal' are true.
    true, false = {"C06": "supported", "C09": "supported"}, 0
    for study in simulate([0.0] * 6, seed=1):
        false += any(v not in ("inconclusive", true.get(c)) for c, (_, v) in study.items())
    assert _within(false, STUDIES, 0.05)
    assert false > 0


def test_true_effects_do_not_loosen_the_correction_of_the_others(simulate):
    # 'Equal' and 'not better' are false, just at their margins of 5 %; C05 is true; C02 to C04 are
    # null. The trend and the interaction have effects that this is not about.
    true, false, power_of_true = {"C05": "supported", "C06": "contradicted"}, 0, 0
    for study in simulate([-0.5, 0, 0, 0, 1.5, -0.5], seed=2):
        judged = {c: v for c, (_, v) in study.items() if c in ("C02", "C03", "C04", "C05", "C06")}
        equal = study["C09"][1] == "supported"
        false += equal or any(v not in ("inconclusive", true.get(c)) for c, v in judged.items())
        power_of_true += judged["C05"] == "supported"
    assert _within(false, STUDIES, 0.05)
    assert power_of_true > 0.9 * STUDIES


def test_intervals_cover_and_power_is_what_it_says(simulate):
    effect, single = -0.45, [_difference("dmp", "better")]
    studies = [study["C01"] for study in simulate([0, 0, effect, 0, 0, 0], 3, single)]
    covered = sum(found.low <= effect <= found.high for found, _ in studies)
    assert stats.binomtest(covered, STUDIES, 0.95).pvalue > 1e-3
    verdicts = [verdict for _, verdict in studies]
    expected = power(effect / SD, SEEDS)
    assert 0.5 < expected < 0.9
    assert stats.binomtest(verdicts.count("supported"), STUDIES, expected).pvalue > 1e-3
    assert "contradicted" not in verdicts


def test_intervals_cover_where_baselines_are_the_units():
    # Seeds of a baseline share its effect: as units, seeds would cover far too rarely.
    rng, covered, naive = np.random.default_rng(4), 0, 0
    baselines = np.arange(12) % 4
    for _ in range(1000):
        shift = rng.normal(0, 1, size=4)[baselines]
        values = np.column_stack([shift + rng.normal(0, 0.3, 12), np.zeros(12)])
        found = Aligned(values, baselines).contrast((1, -1))
        covered += found.low <= 0 <= found.high
        found = Aligned(values, np.zeros(12)).contrast((1, -1))
        naive += found.low <= 0 <= found.high
    assert stats.binomtest(covered, 1000, 0.95).pvalue > 1e-3
    assert naive < 0.85 * 1000


def test_divergence_keeps_its_level(make):
    rng = np.random.default_rng(5)
    given = {"test": "divergence", "task": "unconditional", "variant": "dmp",
             "against": "baseline", "predicts": "more"}  # fmt: skip
    [(_, _, evidence)] = make(given).evidence()
    arms = SimpleNamespace(
        tasks={"unconditional"}, arm=lambda *_: SimpleNamespace(last=rng.random(8) < 0.4)
    )
    found = [evidence.measure(Numbers(arms, {}, metric="diverged")) for _ in range(STUDIES)]
    assert _within(sum(f.p < 0.05 for f in found), STUDIES, 0.05)
    # The difference of the true shares is 0.
    covered = sum(f.low <= 0 <= f.high for f in found)
    assert stats.binomtest(covered, STUDIES, 0.95, alternative="less").pvalue > 1e-3
