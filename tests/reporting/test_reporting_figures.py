import json
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from harness import edit_yaml
from matplotlib.colors import to_rgb
from scipy import stats

from dmp.arrayfile import save_arrays
from dmp.cli.workspace import Workspace
from dmp.config import from_data
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.kinds.gate import colour_scale
from dmp.reporting.figures.lines import LINES_PER_PANEL, percent_limits, shares
from dmp.reporting.figures.pictures import montage
from dmp.reporting.figures.registry import KINDS, register_figure, write_figures
from dmp.reporting.figures.style import empty_figure, looks, method_look
from dmp.reporting.figures.variants import draw_arms
from dmp.statistics.arms import midpoint

TASK = "unconditional"
VARIANTS = ["baseline", "fine-tuning", "prompt-tuning", "dmp"]
SEEDS = [0, 1, 2]
BINS = [f"{100 * k}-{100 * k + 99}" for k in range(10)]
CURVE = [10, 20, 30]


def row(variant, seed, metric, value, where="all", iteration=30, **changes):
    return {
        "task": TASK, "variant": variant, "seed": seed, "baseline_seed": 0, "metric": metric,
        "bin": where, "iteration": iteration, "value": value, "samples": 100, "protocol": metric,
        "evaluator": "digits", "commit": "c", "config": variant,
    } | changes  # fmt: skip


def make_results(variants=VARIANTS, seeds=SEEDS):
    rng = np.random.default_rng(0)
    rows = []
    for variant in variants:
        for seed in seeds:
            iterations = [0] if variant == "baseline" else CURVE
            for iteration in iterations:
                rows.append(row(variant, seed, "fid", 20 + rng.normal(), iteration=iteration))
            last = iterations[-1]
            for where in BINS:
                noise = 0.1 + 0.01 * rng.normal()
                rows.append(row(variant, seed, "denoising_mse", noise, where, last))
                if variant == "dmp":
                    rows.append(row(variant, seed, "prompts_used", 0.9 + rng.normal() / 99, where))
                    rows.append(row(variant, seed, "prompts_used", 0.97, where, 0))
    return pd.DataFrame(rows)


def make_study(kind, variants=VARIANTS, options=None, **changes):
    cells = [
        SimpleNamespace(
            task=TASK, variant=v, label=f"the {v}", paper={"fid": f"{6 + k}.10"}, not_run=None
        )
        for k, v in enumerate(variants)
    ]
    figures = [SimpleNamespace(kind=kind, task=None, options=options or {})]
    study = {
        "id": "study", "title": "A study", "source": "Table 2", "metrics": ["fid"],
        "cells": cells, "figures": figures,
    }  # fmt: skip
    return SimpleNamespace(**study | changes)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "results", "digits")


@pytest.fixture
def data(layout):
    return make_data(layout, make_results())


def make_data(layout, results, conclusive=True, seeds=SEEDS, tasks=None):
    scale = SimpleNamespace(
        name="digits", title="8×8 digits", conclusive=conclusive, tasks=tasks or {}
    )
    return FigureData(results, scale, seeds, layout)


def write_samples(layout, variant, seed, count=130, labels=None):
    images = np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(count) % 2 if labels is None else labels
    save_arrays(layout.samples(TASK, variant, seed), {"images": images, "labels": labels})
    return images


def write_gate(layout, seed, blocks=4, **arrays):
    """Write arrays beside the timesteps of a gate; without any, weights, which are returned."""
    weights = np.random.default_rng(seed).dirichlet(np.ones(16), (11, blocks))
    steps = {"timesteps": np.linspace(0, 999, 11).round().astype(np.int64)}
    arrays = arrays or {"weights": weights.astype(np.float32)}
    save_arrays(layout.gate(TASK, "dmp", seed), steps | arrays)
    return weights


def draw(study, data):
    spec = study.figures[0]
    kind = KINDS.get(spec.kind, "kind")
    return kind.draw(study, data, TASK, from_data(kind.options, spec.options, "options"))


