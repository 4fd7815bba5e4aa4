"""A saved patch in somebody else's pipeline."""

from pathlib import Path

from torch import nn

from dmp.patching import Patch


def load_patch(path: str | Path, model: nn.Module, resize: str | None = None) -> Patch:
    """Attach a saved patch to a pipeline's model, ready for sampling.

    .. code-block:: python

        from dmp.backbones import load_patch
        load_patch("patch.safetensors", pipe.transformer)

    The pipeline may be moved to another device afterwards, and may compute in half precision; the
    patch then stays in single precision.

    Args:
        path: what :meth:`dmp.patching.Patch.save` wrote.
        model: a pipeline's ``transformer`` or ``unet``; our own DiT.
        resize: ``bicubic``, to sample at another resolution than that of training (see
            :class:`dmp.config.PatchConfig`).

    Returns:
        The patch; its ``remove`` gives the model back as it was.

    Raises:
        DMPError: the file is missing, corrupt, not a patch, or made for another model.

    """
    return Patch.load(path, model, resize)
