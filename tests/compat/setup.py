"""Set up the vendors' clients that cannot live in the project's own environment.

Knows no test. Run as `python -m tests.compat.setup`; quick where nothing is to be done. What this machine
cannot have (no Node, no package index) is written down with its reason, which the tests give when they skip;
any other failure is a failure.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLIENTS = HERE.parents[1] / ".compat"
"""Environments and notes, not in version control."""

JS = HERE / "js"
PYTHON_ENVIRONMENTS = ("together1", "together2")
OLDEST_NODE = 20
"""Major version; the clients need the global `File` that came with it."""

UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    r"|Failed to establish a new connection|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET"
    r"|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED"
)
"""How the two installers say that their index is out of reach."""


class Absent(Exception):
    """This machine cannot have a client; the message says why."""


def main() -> int:
    """Set everything up; say what is missing and why."""
    CLIENTS.mkdir(exist_ok=True)
    for name in PYTHON_ENVIRONMENTS:
        lock = HERE / "requirements" / f"{name}.txt"
        settle(name, lock, python_of(name), partial(install_python, name, lock))
    settle("js", JS / "package-lock.json", JS / "node_modules", install_js)
    return 0


def python_of(name: str) -> Path:
    """Return the interpreter of one of the Python environments."""
    return CLIENTS / name / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def settle(name: str, lock: Path, product: Path, install: Callable[[], None]) -> None:
    """Install what `lock` pins unless that was done already; note the reason where it cannot be had."""
    stamp, reason = CLIENTS / f"{name}.stamp", CLIENTS / f"{name}.absent"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if product.exists() and stamp.exists() and stamp.read_text() == digest:
        return
    stamp.unlink(missing_ok=True)
    try:
        install()
    except Absent as absent:
        reason.write_text(str(absent))
        print(f"tests/compat: the tests of {name} will be skipped: {absent}", file=sys.stderr)
        return
    reason.unlink(missing_ok=True)
    stamp.write_text(digest)


def install_python(name: str, lock: Path) -> None:
    """Make a virtual environment and put the pinned packages in, without resolving anything."""
    venv.create(CLIENTS / name, clear=True, with_pip=True)
    pip = [str(python_of(name)), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run([*pip, "install", "--retries", "2", "--no-deps", "-r", str(lock)], cwd=HERE)


def install_js() -> None:
    """Put the pinned packages into node_modules, where this machine has a Node that can run them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Absent("Node is not installed")
    version = run([node, "--version"], cwd=JS)
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        raise Absent(f"Node {OLDEST_NODE} or newer is needed, this is {version.strip()}")
    run([npm, "ci", "--no-progress"], cwd=JS)


def run(command: list[str], *, cwd: Path) -> str:
    """Run an installer and give its output.

    Raises: `Absent` where the index cannot be reached, `SystemExit` on any other failure.
    """
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    said = done.stdout + done.stderr
    if UNREACHABLE.search(said):
        raise Absent("the package index cannot be reached from here")
    raise SystemExit(f"tests/compat: {' '.join(command)} failed:\n{said}")


if __name__ == "__main__":
    sys.exit(main())
