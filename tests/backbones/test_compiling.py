"""Blocks that go through torch.compile: the numbers are the same, but for rounding."""

from types import SimpleNamespace

import pytest
import torch
import torch._dynamo
import torch._dynamo.utils
import torch._inductor.config

from dmp.backbones import DiT, compiling
from dmp.backbones.compiling import are_compiled, compile_blocks
from dmp.backbones.dit import DiTBlock
from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.methods import find_method
from dmp.stages import common
from dmp.stages.common import Context
from dmp.training import Objective


@pytest.fixture
def as_before(monkeypatch):
    """Undo what compile_blocks sets for a whole process."""
    monkeypatch.setattr(DiTBlock, "forward", DiTBlock.forward)
    dynamo, inductor = torch._dynamo.config, torch._inductor.config
    # These keep what is set, and bring it back.
    with (
        dynamo.patch(
            recompile_limit=dynamo.recompile_limit,
            fail_on_recompile_limit_hit=dynamo.fail_on_recompile_limit_hit,
        ),
        inductor.patch(deterministic=inductor.deterministic),
    ):
        yield
    torch.compiler.reset()


def gradients(name: str, edge: int = 8) -> dict[str, torch.Tensor]:
    """Return the gradients of a step, by name, of a backbone whose blocks do something."""
    torch.manual_seed(0)
    backbone = DiT(8, 2, 1, 16, 3, 2)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    if edge != backbone.input_size:
        backbone = backbone.resized(edge)
    method = find_method(name)
    whole = Objective(
        backbone, Diffusion("cosine", 10), method.attach(backbone, method.options(), 0)
    )
    images = torch.randn(4, 1, edge, edge)
    labels, timesteps = torch.zeros(4, dtype=torch.int64), torch.arange(4)
    whole(Batch(images, labels, timesteps, images.flip(0))).total.backward()
    return {key: p.grad for key, p in whole.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("method", ["dmp", "fine-tuning", "prompt-tuning", "lora", "bitfit"])
def test_a_step_of_every_kind_of_method_is_the_same(method, as_before):
    expected = gradients(method)
    assert not are_compiled()
    compile_blocks("aot_eager")
    found = gradients(method)
    assert found.keys() == expected.keys() != set()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)
    assert are_compiled()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_more_shapes_than_torch_compiles_are_an_error_and_kernels_are_not_tried_out(
    as_before, monkeypatch
):
    monkeypatch.setattr(compiling, "VARIANTS", 2)
    compile_blocks("aot_eager")
    assert torch._inductor.config.deterministic
    gradients("fine-tuning")
    gradients("fine-tuning", edge=12)
    with pytest.raises(Exception, match="recompile_limit"):
        gradients("fine-tuning", edge=16)


def test_machine_that_cannot_compile_is_told_so(as_before, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    with pytest.raises(DMPError, match=r"execution\.compile .*: this machine has no C compiler"):
        compile_blocks()
    assert not are_compiled()


def test_all_blocks_share_code_and_other_sizes_have_their_own(as_before):
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compile_blocks(backend)
    gradients("fine-tuning")
    assert len(graphs) == 1
    gradients("fine-tuning", edge=12)
    assert len(graphs) == 2
    gradients("fine-tuning")
    assert len(graphs) == 2


@pytest.mark.parametrize(
    ("device", "asked", "compiles"), [("cuda", True, 1), ("cuda", False, 0), ("cpu", True, 0)]
)
def test_jobs_compile_where_a_scale_asks_for_it_on_a_gpu(
    device, asked, compiles, monkeypatch, tmp_path
):
    done = []
    monkeypatch.setattr(common, "settle_torch", lambda _: device)
    monkeypatch.setattr(common, "compile_blocks", lambda: done.append(device))
    execution = SimpleNamespace(threads=1, compile=asked)
    scale = SimpleNamespace(execution=execution, numerics="native")
    Context.open(SimpleNamespace(scale=scale, name="any"), tmp_path)
    assert len(done) == compiles
