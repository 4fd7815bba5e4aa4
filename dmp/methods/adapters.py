"""Adapters of the library peft, as methods: LoRA and (IA)³."""

import abc
from typing import TYPE_CHECKING, Generic, Literal

from dmp.config.backbone import BackboneConfig
from dmp.config.base import Strict
from dmp.config.numbers import Size
from dmp.config.run import TaskConfig
from dmp.methods.base import Method, Options, UnfitError, register

if TYPE_CHECKING:
    import peft
    from torch import nn

    from dmp.methods.peft_adapter import AttachedAdapter


class LoraOptions(Strict):
    """Options of LoRA.

    Attributes:
        rank: r, of each update B A; ``matched`` is the rank at which LoRA has about as many
            parameters as DMP has on the same backbone.
        alpha: the update is scaled by alpha / r; ``rank`` scales it by 1.
        targets: the linear layers of each block's attention, or all linear layers of each block.
    """

    rank: Size | Literal["matched"] = "matched"
    alpha: Size | Literal["rank"] = "rank"
    targets: Literal["attention", "all-linear"] = "attention"


class IA3Options(Strict):
    """Options of (IA)³.

    Attributes:
        targets: as for :class:`LoraOptions`; each layer's output is scaled.
    """

    targets: Literal["attention", "all-linear"] = "all-linear"


class Adapter(Method[Options], abc.ABC, Generic[Options]):
    """An adapter that peft puts into a frozen backbone and saves in a format of its own."""

    @abc.abstractmethod
    def adapter(self, backbone: "nn.Module", options: Options) -> "peft.PeftConfig":
        """Return peft's configuration of the adapter for a backbone."""

    def attach(self, backbone: "nn.Module", options: Options, seed: int) -> "AttachedAdapter":
        """Freeze the backbone and put the adapter's layers into it, which change nothing yet."""
        from dmp.methods.peft_adapter import AttachedAdapter

        return AttachedAdapter(backbone, self.adapter(backbone, options), seed)


@register
class Lora(Adapter[LoraOptions]):
    """Low-rank updates of the blocks' linear layers (Hu et al. 2022)."""

    name = "lora"
    options = LoraOptions

    def check(self, options: LoraOptions, task: TaskConfig) -> None:
        """Refuse a rank that no matrix of a DiT has."""
        if isinstance(options.rank, int) and isinstance(task.backbone, BackboneConfig):
            width = task.backbone.hidden_size
            if options.rank > width:
                raise UnfitError(f"rank = {options.rank} is more than the {width} of hidden_size")

    def adapter(self, backbone: "nn.Module", options: LoraOptions) -> "peft.LoraConfig":
        """Return LoRA's configuration, the rank resolved."""
        import peft

        from dmp.methods.peft_adapter import dmp_parameters, linear_layers

        layers = linear_layers(backbone, options.targets)
        rank = options.rank
        if rank == "matched":
            per_rank = sum(layer.in_features + layer.out_features for layer in layers.values())
            rank = max(1, round(dmp_parameters(backbone) / per_rank))
        alpha = rank if options.alpha == "rank" else options.alpha
        return peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=sorted(layers))


@register
class IA3(Adapter[IA3Options]):
    """Learned factors on the outputs of the blocks' linear layers (Liu et al. 2022)."""

    name = "ia3"
    options = IA3Options

    def adapter(self, backbone: "nn.Module", options: IA3Options) -> "peft.IA3Config":
        """Return the configuration of (IA)³."""
        import peft

        from dmp.methods.peft_adapter import linear_layers

        layers = sorted(linear_layers(backbone, options.targets))
        return peft.IA3Config(target_modules=layers, feedforward_modules=[])
