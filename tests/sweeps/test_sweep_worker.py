"""Trials are neither lost nor doubled, whatever happens to workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_sweep import choice, make_search, make_sweep, measure, number, searched, study_of
from harness import ROOT
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.running.signals import PreemptedError
from dmp.sweeps.checking import make_space
from dmp.sweeps.outcome import ImpossibleError, Outcome
from dmp.sweeps.space import Space
from dmp.sweeps.storage import open_storage, told_apart
from dmp.sweeps.trials import best_variants, trials_table
from dmp.sweeps.worker import DIVERGED, IMPOSSIBLE, PRUNED, REASON, RETRIED_FROM, VARIANT, WHY

HERE = Path(__file__).parent


def trials_of(search):
    return study_of(search).get_trials()


def ended_variants(search):
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    return [t.user_attrs[VARIANT] for t in trials_of(search) if t.state in ended]


def start(folder: Path, trials: int, hold_at: int) -> subprocess.Popen:
    """Start a worker, and wait until it is inside the trial at which it holds."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, HERE / "fake_sweep.py", str(folder), str(trials), str(hold_at)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    said = []
    while (line := process.stderr.readline()) != "holding\n":
        assert line, f"the worker ended before its trial {hold_at}: {''.join(said)}"
        said.append(line)
    return process


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def test_killed_worker_loses_no_trial_and_the_search_ends_as_if_it_had_not_been_killed(tmp_path):
    whole = searched(tmp_path / "whole", make_sweep())
    kill(start(tmp_path / "killed", 10, hold_at=7))
    again = make_search(tmp_path / "killed", make_sweep())
    assert len(ended_variants(again)) == 6
    assert again.work(measure) == 10
    assert ended_variants(again) == ended_variants(whole)
    lost = [t for t in trials_of(again) if t.state == TrialState.FAIL]
    retried = [t for t in trials_of(again) if t.user_attrs.get(RETRIED_FROM) == 6]
    assert [t.number for t in lost] == [6]
    assert [t.params for t in retried] == [lost[0].params]


def test_two_workers_share_the_trials_and_one_takes_over_what_the_other_lost(tmp_path):
    lost, other = start(tmp_path, 10, hold_at=2), start(tmp_path, 10, hold_at=3)
    kill(lost)
    other.communicate("go on\n", timeout=120)
    assert other.returncode == 0
    search = make_search(tmp_path, make_sweep())
    trials = trials_of(search)
    assert len(ended_variants(search)) == 10
    assert [t.state for t in trials].count(TrialState.FAIL) == 1
    assert not [t for t in trials if t.state in (TrialState.RUNNING, TrialState.WAITING)]
    # Every point that was ever proposed ended once; the lost one under its second number.
    points = [str(sorted(t.params.items())) for t in trials]
    assert len(set(points)) == 10
    assert search.work(lambda *_: pytest.fail("nothing was left")) == 10


def test_trial_of_a_living_worker_is_left_alone(tmp_path):
    busy = start(tmp_path, 10, hold_at=1)
    search = make_search(tmp_path, make_sweep())
    assert search.work(measure) == 9
    states = [t.state for t in trials_of(search)]
    assert states.count(TrialState.RUNNING) == 1
    assert TrialState.FAIL not in states
    busy.communicate("go on\n", timeout=120)
    assert len(ended_variants(search)) == 10


@pytest.mark.parametrize(
    ("error", "tries", "given_up"),
    [(DMPError("the disk is full"), 3, True), (PreemptedError("asked to stop"), 5, False)],
    ids=["error: two more tries", "stop request: any number"],
)
def test_point_whose_worker_failed_is_tried_again(tmp_path, error, tries, given_up):
    search = make_search(tmp_path, make_sweep(trials=1))
    tried = []

    def fail(variant, report):
        tried.append(variant)
        raise error

    for _ in range(tries):
        with pytest.raises(type(error)):
            search.work(fail)
    assert len(set(tried)) == 1
    assert search.work(measure) == 1
    assert (ended_variants(search) != tried[:1]) == given_up


