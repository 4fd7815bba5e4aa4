"""Where real images come from, and the latents that a backbone is trained on in their place."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from dmp.config.base import Strict
from dmp.config.numbers import Bytes, Count, Factor, Size
from dmp.config.texts import Place, each_once

# Modes of images, as Pillow names them, that can be converted to RGB.
Mode = Literal["L", "LA", "RGBA", "P", "CMYK"]


class ArchiveConfig(Strict):
    """A zip that its owner serves at a plain address.

    Attributes:
        url: where it is.
        gives: what of it is needed, as a path below the folder of all data; its last part is a
            folder or file at the top of the archive.
        size: bytes of the archive.
        sha256: of the archive.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^/]+/(.+/)?[^/]+\.zip$")]
    gives: str
    size: Bytes
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @model_validator(mode="after")
    def _stays_below_the_folder_of_all_data(self) -> Self:
        path = PurePosixPath(self.gives)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"gives = {self.gives!r}: a path below the folder of all data")
        return self


class DownloadConfig(Strict):
    """Where a dataset can be fetched without a person, once its licence has been accepted by one.

    Attributes:
        hub: a dataset on the Hugging Face hub, ``owner/name``; its files go to the source's path.
        revision: of the hub's dataset: a branch, tag or commit.
        files: patterns of the hub's files that are needed; all of them, if left out.
        archives: in place of ``hub``: files to be fetched and unpacked.
        licence: a short name of the terms that have to be accepted; None where none have to be.
        terms: where they are read, and accepted if they have to be; on the hub, if it is left out,
            the dataset's page.
    """

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: str = "main"
    files: list[str] = []
    archives: list[ArchiveConfig] = []
    licence: str | None = None
    terms: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.hub is None) == (not self.archives):
            raise ValueError("either 'hub' or 'archives' says where the dataset is")
        if self.hub is None and {"files", "revision"} & self.model_fields_set:
            raise ValueError("'files' and 'revision' belong to 'hub'")
        if self.licence is not None and self.page is None:
            raise ValueError("'licence' needs 'terms', the address where it is accepted")
        return self

    @property
    def page(self) -> str | None:
        """Where the terms are read and accepted."""
        return self.terms or (self.hub and f"https://huggingface.co/datasets/{self.hub}")


class SourceConfig(Strict):
    """A dataset on disk, as it is distributed.

    Attributes:
        format: one of :mod:`dmp.data.formats`; that it exists, and what it needs, is checked when a
            scale is read.
        path: folder or file, below the folder of all data (``--data``).
        captions: where the format looks for them: a file, relative to the folder that holds
            ``path``, or a column.
        options: what the format knows besides; its own model checks them.
        resolution: edge in pixels after centre crop and resize.
        classes: number of classes; 1 where there are none.
        flip: whether a mirrored image is still a member of the dataset.
        images: how many there have to be; None if any number will do.
        convert: modes other than RGB, as Pillow names them, that are converted to RGB because the
            dataset is known to contain them; any other mode is an error.
        smallest: images with a shorter edge are refused.
        download: how ``dmp download`` fetches it; None if a person has to. Where images come from
            is not part of what they are: it is left out of manifests and hashes.
    """

    format: str
    path: Place
    captions: Place | None = None
    # Formats without options have no say in what a run is called.
    options: dict[str, JsonValue] = Field(default={}, exclude_if=lambda options: not options)
    resolution: Size = 256
    classes: Count = 1
    flip: bool = True
    images: Count | None = None
    convert: Annotated[list[Mode], AfterValidator(each_once)] = []
    smallest: Size = 64
    download: DownloadConfig | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _archives_give_it(self) -> Self:
        given = [archive.gives for archive in self.download.archives] if self.download else []
        path = PurePosixPath(self.path)
        if given and not set(given) & {str(each) for each in (path, *path.parents)}:
            raise ValueError(
                f"path = {self.path!r} lies in nothing that download.archives gives: "
                f"{', '.join(given)}"
            )
        return self


class LatentsConfig(Strict):
    """The autoencoder whose latents stand for the pixels.

    Attributes:
        autoencoder: a name on the Hugging Face hub, or a local folder in diffusers' format.
        channels: latent channels that the backbone is made for.
        factor: pixels per latent, along an edge.
        scaling: latents are multiplied by it before they are noised.
        dtype: of the cached mean and log-variance.
        shard_size: jobs share the images in multiples of so many, and no batch crosses one of them:
            what is encoded together, which moves last bits, does not depend on the jobs.
        batch_size: images encoded or decoded at once.
    """

    autoencoder: Place = "stabilityai/sd-vae-ft-ema"
    channels: Size = 4
    factor: Size = 8
    scaling: Factor = 0.18215
    dtype: Literal["float16", "float32"] = "float16"
    shard_size: Count = 8192
    batch_size: Count = 32
