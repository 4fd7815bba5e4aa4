"""Whatever is done to a file in ablations/, it is either read or refused with one clear error."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import ROOT

from dmp.errors import DMPError
from dmp.planning.throughput import load_gpus
from dmp.studies import load_plan
from dmp.sweeps.loading import load_space, load_sweep

FILES = sorted(
    str(path.relative_to(ROOT / "ablations")) for path in (ROOT / "ablations").rglob("*.yaml")
)
EXTREMES = [
    *(None, True, False, 0, -1, 1, 2, 3.5, 10**9, 10**30, 1e-300, 1e300),
    *(float("inf"), float("nan"), "", "x", "1", "dmp", "a/b", "\x85", "dmp,=", "dmp,depth=1e9"),
    *([], {}, [[]], [None], {"x": 1}, {1: 2}, ["fid", "fid"]),
]


def places(data: Any, above: tuple = ()) -> Iterator[tuple]:
    """The place of everything that a file says."""
    inner = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in inner if isinstance(data, (dict, list)) else ():
        yield (*above, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*above, key))


def damaged(data: Any, source: random.Random) -> Any:
    """A copy in which one thing is another, misspelt, missing, or there twice."""
    data = copy.deepcopy(data)
    *above, key = source.choice(list(places(data)))
    holder = data
    for part in above:
        holder = holder[part]
    value = holder[key]
    way = source.choice(["extreme", "extreme", "misspelt", "missing", "twice", "renamed"])
    if way == "missing":
        del holder[key]
    elif way == "misspelt" and isinstance(value, str) and len(value) > 1:
        holder[key] = value[1] + value[0] + value[2:]
    elif way == "twice" and isinstance(holder, list):
        holder.append(value)
    elif way == "renamed" and isinstance(holder, dict):
        holder[f"{key}s"] = holder.pop(key)
    else:
        holder[key] = source.choice(EXTREMES)
    return data


def read(file: str, ablations: Path) -> None:
    """All that reads a file before the first job."""
    name = Path(file).stem
    plan = load_plan(name if file.startswith("scales/") else "smoke", ablations)
    plan.runs()
    if file.startswith("sweeps/"):
        load_space(ablations, load_sweep(ablations, name), plan)
    if file.startswith("throughput/"):
        load_gpus(ablations / "throughput")


def attempt(file: str, ablations: Path, seed: int) -> str:
    """Damage a file, read it, and say what came of it."""
    path = ablations / file
    whole = path.read_text()
    data = damaged(yaml.safe_load(whole), random.Random(f"{file}/{seed}"))
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    try:
        read(file, ablations)
    except DMPError as error:
        return str(error)
    finally:
        path.write_text(whole)
    return ""


@pytest.mark.parametrize("file", FILES)
def test_damaged_file_is_read_or_refused_in_one_line(file, ablations):
    told = attempt(file, ablations, seed=0)
    assert "\n" not in told
    assert not told or Path(file).name in told or "ablations" in told or "study" in told


@pytest.mark.parametrize(
    "text",
    [
        *("1: a\n1: b", "a: &a [*a]", "[" * 50_000, "- " * 5_000, "? [a]\n: b", "a: 2024-13-45"),
        *("a: " + "9" * 6_000, "\x00", "a: !!python/name:os.system", "- a\n- b", "7", ""),
        "\n".join(["a: &a [x, x, x, x, x, x, x, x]", *(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]"
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        )]),
    ],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
@pytest.mark.parametrize("file", ["scales/smoke.yaml", "studies/table2.yaml", "claims.yaml"])
def test_what_is_no_mapping_of_settings_is_refused(file, text, ablations):
    (ablations / file).write_text(text)
    with pytest.raises(DMPError, match=Path(file).name):
        load_plan("smoke", ablations)
