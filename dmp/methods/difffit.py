"""DiffFit: biases and factors on each block's two branches train (Xie et al. 2023)."""

from typing import TYPE_CHECKING

from dmp.config.run import TaskConfig
from dmp.methods.base import NoOptions, UnfitError, register
from dmp.methods.selective import BitFit

if TYPE_CHECKING:
    from torch import nn

    from dmp.methods.attached import Partial


@register
class DiffFit(BitFit):
    """Biases, the label embedding, and a learned factor on what each block's branches add.

    As in the paper, factors are vectors of the width of a token and start at one, at which the
    backbone is unchanged. Layer norms of a DiT have no weights that could train.
    """

    name = "difffit"

    def check(self, options: NoOptions, task: TaskConfig) -> None:
        """Refuse a U-Net: where its factors belong, the paper does not say."""
        if task.backbone.kind != "dit":
            raise UnfitError("difffit puts its factors on the two branches of a DiT's blocks")

    def chosen(self, backbone: "nn.Module") -> list[str]:
        """Return the biases and the label embedding."""
        named = [name for name, p in backbone.named_parameters() if p.requires_grad]
        return [n for n in named if n.endswith(".bias") or n.startswith("y_embedder.")]

    def attach(self, backbone: "nn.Module", options: NoOptions, seed: int) -> "Partial":
        """Free the chosen parameters and hook a factor to each branch."""
        from dmp.methods.attached import Partial
        from dmp.methods.factors import Factors

        return Partial(backbone, self.chosen(backbone), Factors(backbone))
