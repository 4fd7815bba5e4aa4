"""Multiply-accumulates and parameters of a DiT and its patch, in closed form; U-Nets are beside it.

One multiply-accumulate (MAC) is two floating-point operations; the DiT paper prints MACs and calls
them Gflops. Matrix products count and nothing else: norms, activations and the addition of prompts
take under a percent of the arithmetic, though more of the time of a small model.
"""

import functools
from dataclasses import dataclass

from dmp.config import PatchConfig, TaskConfig, UNetConfig
from dmp.data.shape import input_shape
from dmp.planning import unet
from dmp.planning.unet import CAPTION_TOKENS, UNetGeometry, gate_inputs

FREQUENCIES = 256  # sinusoids of the timestep
MLP_RATIO = 4

# The networks around the backbone. Inception-v3 at 299×299, to which every image is resized first;
# the autoencoder of Stable Diffusion at 256×256, without its one attention per half.
INCEPTION = 5_713_216_096
_ENCODER, _DECODER = 135_287_341_056, 310_019_899_392
_AUTOENCODER_WIDTH = 512


@dataclass(frozen=True)
class Geometry:
    """All that decides the arithmetic of a DiT.

    Attributes:
        input_size: height and width of what it is fed.
        channels: C of what it is fed; it predicts 2C.
        patch_size: P.
        depth: L.
        hidden_size: D.
        num_heads: they share D, so that they change no count.
        label_rows: rows of the label embedding; 0 with text.
        text_size: width of a pooled text embedding; 0 without text.

    """

    input_size: int
    channels: int
    patch_size: int
    depth: int
    hidden_size: int
    num_heads: int
    label_rows: int = 1
    text_size: int = 0

    @property
    def tokens(self) -> int:
        """N, the length of the token sequence."""
        return (self.input_size // self.patch_size) ** 2


AnyGeometry = Geometry | UNetGeometry


def geometry(task: TaskConfig) -> AnyGeometry:
    """Return the geometry of a task's backbone.

    Raises:
        DMPError: unknown dataset.

    """
    shape, b = input_shape(task.data), task.backbone
    if isinstance(b, UNetConfig):
        return UNetGeometry.of(b, shape.size, shape.channels)
    labels = (shape.classes if task.conditioning == "class" else 1) + (task.label_dropout > 0)
    return Geometry(
        *(shape.size, shape.channels, b.patch_size, b.depth, b.hidden_size, b.num_heads),
        label_rows=0 if task.text else labels,
        text_size=task.text.hidden_size if task.text else 0,
    )


@functools.singledispatch
def forward(g: Geometry, patch: PatchConfig | None = None, training: bool = False) -> int:
    """Return the MACs of one forward pass on one image.

    With N tokens of width D, a block takes ``12 N D²`` in its linear layers (4 for attention, 8 for
    the perceptron), ``2 N² D`` in attention, and ``6 D²`` in modulation.

    Args:
        g: the backbone.
        patch: prompts and gate, or None. What an attention gate computes of the prompts alone is
            done once per batch and left out.
        training: whether the gate's noise is drawn.

    """
    width, n = g.hidden_size, g.tokens
    first, rest = _embeddings(g)
    total = first + rest + 2 * width**2 + _unpatchify(g)
    if patch is None:
        return total + g.depth * _block(n, width)
    for tokens in _sequences(g, patch):
        total += _block(tokens, width) + _faded(g, patch, tokens)
    patched = patch.blocks(g.depth)
    total += patched * _gate(g, patch, training)[0]
    told = ("permuted",) if training else ("permuted", "permuted-in-sampling")
    if patch.gate != "none" and patch.gate_timestep in told:
        total += FREQUENCIES * width + width**2
    return total


@functools.singledispatch
def train(g: Geometry, patch: PatchConfig | None = None) -> int:
    """Return the MACs of a training step for one image: forward and backward.

    A product ``x W`` has two gradients, of x and of W, and each costs as much as the product. Full
    training needs both: the backward pass is twice the forward pass, and a step three times
    (Kaplan et al. 2020, Section 2.1), less the gradients of the network's inputs, which nobody
    needs. With a frozen backbone the gradients of W fall away and those of x stay, from the output
    down to the first block, since prompts enter there: a step is about twice the forward pass. It
    is a little more, since both operands of attention's products are activations, and the gate
    trains; and a little less, since nothing behind the condition trains.

    Args:
        g: the backbone.
        patch: what trains in its place; None for full training.

    """
    if patch is None:
        first, _ = _embeddings(g)
        return 3 * forward(g) - first
    width = g.hidden_size
    total = forward(g, patch, training=True) + _unpatchify(g)
    for tokens in _sequences(g, patch):
        total += _through_block(tokens, width)
        if _faded(g, patch, tokens):
            total += 4 * g.tokens * width**2 + 4 * g.tokens**2 * width
    total += patch.blocks(g.depth) * _gate(g, patch, training=True)[1]
    if patch.mixture == "pool":
        # The first block's tokens come from frozen weights: they have no gradient.
        total -= g.tokens * patch.count(g.tokens) * width
    return total


def _embeddings(g: Geometry) -> tuple[int, int]:
    """Return the MACs of the layers that see the network's inputs, and of those behind them."""
    width = g.hidden_size
    first = g.tokens * g.patch_size**2 * g.channels * width + FREQUENCIES * width
    first += g.text_size * width
    return first, width**2 * (2 if g.text_size else 1)


def _unpatchify(g: Geometry) -> int:
    return g.tokens * g.hidden_size * g.patch_size**2 * 2 * g.channels


def _block(tokens: int, width: int) -> int:
    return (4 + 2 * MLP_RATIO) * tokens * width**2 + 2 * tokens**2 * width + 6 * width**2


def _through_block(tokens: int, width: int) -> int:
    """Return the MACs of the gradients of a frozen block's activations."""
    return (4 + 2 * MLP_RATIO) * tokens * width**2 + 4 * tokens**2 * width


def _sequences(g: Geometry, patch: PatchConfig) -> list[int]:
    """Return the length of each block's sequence."""
    patched = patch.blocks(g.depth)
    more = patch.count(g.tokens) if patch.position == "prepend" else 0
    behind = g.tokens + more if patch.prepended == "stays" else g.tokens
    return [g.tokens + more] * patched + [behind] * (g.depth - patched)


def _faded(g: Geometry, patch: PatchConfig, tokens: int) -> int:
    """Return the MACs of the attention without prompts that a masked start blends in."""
    if not patch.masked_start or tokens == g.tokens:
        return 0
    return 4 * g.tokens * g.hidden_size**2 + 2 * g.tokens**2 * g.hidden_size


def _gate(g: Geometry, patch: PatchConfig, training: bool) -> tuple[int, int]:
    """Return the MACs of a block's gate, forward and backward."""
    width, prompts = g.hidden_size, patch.count(g.tokens)
    match patch.gate:
        case "none" | "constant":
            there = back = 0
        case "linear":
            there = back = gate_inputs(g.hidden_size, patch) * prompts
            if patch.block_index == "embedded":
                back *= 2
        case "attention":
            there, back = width**2 + prompts * width, width**2 + 2 * prompts * width
        case "attention-released":
            there, back = 2 * width**2 + prompts * width, 2 * width**2 + 2 * prompts * width
        case "attention-literal":
            there = back = width**2
    if patch.mixture == "pool":
        there, back = (
            there + 2 * g.tokens * prompts * width,
            back + 4 * g.tokens * prompts * width,
        )
    if patch.gate_noise and training:
        there, back = there + width * prompts, back + width * prompts
    return there, back


@functools.singledispatch
def parameters(g: Geometry) -> int:
    """Return how many numbers a DiT's weights are, the fixed positions among them."""
    width, patch = g.hidden_size, g.patch_size**2 * g.channels
    embedders = (patch + 1) * width + (FREQUENCIES + 1) * width + (width + 1) * width
    labels = g.label_rows * width
    if g.text_size:
        labels = (g.text_size + 1) * width + (width + 1) * width
    block = (10 + 2 * MLP_RATIO) * width**2 + (4 + MLP_RATIO + 1 + 6) * width
    final = (width + 1) * 2 * patch + (width + 1) * 2 * width
    return embedders + labels + g.tokens * width + g.depth * block + final


@functools.singledispatch
def patch_parameters(g: Geometry, patch: PatchConfig) -> int:
    """Return how many numbers a patch trains."""
    width, prompts, blocks = g.hidden_size, patch.count(g.tokens), patch.blocks(g.depth)
    total = blocks * prompts * width
    if patch.masked_start:
        total += blocks
    if patch.gate_noise:
        total += width * prompts
    match patch.gate:
        case "linear":
            layers = blocks if patch.block_index == "own-gate" else 1
            total += layers * (gate_inputs(g.hidden_size, patch) + 1) * prompts
            if patch.block_index == "embedded":
                total += blocks * width
        case "constant":
            total += (blocks if patch.selection == "distinct" else 1) * prompts
        case "attention":
            total += 2 * (width + 1) * width
        case "attention-released":
            total += 3 * (width + 1) * width
        case "attention-literal":
            total += (width + 1) * width
    return total


forward.register(UNetGeometry, unet.forward)
train.register(UNetGeometry, unet.train)
parameters.register(UNetGeometry, unet.parameters)
patch_parameters.register(UNetGeometry, unet.patch_parameters)


def encode(resolution: int) -> int:
    """Return the MACs of the autoencoder's encoder on one square image."""
    return _autoencoder(_ENCODER, resolution)


def decode(resolution: int) -> int:
    """Return the MACs of the autoencoder's decoder on the latents of one square image."""
    return _autoencoder(_DECODER, resolution)


def _autoencoder(convolutions: int, resolution: int) -> int:
    # Convolutions grow with the area, the attention over latents with its square.
    points = (resolution // 8) ** 2
    return convolutions * resolution**2 // 256**2 + 2 * points**2 * _AUTOENCODER_WIDTH


def text_encoder(width: int, layers: int, tokens: int = CAPTION_TOKENS) -> int:
    """Return the MACs of a CLIP text encoder on one caption."""
    return layers * (12 * tokens * width**2 + 2 * tokens**2 * width)


def classifier(size: int, channels: int, classes: int) -> int:
    """Return the MACs of :class:`dmp.metrics.classifier.Classifier` on one image."""
    return 9 * 32 * (channels + 64) * size**2 + 1024 * 64 + 64 * classes
