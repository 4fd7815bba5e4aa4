"""What a scale needs from elsewhere is found, fetched, or named with its origin."""

import sys

import pytest
from harness import ROOT, edit_yaml

from dmp.stages.download import download
from dmp.studies import load_plan

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


def test_what_is_missing_is_named_with_where_it_is_to_be_had(small):
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
    plan = type(plan)(
        plan.name,
        plan.scale.model_copy(update={"tasks": {"x": plan.scale.tasks["class-conditional"]}}),
        {},
        {},
    )
    monkeypatch.setattr("dmp.stages.download._models", lambda plan: [])
    needs = {need.name: need for need in download(plan, tmp_path)}
    assert needs["published weights of x"].place.endswith("models/DiT-XL-2-256x256.pt")
    assert needs["published weights of x"].missing
