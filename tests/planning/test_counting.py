"""Counts on ``meta`` against PyTorch's own counter on real numbers, and published counts."""

from collections.abc import Callable

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from harness import ROOT
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dmp.backbones import SIZES, Backbone, DiT
from dmp.backbones.unet import UNet
from dmp.config import PatchConfig, UNetConfig
from dmp.methods import Variant, find_method
from dmp.methods.attached import Attached
from dmp.metrics.classifier import Classifier
from dmp.patching import GATES, LinearGate, patch
from dmp.planning import networks
from dmp.planning.counting import Counts, count, count_model
from dmp.studies import load_plan

BATCH = 2
TINY_UNET = UNetConfig(
    kind="unet", block_out_channels=(8, 16), layers_per_block=1, attention_stages=1,
    attention_head_dim=2, cross_attention_dim=12, norm_num_groups=4,
)  # fmt: skip


class States:
    """Captions of which nothing but the shape matters."""

    null = 0

    def __init__(self, width: int) -> None:
        self.width = width

    def sequence(self, numbers) -> Tensor:
        return torch.zeros(len(numbers), networks.CAPTION_TOKENS, self.width, device="meta")


class RealStates(States):
    def sequence(self, numbers) -> Tensor:
        return torch.zeros(len(numbers), networks.CAPTION_TOKENS, self.width)


def dit(**more) -> DiT:
    return DiT(8, 2, 1, hidden_size=32, depth=3, num_heads=4, **more)


def of_classes() -> DiT:
    return dit(num_classes=10, class_dropout_prob=0.1)


def of_captions() -> DiT:
    return dit(num_classes=10, captions=torch.zeros(11, 20))


def unet() -> UNet:
    meta = torch.empty(0).device.type == "meta"
    return UNet(TINY_UNET, 8, 4, (States if meta else RealStates)(12))


def macs(compute: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        compute()
    return counter.get_total_flops() / 2


def counted(build: Callable[[], Backbone], config: PatchConfig | None) -> Counts:
    with torch.device("meta"):
        backbone = build()
    return count_model(backbone, lambda: attach(backbone, config), BATCH)


def attach(backbone: Backbone, config: PatchConfig | None) -> Attached:
    if config is None:
        return Attached(backbone)
    return find_method("dmp").attach(backbone, config, seed=0)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        *((build, None) for build in (dit, of_classes, of_captions, unet)),
        *(
            (dit, name)
            for name in (
                "prompt-tuning",
                "dmp",
                "released",
                "dmp,depth=1",
                "dmp,selection=uniform",
                "dmp,block_index=embedded",
                "dmp,block_index=own-gate",
                "dmp,gate=constant",
                "dmp,gate=attention",
                "dmp,gate=attention-literal",
                "dmp,gate=attention-released",
                "dmp,mixture=pool",
                "dmp,gate_timestep=permuted",
                "dmp,gate_timestep=permuted-in-sampling",
                "dmp,position=prepend",
                "dmp,depth=2,position=prepend,prepended=carried,prompts=5",
                "dmp,depth=2,position=prepend,prepended=stays,prompts=5",
                "released,type=hard",
                "dmp,masked_start=true,position=prepend,prompts=0.195",
            )
        ),
        *(
            (unet, name)
            for name in (
                "dmp",
                "dmp,depth=2,block_index=own-gate",
                "dmp,grid=2,resize=bilinear",
                "dmp,placement=stage-inputs,depth=2",
            )
        ),
    ],
)
def test_counts_without_numbers_are_those_of_pytorchs_counter_with_them(build, name):
    config = None if name is None else Variant.parse(name).patch
    found, model = counted(build, config), build()
    numbers = sum(p.numel() for p in model.parameters())
    fixed = 0 if build is unet else model.pos_embed.numel()
    attached = nn.Module() if config is None else patch(model, config)
    if config is not None:
        attached.noise = torch.zeros(BATCH, *attached.noise_shape)
    size = (model.in_channels, model.input_size, model.input_size)
    inputs = torch.zeros(BATCH, *size), *torch.zeros(2, BATCH, dtype=torch.int64)
    assert found.training * BATCH == macs(lambda: model(*inputs).sum().backward())
    attached.eval().requires_grad_(False)
    model.eval().requires_grad_(False)
    assert found.forward * BATCH == macs(lambda: model(*inputs))
    assert found.backbone == numbers
    assert found.frozen == (config is not None)
    added = sum(p.numel() for p in attached.parameters())
    assert found.trained == (added if config is not None else numbers - fixed)
    assert found.saved == (added if config is not None else numbers)


