"""Folders as runs leave them, and what MLflow makes of them, for the tests."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dmp.tracking import Parent


def make_run(folder, seed=0, records=((10, 0.5), (20, 0.25)), settings=None):
    folder.mkdir(parents=True)
    config = {"scale": "digits", "task": "class", "variant": "dmp,depth=1", "seed": seed}
    config |= {"baseline_seed": 0, "hash": "92b52ff7055d", "config": settings or {"method": "dmp"}}
    (folder / "config.json").write_text(json.dumps(config))
    provenance = {"commit": "1f7137f", "dirty": False, "versions": {}, "device": "cpu"}
    provenance |= {"started": "2026-01-31T12:00:00Z", "finished": "2026-01-31T12:00:01Z"}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    write_log(folder, records)
    (folder / "metrics.csv").write_text(
        "metric,bin,iteration,value\nfid,all,30,20.5\nfid,0-99,30,1e-300\n"
    )
    (folder / "samples.png").write_bytes(b"\x89PNG")
    return folder


def write_log(folder, records):
    lines = [{"step": step, "time": 1000.5 + step, "loss": loss} for step, loss in records]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def runs_of(client, experiment="digits"):
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id])


def only_run(client):
    (run,) = runs_of(client)
    return run


def history(client, run, name):
    points = client.get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in points)


def artifact_folder(run):
    return Path(unquote(urlsplit(run.info.artifact_uri).path))


def make_parent(tmp_path, **changes):
    (tmp_path / "table2.md").write_text("old")
    values = {"title": "Table 2", "artifacts": {"tables/table2.md": tmp_path / "table2.md"}}
    values["comparisons"] = [
        ("dmp − other", [f"class/dmp,depth=1/seed00{seed}" for seed in (0, 1)])
    ]
    return Parent("table2", tags={"study": "table2"}, **(values | changes))


def by_name(client, experiment="digits"):
    return {run.data.tags["dmp.record"]: run for run in runs_of(client, experiment)}
