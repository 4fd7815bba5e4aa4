"""MLflow behind an address: up, down, hung, slow and full; and what nobody may get to see."""

import contextlib
import json
import socket
import time
from http.server import ThreadingHTTPServer

import local_server
import pytest
from local_server import HubHandler
from mlflow import MlflowClient
from tracking_helpers import by_name, history, make_parent, make_run, runs_of

from dmp.errors import DMPError
from dmp.tracking import IngestReport, ingest


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


@pytest.fixture
def answering():
    """Start a server that answers every request alike, and return its address."""
    with contextlib.ExitStack() as stack:

        def start(status, body):
            class Handler(HubHandler):
                def do_HEAD(self):  # noqa: N802  so it is called
                    self.answer(body, status=status)

                do_POST = do_HEAD  # noqa: N815

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            return f"127.0.0.1:{stack.enter_context(local_server.answering(server)).server_port}"

        yield start


def test_server_gets_what_the_sqlite_store_gets(server, folder, tmp_path):
    records = [(step, 1 / (step + 1)) for step in range(60)]
    other = make_run(tmp_path / "runs" / "seed1", seed=1, records=records)
    parent = make_parent(tmp_path)

    report = ingest([folder, other], server, "digits", parent=parent)
    assert report == IngestReport(2, 0, 0)
    assert ingest([folder, other], server, "digits", parent=parent).unchanged == 2

    client = MlflowClient(server)
    runs = by_name(client)
    run = runs["class/dmp,depth=1/seed001"]
    assert history(client, run, "loss") == records
    assert run.data.tags["mlflow.parentRunId"] == runs["table2"].info.run_id
    names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "log.jsonl", "samples.png"} <= names
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")


def test_what_a_server_missed_comes_over_later_once(server, folder, tmp_path, monkeypatch):
    folders = [folder, *(make_run(tmp_path / f"runs/seed{seed}", seed=seed) for seed in (1, 2))]
    original, calls = MlflowClient.log_batch, []

    def fails(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise ConnectionError("the server has gone away")
        return original(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(DMPError, match=r"gone away.*is kept"):
        patch.setattr(MlflowClient, "log_batch", fails)
        ingest(folders, server, "digits")
    report = ingest(folders, server, "digits")

    assert (report.created, report.updated, report.unchanged) == (1, 1, 1)
    client = MlflowClient(server)
    names = sorted(by_name(client))
    assert names == [f"class/dmp,depth=1/seed00{seed}" for seed in range(3)]
    for run in runs_of(client):
        assert history(client, run, "loss") == [(10, 0.5), (20, 0.25)]


@pytest.mark.parametrize("status", [500, 507, 401])
@pytest.mark.parametrize(
    "address", ["http://me:s3cr%40t@{}", "http://{}?key=s3cr"], ids=["login", "query"]
)
def test_server_that_refuses_is_an_error_that_says_so_and_hides_secrets(
    folder, answering, status, address
):
    place = answering(status, b"no space is left, said user:s3cret@host")

    with pytest.raises(DMPError, match=f"MLflow at .*{place}.* did not take .*{status}") as error:
        ingest([folder], address.format(place), "digits")

    assert "s3cr" not in str(error.value)


@pytest.mark.parametrize("listens", [True, False], ids=["silent", "down"])
def test_server_that_does_not_answer_is_given_up_and_its_password_hidden(folder, listens):
    told = "did not take the runs" if listens else r"refused\)"
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        if listens:
            place.listen()
        port = place.getsockname()[1]
        with pytest.raises(
            DMPError, match=rf"MLflow at http://\*\*\*@127.*:{port} .*{told}"
        ) as error:
            ingest([folder], f"http://user:secret@127.0.0.1:{port}", "digits")

    assert "secret" not in str(error.value)


def test_server_that_is_too_slow_is_given_up_between_runs(folder, answering):
    experiment = {
        "experiment": {"experiment_id": "1", "name": "digits", "lifecycle_stage": "active"}
    }
    address = answering(200, json.dumps(experiment).encode())

    with pytest.raises(DMPError, match=r"it answers too slowly.*run the same command again"):
        ingest([folder], f"http://{address}", "digits", deadline=time.monotonic())
