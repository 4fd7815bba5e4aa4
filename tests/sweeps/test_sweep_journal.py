"""A journal is what was appended to it, whole appends alone, or one clear error."""

import json

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from dmp.errors import DMPError
from dmp.seals import beside
from dmp.sweeps.storage import load_study, open_storage, open_study

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.log"
    study = open_study(open_storage(path), "s", ["fid"])
    for value in (0.5, 0.25):
        study.tell(study.ask(), value)
    return path


def values(path):
    return [trial.value for trial in load_study(open_storage(path), "s").get_trials()]


DAMAGES = {
    "NUL": lambda lines: [*lines[:3], b"\0" * 40 + b"\n", *lines[3:]],
    "blank": lambda lines: [*lines[:3], b"\n", *lines[3:]],
    "twice": lambda lines: [*lines[:4], lines[3], *lines[4:]],
    "the last one twice": lambda lines: [*lines, lines[-1]],
    "cut at a line": lambda lines: lines[:-1],
    "another value": lambda lines: [line.replace(b"0.25", b"0.75") for line in lines],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_one_error_that_says_what_to_do(journal, damage):
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = b"".join(damage(lines))
    journal.write_bytes(damaged)
    with pytest.raises(DMPError, match=r"journal.log is truncated or corrupt .*move it away") as it:
        open_storage(journal)
    assert "\n" not in str(it.value)
    assert journal.read_bytes() == damaged


@pytest.mark.parametrize("damage", ["NUL", "blank"])
def test_damage_of_a_journal_without_a_seal_is_named_by_its_line(journal, damage):
    beside(journal).unlink()
    journal.write_bytes(b"".join(DAMAGES[damage](journal.read_bytes().splitlines(keepends=True))))
    with pytest.raises(DMPError, match=r"journal.log is truncated or corrupt \(line 4: "):
        open_storage(journal)


def test_operation_of_a_later_version_is_one_error(journal):
    beside(journal).unlink()
    journal.write_bytes(journal.read_bytes().replace(b'"op_code":4', b'"op_code":44'))
    with pytest.raises(DMPError, match=r"journal.log does not hold what it should"):
        open_storage(journal)


def test_journal_of_an_earlier_version_is_read_and_sealed_with_the_next_append(journal):
    beside(journal).unlink()
    assert values(journal) == [0.5, 0.25]
    open_study(open_storage(journal), "other", ["fid"])
    assert beside(journal).exists()
    assert values(journal) == [0.5, 0.25]


def test_half_written_line_of_a_full_disk_is_cut_off(journal):
    before = journal.read_bytes()
    journal.write_bytes(before + b'{"op_code": 4, "stu')
    assert values(journal) == [0.5, 0.25]
    assert journal.read_bytes() == before


def test_append_that_a_kill_has_cut_is_undone_as_a_whole(journal, monkeypatch):
    class Killed(BaseException):
        pass

    before = journal.read_bytes()
    study, real = load_study(open_storage(journal), "s"), type(journal).open

    def killed(path, mode="r", **how):
        if path == journal and mode == "ab":
            with real(path, mode) as file:
                file.write(b'{"op_code":4,"worker_id":"x"}\n{"op_co')
            raise Killed
        return real(path, mode, **how)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("pathlib.Path.open", killed)
        study.ask()
    assert values(journal) == [0.5, 0.25]
    assert journal.read_bytes() == before


def test_what_other_programs_of_optuna_append_is_taken_in(journal):
    """Such as a note of the dashboard."""
    others = JournalStorage(JournalFileBackend(str(journal)))
    optuna.load_study(study_name="s", storage=others).set_user_attr("note", "promising")
    study = load_study(open_storage(journal), "s")
    assert study.user_attrs["note"] == "promising"
    study.tell(study.ask(), 1.0)
    assert values(journal) == [0.5, 0.25, 1.0]
    assert all(json.loads(line) for line in journal.read_text().splitlines())
