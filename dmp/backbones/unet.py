"""The U-Net of Stable Diffusion 1 with the signature of our own backbones (Rombach et al. 2022).

The network is diffusers'; what is added is the text: labels are numbers of captions, whose states
are read from the cache on disk as they are needed. At 77 states of width 768 those of 100,000
captions take 12 GB, too much for a buffer.
"""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dmp.backbones.adapters import images_and_timesteps
from dmp.backbones.base import Backbone, Texts
from dmp.backbones.wrappers import unwrapped
from dmp.config import UNetConfig
from dmp.data.offline import pretrained_folder, read_model_config
from dmp.errors import DMPError
from dmp.finite import check_tensors
from dmp.patching.adapters import patch_points
from dmp.patching.points import PatchPoints

FILES = ("config.json", "diffusion_pytorch_model.safetensors")
FOLDER = "unet"  # of a pipeline
_KEY = "pretraining.published.path"


class UNet(Backbone):
    """Predicts the noise, and no variance, of an image with a caption.

    Args:
        input_size: height and width of the latents.
        in_channels: C.
        texts: the captions; not part of the state.

    Raises:
        DMPError: the text's states have another width than the U-Net reads.
    """

    def __init__(self, config: UNetConfig, input_size: int, in_channels: int, texts: Texts) -> None:
        super().__init__()
        if texts.width != config.cross_attention_dim:
            raise DMPError(
                f"backbone.cross_attention_dim = {config.cross_attention_dim}, but the captions' "
                f"states have width {texts.width}; take the text encoder that the U-Net was "
                f"trained with"
            )
        self.input_size, self.in_channels = input_size, in_channels
        # The empty caption, which is the last, is not counted.
        self.num_classes = texts.null
        self._texts = texts
        self.unet = UNet2DConditionModel(**unet_options(config, input_size, in_channels))

    @property
    def null_label(self) -> int:
        """The number of the empty caption."""
        return self._texts.null

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Predict noise.

        Args:
            x: noisy latents ``(B, C, H, W)``.
            t: timesteps ``(B,)``, int64.
            y: numbers of captions ``(B,)``, int64; already dropped where they are to be dropped.

        Returns:
            ``(B, C, H, W)``.
        """
        states = self._texts.sequence(y.cpu().numpy()).to(x.device, x.dtype)
        return self.unet(x, t, states, return_dict=False)[0]


def unet_options(config: UNetConfig, input_size: int, channels: int) -> dict:
    """Return the arguments with which diffusers builds the U-Net."""
    stages, attending = len(config.block_out_channels), config.attention_stages
    attends = [stage < attending for stage in range(stages)]
    return {
        "sample_size": input_size,
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": config.block_out_channels,
        "layers_per_block": config.layers_per_block,
        "down_block_types": tuple(
            "CrossAttnDownBlock2D" if attend else "DownBlock2D" for attend in attends
        ),
        "up_block_types": tuple(
            "CrossAttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)
        ),
        "cross_attention_dim": config.cross_attention_dim,
        "attention_head_dim": config.attention_head_dim,
        "norm_num_groups": config.norm_num_groups,
    }


@patch_points.register
def _(model: UNet) -> PatchPoints:
    return dataclasses.replace(patch_points(model.unet), arguments=images_and_timesteps)


def unet_folder(name: str, data: Path) -> Path:
    """Return the folder of a published U-Net, downloading it if need be.

    Args:
        name: a folder below ``data`` of a U-Net or of a pipeline that has one, as diffusers saves
            them; or a pipeline's name on the Hugging Face hub.

    Raises:
        DMPError: a file is neither here nor to be had.
    """
    local = data / name
    if (local / FOLDER).is_dir():
        local = local / FOLDER
    if local.is_dir():
        return pretrained_folder(str(local), FILES, _KEY)
    return pretrained_folder(name, [f"{FOLDER}/{file}" for file in FILES], _KEY)


def load_unet(folder: Path, model: UNet) -> None:
    """Load the weights of a U-Net that diffusers saved.

    Args:
        model: one of the same sizes; its weights stay in single precision.

    Raises:
        DMPError: a file is missing or corrupt, describes another network, or holds weights that
            are not finite.
    """
    described = read_model_config(folder, ["UNet2DConditionModel"], _KEY)
    # What an older file does not say has the default of the class.
    defaults = inspect.signature(UNet2DConditionModel.__init__).parameters
    for key, expected in model.unet.config.items():
        if key not in defaults:
            continue
        found = _plain(described.get(key, defaults[key].default))
        if found != _plain(expected):
            raise DMPError(
                f"{folder / FILES[0]}: {key} = {found}, but the backbone of the configuration has "
                f"{_plain(expected)}"
            )
    path = folder / FILES[1]
    try:
        tensors = unwrapped(load_file(path), path)
    except (SafetensorError, OSError) as error:
        raise DMPError(f"{path} is truncated or corrupt ({error})") from error
    # As the model will hold them: what double precision can hold may be too large for single.
    held = model.unet.state_dict()
    kept = {name: v.to(held[name].dtype) if name in held else v for name, v in tensors.items()}
    check_tensors(kept, path, "fetch the U-Net again")
    try:
        model.unet.load_state_dict(kept, strict=True)
    except RuntimeError as error:
        raise DMPError(f"{path} does not fit its {FILES[0]}: {error}") from error


def _plain(value: Any) -> Any:
    # JSON knows no tuples.
    return list(value) if isinstance(value, tuple) else value
