"""What a baseline leaves behind, whether it was trained here or published by others."""

from dmp.backbones import Backbone
from dmp.products.runs import baseline_product
from dmp.stages.common import Context
from dmp.stages.provenance import write_record
from dmp.studies.run import RunConfig
from dmp.tensorfile import save_tensors


def write_baseline(context: Context, run: RunConfig, backbone: Backbone, started: float) -> None:
    """Write a baseline's weights, and where they come from; its state has been written.

    Args:
        started: when the work began, in seconds since the epoch.
    """
    write_record(context.layout.pretrained(*run.baseline), run, context.device, started)
    save_tensors(
        context.layout.pretrained_weights(*run.baseline),
        backbone.state_dict(),
        {"format": "weights", "identity": run.fingerprint("baseline")},
    )
    baseline_product(context.layout, run).mark_finished()
