"""What is known about every model before it is installed: ids, aliases, abilities, dates, where weights are.

A table of data that knows neither files nor the network nor which of these models is on this machine.
Facts: openai/whisper (`__init__.py`, `tokenizer.py`, its release notes), the model cards of distil-whisper,
and the repositories of converted weights that SYSTRAN/faster-whisper 1.2.1 lists in `utils.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearsay.domain import RECOGNITION, ModelCard, Task, unix_time

CONTEXT_WINDOW = 448
"""Text positions of every Whisper model."""


WHISPER_LANGUAGES = tuple(
    """
    en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt
    la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc
    ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su
    """.split()  # noqa: SIM905
)
"""Codes of the 99 languages that every multilingual Whisper knows, in the order of their tokens."""

CANTONESE = "yue"
"""Whisper's own code; known to large-v3 and its descendants."""

TRANSCRIBE_ONLY = frozenset({Task.TRANSCRIBE})


@dataclass(frozen=True, slots=True)
class _Whisper:
    """One row of the table of Whisper models."""

    id: str
    repository: str
    published: str
    """Day on which the original weights came out; for v3.5 of distil-whisper only the month is certain."""
    megabytes: int
    """Weight of the converted files, in float16."""
    description: str
    also_at: tuple[str, ...] = ()
    """Other repositories with equal weights; looked for in the hub's cache, never downloaded from."""
    aliases: tuple[str, ...] = ()
    owner: str = "OpenAI"
    kind: str = "multilingual"
    """`multilingual` (99 languages), `cantonese` (100), `english`, or `turbo` (100, cannot translate)."""


_FIRST = "2022-09-21"
_TABLE = (
    _Whisper("whisper-tiny", "Systran/faster-whisper-tiny", _FIRST, 78, "smallest; for weak machines"),
    _Whisper(
        "whisper-tiny.en", "Systran/faster-whisper-tiny.en", _FIRST, 78, "tiny, English only", kind="english"
    ),
    _Whisper("whisper-base", "Systran/faster-whisper-base", _FIRST, 148, "for two CPU cores"),
    _Whisper(
        "whisper-base.en", "Systran/faster-whisper-base.en", _FIRST, 148, "base, English only", kind="english"
    ),
    _Whisper("whisper-small", "Systran/faster-whisper-small", _FIRST, 486, "for four CPU cores and more"),
    _Whisper(
        "whisper-small.en",
        "Systran/faster-whisper-small.en",
        _FIRST,
        486,
        "small, English only",
        kind="english",
    ),
    _Whisper("whisper-medium", "Systran/faster-whisper-medium", _FIRST, 1530, "between small and large"),
    _Whisper(
        "whisper-medium.en",
        "Systran/faster-whisper-medium.en",
        _FIRST,
        1530,
        "medium, English only",
        kind="english",
    ),
    _Whisper(
        "whisper-large-v1",
        "Systran/faster-whisper-large-v1",
        _FIRST,
        3090,
        "the first large one",
        (),
        ("openai/whisper-large",),
    ),
    _Whisper(
        "whisper-large-v2", "Systran/faster-whisper-large-v2", "2022-12-05", 3090, "large, trained for longer"
    ),
    _Whisper(
        "whisper-large-v3",
        "Systran/faster-whisper-large-v3",
        "2023-11-06",
        3090,
        "most accurate; also translates",
        aliases=("large", "whisper-large"),
        kind="cantonese",
    ),
    _Whisper(
        "whisper-large-v3-turbo",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "2024-10-01",
        1620,
        "nearly as accurate as large-v3 and many times faster; does not translate",
        also_at=("dropbox-dash/faster-whisper-large-v3-turbo", "deepdml/faster-whisper-large-v3-turbo-ct2"),
        aliases=("turbo", "whisper-turbo"),
        kind="turbo",
    ),
    _Whisper(
        "distil-whisper-small.en",
        "Systran/faster-distil-whisper-small.en",
        "2023-12-06",
        333,
        "distilled from small, English only",
        owner="Hugging Face",
        kind="english",
    ),
    _Whisper(
        "distil-whisper-medium.en",
        "Systran/faster-distil-whisper-medium.en",
        "2023-11-01",
        789,
        "distilled from medium, English only",
        owner="Hugging Face",
        kind="english",
    ),
    _Whisper(
        "distil-whisper-large-v2",
        "Systran/faster-distil-whisper-large-v2",
        "2023-11-01",
        1510,
        "distilled from large-v2, English only",
        owner="Hugging Face",
        kind="english",
    ),
    _Whisper(
        "distil-whisper-large-v3-en",
        "Systran/faster-distil-whisper-large-v3",
        "2024-03-21",
        1510,
        "distilled from large-v3, English only",
        aliases=("distil-whisper-large-v3", "distil-large-v3", "distil-whisper/distil-large-v3"),
        owner="Hugging Face",
        kind="english",
    ),
    _Whisper(
        "distil-whisper-large-v3.5",
        "distil-whisper/distil-large-v3.5-ct2",
        "2025-03-01",
        1510,
        "distilled from large-v3 on more speech, English only",
        owner="Hugging Face",
        kind="english",
    ),
)


def known() -> tuple[ModelCard, ...]:
    """Return the cards of every Whisper, smallest first."""
    return tuple(_card(row) for row in _TABLE)


def _card(row: _Whisper) -> ModelCard:
    languages = {"english": ("en",), "multilingual": WHISPER_LANGUAGES}
    return ModelCard(
        id=row.id,
        engine="whisper",
        owner=row.owner,
        created=unix_time(row.published),
        tasks=RECOGNITION if row.kind in {"multilingual", "cantonese"} else TRANSCRIBE_ONLY,
        languages=languages.get(row.kind, (*WHISPER_LANGUAGES, CANTONESE)),
        context_window=CONTEXT_WINDOW,
        aliases=_aliases(row),
        repository=row.repository,
        size_bytes=row.megabytes * 1_000_000,
        description=row.description,
        extra={"also_at": _twins(row)},
    )


def _aliases(row: _Whisper) -> tuple[str, ...]:
    """Spell a model in every way in which people and other programs write it."""
    size = row.id.removeprefix("distil-").removeprefix("whisper-")
    if row.id.startswith("distil-"):
        size = size.removesuffix("-en")
        spellings = [f"distil-{size}", f"distil-whisper-{size}", f"distil-whisper/distil-{size}"]
    else:
        spellings = [size, f"openai/{row.id}", f"faster-whisper-{size}"]
    spellings += [row.repository, row.repository.partition("/")[2], *_twins(row), *row.aliases]
    return tuple(name for name in dict.fromkeys(spellings) if name != row.id)


def _twins(row: _Whisper) -> tuple[str, ...]:
    """Name the other repositories with the same weights (earlier homes of the conversions among them)."""
    systran, name = row.repository.partition("/")[::2]
    earlier = systran == "Systran" and row.published in {_FIRST, "2022-12-05"}
    return (*row.also_at, *((f"guillaumekln/{name}",) if earlier else ()))
