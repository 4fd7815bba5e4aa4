"""The paper's smallest backbone at its real size, for a few steps: it trains, samples, is saved."""

import numpy as np
import torch

from dmp.backbones import dit, load_patch
from dmp.config import PatchConfig, TrainingConfig
from dmp.data.examples import Pixels
from dmp.data.registry import Images
from dmp.data.stream import TrainingStream
from dmp.diffusion import Diffusion, sample
from dmp.methods.patched import AttachedPatch
from dmp.patching import patch
from dmp.rng import generator
from dmp.training import Objective, fit

CONFIG = TrainingConfig(
    iterations=2, batch_size=2, learning_rate=1e-4, log_every=1, checkpoint_every=2
)


def test_dit_b_2_on_latents_trains_is_patched_and_samples(tmp_path):
    diffusion = Diffusion("cosine")
    backbone = dit("B", 2, input_size=32, in_channels=4)
    backbone.initialize_weights(generator(0, "backbone initialisation"))
    latents = np.random.default_rng(0).standard_normal((4, 4, 32, 32), dtype=np.float32)
    data = Pixels(Images(latents, np.zeros(4, np.int64)))
    stream = TrainingStream(data, 0, 1000, flip=True)

    fit(Objective(backbone, diffusion), stream, CONFIG, tmp_path / "baseline", "baseline")
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    attached = patch(backbone, PatchConfig())
    assert sum(p.numel() for p in attached.parameters()) == 2_556_416
    at_work = AttachedPatch(backbone, attached)
    fit(Objective(backbone, diffusion, at_work), stream, CONFIG, tmp_path / "dmp", "dmp")
    # The backbone was frozen, and the prompts have left zero.
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert attached.prompts.abs().sum() > 0

    def draw() -> torch.Tensor:
        labels = torch.zeros(1, dtype=torch.int64)
        model = backbone.eval()
        noise = [generator(0, "sampling", 0)]
        return sample(diffusion, lambda x, t: model(x, t, labels), (4, 32, 32), noise, 2, False)

    attached.eval()
    patched = draw()
    assert patched.shape == (1, 4, 32, 32)
    assert torch.isfinite(patched).all()
    attached.save(tmp_path / "patch.safetensors")
    attached.remove()
    load_patch(tmp_path / "patch.safetensors", backbone)
    assert torch.equal(draw(), patched)
