"""A saved patch in somebody else's pipeline."""

from pathlib import Path

from torch import nn

from dmp.errors import DMPError
from dmp.patching.finding import patch_of
from dmp.patching.patch import Patch
from dmp.patching.points import compute_device


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
        Patch.load(path, model, resize).remove()  # one that is refused leaves the other in place
        attached.remove()
    return Patch.load(path, model, resize)
