"""Folders and archives hold data once, and what other tools leave beside it is no data."""

import io
import os
import shutil
import tarfile
import zipfile

import odd_formats as odd
import pytest
import real_formats as real

from dmp.config import SourceConfig
from dmp.data.formats import open_source
from dmp.data.sources import listing
from dmp.data.sources.files import is_image
from dmp.errors import DMPError


def opened(root, kind="folder", **options):
    return open_source(SourceConfig(**{"format": kind, "path": "set", **options}), root, "tested")


def names(source):
    return [source.name(index) for index in range(len(source))]


def problems(source, severity="note"):
    return {f.file: f.problem for f in source.findings if f.severity == severity}


def test_what_tools_leave_is_neither_an_image_nor_a_class(tmp_path):
    folder = real.write_classes(tmp_path / "set", classes=2, per_class=2)
    before = names(opened(tmp_path, "classes"))
    loose = odd.leave_things(folder)
    odd.leave_things(folder / real.SYNSETS[0])
    source = opened(tmp_path, "classes", classes=2)
    assert names(source) == before
    assert source.classes == list(real.SYNSETS[:2])
    assert problems(source, "damage") == {}
    said = "; ".join(problems(source).values())
    assert "10 folders, this one first, are hidden or left by another tool" in said
    assert "4 links, this one first, lead to folders that are read already" in said
    assert f"{2 * loose} files, this one first, are not images of the dataset" in said
    assert names(opened(tmp_path)) == before


@pytest.mark.parametrize("target", ["..", "../..", "."])
def test_a_link_to_a_folder_above_is_not_followed(tmp_path, target):
    real.write_folder(tmp_path / "other", 3)
    real.write_folder(tmp_path / "set", 4)
    (tmp_path / "set" / "00000" / "link").symlink_to(target, target_is_directory=True)
    assert len(opened(tmp_path)) == 4


def test_a_folder_that_two_links_lead_to_is_read_once(tmp_path):
    real.write_folder(tmp_path / "disk", 3)
    (tmp_path / "set").mkdir()
    for name in ("a", "b"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "disk")
    source = opened(tmp_path)
    assert names(source) == [f"a/00000/0000{n}.png" for n in range(3)]
    assert problems(source) == {"b": "lead to folders that are read already"}
    # By the name that is no link's, whichever is first.
    (tmp_path / "set" / "a").unlink()
    (tmp_path / "set" / "b").unlink()
    shutil.move(tmp_path / "disk", tmp_path / "set" / "z")
    (tmp_path / "set" / "a").symlink_to("z")
    assert names(opened(tmp_path)) == [f"z/00000/0000{n}.png" for n in range(3)]


def test_a_folder_that_cannot_be_listed_is_damage_unless_it_is_all(tmp_path, monkeypatch):
    real.write_classes(tmp_path / "set", classes=2)
    (tmp_path / "set" / "lost+found").mkdir()
    closed = {str(tmp_path / "set" / "lost+found"), str(tmp_path / "set" / real.SYNSETS[1])}
    whole = os.scandir

    def scandir(path):
        if str(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(listing.os, "scandir", scandir)
    source = opened(tmp_path, "classes", classes=2)
    assert len(source) == 4
    told = [f.problem for f in source.findings if f.file == real.SYNSETS[1]]
    assert told == ["the folder cannot be listed (Permission denied)", "the class has no image"]
    assert {f.file for f in source.findings if f.severity == "damage"} == {real.SYNSETS[1]}
    closed.add(str(tmp_path / "set"))
    with pytest.raises(DMPError, match=r"set: the folder cannot be listed .*make it readable"):
        opened(tmp_path, "classes", classes=2)


def test_what_is_neither_a_file_nor_a_folder_is_not_waited_for(tmp_path):
    real.write_folder(tmp_path / "set", 1)
    os.mkfifo(tmp_path / "set" / "pipe.png")
    (tmp_path / "set" / "self.png").symlink_to("self.png")
    source = opened(tmp_path)
    assert names(source) == ["00000/00000.png", "self.png"]
    assert problems(source) == {"pipe.png": "are neither files nor folders"}
    with pytest.raises(DMPError, match=r"self\.png: cannot be read"):
        source.read(1)


def test_archives_leave_the_same_things_out(tmp_path):
    members = {"./a.png": odd.png(0), "b/c.png": odd.png(1)}
    left = {"__MACOSX/a.png": odd.png(2), "b/._c.png": b"x", "b/@eaDir/c.png": odd.png(3)}
    odd.write_shard(tmp_path / "set", members | left, "n1.tar")
    odd.write_files(tmp_path / "set", {"._n1.tar": b"x", "n1.json": {}})
    source = opened(tmp_path, "tars")
    assert names(source) == ["n1.tar:./a.png", "n1.tar:b/c.png"]
    assert source.classes == ["n1"]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, data in (members | left).items():
            archive.writestr(name, data)
    assert len(opened(tmp_path, path="set.zip")) == 2


def test_tars_lie_at_any_depth(tmp_path):
    for part in ("0", "1"):
        odd.write_shard(tmp_path / "set" / part, {"a.jpg": odd.png(int(part)), "a.txt": part})
    source = opened(tmp_path, "webdataset")
    assert names(source) == ["0/0.tar:a.jpg", "1/0.tar:a.jpg"]
    assert [source.read(n) for n in (0, 1)] == [odd.png(0), odd.png(1)]
    assert [source.captions(n) for n in (0, 1)] == [["0"], ["1"]]


def test_links_within_a_tar_are_the_files_that_they_name(tmp_path):
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "n1.tar", "w") as tar:
        info = tarfile.TarInfo("d/a.png")
        info.size = len(odd.png(5))
        tar.addfile(info, io.BytesIO(odd.png(5)))
        for name, kind, target in (
            ("d/b.png", tarfile.LNKTYPE, "d/a.png"),
            ("d/c.png", tarfile.SYMTYPE, "a.png"),
            ("d/e.png", tarfile.SYMTYPE, "../gone.png"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    source = opened(tmp_path, "tars")
    assert names(source) == ["n1.tar:d/a.png", "n1.tar:d/b.png", "n1.tar:d/c.png"]
    assert {source.read(n) for n in range(3)} == {odd.png(5)}
    told = "is a link to ../gone.png, which is not in the archive"
    assert problems(source, "damage") == {"n1.tar:d/e.png": told}


def test_images_of_several_splits_are_not_merged(tmp_path):
    for split in ("train", "val"):
        real.write_classes(tmp_path / "set" / split, classes=2)
    for kind, count in (("folder", 1), ("classes", 2)):
        with pytest.raises(DMPError, match=r"set holds several splits, train, val: move"):
            opened(tmp_path, kind, classes=count)
        assert len(opened(tmp_path, kind, path="set/train", classes=count)) == 8
    # A class may have such a name.
    shutil.move(tmp_path / "set/val", tmp_path / "set/car")
    assert opened(tmp_path, "classes", classes=2).classes == ["car", "train"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", True), ("./a.JPG", True), ("../a.png", True), ("b:c/a.tiff", True)]
    + [(n, False) for n in ("._a.png", ".x/a.png", "@EADIR/a.png", "a.txt", "lost+found/a.png")],
)
def test_an_image_is_known_by_its_name(name, expected):
    assert is_image(name) is expected
