"""Multiply-accumulates of the networks around the backbone, on one image or caption."""

CAPTION_TOKENS = 77

# Inception-v3 at 299×299, to which every image is resized first.
INCEPTION = 5_713_216_096
# The autoencoder of Stable Diffusion at 256×256, without its one attention per half.
_ENCODER, _DECODER = 135_287_341_056, 310_019_899_392
_AUTOENCODER_WIDTH = 512


def encode(resolution: int) -> int:
    """Return the MACs of the autoencoder's encoder on one square image."""
    return _autoencoder(_ENCODER, resolution)


def decode(resolution: int) -> int:
    """Return the MACs of the autoencoder's decoder on the latents of one square image."""
    return _autoencoder(_DECODER, resolution)


def _autoencoder(convolutions: int, resolution: int) -> int:
    # Convolutions grow with the area, the attention over latents with its square.
    points = (resolution // 8) ** 2
    return convolutions * resolution**2 // 256**2 + 2 * points**2 * _AUTOENCODER_WIDTH


def text_encoder(width: int, layers: int) -> int:
    """Return the MACs of a CLIP text encoder on one caption."""
    return layers * (12 * CAPTION_TOKENS * width**2 + 2 * CAPTION_TOKENS**2 * width)


def classifier(size: int, channels: int, classes: int) -> int:
    """Return the MACs of :class:`dmp.metrics.classifier.Classifier` on one image."""
    return 9 * 32 * (channels + 64) * size**2 + 1024 * 64 + 64 * classes
