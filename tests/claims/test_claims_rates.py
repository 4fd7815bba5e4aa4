from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from claim_examples import rows, table

from dmp.claims.rates import mean_weight, points, spread
from dmp.claims.schema import Curve
from dmp.methods import Variant
from dmp.reporting.figures.rates import effective_rates
from dmp.statistics.arms import Arms

SCALE = SimpleNamespace(name="digits", title="8×8 digits", conclusive=True)
LOSS = np.array([0.150, 0.152, 0.149])
ARMS = ["baseline", "dmp", "prompt-tuning", "prompt-tuning,learning_rate_factor=one-over-n",
        "dmp,weights=sigmoid"]  # fmt: skip


@pytest.mark.parametrize(
    ("variant", "weight"),
    [
        ("dmp", 1 / 16),
        ("dmp,gate=constant", 1 / 16),
        ("dmp,gate_timestep=permuted,importance_weight=0", 1 / 16),
        ("dmp,weights=n-softmax", 1),
        ("prompt-tuning", 1),
        ("prompt-tuning,weights=one-over-n", 1 / 16),
        # What these are on average depends on what they learn.
        ("dmp,weights=sigmoid", None),
        ("dmp,type=hard", None),
        ("dmp,position=prepend", None),
        ("dmp,gate=attention-literal", None),
        ("fine-tuning", None),
        ("baseline", None),
    ],
)
def test_mean_weight(variant, weight):
    assert mean_weight(Variant.parse(variant), 16) == weight


@pytest.fixture
def found():
    values = {"baseline": LOSS, "dmp": LOSS * 0.998, "prompt-tuning": LOSS * [1.01, 1.02, 1.03],
              ARMS[3]: LOSS * [0.9981, 0.9982, 0.998]}  # fmt: skip
    results = Arms(table(rows(values, metric="denoising_mse")))
    curves = [Curve(task="unconditional", variants=ARMS), Curve(task="elsewhere", variants=ARMS)]

    def factor(task, variant):
        return 1 / 16 if "one-over-n" in variant else 1.0

    return points(curves, results, {"unconditional": 16}, factor)


def test_points_are_arms_by_rate_times_weight_against_the_baseline(found):
    drawn, left = found
    assert {p.variant: p.rate for p in drawn} == {
        "dmp": 1 / 16, ARMS[3]: 1 / 16, "prompt-tuning": 1,
    }  # fmt: skip
    [dmp] = [p for p in drawn if p.variant == "dmp"]
    assert dmp.effect.percent(dmp.effect.found.mean) == pytest.approx(-0.2)
    assert left == ["elsewhere is not run at this scale."]
    # dmp and prompt tuning at lr / N: 0.1 percent of the loss apart.
    assert spread(drawn) == pytest.approx(100 * np.prod([0.9981, 0.9982, 0.998]) ** (1 / 3) - 99.8)


def test_the_figure_draws_each_kind_with_a_look_of_its_own(found):
    figure = effective_rates(*found, SCALE)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    drawn = {c.get_label(): c.lines[0].get_xdata().tolist() for c in axes.containers}
    assert drawn == {"dmp": [1 / 16], "prompt-tuning": [1 / 16, 1]}
    words = " ".join(t.get_text() for t in figure.findobj(matplotlib.text.Text))
    assert "elsewhere is not run at this scale." in words.replace("\n", " ")
    empty = effective_rates([], ["nothing is run."], SCALE)
    assert "nothing is run." in " ".join(t.get_text() for t in empty.findobj(matplotlib.text.Text))
