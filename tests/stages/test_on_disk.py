"""The paper's path on small data in real formats: checked, encoded, trained, sampled, judged."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import UNet2DConditionModel
from harness import ROOT, edit_yaml

from dmp.backbones import DiT
from dmp.data.captions import load_captions
from dmp.data.crop import center_crop
from dmp.data.textencoder import load_text_encoder
from dmp.errors import DMPError
from dmp.files import read_json
from dmp.stages.check_data import check_data
from dmp.stages.common import Context, new_backbone, open_autoencoder, pretrained_backbone
from dmp.stages.compare import compare
from dmp.stages.converge import converge
from dmp.stages.data import open_checked, task_data
from dmp.stages.prepare import encode_captions, encode_part, make_reference, verify_parts
from dmp.stages.pretrain import pretrain
from dmp.stages.run import complete_run
from dmp.studies import load_plan

sys.path.insert(0, str(ROOT / ".ci"))
from small_data import write_all

SCALE = "paper-smoke"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Context:
    """Everything before the first training."""
    folder = tmp_path_factory.mktemp("disk")
    write_all(folder / "data")
    ablations = Path(shutil.copytree(ROOT / "ablations", folder / "ablations"))

    def change(scale: dict) -> None:
        models = folder / "data/models"
        scale["defaults"]["data"]["latents"]["autoencoder"] = str(models / "autoencoder")
        text = scale["tasks"]["text-conditional"]
        for task in (text, scale["tasks"]["stable-diffusion"]):
            task["text"]["name"] = str(models / "text-encoder")
        # As if the training split had a split for evaluation beside it.
        text["data"]["test"] = text["data"]["source"]

    edit_yaml(ablations / f"scales/{SCALE}.yaml", change)
    context = Context.open(load_plan(SCALE, ablations), folder / "results", folder / "data")
    for name, source in context.plan.sources().items():
        check_data(source, context.data, name, context.layout.manifest(name), 2)
    for name in ("ffhq", "imagenet", "coco", "laion"):
        for part in (1, 2):
            encode_part(context, name, part, 2)
        verify_parts(context, name)
    for task in ("text-conditional", "stable-diffusion"):
        encode_captions(context, task)
    return context


@pytest.mark.parametrize("task", ["unconditional", "class-conditional", "text-conditional"])
def test_a_run_goes_from_files_to_numbers(prepared, task):
    make_reference(prepared, task)
    pretrain(prepared, task, 0)
    complete_run(prepared, prepared.plan.run(task, "dmp", 0))
    table = pd.read_csv(prepared.layout.metrics(task, "dmp", 0))
    final = table[table["bin"] == "all"].set_index("metric")["value"]
    assert np.isfinite(final).all()
    # The same network twice: the second opinion goes another way and has to agree.
    assert final["second_fd"] == pytest.approx(final["fid"], rel=1e-9)
    with np.load(prepared.layout.samples(task, "dmp", 0)) as samples:
        assert samples["images"].shape == (40, 3, 64, 64)


def test_labels_and_latents_are_those_of_the_images(prepared):
    config = prepared.plan.scale.tasks["class-conditional"]
    data = task_data(prepared, "class-conditional", config)
    source = open_checked(prepared, "imagenet")
    autoencoder = open_autoencoder(config.data.latents, "cpu")
    pixels = [center_crop(source.image(n), 64) for n in range(len(source))]
    means, _ = autoencoder.encode(torch.from_numpy(np.stack(pixels)))
    scaled = (means * config.data.latents.scaling).half().float()
    for latent, label in zip(data.held_out.images, data.held_out.labels, strict=True):
        distance = (scaled - torch.from_numpy(latent)).abs().amax(dim=(1, 2, 3))
        nearest = int(distance.argmin())
        assert distance[nearest] < 1e-2
        assert source.label(nearest) == label


def test_a_training_example_is_drawn_anew_and_the_same_again(prepared):
    config = prepared.plan.scale.tasks["unconditional"]
    train = task_data(prepared, "unconditional", config).train
    rows, upright = np.array([0, 0]), np.zeros(2, bool)
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    once, again = train.take(rows, upright, noise), train.take(rows, upright, noise)
    assert torch.equal(once, again)
    assert not torch.equal(once[0], once[1])
    assert torch.equal(train.take(rows, ~upright, None)[0], train.take(rows, ~upright, None)[1])


def test_each_image_has_its_own_captions_and_samples_those_of_the_split(prepared):
    captions = load_captions(prepared.layout.captions("text-conditional"))
    source = open_checked(prepared, "coco")
    images, held_out = captions.train.shape[0], captions.test.shape[0]
    assert images + held_out == len(source)
    known = {tuple(source.captions(index)) for index in range(len(source))}
    for row in (*captions.train, *captions.test):
        assert tuple(captions.texts[number] for number in row) in known
    # One caption of each image of the split for evaluation.
    assert len(captions.order) == len(open_checked(prepared, "coco-test"))
    assert len(captions.embeddings) == len(captions.texts) + 1


def test_a_dataset_that_has_changed_is_refused(prepared, tmp_path):
    shutil.copytree(prepared.data, tmp_path / "data")
    next((tmp_path / "data/ffhq").rglob("*.png")).unlink()
    moved = Context(prepared.plan, prepared.layout, "cpu", tmp_path / "data")
    with pytest.raises(DMPError, match=r"'ffhq' had 48 images when it was checked, and has 47 now"):
        open_checked(moved, "ffhq")


def published(prepared: Context, path: Path, hidden_size: int | None = None) -> DiT:
    """Write random weights in the layout of the public checkpoints."""
    config = prepared.plan.scale.tasks["class-conditional"]
    if hidden_size is not None:
        backbone = config.backbone.model_copy(update={"hidden_size": hidden_size})
        config = config.model_copy(update={"backbone": backbone})
    model = new_backbone(prepared, "class-conditional", config)
    model.initialize_weights(np.random.default_rng(0))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    return model


def with_published(prepared: Context, folder: Path) -> Context:
    """Return a context in which ImageNet's baseline is published."""
    ablations = Path(shutil.copytree(ROOT / "ablations", folder / "ablations"))

    def change(scale: dict) -> None:
        models = prepared.data / "models"
        scale["defaults"]["data"]["latents"]["autoencoder"] = str(models / "autoencoder")
        scale["tasks"]["class-conditional"]["pretraining"] = {
            "published": {"format": "public", "path": "models/DiT.pt"}
        }

    edit_yaml(ablations / f"scales/{SCALE}.yaml", change)
    shutil.copytree(prepared.layout.results, folder / "results")
    return Context.open(load_plan(SCALE, ablations), folder / "results", prepared.data)


