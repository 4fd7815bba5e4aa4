"""What is said about a search follows from fresh seeds, and every file says so."""

import numpy as np
import pandas as pd
import pytest
import yaml
from fake_sweep import choice, make_search, make_sweep, measure, number, searched, study_of
from harness import ROOT
from optuna.trial import TrialState
from optuna_dashboard import get_note
from scipy import stats

from dmp.config import from_data
from dmp.errors import DMPError
from dmp.files import write_text
from dmp.layout import Layout
from dmp.methods import Variant
from dmp.studies import Cell
from dmp.sweeps.checking import make_space
from dmp.sweeps.confirmation import verdict
from dmp.sweeps.files import CONFIRMED_COLUMNS, SweepFiles
from dmp.sweeps.loading import load_space, load_sweep, sweep_names
from dmp.sweeps.outcome import Outcome
from dmp.sweeps.report import write_report
from dmp.sweeps.storage import load_study
from dmp.sweeps.trials import best_variants, point_variant
from dmp.workflow.titles import sweep_title


@pytest.fixture
def no_plots(monkeypatch):
    """Save the seconds that plots take where a test is not about them."""
    for name in ("write_plots", "write_interactive"):
        monkeypatch.setattr(f"dmp.sweeps.report.{name}", lambda *_: None)


def confirm(plan, search, shift=0.0, diverged=()):
    """Write what the fresh seeds of each point gave: its value, and a noise of the seed."""
    for point in range(search.sweep.confirmation.points + 1):
        variant = point_variant(search.sweep, study_of(search), point)
        rows = []
        for seed in [] if variant is None else (1, 2, 3):
            run = plan.run("unconditional", variant, seed)
            lost = (point, seed) in diverged
            quality = measure(run.variant).values["fid"] + seed**2 + shift * seed * point
            rows.append(
                {
                    **{"variant": run.variant, "seed": seed, "baseline_seed": 0},
                    **{"fid": np.nan if lost else quality, "denoising_mse": np.nan},
                    **{"added_parameters": 32.0, "diverged": lost, "config": run.hash},
                }
            )
        table = pd.DataFrame(rows, columns=list(CONFIRMED_COLUMNS))
        write_text(search.files.confirmation(point), table.to_csv(index=False, na_rep="nan"))


def report(plan, search):
    write_report(plan, search.sweep, search.files, study_of(search))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, plan):
    search = searched(tmp_path_factory.mktemp("sweep"), make_sweep())
    confirm(plan, search, shift=0.1)
    report(plan, search)
    return search


def test_best_of_one_objective_are_the_least_and_distinct(tmp_path):
    search = searched(tmp_path, make_sweep(objectives=["fid"], trials=12))
    study = study_of(search)
    values = {t.user_attrs["variant"]: t.values[0] for t in study.get_trials()}
    best = [value for _, (value,) in best_variants(search.sweep, study)]
    assert best == sorted(values.values())[:2]


def test_best_of_two_objectives_are_the_ends_of_the_front(finished):
    study = study_of(finished)
    front = sorted(trial.values for trial in study.best_trials)
    assert [values for _, values in best_variants(finished.sweep, study)] == [front[0], front[-1]]


def test_trials_table_has_every_trial_and_its_parameters(finished):
    table = pd.read_csv(finished.files.trials)
    assert list(table["number"]) == list(range(10))
    assert set(table["state"]) == {"complete"}
    for row in table.itertuples():
        assert measure(row.variant).values["fid"] == pytest.approx(row.fid)
        assert pd.isna(row.prompts) == (row.position == "add")


def test_confirmed_numbers_are_those_of_the_fresh_seeds(finished):
    table = pd.read_csv(finished.files.confirmed)
    files = finished.files
    base = pd.read_csv(files.confirmation(0))["fid"]
    for rank in range(1, len(table)):
        point = pd.read_csv(files.confirmation(rank))["fid"]
        row = table.iloc[rank]
        assert row["difference"] == pytest.approx((point - base).mean())
        assert row["p_t"] == pytest.approx(stats.ttest_rel(point, base).pvalue)
        half = stats.t.ppf(0.975, 2) * (point - base).std() / 3**0.5
        assert row["difference_high"] == pytest.approx((point - base).mean() + half)
        assert row["mean"] == pytest.approx(point.mean())


