"""Finding the patch that is attached to a model."""

from torch import nn

from dmp.patching.calls import Calls
from dmp.patching.patch import Patch


def patch_of(model: nn.Module) -> Patch | None:
    """Return the patch that is attached to ``model`` or to a part of it; None if there is none.

    A copy of a patched model has a copy of the patch, which is reached in this way. Of several
    patches, it is the one that was attached first.
    """
    hooks = (hook for module in model.modules() for hook in module._forward_pre_hooks.values())
    owners = (getattr(hook, "calls", getattr(hook, "__self__", None)) for hook in hooks)
    return next((owner.patch for owner in owners if isinstance(owner, Calls)), None)
