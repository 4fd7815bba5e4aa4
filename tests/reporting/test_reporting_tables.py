import re
from types import SimpleNamespace

import pandas as pd
import pytest

from dmp.errors import DMPError
from dmp.reporting import page as pages
from dmp.reporting.tables import study_page, write_table

FILES = [
    f"table2{end}" for end in (".csv", ".html", ".md", ".tex", "-comparisons.csv", "-appendix.tex")
]


@pytest.fixture
def page(study, scale, measure, baselines):
    """Return a function from what was measured, or how much, to the page of it."""

    def made(measured=None, **options):
        return study_page(study, scale, *(measured or measure(**options)), baselines)

    return made


@pytest.fixture
def write(page, study):
    def written(measured, folder):
        write_table(page(measured), study.id, *measured, folder)

    return written


def test_same_input_gives_the_same_bytes(measure, write, tmp_path):
    for folder in ("a", "b"):
        write(measure(), tmp_path / folder)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_csv_files_hold_all_digits(write, measure, tmp_path):
    cells, comparisons = measure()
    write((cells, comparisons), tmp_path)
    read = pd.read_csv(tmp_path / "table2.csv")
    compared = pd.read_csv(tmp_path / "table2-comparisons.csv")
    assert read["mean"].dropna().tolist() == cells["mean"].dropna().tolist()
    assert compared["boot_low"].dropna().tolist() == comparisons["boot_low"].dropna().tolist()
    assert read["seeds"].dropna().unique().tolist() == [3]
    assert ",6.80," in (tmp_path / "table2.csv").read_text()


def test_cell_shows_our_number_beside_the_paper_number(page, measure):
    cells, comparisons = measure()
    first, second, *_ = page((cells, comparisons)).tables
    frame = first.frame
    line = frame[(frame["Task"] == "class") & (frame["Method"] == "Fine-tuning")].iloc[0]
    row = cells[(cells["task"] == "class") & (cells["variant"] == "fine-tuning")].iloc[0]
    mean, low, high = map(float, re.findall(r"[\d.]+", line["FID ↓, here"]))
    assert (mean, low, high) == pytest.approx((row["mean"], row.low, row.high), abs=0.06)
    assert (line["Seeds"], line["FID, paper"]) == ("3", "6.80")
    assert line["Δ FID to baseline, paper"] == "0.53"
    assert re.fullmatch(r"−?[\d.]+ \[−?[\d.]+, −?[\d.]+\]", line["Δ FID to baseline, here"])
    assert list(frame)[2:5] == ["FID ↓, here", "Δ FID to baseline, here", "Verdict"]
    assert list(second.frame)[2:] == ["Denoising MSE ↓", "KID ↓"]


def test_difference_to_baseline_is_that_of_the_comparison(page):
    first, _, second = page().tables
    cell = first.frame[first.frame["Method"] == "Dmp"].iloc[0]
    pair = second.frame[second.frame["Comparison"] == "Dmp − Baseline"].iloc[0]
    assert cell["Δ FID to baseline, here"] == pair["Difference [t interval]"]
    assert cell["Δ FID to baseline, paper"] == pair["Paper"] == "−0.40"
    assert first.frame[first.frame["Method"] == "Baseline"].iloc[0, 3] == "–"


def test_what_was_not_run_is_a_footnote_and_keeps_the_paper_number(page):
    made = page()
    first, others, second = made.tables
    line = first.frame[first.frame["Task"] == "text"].iloc[2]
    assert (line["FID ↓, here"], line["Seeds"], line["FID, paper"]) == ("not run¹", "–", "5.87")
    assert made.notes[0] == "¹ not run at this scale: not built yet."
    assert "text" not in set(others.frame["Task"])
    pairs = second.frame[second.frame["Task"] == "text"]
    assert pairs["Metric"].tolist() == ["FID ↓"] * 3
    assert (pairs["Difference [t interval]"] == "not run¹").all()
    assert (pairs["p exact"] == "–").all()


@pytest.mark.parametrize(
    ("mean", "p_value", "verdict"),
    [(-1.0, 0.01, "✓ better"), (1.0, 0.01, "✗ worse"), (-1.0, 0.06, "○ open")],
)
def test_verdict_is_that_of_the_corrected_t_test(page, measure, mean, p_value, verdict):
    cells, comparisons = measure()
    chosen = (comparisons["variant"] == "dmp") & (comparisons["task"] == "class")
    comparisons.loc[chosen, ["mean", "p_t_holm"]] = mean, p_value
    frame = page((cells, comparisons)).tables[0].frame
    row = frame[(frame["Method"] == "Dmp") & (frame["Task"] == "class")].iloc[0]
    assert row["Verdict"] == verdict


