"""Look at every image of a dataset once: decode it, hash it, and say what is wrong with it."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from dmp.data.sources.base import Source
from dmp.data.sources.decoding import decode, frames, to_rgb
from dmp.data.sources.findings import DamagedFileError, Finding

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 64  # images handed to a worker at once


class Inspected(NamedTuple):
    """What is kept of an image after it was looked at.

    Attributes:
        name: where it lies.
        sha256: of its bytes as stored; empty if they cannot be read.
        pixels: SHA-256 of its size and its pixels in RGB; empty if the image cannot be used.
        mode: as Pillow names it; empty if the image cannot be decoded.
        size: (width, height); (0, 0) if the image cannot be decoded.
        captions_sha256: of its captions as a JSON list.
        findings: what is wrong, and what will be done about a mode that is known to occur.
    """

    name: str
    sha256: str
    pixels: bytes
    mode: str
    size: tuple[int, int]
    captions: int
    captions_sha256: str
    findings: list[Finding]


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yield what a function returns of each item, in their order, whatever the number of workers.

    They are threads: reading, decoding, resizing and hashing all release Python's lock, and threads
    need no shared memory, of which a container may have little. At most two items per worker are
    under way: memory does not grow with the items. Without a worker, all is done in this thread.
    """
    if not workers:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        # A map of the pool would hold all results at once.
        todo = (pool.submit(function, item) for item in items)
        under_way = deque(islice(todo, 2 * workers))
        try:
            while under_way:
                yield under_way.popleft().result()
                under_way += islice(todo, 1)
        finally:
            pool.shutdown(cancel_futures=True)


def inspect(source: Source, workers: int) -> Iterator[Inspected]:
    """Yield what there is to say of each image, in their order; no pixels are kept."""
    starts = range(0, len(source), _CHUNK)
    title = f"checking {source.base}"
    with tqdm(total=len(source), desc=title, unit="image", mininterval=1) as bar:
        for chunk in in_order(partial(_inspect_chunk, source), starts, workers):
            for inspected in chunk:
                yield inspected
                bar.update()


def inspect_image(source: Source, index: int) -> Inspected:
    """Look at one image."""
    name, findings = source.name(index), []
    sha256, pixels, mode, size = "", b"", "", (0, 0)
    where = str(source.base / name)
    try:
        data = source.read(index)
        sha256 = hashlib.sha256(data).hexdigest()
        image = decode(data, where, source.config.smallest)
        mode, size = image.mode, image.size
        colours = to_rgb(image, where, source.config.convert).tobytes()
        pixels = hashlib.sha256(f"{size}".encode() + colours).digest()
    except DamagedFileError as error:
        findings.append(error.finding(name))
    else:
        if mode != "RGB":
            findings.append(Finding(name, "note", f"mode {mode}", "nothing; converted to RGB"))
        if (count := frames(image)) > 1:
            problem = f"holds {count} images, as an animation or pages"
            findings.append(Finding(name, "note", problem, "nothing; the first is used"))
    captions = []
    try:
        captions = source.captions(index)
        if source.captioned and not captions:
            remedy = "add a caption, or remove the image"
            findings.append(Finding(name, "damage", "no caption belongs to the image", remedy))
    except DamagedFileError as error:
        findings.append(error.finding(name))
    digest = hashlib.sha256(json.dumps(list(captions)).encode()).hexdigest()
    return Inspected(name, sha256, pixels, mode, size, len(captions), digest, findings)


def _inspect_chunk(source: Source, start: int) -> list[Inspected]:
    stop = min(start + _CHUNK, len(source))
    return [inspect_image(source, index) for index in range(start, stop)]