def test_kill_between_queueing_and_failing_a_lost_trial_does_not_double_it(tmp_path):
    kill(start(tmp_path, 4, hold_at=2))
    search = make_search(tmp_path, make_sweep(trials=4))
    study = study_of(search)
    lost = study.get_trials()[1]
    study.enqueue_trial(lost.params, user_attrs={RETRIED_FROM: lost.number, "retry": 1})
    assert search.work(measure) == 4
    assert [t.user_attrs.get(RETRIED_FROM) for t in trials_of(search)].count(lost.number) == 1


@pytest.mark.parametrize("queued", [False, True], ids=["new point", "point tried again"])
def test_kill_while_a_trial_is_taken_does_not_change_the_points(tmp_path, queued):
    whole = searched(tmp_path / "whole", make_sweep(trials=3))
    search = make_search(tmp_path / "killed", make_sweep(trials=3))

    def fail(variant, report):
        raise DMPError("no matter")

    with pytest.raises(DMPError):
        search.work(fail)
    study = study_of(search)
    if queued:
        study.enqueue_trial(study.trials[0].params, user_attrs={RETRIED_FROM: 0, "retry": 1})
    # As a kill leaves it: taken, without owner or variant.
    study.ask()
    assert search.work(measure) == 3
    assert ended_variants(search) == ended_variants(whole)


def test_second_start_with_more_trials_goes_on(tmp_path):
    searched(tmp_path / "two", make_sweep(trials=6))
    more = make_search(tmp_path / "two", make_sweep(trials=10))
    assert more.work(measure) == 10
    once = searched(tmp_path / "one", make_sweep(trials=10))
    assert ended_variants(more) == ended_variants(once)
    changed = make_sweep(trials=10, sampler={"kind": "tpe", "seed": 4, "startup": 4})
    other = searched(tmp_path / "other", changed)
    assert ended_variants(other) != ended_variants(once)


def test_database_holds_the_same_trials_as_the_journal(tmp_path):
    journal = make_search(tmp_path, make_sweep(trials=5))
    database = make_search(tmp_path, make_sweep(trials=5), f"sqlite:///{tmp_path / 'trials.db'}")
    assert journal.work(measure) == database.work(measure) == 5
    assert ended_variants(database) == ended_variants(journal)


# Of eight points one is out, 3 by 3 prompts in blocks: neither of its values alone is to blame.
SOME_IMPOSSIBLE = [number("grid", 1, 4), choice("resize", "nearest", "bilinear")]


def test_model_that_cannot_be_built_does_not_end_the_worker(tmp_path):
    search = make_search(tmp_path, make_sweep(trials=6))
    tried = []

    def refuse_third(variant, report):
        tried.append(variant)
        if len(tried) == 3:
            raise ImpossibleError("patch: this backbone has no such place")
        return measure(variant, report)

    assert search.work(refuse_third) == 6
    trials = trials_of(search)
    assert [t.user_attrs.get(REASON) for t in trials] == [None, None, IMPOSSIBLE, *[None] * 4]
    assert trials[2].user_attrs[WHY] == "patch: this backbone has no such place"
    assert len(tried) == 7


def test_search_of_a_space_that_is_empty_after_all_ends(tmp_path):
    sweep = make_sweep(trials=2)

    def build(variant):
        raise DMPError("there is no room")

    space = Space(sweep.base, list(sweep.parameters), build=build)
    search = make_search(tmp_path, sweep, space=space)
    assert search.work(lambda *_: pytest.fail("nothing can be run")) == 2
    with pytest.raises(DMPError, match="cannot exist; there is nothing to confirm"):
        best_variants(sweep, study_of(search))


