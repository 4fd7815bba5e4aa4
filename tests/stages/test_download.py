"""What a scale needs from elsewhere is found, fetched, or named with its origin."""

import sys

import pytest
import yaml
from harness import ROOT, edit_yaml
from typer.testing import CliRunner

from dmp.cli import app
from dmp.errors import DMPError
from dmp.stages.download import Requirement, download
from dmp.studies import Plan, load_plan

sys.path.insert(0, str(ROOT / ".ci"))
from small_data import write_all


@pytest.fixture
def small(ablations, tmp_path):
    """A plan of the small scale whose models are local folders below ``tmp_path/data``."""

    def change(scale: dict) -> None:
        models = tmp_path / "data/models"
        scale["defaults"]["data"]["latents"]["autoencoder"] = str(models / "autoencoder")
        for task in ("text-conditional", "stable-diffusion"):
            scale["tasks"][task]["text"]["name"] = str(models / "text-encoder")

    edit_yaml(ablations / "scales/paper-smoke.yaml", change)
    return load_plan("paper-smoke", ablations), tmp_path / "data"


def test_nothing_is_missing_where_everything_lies(small):
    plan, data = small
    write_all(data)
    needs = download(plan, data)
    assert {need.name for need in needs} == {
        *("autoencoder", "text encoder", "U-Net"),
        *("dataset ffhq", "dataset imagenet", "dataset coco", "dataset laion"),
    }
    assert not any(need.missing for need in needs)


def test_what_is_missing_is_named_with_where_to_get_it(small):
    plan, data = small
    needs = {need.name: need.missing for need in download(plan, data)}
    assert "cocodataset.org" in needs["dataset coco"]
    assert "image-net.org" in needs["dataset imagenet"]
    assert "diffusion_pytorch_model.safetensors" in needs["autoencoder"]
    assert "unet/diffusion_pytorch_model.safetensors" in needs["U-Net"]
    assert all(needs.values())


def test_published_weights_of_the_paper_are_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    plan = load_plan("paper", ROOT / "ablations")
    tasks = {"x": plan.scale.tasks["class-conditional"]}
    plan = Plan(plan.name, plan.scale.model_copy(update={"tasks": tasks}), {}, {})
    monkeypatch.setattr("dmp.stages.download._models", lambda plan, data: [])
    needs = {need.name: need for need in download(plan, tmp_path)}
    assert needs["published weights of x"].place.endswith("models/DiT-XL-2-256x256.pt")
    assert needs["published weights of x"].missing


# Datasets that can be fetched

ARCHIVE = {
    **{"url": "http://a.org/train2014.zip", "gives": "coco/train2014"},
    **{"size": 2 * 10**9, "sha256": "0" * 64},
}
COCO = {"archives": [ARCHIVE], "terms": "http://a.org/terms"}
HUB = {"hub": "owner/name", "files": ["data/*"], "licence": "Terms"}


@pytest.fixture
def fetchable(ablations, tmp_path, monkeypatch):
    """A plan in which MS-COCO is at an address and ImageNet on the hub, and what was fetched."""

    def change(scale: dict) -> None:
        scale["tasks"]["text-conditional"]["data"]["source"]["download"] = COCO
        scale["tasks"]["class-conditional"]["data"]["source"]["download"] = HUB

    edit_yaml(ablations / "scales/paper-smoke.yaml", change)
    fetched = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("dmp.stages.download._models", lambda plan, data: [])
    monkeypatch.setattr("dmp.stages.download.fetch", lambda *arguments: fetched.append(arguments))
    return load_plan("paper-smoke", ablations), tmp_path / "data", fetched


def missing(plan, data, *arguments) -> dict[str, str]:
    return {need.name: need.missing for need in download(plan, data, *arguments)}


def test_a_dataset_is_fetched_only_if_it_is_asked_for(fetchable):
    plan, data, fetched = fetchable
    needs = missing(plan, data)
    assert needs["dataset coco"] == (
        "`dmp download coco --scale paper-smoke` fetches http://a.org/train2014.zip (2.00GB), "
        f"unpacked to {data}/coco/train2014; its terms of use are at http://a.org/terms"
    )
    assert fetched == []
    assert missing(plan, data, ["coco"])["dataset coco"] == ""
    source = plan.source("coco")
    assert fetched == [("coco", source, source.download, data)]
    (data / "coco/train2014").mkdir(parents=True)
    assert missing(plan, data, ["coco"])["dataset coco"] == ""
    assert len(fetched) == 1


