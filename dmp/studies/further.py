"""Further training as a variant of a task has it."""

from dmp.config import BackboneConfig, TaskConfig, TrainingConfig, from_data
from dmp.data.shape import input_shape
from dmp.methods import Variant, find_method


def further_training(config: TaskConfig, variant: Variant, where: str) -> TrainingConfig:
    """Return the scale's further training with what the variant changes of it.

    Raises:
        DMPError: the changes do not fit the scale.
    """
    scale = config.training.model_dump()
    if find_method(variant.method).continues:
        # The baseline's own training goes on: its batches, its learning rate, its average.
        names = ("batch_size", "learning_rate", "weight_decay", "ema_decay")
        scale |= {name: getattr(config.pretraining, name) for name in names}
    changes = variant.training.model_dump(exclude_none=True)
    factor = changes.pop("learning_rate_factor", 1.0)
    if factor == "one-over-n":
        assert isinstance(config.backbone, BackboneConfig)  # resolve_variant has seen to it
        tokens = (input_shape(config.data).size // config.backbone.patch_size) ** 2
        factor = 1 / tokens
    scale["learning_rate"] *= factor
    scale["iterations"] = max(1, round(scale["iterations"] * changes.pop("iterations_factor", 1)))
    if changes.get("ema_decay") == "baseline":
        changes["ema_decay"] = config.pretraining.ema_decay
    return from_data(TrainingConfig, scale | changes, where)
