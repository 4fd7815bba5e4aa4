"""The paper's path on small data in real formats: checked, encoded, trained, sampled, judged."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from harness import ROOT, edit_yaml

from dmp.backbones import DiT
from dmp.data.captions import load_captions
from dmp.data.crop import center_crop
from dmp.errors import DMPError
from dmp.files import read_json
from dmp.stages.check_data import check_data
from dmp.stages.common import Context, new_backbone, open_autoencoder, pretrained_backbone
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
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("disk")
    write_all(folder / "data")
    ablations = Path(shutil.copytree(ROOT / "ablations", folder / "ablations"))

    def change(scale: dict) -> None:
        models = folder / "data/models"
        scale["defaults"]["data"]["latents"]["autoencoder"] = str(models / "autoencoder")
        text = scale["tasks"]["text-conditional"]
        text["text"]["name"] = str(models / "text-encoder")
        # As if the training split had a split for evaluation beside it.
        text["data"]["test"] = text["data"]["source"]

    edit_yaml(ablations / f"scales/{SCALE}.yaml", change)
    context = Context.open(load_plan(SCALE, ablations), folder / "results", folder / "data")
    for name, source in context.plan.sources().items():
        check_data(source, context.data, name, context.layout.manifest(name), 2)
    for name in ("ffhq", "imagenet", "coco"):
        for part in (1, 2):
            encode_part(context, name, part, 2)
        verify_parts(context, name)
    encode_captions(context, "text-conditional")
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
    model.initialize_weights(torch.Generator().manual_seed(0))
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
