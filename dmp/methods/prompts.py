"""The paper's method and what it is compared with: prompts at each block of a frozen backbone.

What the prompts and their gate do is in :mod:`dmp.patching`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmp.config.patch import PatchConfig
from dmp.config.run import TaskConfig
from dmp.data.shape import input_shape
from dmp.methods.base import Method, UnfitError, register

if TYPE_CHECKING:
    from torch import nn

    from dmp.methods.patched import AttachedPatch

# The metric that asks what a patch is worth at other resolutions.
RESIZED = "resized_denoising_mse"
# Balancing losses that mix the images of a batch: their mean over parts of it is another number.
_MIXING = {"importance": ("batch", "summed"), "load": ("smooth", "probability")}


@register
class DMP(Method[PatchConfig]):
    """A mixture of prompts: a gate that sees the timestep weighs them (Eq. 5)."""

    name = "dmp"
    options = PatchConfig

    def check(self, options: PatchConfig, task: TaskConfig) -> None:
        """Refuse what the backbone does not have, or what would give a run a second name."""
        if task.backbone.kind == "unet":
            _check_unet(options)
        grids = task.backbone.grids(input_shape(task.data).size, options.placement)
        if not grids:
            raise UnfitError("placement = stage-inputs is for U-Nets; a DiT has transformer-blocks")
        try:
            for grid in grids[: options.blocks(len(grids))]:
                options.check_grid(grid)
        except ValueError as error:
            raise UnfitError(str(error)) from error
        if options.timestep_ranges > task.diffusion.timesteps:
            raise UnfitError(
                f"timestep_ranges = {options.timestep_ranges} is more than the "
                f"{task.diffusion.timesteps} timesteps of the diffusion"
            )
        everywhere = options.resize != "none" and options.grid == "tokens"
        if everywhere and RESIZED not in task.evaluation.metrics:
            raise ValueError(
                f"resize = {options.resize} changes nothing at one resolution; give grid as well, "
                f"or {RESIZED} among evaluation.metrics"
            )

    def batch_losses(self, options: PatchConfig) -> list[str]:
        """Return the balancing losses that are not means over the images of a batch."""
        asked = {key: getattr(options, key) for key in _MIXING}
        return [f"{key} = {form}" for key, form in asked.items() if form in _MIXING[key]]

    def starts_as_no_op(self, options: PatchConfig) -> bool:
        """Return whether prompts start at zero and displace nothing."""
        return options.starts_as_no_op

    def attach(self, backbone: "nn.Module", options: PatchConfig, seed: int) -> "AttachedPatch":
        """Freeze the backbone and attach new prompts and a new gate."""
        from dmp.methods.patched import AttachedPatch
        from dmp.patching import patch

        return AttachedPatch(backbone, patch(backbone, options, seed), self.batch_losses(options))

    def load(self, path: Path, backbone: "nn.Module", options: PatchConfig) -> "AttachedPatch":
        """Attach the prompts and the gate of a file."""
        from dmp.methods.patched import AttachedPatch
        from dmp.patching import Patch

        return AttachedPatch(backbone, Patch.load(path, backbone), self.batch_losses(options))


@register
class PromptTuning(DMP):
    """Prompts without a gate (Eq. 4)."""

    name = "prompt-tuning"

    def preset(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return that there is no gate, and nothing to balance."""
        return {"gate": "none", "weights": "one", "importance_weight": 0.0, "load_weight": 0.0}


@register
class Released(DMP):
    """The authors' public code, where it differs from the paper.

    It has more of its own with hard selection and with prepended prompts, which would have no
    effect without them: ``released,type=hard`` stands for all of it.
    """

    name = "released"

    def preset(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the released code's options, by ``type``, ``position`` and ``depth``."""
        found = {
            "condition": "t+c",
            "gate_noise": True,
            "gate_init": 0.0,
            "gate_learning_rate_factor": 10.0,
            "importance": "summed",
        }
        if given.get("type") == "hard":
            found |= {"hard_weights": "renormalised", "top_rounding": "down"}
            found |= {"importance_on": "applied", "load": "probability"}
        if given.get("position") == "prepend":
            found["condition"] = "t"
            if given.get("depth", "all") != "all":
                found["prepended"] = "stays"
        return found


def _check_unet(options: PatchConfig) -> None:
    """Refuse what needs one sequence of tokens, or an embedding of the condition."""
    for key, accepted in (
        ("position", ("add",)),
        ("condition", ("t",)),
        ("gate", ("linear", "constant", "none")),
        ("mixture", ("own",)),
    ):
        if getattr(options, key) not in accepted:
            raise UnfitError(
                f"{key} = {getattr(options, key)} is not for a U-Net, whose blocks differ in "
                f"tokens and width, and which has no embedding of the caption; accepted: "
                f"{', '.join(accepted)}"
            )
