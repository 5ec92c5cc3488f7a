"""Taste that is executable: the ladder of imports, the size of modules, the sorted public names."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest

import evsys_otel

ROOT = Path(evsys_otel.__file__).parent
MAX_MODULE_LINES = 350
VOCABULARY = {"errors", "conventions", "events", "records", "settings", "sources", "handles", "_version"}
TRAINING_SIDE = {"normalize", "journal", "spawn"}

ALLOWED: dict[str, set[str]] = {
    "journal": VOCABULARY | {"normalize"},
    "normalize": VOCABULARY,
    "spawn": VOCABULARY | {"journal"},
    "recorder": VOCABULARY | TRAINING_SIDE | {"pipeline"},
    "callback": VOCABULARY | TRAINING_SIDE | {"recorder"},
    "signals": VOCABULARY | {"journal"},
    "translate": VOCABULARY,
    "store": VOCABULARY,
    "otlp": VOCABULARY,
    "exporters": VOCABULARY | {"translate", "store"},
    "bridge": VOCABULARY | {"translate", "store", "journal"},
    "shipper": VOCABULARY | {"journal", "normalize", "signals", "otlp", "translate", "store", "exporters", "pipeline"},
    "pipeline": VOCABULARY | {"journal", "signals", "otlp", "translate", "store", "exporters", "shipper"},
    "testing": VOCABULARY,
}
"""What each part may import of ours; doors (cli, demo, doctor, the package root) may import anything."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_of(name: str, *, top_level_only: bool) -> set[str]:
    tree = ast.parse(MODULES[name].read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {module for module in found if module in MODULES and module != name}


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_no_module_outgrows_one_noun() -> None:
    """No module is beyond the size at which it should have been two."""
    sizes = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: size for name, size in sizes.items() if size > MAX_MODULE_LINES} == {}


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_a_part_imports_only_what_stands_below_it(part: str) -> None:
    """Every import of ours goes down the ladder, imports inside functions included."""
    wrong = {
        (name, target)
        for name in MODULES
        if part_of(name) == part
        for target in imports_of(name, top_level_only=False)
        if part_of(target) != part and part_of(target) not in ALLOWED[part]
    }
    assert wrong == set()


def test_nothing_inside_imports_the_package_root() -> None:
    """The root is for users; importing it from within would make a cycle of everything."""
    wrong = {name for name in MODULES if part_of(name) != "" and "evsys_otel" in imports_of(name, top_level_only=False)}
    assert {name for name in wrong if part_of(name) not in {"cli", "demo", "doctor"}} == set()


def test_there_are_no_import_cycles() -> None:
    """The graph of imports at the top of modules has no cycle."""
    graph = {name: imports_of(name, top_level_only=True) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name in done:
            return
        for target in sorted(graph[name]):
            visit(target, (*path, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_public_names_are_sorted_and_exist() -> None:
    """``__all__`` is sorted without regard to case, and each of its names can be had."""
    names = evsys_otel.__all__
    assert list(names) == sorted(names, key=str.casefold)
    assert all(getattr(evsys_otel, name) is not None for name in names)


def test_every_module_says_what_it_is_for() -> None:
    """Each module opens with a docstring."""
    assert [name for name, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_the_repository_speaks_of_itself_alone() -> None:
    """Two modules never have the same file docstring, a sign of a copied file."""
    docs = [(ast.get_docstring(ast.parse(path.read_text())), name) for name, path in MODULES.items()]
    twins = [(a, b) for (doc_a, a), (doc_b, b) in itertools.combinations(docs, 2) if doc_a == doc_b]
    assert twins == []