def words(figure):
    texts = (text.get_text() for text in figure.findobj(matplotlib.text.Text))
    return " ".join(texts).replace("\n", " ")


def labelled(axes):
    return dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))


def percent(results, variant, metric, iteration=None):
    """Return (seeds, bins) changes to the baseline as logarithms."""
    rows = results[results["metric"] == metric]
    if iteration is not None:
        rows = rows[(rows["iteration"] == iteration) | (rows["variant"] == "baseline")]
    table = rows.pivot(index=["variant", "seed"], columns="bin", values="value")
    return np.log(table.loc[variant] / table.loc["baseline"])


def bars(container):
    """Return x, mean, low and high of error bars."""
    line, _, (segments,) = container.lines
    ends = np.array([segment[:, 1] for segment in segments.get_segments()])
    return line.get_xdata(), line.get_ydata(), ends[:, 0], ends[:, 1]


def t_interval(values):
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def test_curve_is_the_change_to_the_baseline_in_percent_with_t_intervals_side_by_side(data):
    axes = draw(make_study("curve"), data).axes[0]
    places = set()
    for variant in VARIANTS[1:]:
        x, mean, low, high = bars(labelled(axes)[f"the {variant}"])
        places.add(tuple(x))
        np.testing.assert_allclose(np.round(x, -1), [0, *CURVE])
        assert mean[0] == 0
        for k, iteration in enumerate(CURVE, start=1):
            logs = percent(data.results, variant, "fid", iteration)["all"]
            expected = 100 * np.expm1([logs.mean(), *t_interval(logs)])
            np.testing.assert_allclose([mean[k], low[k], high[k]], expected, rtol=1e-9)
    assert len(places) == 3


def test_variant_with_a_measurement_before_training_starts_there(layout):
    start = pd.DataFrame([row("dmp", seed, "fid", 99.0, iteration=0) for seed in SEEDS])
    results = pd.concat([make_results(), start], ignore_index=True)
    axes = draw(make_study("curve"), make_data(layout, results)).axes[0]
    assert bars(labelled(axes)["the dmp"])[1][0] > 300
    assert bars(labelled(axes)["the fine-tuning"])[1][0] == 0


def test_before_and_after_are_dots_and_no_line(layout):
    start = pd.DataFrame([row("dmp", seed, "fid", 40.0, iteration=0) for seed in SEEDS])
    results = pd.concat([make_results(), start], ignore_index=True)
    results = results[~results["iteration"].isin([10, 20])]
    (axes,) = draw(make_study("curve"), make_data(layout, results)).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "the fine-tuning", "the prompt-tuning", "the dmp",
    ]  # fmt: skip
    *_, before, after = axes.containers
    assert before.lines[0].get_markerfacecolor() == "white"
    logs = percent(results, "dmp", "fid", 30)["all"]
    assert after.lines[0].get_xdata()[0] == pytest.approx(100 * np.expm1(logs.mean()))
    assert before.lines[0].get_xdata()[0] > 50 > after.lines[0].get_xdata()[0]


def test_curve_of_the_paper_is_in_percent_on_the_same_axis(data):
    paper = {"the dmp": {50000: 5.61, 0: 6.26}, "fine-tuning": {0: 6.26, 50000: 6.8}}
    ours, theirs = draw(make_study("curve", options={"paper": paper}), data).axes
    assert ours.get_shared_y_axes().joined(ours, theirs)
    line = labelled(theirs)["the dmp"]
    assert list(line.get_xdata()) == [0, 50000]
    np.testing.assert_allclose(line.get_ydata(), [0, -10.3834], atol=1e-4)
    same = labelled(ours)["the dmp"].lines[0]
    assert (line.get_color(), line.get_marker()) == (same.get_color(), same.get_marker())
    assert labelled(theirs)["fine-tuning"].get_color() == looks(VARIANTS)["fine-tuning"].color


