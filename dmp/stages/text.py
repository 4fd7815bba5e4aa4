"""The captions of a dataset through a pretrained text encoder, once per distinct caption."""

from collections.abc import Iterator
from pathlib import Path

from dmp.data.sources.base import Source
from dmp.data.text import encode_captions, index_captions, load_text_encoder
from dmp.errors import DMPError


def _captions(source: Source) -> Iterator[str]:
    for index in range(len(source)):
        captions = source.captions(index)
        if not captions:
            raise DMPError(f"{source.name(index)} has no caption, and the task needs one of each")
        yield from captions


def encode_text(
    folder: Path, source: Source, encoder: str, device: str, dtype: str = "float16"
) -> None:
    """Encode all captions of a source, verify them and write the index.

    Args:
        folder: of the cache.
        source: the images, with their captions.
        encoder: a CLIP text encoder, by hub name or local folder.
        device: ``cpu`` or ``cuda``.
        dtype: of the cached states.

    Raises:
        DMPError: an image has no caption, or the encoder or the folder is not as it should be.

    """
    texts = list(_captions(source))
    model = load_text_encoder(encoder, device)
    encode_captions(folder, texts, model, dtype=dtype)
    index_captions(folder, texts, model, dtype=dtype)
