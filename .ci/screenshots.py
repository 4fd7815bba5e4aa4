"""The pictures of pages that the documentation shows, from finished results and headless Chromium.

    make report && python .ci/screenshots.py [seeds]

Writes `docs/images/report.png`, the first page of the report, and `docs/images/mlflow.png`, the
runs of table 2 behind the link that `make mlflow` prints. The forest of claims needs no screenshot:
the README shows the reference's own figure.
"""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from PIL import Image

from dmp.layout import Layout
from dmp.stages.track import experiments
from dmp.studies import load_plan
from dmp.tracking import ingest
from dmp.tracking.views import links

SCALE, STUDY = "digits", "table2"
IMAGES = Path("docs/images")
# The window, and how much of its width is kept: not MLflow's assistant, nor the graph of rules.
MLFLOW, MLFLOW_KEPT = (1900, 860), 1412
REPORT, REPORT_KEPT = (1500, 800), 1275
PATIENCE_S = 120.0


def shoot(address: str, target: Path, window: tuple[int, int], kept: int) -> None:
    """Write what a browser that has never been started shows, in few colours."""
    with tempfile.TemporaryDirectory() as place:
        raw = Path(place, "raw.png")
        size = ",".join(map(str, window))
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options += [f"--user-data-dir={place}/fresh", f"--window-size={size}"]
        options += ["--virtual-time-budget=40000", f"--screenshot={raw}", address]
        subprocess.run(["chromium", *options], check=True, capture_output=True, timeout=600)
        with Image.open(raw) as image:
            part = image.convert("RGB").crop((0, 0, kept, window[1]))
    target.parent.mkdir(parents=True, exist_ok=True)
    few = part.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(target, optimize=True)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


def shoot_mlflow(layout: Layout, seeds: int | None) -> None:
    """Hand the runs of a study to a store of their own, serve it, and open its link."""
    plan = load_plan(SCALE, seeds=seeds)
    (study,) = (each for each in experiments(plan, layout, "tables") if each.name == STUDY)
    with tempfile.TemporaryDirectory() as place, socket.socket() as free:
        uri = f"sqlite:///{place}/mlflow.db"
        name, tags = f"{SCALE}/{STUDY}", study.folders.__getitem__
        ingest(list(study.folders), uri, name, parent=study.parent, tags=tags)
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        command = ["mlflow", "ui", "--port", port, "--workers", "1", "--backend-store-uri", uri]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            address = f"http://127.0.0.1:{port}"
            wait(f"{address}/health")
            _, runs, *_ = links(uri, address, SCALE)
            shoot(runs.split(": ", 1)[1], IMAGES / "mlflow.png", MLFLOW, MLFLOW_KEPT)
        finally:
            server.terminate()
            server.wait()


def wait(address: str) -> None:
    """Wait until something answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urlopen(address, timeout=PATIENCE_S).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def main() -> None:
    """Take both; the first argument is how many seeds the results have."""
    layout = Layout(Path("results"), SCALE)
    report = (layout.root / "report.html").resolve()
    shoot(report.as_uri(), IMAGES / "report.png", REPORT, REPORT_KEPT)
    shoot_mlflow(layout, int(sys.argv[1]) if sys.argv[1:] else None)


if __name__ == "__main__":
    main()
