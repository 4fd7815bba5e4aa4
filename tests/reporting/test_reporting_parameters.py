from types import SimpleNamespace

import pytest

from dmp.errors import DMPError
from dmp.reporting.parameters import write_parameters
from dmp.statistics.results import PARAMETER_COLUMNS, read_csv

STUDY = SimpleNamespace(
    id="table1", title="Parameters with and without DMP", source="Table 1", notes=["A note."]
)
ROWS = (
    "table1,DiT-B/2,130,129751040,2359296,197120,2556416,132.556,1.9665,130M,132.5M,+1.96%\n"
    "table1,DiT-L/2,458,457001000,6291456,262656,6554112,464.55,1.431,458M,464.5M,+1.43%\n"
)


@pytest.fixture
def parameters(tmp_path):
    path = tmp_path / "parameters.csv"
    path.write_text(",".join(PARAMETER_COLUMNS) + "\n" + ROWS)
    return read_csv(path, PARAMETER_COLUMNS)


def test_all_formats_show_counts_and_the_paper_as_printed(parameters, tmp_path):
    write_parameters(STUDY, parameters, tmp_path / "out")
    files = {path.suffix: path.read_text() for path in (tmp_path / "out").glob("[!.]*")}
    assert set(files) == {".csv", ".md", ".tex", ".html"}
    for suffix in (".md", ".html"):
        for text in ("DiT-B/2", "129,751,040", "2,556,416", "132.5M", "+1.96%", "464.5M", "+1.43%"):
            assert text in files[suffix]
    assert r"+1.96\%" in files[".tex"]
    assert files[".csv"].splitlines()[1] == (
        "table1,DiT-B/2,130.0,129751040,2359296,197120,2556416,132.556,1.9665,130M,132.5M,+1.96%"
    )


def test_same_input_gives_the_same_bytes(parameters, tmp_path):
    for folder in ("a", "b"):
        write_parameters(STUDY, parameters, tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_counts_that_do_not_add_up_are_refused(parameters, tmp_path):
    parameters.loc[1, "added"] += 1
    with pytest.raises(DMPError, match="DiT-L/2: prompts = 6291456 and gate = 262656 do not add"):
        write_parameters(STUDY, parameters, tmp_path)


def test_missing_column_is_named(parameters, tmp_path):
    with pytest.raises(DMPError, match="lacks the columns gate"):
        write_parameters(STUDY, parameters.drop(columns="gate"), tmp_path)