def test_seeds_of_several_baselines_count_as_their_baselines(layout):
    results = make_results(["baseline", "dmp"], [0, 1, 2, 3])
    results["baseline_seed"] = results["seed"] % 2
    data = make_data(layout, results, seeds=[0, 1, 2, 3])
    arms = draw_arms(make_study("curve"), data, TASK, "fid", "last").arms
    fid = results.query("metric == 'fid' and variant == 'dmp' and iteration == 30")
    low, high = t_interval(fid.groupby("baseline_seed")["value"].mean())
    found = arms["dmp"].estimates().iloc[0]
    np.testing.assert_allclose([found["low"], found["high"]], [low, high], rtol=1e-12)


def test_one_seed_draws_lines_without_bars(layout):
    data = make_data(layout, make_results(seeds=[0]), seeds=[0])
    axes = draw(make_study("curve"), data).axes[0]
    found = labelled(axes)
    assert len(found) == len(VARIANTS) - 1
    segments = found["the dmp"].lines[2][0].get_segments()
    assert not any(len(s) and np.isfinite(s).all() for s in segments)


def test_lost_and_missing_runs_are_told(layout):
    results = make_results()
    lost = (results["variant"] == "fine-tuning") & (results["seed"] == 1)
    missing = (results["variant"] == "dmp") & (results["seed"] == 2)
    results = results[~lost & ~missing]
    flag = pd.DataFrame(
        [row("fine-tuning", 1, "diverged", 1.0), row("prompt-tuning", 0, "diverged", 1.0)]
    )
    data = make_data(layout, pd.concat([results, flag], ignore_index=True))
    for kind in ("curve", "dose-response", "denoising"):
        told = words(draw(make_study(kind), data))
        assert "the fine-tuning is left out: training was not finite in 1 of 3 seeds." in told
        assert "the dmp: seed 2 missing" in told
        assert "the prompt-tuning: seed 0 diverged, but stayed finite" in told


def test_cells_that_are_not_run_are_told(data):
    study = make_study("curve")
    study.cells[1].not_run = "takes a cluster"
    figure = draw(study, data)
    assert "the fine-tuning is not run: takes a cluster." in words(figure)
    assert "the fine-tuning" not in labelled(figure.axes[0])


def test_dose_response_keeps_the_order_of_the_cells_and_pairs_seeds(data):
    order = ["dmp", "baseline", "fine-tuning"]
    ours, paper = draw(make_study("dose-response", order), data).axes
    fid = data.results[data.results["metric"] == "fid"]
    last = fid.loc[fid.groupby(["variant", "seed"])["iteration"].idxmax()]
    table = last.pivot(index="seed", columns="variant", values="value")[order]
    assert [text.get_text() for text in ours.get_xticklabels()] == [f"the {v}" for v in order]
    thin = [line.get_ydata() for line in ours.lines if line.get_linewidth() < 1][: len(SEEDS)]
    np.testing.assert_allclose(thin, table.to_numpy())
    (bars,) = ours.containers
    np.testing.assert_allclose(bars.lines[0].get_ydata(), table.mean(), rtol=1e-12)
    segments = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
    np.testing.assert_allclose(segments, [t_interval(table[v]) for v in order], rtol=1e-12)
    assert list(paper.lines[0].get_ydata()) == [6.1, 7.1, 8.1]


def test_denoising_draws_paired_changes_at_the_middle_of_bins(data):
    axes = draw(make_study("denoising"), data).axes[0]
    assert list(labelled(axes)) == ["the fine-tuning", "the prompt-tuning", "the dmp"]
    logs = percent(data.results, "dmp", "denoising_mse")[BINS]
    x, mean, low, high = bars(labelled(axes)["the dmp"])
    np.testing.assert_allclose(x, 49.5 + 100 * np.arange(10), atol=10)
    np.testing.assert_allclose(mean, 100 * np.expm1(logs.mean()), rtol=1e-9)
    expected = 100 * np.expm1(t_interval(logs[BINS[1]]))
    np.testing.assert_allclose([low[1], high[1]], expected, rtol=1e-9)
    # As much as is relevant in a loss.
    assert (axes.get_yscale(), axes.yaxis.get_transform().linthresh) == ("symlog", 0.1)


