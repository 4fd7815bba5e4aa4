"""Runs that still train: their curves in MLflow and TensorBoard, as far as they have come."""

import json
import sys
from types import ModuleType

import pytest
from tracking_helpers import by_name, history, make_run, runs_of, write_log

import dmp.tracking.live
from dmp.errors import DMPError
from dmp.stages.watch import watch
from dmp.tracking import IngestReport, ingest
from dmp.tracking.live import state
from dmp.tracking.record import identity
from dmp.tracking.tensorboard import Boards

NAME = "class/dmp,depth=1/seed000"


def tags(_):
    return identity("class", "dmp,depth=1", 0)


@pytest.fixture
def training(tmp_path):
    folder = tmp_path / "runs" / "training"
    folder.mkdir(parents=True)
    write_log(folder, [(10, 0.5), (20, 0.25)])
    return folder


def append(folder, step, loss, further=""):
    record = {"step": step, "time": 1000.5 + step, "loss": loss}
    with (folder / "log.jsonl").open("a") as file:
        file.write(f"{json.dumps(record)}\n{further}")


def losses(client):
    return history(client, by_name(client)[NAME], "loss")


def test_run_that_trains_is_followed_and_replaced_when_it_has_ended(
    uri, client, training, tmp_path
):
    absent = tmp_path / "runs" / "later"
    assert ingest([training, absent], uri, "digits", tags=tags) == IngestReport(0, 0, 0, 1, 1)
    run = by_name(client)[NAME]
    assert run.info.status == "RUNNING"
    assert run.data.tags.items() >= identity("class", "dmp,depth=1", 0).items()
    assert losses(client) == [(10, 0.5), (20, 0.25)]

    # A whole record, and one that is being written.
    append(training, 30, 0.125, '{"step": 40')
    assert ingest([training], uri, "digits", tags=tags).training == 1
    assert by_name(client)[NAME].info.run_id == run.info.run_id
    assert losses(client) == [(10, 0.5), (20, 0.25), (30, 0.125)]

    ended = make_run(tmp_path / "runs" / "ended", records=[(10, 0.5), (40, 0.0625)])
    assert ingest([ended], uri, "digits", tags=tags) == IngestReport(0, 1, 0)
    (whole,) = runs_of(client)
    assert whole.info.status == "FINISHED"
    assert losses(client) == [(10, 0.5), (40, 0.0625)]


def test_steps_that_a_resumed_run_repeats_are_there_once(uri, client, training):
    records = [(10, 0.5), (20, 0.25), (30, 0.125)]
    for count in (2, 1, 3):
        write_log(training, records[:count])
        ingest([training], uri, "digits", tags=tags)

    assert losses(client) == records


def test_long_log_is_thinned_evenly_and_keeps_its_ends(uri, client, training, monkeypatch):
    monkeypatch.setattr(dmp.tracking.live, "MAX_RECORDS", 4)
    write_log(training, [(step, 1.0) for step in range(1, 9)])
    ingest([training], uri, "digits", tags=tags)

    assert losses(client) == [(step, 1.0) for step in (1, 3, 6, 8)]

    append(training, 9, 1.0)
    ingest([training], uri, "digits", tags=tags)
    assert losses(client) == [(step, 1.0) for step in (1, 3, 6, 8, 9)]


def test_log_that_cannot_be_read_holds_up_no_other_run(uri, client, training, tmp_path):
    bad = tmp_path / "runs" / "bad"
    bad.mkdir()
    (bad / "log.jsonl").write_text("{\n{\n")

    with pytest.raises(DMPError, match=r"log\.jsonl, line 1 is not a JSON"):
        ingest([bad, training], uri, "digits", tags=tags)
    assert NAME in by_name(client)


def test_state_of_a_folder_is_told_by_its_files(training, folder, tmp_path):
    assert state(training) == "training"
    assert state(folder) == "ended"
    assert state(tmp_path / "none") == "absent"
    # Damaged, and so an error of whoever reads it.
    (folder / "provenance.json").unlink()
    (folder / "log.jsonl").unlink()
    assert state(folder) == "ended"


def test_watching_repeats_until_all_have_ended_and_says_what_changes():
    outcomes = iter(["one", "one", DMPError("the store is locked"), "two"])
    ended = iter([False, False, False, True])
    waited = []

    def work():
        outcome = next(outcomes)
        if isinstance(outcome, DMPError):
            raise outcome
        return outcome

    said = list(watch(work, lambda: next(ended), 30, waited.append))

    assert said == ["one", "the store is locked; trying again in 30 s", "two"]
    assert waited == [30, 30, 30]


def test_error_of_the_last_repetition_is_an_error():
    def work():
        raise DMPError("the store is locked")

    with pytest.raises(DMPError, match="the store is locked"):
        list(watch(work, lambda: True, 30))


@pytest.fixture
def written(monkeypatch):
    """What is handed to TensorBoard, whose package need not be there."""
    found = []

    class SummaryWriter:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, step, walltime):
            found.append((self.folder, name, value, step, walltime))

        def flush(self):
            found.append("flush")

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return found


def test_tensorboard_gets_each_record_once_and_in_place_of_an_earlier_export(
    written, training, tmp_path
):
    folder = tmp_path / "boards" / "smoke/run"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1").touch()
    (folder / "notes.txt").touch()
    boards = Boards(tmp_path / "boards")

    assert boards.write("smoke/run", training / "log.jsonl") == 2
    assert written == [
        (str(folder), "loss", 0.5, 10, 1010.5),
        (str(folder), "loss", 0.25, 20, 1020.5),
        "flush",
    ]
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    append(training, 30, 0.125)
    assert boards.write("smoke/run", training / "log.jsonl") == 1
    assert written[3:] == [(str(folder), "loss", 0.125, 30, 1030.5), "flush"]
    assert boards.write("smoke/other", tmp_path / "none") == 0


def test_tensorboard_that_is_not_installed_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(DMPError, match=r"^--tensorboard needs .*: pip install tensorboard$"):
        Boards(tmp_path)
