"""Are verdicts right as often as they claim? Whole pages are drawn with known effects."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from claim_examples import make
from fake_results import relevant
from scipy import stats

from dmp.claims.evaluate import measure
from dmp.claims.judge import judge
from dmp.claims.numbers import Numbers
from dmp.reporting.claims_notes import notes
from dmp.statistics.contrast import Aligned
from dmp.statistics.paired import power, units_needed

PAGES, SEEDS, SD, MARGIN = 250, 6, 0.02, 5
# The size of a relevant effect on logarithms.
DELTA = float(np.log1p(MARGIN / 100))
DECIDED = ("supported", "contradicted")
ARMS = ["dmp", "dmp,depth=1", "dmp,depth=half", "fine-tuning", "prompt-tuning", "continued"]


def _difference(variant, predicts):
    return {"test": "difference", "task": "unconditional", "variant": variant,
            "against": "baseline", "predicts": predicts}  # fmt: skip


EQUAL = {"test": "equivalence", "task": "unconditional", "variant": "continued",
         "against": "baseline"}  # fmt: skip
TREND = {"test": "trend", "task": "unconditional", "predicts": "better",
         "variants": ["baseline", "dmp,depth=1", "dmp,depth=half", "dmp"]}  # fmt: skip
# Claims of a page: single ones of all kinds, and some that rest on several pieces.
PAGE = [
    *([_difference(variant, "better")] for variant in ARMS[:3]),
    [_difference("fine-tuning", "worse")],
    [_difference("prompt-tuning", "not-better")],
    [EQUAL],
    [TREND],
    [_difference(variant, "better") for variant in ARMS[:4]],
    [_difference("dmp", "better"), _difference("prompt-tuning", "not-worse"), EQUAL],
]


@dataclass(frozen=True)
class Drawn(Numbers):
    """In place of results: true log means, and noise; the first few are this run's."""

    own: int = SEEDS

    def aligned(self, task, variants, metric=""):
        values = np.column_stack([np.exp(self.results[v]) for v in variants])
        own, further = values[: self.own], values[self.own :]
        spread = Aligned(further, np.arange(len(further))) if len(further) else None
        return Aligned(own, np.arange(len(own)), spread)


def normal(rng, shape):
    return rng.normal(0, SD, shape)


def larger(times):
    return lambda rng, shape: times * normal(rng, shape)


def long_tailed(rng, shape):
    """Skewness 6 before pairing, in every arm: differences are symmetric, with long tails."""
    sigma = 1.0
    centred = rng.lognormal(0, sigma, shape) - np.exp(sigma**2 / 2)
    return SD * centred / np.sqrt((np.exp(sigma**2) - 1) * np.exp(sigma**2))


def lopsided(skewness):
    """Differences to the baseline that are skewed themselves: a negative number mirrors them."""

    def draw(rng, shape):
        k = 4 / skewness**2
        found = np.sign(skewness) * SD * np.sqrt(2 / k) * (rng.gamma(k, 1, shape) - k)
        found[0] = 0
        return found

    return draw


def paged(page=PAGE, looks=()):
    return make(
        endpoints=[relevant("fid", MARGIN)],
        looks={"drawn": len(looks)} if looks else {},
        claims=[
            {"id": f"C{k:02}", "statement": "s", "location": "l", "evidence": pieces}
            for k, pieces in enumerate(page, start=1)
        ],
    ).at("drawn")


def simulate(effects, seed, noise=normal, page=PAGE, seeds=SEEDS, pages=PAGES, further=0, looks=()):
    """Yield for each page its claims, each with its pieces' measurements and verdicts."""
    claims = paged(page, looks)
    rng, names = np.random.default_rng(seed), ["baseline", *ARMS]
    means = np.log(10) + np.array([0.0, *effects])
    for _ in range(pages):
        units = max([seeds + further, *looks])
        drawn = means[:, None] + noise(rng, (len(names), units)) + rng.normal(0, 0.1, units)
        for own in looks or [seeds]:
            known = drawn[:, :own] if looks else drawn
            numbers = Drawn(dict(zip(names, known, strict=True)), {}, own=own)
            tested = measure(claims, numbers)
            by_claim = {}
            for each, given in zip(tested, judge(tested, claims.each_way), strict=True):
                by_claim.setdefault(each.claim, []).append((each.found, given.verdict))
            if all(verdict(own) in DECIDED for own in by_claim.values()):
                break
        yield by_claim


