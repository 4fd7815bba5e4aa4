"""A task's backbone from its configuration."""

from torch import Tensor

from dmp.backbones.base import Backbone, Texts
from dmp.backbones.dit import DiT
from dmp.config import TaskConfig, UNetConfig
from dmp.data.shape import input_shape


def build_backbone(task: TaskConfig, captions: Tensor | Texts | None = None) -> Backbone:
    """Return a task's backbone, not yet initialised.

    Args:
        captions: of a task that is conditioned on text. A DiT takes pooled embeddings,
            ``(n + 1, E)``, the last that of the null caption; a U-Net the states of captions.
    """
    shape, config = input_shape(task.data), task.backbone
    if isinstance(config, UNetConfig):
        # Here, since diffusers' models take seconds to import, which jobs without them are spared.
        from dmp.backbones.unet import UNet

        if captions is None or isinstance(captions, Tensor):
            raise TypeError("a U-Net reads the states of captions")
        return UNet(config, shape.size, shape.channels, captions)
    if not (captions is None or isinstance(captions, Tensor)):
        raise TypeError("a DiT takes pooled embeddings of captions")
    classes = shape.classes if task.conditioning == "class" else 1
    return DiT(
        input_size=shape.size,
        patch_size=config.patch_size,
        in_channels=shape.channels,
        hidden_size=config.hidden_size,
        depth=config.depth,
        num_heads=config.num_heads,
        num_classes=classes if captions is None else len(captions) - 1,
        class_dropout_prob=task.label_dropout,
        captions=captions,
    )
