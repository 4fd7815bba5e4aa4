"""Attaching a mixture of prompts to a frozen backbone."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dmp.config import PatchConfig, from_data
from dmp.errors import DMPError
from dmp.patching.gates import GATES
from dmp.patching.points import PatchPoints, patch_points
from dmp.rng import torch_generator
from dmp.tensorfile import load_tensors, save_tensors


class Patch(nn.Module):
    """Prompts and gate, attached to a backbone by hooks: the backbone's own code is untouched.

    Before block i, tokens ``x: (B, N, D)`` become ``x + w ⊙ P_i``, where ``P_i: (N, D)`` are the
    block's prompts and ``w: (B, N)`` the gate's weights, broadcast over D (Eq. 5); without a gate,
    ``x + P_i`` (Eq. 4). Prompts start at zero, so that the patched backbone starts out equal to
    the backbone, to the last bit (Eq. 6).

    Attributes:
        config: the options.
        prompts: ``(L, N, D)``, for the first L blocks.
        gate: the gate, or None for prompt tuning.

    """

    def __init__(self, model: nn.Module, config: PatchConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        points = patch_points(model)
        try:
            depth = config.blocks(len(points.blocks))
        except ValueError as error:
            raise DMPError(f"patch: {error}") from error
        self._describe = {
            "blocks": len(points.blocks),
            "num_tokens": points.num_tokens,
            "hidden_size": points.hidden_size,
            "condition_size": points.condition_size,
        }
        reference = next(model.parameters())
        with reference.device:
            shape = (depth, points.num_tokens, points.hidden_size)
            self.prompts = nn.Parameter(torch.zeros(shape))
            self.gate = None if config.gate == "none" else GATES[config.gate](config, points)
        if self.gate is not None and reference.device.type != "meta":
            # Drawn on the CPU, so that every device starts from the same gate.
            self.gate.to("cpu").reset(torch_generator(seed, "gate initialisation"))
            self.gate.to(reference.device)
        self._condition: Tensor | None = None
        self._weights: list[Tensor] = []
        self._attach(model, points)

    def _attach(self, model: nn.Module, points: PatchPoints) -> None:
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        model.requires_grad_(False)
        self._handles: list[RemovableHandle] = [
            points.timestep_embedding.register_forward_hook(self._read_condition)
        ]
        for index, block in enumerate(points.blocks[: len(self.prompts)]):

            def add(_: nn.Module, inputs: tuple, index: int = index) -> tuple:
                return (self._add_prompts(inputs[0], index), *inputs[1:])

            self._handles.append(block.register_forward_pre_hook(add))

    def _read_condition(self, _: nn.Module, __: tuple, output: Tensor) -> None:
        self._condition = output
        self._weights = []

    def _add_prompts(self, tokens: Tensor, index: int) -> Tensor:
        if tokens.shape[1:] != self.prompts.shape[1:]:
            raise DMPError(
                f"patch: block {index} got tokens of shape {tuple(tokens.shape)}; the prompts are "
                f"made for {self.prompts.shape[1]} tokens of width {self.prompts.shape[2]}"
            )
        prompts = self.prompts[index]
        if self.gate is None:
            return tokens + prompts
        assert self._condition is not None  # the timestep embedding precedes the blocks
        weights = self.gate(self._condition, index)
        self._weights.append(weights)
        return tokens + weights[:, :, None] * prompts

    def weights(self) -> Tensor | None:
        """Return the gate's weights in the last forward pass, ``(L, B, N)``, or None."""
        return torch.stack(self._weights) if self._weights else None

    def remove(self) -> None:
        """Detach: the backbone is exactly what it was, trainable parameters included."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        self._trainable = []
        self._condition, self._weights = None, []

    def describe(self) -> dict:
        """Return what is written into a saved patch: options and the backbone's geometry."""
        return {
            "format": "dmp-patch",
            "config": self.config.model_dump(mode="json"),
            "backbone": self._describe,
        }

    def save(self, path: str | Path, **notes: str) -> None:
        """Write prompts, gate, configuration and ``notes`` to one safetensors file, atomically.

        Raises:
            DMPError: the file cannot be written.

        """
        save_tensors(path, self.state_dict(), {**notes, **self.describe()})

    @classmethod
    def load(cls, path: str | Path, model: nn.Module) -> "Patch":
        """Attach a saved patch to ``model``.

        Raises:
            DMPError: the file is missing, corrupt, not a patch, or made for another backbone.

        """
        tensors, description = load_tensors(path)
        if not isinstance(description, dict) or description.get("format") != "dmp-patch":
            raise DMPError(f"{path} is not a patch: its header says {description!r:.80}")
        loaded = cls(model, from_data(PatchConfig, description["config"], f"{path} (header)"))
        if description["backbone"] != loaded._describe:
            loaded.remove()
            raise DMPError(
                f"{path} was made for a backbone with {description['backbone']}; "
                f"this one has {loaded._describe}"
            )
        loaded.load_state_dict(tensors, strict=True)
        return loaded


def patch(model: nn.Module, config: PatchConfig, seed: int = 0) -> Patch:
    """Freeze ``model`` and attach a new patch to it.

    Args:
        model: a backbone for which :func:`~dmp.patching.points.patch_points` knows an adapter.
        config: the options.
        seed: decides the initial gate.

    Returns:
        The patch: an ``nn.Module`` whose parameters are all that trains.

    Raises:
        DMPError: no adapter for this backbone, or a depth that it does not have.

    """
    return Patch(model, config, seed)
