"""Parameter counts of the paper's models, from real modules on the meta device (Table 1)."""

import pandas as pd
import torch

from dmp.backbones import dit
from dmp.config import PatchConfig
from dmp.files import write_csv
from dmp.layout import Layout
from dmp.patching import patch
from dmp.products.results import parameters_product
from dmp.statistics.results import PARAMETER_COLUMNS
from dmp.studies import Plan


def count_parameters(plan: Plan, layout: Layout) -> None:
    """Write ``parameters.csv``: exact counts, and the paper's accounting of them."""
    rows = []
    for name, study in plan.parameter_studies.items():
        for cell in study.cells:
            with torch.device("meta"):
                backbone = dit(
                    cell.size,
                    cell.patch_size,
                    study.input_size,
                    study.channels,
                    cell.classes,
                    cell.label_dropout,
                )
                attached = patch(backbone, PatchConfig())
            prompts = sum(p.numel() for p in attached.prompt_parameters())
            gate = sum(p.numel() for p in attached.gate_parameters())
            nominal = cell.nominal_millions
            rows.append(
                {
                    "study": name,
                    "backbone": f"DiT-{cell.size}/{cell.patch_size}",
                    "base_nominal_millions": nominal,
                    "backbone_parameters": sum(p.numel() for p in backbone.parameters()),
                    "prompts": prompts,
                    "gate": gate,
                    "added": prompts + gate,
                    "dmp_millions": nominal + (prompts + gate) / 1e6,
                    "increase_percent": (prompts + gate) / (nominal * 1e4),
                    "paper_base": f"{nominal:g}M",
                    "paper_dmp": cell.paper_dmp,
                    "paper_increase_percent": cell.paper_increase,
                }
            )
    write_csv(layout.parameters_table, pd.DataFrame(rows, columns=list(PARAMETER_COLUMNS)))
    parameters_product(plan, layout).mark_finished()