def test_page_says_that_the_best_of_many_is_biased(finished):
    for path in finished.files.pages():
        text = path.read_text()
        assert "nothing is concluded from it" in text.replace("\n", " ")
        assert "no conclusion may be drawn" in text.replace("\n", " ")
    text = (finished.files.root / "fake.md").read_text()
    assert "in the search (biased)" in text
    assert "10 complete" in text
    assert "1 to 3" in text


def confirmed_table(*rows):
    names = ("variant", "difference", "difference_low", "difference_high", "p_t_holm")
    nan = float("nan")
    return pd.DataFrame([("dmp", nan, nan, nan, nan), *rows], columns=names).assign(seeds=5)


def test_verdict_is_better_only_where_fresh_seeds_show_it():
    sweep = make_sweep()
    near = ("dmp,depth=1", -0.5, -1.0, 0.0, 0.06)
    better, worse = ("dmp,depth=2", -0.25, -0.3, -0.2, 0.01), ("dmp,depth=3", 9.0, 8.0, 10.0, 0.01)
    assert verdict(sweep, confirmed_table(near, worse)) == (
        "No point was shown to be better than dmp; the best, dmp,depth=1, has Δ FID −0.50 "
        "[−1.00, 0.00] over 5 fresh seeds."
    )
    assert verdict(sweep, confirmed_table(near, better, worse)) == (
        "dmp,depth=2 is better than dmp: Δ FID −0.250 [−0.300, −0.200] over 5 fresh seeds."
    )
    lost = ("dmp,depth=1", *[float("nan")] * 4)
    assert "has diverged" in verdict(sweep, confirmed_table(lost))


def test_verdict_stands_on_the_page_in_the_report_and_in_optunas_dashboard(finished, plan):
    told = sweep_title(plan, finished.sweep, finished.files)
    page = (finished.files.root / "fake.md").read_text()
    small = "scale 'smoke' is too small for any conclusion"
    assert told["Title"] == f"A search of arithmetic – {small}"
    assert "better than dmp" in told["Outcome"]
    assert told["Outcome"] in page
    assert get_note(study_of(finished)) == page


def test_damaged_outcome_is_one_clear_error_in_the_report_too(finished, plan, tmp_path):
    files = SweepFiles(Layout(tmp_path, "smoke"), finished.sweep.id)
    files.root.mkdir(parents=True)
    whole = finished.files.confirmed.read_text()
    for damage, told in ((whole.replace("difference_low", "x"), "difference_low"), ("", "empty")):
        files.confirmed.write_text(damage)
        with pytest.raises(DMPError, match=told):
            sweep_title(plan, finished.sweep, files)


def test_note_of_a_search_that_is_not_confirmed_says_so(tmp_path):
    note = get_note(study_of(searched(tmp_path, make_sweep(trials=1))))
    assert note.startswith("# A search of arithmetic\n\n1 trials from `dmp`.")
    assert "best points (1) will be measured with fresh seeds (3 each)" in note


def test_best_points_are_cells_that_a_study_can_name(finished, plan):
    cells = yaml.safe_load(finished.files.best.read_text())["cells"]
    for data in cells:
        cell = from_data(Cell, data, "best.yaml")
        assert Variant.parse(cell.variant).name == cell.variant
        plan.run(cell.task, cell.variant, 0)
    assert cells[0]["variant"] == "dmp"
    assert len(cells) >= 2


def test_plots_are_there_in_every_format(finished):
    kinds, objectives = ("history", "slice", "importance"), ("fid", "added_parameters")
    names = {f"{kind}-{objective}" for kind in kinds for objective in objectives} | {"pareto"}
    files = {path.name: path for path in finished.files.figures.iterdir()}
    assert set(files) == {f"{name}{suffix}" for name in names for suffix in (".png", ".svg")}
    for path in files.values():
        assert path.stat().st_size > 2000
    text = finished.files.interactive.read_text()
    assert all(f'id="{name}"' in text for name in names)
    assert 'src="http' not in text


