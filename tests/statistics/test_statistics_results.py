import pandas as pd
import pytest

from dmp.errors import DMPError
from dmp.statistics.results import check_results, read_baselines, read_results

HEADER = (
    "task,variant,seed,baseline_seed,metric,bin,iteration,value,samples,protocol,evaluator,commit,"
    "config\n"
)
ROW = 'unconditional,"dmp,gate=attention",0,0,fid,all,300,6.27,1438,12e4,NA,0012345,1234567890\n'
BASELINES = (
    "task,baseline_seed,converged,fid_last,relative_change,p_value,iterations,commit\n"
    "unconditional,0,False,12.5,-0.08,0.001,4000,0012345\n"
)


def write(folder, text):
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_text_that_looks_like_a_number_or_a_missing_value_stays_text(tmp_path):
    row = read_results(write(tmp_path, HEADER + ROW)).iloc[0]
    assert (row.protocol, row.commit, row.config) == ("12e4", "0012345", "1234567890")
    assert (row.variant, row.seed, row.value) == ("dmp,gate=attention", 0, 6.27)
    assert row.evaluator == "NA"


def test_numbers_survive_the_file_to_the_last_bit(tmp_path):
    value = 0.1 + 0.2
    path = write(tmp_path, HEADER + ROW.replace("6.27", repr(value)))
    assert read_results(path)["value"].iloc[0] == value


def test_baselines_are_read(tmp_path):
    row = read_baselines(write(tmp_path, BASELINES)).iloc[0]
    assert not row.converged
    assert (row.fid_last, row.iterations, row.commit) == (12.5, 4000, "0012345")


def test_a_table_without_rows_has_the_types_of_one_with_rows(tmp_path):
    full = read_baselines(write(tmp_path, BASELINES))
    empty = read_baselines(write(tmp_path, BASELINES.splitlines()[0] + "\n"))
    assert len(empty) == 0
    assert list(empty.dtypes) == list(full.dtypes)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_results, HEADER.replace(",bin", ""), "lacks the columns bin"),
        (read_results, HEADER + ROW.replace("6.27", "good"), "line 2: value = 'good' is not a num"),
        (read_results, HEADER + ROW.replace("6.27", ""), "line 2: value = '' is not a number"),
        (read_results, HEADER + ROW.replace("6.27", "nan"), "seed 0, metric fid: value = 'nan'"),
        (read_results, HEADER + ROW.replace(",0,0,", ",0.5,0,"), "seed = '0.5' is not an integer"),
        (read_results, HEADER + ROW.replace(",all,", ",,"), "bin = '' is not accepted"),
        (read_results, HEADER + ROW.replace("12e4", ""), "protocol = '' is not accepted"),
        (read_results, "", "is not a CSV table"),
        (
            read_results,
            HEADER + ROW.replace("6.27", "6.27,7"),
            "row 1 is not as long as its head",
        ),
        (read_baselines, BASELINES.replace("False", "no"), "converged = 'no' is neither True nor"),
        (read_baselines, BASELINES + BASELINES.splitlines()[1], "baseline 0 of task 'uncond.* twi"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, read, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DMPError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DMPError, match="does not exist"):
        read_results(tmp_path / "none.csv")


def test_table_without_rows_is_accepted(tmp_path):
    assert len(read_results(write(tmp_path, HEADER))) == 0


def test_infinite_value_in_memory_is_refused(tmp_path):
    results = read_results(write(tmp_path, HEADER + ROW))
    with pytest.raises(DMPError, match="task unconditional, variant dmp,gate=attention"):
        check_results(pd.DataFrame(results.assign(value=float("inf"))))
