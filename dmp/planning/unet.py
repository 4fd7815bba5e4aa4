"""Multiply-accumulates and parameters of a U-Net and its patch, in closed form.

As for a DiT, matrix products and convolutions count and nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dmp.config import PatchConfig, UNetConfig

CAPTION_TOKENS = 77


@dataclass(frozen=True)
class UNetGeometry:
    """All that decides the arithmetic of a U-Net as that of Stable Diffusion 1.

    Attributes:
        input_size: height and width of the latents.
        channels: C of the latents, and of the noise that is predicted.
        widths: of each stage.
        layers: of a stage on the way down; one more on the way up.
        attending: how many stages, from the first, have transformer blocks.
        text_size: width of the text encoder's states.

    """

    input_size: int
    channels: int
    widths: tuple[int, ...]
    layers: int
    attending: int
    text_size: int

    @classmethod
    def of(cls, config: UNetConfig, input_size: int, channels: int) -> "UNetGeometry":
        """Return the geometry of a U-Net for latents ``(channels, input_size, input_size)``."""
        return cls(
            *(input_size, channels, config.block_out_channels, config.layers_per_block),
            *(config.attention_stages, config.cross_attention_dim),
        )

    @property
    def condition_size(self) -> int:
        """The width of the timestep embedding."""
        return 4 * self.widths[0]


class _Layer(NamedTuple):
    """A layer with matrix products.

    Attributes:
        macs: of the forward pass.
        through: of the gradients of what comes from the image; weights, text and time are frozen.
        backward: of all gradients in full training.
        parameters: how many numbers it has.

    """

    macs: int
    through: int
    backward: int
    parameters: int = 0


class _Point(NamedTuple):
    """Where prompts of a placement may enter; what comes before the first of them is not trained.

    Attributes:
        placement: as :class:`~dmp.config.PatchConfig` names it.
        tokens: N.
        width: D.

    """

    placement: str
    tokens: int
    width: int


def forward(g: UNetGeometry, patch: PatchConfig | None = None, training: bool = False) -> int:
    """Return the MACs of one forward pass on one image.

    Args:
        g: the U-Net.
        patch: prompts and gate, or None.
        training: whether the gate's noise is drawn.

    """
    total = sum(part.macs for part in _parts(g) if isinstance(part, _Layer))
    if patch is None:
        return total
    total += sum(_gate(g, patch, training))
    told = ("permuted",) if training else ("permuted", "permuted-in-sampling")
    if patch.gate != "none" and patch.gate_timestep in told:
        total += g.widths[0] * g.condition_size + g.condition_size**2
    return total


def train(g: UNetGeometry, patch: PatchConfig | None = None) -> int:
    """Return the MACs of a training step for one image: forward and backward.

    With a frozen U-Net, gradients go from the output back to the first prompts, through what comes
    from the image alone; see :func:`dmp.planning.flops.train`.

    Args:
        g: the U-Net.
        patch: what trains in its place; None for full training.

    """
    parts = list(_parts(g))
    if patch is None:
        return forward(g) + sum(part.backward for part in parts if isinstance(part, _Layer))
    first = next(
        place
        for place, part in enumerate(parts)
        if isinstance(part, _Point) and part.placement == patch.placement
    )
    total = forward(g, patch, training=True)
    total += sum(part.through for part in parts[first:] if isinstance(part, _Layer))
    # The gate's weights; what the timestep's embedding is made from does not train.
    embedded = patch.gate == "linear" and patch.block_index == "embedded"
    return total + sum(_gate(g, patch, training=True)) * (2 if embedded else 1)


def parameters(g: UNetGeometry) -> int:
    """Return how many numbers a U-Net's weights are."""
    return sum(part.parameters for part in _parts(g) if isinstance(part, _Layer))


def patch_parameters(g: UNetGeometry, patch: PatchConfig) -> int:
    """Return how many numbers a patch trains: blocks with as many prompts share a gate."""
    points = _patched(g, patch)
    total = sum(patch.count(point.tokens) * point.width for point in points)
    served: dict[int, int] = {}
    for point in points:
        k = patch.count(point.tokens)
        served[k] = served.get(k, 0) + 1
    for prompts, blocks in served.items():
        if patch.gate == "linear":
            layers = blocks if patch.block_index == "own-gate" else 1
            total += layers * (gate_inputs(g.condition_size, patch) + 1) * prompts
            if patch.block_index == "embedded":
                total += blocks * g.condition_size
        elif patch.gate == "constant":
            total += (blocks if patch.selection == "distinct" else 1) * prompts
        if patch.gate_noise:
            total += g.condition_size * prompts
    return total


def _patched(g: UNetGeometry, patch: PatchConfig) -> list[_Point]:
    points = [p for p in _parts(g) if isinstance(p, _Point) and p.placement == patch.placement]
    return points[: patch.blocks(len(points))]


