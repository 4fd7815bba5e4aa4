"""What a call of Snakemake says on a terminal: one line of progress, finished pages, and errors.

``snakemake --logger dmp`` takes it from ``workflow/plugins``. Snakemake's own words, with the
reason of every job, are in its log file as ever.
"""

import contextlib
import logging
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from dmp.workflow.forecast import Forecast

# Seconds between lines of progress where there is no terminal: at least, and at most, as no job may
# begin or end for hours.
EVERY_S, SILENT_S = 60.0, 180.0
# Seconds after which a terminal's line is drawn again.
BEAT_S = 10.0
# A bound that is nearer says nothing.
_NEWS_S = 60.0
LAST_LINES = 20
_LONGEST_READ = 2**16
# Rules whose jobs log one bar from their beginning to their end, and what such a bar ends with.
_ONE_BAR = ("pretrain", "decay", "train")
_BAR = re.compile(r" (\d+)/(\d+) \[")
_COMMAND_FAILED = "CalledProcessError"
_SHOWN = ("Nothing to be done", "Complete log(s)", "Will exit after", "Trying to restart")


class Terminal(LogHandlerBase):
    """Snakemake's events in few words."""

    writes_to_stream = True
    writes_to_file = False
    needs_rulegraph = False
    # None is hidden but by `emit`; of a dry run, everything is shown in Snakemake's own format.
    has_filter = True

    stream: TextIO = sys.stderr
    clock: Callable[[], float] = staticmethod(time.time)

    def __post_init__(self) -> None:
        """Begin without jobs: how many there are is known later."""
        self._forecast = Forecast({}, self.clock())
        self._pages: dict[int, list[str]] = {}
        self._bars: dict[int, tuple[Path, float]] = {}
        self._last_line = -float("inf")
        self._line = ""
        self._ended = threading.Event()
        self._pulse: threading.Thread | None = None

    @property
    def has_formatter(self) -> bool:
        """Whether Snakemake's own format is not wanted."""
        return not self.common_settings.dryrun

    def emit(self, record: logging.LogRecord) -> None:
        """Say what matters of a record."""
        try:
            self._tell(record)
        except Exception:
            self.handleError(record)

    def _tell(self, record: logging.LogRecord) -> None:
        event, now = getattr(record, "event", None), self.clock()
        told = vars(record)
        if self.common_settings.dryrun:
            if event not in (LogEvent.SHELLCMD, LogEvent.DEBUG_DAG):
                self._say(self.format(record))
        elif event == LogEvent.RUN_INFO:
            jobs = {rule: count for rule, count in told["stats"].items() if rule != "total"}
            self._forecast = Forecast(jobs, now)
            self._bars = {}
            if self._pulse is None:
                # Snakemake never waits for it: it is cut off where the process ends.
                self._pulse = threading.Thread(target=self._beats, daemon=True)
                self._pulse.start()
        elif event == LogEvent.JOB_INFO:
            benchmark = told["benchmark"] and Path(told["benchmark"])
            self._forecast.begin(told["jobid"], told["rule_name"], now, benchmark)
            if told["rule_name"] in _ONE_BAR and told.get("log"):
                self._bars[told["jobid"]] = Path(told["log"][0]), now
            self._pages[told["jobid"]] = [o for o in told["output"] if o.endswith(".md")]
            self._progress(now)
        elif event == LogEvent.JOB_FINISHED:
            self._forecast.finish(told["job_id"], now)
            self._bars.pop(told["job_id"], None)
            for page in self._pages.pop(told["job_id"], ()):
                self._say(page)
            self._progress(now)
        elif event in (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR):
            for job in told.get("job_error_info", [told]):
                self._forecast.fail(job["jobid"])
                self._bars.pop(job["jobid"], None)
                self._say(f"FAILED: {job['rule_name']} of {', '.join(job.get('output') or ['?'])}")
                self._say(*_ends(job["log"]))
            self._say(*_ends(told.get("aux_logs", ())))
        elif event == LogEvent.ERROR and _COMMAND_FAILED in record.getMessage():
            return  # of which the job's own error says more than its command
        elif record.levelno >= logging.WARNING or record.getMessage().startswith(_SHOWN):
            self._say(record.getMessage())

    def _beats(self) -> None:
        while not self._ended.wait(BEAT_S):
            self.beat()

    def beat(self) -> None:
        """Say how far it is although nothing has begun or ended, as running jobs' logs tell."""
        now = self.clock()
        shares = {job: (_share(log), since) for job, (log, since) in list(self._bars.items())}
        # Under this lock events are told.
        with self.lock or contextlib.nullcontext():
            for job, (share, since) in shares.items():
                if share and job in self._bars:
                    self._forecast.expect(job, (now - since) / share)
            if self._forecast.running and not self._ended.is_set():
                self._progress(now, SILENT_S)

    def _progress(self, now: float, every: float = EVERY_S) -> None:
        """Draw the line of progress; without a terminal, write it from time to time."""
        line = f"{self._forecast.finished} of {self._forecast.total} jobs done"
        if self._forecast.finished < self._forecast.total:
            running = [f"{n} {rule}" for rule, n in sorted(self._forecast.running.items())]
            ready, known = self._forecast.ready(now)
            when = time.localtime(ready)
            day = "%a " if when.tm_yday != time.localtime(now).tm_yday else ""
            line += f"; running: {', '.join(running) or 'none'}"
            if known or ready - now >= _NEWS_S:
                line += f"; ready {'about' if known else 'not before'} "
                line += time.strftime(f"{day}%H:%M", when)
        if self.stream.isatty():
            self._line = line[: shutil.get_terminal_size().columns - 1]
            self._say()
        elif now - self._last_line >= every:
            self._last_line = now
            self._say(line)

    def _say(self, *lines: str) -> None:
        """Write lines for good, above the line of progress, which is drawn again."""
        clear = "\r\x1b[2K" if self._line else ""
        self.stream.write("".join([clear, *(f"{line}\n" for line in lines), self._line]))
        self.stream.flush()

    def close(self) -> None:
        """End the line of progress."""
        self._ended.set()
        if self._line:
            self.stream.write("\n")
            self._line = ""
        super().close()


def _ends(logs: Iterable[str]) -> list[str]:
    """Return the last lines of logs, where a failed job says why, each below its path."""
    found = []
    for log in logs:
        try:
            lines = _tail(Path(log)).splitlines()
        except OSError as error:
            lines = [f"cannot be read: {error.strerror}"]
        found += [f"{log}:", *(f"    {line}" for line in lines[-LAST_LINES:])]
    return found


def _share(log: Path) -> float:
    """Return which share of its work a job has done, by the last bar of its log; 0 if unknown."""
    try:
        bars = _BAR.findall(_tail(log))
    except OSError:
        return 0.0
    done, total = map(int, bars[-1]) if bars else (0, 1)
    return done / max(1, total)


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LONGEST_READ))
        return file.read().decode(errors="replace")
