"""Look at every image of a dataset once: decode it, hash it, and say what is wrong with it."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from tqdm import tqdm

from dmp.data.sources.base import Source
from dmp.data.sources.decoding import decode, to_rgb
from dmp.data.sources.findings import DamagedFileError, Finding

_CHUNK = 64  # images handed to a worker at once


class Inspected(NamedTuple):
    """What is kept of an image after it was looked at.

    Attributes:
        name: where it lies.
        sha256: of its bytes as stored; empty if they cannot be read.
        mode: as Pillow names it; empty if the image cannot be decoded.
        size: (width, height); (0, 0) if the image cannot be decoded.
        captions: how many there are.
        captions_sha256: of its captions as a JSON list.
        findings: what is wrong, and what will be done about a mode that is known to occur.

    """

    name: str
    sha256: str
    mode: str
    size: tuple[int, int]
    captions: int
    captions_sha256: str
    findings: list[Finding]


def inspect(source: Source, workers: int) -> Iterator[Inspected]:
    """Yield what there is to say of each image, in their order, whatever the number of workers.

    Threads, since reading, decoding and hashing all release Python's lock. At most two chunks per
    worker are under way, and no pixels leave a worker: memory does not grow with the dataset.
    """
    starts = range(0, len(source), _CHUNK)
    with (
        tqdm(total=len(source), desc=f"checking {source.base}", unit="image", mininterval=1) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        # A map of the pool would hold all chunks at once.
        todo = (pool.submit(_inspect_chunk, source, start) for start in starts)
        under_way = list(islice(todo, 2 * workers))
        try:
            while under_way:
                for inspected in under_way.pop(0).result():
                    yield inspected
                    bar.update()
                under_way += islice(todo, 1)
        finally:
            pool.shutdown(cancel_futures=True)


def inspect_image(source: Source, index: int) -> Inspected:
    """Look at one image."""
    name, findings = source.name(index), []
    sha256, mode, size = "", "", (0, 0)
    where = str(source.base / name)
    try:
        data = source.read(index)
        sha256 = hashlib.sha256(data).hexdigest()
        image = decode(data, where, source.config.smallest)
        mode, size = image.mode, image.size
        to_rgb(image, where, source.config.convert)
    except DamagedFileError as error:
        findings.append(error.finding(name))
    else:
        if mode != "RGB":
            findings.append(Finding(name, "note", f"mode {mode}", "nothing; converted to RGB"))
    captions = []
    try:
        captions = source.captions(index)
        if source.captioned and not captions:
            remedy = "add a caption, or remove the image"
            findings.append(Finding(name, "damage", "no caption belongs to the image", remedy))
    except DamagedFileError as error:
        findings.append(error.finding(name))
    digest = hashlib.sha256(json.dumps(list(captions)).encode()).hexdigest()
    return Inspected(name, sha256, mode, size, len(captions), digest, findings)


def _inspect_chunk(source: Source, start: int) -> list[Inspected]:
    stop = min(start + _CHUNK, len(source))
    return [inspect_image(source, index) for index in range(start, stop)]
