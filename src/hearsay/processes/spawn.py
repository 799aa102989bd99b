"""How to start a Python process of our own: with no secret, no open file and no signal of the parent's.

Knows nothing of what the process does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "VIRTUAL_ENV", "TZ")


def start_module(module: str, *, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    """Run a module of this package with descriptors (or `subprocess.PIPE`) as its input and output.

    Its standard error is ours. It is not in our process group: Ctrl-C in a terminal is ours.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=stdin,
        stdout=stdout,
        env=_environment(),
        cwd="/",
        process_group=0,
    )


def _environment() -> dict[str, str]:
    """Keep what Python needs to start and to find this package; and let linear algebra have one thread."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    package = str(Path(__file__).resolve().parents[2])
    paths = filter(None, (package, os.environ.get("PYTHONPATH")))
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
