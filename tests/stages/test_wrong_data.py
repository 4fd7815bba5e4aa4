"""What cannot be read as it is meant is refused before anything is computed, or said."""

import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import odd_formats as odd
import pyarrow as pa
import pytest
import real_formats as real
from pyarrow import parquet

from dmp.config import SourceConfig
from dmp.data.sources.files import LARGEST
from dmp.errors import DMPError
from dmp.stages.check_data import check_data

NO_CLASS = "parquet:00000002: 1 images, this one first, have a label that is not a class"
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TABLE = {"format": "parquet-images"}
COCO = {"format": "coco", "path": "data/train2014", "captions": "captions.json"}


def told(folder: Path, capsys, **config: object) -> str:
    """Check the dataset below ``data``; return what the terminal says or the error."""
    source = SourceConfig(**{"path": "data", "smallest": 16, "resolution": 64, **config})
    try:
        check_data(source, folder, "tested", folder / "checked/manifest.json", 1)
    except DMPError as error:
        return f"error: {error}".replace("\n", "a second line")
    return capsys.readouterr().out


def table(place: Path, images=None, classes=None, **columns) -> None:
    if images is None:
        images = pa.array([{"bytes": odd.png(n), "path": None} for n in range(4)], IMAGE)
    made = pa.table({"image": images, **columns})
    if classes is not None:
        notes = {"info": {"features": {"label": {"names": classes}}}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(notes)})
    place.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(made, place)


def twice(data: Path) -> None:
    columns = [pa.array([{"bytes": odd.png(0), "path": None}], IMAGE), pa.array(["a"])]
    data.mkdir()
    made = pa.Table.from_arrays([*columns, columns[1]], ["image", "text", "text"])
    parquet.write_table(made, data / "0.parquet")


def other_classes(data: Path) -> None:
    for number, names in enumerate((["a", "b"], ["b", "a"])):
        table(data / f"{number}.parquet", classes=names, label=pa.array([0, 1, 0, 1]))


def labelled(label: int, kind: pa.DataType) -> Callable[[Path], None]:
    return lambda data: table(data / "0.parquet", label=pa.array([0, 1, label, 1], kind))


def not_bytes(kind: pa.DataType, value: object) -> Callable[[Path], None]:
    struct = pa.struct({"bytes": kind, "path": pa.string()})
    images = pa.array([{"bytes": value, "path": None}], struct)
    return lambda data: table(data / "0.parquet", images)


