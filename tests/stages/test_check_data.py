"""The check names every damaged or missing file, and gives the dataset its identity."""

import csv
import hashlib
import json
import shutil
import threading
import tracemalloc
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import real_formats as real

import dmp.data.inspection as inspection
from dmp.config import SourceConfig
from dmp.data.inspection import inspect
from dmp.data.manifest import load_manifest
from dmp.data.sources.base import Source
from dmp.errors import DMPError
from dmp.files import read_json, write_json
from dmp.stages.check_data import check_data

COCO = {"path": "data/train2014", "captions": "annotations/captions_train2014.json"}


def configured(kind, **options):
    return SourceConfig(**{"format": kind, "path": "data", **options})


def checked(root, config, workers=1):
    """Check the dataset at root/data; return its manifest, and its findings by file."""
    output = root / "checked" / "manifest.json"
    try:
        check_data(config, root, "tested", output, workers)
        error = ""
    except DMPError as raised:
        error = str(raised)
    with (root / "checked" / "findings.csv").open() as file:
        findings = {row["file"]: (row["severity"], row["problem"]) for row in csv.DictReader(file)}
    return read_json(output), findings, error


@pytest.mark.parametrize(
    ("write", "config"),
    [
        (real.write_folder, configured("folder", images=6)),
        (real.write_coco, configured("coco", images=6, **COCO)),
        (real.write_webdataset, configured("webdataset", images=6)),
        (
            lambda path, count: real.write_parquet_images(path, list(range(count))),
            configured("parquet-images", images=6, captions="text"),
        ),
    ],
)
def test_a_whole_dataset_passes(tmp_path, write, config):
    write(tmp_path / "data", 6)
    manifest, findings, error = checked(tmp_path, config)
    assert (findings, error) == ({}, "")
    assert manifest["images"] == 6
    assert manifest["modes"] == {"RGB": 6}
    assert manifest["sizes"] == {"64x64": 6}
    assert manifest["enlarged"] == 6
    captions = {"coco": "5", "folder": "0"}.get(config.format, "1")
    assert manifest["captions_per_image"] == {captions: 6}
    loaded = load_manifest(tmp_path / "checked" / "manifest.json", config, "tested")
    assert loaded.model_dump(mode="json") == manifest


