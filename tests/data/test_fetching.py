"""A dataset is fetched whole, verified and resumed, or one sentence says what is to be done."""

import errno
import hashlib
import io
import shutil
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from filelock import FileLock
from huggingface_hub import errors
from local_server import answering

from dmp.config import SourceConfig, content_hash, from_data
from dmp.data.fetching import fetch, is_there, origins
from dmp.errors import DMPError


def make_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


IMAGES = make_zip({"train/": b"", "train/1.jpg": b"one" * 9999, "train/2.jpg": b"two", "x": b""})


class Handler(BaseHTTPRequestHandler):
    """Serves the files of its server, and parts of them if it is asked and willing."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(self.server.status)
            return
        first = int(wanted[len("bytes=") : -1]) if wanted and self.server.resumes else 0
        if first >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        self.wfile.write(data[first:])

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
def server(listening, monkeypatch):
    """Serve ``files``; ``asked`` are the paths and ranges that were asked for."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    listening.files, listening.asked = {"/a/t.zip": IMAGES}, []
    listening.status, listening.resumes = 404, True
    return listening


def of_archives(server, data: bytes = IMAGES, **options) -> SourceConfig:
    sha256 = hashlib.sha256(data).hexdigest()
    archive = {"url": f"{server.url}/a/t.zip", "gives": "set/train", "size": len(data)}
    download = {"archives": [archive | {"sha256": sha256} | options]}
    return SourceConfig(format="folder", path="set/train", download=download)


def contents(root) -> dict[str, bytes]:
    """All files below a folder but the lock, by name."""
    files = (p for p in root.rglob("*") if p.is_file() and p.name != ".download.lock")
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


WHOLE = {"set/train/1.jpg": b"one" * 9999, "set/train/2.jpg": b"two"}


def test_an_archive_is_unpacked_without_what_is_not_needed_and_not_fetched_again(server, tmp_path):
    source = of_archives(server)
    assert not is_there(source, tmp_path)
    fetch("tested", source, tmp_path)
    assert is_there(source, tmp_path)
    assert contents(tmp_path) == WHOLE
    fetch("tested", source, tmp_path)
    assert server.asked == [("/a/t.zip", None)]


@pytest.mark.parametrize("resumes", [True, False])
def test_a_fetch_goes_on_where_an_earlier_one_ended(server, tmp_path, resumes):
    """Also where the server does not do so: it sends the whole file, and the whole file is kept."""
    server.resumes = resumes
    (tmp_path / "set").mkdir()
    (tmp_path / "set/.t.zip.part").write_bytes(IMAGES[:1000])
    (tmp_path / "set/.train.unpacking").mkdir()
    (tmp_path / "set/.train.unpacking/half.jpg").write_bytes(b"half")
    fetch("tested", of_archives(server), tmp_path)
    assert server.asked == [("/a/t.zip", "bytes=1000-")]
    assert contents(tmp_path) == WHOLE


def refused(server, tmp_path, source, name="tested") -> str:
    """Fetch, and return the error; nothing has the dataset's name, and it is one line."""
    with pytest.raises(DMPError) as error:
        fetch(name, source, tmp_path)
    assert not (tmp_path / "set" / "train").exists()
    assert not (tmp_path / "set" / ".train.unpacking").exists()
    assert "\n" not in str(error.value)
    assert f"dataset '{name}'" in str(error.value)
    return str(error.value)


def test_another_content_is_refused_and_deleted(server, tmp_path):
    server.files["/a/t.zip"] = IMAGES[:-1] + b"?"
    message = refused(server, tmp_path, of_archives(server))
    assert f"/a/t.zip has the SHA-256 {hashlib.sha256(IMAGES[:-1] + b'?').hexdigest()}" in message
    assert f"not {hashlib.sha256(IMAGES).hexdigest()}" in message
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("difference", [-1, 1])
def test_another_length_is_refused_and_deleted(server, tmp_path, difference):
    source = of_archives(server, size=len(IMAGES) + difference)
    message = refused(server, tmp_path, source)
    assert f"does not have the {len(IMAGES) + difference} bytes" in message
    assert contents(tmp_path) == {}


