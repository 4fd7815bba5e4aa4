"""A metric is one class: its name is known, or refused, wherever it is given."""

import subprocess
import sys

import pytest
from harness import edit_yaml

from dmp.errors import DMPError
from dmp.statistics.labels import metric_label, metric_name
from dmp.studies import load_plan


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "studies/table2",
            lambda study: study.update(metrics=["fdi"]),
            r"table2.yaml: 'metrics.0' = 'fdi': unknown metric 'fdi': did you mean 'fid'\?",
        ),
        (
            "studies/table2",
            lambda study: study["cells"][0].update(paper={"fidd": 6.27}),
            r"'cells.0.paper.fidd.*unknown metric 'fidd': did you mean 'fid'",
        ),
        (
            "scales/smoke",
            lambda scale: scale["defaults"]["evaluation"].update(metrics=["brightnes"]),
            r"smoke.yaml: tasks.*evaluation.metrics.0: unknown metric 'brightnes': acc",
        ),
    ],
)
def test_an_unknown_metric_is_refused_when_the_file_is_read(tiny, file, change, message):
    edit_yaml(tiny / f"{file}.yaml", change)
    with pytest.raises(DMPError, match=message):
        load_plan("smoke", tiny)


def test_labels_are_those_of_the_class():
    assert (metric_label("fid"), metric_name("fid")) == ("FID ↓", "FID")
    assert metric_label("gate_entropy") == "Gate entropy"
    assert metric_label("unheard_of") == metric_name("unheard_of") == "unheard_of"


def test_describing_metrics_needs_neither_torch_nor_numpy():
    """A plan is read before the environment is settled in which they compute."""
    code = "from dmp.metrics.registry import quantities; import sys; quantities(); "
    code += "print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
