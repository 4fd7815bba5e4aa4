"""Samples whose noise depends on (seed, number of the sample) alone."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from dmp.backbones import Backbone
from dmp.config import TaskConfig
from dmp.data.images import to_pixels
from dmp.diffusion import Diffusion, guided, sample
from dmp.rng import generator


def sample_labels(count: int, order: np.ndarray) -> np.ndarray:
    """Return labels ``(count,)`` that are balanced: sample k has label ``order[k mod len(order)]``.

    Args:
        order: ``(m,)`` the labels of a task, or the captions of its test split.
    """
    return np.resize(order, count)


@torch.no_grad()
def sample_images(
    backbone: Backbone,
    task: TaskConfig,
    seed: int,
    numbers: range,
    labels: np.ndarray,
    batch_size: int,
    device: str,
    precision: str = "fp32",
    decode: Callable[[Tensor], Tensor] = lambda images: images,
) -> Iterator[np.ndarray]:
    """Yield batches of images, uint8 ``(b, C, H, W)``, for samples with these numbers.

    Sample k of a seed starts from the same noise, and gets the same noise at every step, for every
    model and every batch size, so that samples of different models can be compared one by one.

    Args:
        task: says schedule, steps and guidance.
        labels: ``(len(numbers),)`` their labels, or the numbers of their captions.
        batch_size: how many at once.
        precision: ``fp32`` or ``bf16`` (autocast).
        decode: maps what the backbone makes to images in [-1, 1], in float32.
    """
    diffusion = Diffusion.of(task)
    config = task.sampling
    for start in range(0, len(numbers), batch_size):
        part = numbers[start : start + batch_size]
        y = torch.from_numpy(labels[start : start + batch_size]).to(device)
        null = y if config.guidance_scale == 1 else torch.full_like(y, backbone.null_label)
        model = guided(backbone, y, null, config.guidance_scale, config.guidance_channels)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            images = sample(
                diffusion,
                model,
                (backbone.in_channels, backbone.input_size, backbone.input_size),
                [generator(seed, "sampling", k) for k in part],
                config.steps,
                config.clip,
                device,
            )
        yield to_pixels(decode(images)).cpu().numpy()
