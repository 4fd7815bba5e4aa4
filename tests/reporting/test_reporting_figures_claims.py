from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from dmp.claims.measurement import CONTRADICTED, INCONCLUSIVE, NOT_TESTED, SUPPORTED
from dmp.errors import DMPError
from dmp.reporting.figures.claims import all_evidence, forest, paper_against_ours
from dmp.reporting.figures.style import write_figure

SCALE = SimpleNamespace(name="digits", title="8×8 digits", conclusive=True)
SMOKE = SimpleNamespace(name="smoke", title="8×8 digits", conclusive=False)
NAN = float("nan")


def piece(claim, effect, half, paper, verdict, **changes):
    return {
        "claim": claim, "evidence": 0, "test": "difference", "task": "unconditional",
        "variant": "dmp", "against": "baseline", "metric": "fid", "effect": effect,
        "low": effect - half, "high": effect + half, "recipe": "paper",
        "paper_effect": paper, "verdict": verdict, "endpoint": "fid", "p_against_holm": 1.0,
    } | changes  # fmt: skip


def evaluated():
    return pd.DataFrame(
        [
            piece("C01", -6.0, 2.0, -10.4, SUPPORTED, task="unconditional-large"),
            piece("C02", 3.0, 1.0, -6.4, CONTRADICTED),
            piece("C02", 0.5, 3.0, NAN, INCONCLUSIVE, variant="dmp,depth=1"),
            piece("C03", NAN, NAN, -25.0, NOT_TESTED),
            piece("C04", 3.0, 1.0, -6.4, CONTRADICTED),
            piece("C05", 9.0, 9.0, 1.0, INCONCLUSIVE, metric="kid"),
        ]
    )


def summary(**verdicts):
    rows = [(claim, f"Statement {claim}.", verdict) for claim, verdict in verdicts.items()]
    return pd.DataFrame(rows, columns=["claim", "statement", "verdict"])


SUMMARY = summary(C01=SUPPORTED, C02=CONTRADICTED, C03=NOT_TESTED, C04=CONTRADICTED)


def words(figure):
    texts = (text.get_text() for text in figure.findobj(matplotlib.text.Text))
    return " ".join(texts).replace("\n", " ")


def points(axes, marker):
    """Return (x, colour) of single points with a marker, from the top."""
    found = [line for line in axes.lines if line.get_marker() == marker and len(line.get_xdata())]
    found.sort(key=lambda line: line.get_ydata()[0])
    return [(line.get_xdata()[0], to_hex(line.get_color())) for line in found]


def test_evidence_marks_verdicts_by_shape_and_the_paper_by_an_open_diamond():
    axes = all_evidence(evaluated(), SCALE).axes[0]
    assert [x for x, _ in points(axes, "o")] == [-6.0]
    assert [x for x, _ in points(axes, "s")] == [3.0, 3.0]
    assert [x for x, _ in points(axes, "^")] == [0.5]
    diamonds = [line for line in axes.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert [line.get_xdata()[0] for line in diamonds] == [-10.4, -6.4, -6.4]
    assert {line.get_markerfacecolor() for line in diamonds} == {"none"}
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:3] == ["supported (1)", "contradicted (2)", "inconclusive (1)"]


def test_evidence_draws_the_intervals_of_the_evidence():
    axes = all_evidence(evaluated(), SCALE).axes[0]
    ends = [tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "None"]
    drawn = [pair for pair in ends if len(pair) == 2 and pair[0] != pair[1] and pair != (0, 1)]
    assert drawn == [(-8.0, -4.0), (2.0, 4.0), (-2.5, 3.5), (2.0, 4.0)]


def test_all_evidence_names_the_evidence_and_what_is_left_out():
    figure = all_evidence(evaluated(), SCALE)
    ticks = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert ticks == [
        "unconditional-large: dmp − baseline",
        "unconditional: dmp − baseline",
        "unconditional: dmp,depth=1 − baseline",
        "unconditional: dmp − baseline",
    ]
    assert "1 of 5 pieces of evidence on FID are left out, being not tested: C03." in words(figure)
    assert [t.get_text() for t in figure.axes[0].texts] == ["C01", "C02", "C04"]