def test_narrow_table_has_the_mean_the_difference_and_a_mark(page):
    first = page().tables[0]
    assert list(first.narrow) == ["Task", "Method", "FID ↓", "Δ FID", "", "Paper", "Δ paper"]
    assert first.narrow["Δ FID"].tolist() == first.frame["Δ FID to baseline, here"].tolist()
    assert set(first.narrow[""]) <= {"✓", "✗", "○", "–"}
    assert "¹ not run at this scale: not built yet." in first.legend


def test_comparisons_show_the_primary_endpoint_then_the_denoising_loss(page):
    frame = page().tables[2].frame
    assert frame["Metric"].drop_duplicates().tolist() == ["FID ↓", "Denoising MSE ↓"]
    assert "nan" not in frame.to_string().lower()


def test_metric_that_a_task_cannot_have_is_a_dash_and_no_comparison(page, study):
    for cell in study.cells:
        if cell.task == "class":
            cell.unmeasured = {"denoising_mse": "no noise is predicted"}
    first, others, second = page().tables
    line = others.frame[others.frame["Task"] == "class"].iloc[2]
    assert line["Denoising MSE ↓"] == "–"
    assert first.frame[first.frame["Task"] == "class"].iloc[2]["FID ↓, here"] != "–"
    pairs = second.frame[second.frame["Task"] == "class"]
    assert pairs["Metric"].tolist() == ["FID ↓"] * 3


def test_what_a_reader_has_to_know_of_a_task_stands_below_the_table(page, scale):
    scale.tasks["class"] = SimpleNamespace(
        **vars(scale.tasks["class"]) | {"caution": "the placement is inferred"}
    )
    notes = page().notes
    assert notes[2] == "class: the placement is inferred."
    assert notes[1] == "A note of\nthe study."
    assert not any(note.startswith("unconditional: ") for note in notes)


def test_baseline_that_has_not_converged_marks_what_rests_on_it(page, baselines):
    baselines.loc[
        (baselines["task"] == "class") & (baselines["baseline_seed"] == 0), "converged"
    ] = False
    made = page()
    for table, column in zip(made.tables, ("Method", "Method", "Comparison"), strict=True):
        marked = table.frame[column].str.endswith("†")
        assert (marked == (table.frame["Task"] == "class")).all()
    (note,) = [note for note in made.notes if note.startswith("†")]
    for part in ("Baseline 0 of task class", "4000 iterations", "20.1", "−8.1 %", "p = 0.001"):
        assert part in note
    for render in (pages.markdown, pages.html):
        assert "Dmp †" in render(made)
    assert r"Dmp \textsuperscript{\dag}" in pages.latex(made)


def test_baseline_that_nothing_rests_on_marks_nothing(page, baselines):
    baselines.loc[baselines["baseline_seed"] == 1, "converged"] = False
    assert "†" not in pages.markdown(page())
    assert "†" in pages.markdown(page(baseline_seeds=2))


def test_baseline_of_unknown_convergence_is_refused(study, scale, measure, baselines):
    known = baselines[baselines["task"] != "class"]
    with pytest.raises(DMPError, match="baseline 0 of task 'class' is not in the table"):
        study_page(study, scale, *measure(), known)


def test_scale_without_conclusion_says_so_first(page, scale):
    assert page().warning == ""
    scale.conclusive = False
    assert "no conclusion may be drawn" in page().warning


def test_introduction_says_what_was_run_and_what_may_be_compared(page):
    text = " ".join(page().introduction)
    for part in ("'digits'", "FFHQ, DiT-B/2", "digits, DiT with 4 blocks", "Table 2", "not compar"):
        assert part in text


@pytest.mark.parametrize(
    ("seeds", "parts"),
    [
        (1, ["one seed, so that there is no interval"]),
        (3, ["the seed, n = 3", "2/2^3 = 0.25, so that this test cannot reach 0.05"]),
        (6, ["the seed, n = 6", "2/2^6 = 0.03125."]),
    ],
)
def test_notes_name_the_unit_and_the_smallest_p(page, seeds, parts):
    notes = "\n".join(page(seeds=seeds).notes)
    assert all(part in notes for part in parts)
    assert ("p exact" in notes) == (seeds > 1)


def test_notes_name_baselines_where_they_are_the_unit(page):
    notes = "\n".join(page(seeds=4, baseline_seeds=2).notes)
    assert "the baseline, n = 2" in notes
    assert "2/2^2 = 0.5" in notes


def test_notes_name_family_evaluator_samples_and_protocol(page):
    notes = page().notes
    assert notes[1] == "A note of\nthe study."
    assert any("corrected for the 6 comparisons" in note for note in notes)
    protocol = "FID, Denoising MSE, KID by digits-classifier on 1438 samples, protocol a1b2c3."
    assert notes[-1] == f"Task class: {protocol}"


def test_study_without_comparisons_has_no_table_of_them(write, measure, tmp_path):
    cells, comparisons = measure()
    write((cells, comparisons.iloc[:0]), tmp_path)
    assert (tmp_path / "table2.md").read_text().count("**") == 4
    assert len((tmp_path / "table2-comparisons.csv").read_text().splitlines()) == 1
