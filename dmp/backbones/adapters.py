"""What each backbone says of itself, so that a patch can be attached to it."""

from dmp.backbones.dit import DiT
from dmp.patching.points import PatchPoints, patch_points


@patch_points.register
def _(model: DiT) -> PatchPoints:
    return PatchPoints(
        blocks=list(model.blocks),
        timestep_embedding=model.t_embedder,
        num_tokens=model.num_tokens,
        hidden_size=model.hidden_size,
        condition_size=model.hidden_size,
        condition_embedding=model.y_embedder,
        attentions=[block.attn for block in model.blocks],
    )
