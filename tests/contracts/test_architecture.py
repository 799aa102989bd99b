"""Who may import whom, and other rules of docs/design.md, checked on the syntax trees of all of src/hearsay.

Knows no module by heart: the first component of a path decides.
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

from hearsay.engines import registry
from tests.support.paths import ROOT

SOURCE = ROOT / "src" / "hearsay"

ALLOWED_EVERYWHERE = frozenset({"errors", "domain"})

IMPORTS: dict[str, str] = {
    "text": "",
    "processes": "",
    "storage": "",
    "samples": "",
    "media": "processes",
    "transcripts": "text",
    "engines": "text transcripts processes",
    "vad": "engines.protocols",
    "models": "engines storage",
    "scheduling": "engines.protocols engines.jobs engines.registry",
    "asr": "text transcripts vad engines.protocols engines.jobs",
    "tts": "text media engines.protocols",
    "client": "text media",
    "dialects": "text transcripts media.formats",
    "settings": "text",
    "wiring": "settings engines models scheduling",
}
IMPORTS["api"] = " ".join(name for name in IMPORTS if name != "client")
IMPORTS["cli"] = " ".join(IMPORTS)
"""The first component of each path, and what it may import besides itself, `errors` and `domain`."""

SHARED_BY_ENGINES = frozenset(
    {"engine_spec", "hardware", "jobs", "onnx_file", "openvino_runtime", "protocols", "tts_worker"}
)
"""What every engine may import; no engine imports another."""

ENGINE_IMPORTS = frozenset({("onnx_tts", "espeak.voices"), ("fake", "whisper.window_loop")})
"""The exceptions: neural voices get phonemes from espeak-ng, and the fake engine stands in for a Whisper."""

SETTINGS_READERS = re.compile(r"settings|wiring|api\.app|cli(\..+)?")
VENDORS = re.compile(
    r"openai|groq|^together$|_together|together([_/-]|\.ai|\.xyz|ai\b|\s+ai\b)", re.IGNORECASE
)
VENDOR_PACKAGES = {"dialects", "client"}
VENDOR_STRINGS: dict[str, str] = {
    "engines.whisper.cards": "ids, aliases and owners of models are data",
    "models.hosted_names": "names of hosted models are data",
    "cli.serve.banner": "shows how to use the server through a vendor's client",
}
"""Modules whose string literals may name a vendor, and why; their identifiers may not."""

WEB_FRAMEWORK = {"fastapi", "starlette", "python_multipart", "multipart"}
RUNTIMES = {
    "pynvml",
    "ctranslate2",
    "openvino",
    "faster_whisper",
    "torch",
    "onnxruntime",
    "espeakng_loader",
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
    def package(self) -> str:
        """The first component of its path."""
        return self.name.partition(".")[0]


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
    """Return every absolute dotted name that a module imports, at any depth.

    `from a import b` gives `a.b`.
    """
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
    """Return the imports of our own modules, without the package's name."""
    for name in imports(module):
        if name.startswith("hearsay."):
            yield name.removeprefix("hearsay.")


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    """Return the packages imported with the module; not those in functions or for type checkers alone."""
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
    """Return every name that the code itself chooses or uses."""
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
    """Return every string literal that is not a docstring (of a module, class, function or field)."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_package_is_there() -> None:
    assert {"errors", "domain", "engines.protocols"} <= {module.name for module in modules()}


def test_every_package_is_in_the_table_and_in_the_design_document() -> None:
    packages = {module.package for module in modules()}
    assert packages == IMPORTS.keys() | ALLOWED_EVERYWHERE
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    assert [name for name in sorted(packages) if f"`{name}`" not in text] == []


def test_table_has_no_circle() -> None:
    graph = {name: {other.partition(".")[0] for other in row.split()} for name, row in IMPORTS.items()}
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("engines") < order.index("api") < order.index("cli")


def test_imports_follow_the_table() -> None:
    wrong = []
    for module in modules():
        allowed = (module.package, *ALLOWED_EVERYWHERE, *IMPORTS.get(module.package, "").split())
        wrong += [
            f"{module.name} imports {name}"
            for name in inner_imports(module)
            if name != "__version__" and not any(f"{name}.".startswith(f"{other}.") for other in allowed)
        ]
    assert wrong == []


def test_errors_and_domain_import_nothing_else() -> None:
    base = [module for module in modules() if module.name in ALLOWED_EVERYWHERE]
    assert [name for module in base for name in inner_imports(module)] == []


def test_no_engine_imports_another() -> None:
    inside = [m for m in modules() if m.package == "engines" and m.name.count(".") > 1]
    folders = {module.name.split(".")[1] for module in inside} - SHARED_BY_ENGINES
    found = set()
    for module in inside:
        engine = module.name.split(".")[1]
        for name in inner_imports(module):
            package, _, other = name.partition(".")
            if package == "engines" and other.partition(".")[0] in folders - {engine}:
                found.add((engine, ".".join(other.split(".")[:2])))
    assert found <= ENGINE_IMPORTS


def test_modules_import_without_circles() -> None:
    names = {module.name for module in modules()}
    graph: dict[str, set[str]] = {}
    for module in modules():
        nodes = [node for node in module.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        top = Module(module.name, module.path, ast.Module(body=list(nodes), type_ignores=[]))
        imported = {name if name in names else name.rpartition(".")[0] for name in inner_imports(top)}
        graph[module.name] = (imported & names) - {module.name}
    TopologicalSorter(graph).prepare()


def named_engines(tree: ast.Module) -> Iterator[str]:
    """Return every expression that decides by an engine's name: in a comparison, a `case`, a set or a key."""
    names = {engine.name for engine in registry.ENGINES}
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                deciding = [left, *others]
            case ast.MatchValue(value=value):
                deciding = [value]
            case ast.Dict(keys=keys):
                deciding = [key for key in keys if key is not None]
            case ast.Set(elts=elements):
                deciding = elements
            case _:
                continue
        leaves = (leaf for each in deciding for leaf in ast.walk(each))
        if names & {leaf.value for leaf in leaves if isinstance(leaf, ast.Constant)}:
            yield ast.unparse(node)[:80]


