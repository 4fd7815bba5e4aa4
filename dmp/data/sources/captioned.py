"""What the formats with captions share."""

from collections.abc import Collection, Iterable
from pathlib import Path

from dmp.data.sources.findings import Finding
from dmp.errors import DMPError

LAION = (
    "LAION: the links are at https://huggingface.co/laion, where the terms of the (gated) dataset "
    "have to be accepted; img2dataset (https://github.com/rom1504/img2dataset) downloads the "
    "images with --image_size 512"
)


def orphaned(names: Iterable[str]) -> list[Finding]:
    """Return the findings about captions without an image."""
    problem = "a caption names this image, which does not exist"
    remedy = "copy or download the image again, or remove its captions"
    return [Finding(name, "damage", problem, remedy) for name in names]


def captions_path(path: Path, captions: str) -> Path:
    """Return the file with the captions: below ``path`` or, if it is not there, beside it.

    Raises:
        DMPError: it is in neither place.

    """
    places = [path / captions, path.parent / captions]
    for place in places:
        if place.exists():
            return place
    raise DMPError(f"the captions are missing: neither {places[0]} nor {places[1]} exists")


def clean(captions: Collection[str]) -> list[str]:
    """Return captions without surrounding blanks, and without those that are nothing else."""
    return [text for caption in captions if (text := caption.strip())]
