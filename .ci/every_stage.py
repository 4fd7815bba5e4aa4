"""Every stage of a tiny benchmark, in one process: what another processor has to compute alike.

    python .ci/every_stage.py FOLDER

Extractor, references, captions, baselines, fine-tuning, prompt tuning, DMP and its options,
samples, metrics, numbers, tables and verdicts, of all three kinds of conditioning, far too small to
mean anything. tests/workflow/test_portable.py runs it on this processor and on emulated ones.
"""

import shutil
import sys
from pathlib import Path

import yaml

from dmp.cli import app
from dmp.cli.workspace import Workspace
from dmp.data.registry import DATASETS, Images, Phrases, dataset, numerals

ROOT = Path(__file__).parents[1]
SCALE = "smoke"
TASKS = ("unconditional", "class-conditional", "text-conditional")
# Options that compute what the default does not.
OPTIONS = (
    "dmp,type=hard",
    "dmp,gate=attention",
    "dmp,mixture=pool",
    "dmp,position=prepend,prompts=6",
    "dmp,gate_noise=true,load=smooth",
    "dmp,grid=1,resize=bicubic,ema_decay=0.9,loss=simple",
    "released",
)


def few_digits() -> Images:
    """Few enough images for an emulator, which takes a second for a dozen of them."""
    images, labels = DATASETS["digits"].load()
    return Images(images[:128], labels[:128])


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
        data["seeds"] = 2
        data["tasks"].pop("unconditional-large")
        for text in (task["text"] for task in data["tasks"].values() if "text" in task):
            text.update(hidden_size=16, heads=2)
        defaults["data"].update(name=few_digits.__name__, held_out=0.5)
        defaults["backbone"].update(hidden_size=16, num_heads=2)
        defaults["pretraining"].update(iterations=8, batch_size=16, checkpoint_every=4, log_every=4)
        defaults["pretraining"].update(convergence_every=2, convergence_samples=20)
        defaults["training"].update(iterations=4, batch_size=16, checkpoint_every=2, log_every=2)
        defaults["sampling"].update(steps=3, samples=20)
        defaults["evaluation"].update(kid_subset_size=16, kid_subsets=3, timesteps_per_image=5)
        defaults["evaluation"].update(gate_timesteps=3, splits=2)
        defaults["evaluation"].update(held_out_images=8)
        defaults["evaluation"]["extractor"].update(epochs=1)

    def study(data: dict) -> None:
        data["cells"] = [c for c in data["cells"] if c["task"] in TASKS]
        extra = [{"task": "unconditional", "variant": variant} for variant in OPTIONS]
        data["cells"] += extra
        data["comparisons"] = [c for c in data["comparisons"] if c.get("task") in (None, *TASKS)]

    def claims(data: dict) -> None:
        data["claims"] = [claim for claim in data["claims"] if claim["id"] in ("C02", "C06", "C17")]

    edited(ablations / f"scales/{SCALE}.yaml", scale)
    edited(ablations / "studies/table2.yaml", study)
    edited(ablations / "claims.yaml", claims)
    for path in (ablations / "studies").glob("*.yaml"):
        if path.stem not in ("table1", "table2"):
            path.unlink()
    return ablations


def main(folder: Path) -> None:
    """Compute everything below ``folder``."""
    ablations = tiny(folder)
    plan = Workspace(SCALE, ablations=ablations).plan
    places = ["--scale", SCALE, "--results", f"{folder}/results", "--ablations", f"{ablations}"]

    def dmp(*arguments: str) -> None:
        print(f"dmp {' '.join(arguments)}", flush=True)
        app([*arguments, *places], standalone_mode=False)

    dmp("extractor", few_digits.__name__)
    dmp("captions", "text-conditional")
    for task in TASKS:
        dmp("reference", task)
        dmp("pretrain", task, "--seed", "0")
        dmp("converge", task, "--seed", "0")
        variants = [name for at, name in plan.variants() if at == task]
        dmp("run", task, *variants, "--seed", "0", "--seed", "1")
    dmp("parameters")
    dmp("collect", "table2", "tables", "claims")
    dmp("pages", "table1", "table2")
    dmp("speed")
    dmp("claims")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