def _gate(g: UNetGeometry, patch: PatchConfig, training: bool) -> Iterator[int]:
    """Yield the MACs of each patched block's gate, without those of gradients."""
    for point in _patched(g, patch):
        prompts = patch.count(point.tokens)
        if patch.gate == "linear":
            yield gate_inputs(g.condition_size, patch) * prompts
        if patch.gate_noise and training:
            yield g.condition_size * prompts


def gate_inputs(size: int, patch: PatchConfig) -> int:
    """Return how many numbers a linear gate reads: a condition of ``size``, and the block's index.

    This is the same for every backbone.
    """
    if patch.selection == "uniform":
        return size
    return size + {"raw": 1, "normalised": 1, "embedded": size, "own-gate": 0}[patch.block_index]


def _parts(g: UNetGeometry) -> Iterator[_Layer | _Point]:
    """Yield layers, and points where prompts may enter, in the order of execution."""
    area, size, width = g.input_size**2, g.condition_size, g.widths[0]
    # Neither the sinusoids of the timestep nor the noisy image have gradients.
    yield _first(width * size, (width + 1) * size)
    yield _time(size**2, (size + 1) * size)
    yield _first(9 * g.channels * width * area, (9 * g.channels + 1) * width)
    skipped = [width]
    stages = list(enumerate(g.widths))
    for stage, out in stages:
        yield _Point("stage-inputs", area, width)
        for _ in range(g.layers):
            yield from _residual(g, width, out, area)
            width = out
            if stage < g.attending:
                yield from _transformer(g, width, area)
            skipped.append(width)
        if stage < len(g.widths) - 1:
            area //= 4
            yield _linear(9 * width**2 * area, (9 * width + 1) * width)
            skipped.append(width)
    yield _Point("stage-inputs", area, width)
    yield from _residual(g, width, width, area)
    yield from _transformer(g, width, area)
    yield from _residual(g, width, width, area)
    for stage, out in reversed(stages):
        yield _Point("stage-inputs", area, width)
        for _ in range(g.layers + 1):
            yield from _residual(g, width + skipped.pop(), out, area)
            width = out
            if stage < g.attending:
                yield from _transformer(g, width, area)
        if stage:
            area *= 4
            yield _linear(9 * width**2 * area, (9 * width + 1) * width)
    # Group normalisation, then the noise.
    yield _linear(9 * width * g.channels * area, (9 * width + 1) * g.channels + 2 * width)


def _residual(g: UNetGeometry, inputs: int, width: int, area: int) -> Iterator[_Layer]:
    """Yield the layers of a residual block, ``(inputs, area)`` to ``(width, area)``."""
    norms = 2 * (inputs + width)
    yield _linear(9 * inputs * width * area, (9 * inputs + 1) * width + norms)
    yield _time(g.condition_size * width, (g.condition_size + 1) * width)
    yield _linear(9 * width**2 * area, (9 * width + 1) * width)
    if inputs != width:
        yield _linear(inputs * width * area, (inputs + 1) * width)


def _transformer(g: UNetGeometry, width: int, tokens: int) -> Iterator[_Layer | _Point]:
    """Yield the layers of a transformer block, and of the maps to its tokens and back."""
    square, text = tokens * width**2, g.text_size
    norms = 2 * width + 3 * 2 * width
    yield _linear(square, (width + 1) * width + norms)
    yield _Point("transformer-blocks", tokens, width)
    # Queries, keys, values and the way out; both operands of attention's products have gradients.
    yield _linear(4 * square, 4 * width**2 + width)
    attention = 2 * tokens**2 * width
    yield _Layer(attention, 2 * attention, 2 * attention)
    # Queries and the way out; keys and values come from the text, which has no gradient.
    yield _linear(2 * square, 2 * width**2 + width)
    keys = 2 * CAPTION_TOKENS * text * width
    yield _Layer(keys, 0, keys, 2 * text * width)
    attention = 2 * tokens * CAPTION_TOKENS * width
    yield _Layer(attention, attention, 2 * attention)
    # The perceptron, half of whose first layer gates the other half; and the way back.
    yield _linear(12 * square, 12 * width**2 + 9 * width)
    yield _linear(square, (width + 1) * width)


def _linear(macs: int, parameters: int) -> _Layer:
    """Return a product ``x W``: its two gradients cost as much each."""
    return _Layer(macs, macs, 2 * macs, parameters)


def _time(macs: int, parameters: int) -> _Layer:
    """Return a product with the timestep's embedding, which comes from no image."""
    return _Layer(macs, 0, 2 * macs, parameters)


def _first(macs: int, parameters: int) -> _Layer:
    """Return a product with an input of the network."""
    return _Layer(macs, 0, macs, parameters)
