# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The rules of the house that a linter does not know."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMITED = sorted(
    path
    for folder in ("charms", "lib")
    for path in (ROOT / folder).rglob("*.py")
    if not {"tests", "venv", "parts", "stage", "prime"} & set(path.relative_to(ROOT).parts)
)
CHARM_FILES = [path for path in LIMITED if path.parent.name == "src"]
# Who knows Juju beside charm.py: its databags, secrets, ports, actions and statuses.
JUJU_FILES = {
    *("actions.py", "charm.py", "credentials.py", "databases.py", "keys.py"),
    *("peers.py", "ports.py", "racks.py", "status.py", "urls.py"),
}
# pytest-operator's API, which is a room of its own.
API = ROOT / "lab/api"
# maas-region has a module of that name, which is another.
OUTSIDE_API = [
    path
    for folder in ("lab", "lib", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if API not in path.parents and path.name != "test_operator_api.py"
]
MAX_LINES, MAX_FUNCTION_LINES = 300, 40


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", LIMITED, ids=_name)
def test_files_and_functions_are_short(path: Path):
    text = path.read_text()
    assert text.count("\n") <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", CHARM_FILES, ids=_name)
def test_juju_and_the_daemons_are_known_apart(path: Path):
    imports = _imports(path)
    if path.name == "charm.py":
        assert not imports & {"subprocess", "pathlib", "jinja2"}
        assert ".defer(" not in path.read_text()
        assert "StoredState" not in path.read_text()
    if path.name in JUJU_FILES:
        assert not imports & {"subprocess", "charmed_maas.commands"}
    else:
        assert "ops" not in imports


def test_nothing_imports_the_room_of_pytest_operators_api():
    for path in OUTSIDE_API:
        for node in ast.walk(ast.parse(path.read_text())):
            named = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                named = [node.module]
            assert "api" not in {name.partition(".")[0] for name in named}, path


@pytest.mark.parametrize("path", LIMITED, ids=_name)
def test_nothing_is_swallowed_blindly(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and _catches_all(node):
            assert isinstance(node.body[-1], ast.Raise), f"line {node.lineno}"


def _catches_all(handler: ast.ExceptHandler) -> bool:
    names = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if (handler.type)
        else {"BaseException"}
    )
    return bool(names & {"Exception", "BaseException"})
