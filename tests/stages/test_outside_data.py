"""Another package adds a format by its entry point, and its data are trained on."""

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import ROOT, edit_yaml
from tiny_models import write_autoencoder

from dmp.data import formats
from dmp.errors import DMPError
from dmp.files import read_json
from dmp.products.prepared import manifest_product
from dmp.stages.check_data import check_data
from dmp.stages.common import Context
from dmp.stages.data import task_data
from dmp.stages.prepare import encode_part, verify_parts
from dmp.stages.pretrain import pretrain
from dmp.studies import load_plan

MODULE = '''
import io
import numpy as np
from PIL import Image
from pydantic import PositiveInt
from dmp.config import Strict
from dmp.data.formats import dataset_format
from dmp.data.sources.base import Source


class Options(Strict):
    edge: PositiveInt = 64


@dataset_format("raw")
class Raw(Source):
    """One array of grey levels for each image, in one .npy file."""

    expected = "a .npy file of grey levels"
    origin = "A scanner."
    Options = Options

    def __init__(self, config, path):
        super().__init__(config, path)
        self._edge = Options(**config.options).edge
        self._levels = np.load(path)
        self.classes = ["even", "odd"]

    def __len__(self):
        return len(self._levels)

    def name(self, index):
        return f"{index:03d}"

    def read(self, index):
        image = Image.fromarray(self._levels[index]).convert("RGB").resize((self._edge,) * 2)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    def label(self, index):
        return index % 2
'''
ENTRIES = "[dmp.formats]\nraw = outside_data\n"


@pytest.fixture(scope="module")
def _outside(tmp_path_factory):
    """Install the package for the tests of this module."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "outside_data.py").write_text(MODULE)
    (folder / "outside_data-1.dist-info").mkdir()
    (folder / "outside_data-1.dist-info/METADATA").write_text("Name: outside-data\nVersion: 1\n")
    (folder / "outside_data-1.dist-info/entry_points.txt").write_text(ENTRIES)
    formats.format_names()  # those of this package, which are registered once
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(formats, "_FORMATS", dict(formats._FORMATS))
        formats._load.cache_clear()
        importlib.invalidate_caches()
        yield
    sys.modules.pop("outside_data", None)


def on_disk(folder: Path, **changes) -> Context:
    """A plan whose one task has data in the format from outside."""
    shutil.rmtree(folder / "ablations", ignore_errors=True)
    ablations = Path(shutil.copytree(ROOT / "ablations", folder / "ablations"))

    def change(scale: dict) -> None:
        scale["defaults"]["data"]["latents"]["autoencoder"] = str(folder / "autoencoder")
        task = scale["tasks"]["class-conditional"]
        task["data"]["name"] = "scans"
        task["data"]["source"] = {
            **{"format": "raw", "path": "scans.npy", "resolution": 64, "classes": 2},
            **{"images": 40, "options": {"edge": 80}},
            **changes,
        }

    edit_yaml(ablations / "scales/paper-smoke.yaml", change)
    return Context.open(load_plan("paper-smoke", ablations), folder / "results", folder)


@pytest.mark.usefixtures("_outside")
def test_a_format_from_outside_goes_from_its_file_to_training(tmp_path):
    write_autoencoder(tmp_path / "autoencoder")
    levels = np.random.default_rng(0).integers(0, 256, (40, 16, 16), np.uint8)
    np.save(tmp_path / "scans.npy", levels)
    context = on_disk(tmp_path)
    manifest = context.layout.manifest("scans")
    check_data(context.plan.source("scans"), tmp_path, "scans", manifest, 1)
    assert read_json(manifest)["sizes"] == {"80x80": 40}
    encode_part(context, "scans", 1, 1)
    verify_parts(context, "scans")
    data = task_data(context, "class-conditional", context.plan.scale.tasks["class-conditional"])
    assert (len(data.train), len(data.held_out.images)) == (30, 10)
    pretrain(context, "class-conditional", 0)
    assert context.layout.pretrained_weights("class-conditional", 0).is_file()
    # Its options are part of what a run is, and are checked when the scale is read.
    other = on_disk(tmp_path, options={"edge": 81})
    first, second = (manifest_product(c.plan, c.layout, "scans") for c in (context, other))
    assert first.fingerprint != second.fingerprint
    with pytest.raises(DMPError, match=r"data\.source: options: unknown key 'egde': did you mean"):
        on_disk(tmp_path, options={"egde": 80})


@pytest.mark.usefixtures("_outside")
def test_names_from_outside_are_among_those_that_are_accepted():
    with pytest.raises(DMPError, match="unknown format 'rwa': did you mean 'raw'"):
        formats.find_format("rwa")
