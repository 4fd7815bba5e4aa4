"""How long the analysis takes with many seeds, on made-up numbers: CPU and wall time of each step.

python .ci/analysis.py 20            of the numbers of 20 seeds at scale digits
python .ci/analysis.py 20 table2     of one study alone, in this process
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def timed(what: str, step: Callable[[], object]) -> None:
    """Take a step, and print how long it took."""
    start = time.perf_counter()
    step()
    print(f"{time.perf_counter() - start:7.1f} s  {what}", flush=True)


def main(seeds: int, studies: list[str]) -> None:
    """Make runs with so many seeds, and time what follows from them."""
    from fake_numbers import make_runs, make_tables

    from dmp.layout import Layout
    from dmp.stages.claims import judge
    from dmp.stages.collect import collect
    from dmp.stages.pages import write_pages
    from dmp.stages.rebuild import rebuild
    from dmp.studies import load_plan

    plan = load_plan("digits", ROOT / "ablations", seeds)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        layout = Layout(Path(folder), plan.name)
        runs = None
        if studies:
            runs = sorted({run for name in studies for run in plan.runs(name)})
        timed(f"making {len(runs or plan.runs()):,} runs", lambda: make_runs(plan, layout, runs))
        make_tables(plan, layout)
        for name in studies:
            timed(f"collect {name}", partial(collect, plan, layout, name))
            if name in plan.judged:
                timed(name, partial(judge, plan, layout, name))
            else:
                timed(f"pages {name}", partial(write_pages, plan, layout, [name]))
        if not studies:
            scopes = [*plan.studies, "claims", "hypotheses"]
            timed("collect", lambda: [collect(plan, layout, name) for name in scopes])
            timed("rebuild: all pages and claims", partial(rebuild, plan, layout))


if __name__ == "__main__":
    from dmp.numerics import settle

    settle("portable", "this benchmark")
    main(int(sys.argv[1]), sys.argv[2:])
