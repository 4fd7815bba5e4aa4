"""The examples of the documentation run as they stand, at toy size, and do what they say."""

import re
import runpy

import nbformat
import pytest
import torch
from harness import ROOT

from dmp import DMPError, PatchConfig, patch, patch_points

EXAMPLES = ROOT / "docs/examples"


def test_script_trains_saves_loads_and_samples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(EXAMPLES / "train_a_patch.py"))["main"]
    model, fresh, latents = main(tmp_path / "patch", steps=3, batch_size=4)
    assert {p.name for p in (tmp_path / "patch").iterdir()} == {"README.md", "patch.safetensors"}
    assert latents.shape == (4, 4, 8, 8)
    assert torch.isfinite(latents).all()
    x, t, y = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.tensor([1, 2])
    with torch.no_grad():
        patched, plain = (each(x, timestep=t, class_labels=y).sample for each in (model, fresh))
    assert not torch.equal(patched, plain)
    assert "trainable params: 1,056 || all params: " in capsys.readouterr().out


def test_the_page_shows_the_function_of_the_script_which_is_short():
    text = (EXAMPLES / "train_a_patch.py").read_text()
    train = re.search(r"def train\(.*?return attached\.eval\(\)\n", text, re.DOTALL)[0]
    assert train.count("\n") <= 25
    assert train in (ROOT / "docs/own-model.md").read_text()


def test_notebook_is_valid_and_its_cells_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(EXAMPLES / "patch_in_five_cells.ipynb", as_version=4)
    nbformat.validate(notebook)
    names: dict = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            exec(cell.source.replace("STEPS = 300", "STEPS = 2"), names)
    told = capsys.readouterr().out
    plain, patched, trained, loaded = re.findall(r"^\w[\w ]*: +(\d\.\d{4})", told, re.MULTILINE)[:4]
    assert plain == patched
    assert loaded == trained
    assert names["STEPS"] == 2
    assert f"{sum(p.numel() for p in names['attached'].parameters()):,} parameters" in told


def test_adapter_of_the_documentation_serves_a_model_that_is_nobodys():
    page = (ROOT / "docs/own-model.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
               if "patch_points.register" in block)  # fmt: skip
    names: dict = {}
    exec(code, names)
    torch.manual_seed(0)
    model, x = names["MyTransformer"]().eval(), torch.randn(2, 3, 8, 8)
    t = torch.tensor([3, 700])
    plain = model(x, t)
    assert plain.shape == x.shape
    attached = patch(model, PatchConfig())
    assert torch.equal(model(x, t), plain)
    assert len(patch_points(model).blocks("transformer-blocks")) == len(attached.prompts) == 2
    with torch.no_grad():
        attached.prompts.add_(1)
    assert not torch.equal(model(x, t), plain)
    with pytest.raises(DMPError, match=r"known backbones: .*MyTransformer"):
        patch(torch.nn.Linear(2, 2), PatchConfig())