def test_a_published_baseline_is_imported_and_can_be_trained_on(prepared, tmp_path):
    model = published(prepared, prepared.data / "models/DiT.pt")
    context = with_published(prepared, tmp_path)
    make_reference(context, "class-conditional")
    pretrain(context, "class-conditional", 0)
    converge(context, "class-conditional", 0)
    run = context.plan.run("class-conditional", "baseline", 0)
    loaded = pretrained_backbone(context, run)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    verdict = read_json(context.layout.convergence("class-conditional", 0))
    assert verdict["iterations"] == [0]
    assert not context.layout.pretrained("class-conditional", 0).joinpath("log.jsonl").exists()
    complete_run(context, context.plan.run("class-conditional", "continued", 0))
    assert context.layout.metrics("class-conditional", "continued", 0).is_file()


def test_a_published_baseline_of_another_size_is_refused(prepared, tmp_path):
    published(prepared, prepared.data / "models/DiT.pt", hidden_size=64)
    context = with_published(prepared, tmp_path)
    with pytest.raises(DMPError, match=r"DiT.pt.*32"):
        pretrain(context, "class-conditional", 0)


UNET = "stable-diffusion"


@pytest.fixture(scope="module")
def unet(prepared) -> Context:
    """The U-Net's baseline imported."""
    make_reference(prepared, UNET)
    pretrain(prepared, UNET, 0)
    converge(prepared, UNET, 0)
    return prepared


def test_published_unet_is_the_baseline(unet):
    published = UNet2DConditionModel.from_pretrained(unet.data / "models/pipeline/unet")
    backbone = pretrained_backbone(unet, unet.plan.run(UNET, "baseline", 0))
    for name, value in published.state_dict().items():
        assert torch.equal(backbone.unet.state_dict()[name], value), name
    verdict = read_json(unet.layout.convergence(UNET, 0))
    assert verdict["iterations"] == [0]
    assert np.isfinite(verdict["fids"]).all()


