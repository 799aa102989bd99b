"""The model card of espeak-ng, whose data come with the library.

Knows no other engine.
"""

from __future__ import annotations

from hearsay.domain import ModelCard, Task, unix_time

ESPEAK_NG = "espeak-ng"
"""The synthesizer that needs no download."""


_ESPEAK_LANGUAGES = tuple(
    """
    en de es fr it pt nl pl ru uk ar zh hi tr fa vi sv da no fi is cs sk sl hu ro el ca lv ka
    af am an as az ba be bg bn bs cv cy eo et eu ga gd gn gu he hr ht hy ia id io ja kk kl kn ko ku ky la lb
    lt mi mk ml mr ms mt my ne om or pa py qu sd si sq sr sw ta te th ti tk tn tt ug ur uz
    """.split()  # noqa: SIM905
)
"""What the data of espeak-ng 1.52 hold; the most used come first."""


def embedded() -> ModelCard:
    return ModelCard(
        id=ESPEAK_NG,
        engine="espeak",
        owner="eSpeak NG",
        created=unix_time("2024-12-11"),
        tasks=frozenset({Task.SYNTHESIZE}),
        languages=_ESPEAK_LANGUAGES,
        context_window=0,
        aliases=("espeak",),
        description="always there, speaks many languages, sounds like a machine",
        ignores=frozenset({"instructions"}),
    )
