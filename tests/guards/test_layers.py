"""The architecture as tests: who may import whom, and who owns which heavy library."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "learner_index"
ORDER = {
    "errors": 0,
    "config": 1,
    "data": 2,
    "learn": 3,
    "store": 3,
    "search": 3,
    "analysis": 3,
    "pipeline": 4,
    "web": 5,
    "commands": 6,
}
SIDEWAYS = {("search", "store")}
OWNERS = {
    "torch": "learn",
    "torchvision": "learn",
    "timm": "learn",
    "safetensors": "learn",
    "zarr": "store",
    "filelock": "store",
    "google_crc32c": "store",
    "faiss": "search",
    "matplotlib": "analysis/plots",
    "plotly": "analysis/plots",
    "jinja2": "pipeline/reports",
    "umap": "analysis",
    "sklearn": "analysis",
    "scipy": "analysis",
    "statsmodels": "analysis",
    "pydantic": "pipeline",
    "typer": "commands",
    "rich": "commands",
    "nibabel": "data",
    "pydicom": "data",
    "av": "data",
    "PIL": "data",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Every module a file imports, also inside functions and for typing."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


def layer_of(path: Path) -> str:
    """The layer a file belongs to; "" for the package's own __init__ and __main__."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py") if not parts[0].startswith("__") else ""


def wrong_arrows(path: Path) -> list[str]:
    """Imports of this file that point up or sideways."""
    own = layer_of(path)
    found = []
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "learner_index" or own == "":
            continue
        if len(parts) < 2:  # the package's own __init__ loads public names from every layer
            if own != "commands":
                found.append(f"{path.relative_to(PACKAGE)} imports {name}")
            continue
        other = parts[1]
        is_down = ORDER[other] < ORDER[own] or other == own or (own, other) in SIDEWAYS
        if not is_down:
            found.append(f"{path.relative_to(PACKAGE)} imports {name}")
    return found


def test_imports_point_down_the_layers():
    """No module imports from a layer above or beside its own, not even inside a function."""
    assert [line for path in MODULES for line in wrong_arrows(path)] == []


def test_heavy_libraries_have_one_owner():
    """Each heavy library is imported in its owner's folder only."""
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in MODULES
        for name in imports_of(path)
        if (owner := OWNERS.get(name.split(".")[0]))
        and not path.relative_to(PACKAGE).as_posix().startswith(owner)
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("home", "line"),
    [
        ("data/bad.py", "from learner_index.store.reader import StoreReader"),
        ("learn/bad.py", "from learner_index.search.table import SearchTable"),
        ("store/bad.py", "from learner_index.search.table import SearchTable"),
        ("search/bad.py", "def f():\n    from learner_index.pipeline import build"),
        ("data/bad.py", "import learner_index"),
        ("pipeline/bad.py", "from learner_index import open_store"),
    ],
)
def test_the_guard_sees_a_wrong_arrow(tmp_path, monkeypatch, home, line):
    """A planted import that points up or sideways is reported."""
    path = tmp_path / home
    path.parent.mkdir()
    path.write_text(line, encoding="utf-8")

    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)

    assert len(wrong_arrows(path)) == 1


def module_name(path: Path) -> str:
    """The dotted name of a file; an __init__ has its folder's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(["learner_index", *(part for part in parts if part != "__init__")])


def modules_needed(path: Path, names: set[str]) -> set[str]:
    """Modules a file imports; `from x import y` needs x.y where that is a module, else x."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = {f"{node.module}.{name.name}" for name in node.names}
            found |= {part if part in names else str(node.module) for part in parts}
    return found & names


def cyclic(paths: list[Path]) -> set[str]:
    """Modules that are part of an import cycle, or need one that is."""
    files = {module_name(p): p for p in paths if p.parent != PACKAGE or p.stem[:2] != "__"}
    graph = {name: modules_needed(path, set(files)) for name, path in files.items()}
    while leaves := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in leaves:
            del graph[name]
    return set(graph)


def test_no_import_cycles_between_modules():
    """Modules inside a layer import each other in one direction only."""
    assert cyclic(MODULES) == set()


@pytest.mark.parametrize("first", ["a.py", "__init__.py"])
def test_the_guard_sees_a_cycle(tmp_path, monkeypatch, first):
    """A planted cycle by `from x import y` is reported, also through a folder's __init__."""
    (tmp_path / "data").mkdir()
    files = [tmp_path / "data" / first, tmp_path / "data" / "b.py"]
    files[0].write_text("from learner_index.data import b", encoding="utf-8")
    back = "from learner_index.data import " + ("a" if first == "a.py" else "something")
    files[1].write_text(back, encoding="utf-8")

    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)

    assert len(cyclic(files)) == 2


def test_functions_and_files_stay_small():
    """No function is longer than 60 lines without its docstring, no file longer than 400."""
    long = []
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 400:
            long.append(f"{path.relative_to(PACKAGE)}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                if lines > 60:
                    long.append(f"{path.relative_to(PACKAGE)}: {node.name} has {lines} lines")

    assert long == []