def test_unet_reads_all_states_of_the_caption_that_the_label_names(unet):
    config = unet.plan.scale.tasks[UNET]
    data = task_data(unet, UNET, config)
    backbone = new_backbone(unet, UNET, config)
    encoder = load_text_encoder(config.text.name)
    latents = torch.from_numpy(data.held_out.images)
    labels = torch.from_numpy(data.held_out.labels)
    t = torch.full((len(labels),), 500)
    texts = [data.captions.texts[label] for label in labels.tolist()]
    # The cache keeps half precision.
    states = encoder.encode(texts)[0].half().float()
    assert states.shape[1:] == (77, 32)
    with torch.no_grad():
        expected = backbone.unet(latents, t, states).sample
        torch.testing.assert_close(backbone(latents, t, labels), expected, rtol=1e-4, atol=1e-4)
        null = torch.full_like(labels, backbone.null_label)
        empty = encoder.encode([""] * len(labels))[0].half().float()
        expected = backbone.unet(latents, t, empty).sample
        torch.testing.assert_close(backbone(latents, t, null), expected, rtol=1e-4, atol=1e-4)
    source = open_checked(unet, "laion")
    every = {text for index in range(len(source)) for text in source.captions(index)}
    assert set(data.captions.texts) == every


@pytest.mark.parametrize("variant", ["baseline", "fine-tuning", "prompt-tuning", "dmp"])
def test_unet_goes_from_files_to_numbers_without_a_variance(unet, variant):
    complete_run(unet, unet.plan.run(UNET, variant, 0))
    names = (UNET, variant, 0)
    table = pd.read_csv(unet.layout.metrics(*names))
    assert np.isfinite(table["value"]).all()
    assert not table["metric"].str.contains("vb").any()
    final = table[table["bin"] == "all"].set_index("metric")["value"]
    assert final["second_fd"] == pytest.approx(final["fid"], rel=1e-9)
    assert final["denoising_mse"] > 0
    with np.load(unet.layout.denoising(*names)) as file:
        assert set(file.files) == {"timesteps", "mse"}
    with np.load(unet.layout.samples(*names)) as samples:
        assert samples["images"].shape == (40, 3, 64, 64)
    with np.load(unet.layout.gate(*names)) as file:
        arrays = dict(file)
    if variant != "dmp":
        assert not arrays
        return
    assert [arrays[f"weights_{block}"].shape for block in range(4)] == [
        *((10, 64), (10, 16), (10, 64), (10, 64))
    ]
    last = table[table["iteration"] == 6].set_index("metric")["value"]
    for prompts in (16, 64):
        # A softmax over K prompts has mean 1/K, however the gate chooses.
        assert last[f"gate_weight/{prompts}"] == pytest.approx(1 / prompts, rel=1e-5)
        assert 0.9 < last[f"gate_evenness/{prompts}"] <= 1 + 1e-9
    log = unet.layout.run(*names) / "log.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(not any("vb" in key for key in record) for record in records)
    assert {"gate/epsilon_scale/16", "gate/epsilon_scale/64"} <= set(records[-1])


def test_tables_of_a_unet_say_what_is_inferred_and_what_it_lacks(unet):
    for variant in ("baseline", "dmp"):
        if not unet.layout.metrics(UNET, variant, 0).is_file():
            complete_run(unet, unet.plan.run(UNET, variant, 0))
    text = compare(unet.plan, unet.layout, [f"{UNET}/dmp/seed0", f"{UNET}/baseline/seed0"])
    # Lines are filled to a width.
    text = " ".join(text.split())
    assert "inferred here: the input of each transformer block" in text
    assert "replicates none of the paper's numbers" in text
    assert "Denoising VB" not in text
    assert "Denoising MSE" in text


def test_published_weights_are_imported_by_one_process(unet, monkeypatch):
    """Several processes would remove each other's files."""
    monkeypatch.setattr("dmp.stages.pretrain.is_main_process", lambda: False)
    monkeypatch.setattr(
        "dmp.stages.pretrain.import_baseline", lambda *_: pytest.fail("imported by another process")
    )
    pretrain(unet, UNET, 0)
