"""From YAML files to validated models, with errors that name file and key."""

import re
from pathlib import Path
from typing import Any

import yaml

from dmp.config import from_data, nearest
from dmp.errors import DMPError, one_line
from dmp.files import NOT_UNDERSTOOD
from dmp.numerics import Numerics
from dmp.studies.schema import ParameterStudy, Scale, Study


# libyaml's parser is ten times faster, and every job reads all studies.
class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML allows a key twice and keeps the last; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        given = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in given]
        # None of `1` and `1.0`, or `yes` and `true`, is another key to Python.
        twice = [k for number, k in enumerate(keys) if k in keys[:number]]
        if twice:
            line = node.start_mark.line + 1 if node.start_mark else "?"
            raise DMPError(f"key '{twice[0]}' is given twice in the mapping at line {line}")
        return super().construct_mapping(node, deep)


# To YAML 1.1, `1e-3` is text; everywhere else it is a number.
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+([.][0-9]*)?[eE][-+]?[0-9]+$"),
    [*"-+0123456789"],
)


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
# A file of a person has a hundredth of it.
_DEEPEST, _MOST = 100, 100_000


def _check_shape(text: str) -> None:
    """Refuse what would take the stack, or years: deep nesting, and aliases of aliases."""
    nodes, sizes = [("", 0)], {}  # of each open collection its anchor, and what it holds
    for event in yaml.parse(text, Loader=_UniqueKeyLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            nodes.append((event.anchor, 0))
            if len(nodes) > _DEEPEST:
                raise DMPError(f"nested more than {_DEEPEST} deep")
            continue
        size = 1
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = nodes.pop()
            sizes[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in nodes):
                raise DMPError(f"*{event.anchor} stands in what it is an alias of")
            size = sizes.get(event.anchor, 1)
        nodes[-1] = (nodes[-1][0], nodes[-1][1] + size)
        if nodes[-1][1] > _MOST:
            raise DMPError(f"more than {_MOST} values, aliases spelled out")


def read_yaml(path: Path) -> Any:
    """Read one YAML file.

    Raises:
        DMPError: the file is unreadable, not YAML, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _check_shape(text)
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except OSError as error:
        raise DMPError(f"{path}: {error.strerror}") from error
    except DMPError as error:
        raise DMPError(f"{path}: {error}") from error
    except (yaml.YAMLError, *NOT_UNDERSTOOD) as error:  # of dates and numbers that are none
        raise DMPError(f"{path} is not valid YAML: {one_line(error)}") from error


def _merge(base: Any, change: Any) -> Any:
    if isinstance(base, dict) and isinstance(change, dict):
        if change.get("kind", base.get("kind")) != base.get("kind"):
            return change  # something of another kind shares no key with the default
        return base | {key: _merge(base.get(key), value) for key, value in change.items()}
    return change


def named(data: Any, key: str, path: Path) -> Any:
    """Return what a file says, and under ``key`` the name of the file.

    Raises:
        DMPError: the file gives that key itself.
    """
    if not isinstance(data, dict):
        return data
    if key in data:
        raise DMPError(f"{path}: '{key}' is the name of the file and is not given in it")
    return {key: path.stem, **data}


def file_names(ablations: Path, folder: str) -> list[str]:
    """Return the names of all YAML files in a folder of ``ablations``; hidden ones are an editor's.

    Raises:
        DMPError: one has a name that cannot be one of a folder of results, or of a rule's file.
    """
    names: dict[str, str] = {}
    for path in sorted((ablations / folder).glob("[!.]*.y*ml")):
        problem = None
        if path.suffix != ".yaml":
            problem = "its name has to end with .yaml"
        elif not _NAME.fullmatch(path.stem):
            problem = "its name may have letters, digits, _ and -, and does not begin with -"
        elif other := names.get(path.stem.lower()):
            problem = f"{other}.yaml differs in capitals alone, and their results share a folder"
        if problem:
            raise DMPError(f"{path}: {problem}; rename it")
        names[path.stem.lower()] = path.stem
    return sorted(names.values())


def find_file(ablations: Path, folder: str, name: str) -> Path:
    """Return the path of ``<folder>/<name>.yaml``; what it is called is ``folder`` without its s.

    Raises:
        DMPError: there is none.
    """
    path = ablations / folder / f"{name}.yaml"
    if not (ablations / folder).is_dir():
        raise DMPError(
            f"there is no folder {ablations / folder} (in {Path.cwd()}); run this in a checkout of "
            f"the project, or say where its ablations/ are: --ablations, or --config ablations="
        )
    if not path.is_file() or not _NAME.fullmatch(name):
        known = nearest(name, file_names(ablations, folder))
        raise DMPError(f"unknown {folder.removesuffix('s')} '{name}' (no {path}): {known}")
    return path


def scale_names(ablations: Path) -> list[str]:
    """Return the names of all scales."""
    return file_names(ablations, "scales")


def scale_numerics(ablations: Path, name: str) -> Numerics:
    """Return the numerics that a scale asks for, before anything else of it is understood.

    To check the rest imports modules of other packages, which may import NumPy.

    Raises:
        DMPError: no such scale, or the file is not YAML.
    """
    data = read_yaml(find_file(ablations, "scales", name))
    asked = data.get("numerics") if isinstance(data, dict) else None
    return "portable" if asked == "portable" else "native"


def load_scale(ablations: Path, name: str) -> Scale:
    """Read ``scales/<name>.yaml``; its ``defaults`` are merged into every task.

    Raises:
        DMPError: no such scale, or the file is not valid.
    """
    path = find_file(ablations, "scales", name)
    data = read_yaml(path)
    if isinstance(data, dict) and isinstance(data.get("tasks"), dict):
        defaults = data.pop("defaults", {})
        if not isinstance(defaults, dict):
            raise DMPError(f"{path}: 'defaults' = {defaults!r:.80}: a mapping is needed")
        data["tasks"] = {k: _merge(defaults, task) for k, task in data["tasks"].items()}
    return from_data(Scale, named(data, "name", path), str(path))


def load_studies(ablations: Path) -> dict[str, Study | ParameterStudy]:
    """Read every file in ``studies/``, by name of file.

    Raises:
        DMPError: there is none, or one is not valid.
    """
    folder = ablations / "studies"
    names = file_names(ablations, folder.name)
    if not names:
        raise DMPError(f"no studies: {folder} has no .yaml file")
    studies: dict[str, Study | ParameterStudy] = {}
    for path in (folder / f"{name}.yaml" for name in names):
        data = read_yaml(path)
        kind = data.get("kind", "runs") if isinstance(data, dict) else "runs"
        model = ParameterStudy if kind == "parameters" else Study
        studies[path.stem] = from_data(model, named(data, "id", path), str(path))
    return studies
