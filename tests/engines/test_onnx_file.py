"""What ONNX files say of themselves is read from real ones, and nonsense is refused and read no further."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.engines.onnx_file import facts
from tests.support.paths import DATA

TOYS = DATA
KOKORO = TOYS / "toy-kokoro" / "model.onnx"


def test_reads_what_the_toys_say_of_themselves() -> None:
    found = facts(KOKORO)
    assert found["model_type"] == "kokoro"
    assert found["sample_rate"] == "24000"
    assert found["speaker_names"] == "af_heart,bm_george,ef_dora,jf_alpha"
    assert facts(TOYS / "toy-piper" / "de_DE-toy-low.onnx")["comment"] == "piper"


def test_passes_over_data_without_reading_them(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    with model.open("wb") as file:  # field 7, the graph: 8 GB of nothing, which takes no space on the disk
        file.write(b"\x3a\x80\x80\x80\x80\x20")
        file.seek(1 << 33, 1)
        file.write(b"\x72\x08\x0a\x01a\x12\x03xyz")
    assert facts(model) == {"a": "xyz"}


@pytest.mark.parametrize("n_bytes", [1, 30, 500])
def test_refuses_a_file_that_is_cut_off(tmp_path: Path, n_bytes: int) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(KOKORO.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match="cut off"):
        facts(cut)


def test_refuses_a_page_in_place_of_a_model(tmp_path: Path) -> None:
    page = tmp_path / "model.onnx"
    page.write_bytes(b"<!DOCTYPE html><html><body>Not found</body></html>")
    with pytest.raises(ValueError, match=r"cut off|no ONNX"):
        facts(page)


@given(st.binary(max_size=200))
def test_survives_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.onnx"
    file.write_bytes(data)
    try:
        found = facts(file)
    except ValueError:
        return
    assert all(isinstance(text, str) for pair in found.items() for text in pair)
