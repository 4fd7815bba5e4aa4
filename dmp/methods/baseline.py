"""The converged baseline itself: nothing is attached, nothing trains."""

from typing import TYPE_CHECKING

from dmp.methods.base import Method, NoOptions, register
from dmp.methods.variant import TrainingOptions

if TYPE_CHECKING:
    from torch import nn

    from dmp.methods.attached import Attached


@register
class Baseline(Method[NoOptions]):
    """Sampled and evaluated as it is."""

    name = "baseline"
    trains = False
    fixed = frozenset(TrainingOptions.model_fields)

    def attach(self, backbone: "nn.Module", options: NoOptions, seed: int) -> "Attached":
        """Freeze the backbone."""
        from dmp.methods.attached import Partial

        return Partial(backbone, [])
