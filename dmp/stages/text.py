"""Captions through a pretrained text encoder, once per distinct caption."""

from pathlib import Path

from dmp.data.text import encode_captions, index_captions, load_text_encoder


def encode_text(
    folder: Path, texts: list[str], encoder: str, device: str, dtype: str = "float16"
) -> None:
    """Encode captions, verify them and write the index.

    Args:
        folder: of the cache.
        texts: the captions; those that are there already are left alone.
        encoder: a CLIP text encoder, by hub name or local folder.
        device: ``cpu`` or ``cuda``.
        dtype: of the cached states.

    Raises:
        DMPError: the encoder or the folder is not as it should be.

    """
    model = load_text_encoder(encoder, device)
    encode_captions(folder, texts, model, dtype=dtype)
    index_captions(folder, texts, model, dtype=dtype)