def test_equal_trials_give_equal_bytes(finished, plan):
    def contents(files):
        named = [*files.pages(), files.trials, files.best, files.confirmed, files.interactive]
        return [p.read_bytes() for p in [*named, *sorted(files.figures.iterdir())]]

    before = contents(finished.files)
    report(plan, finished)
    assert contents(finished.files) == before


@pytest.mark.usefixtures("no_plots")
@pytest.mark.parametrize("kind", ["tpe", "qmc"])
def test_points_that_cannot_exist_are_passed_over_and_said_on_the_page(tmp_path, digits, kind):
    resize = choice("resize", "nearest", "bilinear")
    parameters = [number("depth", 4, 5), number("grid", 1, 4), resize]
    sweep = make_sweep(parameters=parameters, sampler={"kind": kind}, trials=16)
    search = searched(tmp_path, sweep, space=make_space(sweep, digits, "try.yaml"))
    confirm(digits, search)
    report(digits, search)
    table = pd.read_csv(search.files.trials)
    # Of eight points one is out, 3 by 3 prompts in blocks: neither of its values alone is to blame.
    gone = table[table["state"] == "cannot exist"]
    assert set(gone["variant"]) == {"dmp,depth=4,grid=3,resize=nearest"}
    assert gone["why"].str.startswith("resize = nearest cannot spread 3 x 3").all()
    assert table["why"].notna().sum() == len(gone)
    points = "1 point that was" if len(gone) == 1 else f"{len(gone)} points that were"
    for suffix in ("md", "html", "tex"):
        text = " ".join((search.files.root / f"fake.{suffix}").read_text().split())
        assert f"{points} proposed cannot exist at this scale: resize = nearest" in text
        assert f"{len(gone)} cannot exist, 16 complete" in text
        assert "Not searched, since it cannot exist at this scale: depth = 5: depth = 5" in text


@pytest.mark.parametrize("name", sweep_names(ROOT / "ablations"))
def test_every_sweep_of_the_project_ends_at_the_default_scale(tmp_path, digits, name):
    sweep = load_sweep(ROOT / "ablations", name)
    search = make_search(tmp_path, sweep, space=load_space(ROOT / "ablations", sweep, digits))

    def objective(variant, report):
        # What diverges is a result: here, all that learns fast.
        factor = Variant.parse(variant).training.learning_rate_factor
        diverged = isinstance(factor, float) and factor > 5
        if sweep.pruning and not diverged:
            report(100, 1.0)
        return Outcome(None, 1) if diverged else measure(variant, report)

    assert search.work(objective) == sweep.trials
    states = {t.state for t in study_of(search).get_trials()}
    assert states <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert point_variant(sweep, study_of(search), 1)


def test_unfinished_search_is_not_reported(tmp_path, plan):
    search = searched(tmp_path, make_sweep(trials=3))
    asked = make_sweep(trials=5)
    with pytest.raises(DMPError, match="has 3 of 5 trials; run its workers again"):
        write_report(plan, asked, search.files, study_of(search))
    with pytest.raises(DMPError, match="no worker has run this sweep as it is configured now"):
        load_study(search.storage, "another")


def test_confirmation_of_another_point_is_refused(tmp_path, plan):
    search = searched(tmp_path, make_sweep())
    confirm(plan, search)
    write_text(search.files.confirmation(1), search.files.confirmation(0).read_text())
    with pytest.raises(DMPError, match=r"1.csv does not hold .*; confirm the sweep again"):
        report(plan, search)


@pytest.mark.usefixtures("no_plots")
def test_point_with_a_diverged_run_has_no_mean(tmp_path, plan):
    search = searched(tmp_path, make_sweep())
    confirm(plan, search, diverged={(1, 2)})
    report(plan, search)
    row = pd.read_csv(search.files.confirmed).iloc[1]
    assert row["diverged"] == 1
    assert pd.isna(row["mean"])
    assert pd.isna(row["difference"])
    assert "diverged" in (search.files.root / "fake.md").read_text()


def test_one_trial_is_reported_though_there_is_little_to_draw(tmp_path, plan):
    search = searched(tmp_path, make_sweep(trials=1, objectives=["fid"]))
    confirm(plan, search)
    report(plan, search)
    names = {path.stem for path in search.files.figures.iterdir()}
    assert names == {"history-fid", "slice-fid"}
