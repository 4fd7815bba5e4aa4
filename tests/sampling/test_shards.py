"""Sampling divided among jobs gives the undivided files, to the last bit."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from harness import ROOT, edit_yaml, make_tiny
from hypothesis import given
from hypothesis import strategies as st

from dmp.errors import DMPError
from dmp.rng import generator
from dmp.sampling.shards import Shard
from dmp.stages.common import Context, new_backbone, save_diverged
from dmp.stages.data import task_data
from dmp.stages.prepare import train_extractor
from dmp.stages.run import train_run
from dmp.stages.sample import join_shards, sample_run
from dmp.studies import load_plan
from dmp.tensorfile import save_tensors

TASK, VARIANT, BATCH = "unconditional", "dmp", 48


@given(st.integers(0, 500), st.integers(1, 60), st.integers(1, 12))
def test_shards_are_whole_batches_that_follow_each_other(count, batch_size, of):
    parts = [Shard(k, of).numbers(count, batch_size) for k in range(1, of + 1)]
    assert [n for part in parts for n in part] == list(range(count))
    assert all(part.start % batch_size == 0 for part in parts if part)
    batches = [-(-len(part) // batch_size) for part in parts]
    assert max(batches) - min(batches) <= 1


@pytest.mark.parametrize("number", [0, 4])
def test_unknown_shard_is_an_error(number):
    with pytest.raises(DMPError, match=f"shard {number} of 3: accepted are 1 to 3"):
        Shard(number, 3).numbers(100, 10)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Context:
    """A run with a snapshot, trained for a moment on random weights."""
    folder = tmp_path_factory.mktemp("shards")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))

    def change(scale: dict) -> None:
        scale["execution"] = {"job": "stage", "sampling_batch_size": BATCH}
        scale["defaults"]["training"].update(curve=2)

    edit_yaml(ablations / "scales/smoke.yaml", change)
    context = Context.open(load_plan("smoke", ablations), folder / "results")
    train_extractor(context, "digits")
    run = context.plan.run(TASK, VARIANT, 0)
    backbone = new_backbone(context, TASK, run.config)
    backbone.initialize_weights(generator(0, "a test"))
    save_tensors(
        context.layout.pretrained_weights(TASK, 0),
        backbone.state_dict(),
        {"format": "weights", "identity": context.plan.fingerprint("baseline", TASK, seed=0)},
    )
    train_run(context, run, task_data(context, TASK, run.config))
    return context


@pytest.fixture
def context(trained, tmp_path) -> Context:
    shutil.copytree(trained.layout.results, tmp_path / "results")
    return replace(trained, layout=replace(trained.layout, results=tmp_path / "results"))


def sample(context: Context, shard: Shard | None = None) -> None:
    run = context.plan.run(TASK, VARIANT, 0)
    sample_run(context, run, task_data(context, TASK, run.config), shard)


def files(context: Context) -> dict[str, dict[str, np.ndarray] | bytes]:
    """All that sampling leaves."""
    folder = context.layout.run(TASK, VARIANT, 0)
    found = {str(p.relative_to(folder)): dict(np.load(p)) for p in folder.rglob("*.npz")}
    return {**found, "picture": (folder / "samples.png").read_bytes()}


@pytest.fixture(scope="module")
def whole(trained) -> dict:
    sample(trained)
    return files(trained)


@pytest.mark.parametrize("of", [1, 2, 3, 5])
def test_union_of_the_shards_is_the_undivided_run_to_the_last_bit(whole, context, of):
    """Three batches: with five shards, two are empty."""
    assert len(whole["samples.npz"]["images"]) == 128
    assert {"samples.npz", "snapshots/5.npz"} <= set(whole)
    run = context.plan.run(TASK, VARIANT, 0)
    for path in context.layout.run(TASK, VARIANT, 0).rglob("*.npz"):
        path.unlink()
    for number in reversed(range(1, of + 1)):
        sample(context, Shard(number, of))
    assert context.layout.shard(TASK, VARIANT, 0, 1, of).is_file()
    assert not context.layout.samples(TASK, VARIANT, 0).exists()
    join_shards(context, run, of)
    joined = files(context)
    assert set(joined) == set(whole)
    assert joined.pop("picture") == whole["picture"]
    for name, arrays in joined.items():
        assert set(arrays) == set(whole[name])
        for key, value in arrays.items():
            assert value.dtype == whole[name][key].dtype
            assert np.array_equal(value, whole[name][key]), (name, key)


def test_missing_shard_is_named(context):
    sample(context, Shard(1, 2))
    with pytest.raises(DMPError, match=r"shards/2-of-2-iteration5.npz does not exist"):
        join_shards(context, context.plan.run(TASK, VARIANT, 0), 2)


def test_shard_of_another_configuration_is_refused(context):
    for number in (1, 2):
        sample(context, Shard(number, 2))
    run = context.plan.run(TASK, VARIANT, 0)
    sampling = run.config.sampling.model_copy(update={"steps": 5})
    other = run.model_copy(update={"config": run.config.model_copy(update={"sampling": sampling})})
    with pytest.raises(DMPError, match="was sampled under another configuration"):
        join_shards(context, other, 2)


def test_shards_cut_for_another_batch_size_are_refused(context):
    sample(context, Shard(1, 2))
    scale = context.plan.scale
    execution = scale.execution.model_copy(update={"sampling_batch_size": 32})
    plan = replace(context.plan, scale=scale.model_copy(update={"execution": execution}))
    sample(replace(context, plan=plan), Shard(2, 2))
    with pytest.raises(DMPError, match="hold 112 samples, not 128"):
        join_shards(context, context.plan.run(TASK, VARIANT, 0), 2)


def test_diverged_run_has_nothing_to_divide(context):
    run = context.plan.run(TASK, VARIANT, 0)
    save_diverged(context.layout.weights(TASK, VARIANT, 0), run, 3)
    for number in (1, 2):
        sample(context, Shard(number, 2))
    join_shards(context, run, 2)
    assert np.load(context.layout.samples(TASK, VARIANT, 0))["features"].size == 0
