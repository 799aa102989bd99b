"""Starting a child process that runs a module of ours: with no secret, open file or signal of the parent's.

Does not know what the process does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "VIRTUAL_ENV", "TZ")


def start_module(module: str, *, stdin: int) -> subprocess.Popen[bytes]:
    """Run a module with a descriptor (or `subprocess.PIPE`) as its standard input, and nothing as its output.

    Standard error is the parent's. The process group is not: Ctrl-C in a terminal is for the parent.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        env=_environment(),
        cwd="/",
        process_group=0,
    )


def _environment() -> dict[str, str]:
    """Return what Python needs to start and to find this package, and one thread for linear algebra."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    package = str(Path(__file__).resolve().parents[2])
    paths = filter(None, (package, os.environ.get("PYTHONPATH")))
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