def test_identity_is_the_hash_of_the_names_and_hashes(tmp_path):
    real.write_folder(tmp_path / "data", 5)
    manifest, *_ = checked(tmp_path, configured("folder"))
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  00000/{file.name}\n"
        for file in sorted((tmp_path / "data" / "00000").iterdir())
    ]
    assert manifest["content_sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_identity_changes_with_a_byte_a_name_and_a_caption(tmp_path):
    real.write_coco(tmp_path / "data", 4)
    config = configured("coco", **COCO)
    seen = [checked(tmp_path, config)[0]]
    images = sorted((tmp_path / "data" / "train2014").iterdir())
    images[2].write_bytes(images[2].read_bytes() + b"\0")
    seen.append(checked(tmp_path, config)[0])
    assert seen[1]["content_sha256"] != seen[0]["content_sha256"]
    assert seen[1]["captions_sha256"] == seen[0]["captions_sha256"]
    captions = tmp_path / "data" / COCO["captions"]
    captions.write_text(captions.read_text().replace("bright", "dark", 1))
    seen.append(checked(tmp_path, config)[0])
    assert seen[2]["content_sha256"] == seen[1]["content_sha256"]
    assert seen[2]["captions_sha256"] != seen[1]["captions_sha256"]
    captions.write_text(captions.read_text().replace(images[2].name, "other.jpg"))
    images[2].rename(images[2].with_name("other.jpg"))
    seen.append(checked(tmp_path, config)[0])
    assert seen[3]["content_sha256"] != seen[2]["content_sha256"]
    assert seen[3]["damaged"] == 0


def damage(folder):
    """Put one file of each kind of damage among the images of a folder; return what is said."""
    whole = real.encode(real.make_image(20), ".jpg")
    deep = real.make_image(24).convert("I")
    files = {
        "truncated.jpg": (whole[: len(whole) // 2], "truncated or corrupt"),
        "corrupt.png": (
            real.encode(real.make_image(21))[:60] + bytes(3000),
            "truncated or corrupt",
        ),
        "page.jpg": (b"<html>Not Found</html>", "not an image"),
        "empty.png": (b"", "empty"),
        "gray.jpg": (real.encode(real.make_image(22, mode="L"), ".jpg"), "grayscale"),
        "cmyk.jpg": (real.encode(real.make_image(23, mode="CMYK"), ".jpg"), "CMYK"),
        "deep.png": (real.encode(deep.convert("I;16")), "more than 8 bits"),
        "tiny.png": (real.encode(real.make_image(25, size=16)), "16×16 pixels"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    problems = {name: problem for name, (_, problem) in files.items()}
    return problems | {"gone.png": "cannot be read (No such file"}


@pytest.mark.parametrize("workers", [1, 3])
def test_each_kind_of_damage_is_named_by_file(tmp_path, workers):
    real.write_folder(tmp_path / "data", 6)
    expected = damage(tmp_path / "data")
    manifest, findings, error = checked(tmp_path, configured("folder"), workers)
    assert set(findings) == set(expected)
    for name, problem in expected.items():
        assert findings[name][0] == "damage"
        assert problem in findings[name][1]
    assert manifest["damaged"] == len(expected)
    assert f"has {len(expected)} problems" in error
    assert "findings.csv: cmyk.jpg: " in error
    assert f"and {len(expected) - 5} more" in error
    with pytest.raises(DMPError, match=rf"damaged in {len(expected)} places, listed in .*csv"):
        path = tmp_path / "checked" / "manifest.json"
        load_manifest(path, configured("folder"), "tested")


def test_damage_inside_archives_is_named_by_member(tmp_path):
    good, bad = real.encode(real.make_image(0)), real.encode(real.make_image(1))[:200]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.tar").write_bytes(real.tar_bytes({"1.png": good, "2.png": bad}))
    manifest, findings, _ = checked(tmp_path, configured("tars"))
    assert set(findings) == {"a.tar:2.png"}
    assert manifest["images"] == 2
    shutil.rmtree(folder)
    real.write_zip(tmp_path / "data.zip", 4)
    content = bytearray((tmp_path / "data.zip").read_bytes())
    content[content.index(b"IDAT") + 20] ^= 255
    (tmp_path / "data.zip").write_bytes(content)
    _, findings, error = checked(tmp_path, configured("folder", path="data.zip"))
    assert set(findings) == {"data.zip:00000/00000.png"}
    assert "Bad CRC-32" in error


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_truncated_tar_is_named_and_what_is_left_is_checked(tmp_path, nested, keep):
    tar = real.write_tars(tmp_path / "data", classes=1, per_class=9, nested=nested)
    tar = tar if nested else next(tar.iterdir())
    # Of the members alone: nothing is lost with the zeros after them.
    members = tar.read_bytes().rstrip(b"\0")
    tar.write_bytes(members[: int(len(members) * keep)])
    manifest, findings, error = checked(tmp_path, configured("tars"))
    assert any(
        file.startswith(tar.name) and severity == "damage"
        for file, (severity, _) in findings.items()
    )
    assert tar.name in error
    # A tar inside a tar is read in blocks of 10 kB, the size of some images here.
    assert 9 * keep - 3 <= manifest["images"] <= 9 * keep + 1


def test_a_tar_with_a_damaged_header_is_not_taken_for_a_short_one(tmp_path):
    tar = next(real.write_tars(tmp_path / "data", classes=1, per_class=5).iterdir())
    content = bytearray(tar.read_bytes())
    second = content.index(b"n01440764_", 512)
    content[second + 148] ^= 1  # the header's checksum
    tar.write_bytes(content)
    _, findings, _ = checked(tmp_path, configured("tars"))
    assert "no end mark: truncated, or a damaged header, after 1 members" in findings[tar.name][1]


def test_a_compressed_tar_is_refused(tmp_path):
    import gzip

    tar = next(real.write_tars(tmp_path / "data", classes=1).iterdir())
    tar.write_bytes(gzip.compress(tar.read_bytes()))
    _, findings, error = checked(tmp_path, configured("tars"))
    assert "cannot be read as an uncompressed tar" in findings[tar.name][1]
    assert "decompress it" in error


def test_two_members_of_one_name_are_refused(tmp_path):
    image = real.encode(real.make_image(0))
    once = real.tar_bytes({"a.png": image})
    start = once[: -(-len(once.rstrip(b"\0")) // 512) * 512]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.tar").write_bytes(start + once)
    manifest, _, error = checked(tmp_path, configured("tars"))
    assert manifest["images"] == 2
    assert "two members of the archive have this name" in error


@pytest.mark.parametrize("write", [real.write_classes, real.write_tars])
def test_too_few_classes_and_images_are_said(tmp_path, write):
    write(tmp_path / "data", classes=3, per_class=4)
    kind = {real.write_classes: "classes", real.write_tars: "tars"}[write]
    manifest, _, error = checked(tmp_path, configured(kind, classes=3, images=12))
    assert error == ""
    assert manifest["classes"] == list(real.SYNSETS[:3])
    _, _, error = checked(tmp_path, configured(kind, classes=4, images=13))
    assert "12 images, and there have to be 13" in error
    assert "3 classes, and there have to be 4" in error


def test_an_empty_class_and_an_image_outside_of_all_classes_are_said(tmp_path):
    real.write_classes(tmp_path / "data", classes=3)
    (tmp_path / "data" / "n99999999").mkdir()
    (tmp_path / "data" / "stray.png").write_bytes(real.encode(real.make_image(20)))
    _, findings, _ = checked(tmp_path, configured("classes", classes=4))
    assert findings["n99999999"] == ("damage", "the class has no image")
    assert findings["stray.png"] == ("damage", "the image lies in no class folder")


def drop_from_coco(folder, image, annotations):
    (folder / "train2014" / f"COCO_train2014_{image:012d}.jpg").unlink()
    path = folder / COCO["captions"]
    data = json.loads(path.read_text())
    kept = [a for a in data["annotations"] if a["image_id"] != annotations]
    path.write_text(json.dumps(data | {"annotations": kept}))
    return f"COCO_train2014_{image:012d}.jpg", f"COCO_train2014_{annotations:012d}.jpg"


def drop_from_webdataset(folder, image, caption):
    tar = folder / "00000.tar"
    import tarfile

    with tarfile.open(tar) as opened:
        members = {info.name: opened.extractfile(info).read() for info in opened}
    del members[f"{image:09d}.jpg"]
    del members[f"{caption:09d}.txt"], members[f"{caption:09d}.json"]
    tar.write_bytes(real.tar_bytes(members))
    return f"00000.tar:{image:09d}.txt", f"00000.tar:{caption:09d}.jpg"


@pytest.mark.parametrize(
    ("write", "drop", "config"),
    [
        (real.write_coco, drop_from_coco, configured("coco", **COCO)),
        (real.write_webdataset, drop_from_webdataset, configured("webdataset")),
    ],
)
def test_captions_without_an_image_and_images_without_a_caption_are_said(
    tmp_path, write, drop, config
):
    write(tmp_path / "data", 4)
    gone, bare = drop(tmp_path / "data", 1, 2)
    _, findings, error = checked(tmp_path, config)
    assert findings[gone] == ("damage", "a caption names this image, which does not exist")
    assert findings[bare] == ("damage", "no caption belongs to the image")
    assert gone in error
    assert bare in error


@pytest.mark.parametrize(
    ("caption", "problem"),
    [(b" \n", "no caption belongs to the image"), (b"\xff\xfe", "is not a caption")],
)
def test_a_blank_caption_is_none_and_an_unreadable_one_is_damage(tmp_path, caption, problem):
    real.write_webdataset(tmp_path / "data", 0)
    members = {"1.jpg": real.encode(real.make_image(1), ".jpg"), "1.txt": caption}
    (tmp_path / "data" / "0.tar").write_bytes(real.tar_bytes(members))
    _, findings, _ = checked(tmp_path, configured("webdataset"))
    assert findings["0.tar:1.jpg"][0] == "damage"
    assert problem in findings["0.tar:1.jpg"][1]


def test_known_modes_and_duplicates_and_other_files_are_notes(tmp_path):
    folder = real.write_folder(tmp_path / "data", 3)
    (folder / "gray.jpg").write_bytes(real.encode(real.make_image(22, mode="L"), ".jpg"))
    (folder / "same.png").write_bytes((folder / "00000" / "00001.png").read_bytes())
    (folder / "LICENSE.txt").write_text("CC BY-NC-SA 4.0")
    (folder / "._same.png").write_bytes(b"left by a Mac")
    config = configured("folder", images=5, convert=["L"])
    manifest, findings, error = checked(tmp_path, config)
    assert error == ""
    assert findings["gray.jpg"] == ("note", "mode L")
    assert findings["same.png"] == ("note", "the same bytes as 00000/00001.png")
    assert findings["._same.png"][1].startswith("2 files")
    assert (manifest["modes"], manifest["duplicates"]) == ({"RGB": 4, "L": 1}, 1)
    assert (manifest["notes"], manifest["damaged"]) == (3, 0)


def test_the_result_is_the_same_for_any_number_of_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "_CHUNK", 4)
    real.write_folder(tmp_path / "data", 30)
    damage(tmp_path / "data")
    written = set()
    for workers in (1, 2, 7):
        checked(tmp_path, configured("folder"), workers)
        files = (tmp_path / "checked" / name for name in ("manifest.json", "findings.csv"))
        written.add(tuple(file.read_bytes() for file in files))
    assert len(written) == 1


class Endless(Source):
    """As many images as one likes, all the same, that counts how many were asked for."""

    def __init__(self, count):
        self.config = configured("folder")
        self.base = Path(self.config.path)
        self._count = count
        self._data = real.encode(real.make_image(0, 128))
        self._lock = threading.Lock()
        self.read_so_far = 0

    def __len__(self):
        return self._count

    def name(self, index):
        return f"{index}.png"

    def read(self, index):
        with self._lock:
            self.read_so_far += 1
        return self._data


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch):
    monkeypatch.setattr(inspection, "_CHUNK", 4)
    peaks = []
    for count in (24, 96):
        source = Endless(count)
        tracemalloc.start()
        assert sum(1 for _ in inspect(source, 2)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 72 decoded images more would be 3.5 MB.
    assert peaks[1] < peaks[0] + 400_000


class AtOnce(ThreadPoolExecutor):
    """Does what it is handed before it is asked for the result, so that nothing is left to time."""

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_images_are_read_only_a_little_ahead_of_what_is_reported(monkeypatch):
    monkeypatch.setattr(inspection, "_CHUNK", 4)
    monkeypatch.setattr(inspection, "ThreadPoolExecutor", AtOnce)
    source = Endless(200)
    reports = inspect(source, 2)
    for number in range(1, 190):
        next(reports)
        assert source.read_so_far <= number + 4 * 2 * 2
    reports.close()


def test_the_manifest_of_another_dataset_or_configuration_is_refused(tmp_path):
    real.write_folder(tmp_path / "data", 3)
    config = configured("folder")
    checked(tmp_path, config)
    path = tmp_path / "checked" / "manifest.json"
    with pytest.raises(DMPError, match="is of dataset 'tested', not of 'ffhq'"):
        load_manifest(path, config, "ffhq")
    with pytest.raises(DMPError, match="checked under smallest = 64, now 32; check it again"):
        load_manifest(path, configured("folder", smallest=32), "tested")
    with pytest.raises(DMPError, match=r"absent.json does not exist: check dataset 'tested' first"):
        load_manifest(tmp_path / "absent.json", config, "tested")
    write_json(path, read_json(path) | {"images": "many"})
    with pytest.raises(DMPError, match=r"manifest.json: 'images' = 'many'"):
        load_manifest(path, config, "tested")


def test_a_missing_dataset_leaves_no_manifest(tmp_path):
    with pytest.raises(DMPError, match=r"dataset 'tested'.*does not exist"):
        check_data(configured("folder"), tmp_path, "tested", tmp_path / "out" / "m.json", 1)
    assert not (tmp_path / "out").exists()
