"""A U-Net in a scale: what it needs and cannot have is said when the scale is read."""

import pytest
from harness import edit_yaml

from dmp.errors import DMPError
from dmp.studies import load_plan

TASK = "stable-diffusion"


def broken(ablations, change, scale="paper"):
    edit_yaml(ablations / f"scales/{scale}.yaml", lambda data: change(data["tasks"][TASK]))
    return load_plan(scale, ablations)


@pytest.mark.parametrize("scale", ["paper", "paper-smoke"])
def test_unet_is_a_task_of_the_papers_scale(ablations, scale):
    plan = load_plan(scale, ablations)
    assert not plan.scale.not_run
    task = plan.scale.tasks[TASK]
    assert task.backbone.kind == "unet"
    assert task.training.loss == "simple"
    assert {v for t, v in plan.variants("table2") if t == TASK} == {
        *("baseline", "fine-tuning", "prompt-tuning", "dmp")
    }
    # What the table of another scale says of it, and of what its metrics lack.
    assert "inferred" in task.caution
    cells = [cell for cell in plan.studies["table2"].cells if cell.task == TASK]
    assert all(set(cell.unmeasured) == {"denoising_vb"} for cell in cells)
    others = [cell for cell in plan.studies["table2"].cells if cell.task != TASK]
    assert not any(cell.unmeasured for cell in others)


def test_task_at_paper_scale_is_stable_diffusion(ablations):
    task = load_plan("paper", ablations).scale.tasks[TASK]
    assert task.data.source.resolution == 512
    assert task.training.iterations == 50_000
    assert task.diffusion.schedule == "scaled-linear"
    assert task.backbone.depth == 16


def test_dit_keeps_its_hash_whether_its_kind_is_spelled_out_or_not(ablations):
    plain = load_plan("digits", ablations).run("unconditional", "dmp", 0)
    assert "kind" not in plain.model_dump()["config"]["backbone"]
    edit_yaml(
        ablations / "scales/digits.yaml", lambda d: d["defaults"]["backbone"].update(kind="dit")
    )
    assert load_plan("digits", ablations).run("unconditional", "dmp", 0).hash == plain.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t["pretraining"].pop("published"),
            r"paper.yaml: 'tasks.stable-diffusion'.*pretraining.published.format = None does not "
            r"go with backbone.kind = unet; accepted: diffusers-unet",
        ),
        (
            lambda t: t["pretraining"]["published"].update(format="diffusers"),
            r"pretraining.published.format = diffusers does not go .* accepted: diffusers-unet",
        ),
        (
            lambda t: (t.update(conditioning="none"), t.pop("text")),
            r"conditioning = none does not go with backbone.kind = unet; accepted: text",
        ),
        (
            lambda t: t["text"].update(hidden_size=512),
            r"text.hidden_size = 512 does not go with backbone.kind = unet; accepted: 768",
        ),
        (
            lambda t: t["diffusion"].update(schedule="cosine"),
            r"diffusion.schedule = cosine does not go .* accepted: scaled-linear",
        ),
        (
            lambda t: t["training"].update(loss="hybrid"),
            r"training.loss = hybrid does not go with backbone.kind = unet; accepted: simple",
        ),
        (
            lambda t: t["data"]["source"].update(resolution=520),
            r"block_out_channels has 4 stages, which halve the 65-point latents 3 times; 65 is not "
            r"a multiple of 8",
        ),
        (
            lambda t: t["backbone"].update(attention_stages=5),
            r"attention_stages = 5, but block_out_channels has 4 stages",
        ),
        (
            lambda t: t["backbone"].update(norm_num_groups=7),
            r"norm_num_groups = 7 does not divide the width 320",
        ),
        (
            lambda t: t["backbone"].update(kind="u-net"),
            r"'tasks.stable-diffusion.backbone': unknown kind; accepted: dit, unet",
        ),
        (
            lambda t: t["backbone"].update(layers_per_blok=2),
            r"unknown key '\S+layers_per_blok': did you mean 'layers_per_block'\? accepted: "
            r"attention_head_dim, attention_stages, block_out_channels, cross_attention_dim, ",
        ),
    ],
)
def test_what_does_not_fit_a_unet_is_one_clear_error(ablations, change, message):
    with pytest.raises(DMPError, match=message) as error:
        broken(ablations, change)
    assert "\n" not in str(error.value)


def test_dit_cannot_take_the_weights_of_a_unet(ablations):
    def change(data):
        published = {"format": "diffusers-unet", "path": "models/unet"}
        data["tasks"]["unconditional"]["pretraining"]["published"] = published

    edit_yaml(ablations / "scales/paper.yaml", change)
    with pytest.raises(DMPError, match=r"diffusers-unet needs backbone.kind = unet; it is"):
        load_plan("paper", ablations)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("dmp,position=prepend", r"position = prepend is not for a U-Net.* accepted: add"),
        ("dmp,condition=t+c", r"condition = t\+c is not for a U-Net.* accepted: t"),
        ("dmp,gate=attention", r"gate = attention is not .* accepted: linear, constant, none"),
        ("fine-tuning,loss=hybrid", r"loss = hybrid trains a variance, .* accepted: simple"),
        (
            "prompt-tuning,learning_rate_factor=one-over-n",
            r"one-over-n needs one number of tokens.*; give a number",
        ),
        ("dmp,depth=17", r"depth = 17, but the backbone has 16 blocks"),
        ("dmp,placement=stage-inputs,depth=10", r"depth = 10, but the backbone has 9 blocks"),
        ("dmp,resize=bicubic", r"resize = bicubic changes nothing at one resolution"),
    ],
)
def test_variants_that_a_unet_cannot_have_are_refused(ablations, variant, message):
    with pytest.raises(DMPError, match=message):
        load_plan("paper", ablations).run(TASK, variant, 0)


def test_both_inferred_placements_are_variants_of_a_unet_alone(ablations):
    plan = load_plan("paper", ablations)
    run = plan.run(TASK, "dmp,placement=stage-inputs", 0)
    assert run.patch.placement == "stage-inputs"
    with pytest.raises(DMPError, match="placement = stage-inputs is for U-Nets"):
        plan.run("unconditional", "dmp,placement=stage-inputs", 0)


def test_memory_bounds_how_many_images_a_task_sees_at_once(ablations):
    execution = load_plan("paper", ablations).scale.execution
    assert execution.at_once(TASK) == execution.at_once(TASK, 256) == 50
    assert execution.at_once(TASK, 10) == 10
    assert execution.at_once("unconditional") == 250
    assert execution.at_once("unconditional", 256) == 256
    edit_yaml(
        ablations / "scales/paper.yaml",
        lambda data: data["execution"].update(batch_limits={"stable-difusion": 50}),
    )
    with pytest.raises(DMPError, match=r"unknown task 'stable-difusion': did you mean 'stable-di"):
        load_plan("paper", ablations)


def test_defaults_of_a_dit_are_not_mixed_into_a_unet(ablations):
    assert "patch_size" in (ablations / "scales/paper-smoke.yaml").read_text()
    backbone = load_plan("paper-smoke", ablations).scale.tasks[TASK].backbone
    assert not hasattr(backbone, "patch_size")
