"""The logs of runs as TensorBoard reads them, for those who prefer it to MLflow."""

from pathlib import Path
from typing import Any

from dmp.errors import DMPError
from dmp.runlog import read_log


class Boards:
    """Event files in a folder of each run, written anew by each process and appended to by it.

    Args:
        folder: where ``tensorboard --logdir`` is to look.

    Raises:
        DMPError: the package tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise DMPError(
                f"--tensorboard needs a package that is not installed ({error}): "
                f"pip install tensorboard"
            ) from error
        self._new, self._folder = SummaryWriter, folder
        self._writers: dict[str, Any] = {}  # SummaryWriter
        self._last: dict[str, int] = {}

    def write(self, name: str, log: Path) -> int:
        """Append what a run's log has by now and its event files lack; return how many steps.

        Args:
            name: of the run: its folder below that of all.
            log: ``log.jsonl``; may be missing, or in the middle of being written.

        Raises:
            DMPError: a line of the log is not a record.
        """
        points = [p for p in read_log(log) if p.step > self._last.get(name, -1)]
        if not points:
            return 0
        if name not in self._writers:
            folder = self._folder / name
            # Of an earlier process: TensorBoard would show each point twice.
            for path in folder.glob("events.out.tfevents.*"):
                path.unlink()
            self._writers[name] = self._new(str(folder))
        for metric, value, time_ms, step in points:
            self._writers[name].add_scalar(metric, value, step, walltime=time_ms / 1000)
        self._writers[name].flush()
        self._last[name] = max(point.step for point in points)
        return len({point.step for point in points})
