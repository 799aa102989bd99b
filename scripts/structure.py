"""Print figures of the sources' structure: `python -m scripts.structure [--source PATH] [--verbose]`.

Knows no module by heart: any checkout can be measured. An import counts at any depth, in functions too, but
not for type checkers alone, nor by a name in a string; `from a import b` imports `a.b` if a module, else `a`.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import inspect
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
PACKAGE = "hearsay"


def module_files(source: Path) -> dict[str, Path]:
    """Return the file of each module by its dotted name; a package goes by its folder's name."""
    found = {}
    for path in sorted((source / "src" / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source / "src").with_suffix("").parts
        found[".".join(parts[:-1] if path.name == "__init__.py" else parts)] = path
    return found


def top_level_names(files: Mapping[str, Path]) -> set[str]:
    """Return the modules and packages directly in the package, without `__main__`."""
    return {name.split(".")[1] for name in files if "." in name} - {"__main__"}


def import_graph(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Parse every module and return which of the others it imports."""
    graph = {}
    for name, path in files.items():
        dotted = set(_imports(ast.parse(path.read_text("utf-8"))))
        found = {each if each in files else each.rpartition(".")[0] for each in dotted}
        graph[name] = found & files.keys() - {name}
    return graph


def _imports(node: ast.AST) -> Iterator[str]:
    """Return the dotted names that a syntax tree imports; relative imports are not used here."""
    children = ast.iter_child_nodes(node)
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            yield from (f"{module}.{alias.name}" for alias in names)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            children = iter(node.orelse)
    for child in children:
        yield from _imports(child)


def sole_importers(graph: Mapping[str, set[str]], files: Mapping[str, Path]) -> dict[str, str | None]:
    """Return the modules, not packages, that at most one imports, and which: none if started by its name."""
    modules = [name for name in graph if files[name].name != "__init__.py"]
    importers = {name: [other for other in graph if name in graph[other]] for name in modules}
    return {name: found[0] if found else None for name, found in importers.items() if len(found) < 2}


def from_outside(sole: Mapping[str, str | None]) -> dict[str, str]:
    """Return those whose importer has another first component; that of a flat module is its own name."""

    def component(name: str) -> list[str]:
        return name.split(".")[1:2]

    return {name: other for name, other in sole.items() if other and component(other) != component(name)}


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the longest path of imports, importer first. Raises: `graphlib.CycleError`."""
    chains: dict[str, list[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        below = max((chains[other] for other in sorted(graph[name])), key=len, default=[])
        chains[name] = [name, *below]
    return max(chains.values(), key=len)


def measure_uploads(source: Path) -> list[dict[str, bool]]:
    """Upload the sample twice to a server in this process, with the fixture's Whisper; return what ran.

    For each upload these are the modules of which code ran between the request's first byte and the answer's
    last, and whether a function did, not only the module's body. The first upload loads the model. Child
    processes do not count. Nothing of the package may have been imported before.
    """
    os.environ["PYTHONPATH"] = str(source / "src")  # for child processes
    sys.path.insert(0, str(source / "src"))
    ran: dict[str, bool] = {}

    def profile(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_globals.get("__name__", "")
        if event == "call" and name.partition(".")[0] == PACKAGE:
            ran[name] = ran.get(name, False) or bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED)

    uploads = []
    threading.setprofile(profile)
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in _upload(source, Path(folder), listener):
            uploads.append(dict(sorted(ran.items())))
            ran.clear()
    return uploads[1:]


def _upload(source: Path, folder: Path, listener: socket.socket) -> Iterator[None]:
    """Serve on a thread; yield once before the uploads, and after each of the two."""
    import httpx
    import structlog
    import uvicorn

    from hearsay.api.app import from_settings
    from hearsay.api.server import configure
    from hearsay.settings import Settings

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    models = {"fixture": source / "tests" / "data" / "fixture-whisper"}
    settings = Settings(models=models, models_folder=folder, keys_file=folder / "keys", offline=True)
    server = uvicorn.Server(configure(from_settings(settings)))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        while thread.is_alive() and not server.started:
            time.sleep(0.01)
        yield
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/audio/transcriptions"
        files = {"file": (source / "src" / PACKAGE / "samples" / "hello.flac").read_bytes()}
        with httpx.Client(timeout=120) as client:
            for _ in range(2):
                client.post(url, files=files, data={"model": "fixture"}).raise_for_status()
                yield
    finally:
        server.should_exit = True
        thread.join()


def figures(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Compute each figure as a line, and the modules behind it."""
    files = module_files(source)
    graph = import_graph(files)
    top = top_level_names(files)
    yield f"names at the top level of src/{PACKAGE}: {len(top)}", sorted(top)
    sole = sole_importers(graph, files)
    yield f"modules with at most one importer: {len(sole)} of {len(files)}", sorted(sole)
    outside = [f"{name} <- {other}" for name, other in from_outside(sole).items()]
    yield f"modules with one importer, outside their package: {len(outside)}", outside
    chain = longest_chain(graph)
    yield f"longest import chain: {len(chain) - 1} imports, {' -> '.join(chain)}", []
    lines = sum(path.read_bytes().count(b"\n") for path in files.values())
    yield f"source lines: {lines}", []
    first, second = measure_uploads(source)
    n_called = f"{sum(first.values())} by functions, {sum(second.values())} at a second upload"
    ran = [f"{name}{' (loading)' * (name not in second)}" for name in first]
    yield f"modules between socket and answer: {len(first)} ({n_called})", ran


def main() -> None:
    """Print one figure on each line."""
    parser = argparse.ArgumentParser(description="Print figures of the sources' structure.")
    parser.add_argument("--source", type=Path, default=ROOT, help="root of the checkout to measure")
    parser.add_argument("--verbose", action="store_true", help="list the modules behind each figure")
    arguments = parser.parse_args()
    for line, modules in figures(arguments.source.resolve()):
        print(line, *(f"    {name}" for name in modules if arguments.verbose), sep="\n")


if __name__ == "__main__":
    main()
