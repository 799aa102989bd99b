"""What a machine offers: a container's limits, and GPUs as a pretended NVML has them and CUDA sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pynvml
import pytest

from hearsay.engines.hardware import (
    GIB,
    GpuMemory,
    container_cores,
    container_memory,
    detect,
    free_gpu_memory,
    gpu_memories,
    largest_gpu_memory,
)


@dataclass
class Device:
    """A GPU, or a part of a divided one."""

    uuid: str
    total: int
    free: int
    parts: list[Device] = field(default_factory=list)
    is_silent: bool = False
    """Whether it does not tell its memory."""


@dataclass
class Nvml:
    """The functions of `pynvml` that are called, over some devices; one named in `broken` fails."""

    devices: list[Device]
    broken: str = ""
    calls: list[str] = field(default_factory=list)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Nvml:
        for name in (name for name in dir(self) if name.startswith("nvml")):
            monkeypatch.setattr(pynvml, name, self.spied(name))
        return self

    def spied(self, name: str) -> object:
        def call(*arguments: object) -> object:
            self.calls.append(name)
            if name == self.broken:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
            return getattr(self, name)(*arguments)

        return call

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlShutdown(self) -> None: ...  # noqa: N802

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return 13000

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:  # noqa: N802
        return self.devices[index]

    def nvmlDeviceGetUUID(self, device: Device) -> str:  # noqa: N802
        return device.uuid

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Device:  # noqa: N802
        for device in (*self.devices, *(part for each in self.devices for part in each.parts)):
            if device.uuid == uuid:
                return device
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetMigMode(self, device: Device) -> list[int]:  # noqa: N802
        if device.is_silent or device.uuid.startswith("MIG-"):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [int(bool(device.parts)), 0]

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Device, index: int) -> Device:  # noqa: N802
        return device.parts[index]

    def nvmlDeviceGetMemoryInfo(self, device: Device) -> Device:  # noqa: N802
        if device.is_silent:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return device


LARGE = Device("GPU-aaaa1111", 80 * GIB, 70 * GIB)
SMALL = Device("GPU-bbbb2222", 8 * GIB, 7 * GIB)
SILENT = Device("GPU-cccc3333", 0, 0, is_silent=True)
PARTS = [Device("MIG-1", 20 * GIB, 19 * GIB), Device("MIG-2", 10 * GIB, 9 * GIB)]
DIVIDED = Device("GPU-dddd4444", 40 * GIB, 39 * GIB, PARTS)


@pytest.fixture(autouse=True)
def all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_largest_gpu_counts_and_each_has_its_own_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml([SMALL, LARGE, SILENT]).install(monkeypatch)
    assert largest_gpu_memory() == 80 * GIB
    assert detect().gpu_memory_bytes == 80 * GIB and detect("cpu").gpu_memory_bytes == 0
    assert [free_gpu_memory(index) for index in range(4)] == [7 * GIB, 70 * GIB, None, None]
    assert nvml.calls.count("nvmlInit") == nvml.calls.count("nvmlShutdown") == 6


@pytest.mark.parametrize(
    ("listed", "free"),
    [
        ("", []),
        ("-1", []),
        ("1", [70]),
        ("1,0", [70, 7]),
        (" 1 , 0 ", [70, 7]),
        ("0,9,1", [7]),
        ("0,-1,1", [7]),
        ("NoDevFiles", []),
        ("GPU-aaaa1111,GPU-bbbb2222", [70, 7]),
        ("GPU-bb", [7]),
        ("GPU-ffff,0", []),
        ("2", [19]),
        ("MIG-2,MIG-1", [9, 19]),
        ("MIG-3,0", []),
    ],
)
def test_what_cuda_hides_does_not_count(
    monkeypatch: pytest.MonkeyPatch, listed: str, free: list[int]
) -> None:
    Nvml([SMALL, LARGE, DIVIDED]).install(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert [memory.free // GIB for memory in gpu_memories() if memory] == free


def test_of_a_divided_gpu_the_first_part_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    Nvml([DIVIDED]).install(monkeypatch)
    assert gpu_memories() == [GpuMemory(20 * GIB, 19 * GIB)]


@pytest.mark.parametrize(
    "call", ["nvmlInit", "nvmlSystemGetCudaDriverVersion_v2", "nvmlDeviceGetCount", "nvmlDeviceGetMemoryInfo"]
)
def test_a_driver_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    nvml = Nvml([LARGE], broken=call).install(monkeypatch)
    assert largest_gpu_memory() == 0 and free_gpu_memory(0) is None
    assert nvml.calls.count("nvmlShutdown") == (0 if call == "nvmlInit" else 2)


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert largest_gpu_memory() == 0 and free_gpu_memory(0) is None


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000\n", None), ("200000 100000\n", 2), ("150000 100000", 2), ("1000 100000", 1)],
)
def test_a_containers_share_of_the_cores_counts(tmp_path: Path, text: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(text, encoding="ascii")
    assert container_cores(tmp_path / "cpu.max") == cores
    assert container_cores(tmp_path / "nothing") is None


@pytest.mark.parametrize(("text", "n_bytes"), [("max\n", None), ("536870912\n", GIB // 2)])
def test_a_containers_memory_counts(tmp_path: Path, text: str, n_bytes: int | None) -> None:
    (tmp_path / "memory.max").write_text(text, encoding="ascii")
    assert container_memory(tmp_path / "memory.max") == n_bytes
    assert container_memory(tmp_path / "nothing") is None


def test_looks_at_this_machine() -> None:
    machine = detect(gpu_memory=lambda: 7)
    assert machine.cores >= 1 and machine.memory_bytes > 64 << 20 and machine.gpu_memory_bytes == 7
    assert detect("cpu", gpu_memory=lambda: 7).gpu_memory_bytes == 0
