"""Before any GPU is asked for: open and hash every image, and say what is missing or damaged."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from dmp.arrayfile import load_arrays, save_arrays
from dmp.config import SourceConfig
from dmp.data.formats import open_source
from dmp.data.inspection import Inspected, inspect
from dmp.data.manifest import PICTURES, Manifest
from dmp.data.sources.base import Source
from dmp.data.sources.findings import Finding
from dmp.errors import DMPError, printable
from dmp.files import Advice, write_json, write_text

FINDINGS = "findings.csv"
_NAMED = 5  # findings that the error itself names
_KEY = 16  # bytes of a hash that stand for a picture
_SIZES = 10  # sizes that the manifest counts one by one


class Trained(NamedTuple):
    """The dataset that is trained on, of which another is the split for evaluation.

    Attributes:
        content_sha256: of its manifest.
        pictures: what its images show; None if it was checked before that was kept.
    """

    name: str
    content_sha256: str
    pictures: frozenset[bytes] | None

    @classmethod
    def read(cls, manifest: Manifest, path: Path) -> Self:
        """Return the dataset with a manifest.

        Raises:
            DMPError: the file with the pictures is damaged.
        """
        pictures, beside = None, path.with_name(PICTURES)
        if beside.exists():
            advice = Advice(damaged=f"check dataset '{manifest.dataset}' again")
            rows = load_arrays(beside, "pictures", advice=advice)["pictures"]
            pictures = frozenset(map(bytes, rows))
        return cls(manifest.dataset, manifest.content_sha256, pictures)


def check_data(
    config: SourceConfig,
    root: Path,
    name: str,
    output: Path,
    workers: int,
    trained: Trained | None = None,
) -> Manifest:
    """Check a dataset, and write its manifest and, beside it, ``findings.csv``.

    Both are written whether or not there is damage; :func:`dmp.data.manifest.load_manifest` refuses
    the manifest of a damaged dataset. They do not depend on ``workers``.

    Args:
        root: the folder of all data.
        output: where the manifest goes (.json).
        workers: images that are looked at together.
        trained: the dataset that is trained on, if this is its split for evaluation.

    Raises:
        DMPError: the dataset is missing, or something in it has to be mended.
    """
    source = open_source(config, root, name)
    tally = _Tally(config.resolution, trained)
    for inspected in inspect(source, workers):
        tally.add(inspected)
    whole = [*_of_the_whole(config, source), *source.findings, *tally.of_the_whole()]
    findings = [*whole, *tally.findings]
    manifest = tally.manifest(name, source, findings)
    _write_findings(output.with_name(FINDINGS), findings)
    save_arrays(output.with_name(PICTURES), {"pictures": tally.pictures()})
    write_json(output, manifest.model_dump(mode="json"))
    damage = [finding for finding in findings if finding.severity == "damage"]
    if damage:
        told = _message(name, root / config.path, damage, output.with_name(FINDINGS))
        raise DMPError(printable(told))
    for line in _summary(manifest, whole, output.with_name(FINDINGS)):
        print(printable(line), flush=True)
    return manifest


class _Tally:
    """Counts and hashes over all images, and a few bytes for each."""

    def __init__(self, resolution: int, trained: Trained | None) -> None:
        self._resolution, self._trained = resolution, trained
        self._shared: list[int] = []
        self._content, self._texts = hashlib.sha256(), hashlib.sha256()
        self._modes, self._sizes, self._captions = Counter(), Counter(), Counter()
        # Of each picture the first image: its number, its name, and the hash of its file.
        self._first: dict[bytes, tuple[int, str, str]] = {}
        self._copies: dict[int, list[int]] = {}
        self._last_name = ""
        self._images = 0
        self.findings: list[Finding] = []

    def add(self, image: Inspected) -> None:
        self._images += 1
        # The format of the program sha256sum; names that are not UTF-8 keep their bytes.
        for digest, value in (
            (self._content, image.sha256 or "unreadable"),
            (self._texts, image.captions_sha256),
        ):
            digest.update(f"{value}  {image.name}\n".encode("utf-8", "surrogateescape"))
        if image.mode:
            self._modes[image.mode] += 1
            self._sizes[image.size] += 1
        self._captions[image.captions] += 1
        self.findings += image.findings
        self._compare(image)

    def _compare(self, image: Inspected) -> None:
        if image.name == self._last_name:
            remedy = "write the archive again, with each name once"
            self.findings.append(
                Finding(image.name, "damage", "two members of the archive have this name", remedy)
            )
        self._last_name = image.name
        if not image.pixels:
            return
        number = self._images - 1
        if self._trained and image.pixels[:_KEY] in (self._trained.pictures or ()):
            self._shared.append(number)
            problem = f"'{self._trained.name}', which is trained on, has the same picture"
            self.findings.append(Finding(image.name, "note", problem, "nothing; not evaluated on"))
        first, name, sha256 = self._first.setdefault(
            image.pixels, (number, image.name, image.sha256)
        )
        if first != number:
            self._copies.setdefault(first, [first]).append(number)
            problem = f"the same {'bytes' if sha256 == image.sha256 else 'pixels'} as {name}"
            done = "nothing; both are used, on one side of each split"
            self.findings.append(Finding(image.name, "note", problem, done))

    def pictures(self) -> np.ndarray:
        """Return the first bytes of what each image shows, each once, ``(n, 16)`` uint8."""
        keys = sorted(key[:_KEY] for key in self._first)
        return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY)

    def of_the_whole(self) -> list[Finding]:
        """Return the findings about what all images have in common."""
        found = []
        other = self._trained
        if other and other.pictures is None:
            problem = (
                f"not compared with '{other.name}', which is trained on and was checked when what "
                f"images show was not kept"
            )
            remedy = "nothing, or check both again, that one first"
            found.append(Finding(".", "note", problem, remedy))
        if other and self._images and len(self._shared) == self._images:
            problem = f"'{other.name}', which is trained on, has all {self._images} images"
            remedy = "let 'path' of the one or the other lead to other images"
            found.append(Finding(".", "damage", problem, remedy))
        if any(len(numbers) == self._images for numbers in self._copies.values()):
            remedy = "copy or download the images again: none can be held out from training"
            found.append(Finding(".", "damage", f"all {self._images} images show the same", remedy))
        least = min(self._captions, default=0)
        images = sum(n for number, n in self._captions.items() if number > least)
        if least and images:
            surplus = sum((number - least) * n for number, n in self._captions.items())
            problem = (
                f"{surplus} captions of {images} images are not trained on: of each image the "
                f"first {least} are, since one has no more"
            )
            found.append(Finding(".", "note", problem, "nothing, or give every image as many"))
        return found

    def manifest(self, name: str, source: Source, findings: list[Finding]) -> Manifest:
        edges, other = Counter(), self._trained
        for size, count in self._sizes.items():
            edges[min(size)] += count
        # By size where counts are equal, so that the order of images does not show.
        frequent = sorted(self._sizes.items(), key=lambda item: (-item[1], item[0]))[:_SIZES]
        severities = Counter(finding.severity for finding in findings)
        return Manifest(
            dataset=name,
            source=source.config,
            images=self._images,
            classes=[printable(name) for name in source.classes],
            content_sha256=self._content.hexdigest(),
            captions_sha256=self._texts.hexdigest() if source.captioned else None,
            modes=dict(self._modes),
            sizes={f"{width}x{height}": count for (width, height), count in frequent},
            distinct_sizes=len(self._sizes),
            shorter_edge=(min(edges, default=0), max(edges, default=0)),
            enlarged=sum(n for edge, n in edges.items() if edge < self._resolution),
            captions_per_image={str(n): images for n, images in sorted(self._captions.items())},
            duplicates=sum(len(numbers) - 1 for numbers in self._copies.values()),
            copies=list(self._copies.values()),
            shared=self._shared,
            compared=other.content_sha256 if other and other.pictures is not None else None,
            damaged=severities["damage"],
            notes=severities["note"],
            findings=FINDINGS,
        )


def _of_the_whole(config: SourceConfig, source: Source) -> list[Finding]:
    """Return the findings about the dataset rather than about one of its files."""
    found = []
    if config.images is not None and len(source) != config.images:
        problem = f"{len(source)} images, and there have to be {config.images}"
        remedy = "complete the download, remove what does not belong, or correct 'images'"
        found.append(Finding(".", "damage", problem, remedy))
    classes = max(1, len(source.classes))
    if classes != config.classes:
        problem = f"{classes} classes, and there have to be {config.classes}"
        remedy = "complete the download, remove what does not belong, or correct 'classes'"
        found.append(Finding(".", "damage", problem, remedy))
    return found


def _write_findings(path: Path, findings: list[Finding]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "severity", "problem", "what to do"))
    for finding in findings:
        writer.writerow(map(printable, finding))
    write_text(path, text.getvalue())


def _summary(manifest: Manifest, notes: list[Finding], report: Path) -> Iterator[str]:
    """Yield what was taken of a dataset and what was not."""
    captions = ", ".join(f"{n} with {k}" for k, n in manifest.captions_per_image.items())
    taken = [f"{manifest.images} images are taken"]
    taken += [f"{len(manifest.classes)} classes"] if manifest.classes else []
    taken += [f"captions: {captions}"] if manifest.captions_sha256 else []
    if manifest.duplicates:
        taken.append(f"{manifest.duplicates} are copies of others, on the same side of each split")
    if manifest.shared:
        taken.append(f"{len(manifest.shared)} are trained on, and left out of evaluation")
    yield f"dataset '{manifest.dataset}': {'; '.join(taken)}; {manifest.notes} notes in {report}"
    for finding in notes:
        place = "" if finding.file == "." else f"{finding.file}: "
        yield f"    {place}{finding.problem} ({finding.remedy})"


def _message(name: str, path: Path, damage: list[Finding], report: Path) -> str:
    first = "; ".join(
        f"{path if f.file == '.' else f.file}: {f.problem} ({f.remedy})" for f in damage[:_NAMED]
    )
    more = f"; and {len(damage) - _NAMED} more" if len(damage) > _NAMED else ""
    problems = "1 problem" if len(damage) == 1 else f"{len(damage)} problems"
    return f"dataset '{name}' in {path} has {problems}, all listed in {report}: {first}{more}"
