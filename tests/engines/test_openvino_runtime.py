"""OpenVINO comes in by one door, and tells nobody."""

from __future__ import annotations

import ast
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hearsay.engines import openvino_runtime
from hearsay.engines.openvino_runtime import best_precision

SOURCE = Path(openvino_runtime.__file__).parents[1]

WATCHED = """
import socket, sys, pathlib, threading
def refuse(*args, **kwargs):
    raise SystemExit("something wants to talk to the network")
socket.socket.connect = socket.getaddrinfo = refuse
from hearsay.engines import openvino_runtime
openvino_runtime.core()
openvino_runtime.opset()
loaded = [name for name, module in sys.modules.items() if "telemetry" in name and module is not None]
assert not loaded, loaded
assert threading.active_count() == 1
from openvino.tools.ovc import convert_model  # Others in the process may still have it.
"""


def test_nothing_is_sent_and_nothing_is_left_at_home(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        env={"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_imports_it() -> None:
    doors = [path for path in SOURCE.rglob("*.py") if "openvino" in set(_imported(path))]
    assert doors == [Path(openvino_runtime.__file__)]


def _imported(path: Path) -> list[str]:
    """List the first parts of the names of modules that a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module.split(".")[0])
    return names


def test_it_computes() -> None:
    op = openvino_runtime.opset()
    left = op.parameter([-1], np.float32)
    model = openvino_runtime.module().Model([op.result(op.add(left, left))], [left], "double")
    compiled = openvino_runtime.core().compile_model(model, "CPU")
    np.testing.assert_array_equal(compiled([np.array([1, 2], np.float32)])[0], [2, 4])
    assert openvino_runtime.is_usable()


def test_number_formats_are_those_of_the_processors_own_instructions() -> None:
    assert openvino_runtime.computes_in("f32")
    listed = Path("/proc/cpuinfo")
    if not listed.exists() or platform.machine() != "x86_64":
        pytest.skip("this system does not list the instructions")
    flags = set(re.search(r"^flags\s*:(.*)$", listed.read_text(), re.MULTILINE)[1].split())  # type: ignore[index]
    narrow = "avx512_bf16" in flags or {"avx_vnni_int8", "avx_ne_convert"} <= flags
    assert openvino_runtime.computes_in("bf16") == narrow
    assert (best_precision() == "bf16") == ("avx512_bf16" in flags)


def test_a_narrow_constant_is_rounded_and_computes_as_float32() -> None:
    """Half of the last place goes to the even neighbour, as IEEE 754 has it."""
    rows = np.array([[1.0, 1.0 + 2**-8, 1.0 + 3 * 2**-8, -3.14159265, 1e-30, 0.0]], np.float32)
    op = openvino_runtime.opset()
    constant = openvino_runtime.bfloat16(rows)
    assert constant.get_element_type() == openvino_runtime.module().Type.bf16
    wide = openvino_runtime.widened(constant)
    assert wide.get_element_type() == openvino_runtime.module().Type.f32
    unit = op.parameter([-1, 1], np.float32)
    model = openvino_runtime.module().Model(
        [op.result(op.matmul(unit, wide, False, False))], [unit], "rounded"
    )
    compiled = openvino_runtime.core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (found,) = compiled([np.ones((1, 1), np.float32)])[0]
    np.testing.assert_array_equal(found[[0, 1, 2, 5]], [1.0, 1.0, 1.0 + 2**-6, 0.0])
    np.testing.assert_allclose(found, rows[0], rtol=2**-8)


def test_without_the_package_it_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino_runtime.is_usable.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not openvino_runtime.is_usable()
    openvino_runtime.is_usable.cache_clear()


def test_without_a_plugin_for_the_processor_it_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        def get_property(self, device: str, name: str) -> str:
            raise RuntimeError(f"no device {device} to give {name}")

    openvino_runtime.is_usable.cache_clear()
    monkeypatch.setattr(openvino_runtime, "core", Empty)
    assert not openvino_runtime.is_usable()
    openvino_runtime.is_usable.cache_clear()
