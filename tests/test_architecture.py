"""The house rules of docs/design.md, as data, checked on the syntax trees of everything in src/hearsay.

Knows no module by heart: one that fits no room fails here until the table and docs/design.md give it one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "hearsay"

SAME = frozenset({"errors", "domain"})
GROUND = SAME | {"alignment", "audio", "languages", "quality", "segments", "speech", "subtitles"}
SPEECH = GROUND | {"engines.protocols"}
MODELS = SPEECH | {"engines", "models", "atomic"}
SERVING = MODELS | {
    "batching",
    "casting",
    "composition",
    "decoders",
    "dialects",
    "identification",
    "keys",
    "jobs",
    "pool",
    "samples",
    "sentences",
    "sequential",
    "settings",
    "sound",
    "synthesis",
    "transcription",
}

ROOMS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "atomic": frozenset(),
    "domain": frozenset(),
    "alignment": SAME,
    "audio": SAME,
    "languages": SAME,
    "sentences": frozenset(),
    "identification": frozenset({"languages"}),
    "casting": SAME | {"languages", "identification"},
    "segments": SAME,
    "subtitles": SAME,
    "quality": SAME,
    "speech": SAME | {"engines.protocols"},
    "sound": SAME,
    "synthesis": SAME | {"engines.protocols", "sound"},
    "children": frozenset(),
    "decoders": SAME | {"audio", "children"},
    "engines.protocols": SAME,
    "engines": SPEECH | {"children"},
    "models": SPEECH | {"engines", "atomic"},
    "jobs": SPEECH,
    "batching": SPEECH | {"jobs"},
    "pool": MODELS | {"batching", "jobs"},
    "composition": MODELS | {"batching", "pool", "settings"},
    "sequential": SPEECH | {"jobs"},
    "transcription": SPEECH | {"jobs", "sequential"},
    "dialects": GROUND | {"sound"},
    "settings": SAME | {"languages"},
    "keys": SAME | {"atomic"},
    "samples": frozenset(),
    "api": SERVING,
    "cli": SERVING | {"api"},
}
"""Each room and the rooms that it may import besides itself."""

PARTS: dict[str, str] = {
    "hub": "models",
    "cards": "models",
    "machine": "models",
    "weights": "models",
    "loaders": "models",
    "naming": "models",
    "selection": "models",
    "speaking_cards": "models",
    "store": "models",
    "seams": "segments",
    "tracks": "audio",
    "truncation": "audio",
    "sound_formats": "sound",
    "g711": "sound",
    "layer3": "sound",
    "muxing": "sound",
    "retiming": "sound",
    "waves": "sound",
    "guards": "quality",
    "parallel": "transcription",
    "desks": "batching",
    "turns": "batching",
    "booths": "pool",
    "leases": "pool",
    "steps": "pool",
    "decoder_process": "decoders",
}
"""Modules at the top of the package that belong to a room of another name."""

SETTINGS_READERS = re.compile(r"settings|composition|api\.app|cli(\..+)?")
VENDORS = re.compile(
    r"openai|groq|^together$|_together|together([_/-]|\.ai|\.xyz|ai\b|\s+ai\b)", re.IGNORECASE
)
VENDOR_ROOMS = re.compile(r"dialects(\..+)?|engines\.remote")
VENDOR_STRINGS: dict[str, str] = {
    "cards": "ids, aliases and owners of models are data",
    "models": "ids of models are data",
    "cli.announcement": "shows how to use the server through a vendor's client",
}
"""Modules whose string literals may name a vendor, and why; their identifiers may not."""

WEB_FRAMEWORK = {"fastapi", "starlette", "python_multipart", "multipart"}
RUNTIMES = {
    "ctranslate2",
    "openvino",
    "pocketsphinx",
    "faster_whisper",
    "torch",
    "onnxruntime",
    "espeakng_loader",
    "sherpa_onnx",
}
BAD_MODULES = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
BAD_SUFFIXES = ("Manager", "Handler", "Helper", "Service", "Factory", "Base")
MAX_LINES = 500


@dataclass(frozen=True)
class Module:
    """One parsed file."""

    name: str
    """Dotted, without `hearsay.`; packages are named by their folder."""
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str | None:
        """The room it lives in, the most particular one that the table knows."""
        name = PARTS.get(self.name, self.name)
        return room_of(name)


def room_of(name: str) -> str | None:
    """Find the room of a dotted name: itself or the nearest parent in the table."""
    parts = name.split(".")
    parts[0] = PARTS.get(parts[0], parts[0])
    prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in ROOMS), None)


@cache
def modules() -> tuple[Module, ...]:
    """Parse the whole package."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in ("", "__main__"):
            found.append(Module(name, path, ast.parse(path.read_text("utf-8"), str(path))))
    return tuple(found)


