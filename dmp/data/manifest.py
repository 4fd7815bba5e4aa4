"""What a dataset was found to be: its identity, for everything that is computed from it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from dmp.config import SourceConfig, Strict, from_file
from dmp.errors import DMPError

# What the images of a dataset show, beside its manifest: ``pictures``, the first 16 bytes of the
# SHA-256 of each image's pixels, ``(n, 16)`` uint8.
PICTURES = "pictures.npz"


class Manifest(Strict):
    """The outcome of checking a dataset.

    Attributes:
        source: the configuration that it was checked under.
        classes: their names in the order of the labels; empty where there are none.
        content_sha256: SHA-256 over a line ``<sha256 of the file>  <name>`` per image, in the
            order of the names. This is the dataset's identity.
        captions_sha256: the same over the captions of each image; None where there are none.
        modes: images by mode, as Pillow names it.
        sizes: images by ``<width>x<height>``, of the ten most frequent sizes.
        shorter_edge: least and greatest shorter edge, in pixels.
        enlarged: images with a shorter edge below the resolution, which the crop has to enlarge.
        captions_per_image: images by the number of their captions.
        duplicates: images with the same pixels as an earlier one.
        copies: the numbers of images that have the same pixels, in the order of the first: what
            must not be on two sides of a split. Empty in a manifest that was written before they
            were kept, whose dataset is split as it was then.
        shared: of a split for evaluation, the numbers of images that show the same as one of the
            dataset that is trained on: they are left out of evaluation.
        compared: ``content_sha256`` of that dataset; None if this is no such split, or if the other
            was checked before pictures were kept.
        damaged: findings that have to be mended.
        notes: findings that do not.
        findings: the file with all findings, beside the manifest.
    """

    dataset: str
    source: SourceConfig
    images: int
    classes: list[str]
    content_sha256: str
    captions_sha256: str | None
    modes: dict[str, int]
    sizes: dict[str, int]
    distinct_sizes: int
    shorter_edge: Annotated[tuple[int, int], Field(strict=False)]
    enlarged: int
    captions_per_image: dict[str, int]
    duplicates: int
    copies: list[list[int]] = []
    shared: list[int] = []
    compared: str | None = None
    damaged: int
    notes: int
    findings: str


def load_manifest(path: Path, config: SourceConfig, name: str) -> Manifest:
    """Read the manifest of a dataset that was found whole.

    Raises:
        DMPError: the dataset was not checked, not under this configuration, or is damaged.
    """
    if not path.exists():
        raise DMPError(f"{path} does not exist: check dataset '{name}' first")
    manifest = from_file(Manifest, path)
    if manifest.dataset != name:
        raise DMPError(f"{path} is of dataset '{manifest.dataset}', not of '{name}'")
    found, wanted = manifest.source.model_dump(), config.model_dump()
    differing = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
    if differing:
        changes = ", ".join(f"{k} = {found.get(k)!r}, now {wanted.get(k)!r}" for k in differing)
        raise DMPError(f"{path}: '{name}' was checked under {changes}; check it again")
    if manifest.damaged:
        raise DMPError(
            f"{path}: dataset '{name}' is damaged in {manifest.damaged} places, listed in "
            f"{path.with_name(manifest.findings)}; fix them and check it again"
        )
    return manifest
