"""Attaching a mixture of prompts to a frozen backbone."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dmp.config import PatchConfig, from_data
from dmp.errors import DMPError
from dmp.patching.gates import make_gate
from dmp.patching.losses import balancing
from dmp.patching.placement import attach_added, attach_fading, attach_prepended
from dmp.patching.points import PatchPoints, patch_points
from dmp.patching.weights import Mixed
from dmp.rng import torch_generator
from dmp.tensorfile import load_tensors, save_tensors


class Patch(nn.Module):
    """Prompts and gate, attached to a backbone by hooks: the backbone's own code is untouched.

    Before block i, tokens ``x: (B, N, D)`` become ``x + w ⊙ P_i``, where ``P_i: (N, D)`` are the
    block's prompts and ``w: (B, N)`` the gate's weights, broadcast over D (Eq. 5); without a gate,
    ``x + P_i`` (Eq. 4). Prompts start at zero, so that the patched backbone starts out equal to
    the backbone, to the last bit (Eq. 6). The options change one thing of this at a time.

    Attributes:
        config: the options.
        prompts: ``(L, K, D)``, for the first L blocks; K = N unless they are prepended.
        gate: the gate, or None for prompt tuning.
        fade: ``(L,)``, the scalars of a masked start, or None.
        noise: ``(B, L, K)``, standard normal, for a gate with noise; whoever trains sets it before
            each forward pass, so that it can be a function of the example alone.

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
        count = config.count(points.num_tokens)
        with reference.device:
            self.prompts = nn.Parameter(torch.zeros(depth, count, points.hidden_size))
            self.fade = nn.Parameter(torch.zeros(depth)) if config.masked_start else None
            self.gate = make_gate(config, points, count, depth)
        if reference.device.type != "meta":
            self._initialise(seed, points.num_timesteps)
        self.noise: Tensor | None = None
        self._condition: Tensor | None = None
        self._mixed: list[Mixed] = []
        self._attach(model, points)

    @torch.no_grad()
    def _initialise(self, seed: int, timesteps: int) -> None:
        # Drawn on the CPU, so that every device starts from the same numbers.
        device = self.prompts.device
        if self.gate is not None:
            self.gate.to("cpu").reset(torch_generator(seed, "gate initialisation"))
            self.gate.to(device)
        if self.config.prompt_init:
            generator = torch_generator(seed, "prompt initialisation")
            drawn = torch.randn(self.prompts.shape, generator=generator)
            self.prompts.copy_(drawn * self.config.prompt_init)
        if self.config.gate_timestep != "true":
            order = torch.randperm(timesteps, generator=torch_generator(seed, "permuted timesteps"))
            # Saved with the patch, which does not know its seed when it is loaded.
            self.register_buffer("permutation", order.to(device))

    def _attach(self, model: nn.Module, points: PatchPoints) -> None:
        config = self.config
        if config.condition == "t+c" and points.condition_embedding is None:
            raise DMPError("patch: condition = t+c, but this backbone has no condition's embedding")
        if config.masked_start and not points.attentions:
            raise DMPError("patch: masked_start needs a backbone that says where its attention is")
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        model.requires_grad_(False)
        self._handles: list[RemovableHandle] = [
            points.timestep_embedding.register_forward_hook(self._read_timestep)
        ]
        if config.condition == "t+c":
            self._handles.append(
                points.condition_embedding.register_forward_hook(self._read_condition)
            )
        depth, count = self.prompts.shape[:2]
        blocks = points.blocks[:depth]
        if config.position == "add":
            self._handles += attach_added(blocks, self._contribution, points)
            return
        carried = config.prepended == "carried"
        self._handles += attach_prepended(blocks, self._contribution, points, count, carried)
        if self.fade is not None:
            self._handles += attach_fading(points.attentions[:depth], self.fade, count)

    def _read_timestep(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        permuted = self.config.gate_timestep
        if permuted == "permuted" or (permuted == "permuted-in-sampling" and not self.training):
            # The gate, and nobody else, is told another time. ``forward``, since a call would
            # come back here.
            output = module.forward(self.permutation[inputs[0].long()])
        self._condition = output
        self._mixed = []

    def _read_condition(self, _: nn.Module, __: tuple, output: Tensor) -> None:
        assert self._condition is not None  # the timestep's embedding comes first
        self._condition = self._condition + output

    def _contribution(self, tokens: Tensor, index: int) -> Tensor:
        prompts = self.prompts[index]
        if self.gate is None:
            return prompts / tokens.shape[1] if self.config.weights == "one-over-n" else prompts
        assert self._condition is not None  # the timestep's embedding precedes the blocks
        noise = None
        if self.config.gate_noise and self.training:
            if self.noise is None:
                raise DMPError("patch: gate_noise is on, but no noise was set before training")
            noise = self.noise[:, index]
        mixed = self.gate(tokens, self._condition, index, prompts, noise)
        if mixed.weights is not None:
            self._mixed.append(mixed)
        return mixed.prompts

    def weights(self) -> Tensor | None:
        """Return the weights of the prompts in the last forward pass, ``(L, B, K)``, or None."""
        return torch.stack([block.weights for block in self._mixed]) if self._mixed else None

    def balancing(self) -> tuple[Tensor, dict[str, Tensor]] | None:
        """Return the balancing losses of the last forward pass; None if nothing has weights.

        See :func:`dmp.patching.losses.balancing`.
        """
        return balancing(self._mixed, self.config) if self._mixed else None

    def gate_parameters(self) -> list[nn.Parameter]:
        """Return the gate's parameters, which may train at a rate of their own."""
        return [] if self.gate is None else list(self.gate.parameters())

    def remove(self) -> None:
        """Detach: the backbone is exactly what it was, trainable parameters included."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        self._trainable = []
        self._condition, self._mixed = None, []

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
        """Attach a saved patch to ``model``, ready for sampling.

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
        return loaded.eval()


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