def test_more_than_there_is_begins_anew(server, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/.t.zip.part").write_bytes(IMAGES + b"more")
    assert "HTTP status 416" in refused(server, tmp_path, of_archives(server))
    fetch("tested", of_archives(server), tmp_path)
    assert contents(tmp_path) == WHOLE


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refusal_says_how_to_do_without(server, tmp_path, status):
    server.files, server.status = {}, status
    message = refused(server, tmp_path, of_archives(server))
    assert f"/a/t.zip was refused with HTTP status {status}; try later, or download" in message
    assert "'set/train' lies in the folder of all data" in message


def test_without_a_network_what_has_arrived_is_kept(server, tmp_path, monkeypatch):
    def broken(url, file, **options):
        file.write(IMAGES[:500])
        raise TimeoutError("the read operation timed out")

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", broken)
        message = refused(server, tmp_path, of_archives(server))
    assert "/a/t.zip cannot be reached (the read operation timed out)" in message
    fetch("tested", of_archives(server), tmp_path)
    assert server.asked == [("/a/t.zip", "bytes=500-")]
    assert contents(tmp_path) == WHOLE


def test_a_zip_without_what_it_should_give_is_refused(server, tmp_path):
    server.files["/a/t.zip"] = other = make_zip({"val/1.jpg": b"one"})
    assert "/a/t.zip holds no 'train'; correct 'gives'" in refused(
        server, tmp_path, of_archives(server, other)
    )


def test_a_damaged_zip_without_a_known_hash_is_refused_and_deleted(server, tmp_path):
    damaged = bytearray(IMAGES)
    damaged[IMAGES.index(b"oneone") + 7] ^= 1
    server.files["/a/t.zip"] = bytes(damaged)
    message = refused(server, tmp_path, of_archives(server, sha256=None))
    assert "/a/t.zip is a damaged zip (Bad CRC-32" in message
    assert contents(tmp_path) == {}


def test_a_full_disk_is_said_before_the_first_byte_and_while_writing(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1500))
        message = refused(server, tmp_path, of_archives(server))
    assert f"{2 * len(IMAGES) / 1000:.3g} kB are needed in {tmp_path / 'set'}" in message
    assert "1.5 kB are free; free some space, or choose a folder on another disk" in message
    assert server.asked == []

    def full(url, file, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    message = refused(server, tmp_path, of_archives(server))
    assert "no space is left" in message
    assert "free some and run the same command again" in message


def test_two_processes_do_not_fetch_at_once(server, tmp_path):
    with FileLock(tmp_path / ".download.lock"):
        assert "another process is fetching" in refused(server, tmp_path, of_archives(server))


# The hub


@pytest.fixture
def hub(monkeypatch):
    """A hub with two files; ``asked`` are the calls of its client, ``fail`` what these raise."""
    hub = SimpleNamespace(asked=[], fail=None, fails_dry=True, missing=[], mismatches=[], size=100)

    def snapshot_download(repo, *, dry_run=False, **options):
        hub.asked.append((repo, dry_run, options))
        if hub.fail is not None and dry_run == hub.fails_dry:
            raise hub.fail
        names = hub.names
        if dry_run:
            return [
                SimpleNamespace(
                    filename=name, file_size=hub.size, will_download=True, commit_hash="c0ffee"
                )
                for name in names
            ]
        for name in [".cache/huggingface/note", *names]:
            file = options["local_dir"] / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
        return str(options["local_dir"])

    def verify(self, repo, **options):
        hub.verified = (repo, options)
        return SimpleNamespace(missing_paths=[*hub.missing, "README.md"], mismatches=hub.mismatches)

    hub.names = ["data/train-0.parquet", "data/train-1.parquet"]
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi.verify_repo_checksums", verify)
    return hub


ON_HUB = SourceConfig(
    format="parquet-images",
    path="set/train",
    download={"hub": "owner/name", "revision": "v1", "files": ["data/train-*"], "licence": "x"},
)


def test_a_snapshot_is_of_one_commit_and_named_once_it_is_verified(hub, tmp_path):
    fetch("tested", ON_HUB, tmp_path)
    part = tmp_path / "set/.train.part"
    options = {"repo_type": "dataset", "allow_patterns": ["data/train-*"], "local_dir": part}
    assert hub.asked == [
        ("owner/name", True, {"revision": "v1", **options}),
        ("owner/name", False, {"revision": "c0ffee", **options}),
    ]
    expected = {"repo_type": "dataset", "revision": "c0ffee", "local_dir": part}
    assert hub.verified == ("owner/name", expected)
    assert contents(tmp_path) == {f"set/train/{name}": name.encode() for name in hub.names}
    assert is_there(ON_HUB, tmp_path)
    fetch("tested", ON_HUB, tmp_path)
    assert len(hub.asked) == 2


def answer(status: int) -> SimpleNamespace:
    return SimpleNamespace(headers={}, request=None, status_code=status)


def caused(cause: Exception) -> Exception:
    """As the client passes on why it could not list the files."""
    error = errors.DryRunError("Dry run cannot be performed")
    error.__cause__ = cause
    return error


PAGE = "https://huggingface.co/datasets/owner/name"


@pytest.mark.parametrize("wrap", [caused, lambda error: error])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            errors.GatedRepoError("403", response=answer(403)),
            f"{PAGE} is gated, and this account has no access: accept the terms at {PAGE}, wait "
            "until access is granted, log in with `hf auth login` or set HF_TOKEN",
        ),
        (
            errors.RevisionNotFoundError("404", response=answer(404)),
            f"{PAGE} has no revision 'v1'; correct 'revision'",
        ),
        (
            errors.RepositoryNotFoundError("404", response=answer(404)),
            f"{PAGE} does not exist or is not public; correct 'hub'",
        ),
        (
            errors.HfHubHTTPError("401", response=answer(401)),
            "HTTP status 401; the token is not valid: log in with `hf auth login` or set HF_TOKEN",
        ),
        (
            errors.HfHubHTTPError("403", response=answer(403)),
            "HTTP status 403; the token may not read it: give it the right to read public gated",
        ),
        (
            errors.HfHubHTTPError("503", response=answer(503)),
            "HTTP status 503; try later: what has arrived is kept",
        ),
        (
            RuntimeError("no route to host\nand more"),
            f"{PAGE} cannot be fetched (no route to host); see to that",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left for"),
    ],
)
def test_each_failure_of_the_hub_says_what_to_do(hub, tmp_path, error, message, wrap):
    for hub.fails_dry in (True, False):
        hub.fail = wrap(error)
        assert message in refused(None, tmp_path, ON_HUB)


