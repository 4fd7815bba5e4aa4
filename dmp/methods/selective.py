"""Methods that train a part of the backbone's own weights: biases, modulations, scales."""

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
