"""What ``make tables`` says on a terminal and in a file, and when it says that it will be ready."""

import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import ROOT
from snakemake_interface_logger_plugins.common import LogEvent

from dmp.workflow.forecast import Forecast
from dmp.workflow.terminal import EVERY_S, LAST_LINES, SILENT_S, Terminal

NOON = time.mktime((2026, 1, 31, 12, 0, 0, 0, 0, -1))


@pytest.fixture
def tell(monkeypatch):
    """Return what is said of an event at a number of seconds after noon."""
    stream = io.StringIO()
    monkeypatch.setattr(Terminal, "stream", stream)
    handler = Terminal(SimpleNamespace(dryrun=False), None)

    def told(seconds, event, message="", level=logging.INFO, **values):
        record = logging.makeLogRecord({"msg": message, "levelno": level, **values})
        record.event = event
        monkeypatch.setattr(Terminal, "clock", staticmethod(lambda: NOON + seconds))
        before = len(stream.getvalue())
        handler.handle(record)
        return stream.getvalue()[before:]

    told.stream, told.handler = stream, handler
    yield told
    handler.close()


def job(number, rule="bundle", output=(), benchmark=None):
    return {"jobid": number, "rule_name": rule, "output": output, "benchmark": benchmark}


def test_job_costs_what_those_of_its_rule_did_and_cores_share_the_rest():
    forecast = Forecast({"pretrain": 2, "bundle": 4}, 0.0)
    forecast.begin(1, "pretrain", 0.0)
    forecast.begin(2, "pretrain", 0.0)
    assert forecast.ready(50.0) == (50.0, False)  # nothing is known but that it takes longer
    forecast.finish(1, 100.0)
    forecast.begin(3, "bundle", 100.0)
    forecast.finish(2, 100.0)
    forecast.finish(3, 120.0)

    # Three bundles of 20 s, of which as many run at once as did so far.
    ready, known = forecast.ready(120.0)
    assert ready == pytest.approx(120 + 60 / (220 / 120))
    assert known
    assert (forecast.finished, forecast.total) == (3, 6)


def test_what_a_running_job_has_done_is_not_left_and_never_more_than_its_share():
    forecast = Forecast({"bundle": 2}, 0.0)
    forecast.begin(1, "bundle", 0.0)
    forecast.finish(1, 10.0)
    forecast.begin(2, "bundle", 10.0)

    assert forecast.ready(14.0)[0] == pytest.approx(14 + 6)
    assert forecast.ready(100.0)[0] == pytest.approx(100)


def test_benchmarks_of_earlier_calls_stand_in_until_a_job_has_finished(tmp_path):
    folder = tmp_path / "results/smoke/benchmarks/run/unconditional"
    for name, seconds in (("dmp", 30), ("baseline", 10)):
        (folder / name).mkdir(parents=True)
        (folder / name / "seed0.tsv").write_text(f"s\th:m:s\n{seconds}\t-\n")
    (folder / "dmp/seed1.tsv").write_text("s\t")
    forecast = Forecast({"bundle": 2}, 0.0)

    forecast.begin(1, "bundle", 0.0, folder / "dmp" / "seed2.tsv")
    assert forecast.ready(0.0) == (40.0, True)
    forecast.finish(1, 4.0)
    assert forecast.ready(4.0) == (8.0, True)


def test_job_that_fails_is_left_to_be_done():
    forecast = Forecast({"bundle": 1}, 0.0)
    forecast.begin(1, "bundle", 0.0)
    forecast.fail(1)

    assert not forecast.running
    assert forecast.finished == 0


def test_without_a_terminal_progress_is_a_plain_line_from_time_to_time(tell):
    tell(0, LogEvent.RUN_INFO, stats={"bundle": 3, "total": 3})
    first = tell(0, LogEvent.JOB_INFO, **job(1))
    assert first == "0 of 3 jobs done; running: 1 bundle\n"  # no job has been timed
    assert tell(EVERY_S - 1, LogEvent.JOB_FINISHED, job_id=1) == ""
    later = tell(3600, LogEvent.JOB_INFO, **job(2))
    assert later == "1 of 3 jobs done; running: 1 bundle; ready about 13:01\n"


