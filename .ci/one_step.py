"""One training step of DMP at the real size of scale digits, and attention to 256 tokens.

    python .ci/one_step.py

Libraries choose kernels and blocks by the sizes of matrices: the tiny models of every_stage.py do
not go through all that the real ones do, so it does this step as well. Prints digests of gradients
and weights.
"""

import hashlib
from pathlib import Path

from dmp.cli.workspace import Workspace

ROOT = Path(__file__).parents[1]
TASK = "unconditional"


def one_step() -> list[str]:
    """Compute them, and return digests: gradients, the next weights, what is attended to."""
    workspace = Workspace("digits", ablations=ROOT / "ablations")
    plan, context = workspace.plan, workspace.context("run")

    import numpy as np
    import torch

    from dmp.data.stream import Batch
    from dmp.diffusion import Diffusion
    from dmp.initialisation import normal_
    from dmp.rng import generator
    from dmp.stages.common import attach, new_backbone
    from dmp.training import Objective

    def digest(name: str, *tensors: torch.Tensor) -> str:
        data = b"".join(np.ascontiguousarray(t.detach().numpy()).tobytes() for t in tensors)
        return f"{name} {hashlib.sha256(data).hexdigest()}"

    def drawn(name: str, count: int) -> torch.Tensor:
        shape = (count, 1, 8, 8)
        return torch.from_numpy(generator(0, name).standard_normal(shape, dtype=np.float32))

    run = plan.run(TASK, "dmp", 0)
    backbone = new_backbone(context, TASK, run.config)
    backbone.initialize_weights(generator(0, "one step"))
    attached = attach(run, backbone)
    # What starts at zero would hide what is multiplied by it.
    for number, weight in enumerate([*backbone.parameters(), *attached.parameters()]):
        if not weight.any():
            normal_(weight, 0.05, generator(0, "in place of zeros", number))
    backbone.requires_grad_(True)

    objective = Objective(backbone, Diffusion.of(run.config), attached)
    count = run.config.training.batch_size
    labels, timesteps = torch.zeros(count, dtype=torch.long), torch.arange(count) * 999 // count
    batch = Batch(drawn("images", count).clamp(-1, 1), labels, timesteps, drawn("noise", count))
    objective(batch).total.backward()
    gradients = digest("gradients", *(p.grad for p in objective.trainable().values()))
    torch.optim.AdamW(objective.parameters(), fused=True).step()
    weights = digest("weights", *objective.trainable().values())

    # Attention to the paper's 256 tokens goes another way.
    shape = (4, 1, 1, 256, 48)
    four = torch.from_numpy(generator(0, "attention").standard_normal(shape, dtype=np.float32))
    q, k, v, gradient = (x.requires_grad_() for x in four)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    found = torch.autograd.grad(out, (q, k, v), gradient)
    return [gradients, weights, digest("attention", out, *found)]


if __name__ == "__main__":
    print("\n".join(one_step()))
