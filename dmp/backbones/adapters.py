"""What our own backbones say of themselves, so that a patch can be attached to it."""

from torch import Tensor

from dmp.backbones.dit import DiT
from dmp.patching.adapters import patch_points
from dmp.patching.points import Block, PatchPoints


def images_and_timesteps(x: Tensor, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return images and timesteps from the arguments of a backbone of our own."""
    return x, t


@patch_points.register
def _(model: DiT) -> PatchPoints:
    grid, width = model.grid, model.hidden_size
    blocks = [Block(b, grid, width, attention=b.get_submodule("attn")) for b in model.blocks]
    return PatchPoints(
        placements={"transformer-blocks": blocks},
        arguments=images_and_timesteps,
        embed_timesteps=model.t_embedder,
        condition_size=model.hidden_size,
        timestep_embedding=model.t_embedder,
        condition_embedding=model.y_embedder,
    )
