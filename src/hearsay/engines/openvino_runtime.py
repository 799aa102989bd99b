"""OpenVINO, brought in so that it tells nobody.

Knows no model. Importing the package as it comes sends an event to its makers' analytics and leaves a file
with an id in the home folder, without asking (`openvino/tools/ovc/__init__.py`, 2026.4). All of Hearsay
therefore comes to it through here, and `tests/engines/test_openvino_runtime.py` watches over that.
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
"""The package that sends; without it OpenVINO does nothing in its place."""

_CONVERTER = "openvino.tools.ovc"
"""What sends on import: a converter of models, which takes as long to import as all the rest."""

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
    """Return the operations from which graphs are built."""
    module()
    from openvino import opset15

    return opset15


def bfloat16(array: NDArray[np.float32]) -> Any:
    """Make a constant of bfloat16, rounded to the nearest even; numpy does it far faster than OpenVINO."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    ov = module()
    return ov.op.Constant(ov.Tensor(rounded, list(array.shape), ov.Type.bf16), shared_memory=False)


def widened(constant: Any) -> Any:
    """Return a constant as float32 to compute with, while what is kept in memory stays as narrow as it is.

    Without the mark, OpenVINO would keep the float32 as well (`ov::Decompression`, its name for the mark).
    """
    node = opset().convert(constant, module().Type.f32)
    node.get_rt_info()["decompression_0"] = ""
    return node


@cache
def core() -> Any:
    """Return the one entry to all devices that this process has. Raises `ImportError`."""
    return module().Core()


@cache
def computes_in(precision: str) -> bool:
    """Return whether the processor has instructions for a number format by OpenVINO's name; for `f32` it has.

    Without them OpenVINO makes do: with several of f32 for each of bf16, and with f32 in place of f16.
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
