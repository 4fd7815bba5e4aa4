"""What is there is told by its records, and these are believed only when they are whole."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
import yaml
from fake_results import make_products, without_times
from harness import ROOT, TINY_SWEEP, make_tiny, run_command

from dmp.errors import DMPError
from dmp.files import write_json
from dmp.layout import Layout
from dmp.products.product import Product
from dmp.products.recognise import all_products, recognise, recognise_sweep
from dmp.products.sweeps import SweepProducts
from dmp.studies import Plan, load_plan
from dmp.sweeps.loading import load_sweep

RUN = ("unconditional", "dmp", 0)
WHOLE = {"fingerprint": "abc", "finished": 1.5e9, "sizes": {"a.csv": 3}}
DAMAGED = {
    "empty": "",
    "truncated": json.dumps(WHOLE)[:-9],
    "binary": "\x00\x00\x00",
    "nested": "[" * 100_000,
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "no fingerprint": json.dumps({k: v for k, v in WHOLE.items() if k != "fingerprint"}),
    **{
        f"{key} {value}": json.dumps({**WHOLE, key: value})
        for key, value in (
            *(("fingerprint", 3), ("fingerprint", None), ("sizes", []), ("sizes", {"a.csv": "3"})),
            *(("sizes", {"a.csv": True}), ("finished", "today"), ("finished", None)),
            *(("finished", True), ("finished", float("nan")), ("finished", float("inf"))),
            *(("finished", -1.0), ("finished", 1e300)),
        )
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with ablations, and finished results that nothing has computed."""
    folder = tmp_path_factory.mktemp("recognise")
    make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))
    make_products(all_products(*_place(folder)))
    return folder


def _place(folder: Path) -> tuple[Plan, Layout]:
    return load_plan("smoke", folder / "ablations"), Layout(folder / "results", "smoke")


@pytest.fixture
def place(made, tmp_path) -> tuple[Plan, Layout]:
    return _place(Path(shutil.copytree(made, tmp_path / "copy")))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_damaged_record_is_one_clear_error_and_nothing_is_touched(tmp_path, text):
    product = Product("a", (), lambda: "abc", tmp_path / "r/a.json", (tmp_path / "a.csv",))
    product.files[0].write_text("1,2")
    product.record.parent.mkdir()
    product.record.write_text(json.dumps(WHOLE))
    assert product.is_current()
    product.record.write_text(text)
    before = contents(tmp_path)
    with pytest.raises(DMPError, match=r"r/a.json is damaged \(.+\).*copy it again") as caught:
        product.is_current()
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before
    # A job that has made what follows keeps that.
    follows = Product("b", (), lambda: "def", tmp_path / "r/b.json", (), (product.record,))
    follows.mark_finished()
    product.record.unlink()
    assert follows.is_current()
    assert not product.is_current()


def test_all_damaged_records_are_one_error_of_the_command_line(place):
    """As after a copy that was interrupted, or with a full disk."""
    layout = place[1]
    records = list(layout.root.rglob(".fingerprints/**/*.json"))
    for path in records:
        path.write_bytes(path.read_bytes()[:20])
    before = contents(layout.root)
    process = run_command(
        *("dmp", "adopt", "--scale", "smoke", "--results", str(layout.results)),
        *("--ablations", str(layout.results.parent / "ablations")),
    )
    assert process.returncode == 2
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") == 1
    assert f"; and {len(records) - 1} more like it" in process.stderr
    assert contents(layout.root) == before


def test_run_of_which_only_the_word_that_it_is_finished_is_left_is_outdated(place):
    plan, layout = place
    assert recognise(plan, layout).outdated == set()
    for path in (layout.metrics(*RUN), layout.denoising(*RUN), layout.gate(*RUN)):
        path.unlink()
    assert ("metrics", RUN) in recognise(plan, layout).outdated


def test_folder_of_figures_of_which_one_is_missing_is_outdated(place):
    """As after a copy that was interrupted; what Snakemake writes into it changes nothing."""
    plan, layout = place
    page = next(p for p in all_products(plan, layout) if p.stage == "page")
    figure = page.files[-1] / "figure.png"
    figure.write_text("curves")
    page.mark_finished()
    (page.files[-1] / ".snakemake_timestamp").write_text("now")
    assert page.is_current()
    figure.unlink()
    assert not page.is_current()


