"""Patches on the hub, by the hub's own client, against a small hub on this machine."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
import torch
import yaml
from local_server import HubHandler, hub_of
from test_patch import make_backbone, make_inputs, patched, randomise

from dmp import DMPError, Patch, PatchConfig, load_patch

TOKEN = "hf_" + "x" * 34
NAME = "owner/a-patch"


class Hub(HubHandler):
    """Repositories in memory: ``{name: {revision: {file: bytes}}}``; writing needs the token."""

    def do_HEAD(self) -> None:  # noqa: N802  the name that the server calls
        path = self.path.partition("?")[0].strip("/")
        found = re.fullmatch(r"([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if found is None:
            return self.refuse(404, "")
        name, revision, file = found.groups()
        if self.server.error is not None:
            return self.refuse(*self.server.error)
        if name not in self.server.repositories:
            return self.refuse(404, "RepoNotFound")
        if revision not in self.server.repositories[name]:
            return self.refuse(404, "RevisionNotFound")
        content = self.server.repositories[name][revision].get(file)
        if content is None:
            return self.refuse(404, "EntryNotFound")
        commit = hashlib.sha1(content).hexdigest()
        tag = hashlib.sha256(content).hexdigest()
        return self.answer(content, {"ETag": f'"{tag}"', "X-Repo-Commit": commit})

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            return self.answer(b'{"errors": [], "warnings": []}')
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, "")
        if path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}"
            there = name in self.server.repositories
            if not there:
                self.server.repositories[name] = {"main": {}}
                self.server.created.append(given)
            answer = json.dumps({"url": f"{self.server.url}/{name}"}).encode()
            return self.answer(answer, status=409 if there else 200)
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit|branch)/([^/]+)", path)
        assert found, path
        name, what, revision = found.groups()
        revisions = self.server.repositories[name]
        if what == "branch":
            revisions.setdefault(revision, dict(revisions["main"]))
            return self.answer(b"{}")
        if what == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self.answer(json.dumps({"files": files}).encode())
        header, *files = (json.loads(line)["value"] for line in body.splitlines())
        revisions[revision] |= {f["path"]: base64.b64decode(f["content"]) for f in files}
        self.server.commits.append((header["summary"], sorted(f["path"] for f in files)))
        answer = {"commitUrl": f"{self.server.url}/{name}/commit/1", "commitOid": "1" * 40}
        return self.answer(json.dumps(answer | {"pullRequestUrl": None}).encode())


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty hub; ``error`` is its answer to whoever reads, if any."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    state = {"repositories": {}, "commits": [], "created": []}
    with hub_of(Hub, monkeypatch, tmp_path, **state) as server:
        yield server


def trained(**options) -> tuple[Patch, np.ndarray]:
    """A patch whose weights are random, and what its backbone predicts with it."""
    model, attached = patched(PatchConfig(**options))
    return attached, predicted(model)


@torch.no_grad()
def predicted(model) -> np.ndarray:
    return model.eval()(*make_inputs()).numpy()


def test_a_patch_that_is_pushed_is_what_another_model_gets(hub):
    attached, expected = trained(depth=2)
    assert attached.push_to_hub(NAME, private=True) == f"{hub.url}/{NAME}/commit/1"
    assert hub.created[0]["visibility"] == "private"
    assert hub.commits == [("Upload a patch", ["README.md", "patch.safetensors"])]

    model = make_backbone()
    plain = predicted(model)
    loaded = Patch.from_pretrained(NAME, model)
    assert np.array_equal(predicted(model), expected)
    assert loaded.config == PatchConfig(depth=2)
    assert not loaded.training
    loaded.remove()
    assert np.array_equal(predicted(model), plain)


def test_another_push_keeps_a_card_that_somebody_has_edited(hub):
    attached, _ = trained()
    attached.push_to_hub(NAME)
    hub.repositories[NAME]["main"]["README.md"] = b"mine"
    attached.push_to_hub(NAME, commit_message="Trained longer")
    assert hub.commits[1] == ("Trained longer", ["patch.safetensors"])
    assert hub.repositories[NAME]["main"]["README.md"] == b"mine"


def test_a_branch_is_made_and_read(hub):
    attached, expected = trained()
    attached.push_to_hub(NAME)
    randomise(attached)
    with torch.no_grad():
        attached.prompts *= 2
    attached.push_to_hub(NAME, revision="longer")
    model = make_backbone()
    Patch.from_pretrained(NAME, model, revision="longer")
    assert not np.allclose(predicted(model), expected)
    Patch.from_pretrained(NAME, model, revision="main", replace=True)
    assert np.array_equal(predicted(model), expected)


def test_the_card_says_what_the_patch_is_and_its_code_is_right(tmp_path):
    attached, expected = trained(depth=2, weights="sigmoid")
    attached.save_pretrained(tmp_path, repo_id=NAME, base_model="owner/base", license="mit")
    _, head, text = (tmp_path / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "mit",
        "base_model": "owner/base",
        "base_model_relation": "adapter",
        "library_name": "dmp-bench",
        "tags": ["diffusion", "diffusion-model-patching", "arxiv:2405.17825"],
    }
    assert "| Made for a model with | 3 blocks, 16 tokens of width 16 in each |" in text
    assert f"| Parameters | {sum(p.numel() for p in attached.parameters()):,} |" in text
    assert "| Options | weights = sigmoid, depth = 2 |" in text
    assert f'Patch.from_pretrained("{NAME}", pipe.transformer)' in text
    (tmp_path / "README.md").write_text("mine")
    attached.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    for path in (tmp_path, tmp_path / "patch.safetensors"):
        model = make_backbone()
        Patch.from_pretrained(path, model)
        assert np.array_equal(predicted(model), expected)


def test_what_is_in_the_cache_needs_no_hub(hub, monkeypatch):
    attached, expected = trained()
    attached.push_to_hub(NAME)
    Patch.from_pretrained(NAME, make_backbone())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = make_backbone()
    Patch.from_pretrained(NAME, model)
    assert np.array_equal(predicted(model), expected)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("owner/absent", None, "there is no 'owner/absent', neither on this machine nor at http"),
        ("owner/other", None, r"owner/other holds no patch.safetensors; accepted: a repository"),
        ("owner/wrong", None, "patch.safetensors is truncated or corrupt"),
        ("owner/foreign", None, "was not written by dmp"),
        ("no/such/name", None, "'no/such/name' is neither a file nor a folder on this mac"),
        ("folder", None, r"folder holds no patch.safetensors; accepted: a folder that a patch's"),
        (NAME, (403, "GatedRepo"), "is gated: accept its terms there, and log in with `hf auth lo"),
        (NAME, (418, ""), "cannot be read .*418.* the cache .* does not hold it"),
    ],
)
def test_what_is_not_there_is_one_clear_error(hub, tmp_path, monkeypatch, name, error, message):
    from safetensors.torch import save

    attached, _ = trained()
    attached.push_to_hub(NAME)
    foreign = save({"weight": torch.zeros(1)})
    for other, files in (
        ("other", {"model.safetensors": b""}),
        ("wrong", {"patch.safetensors": b"not safetensors"}),
        ("foreign", {"patch.safetensors": foreign}),
    ):
        hub.repositories[f"owner/{other}"] = {"main": files}
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    hub.error, model = error, make_backbone()
    plain, trainable = predicted(model), [p.requires_grad for p in model.parameters()]
    with pytest.raises(DMPError, match=message):
        Patch.from_pretrained(name, model)
    assert np.array_equal(predicted(model), plain)
    assert [p.requires_grad for p in model.parameters()] == trainable


def test_revision_that_there_is_not_is_named(hub):
    trained()[0].push_to_hub(NAME)
    with pytest.raises(DMPError, match="has no revision 'v9'; accepted: a branch, tag or commit"):
        Patch.from_pretrained(NAME, make_backbone(), revision="v9")


def test_without_a_network_the_error_says_how_to_do_without(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    told = r"offline, since HF_HUB_OFFLINE is set.*run `hf download owner/a-patch patch.safetensors"
    with pytest.raises(DMPError, match=told):
        Patch.from_pretrained(NAME, make_backbone())
    with pytest.raises(DMPError, match=r"cannot be written \(offline, since HF_HUB_OFFLINE is set"):
        trained()[0].push_to_hub(NAME)


def test_pushing_without_leave_is_one_clear_error(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(DMPError, match=r"owner/a-patch: this account may not write there; log in"):
        trained()[0].push_to_hub(NAME, token=False)
    with pytest.raises(DMPError, match="'no/such/name' is no name on the hub; accepted: o"):
        trained()[0].push_to_hub("no/such/name")
    assert hub.repositories == {}


def test_a_patch_that_has_diverged_is_not_pushed(hub, tmp_path):
    attached, _ = trained()
    with torch.no_grad():
        attached.prompts[0, 0, 0] = torch.nan
    with pytest.raises(DMPError, match=r"this patch holds NaN .*its training has diverged"):
        attached.push_to_hub(NAME)
    with pytest.raises(DMPError, match="this patch holds NaN"):
        attached.save_pretrained(tmp_path)
    assert hub.repositories == {}
    assert list(tmp_path.glob("*.*")) == []


def test_a_model_that_has_a_patch_is_refused_another_one(tmp_path):
    attached, expected = trained()
    attached.save_pretrained(tmp_path)
    model = make_backbone()
    load_patch(tmp_path / "patch.safetensors", model)
    with pytest.raises(DMPError, match="has a patch already"):
        Patch.from_pretrained(tmp_path, model)
    Patch.from_pretrained(tmp_path, model, replace=True)
    assert np.array_equal(predicted(model), expected)
