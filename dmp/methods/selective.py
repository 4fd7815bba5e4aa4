"""Methods that train a part of the backbone's own weights: biases, modulations; and DiffFit."""

import abc
from typing import TYPE_CHECKING

from dmp.config.run import TaskConfig
from dmp.methods.base import Method, NoOptions, UnfitError, register

if TYPE_CHECKING:
    from torch import nn

    from dmp.methods.attached import Partial


class Selective(Method[NoOptions]):
    """Parameters of the backbone train, chosen by their names."""

    @abc.abstractmethod
    def chosen(self, backbone: "nn.Module") -> list[str]:
        """Return the names of the backbone's parameters that train."""

    def attach(self, backbone: "nn.Module", options: NoOptions, seed: int) -> "Partial":
        """Freeze all of the backbone but the chosen parameters."""
        from dmp.methods.attached import Partial

        return Partial(backbone, self.chosen(backbone))


@register
class BitFit(Selective):
    """All biases train, and nothing else (Ben Zaken et al. 2022)."""

    name = "bitfit"

    def chosen(self, backbone: "nn.Module") -> list[str]:
        """Return the biases."""
        return [
            name
            for name, p in backbone.named_parameters()
            if p.requires_grad and name.rpartition(".")[2] == "bias"
        ]


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
        from dmp.methods.attached import Factors, Partial

        return Partial(backbone, self.chosen(backbone), Factors(backbone))


@register
class Modulation(Selective):
    """The adaptive layer norms train: what turns the condition into shifts, scales and gates.

    A DiT's norms have no weights of their own; these layers take their place.
    """

    name = "adaln"

    def check(self, options: NoOptions, task: TaskConfig) -> None:
        """Refuse a U-Net, which has no adaptive layer norm."""
        if task.backbone.kind != "dit":
            raise UnfitError("adaln trains adaptive layer norms, which only a DiT has")

    def chosen(self, backbone: "nn.Module") -> list[str]:
        """Return the layers that compute the modulations."""
        return [name for name, _ in backbone.named_parameters() if ".adaLN_modulation." in name]