def test_denoising_needs_a_baseline(data):
    figure = draw(make_study("denoising", ["dmp", "fine-tuning"]), data)
    assert not figure.axes
    assert "need a baseline" in words(figure)


def test_limits_of_percent_hold_every_value_and_the_linear_part():
    assert percent_limits(np.array([-2.0, np.nan, 50.0]), 1) == (-2.6, 65.0)
    assert percent_limits(np.array([0.5]), 10) == (-10, 10)


def test_many_variants_have_a_row_each_of_the_whole_loss(layout):
    variants = ["baseline", *(f"dmp,depth={k}" for k in range(LINES_PER_PANEL + 1))]
    rng = np.random.default_rng(1)
    whole = pd.DataFrame([
        row(v, seed, "denoising_mse", 0.1 + 0.01 * rng.normal(), iteration=0 if k == 0 else 30)
        for k, v in enumerate(variants) for seed in SEEDS
    ])  # fmt: skip
    results = pd.concat([make_results(variants), whole], ignore_index=True)
    (axes,) = draw(make_study("denoising", variants), make_data(layout, results)).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [f"the {variant}" for variant in variants[1:]]
    logs = percent(whole, variants[-1], "denoising_mse")["all"]
    last = axes.containers[-1].lines[0]
    assert last.get_xdata()[0] == pytest.approx(100 * np.expm1(logs.mean()))
    assert {c.lines[0].get_color() for c in axes.containers} == {looks(["dmp"])["dmp"].color}
    assert shares([]) == [[]]


