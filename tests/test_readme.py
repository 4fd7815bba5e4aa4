"""What README and documentation show of results stands in the committed reference."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import ROOT
from scipy import stats

from dmp.stages.reference import Reference
from dmp.studies.loading import read_yaml

REFERENCE = ROOT / "results/reference"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


@pytest.mark.parametrize(
    ("page", "heading", "tables"),
    [
        (
            "README.md",
            "## Results",
            [
                "digits/tables/table2",
                "digits/tables/mechanism",
                "mnist/tables/mechanism",
                "mnist-s2/tables/mechanism",
            ],
        ),
        ("docs/results.md", "## Table 2: further training", ["digits/tables/table2"]),
        ("docs/results.md", "## The mechanism\n", ["digits/tables/mechanism"]),
        (
            "docs/results.md",
            "## The mechanism at 256 tokens",
            ["digits/tables/mechanism", "mnist/tables/mechanism", "mnist-s2/tables/mechanism"],
        ),
        ("docs/results.md", "## Table 2 at 256 tokens", ["mnist/tables/table2"]),
        ("docs/results.md", "## Rates and rivals", ["digits/tables/rivals"]),
        ("docs/cluster.md", "### 4. Measure your GPUs", ["gpu-check/H200/gpu-check"]),
    ],
)
def test_numbers_that_pages_show_are_those_of_the_reference(page, heading, tables):
    cells = (row for table in tables for row in rows(read(REFERENCE / f"{table}.md")))
    known = {cell for row in cells for cell in row}
    shown = rows(read(ROOT / page).split(heading)[1].split("\n## ")[0])
    numbers = [cell for row in shown for cell in row if re.search(r"\d\.\d", cell)]
    assert len(numbers) >= 10
    assert [number for number in numbers if number not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_a_page_links_to_exist(page):
    targets = re.findall(r"\]\(((?!http)[^)#]+)\)", read(page))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_a_page_names_exist(page):
    folders = "ablations|dmp|docs|tests|workflow|results/reference|.ci"
    named = re.findall(rf"`((?:{folders})/[\w./*-]+)`", read(page))
    assert [name for name in named if not any(ROOT.glob(name.rstrip("/")))] == []


def test_both_containers_begin_alike_and_install_the_lock():
    docker, apptainer = read(ROOT / "Dockerfile"), read(ROOT / "apptainer.def")
    image = re.search(r"^FROM (\S+)", docker, re.MULTILINE)
    assert image
    assert f"From: {image[1]}\n" in apptainer
    copied = re.findall(r"^COPY (\S+)", docker, re.MULTILINE)
    files = apptainer.split("%files")[1].split("%post")[0].split()[::2]
    assert copied == files == ["requirements.lock"]
    assert (ROOT / "requirements.lock").is_file()
    for text in (docker, apptainer):
        assert "uv pip sync --system" in text
        assert "exec python -m dmp" in text


def geometric(ratios: pd.Series) -> tuple[float, float, float]:
    """Return the geometric mean of ratios and its t interval, as changes in percent."""
    logs = np.log(ratios)
    half = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)
    mean, low, high = (100 * np.expm1(logs.mean() + each) for each in (0, -half, half))
    return float(mean), float(low), float(high)


def test_changes_that_were_seen_with_dit_s_2_follow_from_its_runs():
    runs = pd.read_csv(REFERENCE / "tuning/mnist-s2.csv")
    values = runs.pivot_table(index="seed", columns="variant", values=["denoising_mse", "fid"])
    table = rows(read(ROOT / "docs/experiment.md").split("### On one GPU")[1].split("\n### ")[0])
    shown = {cells[0]: cells[1:] for cells in table if len(cells) == 3}
    names = {
        "DMP": "dmp",
        "prompt tuning": "prompt-tuning",
        "fine-tuning": "fine-tuning",
        "fine-tuning, a tenth of the rate": "fine-tuning,learning_rate_factor=0.1",
    }
    assert len(values) == 3
    assert shown["baseline"] == [
        f"{values['denoising_mse', 'baseline'].mean():.5f}",
        f"{values['fid', 'baseline'].mean():.1f}",
    ]
    assert set(names) <= set(shown)
    for label, variant in names.items():
        for metric, cell in zip(("denoising_mse", "fid"), shown[label], strict=True):
            change = geometric(values[metric, variant] / values[metric, "baseline"])[0]
            said = float(cell.removesuffix(" %").replace("−", "-"))
            digits = len(cell.partition(".")[2].removesuffix(" %"))
            assert round(change, digits) == said, (label, metric)


@pytest.mark.parametrize("scale", ["digits", "mnist"])
def test_the_best_rates_are_those_of_the_tuning_baselines(scale):
    runs = pd.read_csv(REFERENCE / f"tuning/{scale}.csv").query("task == 'unconditional'")
    losses = runs.pivot_table(index="seed", columns="variant", values="denoising_mse")
    page = read(ROOT / "docs/experiment.md")
    title = {"digits": "## Learning rates\n", "mnist": "### Learning rates at 256 tokens\n"}[scale]
    (_, *factors), _, *table = rows(page.split(title)[1].split("\n#")[0])
    best = {}
    for method, *cells in table:
        changes = {}
        for factor, cell in zip(factors, cells, strict=True):
            rate = factor.removeprefix("× ").replace("1/256", "one-over-n")
            variant = method if rate == "1" else f"{method},learning_rate_factor={rate}"
            if cell != "–":
                ratios = losses[variant] / losses["baseline"]
                assert len(ratios.dropna()) == 2
                changes[variant] = 100 * (ratios.mean() - 1)
                text = cell.strip("*").replace("−", "-")
                assert f"{changes[variant]:+.{len(text.partition('.')[2])}f}" == text, variant
                if "*" in cell:
                    best[method] = variant
        assert best[method] == min(changes, key=changes.get)
    file = read_yaml(ROOT / "ablations/hypotheses.yaml")
    arms = file["arms"] | file["arms_at"].get(scale, {})
    for method in ("dmp", "prompt-tuning", "fine-tuning"):
        assert arms[f"best-{method}"] == best[method]


def of_seeds(scale: str, task: str) -> pd.DataFrame:
    """Return a row for each seed, a column for each metric and variant of a task."""
    numbers = Reference(REFERENCE / scale).numbers.results
    numbers = numbers[(numbers["bin"] == "all") & (numbers["task"] == task)]
    numbers = numbers.astype({"value": float, "iteration": int}).sort_values("iteration")
    last = numbers.drop_duplicates(["variant", "seed", "metric"], keep="last")
    return last.pivot_table(index="seed", columns=["metric", "variant"], values="value")


@pytest.fixture(scope="module")
def mnist() -> pd.DataFrame:
    return of_seeds("mnist", "unconditional")


def assert_said(cell: str, ratios: pd.Series) -> None:
    """Check ``mean [low, high]`` in percent against ratios, to the digits that are shown."""
    said = re.findall(r"-?\d+\.\d+", cell.replace("−", "-"))
    found = geometric(ratios.dropna())
    assert len(said) == 3
    for value, text in zip(found, said, strict=True):
        assert f"{value:.{len(text.partition('.')[2])}f}" == text, (cell, found)


def test_changes_by_the_number_of_tokens_follow_from_the_numbers():
    page = read(ROOT / "docs/results.md").split("## Hypotheses of our own")[1].split("\n## ")[0]
    shown = {cells[0]: cells[1:] for cells in rows(page)[2:]}
    assert list(shown) == ["4", "16", "64"]
    by_rate = "prompt-tuning,learning_rate_factor=one-over-n"
    arms = [("fid", "dmp"), ("fid", by_rate), ("fid", "baseline,recipe=decayed")]
    arms.append(("denoising_mse", "dmp"))
    for tokens, (count, *cells) in shown.items():
        task = "unconditional" + ("" if tokens == "16" else f"-{tokens}-tokens")
        found = of_seeds("digits", task)
        assert len(found["fid", "dmp"].dropna()) == int(count)
        for (metric, variant), cell in zip(arms, cells, strict=True):
            assert_said(cell, found[metric, variant] / found[metric, "baseline"])


def test_changes_at_other_learning_rates_follow_from_the_numbers(mnist):
    page = read(ROOT / "docs/results.md").split("## Learning rates at 256 tokens")[1]
    shown = {cells[0]: cells[1:] for cells in rows(page.split("\n## ")[0])[2:]}
    assert len(shown) == 18
    for label, cells in shown.items():
        name, _, rate = label.partition(", ")
        variant = {"DMP": "dmp"}.get(name, name.replace(" ", "-"))
        rate = {"1/256": "one-over-n"}.get(rate, rate)
        variant += "" if rate == "1" else f",learning_rate_factor={rate}"
        if name.startswith("none"):
            variant = "baseline,recipe=decayed"
        for metric, cell in zip(("denoising_mse", "fid"), cells, strict=True):
            assert_said(cell, mnist[metric, variant] / mnist[metric, "baseline"])


def test_gains_at_other_resolutions_follow_from_the_numbers(mnist):
    page = read(ROOT / "docs/results.md").split("## Other resolutions")[1].split("\n## ")[0]
    table = {cells[0]: cells[1:] for cells in rows(page)[2:]}
    assert list(table) == ["24×24", "32×32", "40×40"]
    metrics = ["resized_denoising_mse/24", "denoising_mse", "resized_denoising_mse/40"]
    for edge, cells in table.items():
        own = "" if edge == "32×32" else f",resolution={edge[:2]}"
        for metric, cell in zip(metrics, cells, strict=True):
            assert_said(cell, mnist[metric, "baseline"] / mnist[metric, f"dmp,resize=bicubic{own}"])
