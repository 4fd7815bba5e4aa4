"""DiT: a transformer over patches, conditioned through adaptive layer norm (Peebles & Xie 2023).

Names and shapes of all parameters are those of the publicly released checkpoints, so that these
load strictly.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from timm.layers import GELUTanh, Mlp, PatchEmbed
from timm.models.vision_transformer import Attention
from torch import Tensor, nn

from dmp.backbones.base import Backbone
from dmp.backbones.embedders import CaptionEmbedder, LabelEmbedder, TimestepEmbedder
from dmp.config import nearest
from dmp.errors import DMPError
from dmp.initialisation import normal_, xavier_uniform_


class Size(NamedTuple):
    """Depth, width and heads of a DiT."""

    depth: int
    hidden_size: int
    num_heads: int


SIZES = {
    "XXS": Size(2, 32, 2),
    "XS": Size(4, 64, 4),
    "S": Size(12, 384, 6),
    "B": Size(12, 768, 12),
    "L": Size(24, 1024, 16),
    "XL": Size(28, 1152, 16),
}


def modulate(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift ``tokens: (B, N, D)`` by ``(B, D)`` vectors: ``x (1 + scale) + shift``."""
    return tokens * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class DiTBlock(nn.Module):
    """Attention and perceptron, each modulated and gated by the condition (adaLN-Zero)."""

    def __init__(self, hidden_size: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(hidden_size, num_heads=num_heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(hidden_size, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp(hidden_size, int(hidden_size * mlp_ratio), act_layer=GELUTanh)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 6 * hidden_size))

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Map ``tokens: (B, N, D)`` to the same shape, given ``condition: (B, D)``."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition).chunk(6, 1)
        attended = self.attn(modulate(self.norm1(tokens), shift1, scale1))
        tokens = tokens + gate1.unsqueeze(1) * attended
        return tokens + gate2.unsqueeze(1) * self.mlp(modulate(self.norm2(tokens), shift2, scale2))


class FinalLayer(nn.Module):
    """Modulated norm, then a linear map from each token to its patch."""

    def __init__(self, hidden_size: int, patch_size: int, out_channels: int) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(hidden_size, elementwise_affine=False, eps=1e-6)
        self.linear = nn.Linear(hidden_size, patch_size * patch_size * out_channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 2 * hidden_size))

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Map ``(B, N, D)`` to ``(B, N, P·P·C)``."""
        shift, scale = self.adaLN_modulation(condition).chunk(2, 1)
        return self.linear(modulate(self.norm_final(tokens), shift, scale))


class DiT(Backbone):
    """Predicts noise and, by default, a diagonal variance from a noisy image.

    Args:
        input_size: height and width of the image.
        patch_size: edge of a patch; it divides ``input_size``.
        in_channels: C.
        hidden_size: D, width of a token; a multiple of 4.
        depth: number of blocks.
        num_heads: attention heads; they divide ``hidden_size``.
        mlp_ratio: width of the perceptrons over D.
        num_classes: labels; 1 for an unconditional model, which is then fed zeros. Captions, if
            the model is conditioned on text.
        class_dropout_prob: above 0, the label table has one more row for the null label.
        captions: ``(num_classes + 1, E)``, pooled text embeddings and that of the null caption,
            for a model that is conditioned on text; labels are then numbers of captions.
        learn_sigma: whether C more channels are predicted, for the variance.

    Raises:
        DMPError: ``patch_size`` does not divide ``input_size``, or ``num_heads`` ``hidden_size``,
            or ``hidden_size`` is not a multiple of 4.
    """

    def __init__(
        self,
        input_size: int,
        patch_size: int,
        in_channels: int,
        hidden_size: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        num_classes: int = 1,
        class_dropout_prob: float = 0.0,
        captions: Tensor | None = None,
        learn_sigma: bool = True,
    ) -> None:
        super().__init__()
        if input_size % patch_size:
            raise DMPError(f"patch_size = {patch_size} does not divide input_size = {input_size}")
        if hidden_size % num_heads:
            raise DMPError(f"num_heads = {num_heads} does not divide hidden_size = {hidden_size}")
        if hidden_size % 4:
            # Positions are sines and cosines of row and column.
            raise DMPError(f"hidden_size = {hidden_size} is not a multiple of 4")
        self.input_size, self.in_channels = input_size, in_channels
        self.hidden_size, self.depth, self.num_heads = hidden_size, depth, num_heads
        self.out_channels = in_channels * (2 if learn_sigma else 1)
        self.patch_size, self.grid = patch_size, input_size // patch_size
        self.num_tokens = self.grid**2
        self.num_classes = num_classes
        self._has_null = class_dropout_prob > 0 or captions is not None
        if captions is not None and len(captions) != num_classes + 1:
            raise DMPError(
                f"{len(captions)} text embeddings for {num_classes} captions: one each and one for "
                f"the null caption are needed"
            )

        self.x_embedder = PatchEmbed(input_size, patch_size, in_channels, hidden_size, bias=True)
        self.t_embedder = TimestepEmbedder(hidden_size)
        if captions is None:
            self.y_embedder = LabelEmbedder(num_classes + self._has_null, hidden_size)
        else:
            self.y_embedder = CaptionEmbedder(captions, hidden_size)
        self.pos_embed = nn.Parameter(
            torch.zeros(1, self.num_tokens, hidden_size), requires_grad=False
        )
        self.blocks = nn.ModuleList(
            DiTBlock(hidden_size, num_heads, mlp_ratio) for _ in range(depth)
        )
        self.final_layer = FinalLayer(hidden_size, patch_size, self.out_channels)

    @property
    def null_label(self) -> int:
        """The label that stands for no condition.

        Raises:
            DMPError: the model was built without label dropout and has none.
        """
        if not self._has_null:
            raise DMPError("this DiT has no null label: it was built with class_dropout_prob = 0")
        return self.num_classes

    @torch.no_grad()
    def initialize_weights(self, source: np.random.Generator) -> None:
        """Initialise as in the DiT paper: each block starts as the identity, the output as zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                xavier_uniform_(module.weight, source)
        xavier_uniform_(self.x_embedder.proj.weight.view(self.hidden_size, -1), source)
        if isinstance(self.y_embedder, LabelEmbedder):
            normal_(self.y_embedder.embedding_table.weight, 0.02, source)
        for module in (*self.t_embedder.modules(), *self.y_embedder.modules()):
            if isinstance(module, nn.Linear):
                normal_(module.weight, 0.02, source)
        for name, parameter in self.named_parameters():
            if name.endswith("bias") or "adaLN_modulation" in name or "final_layer" in name:
                nn.init.zeros_(parameter)
        self.pos_embed.copy_(self.positions())

    def positions(self) -> Tensor:
        """Return the sines and cosines of row and column: ``(N, D)``."""
        # base_size = grid makes positions whole numbers, as in the released checkpoints.
        return get_2d_sincos_pos_embed(self.hidden_size, self.grid, base_size=self.grid)

    def resized(self, size: int) -> "DiT":
        """Return a DiT of the same weights for images of another height and width.

        Its tokens stand where these do in the image: positions are stretched, as those of larger
        images are in models that are trained for them, and not counted on.

        Raises:
            DMPError: ``patch_size`` does not divide ``size``.
        """
        if size % self.patch_size:
            raise DMPError(f"patch_size = {self.patch_size} does not divide {size}")
        found = copy.deepcopy(self)
        found.x_embedder.set_input_size(size)
        found.input_size, found.grid = size, size // self.patch_size
        found.num_tokens = found.grid**2
        stretched = get_2d_sincos_pos_embed(self.hidden_size, found.grid, base_size=self.grid)
        found.pos_embed = nn.Parameter(
            torch.as_tensor(stretched).to(self.pos_embed)[None], requires_grad=False
        )
        return found

    def unpatchify(self, patches: Tensor) -> Tensor:
        """Rearrange ``(B, N, P·P·C)`` to ``(B, C, H, W)``."""
        p, g = self.patch_size, self.grid
        patches = patches.reshape(len(patches), g, g, p, p, self.out_channels)
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), -1, g * p, g * p)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Predict noise and variance.

        Args:
            x: noisy images ``(B, C, H, W)``.
            t: timesteps ``(B,)``, int64.
            y: labels ``(B,)``, int64; already dropped where they are to be dropped.

        Returns:
            ``(B, 2C, H, W)``: C channels of noise, C of the variance's position in its range.
        """
        tokens = self.x_embedder(x) + self.pos_embed
        condition = self.t_embedder(t) + self.y_embedder(y)
        for block in self.blocks:
            tokens = block(tokens, condition)
        return self.unpatchify(self.final_layer(tokens, condition))


def dit(
    size: str,
    patch_size: int,
    input_size: int,
    in_channels: int,
    num_classes: int = 1,
    class_dropout_prob: float = 0.0,
) -> DiT:
    """Build a DiT of a named size, such as ``dit("XL", 2, 32, 4, 1000, 0.1)`` for DiT-XL/2.

    Raises:
        DMPError: unknown size, or a patch size that does not divide the input size.
    """
    if size not in SIZES:
        raise DMPError(f"unknown DiT size '{size}': {nearest(size, SIZES)}")
    return DiT(
        input_size,
        patch_size,
        in_channels,
        *[SIZES[size].hidden_size, SIZES[size].depth, SIZES[size].num_heads],
        num_classes=num_classes,
        class_dropout_prob=class_dropout_prob,
    )
