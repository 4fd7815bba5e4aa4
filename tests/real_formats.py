"""Small datasets in the formats in which the large ones are distributed, for the tests.

Images are scikit-learn's digits, enlarged and coloured by their label: deterministic, all different
from each other, and with something to learn in them.
"""

import colorsys
import functools
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SYNSETS = tuple(f"n{number:08d}" for number in (1440764, 1443537, 1484850, 1491361, 1494475))
SYNSETS += tuple(f"n{number:08d}" for number in (1496331, 1498041, 1514668, 1514859, 1518878))


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return data.images / 16, data.target


def digit(number: int) -> int:
    """Return which digit image ``number`` shows."""
    return int(_digits()[1][number % 1797])


def numbers_of(label: int, count: int) -> list[int]:
    """Return the numbers of the first ``count`` images of a digit."""
    return [int(n) for n in np.flatnonzero(_digits()[1] == label)[:count]]


def make_image(number: int, size: int = 64, mode: str = "RGB") -> Image.Image:
    """Return image ``number``, of ``size`` × ``size`` pixels; no two numbers give the same one."""
    values, labels = _digits()
    colour = np.array(colorsys.hsv_to_rgb(labels[number % 1797] / 10, 0.8, 1))
    grey = Image.fromarray((values[number % 1797] * 255).astype(np.uint8))
    enlarged = np.asarray(grey.resize((size, size), Image.Resampling.BICUBIC)) / 255
    pixels = (enlarged[:, :, None] * colour * 255).round().astype(np.uint8)
    # Beyond the last digit they start again, on another background.
    pixels[enlarged < 0.1, 2] += 40 * (number // 1797)
    return Image.fromarray(pixels).convert(mode)


def encode(image: Image.Image, suffix: str = ".png") -> bytes:
    """Return an image as the bytes of a file with this suffix."""
    buffer = io.BytesIO()
    kind = {".png": "PNG", ".tif": "TIFF", ".webp": "WEBP"}.get(suffix.lower(), "JPEG")
    image.save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


def _bytes(number: int, size: int, suffix: str) -> bytes:
    return encode(make_image(number, size), suffix)


def write_folder(path: Path, count: int, size: int = 64, suffix: str = ".png") -> Path:
    """Write images as FFHQ's are distributed: ``00000/00000.png``, a thousand to a folder."""
    for number in range(count):
        file = path / f"{number // 1000 * 1000:05d}" / f"{number:05d}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_bytes(number, size, suffix))
    return path


def write_zip(path: Path, count: int, size: int = 64, suffix: str = ".png") -> Path:
    """Write the images of :func:`write_folder` to a zip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            name = f"{number // 1000 * 1000:05d}/{number:05d}{suffix}"
            archive.writestr(name, _bytes(number, size, suffix))
    return path


def write_classes(path: Path, classes: int = 3, per_class: int = 4, size: int = 64) -> Path:
    """Write ImageNet's class folders: ``n01440764/n01440764_0.JPEG``; class k shows digit k."""
    for label, synset in enumerate(SYNSETS[:classes]):
        (path / synset).mkdir(parents=True)
        for number in numbers_of(label, per_class):
            file = path / synset / f"{synset}_{number}.JPEG"
            file.write_bytes(_bytes(number, size, ".JPEG"))
    return path


def tar_bytes(members: dict[str, bytes]) -> bytes:
    """Return an uncompressed tar with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write_tars(
    path: Path, classes: int = 3, per_class: int = 4, size: int = 64, nested: bool = False
) -> Path:
    """Write the images of :func:`write_classes` as one tar per class.

    ``nested``: put those tars into ``ILSVRC2012_img_train.tar`` below ``path``, as distributed.

    Returns:
        the folder of the tars, or the one tar.
    """
    path.mkdir(parents=True, exist_ok=True)
    tars = {}
    for label, synset in enumerate(SYNSETS[:classes]):
        members = {
            f"{synset}_{number}.JPEG": _bytes(number, size, ".JPEG")
            for number in numbers_of(label, per_class)
        }
        tars[f"{synset}.tar"] = tar_bytes(members)
    if nested:
        outer = path / "ILSVRC2012_img_train.tar"
        outer.write_bytes(tar_bytes(tars))
        return outer
    for name, data in tars.items():
        (path / name).write_bytes(data)
    return path


def caption(number: int, variant: int = 0) -> str:
    """Return one of the captions of image ``number``."""
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    styles = ("a coloured {}", "the digit {}", "somebody wrote a {}", "{}", "a bright {} on black")
    return f"{styles[variant % 5].format(words[digit(number)])}, number {number}"


def write_coco(path: Path, count: int, size: int = 64, captions: int = 5) -> Path:
    """Write ``train2014/`` and ``annotations/captions_train2014.json`` below ``path``.

    The configuration's ``path`` is then ``<path>/train2014``, and its ``captions`` are
    ``annotations/captions_train2014.json``.
    """
    (path / "train2014").mkdir(parents=True)
    (path / "annotations").mkdir()
    images, annotations = [], []
    for number in range(count):
        name = f"COCO_train2014_{number:012d}.jpg"
        (path / "train2014" / name).write_bytes(_bytes(number, size, ".jpg"))
        images.append({"id": number, "file_name": name, "height": size, "width": size})
        annotations += [
            {"id": number + variant * count, "image_id": number, "caption": f"{text}.\n"}
            for variant in range(captions)
            for text in [caption(number, variant)]
        ]
    data = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
    (path / "annotations" / "captions_train2014.json").write_text(json.dumps(data))
    return path


def write_webdataset(path: Path, count: int, size: int = 64, shard_size: int = 4) -> Path:
    """Write shards as img2dataset does: ``00000.tar`` with ``.jpg``, ``.txt`` and ``.json``."""
    path.mkdir(parents=True, exist_ok=True)
    for shard, first in enumerate(range(0, count, shard_size)):
        members = {}
        for number in range(first, min(first + shard_size, count)):
            key = f"{shard:05d}{number - first:04d}"
            meta = {"key": key, "caption": caption(number), "status": "success"}
            members[f"{key}.jpg"] = _bytes(number, size, ".jpg")
            members[f"{key}.txt"] = caption(number).encode()
            members[f"{key}.json"] = json.dumps(meta).encode()
        (path / f"{shard:05d}.tar").write_bytes(tar_bytes(members))
    return path


def write_parquet_images(
    path: Path,
    numbers: list[int],
    size: int = 64,
    classes: int | None = None,
    shard_size: int = 3,
    group_size: int = 2,
) -> Path:
    """Write ``data/train-00000-of-0000N.parquet`` with images in them, as on the hub.

    With ``classes``, the column ``label`` says which digit is shown, and the notes of the library
    `datasets` name the first ``classes`` digits; without, the column ``text`` has captions.
    """
    import pyarrow as pa
    from pyarrow import parquet

    (path / "data").mkdir(parents=True, exist_ok=True)
    schema = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()})})
    if classes is None:
        schema = schema.append(pa.field("text", pa.string()))
    else:
        label = {"_type": "ClassLabel", "names": [f"the digit {n}" for n in range(classes)]}
        features = {"image": {"_type": "Image"}, "label": label}
        notes = {"huggingface": json.dumps({"info": {"features": features}})}
        schema = schema.append(pa.field("label", pa.int64())).with_metadata(notes)
    starts = range(0, len(numbers), shard_size)
    for shard, first in enumerate(starts):
        rows = [
            {
                "image": {"bytes": _bytes(number, size, ".JPEG"), "path": f"{number}.JPEG"},
                "label": digit(number),
                "text": caption(number),
            }
            for number in numbers[first : first + shard_size]
        ]
        name = f"train-{shard:05d}-of-{len(starts):05d}.parquet"
        table = pa.Table.from_pylist(rows, schema=schema)
        parquet.write_table(table, path / "data" / name, row_group_size=group_size)
    return path
