import shutil
import subprocess
import sys
import threading

import mlflow.server.handlers
import pytest
from mlflow import MlflowClient
from tracking_helpers import make_run
from werkzeug.serving import make_server

FRESH_PROCESS = """
import sys
from pathlib import Path
from dmp.tracking import ingest
folders = sorted(Path(sys.argv[1]).iterdir())
report = ingest(folders, sys.argv[2], "digits")
from mlflow.telemetry import get_telemetry_client
print(report.created, report.updated, report.unchanged)
print("torch" in sys.modules, get_telemetry_client())
"""


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """Two processes that found no store and were started at once, and what they left."""
    root = tmp_path_factory.mktemp("fresh")
    for seed in range(3):
        make_run(root / "runs" / f"seed{seed}", seed)
    uri = f"sqlite:///{root / 'new folder' / 'mlflow.db'}"
    command = [sys.executable, "-c", FRESH_PROCESS, str(root / "runs"), uri]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    return root / "new folder" / "mlflow.db", [process.communicate() for process in processes]


@pytest.fixture(scope="session")
def empty_store(fresh, tmp_path_factory):
    """A store without experiments of ours: creating one takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    shutil.copy(fresh[0], path)
    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.get_experiment_by_name("digits")
    client.rename_experiment(experiment.experiment_id, "not ours")
    return path


@pytest.fixture
def store(empty_store, tmp_path):
    path = tmp_path / "results" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_store, path)
    return path


@pytest.fixture
def uri(store):
    return f"sqlite:///{store}"


@pytest.fixture
def client(uri):
    return MlflowClient(uri)


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path / "runs" / "seed0")


@pytest.fixture
def server(store, tmp_path, monkeypatch):
    """MLflow's own server on a free port, in a thread, since starting a process takes long."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{store}")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(tmp_path / "artifacts"))
    monkeypatch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
    monkeypatch.setattr(mlflow.server.handlers, "_tracking_store", None)
    monkeypatch.setattr(mlflow.server.handlers, "_artifact_repo", None)
    running = make_server("127.0.0.1", 0, mlflow.server.app, threaded=True)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