def test_a_snapshot_that_lacks_a_file_or_has_a_damaged_one_is_not_given_its_name(hub, tmp_path):
    hub.missing, hub.mismatches = [hub.names[0]], [{"path": hub.names[1]}]
    message = refused(None, tmp_path, ON_HUB)
    assert "1 files did not arrive and 1 do not have the hub's checksum, the first is" in message
    assert "data/train-0.parquet; run the same command again" in message
    # The client would take the damaged one for fetched.
    assert not (tmp_path / "set/.train.part" / hub.names[1]).exists()
    hub.missing = hub.mismatches = []
    fetch("tested", ON_HUB, tmp_path)
    assert is_there(ON_HUB, tmp_path)


def test_a_snapshot_of_nothing_and_one_too_large_are_refused(hub, tmp_path):
    hub.size = 10**18
    assert "2000000000.0 GB are needed" in refused(None, tmp_path, ON_HUB)
    hub.names = []
    assert f"{PAGE} has no file that fits data/train-*" in refused(None, tmp_path, ON_HUB)
    assert [dry for _, dry, _ in hub.asked] == [True, True]


# The configuration


def test_origins_are_those_of_what_is_not_there(server, tmp_path):
    assert list(origins(ON_HUB, tmp_path)) == [
        f"data/train-* of {PAGE} (v1), to {tmp_path}/set/train"
    ]
    source = of_archives(server)
    assert list(origins(source, tmp_path)) == [
        f"{server.url}/a/t.zip (30.4 kB), unpacked to {tmp_path}/set/train"
    ]
    (tmp_path / "set/train").mkdir(parents=True)
    assert list(origins(source, tmp_path)) == []


ARCHIVE = {"url": "http://a.org/b.zip", "gives": "c/d", "size": 1}


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
