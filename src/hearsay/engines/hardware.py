"""What this machine can carry: cores, memory, GPU memory, and which Whisper suits it.

Knows no model files and downloads nothing. The thresholds are ours, with their reasons beside them.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    """What matters for the choice of a model."""

    cores: int
    """CPU cores that this process may use, or the container's limit where that is lower."""
    memory_bytes: int
    """RAM, or the container's limit where that is lower."""
    gpu_memory_bytes: int = 0
    """Memory of the largest usable GPU; 0 without one."""


def detect(device: str = "auto", gpu_memory: Callable[[], int] | None = None) -> Machine:
    """Look at this machine; with `device` `cpu` a GPU does not count."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(cores, container_cores(Path("/sys/fs/cgroup/cpu.max")) or cores)
    usable = 0 if device == "cpu" else (gpu_memory or cuda_memory)()
    return Machine(cores, _memory(), usable)


def cuda_memory() -> int:
    """Ask the CUDA driver for the memory of the largest GPU in bytes; 0 where there is no driver or no GPU.

    Source: CUDA driver API, `cuInit`, `cuDeviceGetCount`, `cuDeviceTotalMem_v2`.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return max((_device_memory(driver, index) for index in range(count.value)), default=0)


def _device_memory(driver: ctypes.CDLL, index: int) -> int:
    device, total = ctypes.c_int(), ctypes.c_size_t()
    if driver.cuDeviceGet(ctypes.byref(device), index) != 0:
        return 0
    return total.value if driver.cuDeviceTotalMem_v2(ctypes.byref(total), device) == 0 else 0


def _memory() -> int:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4 * GIB
    return min(physical, container_memory(Path("/sys/fs/cgroup/memory.max")) or physical)


def container_cores(path: Path) -> int | None:
    """Read of how many cores a container may use the time, a part of one counting whole; None for all.

    Source: Linux, cgroup v2, `cpu.max`: microseconds allowed in each period, or `max`.
    """
    try:
        allowed, period = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return max(math.ceil(int(allowed) / int(period)), 1) if allowed.isdigit() else None


def container_memory(path: Path) -> int | None:
    """Read how much memory in bytes a container may use; None for all (cgroup v2, `memory.max`)."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
