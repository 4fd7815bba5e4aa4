"""What diffusers' models say of themselves, so that a patch can be attached to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import TimestepEmbedding
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from dmp.errors import DMPError
from dmp.patching.points import Block, PatchPoints


@dataclass(eq=False)
class _Embedding:
    """From timesteps ``(B,)`` to their embedding ``(B, C)``, by the layers of a model."""

    model: ModelMixin
    waves: nn.Module
    layers: TimestepEmbedding

    @property
    def width(self) -> int:
        """C."""
        return self.layers.linear_2.out_features

    def __call__(self, t: Tensor) -> Tensor:
        return self.layers(self.waves(t).to(self.model.dtype))


def _embedding(model: ModelMixin, inside: str) -> _Embedding:
    """Return the embedding by the layers that a module of the model has."""
    layers = model.get_submodule(f"{inside}.timestep_embedder")
    waves = model.get_submodule(f"{inside}.time_proj")
    return _Embedding(model, waves, cast("TimestepEmbedding", layers))


def _dit_arguments(hidden_states: Tensor, timestep: Any = None, *_: Any, **__: Any) -> tuple:
    return hidden_states, timestep


def _pixart_arguments(
    hidden_states: Tensor, encoder_hidden_states: Any = None, timestep: Any = None,
    *_: Any, **__: Any,
) -> tuple:  # fmt: skip
    return hidden_states, timestep


def _unet_arguments(sample: Tensor, timestep: Any, *_: Any, **__: Any) -> tuple:
    return sample, timestep


def _dit(model: DiTTransformer2DModel) -> PatchPoints:
    # Each block embeds the timestep by itself, after the prompts have gone in: the gate reads what
    # the first of them is going to compute.
    embedding = _embedding(model, "transformer_blocks.0.norm1.emb")
    return PatchPoints(
        placements={"transformer-blocks": _transformer_blocks(model)},
        arguments=_dit_arguments,
        embed_timesteps=embedding,
        condition_size=embedding.width,
    )


def _pixart(model: PixArtTransformer2DModel) -> PatchPoints:
    embedding = _embedding(model, "adaln_single.emb")
    return PatchPoints(
        placements={"transformer-blocks": _transformer_blocks(model)},
        arguments=_pixart_arguments,
        embed_timesteps=embedding,
        condition_size=embedding.width,
        timestep_embedding=embedding.layers,
    )


def _unet(model: UNet2DConditionModel) -> PatchPoints:
    stages = list(_stages(model))
    blocks = [
        Block(block, stage.grid, block.dim, attention=block.attn1)
        for stage in stages
        for block in stage.module.modules()
        if isinstance(block, BasicTransformerBlock)
    ]
    embedding = _Embedding(model, model.time_proj, model.time_embedding)
    return PatchPoints(
        placements={"transformer-blocks": blocks, "stage-inputs": stages},
        arguments=_unet_arguments,
        embed_timesteps=embedding,
        condition_size=embedding.width,
        timestep_embedding=embedding.layers,
        inferred=(
            "the paper patches Stable Diffusion v1.5 and does not say where: that prompts enter at "
            "these places, with a grid and a width of their own and a gate for each resolution, "
            "is inferred"
        ),
    )


def _transformer_blocks(model: DiTTransformer2DModel | PixArtTransformer2DModel) -> list[Block]:
    grid = _sample_size(model) // model.config["patch_size"]
    blocks = model.get_submodule("transformer_blocks").children()
    return [Block(b, grid, model.inner_dim, attention=b.get_submodule("attn1")) for b in blocks]


def _stages(model: UNet2DConditionModel) -> Iterator[Block]:
    """Yield the stages in the order of execution: down, middle, up.

    A stage's input is a feature map. The skip connections that were put aside before it are not
    part of it: prompts at an up stage are added before the skip connections join.
    """
    size, width, sizes = _sample_size(model), model.conv_in.out_channels, []
    for stage in model.down_blocks:
        yield Block(stage, size, width, feature_map=True)
        width = _width(stage)
        sizes.append(size)
        if stage.downsamplers is not None:
            size = (size + 1) // 2  # odd sizes are rounded up
    if model.mid_block is not None:
        yield Block(model.mid_block, size, width, feature_map=True)
    for stage in model.up_blocks:
        yield Block(stage, sizes.pop(), width, feature_map=True)
        width = _width(stage)


def _width(stage: nn.Module) -> int:
    """Return the width of what a stage puts out."""
    *_, last = stage.get_submodule("resnets").children()
    return cast("ResnetBlock2D", last).out_channels


def _sample_size(model: ModelMixin) -> int:
    """Return the edge of the images that the model was trained on."""
    size = model.config["sample_size"]
    if isinstance(size, list | tuple) and len(set(size)) == 1:
        size = size[0]
    if not isinstance(size, int):
        raise DMPError(
            f"patch: sample_size = {size} in the configuration of this {type(model).__name__}; "
            f"prompts need to know the one edge of the square images that it was trained on"
        )
    return size


ADAPTERS = {
    DiTTransformer2DModel: _dit,
    PixArtTransformer2DModel: _pixart,
    UNet2DConditionModel: _unet,
}
