"""How tests are shared out among the workers of pytest-xdist, and how workers share the cores.

Knows no test but by its path. A module stays on one worker, so that what its tests share is made once.
"""

from __future__ import annotations

import os
from typing import Any

from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "tests/compat/": "clients and the servers they talk to",
}
"""Beginning of a path → what these modules have in common and one worker therefore makes once."""

FIRST = (
    "tests/compat/",
    "tests/system/",
    "tests/engines/",
    "tests/contracts/",
    "tests/cli/",
    "tests/bench/",
)
"""Folders of long modules. They begin first, so that the workers end at about the same time."""


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out whole modules, in the order of collection."""

    def __init__(self, config: Any, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return next((name for path, name in TOGETHER.items() if module.startswith(path)), module)


def rank(path: str) -> int:
    """Return the place of a test's folder among those that begin first; all others share the last."""
    return next((place for place, folder in enumerate(FIRST) if path.startswith(folder)), len(FIRST))


def keep_to_own_cores() -> None:
    """Give this worker its share of the cores, for itself and the processes that it starts.

    Engines compute in as many threads as they see cores. Where every worker sees all of them, threads of
    one spend their time waiting for the other's.
    """
    worker, n_workers = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    if worker and n_workers and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[int(worker.removeprefix("gw")) % len(cores) :: int(n_workers)])
