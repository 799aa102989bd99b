"""What stands before the first sampled token of a window: earlier text, start, language and task.

Knows no runtime. Follows openai/whisper: `sot_sequence` of `tokenizer.py`, `_get_initial_tokens` of
`decoding.py`.
"""

from __future__ import annotations

from hearsay.domain import Task, Window
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.errors import UnsupportedOption


def prompt(vocabulary: Vocabulary, window: Window, *, multilingual: bool, previous_limit: int) -> list[int]:
    """Build the whole prompt, with at most so many tokens of earlier text. Raises `UnsupportedOption`."""
    previous = window.previous[-previous_limit:]
    start = start_sequence(vocabulary, window, multilingual=multilingual)
    return [*([vocabulary.previous, *previous] if previous else []), *start]


def start_sequence(vocabulary: Vocabulary, window: Window, *, multilingual: bool) -> list[int]:
    """Build what tells the model what to do. Raises `UnsupportedOption` for a language that it lacks."""
    if not multilingual:
        return [vocabulary.start]
    language = vocabulary.languages.get(window.language or "")
    if language is None:
        raise UnsupportedOption(
            f"The model does not know the language {window.language!r}.", param="language"
        )
    task = vocabulary.translate if window.task is Task.TRANSLATE else vocabulary.transcribe
    return [vocabulary.start, language, task]
