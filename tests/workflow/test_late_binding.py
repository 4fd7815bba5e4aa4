"""Rules made in a loop stay what they were made for, after the loop has come to its end.

Snakemake runs the body of a rule, and functions among its inputs or params, when the rule's job is
planned or run. A loop variable in there has its last value by then.
"""

import ast
import re
from types import SimpleNamespace

import pytest
from harness import ROOT
from snakemake.parser import parse
from snakemake.sourcecache import LocalSourceFile

FILES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
FUNCTIONS = (ast.FunctionDef, ast.Lambda)

LOOP = """
for name in ["a", "b"]:
    part = name.upper()

    rule:
        output: f"{{name}}.txt"
        input: {input}
        message: f"makes {{name}}"
        shell: {shell}
"""


def compiled(text: str) -> ast.Module:
    """What Snakemake makes of rules before it runs them as Python."""
    lines = iter(text.splitlines(keepends=True))
    file = SimpleNamespace(readline=lambda: next(lines, ""), close=lambda: None)
    workflow = SimpleNamespace(sourcecache=SimpleNamespace(open=lambda path: file))
    return ast.parse(parse(LocalSourceFile("Snakefile"), workflow, {})[0])


def _stored(tree: ast.AST) -> set[str]:
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return {name.id for name in names}


def _used_late(function: ast.FunctionDef | ast.Lambda, changing: set[str]) -> set[str]:
    """Which changing names a function looks up whenever it is called."""
    arguments = function.args
    own = {a.arg for a in (*arguments.args, *arguments.kwonlyargs, *arguments.posonlyargs)}
    body = function.body if isinstance(function.body, list) else [function.body]
    found = set()
    for node in (each for part in body for each in ast.walk(part)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            # What Snakemake fills in when it runs the command.
            found.update(re.findall(r"(?<!{){(\w+)", node.value))
    return found & changing - own - _stored(function)


def late(text: str) -> set[str]:
    """Names that a loop gives other values and that a rule made in it looks up afterwards."""
    found = set()
    for loop in (node for node in ast.walk(compiled(text)) if isinstance(node, ast.For)):
        changing = _stored(loop.target).union(*(
            _stored(part) for part in loop.body if not isinstance(part, FUNCTIONS)
        ))  # fmt: skip
        inner = (node for node in ast.walk(loop) if isinstance(node, FUNCTIONS))
        found |= {name for function in inner for name in _used_late(function, changing)}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_rule_looks_up_a_loop_variable_when_its_job_runs(path):
    assert late(path.read_text()) == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shell": 'f"make {name} > {{log}}"'}, {"name"}),
        ({"shell": '"make {name} > {log}"'}, {"name"}),
        ({"shell": '"make " + part'}, {"part"}),
        ({"input": "lambda w: [name]"}, {"name"}),
        ({"input": "lambda w, name=name: [name]"}, set()),
        ({}, set()),
    ],
)
def test_loop_variable_in_a_command_or_a_function_is_found(changes, expected):
    """Were it not, the test above would say nothing."""
    rule = {"input": "[]", "shell": '"make {output} > {log}"'} | changes
    assert late(LOOP.format(**rule)) == expected
