"""Looking at runs while they train, again and again, without holding any of them up; no torch."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.stages.track import experiments
from dmp.studies import Plan
from dmp.tracking.live import state
from dmp.tracking.record import run_name
from dmp.tracking.tensorboard import Boards


def watch(
    work: Callable[[], str],
    all_ended: Callable[[], bool],
    every: float,
    rest: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Repeat a piece of work until all runs have ended; yield what it says whenever that changes.

    What goes wrong is said like anything else: the next time it may go well.

    Args:
        work: reads the runs' files and nothing else; returns a line.
        all_ended: asked before each repetition: the last one sees runs that have ended.
        every: seconds from the end of one to the beginning of the next.
        rest: waits so many seconds.
    """
    before = ""
    while True:
        last = all_ended()
        try:
            said = work()
        except DMPError as error:
            if last:
                raise
            said = f"{error}; trying again in {every:g} s"
        if said != before:
            yield said
        before = said
        if last:
            return
        rest(every)


def all_ended(plan: Plan, layout: Layout, target: str) -> bool:
    """Return whether every run and baseline of a target has been trained."""
    return all(
        state(folder) == "ended"
        for each in experiments(plan, layout, target)
        for folder in each.folders
    )


def write_boards(boards: Boards, plan: Plan, layout: Layout, target: str) -> str:
    """Hand the logs of a target's runs to TensorBoard, as far as they have come; say what changed.

    Raises:
        DMPError: a log cannot be read.
    """
    logs: dict[str, Path] = {}
    for each in experiments(plan, layout, target):
        for folder, tags in each.folders.items():
            name = run_name(tags["task"], tags["variant"], int(tags["seed"]))
            logs[f"{plan.name}/{name}"] = folder / "log.jsonl"
    steps = [boards.write(name, log) for name, log in logs.items()]
    return f"TensorBoard: {sum(steps)} records of {sum(map(bool, steps))} runs added"
