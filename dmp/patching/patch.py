"""Attaching a mixture of prompts to a frozen backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.initialisation import normal_
from dmp.patching.adapters import patch_points
from dmp.patching.calls import Calls
from dmp.patching.gates import Gate, make_gate
from dmp.patching.hub import Shared
from dmp.patching.loading import FORMAT, attach_saved, read_patch
from dmp.patching.placement import attach_added, attach_fading, attach_prepended, check_placement
from dmp.patching.points import PatchPoints, compute_device
from dmp.patching.remembering import Remembering
from dmp.patching.weights import of_range
from dmp.rng import generator
from dmp.tensorfile import save_tensors


class Patch(Shared, Remembering):
    """Prompts and gate, attached to a backbone by hooks: the backbone's own code is untouched.

    Before block i, tokens ``x: (B, N, D)`` become ``x + w ⊙ P_i``, where ``P_i: (N, D)`` are the
    block's prompts and ``w: (B, N)`` the gate's weights, broadcast over D (Eq. 5); without a gate,
    ``x + P_i`` (Eq. 4). Prompts start at zero, so that the patched backbone starts out equal to
    the backbone, to the last bit (Eq. 6). The options change one thing of this at a time.

    In a U-Net N and D differ between blocks: each block has prompts of its own shape, and blocks
    with as many prompts share a gate. Feature maps are seen as tokens, row by row.

    Attributes:
        config: the options.
        prompts: ``(L, K, D)``, for the first L blocks; K = N unless they are prepended or stand on
            a grid of their own. Where blocks differ, a list of ``(K_i, D_i)``. With R ranges of
            timesteps, R · K in place of K, range by range.
        gate: the gate, or gates by K, or None for prompt tuning.
        fade: ``(L,)``, the scalars of a masked start, or None.
        noise: ``(B, L, K)``, standard normal, for a gate with noise; whoever trains sets it before
            each forward pass, in the same thread, so that it can be a function of the example
            alone. Blocks with fewer prompts than others use the first of it.
        noise_shape: ``(L, K)``, K being the largest of all blocks.
    """

    # With another timestep for the gate only; a buffer.
    permutation: Tensor

    def __init__(
        self,
        model: nn.Module,
        config: PatchConfig,
        seed: int = 0,
        points: PatchPoints | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self._points = points = points or patch_points(model)
        every = points.blocks(config.placement)
        try:
            self._blocks = every[: config.blocks(len(every))]
        except ValueError as error:
            raise DMPError(f"patch: {error}") from error
        self._describe = {
            "blocks": len(every),
            "num_tokens": _common([block.num_tokens for block in every]),
            "hidden_size": _common([block.width for block in every]),
            "condition_size": points.condition_size,
        }
        device = compute_device(model)
        depth, counts = len(self._blocks), [config.count(b.num_tokens) for b in self._blocks]
        ranges = config.timestep_ranges
        shapes = [(ranges * k, block.width) for k, block in zip(counts, self._blocks, strict=True)]
        with device:
            self.prompts = (
                nn.Parameter(torch.zeros(depth, *shapes[0]))
                if len(set(shapes)) == 1
                else nn.ParameterList(nn.Parameter(torch.zeros(shape)) for shape in shapes)
            )
            self.fade = nn.Parameter(torch.zeros(depth)) if config.masked_start else None
            self.gate = make_gate(config, points, counts)
        self._counts = counts
        self.noise_shape = (depth, max(counts))
        if device.type != "meta":
            self._initialise(seed)
        if config.gate_timestep != "true":
            order = generator(seed, "permuted timesteps").permutation(points.num_timesteps)
            # Saved with the patch, which does not know its seed when it is loaded.
            self.register_buffer("permutation", torch.from_numpy(order).to(device))
        self._calls = Calls(self, points)
        self._attach(model, points)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        for number, gate in enumerate(g for g in dict.fromkeys(self._gates) if g is not None):
            gate.reset(generator(seed, "gate initialisation", number))
        if self.config.prompt_init:
            source = generator(seed, "prompt initialisation")
            for prompts in self.prompt_parameters():
                normal_(prompts, self.config.prompt_init, source)

    def _attach(self, model: nn.Module, points: PatchPoints) -> None:
        config, blocks, calls = self.config, self._blocks, self._calls
        check_placement(config, points)
        if config.position == "add":
            handles = attach_added(blocks, self._contribution, config, calls)
        else:
            count, end = self.noise_shape[1], points.blocks(config.placement)[-1].module
            handles = attach_prepended(
                blocks, self._contribution, count, config.prepended, end, calls
            )
        if self.fade is not None:
            attentions = [block.attention for block in blocks if block.attention is not None]
            handles += attach_fading(attentions, self._faded, self.noise_shape[1])
        handles += calls.attach(model)
        self._handles: list[RemovableHandle] = handles
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        self._frozen = sum(p.numel() for p in model.parameters())
        model.requires_grad_(False)

    @property
    def _gates(self) -> list[Gate | None]:
        """The gate of each block."""
        gate = self.gate
        if gate is None or isinstance(gate, Gate):
            return [gate] * len(self._counts)
        return [cast(Gate, gate[str(k)]) for k in self._counts]

    def _contribution(self, tokens: Tensor, index: int) -> Tensor:
        """Return the weighted prompts of a block, ``(B, K, D)``, or without a gate ``(K, D)``."""
        call = self._calls.current
        patch = self if call is None else call.patch
        prompts, gate = patch.prompts[index], patch._gates[index]
        if gate is None:
            count = self._blocks[index].num_tokens
            ranges, total = self.config.timestep_ranges, self._points.num_timesteps
            if ranges > 1:
                prompts = of_range(prompts, ranges, self._calls.running.timesteps, total)
            return prompts / count if self.config.weights == "one-over-n" else prompts
        call, noise = self._calls.running, None
        if self.config.gate_noise and self.training:
            if call.noise is None:
                raise DMPError("patch: gate_noise is on, but no noise was set before training")
            noise = call.noise[:, index, : len(prompts)]
        # The backbone may compute in half precision; the patch does not.
        tokens = tokens.to(prompts.dtype)
        condition = self._calls.condition(call).to(prompts.dtype)
        weighted, weighting = gate(tokens, condition, index, prompts, noise)
        if weighting is not None and call.keeps:
            call.weightings[index] = weighting
        return weighted

    def _faded(self, index: int) -> Tensor:
        """Return the scalar of a block in a masked start."""
        fade = self._calls.running.patch.fade
        assert fade is not None  # hooks that call this are attached with a masked start alone
        return fade[index]

    def prompt_parameters(self) -> list[nn.Parameter]:
        """Return the prompts as a list: one parameter, or one for each block."""
        return [self.prompts] if isinstance(self.prompts, nn.Parameter) else list(self.prompts)

    def gate_parameters(self) -> list[nn.Parameter]:
        """Return the gate's parameters, which may train at a rate of their own."""
        return [] if self.gate is None else list(self.gate.parameters())

    def print_trainable_parameters(self) -> None:
        """Print how many parameters train, of how many in model and patch, as peft prints it."""
        own = [(p.numel(), p.requires_grad) for p in self.parameters()]
        trainable = sum(count for count, trains in own if trains)
        total = self._frozen + sum(count for count, _ in own)
        print(
            f"trainable params: {trainable:,d} || all params: {total:,d} || "
            f"trainable%: {100 * trainable / total:.4f}"
        )

    def remove(self) -> None:
        """Detach: the backbone is exactly what it was, trainable parameters included."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        self._trainable = []
        self._calls.forget()

    def describe(self) -> dict:
        """Return what is written into a saved patch: options and the backbone's geometry."""
        description = {
            "format": FORMAT,
            "config": self.config.model_dump(mode="json"),
            "backbone": self._describe,
        }
        return description | ({"inferred": self._points.inferred} if self._points.inferred else {})

    def save(self, path: str | Path, **notes: str) -> None:
        """Write prompts, gate, configuration and ``notes`` to one safetensors file, atomically.

        Raises:
            DMPError: the file cannot be written.
        """
        save_tensors(path, self.state_dict(), {**notes, **self.describe()})

    @classmethod
    def load(cls, path: str | Path, model: nn.Module, resize: str | None = None) -> "Patch":
        """Attach a saved patch to ``model``, ready for sampling.

        Args:
            path: what :meth:`save` wrote.
            model: the backbone that it was made for; if the patch may be resized, also one for
                another resolution.
            resize: in place of the patch's own option of that name (see
                :class:`~dmp.config.PatchConfig`).

        Raises:
            DMPError: the file is missing, corrupt, not a patch, or made for another backbone.
        """
        saved = read_patch(path, resize)
        points = saved.trained_on(patch_points(model))
        loaded = cls(model, saved.config, points=points)
        try:
            saved.fill(loaded, loaded._describe)
        except DMPError:
            loaded.remove()
            raise
        return loaded.eval()


