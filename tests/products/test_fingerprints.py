"""Which settings of a scale decide what: every one of them, and every stage."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from harness import ROOT, edit_yaml
from pydantic import ValidationError
from scale_fields import changed, settings

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.products.recognise import all_products
from dmp.studies import Plan, load_plan
from dmp.studies.schema import Scale

# From what has another fingerprint after an edit to the settings that are edited. What is computed
# from that runs again as well, since its input is newer.
RUNS = "weights samples metrics numbers"
PUBLISHED = f"baseline convergence {RUNS}"
BASELINE = f"decayed {PUBLISHED}"
DATA = f"captions reference {BASELINE}"
# Of the tasks on disk none has decayed baselines.
LATENTS = f"latents latents_part captions reference {PUBLISHED}"
ON_DISK = f"manifest {LATENTS}"
FILES = (
    *("captions", "classes", "convert", "flip", "format", "images", "options", "path"),
    "resolution",
)
DOWNLOAD = (
    *("archives.gives", "archives.sha256", "archives.size", "archives.url", "files", "hub"),
    *("licence", "revision", "terms"),
)

TABLE = {
    "": [
        "name",
        # How the work is divided among jobs, and what these ask for.
        *("execution.batch_limits", "execution.gpu_share", "execution.gpus", "execution.job"),
        "execution.compile",
        *("execution.kept_samples", "execution.latents_jobs", "execution.mem_mb"),
        *("execution.runtime", "execution.sampling_batch_size", "execution.sampling_shards"),
        *("execution.seeds_per_job", "execution.threads", "execution.variants_per_job"),
        *(f"execution.stages.*.{key}" for key in ("gpu_share", "gpus", "mem_mb", "runtime")),
        # When a training writes down how far it is.
        *(f"tasks.*.{part}.{key}" for part in ("pretraining", "training")
          for key in ("log_every", "checkpoint_every")),
        # Where a dataset comes from, as long as it is the same one.
        *(f"tasks.*.data.{part}.download.{key}" for part in ("source", "test") for key in DOWNLOAD),
    ],
    # The set of runs, not what they are.
    "numbers tracking": ["seeds", "first_seed"],
    "page": ["title", "tasks.*.stands_for"],
    "page claims hypotheses": ["conclusive"],
    "claims hypotheses": ["not_run"],
    "numbers": ["tasks.*.pretraining.convergence_tolerance"],
    "convergence numbers": [
        f"tasks.*.pretraining.convergence_{key}" for key in ("checkpoints", "every", "samples")
    ],
    # The recipe of its own, and what rests on it.
    f"decayed {RUNS} tracking": ["tasks.*.pretraining.decay"],
    "metrics numbers": [
        f"tasks.*.evaluation.{key}"
        for key in (
            *("bins", "divergence_factor", "gate_timesteps", "held_out_images", "kid_subset_size"),
            *("kid_subsets", "metrics", "neighbours", "splits", "timesteps_per_image"),
        )
    ],
    "reference metrics numbers": ["tasks.*.evaluation.reference_features"],
    "reference convergence metrics numbers": [
        "tasks.*.evaluation.reference", "tasks.*.evaluation.reference_file",
    ],
    "samples metrics numbers": ["tasks.*.sampling.samples"],
    "convergence samples metrics numbers": [
        f"tasks.*.sampling.{key}"
        for key in ("clip", "guidance_channels", "guidance_scale", "steps")
    ],
    "reference samples metrics numbers": [
        f"tasks.*.evaluation.second_opinion.{key}" for key in ("epochs", "name", "weights")
    ],
    "extractor reference convergence samples metrics numbers": [
        "tasks.*.evaluation.extractor.epochs", "tasks.*.evaluation.extractor.weights",
    ],
    # Another network in place of the one that was trained here.
    "reference convergence samples metrics numbers": ["tasks.*.evaluation.extractor.name"],
    RUNS: [
        "baseline_seeds",
        *(f"tasks.*.training.{key}" for key in (
            "batch_size", "ema_decay", "learning_rate", "loss", "weight_decay", "curve",
        )),
    ],
    f"page {RUNS}": ["tasks.*.training.iterations"],
    BASELINE: [
        *("precision", "tasks.*.label_dropout"),
        "tasks.*.diffusion.timesteps",
        *(f"tasks.*.pretraining.{key}" for key in (
            "batch_size", "ema_decay", "learning_rate", "weight_decay",
        )),
        "tasks.*.backbone.num_heads",
    ],
    # The tasks on disk refuse another one.
    f"baseline decayed {RUNS}": ["tasks.*.diffusion.schedule"],
    f"captions baseline decayed {RUNS}": ["tasks.*.text.hidden_size"],
    PUBLISHED: [
        *(f"tasks.*.backbone.{key}" for key in ("attention_head_dim", "norm_num_groups")),
        *(f"tasks.*.pretraining.published.{key}" for key in ("format", "path")),
    ],
    # These stand in the description of a task as well.
    f"page {BASELINE}": [
        *("tasks.*.conditioning", "tasks.*.pretraining.iterations"),
        *(f"tasks.*.backbone.{key}" for key in ("depth", "hidden_size", "patch_size")),
    ],
    f"page {PUBLISHED}": [
        f"tasks.*.backbone.{key}"
        for key in ("attention_stages", "block_out_channels", "layers_per_block")
    ],
    f"captions {BASELINE}": [
        "tasks.*.text.heads", "tasks.*.text.layers", "tasks.*.text.name",
    ],
    f"extractor {DATA}": ["tasks.*.data.held_out", "tasks.*.data.extractor"],
    f"page captions reference {PUBLISHED}": ["tasks.*.data.name"],
    f"extractor decayed {LATENTS}": ["numerics"],
    LATENTS: [
        f"tasks.*.data.latents.{key}"
        for key in ("autoencoder", "batch_size", "channels", "dtype", "factor", "scaling",
                    "shard_size")
    ],
    ON_DISK: [f"tasks.*.data.source.{key}" for key in (*FILES, "smallest")],
    f"manifest captions reference {PUBLISHED}": [
        f"tasks.*.data.test.{key}" for key in (*FILES, "smallest")
    ],
}  # fmt: skip

# Another value of these needs one of another setting.
NEVER_ALONE = {"tasks.*.backbone.cross_attention_dim", "tasks.*.text.encoder"}
# Neither scale of this test has these; tests/studies/test_affords.py and test_resolution.py do, and
# tests/stages/test_begin_small.py.
NEVER_ALONE |= {f"affords.{key}" for key in ("methods", "reason", "studies")}
NEVER_ALONE |= {"tasks.*.training.resolution"}
NEVER_ALONE |= {
    f"tasks.*.pretraining.begin.{key}"
    for key in ("batch_size", "iterations", "learning_rate", "resolution")
}

# Where not any other value will do.
VALUES = {
    "extractor": lambda value: 0.15,
    "options": lambda value: {**value, "another": 1},
    "ema_decay": lambda value: 0.5,
    "checkpoint_every": lambda value: 2 * value,
    "log_every": lambda value: 1,
    "iterations": lambda value: 2 * value,
    "curve": lambda value: 1 if value == 5 else 5,
    "published.format": lambda value: {"public": "diffusers", "diffusers": "public"}.get(
        value, value
    ),
    "conditioning": lambda value: {"none": "class", "class": "none"}.get(value, value),
}


def decayed(scale: Scale) -> Scale:
    tasks = {
        name: task.model_copy(
            update={"pretraining": task.pretraining.model_copy(update={"decay": 0.3})}
        )
        for name, task in scale.tasks.items()
    }
    return scale.model_copy(update={"tasks": tasks})


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    """One study at a scale on embedded data, and at one with datasets on disk.

    All tasks of the first have decayed baselines, none of the second.
    """
    found = []
    for scale in ("smoke", "paper"):
        plan = load_plan(scale, ROOT / "ablations")
        if scale == "smoke":
            plan = replace(plan, scale=decayed(plan.scale))
        claims = plan.claims.model_copy(update={"claims": plan.claims.claims[:1]})
        first = {"claims": plan.hypotheses.claims[:1], "curves": []}
        hypotheses = plan.hypotheses.model_copy(update=first)
        studies = {"table2": plan.studies["table2"]}
        found.append(replace(plan, studies=studies, claims=claims, hypotheses=hypotheses))
    return found


def fingerprints(plan: Plan) -> dict[tuple, str]:
    products = all_products(plan, Layout(Path("results"), plan.name))
    return {(product.stage, product.names): product.fingerprint for product in products}


def test_table_holds_every_setting_of_a_scale_once():
    """A new setting without a row fails here: say what it decides."""
    listed = [name for names in TABLE.values() for name in names] + sorted(NEVER_ALONE)
    assert sorted(listed) == settings(Scale)


@pytest.fixture(scope="module")
def before(plans) -> list[dict[tuple, str]]:
    return [fingerprints(plan) for plan in plans]


def edits(plans: list[Plan], name: str) -> Iterator[tuple[int, Plan]]:
    for number, plan in enumerate(plans):
        change = next((VALUES[key] for key in VALUES if name.endswith(f".{key}")), None)
        for scale in changed(plan.scale, name.split("."), change):
            yield number, replace(plan, scale=scale)


@pytest.mark.parametrize(
    ("stages", "name"), [(stages, name) for stages, names in TABLE.items() for name in names]
)
def test_setting_decides_the_stages_of_its_row_and_no_other(plans, before, stages, name):
    found, edited = set(), False
    for number, plan in edits(plans, name):
        try:
            after = fingerprints(plan)
        except (DMPError, ValidationError):
            continue  # it does not go with the rest of this scale
        edited = True
        both = before[number].keys() & after.keys()
        found |= {key[0] for key in both if before[number][key] != after[key]}
    assert edited, "no scale of this test has that setting"
    assert found == set(stages.split())


def test_baselines_own_evaluation_does_not_depend_on_further_training(ablations):
    """The variant 'baseline' is the baseline itself, sampled and evaluated."""
    plan = load_plan("digits", ablations)
    runs = [("unconditional", variant, 0) for variant in ("baseline", "dmp")]
    before = [plan.run(*run).fingerprint("weights") for run in runs]
    edit_yaml(
        ablations / "scales/digits.yaml", lambda d: d["defaults"]["training"].update(batch_size=48)
    )
    plan = load_plan("digits", ablations)
    after = [plan.run(*run).fingerprint("weights") for run in runs]
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("scale", ["smoke", "digits"])
def test_published_runs_have_the_fingerprints_that_they_were_computed_with(scale):
    """Pins the values: with others, every user's results would be computed anew without a word.

    Where that is meant (the same settings give other numbers), the reference is computed anew, too.
    """
    plan = load_plan(scale, ROOT / "ablations")
    sources = pd.read_csv(
        ROOT / f"results/reference/{scale}/numbers/sources.csv", dtype={"config": str}
    )
    now = [plan.run(run.task, run.variant, run.seed).hash for run in sources.itertuples()]
    assert now == list(sources["config"])