def test_silence_ends_after_minutes_with_what_the_running_jobs_logs_let_expect(
    tell, tmp_path, monkeypatch
):
    log = tmp_path / "seed0.log"
    tell(0, LogEvent.RUN_INFO, stats={"pretrain": 2, "total": 2})
    tell(0, LogEvent.JOB_INFO, log=[str(log)], **job(1, "pretrain"))

    def beat(seconds):
        before = len(tell.stream.getvalue())
        monkeypatch.setattr(Terminal, "clock", staticmethod(lambda: NOON + seconds))
        tell.handler.beat()
        return tell.stream.getvalue()[before:]

    assert beat(SILENT_S - 1) == ""
    line = "0 of 2 jobs done; running: 1 pretrain"
    assert beat(SILENT_S) == line + "\n"  # its log is not there yet
    log.write_text("training x:  9%|9| 90/1000 [01:00]\rtraining x: 30%|3| 300/1000 [06:00<14:00]")
    # 6 of 20 minutes; the other takes 20 as well.
    assert beat(360) == line + "; ready about 12:40\n"
    tell(361, LogEvent.JOB_FINISHED, job_id=1)
    assert beat(9999) == ""  # nothing is running


def test_nothing_is_said_any_more_when_snakemake_has_ended(tell):
    tell(0, LogEvent.RUN_INFO, stats={"pretrain": 1, "total": 1})
    tell(0, LogEvent.JOB_INFO, **job(1, "pretrain"))
    tell.handler.close()
    tell.handler._pulse.join(5)
    assert not tell.handler._pulse.is_alive()
    before = tell.stream.getvalue()
    tell.handler.beat()
    assert tell.stream.getvalue() == before


def test_finished_pages_are_named_and_nothing_else_of_a_job(tell):
    tell(0, LogEvent.RUN_INFO, stats={"pages": 1, "total": 1})
    output = ["results/smoke/tables/table2.csv", "results/smoke/tables/table2.md"]
    told = tell(0, LogEvent.JOB_INFO, reason="r" * 9753, host="h", **job(1, "pages", output))
    assert "table2" not in told
    assert "rrr" not in told

    assert tell(9, LogEvent.JOB_FINISHED, job_id=1) == "results/smoke/tables/table2.md\n"
    assert tell(9, None, "Select jobs to execute...") == ""
    assert tell(9, None, "Complete log(s): x.log") == "Complete log(s): x.log\n"
    assert tell(9, None, "careful", logging.WARNING) == "careful\n"


def test_terminal_has_one_line_that_is_drawn_again_and_kept_within_its_width(tell, monkeypatch):
    monkeypatch.setattr(tell.stream, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    tell(0, LogEvent.RUN_INFO, stats={"pages": 1, "bundle": 1, "total": 2})
    clear, line = "\r\x1b[2K", "0 of 2 jobs done; running: 1 "
    assert tell(0, LogEvent.JOB_INFO, **job(1, "pages", ["a.md"])) == clear + line

    said = tell(1, LogEvent.JOB_FINISHED, job_id=1)
    after = "1 of 2 jobs done; running: non"
    assert said == f"{clear}a.md\n{line}{clear}{after[:29]}"
    tell.handler.close()
    assert tell.stream.getvalue().endswith(after[:29] + "\n")


def test_failed_job_shows_the_end_of_its_log_and_not_its_command(tell, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("".join(f"line {n}\n" for n in range(99)) + "error: the disk is full\n")
    tell(0, LogEvent.RUN_INFO, stats={"bundle": 1, "total": 1})
    failed = {**job(1, output=["finished.json"]), "log": [str(log)], "shellcmd": "dmp run"}

    lines = tell(0, LogEvent.JOB_ERROR, "", logging.ERROR, **failed).splitlines()

    assert lines[:2] == ["FAILED: bundle of finished.json", f"{log}:"]
    assert lines[-1] == "    error: the disk is full"
    assert len(lines) == 2 + LAST_LINES
    command = "RuleException:\nCalledProcessError in file x: 'dmp run' returned 2"
    assert tell(0, LogEvent.ERROR, command, logging.ERROR) == ""
    missing = tell(0, LogEvent.ERROR, "MissingInputException", logging.ERROR)
    assert missing == "MissingInputException\n"


SNAKEFILE = """
rule page:
    output: "page.md"
    log: "page.log"
    shell: "touch {output} > {log}"

rule bad:
    input: "page.md"
    output: "bad"
    log: "bad.log"
    shell: "(echo error: no such thing; exit 2) > {log}"
"""


def test_snakemake_takes_the_logger_as_make_does_and_writes_all_to_its_log_file(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    makefile = (ROOT / "Makefile").read_text()
    assert '"$$PWD/workflow/plugins' in makefile
    paths = os.pathsep.join(map(str, (ROOT / "workflow/plugins", ROOT)))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "snakemake"), "--logger", "dmp", "--cores", "1", "bad"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    said = done.stderr
    assert "\npage.md\nFAILED: bad of bad\nbad.log:\n    error: no such thing\n" in said
    assert "reason" not in said.lower()
    (log,) = (tmp_path / ".snakemake/log").iterdir()
    assert "reason: Missing output files: page.md" in log.read_text()
