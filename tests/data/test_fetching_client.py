"""The hub's own client, against a small hub on this machine: what it does is what is relied on."""

import hashlib
import json
import shutil
from types import SimpleNamespace

import pytest
from local_server import HubHandler, hub_of

from dmp.config import SourceConfig
from dmp.data import fetching
from dmp.data.fetching import is_there
from dmp.errors import DMPError

COMMIT = "c0ffee" * 6 + "0123"
FILES = {
    f"data/{split}-{n}.parquet": f"{split} {n}".encode()
    for split in ("train", "test")
    for n in (0, 1)
}
API, FILE = "/api/datasets/owner/name", f"/datasets/owner/name/resolve/{COMMIT}/"
SOURCE = SourceConfig(
    format="parquet-images",
    path="set",
    download={"hub": "owner/name", "revision": "v1", "files": ["data/train-*"]},
)


class Hub(HubHandler):
    """Lists a dataset and serves its files, unless they are gated or gone."""

    def do_HEAD(self) -> None:  # noqa: N802  the name that the server calls
        path = self.path.partition("?")[0]
        if path == f"{API}/revision/v1":
            self.answer(json.dumps({"id": "owner/name", "sha": COMMIT}).encode())
        elif path == f"{API}/tree/{COMMIT}":
            self.answer(json.dumps([self._entry(name) for name in FILES]).encode())
        elif path.startswith(FILE) and self.server.error is None:
            name = path[len(FILE) :]
            if self.command == "GET":
                self.server.served.append(name)
            tag = hashlib.sha256(FILES[name]).hexdigest()
            self.answer(self.server.files[name], {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
        else:
            self.refuse(*(self.server.error or (404, "RepoNotFound")))

    def _entry(self, name: str) -> dict:
        size, sha256 = len(FILES[name]), hashlib.sha256(FILES[name]).hexdigest()
        lfs = {"oid": sha256, "size": size, "pointerSize": 1}
        return {"type": "file", "path": name, "size": size, "oid": "0" * 40, "lfs": lfs}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with ``files``; ``served`` are those that were sent, ``error`` is its answer if any."""
    with hub_of(Hub, monkeypatch, tmp_path, files=dict(FILES), served=[]) as server:
        yield server


def fetch(root) -> None:
    fetching.fetch("tested", SOURCE, SOURCE.download, root)


def test_the_files_that_are_asked_for_arrive(hub, tmp_path):
    fetch(tmp_path)
    found = {p.relative_to(tmp_path / "set").as_posix() for p in (tmp_path / "set").rglob("*.*")}
    assert found == {"data/train-0.parquet", "data/train-1.parquet"}
    assert all((tmp_path / "set" / name).read_bytes() == FILES[name] for name in found)
    assert sorted(hub.served) == sorted(found)


def test_a_damaged_file_is_fetched_again_alone(hub, tmp_path):
    hub.files["data/train-1.parquet"] = b"TRAIN 1"
    with pytest.raises(DMPError, match=r"1 do not have the hub's checksum, the first is data/tr"):
        fetch(tmp_path)
    assert not is_there(SOURCE, tmp_path)
    hub.files, hub.served = dict(FILES), []
    fetch(tmp_path)
    assert hub.served == ["data/train-1.parquet"]
    assert (tmp_path / "set/data/train-1.parquet").read_bytes() == b"train 1"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ((401, "GatedRepo"), "is gated, and this account has no access: accept the terms at"),
        ((403, "GatedRepo"), "is gated, and this account has no access: accept the terms at"),
        ((404, "RevisionNotFound"), "Revision Not Found"),
        ((404, "RepoNotFound"), "for an account that may read it, log in with `hf auth login`"),
        ((403, ""), "cannot be fetched ("),
    ],
)
def test_a_refusal_is_told_from_others_by_the_client(hub, tmp_path, error, message):
    """Also while a part has arrived, which the client would take for the dataset."""
    hub.error = error
    (tmp_path / ".set.part/data").mkdir(parents=True)
    (tmp_path / ".set.part/data/train-0.parquet").write_bytes(b"half")
    with pytest.raises(DMPError) as raised:
        fetch(tmp_path)
    assert message in str(raised.value)
    assert not is_there(SOURCE, tmp_path)


def test_what_is_not_there_or_does_not_fit_is_refused_before_it_is_fetched(
    hub, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1))
        with pytest.raises(DMPError, match=r"14.0B are needed in .*, and 1.00B are free"):
            fetch(tmp_path)
    download = SOURCE.download.model_copy(update={"files": ["x/*"]})
    with pytest.raises(DMPError, match=r"has no file that fits x/\*"):
        fetching.fetch("tested", SOURCE, download, tmp_path)
    assert hub.served == []
