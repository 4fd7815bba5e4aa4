"""Every stage of a tiny benchmark, in one process: what another processor has to compute alike.

    python .ci/every_stage.py FOLDER

Extractor, references, captions, baselines, further training by each method and kind of option,
samples, metrics, numbers, tables and verdicts, of all three kinds of conditioning, far too small to
mean anything; and one training step at a real size. tests/workflow/test_portable.py runs it on this
processor and on emulated ones, which multiply floating-point numbers a hundred times slower: each
kind of operation comes once, on as few images as it takes.
"""

import gc
import os
import shutil
import sys
from pathlib import Path

import yaml
from one_step import one_step

from dmp.cli import app
from dmp.cli.workspace import Workspace
from dmp.data.registry import DATASETS, Images, Phrases, dataset, numerals

ROOT = Path(__file__).parents[1]
SCALE = "smoke"
# A part of table 2, of two seeds.
SHOWN = {
    "unconditional": ("baseline", "dmp"),
    "class-conditional": ("baseline", "fine-tuning", "dmp"),
    "text-conditional": ("baseline", "dmp,condition=t+c"),
}
# Variants of one seed, whose options compute what the defaults do not: each option once, and as
# many of them in one variant as can be combined.
OPTIONS = {
    "unconditional": (
        "prompt-tuning,timestep_ranges=2",
        "dmp,gate=attention,grid=2,resize=bicubic,type=hard",
        "dmp,mixture=pool",
        "dmp,ema_decay=0.9,loss=simple,position=prepend,prompts=6",
    ),
    "class-conditional": ("released,load=smooth", "lora"),
    "text-conditional": ("difffit",),
}


def few_digits() -> Images:
    """Few enough images for an emulator, which takes a second for a dozen of them."""
    images, labels = DATASETS["digits"].load()
    return Images(images[:32], labels[:32])


def few_phrases() -> Phrases:
    """Two captions of each label for training, and one for testing: encoding them takes longest."""
    every = numerals()
    return Phrases([c[:2] for c in every.train], [c[:1] for c in every.test])


dataset("few_digits", image_size=8, channels=1, classes=10, flip=False, phrases=few_phrases)(
    few_digits
)


def edited(path: Path, change) -> None:
    """Apply ``change`` to the data of a YAML file."""
    data = yaml.safe_load(path.read_text())
    change(data)
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def tiny(folder: Path) -> Path:
    """Write a copy of ablations/ in which every stage is as small as it can be."""
    ablations = Path(shutil.copytree(ROOT / "ablations", folder / "ablations"))

    def scale(data: dict) -> None:
        defaults = data["defaults"]
        data["seeds"], data["baseline_seeds"] = 2, 1
        data["tasks"] = {name: data["tasks"][name] for name in SHOWN}
        data["tasks"]["unconditional"]["pretraining"] = {"decay": 0.5}
        for text in (task["text"] for task in data["tasks"].values() if "text" in task):
            text.update(hidden_size=16, heads=2)
        defaults["data"].update(name=few_digits.__name__, held_out=0.5, extractor=0.2)
        defaults["backbone"].update(hidden_size=16, num_heads=2)
        defaults["pretraining"].update(iterations=4, batch_size=8, checkpoint_every=2, log_every=2)
        defaults["pretraining"].update(convergence_every=1, convergence_samples=4)
        defaults["training"].update(iterations=2, batch_size=8, checkpoint_every=1, log_every=1)
        defaults["sampling"].update(steps=2, samples=8)
        defaults["evaluation"].update(kid_subset_size=6, kid_subsets=2, timesteps_per_image=2)
        defaults["evaluation"].update(gate_timesteps=2, bins=2, splits=2, held_out_images=4)
        defaults["evaluation"]["extractor"].update(epochs=1)

    def study(data: dict) -> None:
        data["cells"] = [c for c in data["cells"] if c["variant"] in SHOWN.get(c["task"], ())]
        data["comparisons"] = [
            pair
            for pair in data["comparisons"]
            if any({pair["variant"], pair["against"]} <= set(each) for each in SHOWN.values())
        ]
        # Of one task: those of the others come from the same lines.
        data["figures"] = [{"kind": "denoising", "task": "unconditional"}]

    def claims(data: dict) -> None:
        data["claims"] = [claim for claim in data["claims"] if claim["id"] in ("C02", "C06", "C17")]

    edited(ablations / f"scales/{SCALE}.yaml", scale)
    edited(ablations / "studies/table2.yaml", study)
    edited(ablations / "claims.yaml", claims)
    (ablations / "hypotheses.yaml").unlink()
    for path in (ablations / "studies").glob("*.yaml"):
        if path.stem not in ("table1", "table2"):
            path.unlink()
    cells = [{"task": task, "variant": name} for task in OPTIONS for name in OPTIONS[task]]
    options = {"title": "Options", "metrics": ["fid"], "cells": cells}
    (ablations / "studies/options.yaml").write_text(yaml.safe_dump(options))
    return ablations


def sort_stably() -> None:
    """Make pandas sort stably, which NumPy does without AVX2.

    Its other argsort, of 9 to 16 and 37 to 64 numbers, is wrong under QEMU 7.2, though right on
    processors: rows of tables would be permuted.
    """
    import pandas as pd

    def stable(sort):
        return lambda *inputs, **options: sort(*inputs, **{"kind": "stable", **options})

    for table in (pd.DataFrame, pd.Series):
        table.sort_index, table.sort_values = stable(table.sort_index), stable(table.sort_values)


def main(folder: Path) -> None:
    """Compute everything below ``folder``."""
    ablations = tiny(folder)
    plan = Workspace(SCALE, ablations=ablations).plan
    from dmp.data import captions  # imports torch, for which the plan has prepared
    from dmp.stages import claims

    captions.STEPS = 2
    claims.write_figure = lambda figure, path: None  # the table's are drawn by the same lines
    places = ["--scale", SCALE, "--results", f"{folder}/results", "--ablations", f"{ablations}"]

    def dmp(*arguments: str) -> None:
        print(f"dmp {' '.join(arguments)}", flush=True)
        app([*arguments, *places], standalone_mode=False)

    dmp("extractor", few_digits.__name__)
    dmp("captions", "text-conditional")
    for task in SHOWN:
        dmp("reference", task)
        dmp("pretrain", task, "--seed", "0")
        if plan.has_decayed(task):
            dmp("pretrain", task, "--seed", "0", "--recipe", "decayed")
        else:
            dmp("converge", task, "--seed", "0")
        shown = [name for at, name in plan.variants("tables") if at == task]
        dmp("run", task, *shown, "--seed", "0", "--seed", "1")
        dmp("run", task, *OPTIONS[task], "--seed", "0")
    dmp("parameters")
    dmp("collect", "table2", "tables", "claims")
    dmp("pages", "table1", "table2")
    dmp("speed")
    dmp("claims")
    (folder / "results/one_step.txt").write_text("\n".join(one_step()))


def get_ready() -> None:
    """Prepare a process that does nothing else; before pandas and torch are imported."""
    gc.disable()  # an emulator looks for garbage for half a minute
    Workspace(SCALE, ablations=ROOT / "ablations")
    sort_stably()


if __name__ == "__main__":
    get_ready()
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # an emulator takes as long to take everything apart