def verdict(pieces):
    """As on the page."""
    said = {name for _, name in pieces}
    return "contradicted" if "contradicted" in said else said.pop() if len(said) == 1 else ""


def true_pieces(effects):
    """For each piece: whether it holds, and whether it is refuted, at the true effects."""
    truth = dict(zip(ARMS, effects, strict=True))
    table = []
    for pieces in PAGE:
        row = []
        for piece in pieces:
            if piece["test"] == "trend":
                path = np.array([0.0, *(truth[v] for v in piece["variants"][1:])])
                line = 3 * np.polyfit(range(4), path, 1)[0]
                holds, refuted = line < 0, line > -DELTA
            else:
                d = truth[piece["variant"]]
                holds, refuted = {
                    "better": (d < 0, d > -DELTA),
                    "worse": (d > 0, d < DELTA),
                    "not-better": (d > -DELTA, d < -DELTA),
                    "not-worse": (d < DELTA, d > DELTA),
                    "equal": (abs(d) < DELTA, abs(d) > DELTA),
                }[piece.get("predicts", "equal")]
            row.append((holds, refuted))
        table.append(row)
    return table


def false_verdicts(pages, effects):
    """On how many pages any claim has a verdict that is false."""
    truth = true_pieces(effects)
    count = 0
    for page in pages:
        false = False
        for (_, pieces), own in zip(sorted(page.items()), truth, strict=True):
            said = verdict(pieces)
            false |= said == "supported" and not all(holds for holds, _ in own)
            false |= said == "contradicted" and not any(refuted for _, refuted in own)
        count += false
    return count


def within(count, n, p):
    """Not rejected by an exact binomial test at a level that a right program fails once in 10^4."""
    return stats.binomtest(int(count), n, p, alternative="greater").pvalue > 1e-4


SCENES = {
    "null": [0, 0, 0, 0, 0, 0],
    # 'Better' is true, to be refuted false; 'not better' and 'equal' are at the very margin.
    "margin": [-DELTA, -DELTA, -DELTA, DELTA, -DELTA, DELTA],
    "beyond": [-3 * DELTA, -2 * DELTA, -1.5 * DELTA, 2 * DELTA, -2 * DELTA, 2 * DELTA],
    # True effects must not loosen what is said of the others.
    "mixed": [0, -4 * DELTA, -4 * DELTA, 4 * DELTA, -DELTA, 0],
    "small": [-DELTA / 2, -DELTA / 3, 0, DELTA / 4, -DELTA / 2, DELTA / 2],
}


@pytest.mark.parametrize("noise", [normal, long_tailed])
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(
    ("seed", "options"),
    [
        pytest.param(0, {}, id="alone"),
        # Four baselines, and eight for their spread alone, are what a first run has.
        pytest.param(20, {"seeds": 3, "further": 9}, id="3 and a spread of 12"),
        pytest.param(20, {"seeds": 4, "further": 8}, id="4 and a spread of 12"),
        # Baselines are added until every claim of the page is decided, or a fourth time.
        pytest.param(40, {"looks": [4, 6, 9, 14]}, id="looking again"),
    ],
)
def test_pages_with_any_false_verdict_are_at_most_5_percent(seed, options, scene, noise):
    effects = SCENES[scene]
    pages = simulate(effects, seed + list(SCENES).index(scene), noise, **options)
    assert within(false_verdicts(pages, effects), PAGES, 0.05)


@pytest.mark.parametrize("skewness", [1, -1, 2, -2])
def test_skewed_differences_make_as_many_false_verdicts_as_the_page_says(skewness):
    """Where every effect lies at its margin, which is the worst; elsewhere they do no harm."""
    told = " ".join(notes(paged()))
    percent = {1: 8, 2: 18}[abs(skewness)]
    assert f"skewness of {abs(skewness)}" in told
    assert f"{percent} %" in told
    for scene in SCENES:
        pages = simulate(SCENES[scene], 60 + skewness, lopsided(skewness), seeds=12)
        most = percent / 100 if scene == "margin" else 0.05
        assert within(false_verdicts(pages, SCENES[scene]), PAGES, most), scene