@pytest.mark.parametrize(
    ("size", "gmacs", "parameters"),
    [("B", "23.0", 129_744_416), ("L", "80.7", 457_078_816), ("XL", "118.6", 673_977_632)],
)
def test_published_sizes_have_their_published_counts(size, gmacs, parameters):
    depth, width, heads = SIZES[size]

    def build() -> DiT:
        return DiT(32, 2, 4, width, depth, heads)

    found = counted(build, None)
    assert f"{found.forward / 1e9:.1f}" == gmacs
    assert found.backbone == parameters
    # A frozen backbone spares a third of the arithmetic, but for what attention's gradients take.
    assert 2 < counted(build, PatchConfig()).training / found.forward < 2.06


def test_gate_from_elsewhere_is_counted_without_an_edit(monkeypatch):
    class TwoLayers(LinearGate):
        def __init__(self, config, points, prompts, blocks) -> None:
            super().__init__(config, points, prompts, blocks)
            self.first = nn.Linear(points.condition_size, points.condition_size, bias=False)

        def logits(self, condition, block, prompts) -> Tensor:
            return super().logits(self.first(condition), block, prompts)

    monkeypatch.setitem(GATES, "two-layers", TwoLayers)
    one, two = (
        counted(dit, PatchConfig().model_copy(update={"gate": gate}))
        for gate in ("linear", "two-layers")
    )
    assert two.trained - one.trained == 32**2
    # Before each of three blocks; its gradients are those of its weights, and of the first layer's
    # output: the condition has none.
    assert two.forward - one.forward == 3 * 32**2
    assert two.training - one.training == 3 * (2 * 32**2 + 33 * 16)


@pytest.mark.parametrize("name", ["lora", "ia3", "bitfit", "adaln", "difffit"])
def test_methods_that_change_the_backbone_itself_are_counted(name):
    method = find_method(name)
    with torch.device("meta"):
        meta = dit()
    found = count_model(meta, lambda: method.attach(meta, method.options(), 0), BATCH)
    model = dit()
    numbers = sum(p.numel() for p in model.parameters())
    attached = method.attach(model, method.options(), 0)
    inputs = torch.zeros(BATCH, 1, 8, 8), *torch.zeros(2, BATCH, dtype=torch.int64)
    assert found.training * BATCH == macs(lambda: model(*inputs).sum().backward())
    trained = sum(p.numel() for p in attached.parameters())
    assert (found.backbone, found.trained, found.saved) == (numbers, trained, trained)


def test_networks_around_the_backbone_take_what_the_counter_counts():
    from torchvision.models import inception_v3
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"), torch.no_grad():
        autoencoder = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        ).requires_grad_(False)
        for size in (128, 256):
            image, latents = torch.zeros(1, 3, size, size), torch.zeros(1, 4, size // 8, size // 8)
            assert macs(lambda x=image: autoencoder.encode(x)) == networks.encode(size)
            assert macs(lambda x=latents: autoencoder.decode(x)) == networks.decode(size)
        inception = inception_v3(aux_logits=False, init_weights=False).eval().requires_grad_(False)
        assert macs(lambda: inception(torch.zeros(1, 3, 299, 299))) == networks.INCEPTION
        config = CLIPTextConfig(hidden_size=64, intermediate_size=256, num_hidden_layers=2)
        text = CLIPTextModel(config).requires_grad_(False)
        ids = torch.zeros(1, networks.CAPTION_TOKENS, dtype=torch.int64)
        assert macs(lambda: text(ids)) == networks.text_encoder(64, 2)
        own = Classifier(channels=1, classes=10).requires_grad_(False)
        assert macs(lambda: own(torch.zeros(1, 1, 8, 8))) == networks.classifier(8, 1, 10)


def test_study_of_rivals_says_how_many_parameters_of_each_train():
    plan = load_plan("digits", ROOT / "ablations")
    study = plan.study("rivals")
    tasks = list(dict.fromkeys(cell.task for cell in study.cells))
    found: dict[str, list[str]] = {}
    for cell in study.cells:
        run = plan.run(cell.task, cell.variant, 0)
        if run.method != "baseline":
            found.setdefault(run.method, []).append(f"{count(run).trained:,}")
    told = "; ".join(f"{method} {' / '.join(counts)}" for method, counts in found.items())
    where = " / ".join(tasks)
    note = f"Parameters that train at scale digits, in the tasks {where}: {told}."
    assert note in study.notes