def test_no_time_is_in_the_future_whatever_the_clocks_of_other_machines(place):
    """What is made from now on has to be newer, or Snakemake takes it for a mistake."""
    plan, layout = place
    without_times(layout.root, 3, latest=3e9)
    ahead = layout.record("weights", layout.run(*RUN))
    found = json.loads(ahead.read_text())
    write_json(ahead, {**found, "finished": time.time() + 1e6})
    layout.samples(*RUN).write_text("shorter")
    os.utime(layout.samples(*RUN), (3e9, 3e9))
    found = recognise(plan, layout)
    assert ("samples", RUN) in found.outdated
    products = list(all_products(plan, layout))
    assert len(products) == found.current + len(found.outdated)
    times = [path.stat().st_mtime for product in products for path in product.watched]
    assert max(times) <= found.newest <= time.time()


def test_files_of_another_user_keep_their_times_and_that_is_told(place, monkeypatch):
    plan, layout = place
    without_times(layout.root, 4)

    def refuse(*arguments, **options):
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "utime", refuse)
        found = recognise(plan, layout)
    everything = len(list(all_products(plan, layout)))
    assert (found.current, found.moved, found.kept) == (everything, 0, everything)
    found = recognise(plan, layout)
    assert (found.moved, found.kept) == (everything, 0)
    # In place, another user's results need no new times, and there is nothing to tell.
    monkeypatch.setattr(os, "utime", refuse)
    found = recognise(plan, layout)
    assert (found.current, found.moved, found.kept) == (everything, 0, 0)


SMOKE = {
    "extractor": ".fingerprints/extractor/{}.json",
    "reference": ".fingerprints/reference/{}.json",
    "captions": ".fingerprints/captions/{}.json",
    "baseline": "pretrained/{}/seed{}/.fingerprints/baseline.json",
    "convergence": "pretrained/{}/seed{}/.fingerprints/convergence.json",
    "decayed": "pretrained/{}/seed{}-decayed/.fingerprints/baseline.json",
    "weights": "runs/{}/{}/seed{}/.fingerprints/weights.json",
    "samples": "runs/{}/{}/seed{}/.fingerprints/samples.json",
    "metrics": "runs/{}/{}/seed{}/.fingerprints/metrics.json",
    "numbers": ".fingerprints/numbers/{}.json",
    "parameters": ".fingerprints/parameters.json",
    "speed": ".fingerprints/speed.json",
    "page": ".fingerprints/page/{}.json",
    "claims": ".fingerprints/claims.json",
    "hypotheses": ".fingerprints/hypotheses.json",
    "tracking": ".fingerprints/tracking/{}.json",
}


def test_records_of_results_that_are_there_are_looked_for_where_they_were_written():
    """Looked for anywhere else, all of them would be made again."""
    layout = Layout(Path("results"), "smoke")
    products = list(all_products(load_plan("smoke", ROOT / "ablations"), layout))
    assert {product.stage for product in products} == SMOKE.keys()
    for product in products:
        found = product.record.relative_to(layout.root).as_posix()
        assert found == SMOKE[product.stage].format(*product.names)


@pytest.mark.parametrize("scale", ["smoke", "digits", "paper-smoke", "paper"])
def test_what_is_made_from_another_is_made_from_its_record(scale):
    products = list(all_products(load_plan(scale, ROOT / "ablations"), Layout(Path("r"), scale)))
    records = {product.record for product in products}
    assert {each for product in products for each in product.made_from} <= records


def test_what_a_sweep_made_is_its_own(place):
    plan, layout = place
    ablations = layout.results.parent / "ablations"
    for name in ("one", "other"):
        (ablations / f"sweeps/{name}.yaml").write_text(yaml.safe_dump(TINY_SWEEP))
    one, other = (load_sweep(ablations, name) for name in ("one", "other"))
    assert recognise_sweep(plan, layout, one).current == 0
    products = list(SweepProducts(plan, layout, one))
    make_products(products)
    without_times(layout.results, 1)
    found = recognise_sweep(plan, layout, one)
    assert found.current == found.moved == len(products)
    assert set(found.files) == {path for each in products for path in each.watched}
    assert recognise_sweep(plan, layout, other).current == 0
