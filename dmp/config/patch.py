"""The options of the method itself; each is one factor over the preset ``paper``."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dmp.config.base import Strict, nearest
from dmp.config.gates import BUILT_IN, gate_names
from dmp.config.numbers import Count, Factor, Share, Size, Weight

# Options that only mean something beside another one; alone they would be another name for the
# same run, so they are refused.
_NEEDS = {
    "block_index": ("gate", ("linear",)),
    "top_share": ("type", ("hard",)),
    "top_rounding": ("type", ("hard",)),
    "importance_on": ("type", ("hard",)),
    "hard_weights": ("type", ("hard",)),
    "hard_gradient": ("type", ("hard",)),
    "prepended": ("position", ("prepend",)),
    "masked_start": ("position", ("prepend",)),
    "grid": ("resize", ("nearest", "bilinear", "bicubic")),
    "resize": ("position", ("add",)),
}
# Options of the gate; without a gate they mean nothing.
_OF_GATE = (
    "selection", "type", "mixture", "condition", "gate_timestep", "gate_noise", "gate_init",
    "gate_learning_rate_factor", "gate_temperature", "importance", "load",
)  # fmt: skip


def check_resizing(edge: int, grid: tuple[int, int], mode: str) -> None:
    """Check that prompts on ``edge`` by ``edge`` can be resized to ``grid`` in this mode.

    Raises:
        ValueError: ``nearest``, and the edge does not divide rows and columns.
    """
    if mode == "nearest" and any(size % edge for size in grid):
        raise ValueError(
            f"resize = nearest cannot spread {edge} x {edge} prompts over {grid[0]} x {grid[1]} "
            f"tokens in blocks of one size; use bilinear or bicubic, or a grid that divides the "
            f"tokens'"
        )


def _known(gate: str) -> str:
    # Our own first: to look for those of other packages takes milliseconds.
    if gate not in ("none", *BUILT_IN) and gate not in gate_names():
        raise ValueError(f"unknown gate: {nearest(gate, ['none', *gate_names()])}")
    return gate


class PatchConfig(Strict):
    """How prompts are attached to a frozen backbone; the defaults are the preset ``paper``.

    N is the number of tokens, K that of prompts, L that of patched blocks.

    Attributes:
        gate: what decides the weights. ``linear`` is one linear layer on the timestep embedding
            (Eq. 5). ``attention`` asks each prompt, as a query, how well it matches the timestep,
            as the key: the gate can choose. ``attention-literal`` reads the paper's words as they
            stand (prompts are queries, the timestep is the only key and value): one key always has
            weight 1, so that every token gets the same value. ``attention-released`` is the
            unused class of the released code. ``constant`` is learned and sees no timestep.
            ``none`` is naive prompt tuning (Eq. 4).
        weights: from the gate's outputs to weights: ``softmax`` (mean 1/K), ``n-softmax`` (K times
            it, mean 1), ``sigmoid``; without a gate ``one`` or ``one-over-n``, both fixed.
        gate_temperature: the gate's outputs are divided by it before they become weights: below 1
            the gate chooses more sharply (our own option).
        selection: ``distinct`` gives each block weights of its own; ``uniform`` gives all the
            same (Table 4c).
        block_index: how the block enters a linear gate: ``raw`` as the number i, ``normalised`` to
            [0, 1], ``embedded`` as a learned vector, ``own-gate`` as a gate per block.
        type: ``soft`` uses all prompts; ``hard`` the ``top_share`` with the largest weights.
        top_share: share of the prompts that hard selection keeps.
        top_rounding: how that share becomes a number of prompts: ``nearest``, or ``down`` as in
            the released code; of 50 prompts 38 or 37.
        hard_weights: their weights: ``one``, ``one-over-k``, or ``renormalised`` to sum 1.
        hard_gradient: ``straight-through`` lets the gate learn from a fixed weight as though it
            were the soft one; ``none`` does not.
        mixture: ``own`` scales each token's own prompt, as the paper's formula does; ``pool`` lets
            each token mix all prompts, however many, by the gate and by how well they match the
            token.
        position: prompts are added to the tokens, or prepended to them.
        prompts: how many are prepended, or are in the pool: a number, a share of N, or ``tokens``
            for N.
        prepended: ``overwritten`` at each block by its own prompts, or ``carried`` through the
            blocks, each adding its own; both leave the sequence after the last patched block.
            ``stays``, as in the released code, is ``overwritten``, but the last patched block's
            prompts stay in the sequence to the end of the network.
        masked_start: whether attention to prepended prompts is faded in from zero by a learned
            scalar per block, so that they start as a no-op; otherwise zeros dilute attention.
        depth: how many blocks, counted in the order of execution, get prompts; ``half`` is rounded
            down.
        placement: where prompts enter a U-Net, which the paper does not say; both are inferred.
            ``transformer-blocks``: each transformer block's tokens, as in other backbones;
            ``stage-inputs``: the feature maps that enter the down, middle and up stages.
        grid: edge of the grid that prompts stand on; ``tokens`` is the grid of the block's own
            tokens. With fewer prompts than tokens, each serves a part of the image.
        resize: how prompts on one grid are brought to a grid of tokens that is another, because
            of ``grid`` or because the image's resolution is not that of training: ``nearest`` in
            blocks of tokens, ``bilinear``, or ``bicubic`` as position embeddings; ``none`` makes
            another resolution an error.
        timestep_ranges: prompts of their own for each of so many equal ranges of timesteps, without
            a gate: what a gate that sees the timestep could at best do.
        condition: the gate sees the timestep embedding, or that plus the condition's.
        gate_timestep: ``true``, or a fixed permutation of the timesteps, in training and sampling
            (``permuted``) or after training only (``permuted-in-sampling``): a control.
        gate_noise: whether learned Gaussian noise is added to the gate's outputs in training.
        gate_init: factor of the framework's initial range of the gate; 0 for zeros.
        gate_learning_rate_factor: of the gate, over that of the prompts.
        prompt_init: standard deviation of the initial prompts; 0 for zeros.
        importance: ``per-block`` as in Eqs. 9 and 10; ``per-block-mean`` divides by L;
            ``summed`` over blocks first, as the released code does; ``batch`` sums over the batch
            first (Shazeer et al. 2017).
        importance_on: with hard selection, the weights that the importance loss looks at:
            ``soft``, those before selection, or ``applied``, those after it, as in the released
            code.
        importance_weight: factor of the importance loss.
        load: ``indicator`` as in Eq. 10, which has no gradient; ``smooth`` is the estimator of
            Shazeer et al.; ``probability`` is what the released code does with hard selection.
        load_weight: factor of the load loss.
    """

    gate: Annotated[str, AfterValidator(_known)] = "linear"
    weights: Literal["softmax", "n-softmax", "sigmoid", "one", "one-over-n"] = "softmax"
    gate_temperature: Factor = 1.0
    selection: Literal["distinct", "uniform"] = "distinct"
    block_index: Literal["raw", "normalised", "embedded", "own-gate"] = "raw"
    type: Literal["soft", "hard"] = "soft"
    top_share: Share = 0.75
    top_rounding: Literal["nearest", "down"] = "nearest"
    hard_weights: Literal["one", "one-over-k", "renormalised"] = "one"
    hard_gradient: Literal["straight-through", "none"] = "straight-through"
    mixture: Literal["own", "pool"] = "own"
    position: Literal["add", "prepend"] = "add"
    prompts: Size | Share | Literal["tokens"] = "tokens"
    prepended: Literal["overwritten", "carried", "stays"] = "overwritten"
    masked_start: bool = False
    depth: Size | Literal["half", "all"] = "all"
    placement: Literal["transformer-blocks", "stage-inputs"] = "transformer-blocks"
    grid: Annotated[int, Field(ge=1, le=1024)] | Literal["tokens"] = "tokens"
    resize: Literal["none", "nearest", "bilinear", "bicubic"] = "none"
    timestep_ranges: Count = 1
    condition: Literal["t", "t+c"] = "t"
    gate_timestep: Literal["true", "permuted", "permuted-in-sampling"] = "true"
    gate_noise: bool = False
    gate_init: Weight = 1.0
    gate_learning_rate_factor: Factor = 1.0
    prompt_init: Weight = 0.0
    importance: Literal["per-block", "per-block-mean", "summed", "batch"] = "per-block"
    importance_on: Literal["soft", "applied"] = "soft"
    importance_weight: Weight = 1.0
    load: Literal["indicator", "smooth", "probability"] = "indicator"
    load_weight: Weight = 1.0

    @model_validator(mode="after")
    def _every_option_has_an_effect(self) -> Self:
        changed = {
            name
            for name, field in PatchConfig.model_fields.items()
            if getattr(self, name) != field.default
        }
        for name, (other, accepted) in _NEEDS.items():
            if name in changed and getattr(self, other) not in accepted:
                raise ValueError(
                    f"{name} = {getattr(self, name)} has no effect with {other} = "
                    f"{getattr(self, other)}; it needs {other} = {' or '.join(accepted)}"
                )
        if "prompts" in changed and self.position != "prepend" and self.mixture != "pool":
            raise ValueError(
                f"prompts = {self.prompts} has no effect with position = {self.position} and "
                f"mixture = {self.mixture}; it needs position = prepend or mixture = pool"
            )
        if self.gate == "none":
            for name in _OF_GATE:
                if name in changed:
                    raise ValueError(f"{name} has no effect without a gate (gate = none)")
            if self.importance_weight or self.load_weight:
                raise ValueError(
                    "importance_weight and load_weight must be 0 without a gate (gate = none)"
                )
        if (self.weights in ("one", "one-over-n")) != (self.gate == "none"):
            accepted = "one, one-over-n" if self.gate == "none" else "softmax, n-softmax, sigmoid"
            raise ValueError(
                f"weights = {self.weights} is not accepted with gate = {self.gate}: {accepted}"
            )
        self._combinations()
        return self

    def _combinations(self) -> None:
        if self.timestep_ranges > 1 and self.gate != "none":
            raise ValueError(
                f"timestep_ranges = {self.timestep_ranges} is defined for gate = none, not "
                f"{self.gate}: each range has prompts of its own already"
            )
        if self.block_index != "raw" and self.selection == "uniform":
            raise ValueError("block_index has no effect with selection = uniform")
        if self.load != "indicator" and not self.gate_noise:
            raise ValueError(f"load = {self.load} is a probability under the gate's noise; "
                             f"it needs gate_noise = true")  # fmt: skip
        if self.hard_weights == "renormalised" and self.hard_gradient == "none":
            raise ValueError("hard_gradient has no effect with hard_weights = renormalised, "
                             "which have a gradient of their own")  # fmt: skip
        if self.prepended == "stays" and self.depth == "all":
            raise ValueError("prepended = stays has no effect with depth = all, where no block "
                             "follows the patched ones")  # fmt: skip
        if self.prepended == "stays" and self.masked_start:
            raise ValueError("prepended = stays is not accepted with masked_start = true, which "
                             "fades the attention of patched blocks alone")  # fmt: skip
        if self.type == "hard" and self.weights != "softmax":
            raise ValueError(f"type = hard is defined for weights = softmax, not {self.weights}")
        if self.selection == "uniform" and self.gate.startswith("attention"):
            raise ValueError(
                f"selection = uniform is defined for gate = linear or constant, not {self.gate}: "
                f"an attention gate sees no block index"
            )
        valued = self.gate in ("attention-literal", "attention-released")
        if self.mixture == "pool" or valued:
            name = "mixture = pool" if self.mixture == "pool" else f"gate = {self.gate}"
            for other, default in (
                ("type", "soft"), ("position", "add"), ("weights", "softmax"),
                ("gate_noise", False), ("gate_temperature", 1.0),
            ):  # fmt: skip
                if getattr(self, other) != default:
                    raise ValueError(f"{name} is defined for {other} = {default}, "
                                     f"not {getattr(self, other)}")  # fmt: skip
        if self.mixture == "pool" and self.gate != "linear":
            raise ValueError(f"mixture = pool is defined for gate = linear, not {self.gate}")
        if self.mixture == "pool" and self.resize != "none":
            raise ValueError("resize has no effect with mixture = pool, where a token mixes all "
                             "prompts wherever they stand")  # fmt: skip
        if self.gate == "constant" and (self.condition != "t" or self.gate_timestep != "true"):
            raise ValueError("a constant gate sees neither timestep nor condition")

    def blocks(self, available: int) -> int:
        """Return how many of ``available`` blocks get prompts.

        Raises:
            ValueError: more blocks are asked for than there are.
        """
        if self.depth == "all":
            return available
        if self.depth == "half":
            return max(1, available // 2)
        if self.depth > available:
            raise ValueError(
                f"depth = {self.depth}, but the backbone has {available} blocks; "
                f"accepted: 1 to {available}, 'half', 'all'"
            )
        return self.depth

    def count(self, tokens: int) -> int:
        """Return K, how many prompts a block has, for ``tokens`` tokens."""
        if self.grid != "tokens":
            return self.grid**2
        if self.prompts == "tokens":
            return tokens
        if isinstance(self.prompts, float):
            return max(1, round(self.prompts * tokens))
        return self.prompts

    def check_grid(self, grid: int) -> None:
        """Check that the prompts can be brought to a block's grid of tokens of this edge.

        Raises:
            ValueError: see :func:`check_resizing`.
        """
        if self.position == "add":
            check_resizing(self.edge(grid), (grid, grid), self.resize)

    def edge(self, grid: int) -> int:
        """Return the edge of the prompts' grid, for a block with a grid of tokens of this edge."""
        return grid if self.grid == "tokens" else self.grid

    @property
    def starts_as_no_op(self) -> bool:
        """Whether the patched backbone starts out equal to the backbone, to the last bit."""
        return not self.prompt_init and (self.position == "add" or self.masked_start)
