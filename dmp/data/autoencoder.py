"""The autoencoder between pixels and latents: diffusers' AutoencoderKL, checked and frozen."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dmp.config import LatentsConfig
from dmp.data.images import to_model
from dmp.data.offline import load_frozen, model_identity, pretrained_folder, read_model_config
from dmp.errors import DMPError

FILES = ("config.json", "diffusion_pytorch_model.safetensors")
KEY = "latents.autoencoder"


class Autoencoder:
    """A frozen AutoencoderKL in float32.

    Attributes:
        identity: SHA-256 over configuration and weights.
    """

    def __init__(self, model: Any, config: LatentsConfig, identity: str) -> None:
        self.config, self.identity = config, identity
        self._model = model

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior of ``pixels``, ``(B, 3, H, W)`` uint8, all encoded at once.

        It is mean and log-variance, each ``(B, C, H/f, W/f)`` float32 on the CPU, unscaled; the
        log-variance is clamped to [-30, 20], as diffusers does before it samples.
        """
        with _exact():
            posterior = self._model.encode(to_model(pixels.to(self._model.device))).latent_dist
        return posterior.mean.cpu(), posterior.logvar.cpu()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Return images ``(B, 3, H, W)`` float32 in [-1, 1], where the latents lie.

        Args:
            latents: ``(B, C, h, w)``, scaled as the backbone sees them; decoded by
                ``config.batch_size`` at a time.

        Raises:
            DMPError: images that are not finite, of latents that are.
        """
        decoded = []
        for batch in latents.split(self.config.batch_size):
            with _exact():
                unscaled = batch.to(self._model.device, torch.float32) / self.config.scaling
                images = self._model.decode(unscaled).sample
            if not torch.isfinite(images).all() and torch.isfinite(batch).all():
                raise DMPError(
                    f"{KEY} = '{self.config.autoencoder}' makes NaN or infinite pixels of latents "
                    f"that lie between {batch.min():.4g} and {batch.max():.4g}; it was made for "
                    f"others"
                )
            decoded.append(images.clamp(-1, 1).to(latents.device))
        return torch.cat(decoded)


@contextmanager
def _exact() -> Generator[None]:
    """Convolve in float32: what is cached once should not carry the rounding of TF32."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield


def load_autoencoder(config: LatentsConfig, device: str = "cpu") -> Autoencoder:
    """Load an autoencoder by hub name or from a local folder; safetensors only.

    Raises:
        DMPError: its files are unavailable, damaged or incomplete, or it has other channels,
            another factor or another scaling than the configuration says.
    """
    folder = pretrained_folder(config.autoencoder, FILES, KEY)
    described = read_model_config(folder, ["AutoencoderKL"], KEY)
    # Here, since diffusers takes seconds that a wrong folder should not wait for.
    from diffusers import AutoencoderKL
    from diffusers.utils import logging

    logging.disable_progress_bar()
    model = load_frozen(AutoencoderKL.from_pretrained, folder, KEY, device)
    found = {
        "channels": model.config.latent_channels,
        "factor": 2 ** (len(model.config.block_out_channels) - 1),
        "scaling": model.config.scaling_factor,
    }
    for key, value in found.items():
        if value != getattr(config, key):
            raise DMPError(
                f"latents.{key} = {getattr(config, key)}, but the autoencoder "
                f"'{config.autoencoder}' has {value}; choose another autoencoder, or change "
                f"latents.{key} and a backbone that fits it"
            )
    return Autoencoder(model, config, model_identity(described, model.state_dict()))