def imports(module: Module) -> Iterator[str]:
    """Give every absolute dotted name that a module imports, at any depth; `from a import b` gives `a.b`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = ["hearsay", *module.name.split(".")]
                is_package = module.path.name == "__init__.py"
                base = package[: len(package) - node.level + (1 if is_package else 0)]
                origin = ".".join([*base, *filter(None, [origin])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def inner_imports(module: Module) -> Iterator[str]:
    """Give the imports of our own modules, without the package's name."""
    for name in imports(module):
        if name.startswith("hearsay."):
            yield name.removeprefix("hearsay.")


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    """Give the packages imported with the module; not those in functions or for type checkers alone."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.ClassDef)):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            waiting += [line for handler in getattr(node, "handlers", []) for line in handler.body]


def identifiers(tree: ast.Module) -> Iterator[str]:
    """Give every name that the code itself chooses or uses."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case ast.alias(name=name, asname=other):
                yield from (name, other or "")


def strings(tree: ast.Module) -> Iterator[str]:
    """Give every string literal that is not a docstring (of a module, class, function or field)."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_package_is_there() -> None:
    assert {"errors", "domain", "engines.protocols"} <= {module.name for module in modules()}


def test_every_module_has_a_room() -> None:
    assert [module.name for module in modules() if module.room is None] == []


def test_every_room_is_in_the_design_document() -> None:
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    named = {room.split(".")[0] for room in ROOMS}
    assert [room for room in sorted(named) if not re.search(rf"`{room}(/\*)?`", text)] == []


def test_table_has_no_circle() -> None:
    order = list(TopologicalSorter(ROOMS).static_order())
    assert order.index("errors") < order.index("engines") < order.index("api") < order.index("cli")


def test_imports_point_down() -> None:
    wrong = []
    for module in modules():
        allowed = ROOMS[module.room] | {module.room} if module.room else frozenset()
        for name in inner_imports(module):
            if name in ("__version__", "VERSION"):
                continue
            if room_of(name) not in allowed:
                wrong.append(f"{module.name} imports {name}")
    assert wrong == []


def test_modules_import_without_circles() -> None:
    names = {module.name for module in modules()}
    graph: dict[str, set[str]] = {}
    for module in modules():
        nodes = [node for node in module.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        top = Module(module.name, module.path, ast.Module(body=list(nodes), type_ignores=[]))
        imported = {name if name in names else name.rpartition(".")[0] for name in inner_imports(top)}
        graph[module.name] = (imported & names) - {module.name}
    TopologicalSorter(graph).prepare()


def test_only_the_composition_roots_read_settings() -> None:
    readers = {m.name for m in modules() if any(room_of(name) == "settings" for name in inner_imports(m))}
    assert [name for name in sorted(readers) if not SETTINGS_READERS.fullmatch(name)] == []


def test_vendors_are_named_in_dialects_only() -> None:
    wrong = []
    for module in modules():
        if VENDOR_ROOMS.fullmatch(module.name):
            continue
        words = [name for name in identifiers(module.tree) if VENDORS.search(name)]
        if module.name not in VENDOR_STRINGS:
            words += [text for text in strings(module.tree) if VENDORS.search(text)]
        wrong += [f"{module.name}: {word[:80]!r}" for word in words]
    assert wrong == []


def test_web_framework_stays_in_api() -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.room != "api"
        for name in imports(module)
        if name.split(".")[0] in WEB_FRAMEWORK
    ]
    assert wrong == []


def test_runtimes_are_imported_inside_loaders() -> None:
    at_import = {m.name: RUNTIMES.intersection(top_level_imports(m.tree)) for m in modules()}
    assert {name: found for name, found in at_import.items() if found} == {}


def test_runtimes_are_imported_in_engines_only() -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.room not in ("engines", "cli")
        for name in imports(module)
        if name.split(".")[0] in RUNTIMES
    ]
    assert wrong == []


def test_modules_are_short() -> None:
    lengths = {m.name: len(m.path.read_text("utf-8").splitlines()) for m in modules()}
    assert {name: n_lines for name, n_lines in lengths.items() if n_lines > MAX_LINES} == {}


def test_modules_are_named_for_what_they_hold() -> None:
    assert [m.name for m in modules() if BAD_MODULES.intersection(m.name.split("."))] == []


def test_classes_are_nouns_of_the_trade() -> None:
    wrong = [
        f"{module.name}.{node.name}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith(BAD_SUFFIXES)
    ]
    assert wrong == []


def test_modules_say_what_lives_there() -> None:
    assert [m.name for m in modules() if not ast.get_docstring(m.tree)] == []


def test_only_the_command_line_prints() -> None:
    wrong = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        if module.room != "cli"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["openai", "GROQ", "together_models", "Together/", "OpenAI-Beta", "together", "Together AI"]
)
def test_a_vendor_name_is_recognised(text: str) -> None:
    assert VENDORS.search(text)


@pytest.mark.parametrize("text", ["put together again", "altogether new", "stitched together", "open air"])
def test_english_is_no_vendor_name(text: str) -> None:
    assert not VENDORS.search(text)


def test_relative_imports_are_resolved() -> None:
    tree = ast.parse("from . import errors\nfrom .engines import fake\nfrom ..domain import Audio")
    module = Module("engines.sphinx", SOURCE / "engines" / "sphinx.py", tree)
    assert list(imports(module)) == [
        "hearsay.engines.errors",
        "hearsay.engines.engines.fake",
        "hearsay.domain.Audio",
    ]


def test_standard_library_is_no_room() -> None:
    assert not set(ROOMS) & (sys.stdlib_module_names - {"errors"})