def test_worker_killed_while_it_passes_a_point_over_counts_no_lost_trial_as_passed(
    tmp_path, digits
):
    sweep = make_sweep(parameters=SOME_IMPOSSIBLE, trials=6)
    search = searched(tmp_path, sweep, space=make_space(sweep, digits, "try.yaml"))
    study = study_of(search)
    # As a kill leaves it between the reason and the end of the trial.
    study.enqueue_trial({"grid": 3, "resize": "nearest"})
    trial = study.ask()
    trial.suggest_int("grid", 1, 4)
    trial.suggest_categorical("resize", ["nearest", "bilinear"])
    trial.set_user_attr(VARIANT, "dmp,grid=3,resize=nearest")
    trial.set_user_attr(REASON, IMPOSSIBLE)
    more = sweep.model_copy(update={"trials": 8})
    again = make_search(tmp_path, more, space=search.space)
    assert again.work(measure) == 8
    states = trials_table(more, study_of(again)).set_index("number")["state"]
    assert states[trial.number] == "worker lost"
    assert (states == "complete").sum() == 8


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_run_that_diverged_is_a_trial_and_worse_than_any_number(tmp_path, value):
    sweep = make_sweep(trials=6, objectives=["denoising_mse"], pruning={"at": [0.5], "startup": 2})
    search = make_search(tmp_path, sweep)

    def objective(variant, report):
        factor = Variant.parse(variant).training.learning_rate_factor
        loss = value if factor > 1 else factor
        report(5, float("nan") if loss is None else loss)
        return Outcome(None if loss is None else {"denoising_mse": loss}, 1)

    assert search.work(objective) == 6
    for trial in trials_of(search):
        diverged = trial.params["learning_rate_factor"] > 1
        reasons = {DIVERGED, PRUNED} if diverged else {None, PRUNED}
        assert trial.user_attrs.get(REASON) in reasons
    assert any(t.user_attrs.get(REASON) == DIVERGED for t in trials_of(search))
    study = study_of(search)
    assert study.best_trial.params["learning_rate_factor"] <= 1


def test_trial_above_the_median_on_its_way_is_pruned_and_counts(tmp_path):
    sweep = make_sweep(objectives=["denoising_mse"], pruning={"at": [0.5], "startup": 2}, trials=4)
    losses = iter([1.0, 2.0, 9.0, 0.5])

    def objective(variant, report):
        loss = next(losses)
        report(5, loss)
        return Outcome({"denoising_mse": loss}, 1)

    search = make_search(tmp_path, sweep)
    assert search.work(objective) == 4
    # The median of 1 and 2 is below 9 and above 0.5.
    assert [t.user_attrs.get(REASON) for t in trials_of(search)] == [None, None, PRUNED, None]


def test_quasi_random_points_do_not_depend_on_the_number_of_workers(tmp_path):
    sweep = make_sweep(sampler={"kind": "qmc", "seed": 1}, trials=8)
    alone = searched(tmp_path / "alone", sweep)
    shared = [make_search(tmp_path / "shared", sweep) for _ in range(2)]

    def nested(variant, report):
        # A second worker comes in while the first is busy with its first trial.
        if len(trials_of(shared[0])) == 1:
            shared[1].work(measure)
        return measure(variant, report)

    shared[0].work(nested)
    assert sorted(ended_variants(shared[0])) == sorted(ended_variants(alone))
    factors = sorted(t.params["learning_rate_factor"] for t in trials_of(alone))
    # Sobol points: one in each eighth of the range, whose ends are 10^-2 and 10^2.
    for index, factor in enumerate(factors):
        assert 10 ** (-2 + index / 2) <= factor <= 10 ** (-2 + (index + 1) / 2)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////nowhere/at/all/secret.db", "cannot be used: it cannot be written"),
        ("postgresql://me:secret@host/name", "driver is not installed"),
        ("bogus://me:secret@host/name", "driver is not installed"),
        ("secret", "its address is not one; write it as postgresql://user:password@host/name"),
    ],
)
def test_storage_that_cannot_be_used_is_one_error_without_its_password(tmp_path, url, message):
    with pytest.raises(DMPError, match=message) as raised:
        open_storage(tmp_path / "journal.log", url)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_database_that_is_locked_meanwhile_is_one_clear_error():
    with pytest.raises(DMPError, match="another program has it locked; let that end"):
        with told_apart():
            try:
                raise OperationalError("select", {}, Exception("database is locked"))
            except OperationalError as error:
                raise StorageInternalError("An exception is raised during the commit") from error
