"""What ``dmp gpu-check`` leaves behind: a page, its tables, throughput files for ``dmp plan``."""

import datetime
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
import yaml

from dmp.config import from_data
from dmp.files import write_csv, write_text
from dmp.planning.throughput import Gpu, Measurement, Throughput, load_throughput
from dmp.reporting.page import Page, Table, markdown
from dmp.stages.gpu.arms import COMPILED, DMP, FINE_TUNING, PATCHED, PLAIN
from dmp.stages.gpu.checking import Outcome
from dmp.stages.gpu.goals import figures, goals
from dmp.stages.gpu.measuring import Measured
from dmp.stages.provenance import commit_of_code
from dmp.statistics.formatting import MISSING, format_number

WORK = {
    ("training", FINE_TUNING): "full_training",
    ("training", DMP): "patch_training",
    ("sampling", PLAIN): "sampling",
    ("sampling", PATCHED): "patched_sampling",
}
TOY = "The models are toys: this page shows that everything runs, and says nothing of speed."
NOTES = [
    "Times are medians of steps that take turns, so that all steps of a model meet the same "
    "machine; intervals are of 95 % over blocks of turns.",
    "Public recipe: the public DiT's loop around the same model. All parameters train with AdamW "
    "and an average, in float32 with products in TF32 on a GPU, or with bf16 autocast (AMP).",
    "MFU: floating-point operations of the model, nothing computed again among them, over the peak "
    "of the card in the step's precision.",
    "Compiled: the transformer's blocks go through torch.compile, as in jobs of a scale that asks "
    "for it.",
    "A goal that is not met fails nothing; a check that fails does.",
]


@dataclass
class Report:
    """All that is known so far.

    Attributes:
        precision: of this project's steps.
        device: as the driver names it.
        kind: the kind of GPU in ``gpus.yaml``; None if it is none of them.
        largest: the name of the model that MFU is wanted of.
        folder: gets the page and its tables.
        throughput: gets the throughput files.
        toy: whether models are small stand-ins, whose speed says nothing.
        note: for readers of these.
    """

    scale: str
    precision: str
    device: str
    kind: str | None
    gpu: Gpu | None
    largest: str
    folder: Path
    throughput: Path
    toy: bool = False
    note: str = ""
    measured: list[Measured] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write(self, outcomes: list[Outcome]) -> None:
        """Write the page and its tables, each file atomically.

        Raises:
            DMPError: a file cannot be written.
        """
        timed = figures(self.measured, self.gpu, self.precision)
        found = [
            ("checks", "Checks", 3, pd.DataFrame(vars(outcome) for outcome in outcomes)),
            ("figures", "Time and memory of a step", 3, timed),
            ("goals", "Goals", 1, self.goals()),
        ]
        for name, _, _, frame in found:
            write_csv(self.folder / f"{name}.csv", frame)
        tables = [Table(t, frame.map(_cell), words) for _, t, words, frame in found if len(frame)]
        write_text(self.folder / "gpu-check.md", markdown(self._page(tables)))

    def goals(self) -> pd.DataFrame:
        """Return how what was measured stands beside what we want."""
        return goals(self.measured, self.gpu, self.precision, self.largest)

    def goal_lines(self) -> list[str]:
        """Return a line for each goal."""
        rows = self.goals()[["verdict", "goal", "measured"]].itertuples(index=False, name=None)
        return [f"{verdict:9} {goal}: {format_number(value)}" for verdict, goal, value in rows]

    def _page(self, tables: list[Table]) -> Page:
        known = f"known as {self.kind}" if self.kind else "not in gpus.yaml: MFU is not reported"
        return Page(
            title=f"GPU check on {self.device}",
            warning=TOY if self.toy else "",
            introduction=[
                f"{self.device} ({known}), torch {torch.__version__}, {self.precision}, commit "
                f"{commit_of_code()}, {_today()}."
            ],
            tables=tables,
            notes=[*dict.fromkeys(self.notes), *NOTES],
        )

    def write_throughput(self) -> list[Path]:
        """Write the throughput files and return their paths.

        A file of the same device, torch and commit keeps its other models.

        Raises:
            DMPError: a file cannot be written, or one that is there is not valid.
        """
        there, paths = load_throughput(self.throughput), []
        for compiled in (False, True):
            models = self._measurements(COMPILED if compiled else "")
            if not models:
                continue
            gpu = self.kind or re.sub(r"[^A-Za-z0-9]+", "-", self.device).strip("-")
            name = f"{gpu}-{self.scale}-{self.precision}{'-compiled' if compiled else ''}.yaml"
            head = {"gpu": gpu, "device": self.device, "torch": torch.__version__}
            head["commit"] = str(commit_of_code())
            before = there.get(name)
            if before is not None and all(getattr(before, k) == v for k, v in head.items()):
                new = {model.name for model in models}
                models = [*(old for old in before.models if old.name not in new), *models]
            notes = dict.fromkeys([self.note, TOY * self.toy, *self.notes])
            file = Throughput(
                **head,
                date=_today(),
                precision="bf16" if self.precision == "bf16" else "fp32",
                compiled=compiled,
                note="; ".join(note for note in notes if note),
                models=models,
            )
            data = file.model_dump(exclude_none=True)
            paths.append(self.throughput / name)
            write_text(paths[-1], yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
        return paths

    def _measurements(self, suffix: str) -> list[Measurement]:
        """Return what was measured of each model, for ``dmp plan``."""
        found: dict[str, dict] = {}
        for each in self.measured:
            model, batch = each.model, each.batch
            data = found.setdefault(
                model.name,
                {
                    **model.sizes.model_dump(),
                    "name": model.name,
                    "batch_size": model.batch_size,
                    "sampling_batch_size": model.sampling_batch_size,
                },
            )
            data["batch_size" if each.stage == "training" else "sampling_batch_size"] = batch
            for (stage, arm), work in WORK.items():
                if stage == each.stage and arm + suffix in each.arms:
                    data[work] = batch / each.seconds(arm + suffix)
                    data[f"{work}_memory"] = each.memory.get(arm + suffix)
        some = {name: data for name, data in found.items() if set(data) & set(WORK.values())}
        return [from_data(Measurement, data, name) for name, data in some.items()]


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    return format_number(value) if isinstance(value, float) else str(value)
