"""Train a patch on a model of diffusers, hand it on, and sample with it.

    python docs/examples/train_a_patch.py

A toy of the right shape: put your model, your latents and more steps in their places.
"""

import torch
from diffusers import DDPMScheduler, DiTTransformer2DModel

from dmp import Patch, PatchConfig, patch


def train(model, batches, scheduler, learning_rate=1e-3):
    """Train a patch on ``batches`` of latents ``(B, C, H, W)`` and labels ``(B,)``."""
    attached = patch(model, PatchConfig())  # the model is frozen from here on
    optimizer = torch.optim.AdamW(attached.parameters(), lr=learning_rate, weight_decay=0)
    total = scheduler.config.num_train_timesteps
    for latents, labels in batches:
        noise = torch.randn_like(latents)
        t = torch.randint(total, labels.shape, device=labels.device)
        noisy = scheduler.add_noise(latents, noise, t)
        predicted = model(noisy, timestep=t, class_labels=labels).sample
        loss = torch.nn.functional.mse_loss(predicted[:, : latents.shape[1]], noise)
        balancing, _ = attached.balancing()  # None if the options have no gate
        optimizer.zero_grad()
        (loss + balancing).backward()
        optimizer.step()
    return attached.eval()


@torch.no_grad()
def sample(model, labels, scheduler, shape, steps=10):
    """Return latents ``(B, *shape)`` of labels ``(B,)``."""
    latents = torch.randn(len(labels), *shape)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        predicted = model(latents, timestep=t.expand(len(labels)), class_labels=labels).sample
        latents = scheduler.step(predicted[:, : shape[0]], t, latents).prev_sample
    return latents


def main(folder="my-patch", steps=20, batch_size=16):
    """Train, save, load into a fresh model, and sample."""
    torch.manual_seed(0)
    model = DiTTransformer2DModel(2, 8, in_channels=4, num_layers=3, sample_size=8).eval()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    scheduler = DDPMScheduler()
    batches = [
        (torch.randn(batch_size, 4, 8, 8), torch.randint(1000, (batch_size,))) for _ in range(steps)
    ]
    trained = train(model, batches, scheduler)
    trained.print_trainable_parameters()
    trained.save_pretrained(folder)  # or trained.push_to_hub("user/my-patch")

    fresh = DiTTransformer2DModel(2, 8, in_channels=4, num_layers=3, sample_size=8).eval()
    fresh.load_state_dict(weights)
    loaded = Patch.from_pretrained(folder, fresh)  # or Patch.from_pretrained("user/my-patch", ...)
    latents = sample(fresh, torch.arange(4), scheduler, (4, 8, 8))
    print(f"{len(latents)} samples of shape {tuple(latents.shape[1:])}")
    loaded.remove()  # the model as it was, to the last bit
    return model, fresh, latents


if __name__ == "__main__":
    main()
