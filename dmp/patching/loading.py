"""Reading the file of a saved patch, and where it may be attached."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from dmp.config import PatchConfig, from_data
from dmp.errors import DMPError, one_line
from dmp.files import Advice, understood
from dmp.patching.calls import patch_of
from dmp.patching.points import PatchPoints, compute_device
from dmp.tensorfile import load_tensors

if TYPE_CHECKING:
    from dmp.patching.patch import Patch

FORMAT = "dmp-patch"
# Whoever loads a patch has a model, and need not have a workflow.
_ADVICE = Advice(
    absent="accepted: the path of a file that a patch's save() wrote",
    damaged="copy or download it again",
)


class SavedPatch(NamedTuple):
    """A saved patch.

    Attributes:
        backbone: the geometry of the backbone that it was made for.
        tensors: its state.
    """

    path: str
    config: PatchConfig
    backbone: dict
    tensors: dict[str, Tensor]

    def trained_on(self, points: PatchPoints) -> PatchPoints:
        """Return the points with the grids of tokens that it was trained on, if it is resized."""
        if self.config.resize == "none":
            return points
        tokens, blocks = self.backbone["num_tokens"], points.blocks(self.config.placement)
        counts = tokens if isinstance(tokens, list) else [tokens] * len(blocks)
        if len(counts) != len(blocks):
            return points  # another backbone
        trained = [
            dataclasses.replace(block, grid=math.isqrt(count))
            for block, count in zip(blocks, counts, strict=True)
        ]
        return dataclasses.replace(points, placements={self.config.placement: trained})

    def fill(self, module: nn.Module, backbone: dict) -> None:
        """Put the tensors into a new patch of a backbone with a geometry.

        Raises:
            DMPError: the geometry is another one, or the tensors do not fit.
        """
        if self.backbone != backbone:
            raise DMPError(
                f"{self.path} was made for a backbone with {self.backbone}; this one has {backbone}"
            )
        try:
            module.load_state_dict(self.tensors, strict=True)
        except RuntimeError as error:
            raise DMPError(
                f"{self.path} does not hold the tensors that its own header asks for, as of "
                f"another version of dmp: {one_line(error)}"
            ) from error


def read_patch(path: str | Path, resize: str | None = None) -> SavedPatch:
    """Read what :meth:`dmp.patching.Patch.save` wrote.

    Args:
        resize: in place of the patch's own option of that name.

    Raises:
        DMPError: the file is missing, corrupt, or not a patch.
    """
    tensors, description = load_tensors(path, _ADVICE)
    if description.get("format") != FORMAT:
        raise DMPError(f"{path} is not a patch: its header says {description!r:.80}")
    with understood(path, _ADVICE):
        options = description["config"] | ({} if resize is None else {"resize": resize})
        config = from_data(PatchConfig, options, f"{path} (header)")
        return SavedPatch(str(path), config, description["backbone"], tensors)


def attach_saved(
    kind: "type[Patch]", path: str | Path, model: nn.Module, resize: str | None, replace: bool
) -> "Patch":
    """Attach a saved patch to a model that may have one; see :func:`dmp.load_patch`."""
    if not isinstance(model, nn.Module):
        raise DMPError(
            f"cannot patch a {type(model).__name__}; accepted: a pipeline's model, "
            f"pipe.transformer or pipe.unet"
        )
    if compute_device(model).type == "meta":
        raise DMPError(
            f"cannot load a patch into this {type(model).__name__}: its weights are on the device "
            f"'meta', which holds none; load the weights first"
        )
    attached = patch_of(model)
    if attached is not None:
        if not replace:
            raise DMPError(
                f"this {type(model).__name__} has a patch already; call its remove(), or "
                f"load_patch(..., replace=True) to put {path} in its place"
            )
        kind.load(path, model, resize).remove()  # one that is refused leaves the other in place
        attached.remove()
    return kind.load(path, model, resize)
