"""Tiny pretrained models in the folder formats of diffusers and transformers, for the tests.

Weights are drawn from a fixed seed: the same folder holds the same bytes every time.
"""

from pathlib import Path

import torch


def write_autoencoder(
    folder: Path, *, channels: int = 4, levels: int = 4, scaling: float = 0.18215, seed: int = 0
) -> Path:
    """Write an AutoencoderKL whose factor is ``2 ** (levels - 1)``; about 40 thousand weights."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=(8,) * levels,
            layers_per_block=1,
            latent_channels=channels,
            norm_num_groups=4,
            scaling_factor=scaling,
        )
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def write_unet(folder: Path) -> Path:
    """Write a UNet2DConditionModel of the kind of Stable Diffusion's; 60 thousand weights.

    The first stage alone attends: four transformer blocks, one of them in the middle.
    """
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=2,
            norm_num_groups=4,
        )
    model.save_pretrained(folder, safe_serialization=True)
    return folder


class CaptionStates:
    """Five captions and the empty one, as the cache on disk has them."""

    def __init__(self, width: int = 32) -> None:
        self.width, self.null = width, 5
        self.states = torch.randn(6, 77, width, generator=torch.Generator().manual_seed(1))

    def sequence(self, numbers) -> torch.Tensor:
        return self.states[torch.from_numpy(numbers)]


def build_unet(**changes):
    """Build our U-Net of the sizes of :func:`write_unet`, with captions in memory."""
    from dmp.backbones.unet import UNet
    from dmp.config import UNetConfig

    sizes = {
        "block_out_channels": (8, 16), "layers_per_block": 1, "attention_stages": 1,
        "attention_head_dim": 2, "cross_attention_dim": 32, "norm_num_groups": 4,
    }  # fmt: skip
    config = UNetConfig(kind="unet", **sizes | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet(config, 8, 4, CaptionStates(config.cross_attention_dim)).eval()


def write_clip(folder: Path) -> Path:
    """Write a CLIPTextModel and its CLIPTokenizer, in which every letter is a token."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77).save_pretrained(folder)
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPTextModel(config).save_pretrained(folder)
    return folder
