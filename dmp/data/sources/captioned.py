"""What the formats with captions share."""

from collections.abc import Collection, Iterable

from dmp.data.sources.findings import Finding


def orphaned(names: Iterable[str]) -> list[Finding]:
    """Return the findings about captions without an image."""
    problem = "a caption names this image, which does not exist"
    remedy = "copy or download the image again, or remove its captions"
    return [Finding(name, "damage", problem, remedy) for name in names]


def clean(captions: Collection[str]) -> list[str]:
    """Return captions without surrounding blanks, and without those that are nothing else."""
    return [text for caption in captions if (text := caption.strip())]
