"""Which adapter says of a backbone what a patch has to know of it."""

import functools
import importlib.util

from torch import nn

from dmp.errors import DMPError
from dmp.patching.points import PatchPoints


@functools.singledispatch
def patch_points(model: nn.Module) -> PatchPoints:
    """Return the patch points of a backbone; an adapter is one function for a type of backbone.

    Models of diffusers have theirs. For one of yours, register a function, which serves its
    subclasses too:

    .. code-block:: python

        @patch_points.register
        def _(model: MyTransformer) -> PatchPoints:
            blocks = [Block(block, grid=16, width=model.width) for block in model.blocks]
            return PatchPoints(
                placements={"transformer-blocks": blocks},
                arguments=images_and_timesteps,  # def images_and_timesteps(x, t, y): return x, t
                embed_timesteps=model.time_embedding,
                condition_size=model.width,
                timestep_embedding=model.time_embedding,
            )

    Raises:
        DMPError: nothing is registered for this type.
    """
    if _found_in_diffusers(model):
        return patch_points(model)
    known = sorted(t.__name__ for t in patch_points.registry if t not in (object, nn.Module))
    raise DMPError(
        f"cannot patch a {type(model).__name__}: no adapter says where its blocks and its timestep "
        f"embedding are; known backbones: {', '.join(known) or 'none'}; for one of yours see "
        f"dmp.patching.patch_points.register"
    )


def _found_in_diffusers(model: nn.Module) -> bool:
    """Register what diffusers' models say of themselves; return whether this is one of them.

    They are asked last, since they take seconds to import; and diffusers need not be installed.
    """
    if importlib.util.find_spec("diffusers") is None:
        return False
    from dmp.patching.diffusers_models import ADAPTERS

    for kind, adapter in ADAPTERS.items():
        patch_points.register(kind, adapter)
    return patch_points.dispatch(type(model)) is not patch_points.dispatch(object)
