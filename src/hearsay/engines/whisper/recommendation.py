"""Which Whisper suits which machine.

Knows no files. The thresholds are measured; the reason for each stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearsay.engines.hardware import GIB, Machine

BY_WEIGHT = tuple(
    """
    whisper-tiny whisper-base whisper-small whisper-large-v3-turbo whisper-medium whisper-large-v1
    whisper-large-v2 whisper-large-v3
    """.split()  # noqa: SIM905
)
"""Multilingual models from least to most work per second of speech; turbo beats medium for its weight."""

BY_WEIGHT_ENGLISH = tuple(
    """
    whisper-tiny.en whisper-base.en distil-whisper-small.en whisper-small.en distil-whisper-medium.en
    distil-whisper-large-v2 distil-whisper-large-v3-en distil-whisper-large-v3.5 whisper-medium.en
    """.split()  # noqa: SIM905
)
"""English-only models in the same order."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One row of the table: what a machine needs at least, the model for it, and why."""

    model: str
    why: str
    gpu_memory_bytes: int = 0
    cores: int = 0
    memory_bytes: int = 0


RECOMMENDATIONS = (
    Recommendation(
        "whisper-large-v3-turbo",
        "1.6 GB of float16 weights and about as much working memory fit the GPU",
        gpu_memory_bytes=5 * GIB,
    ),
    Recommendation(
        "whisper-small",
        "the GPU is too small for large models, and 0.5 GB of weights leave it room to work",
        gpu_memory_bytes=2 * GIB,
    ),
    Recommendation(
        "whisper-large-v3-turbo",
        "sixteen cores keep its large encoder ahead of real time in int8",
        cores=16,
        memory_bytes=10 * GIB,
    ),
    Recommendation(
        "whisper-small",
        "the most accurate that four cores keep well ahead of real time in int8",
        cores=4,
        memory_bytes=7 * GIB // 2,
    ),
    Recommendation(
        "whisper-base",
        "two cores keep it well ahead of real time, and small would fall behind with a second caller",
        cores=2,
        memory_bytes=3 * GIB // 2,
    ),
    Recommendation("whisper-tiny", "the only one that a single core or so little memory can carry"),
)
"""First match wins.

Memory is what a process takes with eight windows in flight on a processor without bfloat16, the worst case:
1.1 GiB with base, 2.7 GiB with small, and 5.3 GiB already while turbo is loaded; the rest is for audio and
the system.
"""


def recommend(machine: Machine) -> Recommendation:
    """Return the Whisper that suits a machine."""
    return next(
        row
        for row in RECOMMENDATIONS
        if machine.gpu_memory_bytes >= row.gpu_memory_bytes
        and machine.cores >= row.cores
        and machine.memory_bytes >= row.memory_bytes
    )


def ranking(machine: Machine) -> tuple[str, ...]:
    """Return the ids of all Whispers from the best default to the worst.

    What the machine carries comes first, the heaviest before the lighter; then what is too heavy, the
    lightest first; then English-only models in the same way, because a default should know many languages.
    """
    limit = BY_WEIGHT.index(recommend(machine).model)
    multilingual = (*reversed(BY_WEIGHT[: limit + 1]), *BY_WEIGHT[limit + 1 :])
    english_limit = min(len(BY_WEIGHT_ENGLISH), 2 + 2 * max(limit - 1, 0))
    english = (*reversed(BY_WEIGHT_ENGLISH[:english_limit]), *BY_WEIGHT_ENGLISH[english_limit:])
    return (*multilingual, *english)


def suits(model: str, machine: Machine) -> bool:
    """Return whether a multilingual model is not too heavy for a machine."""
    return model in BY_WEIGHT and BY_WEIGHT.index(model) <= BY_WEIGHT.index(recommend(machine).model)