def test_a_licence_is_accepted_by_a_person_and_said_so_by_name(fetchable):
    plan, data, fetched = fetchable
    for accepted in ([], ["Terms"]):
        needs = missing(plan, data, ["imagenet", "coco"], accepted)
        assert needs["dataset coco"] == ""
    assert [name for name, *_ in fetched] == ["coco", "imagenet", "coco"]
    message = missing(plan, data, ["imagenet"])["dataset imagenet"]
    assert message == (
        "its licence 'Terms' has to be accepted by a person: read and accept the terms at "
        "https://huggingface.co/datasets/owner/name, log in with `hf auth login` or set HF_TOKEN "
        "of the account that accepted them, and say so with `dmp download imagenet --scale "
        "paper-smoke --accept-licence 'Terms'`. That fetches data/* of "
        f"https://huggingface.co/datasets/owner/name (main), to {data}/imagenet"
    )


def test_offline_nothing_is_fetched_and_what_is_needed_is_listed(fetchable, monkeypatch):
    plan, data, fetched = fetchable
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    needs = missing(plan, data, ["coco", "imagenet"], ["Terms"])
    assert fetched == []
    for name, origin in (
        ("coco", "http://a.org/train2014.zip (2.00GB)"),
        ("imagenet", "data/* of https://huggingface.co/datasets/owner/name"),
    ):
        assert needs[f"dataset {name}"].startswith("offline, since HF_HUB_OFFLINE is set: nothing")
        assert origin in needs[f"dataset {name}"]


def test_a_dataset_that_cannot_be_fetched_does_not_stop_the_others(fetchable, monkeypatch):
    plan, data, fetched = fetchable

    def fails(name, source, download, root):
        if name == "imagenet":
            raise DMPError("dataset 'imagenet': no")
        fetched.append(name)

    monkeypatch.setattr("dmp.stages.download.fetch", fails)
    needs = missing(plan, data, ["imagenet", "coco", "ffhq"], ["Terms"])
    assert needs["dataset imagenet"] == "dataset 'imagenet': no"
    assert fetched == ["coco"]
    # Nobody lets it be fetched: where a person gets it is said as before.
    assert "NVlabs/ffhq-dataset" in needs["dataset ffhq"]


def test_names_that_are_none_of_the_scale_are_refused(fetchable):
    plan, data, fetched = fetchable
    with pytest.raises(DMPError, match=r"a dataset 'cocoo' on disk: did you mean 'coco'\?"):
        download(plan, data, ["coco", "cocoo"])
    with pytest.raises(DMPError, match=r"--accept-licence 'terms': no dataset .*accepted: Terms"):
        download(plan, data, ["coco"], ["terms"])
    assert fetched == []


def test_the_command_hands_on_what_it_is_told_and_fails_while_something_lacks(
    ablations, tmp_path, monkeypatch
):
    seen = []

    def stage(plan, data, datasets, accepted):
        seen.append((plan.name, data, datasets, accepted))
        return [
            Requirement("dataset coco", "x"),
            Requirement("dataset imagenet", "y", "its licence ..."),
        ]

    monkeypatch.setattr("dmp.stages.download.download", stage)
    arguments = ["download", "coco", "imagenet", "--accept-licence", "A", "--accept-licence", "B"]
    places = ["--scale", "paper-smoke", "--ablations", str(ablations), "--data", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, *places])
    assert seen == [("paper-smoke", tmp_path, ["coco", "imagenet"], ["A", "B"])]
    assert result.exit_code == 1
    assert result.stdout == ("dataset coco: x\ndataset imagenet: MISSING, y\n    its licence ...\n")


def test_archives_of_the_paper_give_what_its_sources_read():
    sources = load_plan("paper", ROOT / "ablations").sources()
    for name, split in (("coco", "train2014"), ("coco-test", "val2014")):
        archives = sources[name].download.archives
        assert [a.gives for a in archives] == [sources[name].path, "coco/annotations"]
        assert archives[0].url.endswith(f"/{split}.zip")
        assert all(archive.sha256 for archive in archives)
    assert {name for name, source in sources.items() if source.download} == {"coco", "coco-test"}


def test_the_variant_of_the_documentation_is_a_source_of_the_papers_imagenet(ablations):
    lines = (ROOT / "docs/cluster.md").read_text().split("```yaml\nformat: parquet-images")[1]
    variant = yaml.safe_load("format: parquet-images" + lines.partition("```")[0])

    def change(scale: dict) -> None:
        scale["tasks"]["class-conditional"]["data"]["source"].update(variant)

    edit_yaml(ablations / "scales/paper.yaml", change)
    source = load_plan("paper", ablations).source("imagenet")
    assert (source.format, source.images, source.classes) == ("parquet-images", 1281167, 1000)
    assert source.download.licence == "ImageNet"
    assert source.download.page == "https://huggingface.co/datasets/ILSVRC/imagenet-1k"
