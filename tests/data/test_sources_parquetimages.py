"""Tables with images in them: labels, captions and rows as they are, a row group at a time."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
import real_formats as real
from pyarrow import parquet

from dmp.config import SourceConfig
from dmp.data.formats import open_source
from dmp.errors import DMPError
from dmp.files import read_json
from dmp.stages.check_data import check_data

# Not in the order of their labels, as on the hub.
NUMBERS = [real.numbers_of(label, 3)[n] for n in range(3) for label in range(3)]
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def opened(root, **options):
    config = SourceConfig(**{"format": "parquet-images", "path": "set", **options})
    return open_source(config, root, "tested")


def checked(root, **options) -> tuple[dict, str]:
    """Check the dataset; return its manifest and the error."""
    config, output = opened(root, **options).config, root / "checked" / "manifest.json"
    try:
        check_data(config, root, "tested", output, 2)
        error = ""
    except DMPError as raised:
        error = str(raised)
    return read_json(output), error


def test_labels_are_those_of_the_rows_and_named_as_the_table_says(tmp_path):
    real.write_parquet_images(tmp_path / "set", NUMBERS, classes=3)
    source = opened(tmp_path, classes=3)
    assert [source.label(n) for n in range(9)] == [real.digit(number) for number in NUMBERS]
    assert source.classes == ["the digit 0", "the digit 1", "the digit 2"]
    # Named by their numbers where the table has no notes, and not read where they are not wanted.
    for file in (tmp_path / "set/data").iterdir():
        table = parquet.read_table(file).replace_schema_metadata()
        parquet.write_table(table.set_column(1, "label", table["label"].cast("uint8")), file)
    assert opened(tmp_path, classes=3).classes == ["0", "1", "2"]
    unlabelled = opened(tmp_path)
    assert (list(unlabelled.classes), unlabelled.label(5)) == ([], 0)


def test_captions_are_those_of_the_named_column(tmp_path):
    real.write_parquet_images(tmp_path / "set", [3, 1, 2])
    source = opened(tmp_path, captions="text")
    assert source.captioned
    assert [source.captions(n) for n in range(3)] == [[real.caption(n)] for n in (3, 1, 2)]
    assert opened(tmp_path).captions(0) == ()
    rows = [{"image": {"bytes": b"x"}, "text": ["a cat ", " ", "it"]}, {"text": None}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "several.parquet")
    several = opened(tmp_path, path="several.parquet", captions="text")
    assert [several.captions(n) for n in range(2)] == [["a cat", "it"], []]


def test_a_row_group_at_a_time_is_in_memory(tmp_path):
    """As pyarrow itself counts; Python's own bytes are those of one image."""
    rows = [{"image": {"bytes": np.random.default_rng(n).bytes(2**20)}} for n in range(24)]
    (tmp_path / "set").mkdir()
    schema = pa.schema({"image": IMAGE})
    table = pa.Table.from_pylist(rows, schema=schema)
    parquet.write_table(table, tmp_path / "set/all.parquet", row_group_size=2, compression="none")
    del table
    before = pa.total_allocated_bytes()
    source = opened(tmp_path)
    assert pa.total_allocated_bytes() - before < 2**20
    held = []
    tracemalloc.start()
    for index in (0, 1, 13, 23, 2):
        assert source.read(index) == rows[index]["image"]["bytes"]
        held.append(pa.total_allocated_bytes() - before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(held) < 12 * 2**20  # half of the table
    assert peak < 3 * 2**20


def test_rows_of_one_group_are_read_once(tmp_path, monkeypatch):
    real.write_parquet_images(tmp_path / "set", NUMBERS, shard_size=4, group_size=2)
    source, read = opened(tmp_path), []
    whole = parquet.ParquetFile.read_row_group
    monkeypatch.setattr(
        parquet.ParquetFile,
        "read_row_group",
        lambda self, number, **options: read.append(number) or whole(self, number, **options),
    )
    for index in range(9):
        source.read(index)
    assert read == [0, 1, 0, 1, 0]


def test_damage_is_named_by_table_and_row(tmp_path):
    data = real.write_parquet_images(tmp_path / "set", NUMBERS, classes=3, shard_size=2) / "data"
    (data / "train-00002-of-00005.parquet").write_bytes(b"PAR1 and then nothing")
    rows = [
        {"image": {"bytes": None, "path": "elsewhere.jpg"}, "label": 0},
        {"image": {"bytes": b"no image", "path": "x"}, "label": None},
        {"image": None, "label": 7},
    ]
    schema = parquet.read_schema(data / "train-00000-of-00005.parquet")
    table = pa.Table.from_pylist(rows, schema=schema)
    parquet.write_table(table, data / "train-00004-of-00005.parquet")
    manifest, error = checked(tmp_path, classes=3)
    findings = (tmp_path / "checked/findings.csv").read_text()
    last = "data/train-00004-of-00005.parquet"
    for line in (
        "data/train-00002-of-00005.parquet,damage,cannot be read as parquet",
        f'{last}:00000001,damage,"2 images, this one first, have a label that is not a class"',
        f'{last}:00000000,damage,"the row holds no image, only the path elsewhere.jpg"',
        f"{last}:00000001,damage,the file is not an image of a known kind",
        f"{last}:00000002,damage,the row holds no image",
    ):
        assert line in findings
    assert manifest["damaged"] == 5
    assert "5 problems" in error


def test_a_class_without_an_image_is_damage(tmp_path):
    real.write_parquet_images(tmp_path / "set", real.numbers_of(0, 2), classes=2)
    _, error = checked(tmp_path, classes=2)
    assert "the digit 1: the class has no image" in error


def test_a_damaged_row_group_is_named_by_its_rows(tmp_path):
    data = real.write_parquet_images(tmp_path / "set", NUMBERS[:3], classes=3) / "data"
    file = data / "train-00000-of-00001.parquet"
    content = bytearray(file.read_bytes())
    # The header of the first group's images, which follows the file's first four bytes.
    content[4:40] = bytes(36)
    file.write_bytes(content)
    _, error = checked(tmp_path, classes=3)
    findings = (tmp_path / "checked/findings.csv").read_text()
    assert "2 problems" in error
    for row in (0, 1):
        assert f"{file.name}:{row:08d},damage,cannot be read as parquet (" in findings
    assert findings.count("\n") == 3


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"label": pa.int64()}, {}, "columns label, of which 0 hold images; needed is one of type"),
        ({"image": IMAGE, "mask": IMAGE}, {}, "columns image, mask, of which 2 hold images"),
        ({"image": IMAGE}, {"classes": 2}, "needed is 'label', with integers"),
        ({"image": IMAGE, "label": pa.string()}, {"classes": 2}, "'label' is of type string"),
        ({"image": IMAGE}, {"captions": "text"}, "needed is 'text', with texts"),
        ({"image": IMAGE, "id": pa.int8()}, {"captions": "id"}, "'id' is of type int8; needed are"),
    ],
)
def test_a_table_with_other_columns_is_refused(tmp_path, columns, options, message):
    (tmp_path / "set").mkdir()
    table = pa.Table.from_pylist([], schema=pa.schema(columns))
    parquet.write_table(table, tmp_path / "set" / "a.parquet")
    with pytest.raises(DMPError, match="dataset 'tested'") as error:
        opened(tmp_path, **options)
    assert message in str(error.value)
    assert "a.parquet" in str(error.value)


def test_several_splits_are_not_taken_for_one(tmp_path):
    data = real.write_parquet_images(tmp_path / "set", [1, 2]) / "data"
    file = data / "train-00000-of-00001.parquet"
    (data / "test-00000-of-00001.parquet").write_bytes(file.read_bytes())
    with pytest.raises(DMPError, match=r"holds several splits, data/test, data/train: move"):
        opened(tmp_path)
    # What a client of the hub keeps for itself is not part of a dataset.
    (data / "test-00000-of-00001.parquet").rename(data / ".test-00000-of-00001.parquet")
    assert len(opened(tmp_path)) == 2
