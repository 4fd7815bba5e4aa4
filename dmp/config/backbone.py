"""The backbones, spelled out."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dmp.config.base import Strict
from dmp.config.numbers import Few, Size


class BackboneConfig(Strict):
    """A DiT.

    Attributes:
        kind: what stands here if nothing does; not part of a configuration's hash.
        patch_size: P.
        hidden_size: D.
    """

    kind: Annotated[Literal["dit"], Field(exclude=True)] = "dit"
    patch_size: Size
    depth: Size
    hidden_size: Size
    num_heads: Size

    def grids(self, size: int, placement: str) -> list[int]:
        """Return the edge of each block's grid of tokens, in the order of execution.

        Args:
            size: height and width of what the backbone is fed.
            placement: see :class:`~dmp.config.PatchConfig`; empty for one that this kind of
                backbone does not have.
        """
        if placement != "transformer-blocks":
            return []
        return [size // self.patch_size] * self.depth

    @property
    def learns_variance(self) -> bool:
        """Whether the variance of each step is predicted beside the noise."""
        return True

    @property
    def description(self) -> str:
        """A few words for the tables."""
        return f"DiT with {self.depth} blocks of width {self.hidden_size}, patch {self.patch_size}"

    @property
    def caution(self) -> str:
        """What a reader of a table has to know; empty if nothing."""
        return ""


class UNetConfig(Strict):
    """A U-Net as that of Stable Diffusion 1; the defaults are v1.5, names those of diffusers.

    Each stage halves the image and has ``layers_per_block`` layers on the way down, one more on the
    way up. It predicts noise, and is told the text by cross-attention.

    Attributes:
        kind: says that this is no DiT.
        block_out_channels: the width of each stage.
        layers_per_block: layers of a stage on the way down.
        attention_stages: the first so many stages have a transformer block in each layer; the stage
            in the middle always has one.
        attention_head_dim: the number of heads, which diffusers calls so.
        cross_attention_dim: width of the text encoder's states.
        norm_num_groups: of group normalisation.
    """

    kind: Literal["unet"]
    block_out_channels: Annotated[tuple[Size, ...], Field(min_length=2, strict=False)] = (
        320,
        640,
        1280,
        1280,
    )
    layers_per_block: Few = 2
    attention_stages: Few = 3
    attention_head_dim: Size = 8
    cross_attention_dim: Size = 768
    norm_num_groups: Size = 32

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        stages = len(self.block_out_channels)
        if self.attention_stages > stages:
            raise ValueError(
                f"attention_stages = {self.attention_stages}, but block_out_channels has {stages} "
                f"stages"
            )
        for name in ("attention_head_dim", "norm_num_groups"):
            parts = getattr(self, name)
            odd = [width for width in self.block_out_channels if width % parts]
            if odd:
                raise ValueError(f"{name} = {parts} does not divide the width {odd[0]}")
        return self

    @property
    def depth(self) -> int:
        """The number of transformer blocks: 16 in Stable Diffusion v1.5."""
        return self.attention_stages * (2 * self.layers_per_block + 1) + 1

    def grids(self, size: int, placement: str) -> list[int]:
        """As :meth:`BackboneConfig.grids`."""
        edges = [size >> stage for stage in range(len(self.block_out_channels))]
        middle = edges[-1]
        if placement == "stage-inputs":
            return [*edges, middle, *reversed(edges)]
        attending = edges[: self.attention_stages]
        down = [edge for edge in attending for _ in range(self.layers_per_block)]
        up = [edge for edge in reversed(attending) for _ in range(self.layers_per_block + 1)]
        return [*down, middle, *up]

    @property
    def learns_variance(self) -> bool:
        """Whether the variance of each step is predicted beside the noise."""
        return False

    @property
    def description(self) -> str:
        """A few words for the tables."""
        widths = ", ".join(map(str, self.block_out_channels))
        return (
            f"U-Net with {self.depth} transformer blocks in stages of width {widths}, its weights "
            f"published"
        )

    @property
    def caution(self) -> str:
        """What a reader of a table has to know; empty if nothing."""
        return (
            "the paper states neither where prompts enter the U-Net (inferred here: the input of "
            "each transformer block, each with as many prompts as tokens, and a gate for each "
            "resolution), nor images, captions, sampler, guidance, batch or sample count. What is "
            "run here tests the claim, and replicates none of the paper's numbers"
        )
