"""All weights of the backbone train: fine-tuning, and the baseline's own training going on."""

from typing import TYPE_CHECKING

from dmp.methods.base import Method, NoOptions, register

if TYPE_CHECKING:
    from torch import nn

    from dmp.methods.attached import Attached


@register
class FineTuning(Method[NoOptions]):
    """All weights train, from the baseline's average on, with an optimiser of their own."""

    name = "fine-tuning"
    saves_backbone = True

    def attach(self, backbone: "nn.Module", options: NoOptions, seed: int) -> "Attached":
        """Leave the backbone as it is: all of its weights are free."""
        from dmp.methods.attached import Attached

        return Attached(backbone)


@register
class Continued(FineTuning):
    """The baseline's own training goes on, with its optimiser, its average and its examples."""

    name = "continued"
    continues = True
    fixed = frozenset({"ema_decay", "learning_rate", "learning_rate_factor", "batch_size"})