def test_a_spread_that_others_have_measured_decides_more():
    effects = SCENES["beyond"]

    def decided(further):
        pages = simulate(effects, 31, seeds=3, further=further, pages=50)
        said = [verdict(pieces) for page in pages for pieces in page.values()]
        return said.count("supported") + said.count("contradicted")

    alone, known = decided(0), decided(9)
    assert known > 1.5 * alone > 0


def test_looking_often_would_find_what_is_not_there_at_an_unshared_level():
    page, looks = [[_difference("dmp", "better")]], list(range(4, 32, 3))
    pages = simulate([0.0] * 6, 51, larger(6), page, pages=2 * PAGES, looks=looks)
    false = sum(verdict(each["C01"]) == "supported" for each in pages)
    assert within(false, 2 * PAGES, 0.025)


def test_the_level_is_used_where_nothing_is_true():
    # A rule that never says anything would keep it as well: at margins the bound is not far.
    page = [[_difference(variant, "better")] for variant in ARMS]
    effects = [0.0] * 6
    false = sum(
        any(verdict(pieces) == "supported" for pieces in each.values())
        for each in simulate(effects, 11, page=page)
    )
    # Six hypotheses on one baseline, at 2.5 % together.
    assert within(false, PAGES, 0.025)
    assert false > 0


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_power_is_what_the_page_says(factor):
    # One claim, without a correction, at a test of 2.5 %: power as of a two-sided one at 5 %.
    effect, page = -factor * DELTA, [[_difference("dmp", "better")]]
    sd = np.sqrt(2) * 3 * SD
    pages = list(simulate([effect, 0, 0, 0, 0, 0], 12, larger(3), page))
    said = [verdict(each["C01"]) for each in pages]
    expected = power(effect / sd, SEEDS)
    assert 0.2 < expected < 0.95
    assert stats.binomtest(said.count("supported"), PAGES, expected).pvalue > 1e-3
    assert within(said.count("contradicted"), PAGES, 0.025)
    found = [each["C01"][0][0] for each in pages]
    percent = 100 * np.expm1(effect)
    covered = sum(f.low <= percent <= f.high for f in found)
    assert stats.binomtest(covered, PAGES, 0.95).pvalue > 1e-3


def test_as_many_units_as_the_page_says_exclude_a_relevant_effect_in_80_percent():
    sd = np.sqrt(2) * 2 * SD
    needed = units_needed(DELTA / sd)
    page = [[_difference("dmp", "better")]]
    pages = simulate([0.0] * 6, 13, larger(2), page, seeds=needed)
    excluded = sum(verdict(each["C01"]) == "contradicted" for each in pages)
    # At least: the number is rounded up.
    assert stats.binomtest(excluded, PAGES, 0.8, alternative="less").pvalue > 1e-3
    assert excluded < 0.95 * PAGES


def test_divergence_keeps_its_levels():
    rng = np.random.default_rng(5)
    given = {"test": "divergence", "task": "unconditional", "variant": "dmp",
             "against": "baseline", "predicts": "more"}  # fmt: skip
    [(_, _, evidence)] = make(given).evidence()

    def measured(share, other):
        draws = iter([rng.random(12) < share, rng.random(12) < other])
        arms = SimpleNamespace(
            tasks={"unconditional"}, arm=lambda *_: SimpleNamespace(last=next(draws))
        )
        return evidence.measure(Numbers(arms, {}, metric="diverged", relevant=30))

    found = [measured(0.4, 0.4) for _ in range(200)]
    assert within(sum(f.p_for < 0.05 for f in found), 200, 0.05)
    covered = sum(f.low <= 0 <= f.high for f in found)
    assert stats.binomtest(covered, 200, 0.95, alternative="less").pvalue > 1e-3
    # 30 % more do diverge.
    for other in (0.0, 0.3):
        against = [measured(other + 0.3, other).p_against for _ in range(200)]
        assert within(sum(p < 0.05 for p in against), 200, 0.05)
    # None does: excluded.
    assert measured(0.0, 0.0).p_against == pytest.approx(0.7**12 / 0.99, rel=1e-6)