@pytest.mark.parametrize(
    ("write", "config", "message"),
    [
        (labelled(2**63, pa.uint64()), {"classes": 2}, NO_CLASS),
        (labelled(10**15, pa.int64()), {"classes": 2}, NO_CLASS),
        (labelled(10**7, pa.int64()), {"classes": 2}, "5 classes, and there have to be 2"),
        (other_classes, {"classes": 2}, "1.parquet: names other classes than the tables before"),
        (
            lambda data: table(data / "0.parquet", None, ["a", "a"], label=pa.array([0, 1, 0, 1])),
            {"classes": 2},
            "a: looks like another class",
        ),
        (twice, {"captions": "text"}, "columns image, text, text; needed is 'text'"),
        (not_bytes(pa.string(), "abc"), {}, "of which 0 hold images"),
        (not_bytes(pa.list_(pa.uint8()), [1, 2]), {}, "of which 0 hold images"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_meant_are_refused(tmp_path, capsys, write, config, message):
    write(tmp_path / "data")
    said = told(tmp_path, capsys, **TABLE, **config)
    assert said.startswith("error: ")
    assert message in said


@pytest.mark.parametrize("names", ["ab", [1, 2], {"a": 0}, None, 7])
def test_names_of_classes_that_are_none_are_left_out(tmp_path, capsys, names):
    table(tmp_path / "data/0.parquet", classes=names, label=pa.array([0, 1, 0, 1]))
    assert "4 images are taken; 2 classes" in told(tmp_path, capsys, **TABLE, classes=2)


def test_a_table_without_rows_is_said(tmp_path, capsys):
    table(tmp_path / "data/0.parquet", pa.array([], IMAGE))
    table(tmp_path / "data/1.parquet")
    assert "0.parquet: hold no rows" in told(tmp_path, capsys, **TABLE)


def test_a_table_whose_name_is_not_utf8_is_refused(tmp_path, capsys):
    path = odd.write_table(tmp_path / "data/a.parquet", [1, 2], ["a", "b"])
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.parquet"))
    said = told(tmp_path, capsys, **TABLE)
    assert re.match(r"error: .*caf\\udce9\.parquet: has a name.* not UTF-8", said)
    assert said.isprintable()


def test_a_dataset_of_one_picture_is_refused(tmp_path, capsys):
    odd.write_files(tmp_path / "data", {f"{n}.png": odd.png(1) for n in range(3)})
    assert re.match("error: .*all 3 images show the same", told(tmp_path, capsys, format="folder"))


def test_classes_that_look_the_same_are_refused(tmp_path, capsys):
    images = {"caf\u00e9/1.png": odd.png(1), "cafe\u0301/2.png": odd.png(2)}
    odd.write_files(tmp_path / "data", images)
    said = told(tmp_path, capsys, format="classes", classes=2)
    assert r"looks like another class, which is spelt 'cafe\u0301'" in said
    assert said.startswith("error: ")


def test_classes_that_differ_in_capitals_are_said_to(tmp_path, capsys):
    odd.write_files(tmp_path / "data", {"Cat/1.png": odd.png(1), "cat/2.png": odd.png(2)})
    said = told(tmp_path, capsys, format="classes", classes=2)
    assert "2 classes" in said
    assert "cat: differs from class 'Cat' in capitals alone (nothing; they are two classes)" in said


def test_no_file_is_read_that_is_too_large_for_an_image(tmp_path, capsys):
    odd.write_files(tmp_path / "data", {"a.png": odd.png(1), "b.png": b""})
    os.truncate(tmp_path / "data/b.png", 10**12)  # takes no space
    said = told(tmp_path, capsys, format="folder")
    assert "b.png: has 1,000,000,000,000 bytes, and no image has more than 1,073,741,824" in said


def test_a_size_that_an_archive_makes_up_is_not_believed(tmp_path, capsys):
    large = tarfile.TarInfo("big.png")
    large.size = 10**12
    data = large.tobuf(tarfile.GNU_FORMAT) + real.tar_bytes({"0.png": odd.png(1)})
    odd.write_files(tmp_path / "data", {"a.tar": data})
    said = told(tmp_path, capsys, format="tars")
    assert f"ends after {len(data) - 512} of the file's 1000000000000 bytes" in said
    assert large.size > LARGEST


def test_an_animation_is_said_to_be_one_and_a_photo_with_a_preview_is_not(tmp_path, capsys):
    images = [real.make_image(number) for number in range(3)]
    (tmp_path / "data").mkdir()
    for name in ("a.png", "b.tiff", "c.webp"):
        images[0].save(tmp_path / "data" / name, save_all=True, append_images=images[1:])
    photo = io.BytesIO()
    images[1].save(photo, "MPO", save_all=True, append_images=images[2:])
    (tmp_path / "data/d.jpg").write_bytes(photo.getvalue())
    assert "4 images are taken" in told(tmp_path, capsys, format="folder")
    rows = (tmp_path / "checked/findings.csv").read_text().splitlines()
    found = [row.split(",")[0] for row in rows if "holds 3 images, as an animation or pages" in row]
    assert found == ["a.png", "b.tiff", "c.webp"]
    assert not [row for row in rows if row.startswith("d.jpg") and "holds" in row]


def test_names_with_control_characters_are_printed_as_escapes(tmp_path, capsys):
    odd.write_files(tmp_path / "data", {"a\x1b[31m\n.png": b"x", "b.png": odd.png(2)})
    assert r"a\x1b[31m\n.png: the file is not an image" in told(tmp_path, capsys, format="folder")


@pytest.mark.parametrize("config", [{"format": "webdataset"}, COCO])
def test_a_key_that_json_gives_twice_is_damage(tmp_path, capsys, config):
    data, key = tmp_path / "data", b'"caption": "a", "caption": "b"'
    odd.write_shard(data, {"0.png": odd.png(0), "0.json": b"{%s}" % key})
    annotation = {"id": 0, "image_id": 0, "caption": "a"}
    odd.write_coco(data, [{"id": 0, "file_name": "0.png"}], [annotation], ["0.png"])
    captions = data / "captions.json"
    captions.write_bytes(captions.read_bytes().replace(b'"caption": "a"', key))
    assert "it gives a key twice" in told(tmp_path, capsys, **config)


def test_an_image_that_is_listed_twice_is_said_to_be(tmp_path, capsys):
    images = [{"id": number, "file_name": f"{number % 2}.png"} for number in range(3)]
    texts = [{"id": n, "image_id": n, "caption": f"text {n}"} for n in range(3)]
    odd.write_coco(tmp_path / "data", images, texts, ["0.png", "1.png"])
    assert "0.png: are listed under several ids" in told(tmp_path, capsys, **COCO)
