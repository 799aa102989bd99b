"""What this machine offers to models: cores, memory, and GPUs with their memory.

Knows no model. What GPUs have is read through NVML (NVIDIA Management Library, `nvidia-ml-py`), which counts
all of a machine's; those that CUDA hides from this process are left out here.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of one GPU, in bytes."""

    total: int
    free: int


def detect(device: str = "auto", gpu_memory: Callable[[], int] | None = None) -> Machine:
    """Measure this machine; with `device` `cpu` a GPU does not count."""
    cores = n_cores()
    cores = min(cores, container_cores(Path("/sys/fs/cgroup/cpu.max")) or cores)
    usable = 0 if device == "cpu" else (gpu_memory or largest_gpu_memory)()
    return Machine(cores, _memory(), usable)


def n_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def multiplies_bytes_exactly() -> bool:
    """Return whether 8-bit products are summed in 32 bits: x86 with VNNI, or ARM.

    Without VNNI (AMD before Zen 4, Intel before 2019) pairs of u8 x s8 products are summed in 16 bits, which
    saturate. An x86 whose instructions are not known counts as one without.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8", "replace").partition("\nflags")[2].partition("\n")[0]
    except OSError:
        return False
    return not {"avx512_vnni", "avx_vnni"}.isdisjoint(flags.split())


def largest_gpu_memory() -> int:
    """Return the memory of the largest GPU that CUDA can use, in bytes; 0 without a driver or a GPU."""
    return max((memory.total for memory in gpu_memories() if memory), default=0)


def free_gpu_memory(index: int) -> int | None:
    """Return the free memory in bytes of the GPU that CUDA gives an index; None where that is not known."""
    found = gpu_memories()
    memory = found[index] if index < len(found) else None
    return memory.free if memory else None


def gpu_memories() -> list[GpuMemory | None]:
    """Return the memory of each GPU that CUDA can use, by CUDA's index; None for one that does not tell.

    In a machine with GPUs of different kinds, both count alike under `CUDA_DEVICE_ORDER=PCI_BUS_ID` only.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        pynvml.nvmlSystemGetCudaDriverVersion_v2()  # fails where the driver comes without CUDA's library
        return [_memory_of(handle) for handle in _visible(os.environ.get("CUDA_VISIBLE_DEVICES"))]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _visible(listed: str | None) -> Iterator[Any]:
    """Return NVML's handles of the GPUs that CUDA sees: all, or those listed before the first unknown one.

    Source: CUDA C++ programming guide, "CUDA environment variables": indices, `GPU-` with the beginning of a
    UUID, `MIG-` with a whole one.
    """
    import pynvml

    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    if listed is None:
        yield from handles
        return
    by_name = {str(index): handle for index, handle in enumerate(handles)}
    by_name |= {pynvml.nvmlDeviceGetUUID(handle): handle for handle in handles}
    for name in (each.strip() for each in listed.split(",")):
        if name.startswith("MIG-"):
            try:
                yield pynvml.nvmlDeviceGetHandleByUUID(name)
            except pynvml.NVMLError:
                return
            continue
        known = [key for key in by_name if key == name or (name.startswith("GPU-") and key.startswith(name))]
        if not known:
            return
        yield by_name[known[0]]


def _memory_of(handle: Any) -> GpuMemory | None:
    import pynvml

    try:
        if pynvml.nvmlDeviceGetMigMode(handle)[0]:  # Of a GPU that is divided, CUDA sees the first part.
            handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, 0)
    except pynvml.NVMLError:
        pass  # It cannot be divided, or is a part itself.
    try:
        found = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError:
        return None
    return GpuMemory(int(found.total), int(found.free))


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
