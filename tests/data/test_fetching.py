"""A dataset is fetched whole and verified, or one sentence says what is to be done."""

import errno
import hashlib
import io
import shutil
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from filelock import FileLock
from local_server import answering

from dmp.config import SourceConfig, content_hash, from_data
from dmp.data import fetching
from dmp.data.fetching import is_there, origins
from dmp.errors import DMPError


def make_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


IMAGES = make_zip({"train/": b"", "train/1.jpg": b"one" * 9999, "train/2.jpg": b"two", "x": b""})


class Handler(BaseHTTPRequestHandler):
    """Serves the files of its server."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) + self.server.lost))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def listening():
    """A server on this machine, which the hub's client reaches without a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.url = f"http://127.0.0.1:{server.server_port}"
        with answering(server):
            yield server


@pytest.fixture
def server(listening):
    """Serve ``files``, each without its last ``lost`` bytes; ``asked`` are the paths asked for."""
    listening.files, listening.asked, listening.lost = {"/a/t.zip": IMAGES}, [], 0
    return listening


def of_archives(server, data: bytes = IMAGES, **options) -> SourceConfig:
    sha256 = hashlib.sha256(data).hexdigest()
    archive = {"url": f"{server.url}/a/t.zip", "gives": "set/train", "size": len(data)}
    download = {"archives": [archive | {"sha256": sha256} | options]}
    return SourceConfig(format="folder", path="set/train", download=download)


def fetch(source: SourceConfig, root) -> None:
    fetching.fetch("tested", source, source.download, root)


def contents(root) -> dict[str, bytes]:
    """All files below a folder but the lock, by name."""
    files = (p for p in root.rglob("*") if p.is_file() and p.name != ".download.lock")
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


WHOLE = {"set/train/1.jpg": b"one" * 9999, "set/train/2.jpg": b"two"}


def test_an_archive_is_unpacked_without_what_is_not_needed_and_not_fetched_again(server, tmp_path):
    source = of_archives(server)
    assert not is_there(source, tmp_path)
    fetch(source, tmp_path)
    assert is_there(source, tmp_path)
    assert contents(tmp_path) == WHOLE
    fetch(source, tmp_path)
    assert server.asked == ["/a/t.zip"]


def test_what_a_killed_process_left_is_not_taken_for_whole(server, tmp_path):
    (tmp_path / "set/.train.unpacking/train").mkdir(parents=True)
    (tmp_path / "set/.train.unpacking/train/1.jpg").write_bytes(b"half")
    (tmp_path / "set/.t.zip").write_bytes(IMAGES[:1000])
    fetch(of_archives(server), tmp_path)
    assert contents(tmp_path) == WHOLE


def test_a_whole_archive_that_somebody_put_there_is_unpacked(server, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/.t.zip").write_bytes(IMAGES)
    fetch(of_archives(server), tmp_path)
    assert (contents(tmp_path), server.asked) == (WHOLE, [])


def refused(tmp_path, source) -> str:
    """Fetch, and return the error; nothing has the dataset's name, and it is one line."""
    with pytest.raises(DMPError) as error:
        fetch(source, tmp_path)
    assert not (tmp_path / "set" / "train").exists()
    assert not (tmp_path / "set" / ".train.unpacking").exists()
    assert "\n" not in str(error.value)
    assert "dataset 'tested'" in str(error.value)
    return str(error.value)


def test_another_content_is_refused_and_deleted(server, tmp_path):
    server.files["/a/t.zip"] = IMAGES[:-1] + b"?"
    message = refused(tmp_path, of_archives(server))
    assert f"expected sha256:{hashlib.sha256(IMAGES).hexdigest()} but got" in message
    assert contents(tmp_path) == {}


def test_an_archive_that_arrives_in_part_or_not_at_all_is_refused(server, tmp_path):
    server.lost = 10
    message = refused(tmp_path, of_archives(server))
    assert "/a/t.zip cannot be fetched (" in message
    assert f"`curl -C - -o {tmp_path}/set/.t.zip {server.url}/a/t.zip` also goes on" in message
    assert contents(tmp_path) == {}
    server.files = {}
    assert "503" in refused(tmp_path, of_archives(server))


def test_a_zip_that_is_damaged_or_lacks_what_it_should_give_is_refused(server, tmp_path):
    damaged = bytearray(IMAGES)
    damaged[IMAGES.index(b"oneone") + 7] ^= 1
    for data, problem in (
        (make_zip({"val/1.jpg": b"one"}), "/a/t.zip holds no 'train'; correct 'gives'"),
        (bytes(damaged), "/a/t.zip is a damaged zip (Bad CRC-32"),
    ):
        server.files["/a/t.zip"] = data
        assert problem in refused(tmp_path, of_archives(server, data))


def test_a_full_disk_is_said_before_the_first_byte_and_while_writing(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1500))
        message = refused(tmp_path, of_archives(server))
    assert f"{2 * len(IMAGES) / 1000:.3g}kB are needed in {tmp_path / 'set'}" in message
    assert "1.50kB are free; free some space, or choose a folder on another disk" in message
    assert server.asked == []

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.retrieve", full)
    message = refused(tmp_path, of_archives(server))
    assert "No space left on device; see to it, or choose another folder with --data" in message


