"""OpenVINO, imported without its telemetry.

Knows no model. A plain import sends an event to the makers' analytics and writes a file with an id into the
home folder, without asking (`openvino/tools/ovc/__init__.py`, 2026.4). All of Hearsay therefore imports it
through here, which `tests/engines/test_openvino_runtime.py` checks.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from functools import cache
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

_TELEMETRY = "openvino_telemetry"
"""The package that sends; OpenVINO works without it."""

_CONVERTER = "openvino.tools.ovc"
"""The module that sends on import: a converter of models, as slow to import as all the rest."""

_importing = threading.Lock()


def module() -> Any:
    """Import OpenVINO without its telemetry. Raises `ImportError` where it is not installed."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    with _importing:
        if "openvino" in modules:
            return modules["openvino"]
        modules.setdefault(_TELEMETRY, None)
        modules[_CONVERTER] = None
        try:
            import openvino
        finally:
            del modules[_CONVERTER]
    return openvino


def opset() -> Any:
    """Return the operators from which graphs are built."""
    module()
    from openvino import opset15

    return opset15


def bfloat16(array: NDArray[np.float32]) -> Any:
    """Return a constant of bfloat16, rounded to nearest even; numpy converts far faster than OpenVINO."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    ov = module()
    return ov.op.Constant(ov.Tensor(rounded, list(array.shape), ov.Type.bf16), shared_memory=False)


def widened(constant: Any) -> Any:
    """Return a constant as float32 to compute with, which stays in its own type in memory.

    Without the attribute (`ov::Decompression`), OpenVINO would keep the float32 as well.
    """
    node = opset().convert(constant, module().Type.f32)
    node.get_rt_info()["decompression_0"] = ""
    return node


@cache
def core() -> Any:
    """Return the `Core` of this process. Raises `ImportError`."""
    return module().Core()


@cache
def computes_in(precision: str) -> bool:
    """Return whether the processor has instructions for a number format by OpenVINO's name, as for `f32`.

    Without them OpenVINO emulates bf16 with several instructions of f32, and computes f32 in place of f16.
    """
    capability = {"bf16": "BF16", "f16": "FP16", "f32": "FP32"}[precision]
    return capability in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def is_usable() -> bool:
    """Return whether OpenVINO is installed and can compute on this machine's processor."""
    if importlib.util.find_spec("openvino") is None:
        return False
    try:
        core().get_property("CPU", "FULL_DEVICE_NAME")  # A list of all devices would wake the GPU's driver.
    except (ImportError, RuntimeError):
        return False
    return True


def best_precision() -> str:
    """Return the number format that OpenVINO chooses on this processor: `f32`, `bf16` or `f16`.

    `bf16` only with AVX-512's instructions, which paged attention in bf16 requires.
    """
    name = core().get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name()
    return str(name) if name in ("f32", "bf16", "f16") else "f32"