def test_no_number_lies_outside_the_axes():
    rows = [piece(f"C{k:02}", k / 10, 1.0, k / 9, INCONCLUSIVE) for k in range(30)]
    table = pd.DataFrame([*rows, piece("C30", 300.0, 20.0, 120.0, CONTRADICTED)])
    (alone,), (both,) = (draw(table, SCALE).axes for draw in (all_evidence, paper_against_ours))
    for low, high in (alone.get_xlim(), both.get_xlim(), both.get_ylim()):
        assert low <= -1
        assert high > 320
    assert {alone.get_xscale(), both.get_xscale(), both.get_yscale()} == {"symlog"}


def test_forest_has_one_line_per_claim_with_the_evidence_that_decides():
    figure = forest(evaluated(), SUMMARY, SCALE)
    axes = figure.axes[0]
    ticks = [text.get_text() for text in axes.get_yticklabels()]
    assert ticks == [f"{claim}  Statement {claim}." for claim in ("C01", "C02", "C03", "C04")]
    assert [x for x, _ in points(axes, "s")] == [3.0, 3.0]  # not the open piece of C02
    assert [x for x, _ in points(axes, "o")] == [-6.0]
    told = [text.get_text() for text in axes.texts]
    assert told[0] == "supported\nFID −6.00 [−8.00, −4.00] %"
    assert told[2] == NOT_TESTED
    assert words(figure).count("Smaller FID is better") == 1


def test_paper_against_ours_draws_each_test_once():
    figure = paper_against_ours(evaluated(), SCALE)
    axes = figure.axes[0]
    drawn = {
        container.get_label(): list(
            zip(*(np.asarray(d).tolist() for d in container.lines[0].get_data()), strict=True)
        )
        for container in axes.containers
    }
    assert drawn == {"unconditional-large": [(-10.4, -6.0)], "unconditional": [(-6.4, 3.0)]}
    (segment,) = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(segment[:, 1], [-8.0, -4.0])
    told = words(figure)
    assert told.count("same direction") == told.count("opposite direction") == 2
    assert "1 of 2 effects have the paper's direction" in told
    assert "C02, C04" in told
    assert axes.get_xlim() == axes.get_ylim()


@pytest.mark.parametrize("draw", [all_evidence, paper_against_ours])
def test_warning_empty_and_malformed_input(draw):
    assert "too small for any conclusion" in words(draw(evaluated(), SMOKE))
    assert "too small" not in words(draw(evaluated(), SCALE))
    empty = draw(evaluated().query("verdict == 'not tested'"), SCALE)
    assert not empty.axes
    assert "Nothing to draw." in words(empty)
    with pytest.raises(DMPError, match="lacks the columns verdict"):
        draw(evaluated().drop(columns="verdict"), SCALE)


def test_names_of_points_do_not_cover_each_other():
    rows = [piece(f"C{k:02}", 1 + k / 100, 0.1, 1 + k / 100, SUPPORTED, task=k) for k in range(9)]
    rows.append(piece("C10", 90.0, 1.0, -90.0, SUPPORTED))
    axes = paper_against_ours(pd.DataFrame(rows).astype({"task": str}), SCALE).axes[0]
    names = [text.get_text() for text in axes.texts if text.get_text().startswith("C")]
    assert "C10" in names
    assert len(names) < 5


def test_figure_is_written_in_two_formats_with_equal_bytes(tmp_path):
    first = write_figure(forest(evaluated(), SUMMARY, SMOKE), tmp_path / "a" / "claims.v1")
    assert [path.name for path in first] == ["claims.v1.svg", "claims.v1.png"]
    second = write_figure(forest(evaluated(), SUMMARY, SMOKE), tmp_path / "b" / "claims.v1")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