def test_two_processes_do_not_fetch_at_once(server, tmp_path):
    with FileLock(tmp_path / ".download.lock"):
        assert "another process is fetching" in refused(tmp_path, of_archives(server))


# The configuration


ON_HUB = SourceConfig(
    format="parquet-images",
    path="set/train",
    download={"hub": "owner/name", "revision": "v1", "files": ["data/train-*"], "licence": "x"},
)
PAGE = "https://huggingface.co/datasets/owner/name"


def test_origins_are_those_of_what_is_not_there(server, tmp_path):
    assert list(origins(ON_HUB, ON_HUB.download, tmp_path)) == [
        f"data/train-* of {PAGE} (v1), to {tmp_path}/set/train"
    ]
    source = of_archives(server)
    assert list(origins(source, source.download, tmp_path)) == [
        f"{server.url}/a/t.zip (30.4kB), unpacked to {tmp_path}/set/train"
    ]
    (tmp_path / "set/train").mkdir(parents=True)
    assert list(origins(source, source.download, tmp_path)) == []


ARCHIVE = {"url": "http://a.org/b.zip", "gives": "c/d", "size": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("download", "message"),
    [
        ({}, "either 'hub' or 'archives'"),
        ({"archives": [ARCHIVE]}, "path = 'x' lies in nothing that download.archives gives: c/d"),
        ({"hub": "a/b", "archives": [ARCHIVE]}, "either 'hub' or 'archives'"),
        ({"hub": "https://huggingface.co/a/b"}, "'download.hub' = 'https://huggingface.co/a/b'"),
        ({"archives": [ARCHIVE], "files": ["x"]}, "'files' and 'revision' belong to 'hub'"),
        ({"archives": [ARCHIVE], "licence": "x"}, "'licence' needs 'terms'"),
        ({"archives": [ARCHIVE | {"gives": "../d"}]}, "a path below the folder of all data"),
        ({"archives": [ARCHIVE | {"gives": "/d"}]}, "a path below the folder of all data"),
        ({"archives": [ARCHIVE | {"url": "ftp://a.org/b.zip"}]}, "'download.archives.0.url'"),
        ({"archives": [ARCHIVE | {"url": "http://a.org/b.rar"}]}, "'download.archives.0.url'"),
        ({"archives": [ARCHIVE | {"sha256": "abc"}]}, "'download.archives.0.sha256'"),
        ({"hub": "a/b", "license": "x"}, "unknown key 'download.license': did you mean 'licence'"),
    ],
)
def test_a_wrong_download_is_said_when_the_scale_is_read(download, message):
    with pytest.raises(DMPError) as error:
        from_data(SourceConfig, {"format": "folder", "path": "x", "download": download}, "x.yaml")
    assert message in str(error.value)


def test_where_images_come_from_is_no_part_of_what_they_are():
    without = ON_HUB.model_copy(update={"download": None})
    assert content_hash(ON_HUB) == content_hash(without)
    assert ON_HUB.model_dump() == without.model_dump()