def test_gate_maps_have_all_timesteps_and_ordered_prompts_on_one_scale(layout, data):
    weights = {seed: write_gate(layout, seed) for seed in SEEDS}
    figure = draw(make_study("gate"), data)
    maps = [axes.collections[0] for axes in figure.axes if "Timestep" in axes.get_xlabel()]
    assert len(maps) == 4
    assert [axes.get_title() for axes in figure.axes[:4]] == [f"Block {k}" for k in range(1, 5)]
    pictures = [axes.collections[0] for axes in figure.axes[:12]]
    assert len({id(picture.norm) for picture in pictures}) == 1
    for number, picture in enumerate(pictures):
        own = 16 * weights[number // 4]
        order = np.argsort(-own[0].mean(axis=0))
        np.testing.assert_allclose(picture.get_array(), own[:, number % 4, order].T, rtol=1e-5)
    assert "multiples of 1/16" in words(figure)


def test_gate_that_is_even_looks_flat_and_extremes_do_not_hide_the_rest():
    flat, _ = colour_scale(np.array([0.999, 1.0, 1.001]))
    np.testing.assert_allclose([flat.vmin, flat.vmax, flat(1)], [1 / 1.1, 1.1, 0.5])
    steep, extend = colour_scale(np.array([1e-6, 0.5, 16.0]))
    assert steep(0.5) - steep(0.05) > 0.2
    assert steep(1) == pytest.approx(0.5)
    assert extend == "min"


def test_gates_whose_blocks_differ_in_prompts_show_their_normalised_entropy(layout, data):
    even = {seed: np.random.default_rng(seed).uniform(0.5, 1, (11, 4)) for seed in SEEDS}
    for seed in SEEDS:
        write_gate(layout, seed, weights_0=np.ones((11, 1)), evenness=even[seed])
    figure = draw(make_study("gate"), data)
    maps = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(maps) == 3
    assert len({id(picture.norm) for picture in maps}) == 1
    for seed, picture in zip(SEEDS, maps, strict=True):
        np.testing.assert_allclose(picture.get_array(), even[seed].T)
        assert picture.get_extent() == [0, 999, 4.5, 0.5]
    assert "differ in the number K of prompts" in words(figure)
    write_gate(layout, 2, evenness=even[2][:3])
    with pytest.raises(DMPError, match=r"gate.npz: evenness \(3, 4\) do not fit"):
        draw(make_study("gate"), data)


def test_no_gate_says_so(data):
    figure = draw(make_study("gate"), data)
    assert "No run of any variant has a gate's weights." in words(figure)


def test_gates_of_different_shape_are_refused(layout, data):
    write_gate(layout, 0)
    write_gate(layout, 1, blocks=3)
    with pytest.raises(DMPError, match="unconditional/dmp"):
        draw(make_study("gate"), data)


def test_entropy_over_timesteps_and_over_training(layout, data):
    for seed in SEEDS:
        write_gate(layout, seed)
        log = layout.run(TASK, "dmp", seed) / "log.jsonl"
        points = enumerate([2.7, 2.6 - seed, 2.8], start=1)
        rows = [{"step": 10 * k, "time": 1.0, "loss": 1.0, "gate/entropy": x} for k, x in points]
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    left, right = draw(make_study("entropy"), data).axes
    trained = data.results.query("metric == 'prompts_used' and iteration == 30")
    mean = trained.groupby("bin")["value"].mean()[BINS]
    line = labelled(left)["the dmp, trained"]
    np.testing.assert_allclose(line.get_ydata(), -np.log(mean), rtol=1e-12)
    np.testing.assert_allclose(line.get_xdata(), [midpoint(where) for where in BINS])
    np.testing.assert_allclose(labelled(left)["the dmp, untrained"].get_ydata(), -np.log(0.97))
    assert left.get_yscale() == "log"
    assert labelled(left)["the dmp, untrained"].get_linestyle() != "-"
    thin = [line for line in left.lines if line.get_linewidth() < 1]
    assert len(thin) == len(SEEDS)
    over = labelled(right)["the dmp, mean over seeds"]
    means = [np.exp(2.7), np.mean([np.exp(2.6 - seed) for seed in SEEDS]), np.exp(2.8)]
    assert list(over.get_xdata()) == [10, 20, 30]
    np.testing.assert_allclose(over.get_ydata()[:2], [np.log(16 / x) for x in means[:2]])
    assert np.isnan(over.get_ydata()[2])  # rounding took it beyond what all alike can have


def test_samples_of_a_column_are_of_one_number(layout, data):
    images = {v: write_samples(layout, v, 1) for v in VARIANTS[:3]}
    write_samples(layout, "dmp", 0)
    figure = draw(make_study("samples"), data)
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    assert len(pictures) == 3 * 12
    factor = pictures[0].shape[0] // 8
    for number, picture in enumerate(pictures):
        assert picture.dtype == np.uint8
        expected = images[VARIANTS[number // 12]][number % 12, 0]
        np.testing.assert_array_equal(picture[::factor, ::factor], expected)
    told = words(figure)
    assert "the dmp is left out: it has no samples of seed 1." in told
    assert all(axes.images[0].get_clim() == (0, 255) for axes in figure.axes)


def test_samples_with_different_labels_are_not_put_side_by_side(layout, data):
    write_samples(layout, "baseline", 0)
    write_samples(layout, "dmp", 0, labels=np.ones(130, np.int64))
    with pytest.raises(DMPError, match="dmp and baseline have different labels"):
        draw(make_study("samples"), data)


def test_class_grids_hold_samples_of_their_class_only(layout, data):
    images = [write_samples(layout, "dmp", seed, count=100) for seed in SEEDS]
    options = {"variant": "dmp", "classes": [1, 0, 7]}
    figure = draw(make_study("classes", options=options), data)
    assert [axes.get_title() for axes in figure.axes] == ["class 1", "class 0", "class 7"]
    expected = np.concatenate([images[0][1::2], images[1][1::2]])[:64]
    picture = figure.axes[0].images[0].get_array()
    factor = picture.shape[0] // 71
    np.testing.assert_array_equal(picture[::factor, ::factor], montage(expected)[0])
    assert "Class 7: there are only 0 samples." in words(figure)
    assert "seeds 0, 1, in the order of sampling" in words(figure)


def embedded(conditioning="class"):
    data = SimpleNamespace(name="digits", source=None)
    return {TASK: SimpleNamespace(data=data, conditioning=conditioning)}


def test_real_images_of_the_same_classes_stand_below_samples(layout):
    labels = np.arange(130) % 10
    write_samples(layout, "dmp", 0, labels=labels)
    data = make_data(layout, make_results(), tasks=embedded())
    figure = draw(make_study("samples", ["dmp"]), data)
    real, found = data.real(TASK), [axes.images[0].get_array() for axes in figure.axes]
    assert len(found) == 2 * 12
    factor = found[0].shape[0] // 8
    seen = [0] * 10
    for picture, number in zip(found[12:], labels, strict=False):
        expected = real.images[real.labels == number][seen[number], 0]
        seen[number] += 1
        np.testing.assert_array_equal(picture[::factor, ::factor], expected)
    figure = draw(make_study("classes", options={"variant": "dmp", "classes": [3]}), data)
    picture = figure.axes[0].images[0].get_array()
    factor = picture.shape[0] // 71
    first = real.images[real.labels == 3][0, 0]
    np.testing.assert_array_equal(picture[::factor, ::factor][54:62, :8], first)


def test_a_method_looks_the_same_wherever_it_is_the_only_one_of_its_kind():
    alone = looks(["baseline", "fine-tuning,learning_rate_factor=0.03", "dmp,condition=t+c"])
    assert alone["dmp,condition=t+c"] == looks(["dmp"])["dmp"] == method_look("dmp,depth=1")
    assert alone["fine-tuning,learning_rate_factor=0.03"] == looks(VARIANTS)["fine-tuning"]
    both = looks(["dmp,condition=t+c", "dmp"])
    assert both["dmp"] == looks(["dmp"])["dmp"]
    assert both["dmp,condition=t+c"].color != both["dmp"].color


def test_columns_are_headed_by_their_captions(layout):
    write_samples(layout, "dmp", 0, labels=np.arange(130))
    data = make_data(layout, make_results(), tasks=embedded("text"))
    figure = draw(make_study("samples", ["dmp"]), data)
    assert figure.axes[1].get_title().split() == ["zero"]
    assert figure.axes[0].get_title().split() == ["a", "handwritten", "zero"]
    assert data.captions(TASK)[110] == ("the handwritten digit zero", 0)


def test_montage_places_images_row_by_row():
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    canvas = montage(images)
    assert canvas.shape == (1, 23, 23)
    assert canvas[0, 0, 3] == 1
    assert canvas[0, 3, 3] == 9
    assert canvas[0, 0, 2] == canvas[0, 3, 6] == 255


@pytest.mark.parametrize("kind", KINDS.names())
def test_a_study_without_any_data_says_why(layout, kind):
    options = {"variant": "dmp", "classes": [1]} if kind == "classes" else {}
    empty = make_data(layout, make_results().iloc[:0], conclusive=False)
    figure = draw(make_study(kind, options=options), empty)
    assert not figure.axes
    assert "Nothing to draw." in words(figure)
    assert "too small for any conclusion" in words(figure)


def luminance(colours):
    """Relative luminance (WCAG) of (n, 3) sRGB colours."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_variants_can_be_told_apart_in_grey():
    found = looks([*VARIANTS, *(f"dmp,depth={k}" for k in range(20))])
    assert len(set(found.values())) == len(found)
    panel = list(found.values())
    for start in range(len(panel) - LINES_PER_PANEL + 1):
        together = panel[start : start + LINES_PER_PANEL]
        assert len({look.marker for look in together}) == LINES_PER_PANEL
    levels = luminance(np.array([to_rgb(look.color) for look in found.values()]))
    assert levels.max() < 0.5  # all are seen on white


def test_files_are_written_in_three_formats_and_equal_bytes(layout, tmp_path):
    write_gate(layout, 0)
    data = make_data(layout, make_results(seeds=[0]), seeds=[0])
    first = write_figures(make_study("gate"), data, tmp_path / "a")
    names = [f"study-gate-{TASK}.{suffix}" for suffix in ("svg", "png")]
    assert [path.name for path in first] == names
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(names)
    # Settings of whoever calls it change nothing.
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.hashsalt": "other"}):
        second = write_figures(make_study("gate"), data, tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_task_that_is_not_run_has_a_figure_that_says_why(data, tmp_path):
    study = make_study("curve")
    for cell in study.cells:
        cell.not_run = "takes a cluster"
    paths = write_figures(study, data, tmp_path)
    assert [path.name for path in paths] == [f"study-curve.{s}" for s in ("svg", "png")]


def test_a_figure_from_outside_is_drawn_by_its_name(data, tmp_path, monkeypatch):
    # As another package's module does, which an entry point of the group dmp.figures names.
    monkeypatch.setattr(KINDS, "_found", dict(KINDS._found))

    @register_figure("mean")
    def mean(study, data, task, options):
        value = data.arms.arm(task, "dmp", "fid").last.mean()
        return empty_figure(study.title, data.scale, [f"FID {value:.3f}"])

    assert "mean" in KINDS.names()
    (svg, _) = write_figures(make_study("mean"), data, tmp_path)
    assert svg.name == f"study-mean-{TASK}.svg"


@pytest.mark.parametrize("where", ["all of it", "9", "1-2-3"])
def test_bin_that_is_no_range_is_refused(where):
    with pytest.raises(DMPError, match=f"bin '{where}' is not a range"):
        midpoint(where)


def test_files_that_cannot_be_read_are_named(layout, data):
    write_samples(layout, "dmp", 0)
    path = layout.samples(TASK, "dmp", 0)
    path.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(DMPError, match=r"samples.npz is truncated or corrupt"):
        data.samples(TASK, "dmp", 0)
    np.savez(path, images=np.zeros((2, 4, 8, 8), np.uint8), labels=np.zeros(2))
    with pytest.raises(DMPError, match=r"uint8 \(n, 1 or 3, H, W\)"):
        data.samples(TASK, "dmp", 0)
    np.savez(layout.gate(TASK, "dmp", 0))
    assert data.gate(TASK, "dmp", 0) is None


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("protocol", "metric denoising_mse: the rows were measured differently .protocol"),
        ("baseline_seed", "dmp against baseline, metric denoising_mse: seeds 0, 1, 2 rest on diff"),
        ("seed", "variant dmp, metric denoising_mse: seed 9 stands in more than one row"),
    ],
)
def test_what_cannot_stand_in_one_figure_is_refused(layout, column, message):
    results = make_results()
    results.loc[results["variant"] == "dmp", column] = "another" if column == "protocol" else 9
    with pytest.raises(DMPError, match=message):
        draw(make_study("denoising"), make_data(layout, results))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "curves"}, r"figures.0.kind = 'curves': did you mean 'curve'"),
        ({"options": {"metrik": "fid"}}, r"figures.0.options: unknown key 'metrik'.*'metric'"),
        ({}, "two figures would be written to study-curve"),
    ],
)
def test_figures_that_cannot_be_drawn_are_refused(data, tmp_path, change, message):
    study = make_study("curve")
    study.figures = [SimpleNamespace(**vars(spec) | change) for spec in study.figures * 2]
    with pytest.raises(DMPError, match=message):
        write_figures(study, data, tmp_path)


def test_a_kind_that_does_not_exist_is_refused_before_anything_is_computed(ablations):
    edit_yaml(ablations / "studies/table3.yaml", lambda d: d.update(figures=[{"kind": "curv"}]))
    with pytest.raises(
        DMPError, match=r"study table3: figures.0.kind = 'curv': did you mean 'curv"
    ):
        Workspace("smoke", ablations=ablations)
