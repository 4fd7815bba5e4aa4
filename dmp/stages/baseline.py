"""What a baseline leaves behind, whether it was trained here or published by others."""

from typing import Any

from dmp.backbones import Backbone
from dmp.config import RunConfig
from dmp.files import write_json
from dmp.metrics.features import Features
from dmp.metrics.fidelity import frechet_distance
from dmp.metrics.reference import Reference
from dmp.stages.common import Context, measure_denoising
from dmp.stages.data import TaskData
from dmp.stages.provenance import write_record
from dmp.stages.sample import draw
from dmp.tensorfile import save_tensors


def baseline_fid(
    context: Context,
    run: RunConfig,
    backbone: Backbone,
    data: TaskData,
    reference: Reference,
    title: str,
) -> float:
    """Return the FID of a few samples, from the same noise for every state of a baseline."""
    numbers = range(run.config.pretraining.convergence_samples)
    drawn = draw(context, run, backbone, data, run.seed, numbers, title)
    features = Features(drawn["features"], drawn["logits"])
    return frechet_distance(features, reference)


def write_baseline(
    context: Context,
    run: RunConfig,
    backbone: Backbone,
    data: TaskData,
    started: float,
    convergence: dict[str, Any],
) -> None:
    """Write a baseline's weights, where they come from, and how far they had converged.

    Args:
        context: where.
        run: the configuration of the baseline.
        backbone: with the weights.
        data: of its task.
        started: when the work began, in seconds since the epoch.
        convergence: verdict, ``iterations`` that were judged, and their ``fids``.

    """
    config = run.config.pretraining
    losses = measure_denoising(context, run, backbone, data.held_out)
    directory = context.layout.pretrained(run.task, run.seed)
    write_record(directory, run, context.device, started)
    write_json(
        context.layout.convergence(run.task, run.seed),
        {
            **convergence,
            "samples": config.convergence_samples,
            "tolerance": config.convergence_tolerance,
            "denoising_mse": float(losses.mse.mean()),
        },
    )
    identity = context.plan.slice("pretraining", run.task, seed=run.seed)
    save_tensors(
        context.layout.pretrained_weights(run.task, run.seed),
        backbone.state_dict(),
        {"format": "weights", "identity": identity},
    )
