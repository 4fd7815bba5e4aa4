"""All pages and verdicts anew from the numbers of runs, shared among processes; no torch."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from tqdm import tqdm

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.stages.claims import judge_claims, judge_hypotheses
from dmp.stages.pages import write_pages
from dmp.studies import Plan


def rebuild(plan: Plan, layout: Layout) -> None:
    """Write the tables and figures of all studies, and the claims if there are any.

    Raises:
        DMPError: a page cannot be made (the others are, as far as they had begun), or a process
            was killed.

    """
    tasks = _tasks(plan, layout)
    with ProcessPoolExecutor(min(len(tasks), _cores())) as pool:
        running = [pool.submit(task) for task in tasks]
        try:
            for done in tqdm(as_completed(running), "rebuilding", len(running), unit="page"):
                done.result()
        except BrokenProcessPool as error:
            raise DMPError(
                "a process that rebuilt pages was killed, perhaps for want of memory; "
                "pages are whole or as they were: start again"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _tasks(plan: Plan, layout: Layout) -> list[Callable[[], None]]:
    """Return what is to be made, the longest first, so that none is left to the end."""
    studies = sorted(plan.studies, key=lambda name: -len(plan.studies[name].figures))
    claims = [] if plan.claims is None else [partial(judge_claims, plan, layout)]
    if plan.hypotheses is not None:
        claims.append(partial(judge_hypotheses, plan, layout))
    pages = [partial(write_pages, plan, layout, [n]) for n in [*studies, *plan.parameter_studies]]
    return [*claims, *pages]


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