def test_engines_are_named_in_their_own_folders_only() -> None:
    wrong = [
        f"{module.name}: {found}"
        for module in modules()
        if not re.match(r"engines\.(registry$|\w+\.)", module.name)
        for found in named_engines(module.tree)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("card.engine == 'whisper'", True),
        ("'fake' != name", True),
        ("name in ('espeak', 'onnx_tts')", True),
        ("name in frozenset({'espeak'})", True),
        ("match name:\n    case 'a' | 'onnx_tts': pass", True),
        ("table = {'whisper': 1}", True),
        ("call(engine='whisper')", False),
        ("name == 'whisper-1'", False),
    ],
)
def test_a_decision_by_an_engine_s_name_is_found(text: str, found: bool) -> None:
    assert bool(list(named_engines(ast.parse(text)))) is found


def test_a_card_s_engine_is_looked_up_in_the_registry() -> None:
    wrong = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        if module.package != "engines"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "engine"
        if module.package != "scheduling" or "card" in ast.unparse(node.value).rpartition(".")[2]
    ]
    assert wrong == []


def test_only_the_composition_roots_read_settings() -> None:
    readers = {
        m.name for m in modules() if any(name.partition(".")[0] == "settings" for name in inner_imports(m))
    }
    assert [name for name in sorted(readers) if not SETTINGS_READERS.fullmatch(name)] == []


def test_vendors_are_named_in_dialects_only() -> None:
    wrong = []
    for module in modules():
        if module.package in VENDOR_PACKAGES:
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
        if module.package != "api"
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
        if module.package not in ("engines", "cli")
        for name in imports(module)
        if name.split(".")[0] in RUNTIMES
    ]
    assert wrong == []


def test_modules_are_short() -> None:
    lengths = {m.name: len(m.path.read_text("utf-8").splitlines()) for m in modules()}
    assert {name: n_lines for name, n_lines in lengths.items() if n_lines > MAX_LINES} == {}


TESTED_FROM = 40
"""Lines from which a module has a test file of its own."""


def test_every_module_has_its_tests_at_the_mirrored_path() -> None:
    """`a/b.py` has `tests/a/test_b.py`, and the `__init__.py` of package `a/b` has `tests/a/b/test_b.py`."""
    long = [m for m in modules() if len(m.path.read_text("utf-8").splitlines()) >= TESTED_FROM]
    missing = []
    for module in long:
        folder = module.path.relative_to(SOURCE).parent
        name = folder.name if module.path.stem == "__init__" else module.path.stem
        if not (ROOT / "tests" / folder / f"test_{name}.py").exists():
            missing.append(module.name)
    assert missing == []


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
        if module.package != "cli"
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
    module = Module("engines.kaldi", SOURCE / "engines" / "kaldi.py", tree)
    assert list(imports(module)) == [
        "hearsay.engines.errors",
        "hearsay.engines.engines.fake",
        "hearsay.domain.Audio",
    ]


def test_no_package_has_the_name_of_a_standard_module() -> None:
    assert not set(IMPORTS) & sys.stdlib_module_names
