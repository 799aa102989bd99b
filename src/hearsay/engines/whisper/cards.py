"""The model cards of every Whisper: ids, aliases, tasks, languages, dates, and where converted weights are.

Data alone: knows neither files nor the network.
Facts: openai/whisper (`__init__.py`, `tokenizer.py`, its release notes), the model cards of distil-whisper,
and the repositories of converted weights that SYSTRAN/faster-whisper 1.2.1 lists in `utils.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearsay.domain import RECOGNITION, ModelCard, Task, unix_time
from hearsay.engines.whisper.wheels import PACKED

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


@dataclass(frozen=True, slots=True)
class _Whisper:
    id: str
    published: str
    """Day on which the original weights came out; for v3.5 of distil-whisper only the month is certain."""
    megabytes: int
    """Weight of the converted files, in float16."""
    description: str
    kind: str = "multilingual"
    """`multilingual` (99 languages), `cantonese` (100), `english`, or `turbo` (100, cannot translate)."""
    converted_at: str = ""
    """Repository of the converted weights, where that is not Systran's under the same id."""
    also_at: tuple[str, ...] = ()
    """Other repositories with equal weights; looked for in the hub's cache, never downloaded from."""
    aliases: tuple[str, ...] = ()

    @property
    def repository(self) -> str:
        return self.converted_at or f"Systran/faster-{self.id}"


_FIRST, _EN = "2022-09-21", "english"
_TABLE = (
    _Whisper("whisper-tiny", _FIRST, 78, "smallest; for weak machines"),
    _Whisper("whisper-tiny.en", _FIRST, 78, "tiny, English only", _EN),
    _Whisper("whisper-base", _FIRST, 148, "for two CPU cores"),
    _Whisper("whisper-base.en", _FIRST, 148, "base, English only", _EN),
    _Whisper("whisper-small", _FIRST, 486, "for four CPU cores and more"),
    _Whisper("whisper-small.en", _FIRST, 486, "small, English only", _EN),
    _Whisper("whisper-medium", _FIRST, 1530, "between small and large"),
    _Whisper("whisper-medium.en", _FIRST, 1530, "medium, English only", _EN),
    _Whisper("whisper-large-v1", _FIRST, 3090, "the first large one", aliases=("openai/whisper-large",)),
    _Whisper("whisper-large-v2", "2022-12-05", 3090, "large, trained for longer"),
    _Whisper(
        "whisper-large-v3",
        "2023-11-06",
        3090,
        "most accurate; also translates",
        "cantonese",
        aliases=("large", "whisper-large"),
    ),
    _Whisper(
        "whisper-large-v3-turbo",
        "2024-10-01",
        1620,
        "nearly as accurate as large-v3 and many times faster; does not translate",
        "turbo",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        also_at=("dropbox-dash/faster-whisper-large-v3-turbo", "deepdml/faster-whisper-large-v3-turbo-ct2"),
        aliases=("turbo", "whisper-turbo"),
    ),
    _Whisper("distil-whisper-small.en", "2023-12-06", 333, "distilled from small, English only", _EN),
    _Whisper("distil-whisper-medium.en", "2023-11-01", 789, "distilled from medium, English only", _EN),
    _Whisper("distil-whisper-large-v2", "2023-11-01", 1510, "distilled from large-v2, English only", _EN),
    _Whisper(
        "distil-whisper-large-v3-en",
        "2024-03-21",
        1510,
        "distilled from large-v3, English only",
        _EN,
        "Systran/faster-distil-whisper-large-v3",
        aliases=("distil-whisper-large-v3", "distil-large-v3", "distil-whisper/distil-large-v3"),
    ),
    _Whisper(
        "distil-whisper-large-v3.5",
        "2025-03-01",
        1510,
        "distilled from large-v3 on more speech, English only",
        _EN,
        "distil-whisper/distil-large-v3.5-ct2",
    ),
)


def known() -> tuple[ModelCard, ...]:
    """Return the cards of every Whisper, smallest first."""
    return tuple(_card(row) for row in _TABLE)


def _card(row: _Whisper) -> ModelCard:
    languages = {_EN: ("en",), "multilingual": WHISPER_LANGUAGES}
    return ModelCard(
        id=row.id,
        engine="whisper",
        owner="Hugging Face" if row.id.startswith("distil-") else "OpenAI",
        created=unix_time(row.published),
        tasks=RECOGNITION if row.kind in {"multilingual", "cantonese"} else frozenset({Task.TRANSCRIBE}),
        languages=languages.get(row.kind, (*WHISPER_LANGUAGES, CANTONESE)),
        context_window=CONTEXT_WINDOW,
        aliases=_aliases(row),
        repository=row.repository,
        packed=PACKED.get(row.id, ()),
        size_bytes=row.megabytes * 1_000_000,
        description=row.description,
        extra={"also_at": _twins(row)},
    )


def _aliases(row: _Whisper) -> tuple[str, ...]:
    size = row.id.removeprefix("distil-").removeprefix("whisper-")
    if row.id.startswith("distil-"):
        size = size.removesuffix("-en")
        spellings = [f"distil-{size}", f"distil-whisper-{size}", f"distil-whisper/distil-{size}"]
    else:
        spellings = [size, f"openai/{row.id}", f"faster-whisper-{size}"]
    spellings += [row.repository, row.repository.partition("/")[2], *_twins(row), *row.aliases]
    return tuple(name for name in dict.fromkeys(spellings) if name != row.id)


def _twins(row: _Whisper) -> tuple[str, ...]:
    """Return the other repositories with the same weights, among them where conversions were before."""
    owner, name = row.repository.partition("/")[::2]
    earlier = owner == "Systran" and row.published in {_FIRST, "2022-12-05"}
    return (*row.also_at, *((f"guillaumekln/{name}",) if earlier else ()))
