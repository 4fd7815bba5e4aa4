"""Tiny, randomly initialised models and pipelines of diffusers, built from configuration."""

from collections.abc import Callable

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    DiTPipeline,
    DiTTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from dmp.patching import Patch

# Stable Diffusion v1.5, as its configuration on the hub has it.
SD15 = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Build with PyTorch's own initial weights, of which few are zero, from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().eval()


def tiny_dit(**changes) -> DiTTransformer2DModel:
    options = {
        "num_attention_heads": 2, "attention_head_dim": 8, "in_channels": 4, "out_channels": 8,
        "num_layers": 3, "norm_num_groups": 1, "sample_size": 8, "patch_size": 2,
    }  # fmt: skip
    return seeded(lambda: DiTTransformer2DModel(**{**options, **changes}))


def tiny_pixart(**changes) -> PixArtTransformer2DModel:
    options = {
        "num_attention_heads": 2, "attention_head_dim": 8, "in_channels": 4, "out_channels": 8,
        "num_layers": 3, "cross_attention_dim": 16, "norm_num_groups": 1, "sample_size": 8,
        "patch_size": 2, "caption_channels": 12,
    }  # fmt: skip
    return seeded(lambda: PixArtTransformer2DModel(**{**options, **changes}))


def tiny_unet(**changes) -> UNet2DConditionModel:
    options = {
        "sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1,
        "block_out_channels": (8, 16), "norm_num_groups": 4, "cross_attention_dim": 12,
        "attention_head_dim": 2, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }  # fmt: skip
    return seeded(lambda: UNet2DConditionModel(**{**options, **changes}))


MODELS = {"dit": tiny_dit, "pixart": tiny_pixart, "unet": tiny_unet}
T = torch.tensor([3, 700])


def call(
    model: nn.Module, timestep=T, height: int = 8, width: int = 8, dtype=None, seed: int = 1
) -> Tensor:
    """Call a tiny model with a batch of two."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 4, height, width, generator=generator).to(dtype=dtype)
    text = torch.randn(2, 5, 12, generator=generator).to(dtype=dtype)
    if isinstance(model, DiTTransformer2DModel):
        return model(images, timestep=timestep, class_labels=torch.tensor([1, 1000])).sample
    if isinstance(model, PixArtTransformer2DModel):
        sizes = {"resolution": None, "aspect_ratio": None}
        return model(images, text, timestep=timestep, added_cond_kwargs=sizes).sample
    return model(images, timestep, text).sample


def randomise(attached: Patch, scale: float = 1.0) -> None:
    """Give prompts and gate values as large as those of the tokens."""
    generator = torch.Generator().manual_seed(2)
    for parameter in attached.parameters():
        nn.init.normal_(parameter, std=scale, generator=generator)


def _vae() -> AutoencoderKL:
    return seeded(
        lambda: AutoencoderKL(
            block_out_channels=(8,), norm_num_groups=4, layers_per_block=1, latent_channels=4
        )
    )


def tiny_pipeline(kind: str) -> tuple[DiffusionPipeline, nn.Module, Callable[[], np.ndarray]]:
    """Return a new pipeline, its model, and what samples two images with guidance in two steps."""
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    common = {"num_inference_steps": 2, "output_type": "np"}
    if kind == "dit":
        model = tiny_dit()
        pipe = DiTPipeline(model, _vae(), scheduler)
        inputs = {"class_labels": [1, 2]}
    elif kind == "pixart":
        model = tiny_pixart()
        pipe = PixArtAlphaPipeline(None, None, _vae(), model, scheduler)
        text, mask = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(3)), {}
        for name in ("prompt_attention_mask", "negative_prompt_attention_mask"):
            mask[name] = torch.ones(2, 5, dtype=torch.int64)
        inputs = {
            "negative_prompt": None, "prompt_embeds": text, "negative_prompt_embeds": 0 * text,
            "use_resolution_binning": False, **mask,
        }  # fmt: skip
    else:
        model = tiny_unet()
        config = CLIPTextConfig(
            vocab_size=20, hidden_size=12, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=6,
        )  # fmt: skip
        encoder = seeded(lambda: CLIPTextModel(config))
        pipe = StableDiffusionPipeline(
            _vae(), encoder, None, model, scheduler, None, None, requires_safety_checker=False
        )
        with torch.no_grad():
            text = encoder(torch.tensor([[0, 3, 4, 19], [0, 5, 6, 19]])).last_hidden_state
        inputs = {"prompt_embeds": text, "negative_prompt_embeds": 0 * text}
    pipe.set_progress_bar_config(disable=True)
    return (
        pipe,
        model,
        lambda: pipe(**inputs, **common, generator=torch.Generator().manual_seed(4)).images,
    )