def _common(values: Sequence[int]) -> int | list[int]:
    """Return the one value, or all of them where they differ."""
    return values[0] if len(set(values)) == 1 else list(values)


def patch(model: nn.Module, config: PatchConfig, seed: int = 0) -> Patch:
    """Freeze ``model`` and attach a new patch to it.

    Args:
        model: a backbone for which :func:`~dmp.patching.adapters.patch_points` knows an adapter.
        config: the options.
        seed: decides the initial gate.

    Returns:
        The patch: an ``nn.Module`` whose parameters are all that trains.

    Raises:
        DMPError: no adapter for this backbone, or a depth or a placement that it does not have.
    """
    return Patch(model, config, seed)


def load_patch(
    path: str | Path, model: nn.Module, resize: str | None = None, *, replace: bool = False
) -> Patch:
    """Attach a saved patch to a pipeline's model, ready for sampling.

    .. code-block:: python

        from dmp import load_patch
        loaded = load_patch("patch.safetensors", pipe.transformer)
        loaded.remove()

    The pipeline may be moved to another device or offloaded, before or afterwards, and may compute
    in half precision; the patch then stays in single precision.

    A model has one patch at a time. As diffusers refuses a second adapter of the same name, a model
    that has a patch is refused a second one, which would add its prompts to those of the first.

    Args:
        path: what :meth:`dmp.patching.Patch.save` wrote.
        model: a pipeline's ``transformer`` or ``unet``; our own DiT.
        resize: ``bicubic``, to sample at another resolution than that of training (see
            :class:`dmp.config.PatchConfig`).
        replace: put this patch in the place of the one that the model has. If it cannot be loaded,
            the model keeps the one that it has.

    Returns:
        The patch; its ``remove`` gives the model back as it was.

    Raises:
        DMPError: the file is missing, damaged, not a patch, or made for another model; the model
            has a patch already; or it has no weights yet.
    """
    return attach_saved(Patch, path, model, resize, replace)
