"""Words with times from the path of tokens through the frames of a window.

Knows no model: the path comes from CTranslate2's `align`, which weighs the attention of the alignment heads
like openai/whisper `timing.py`. What the reference does with the words afterwards is in `hearsay.alignment`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hearsay.domain import AlignedWord
from hearsay.engines.whisper.tokens import Vocabulary

_POSITIONS_PER_SECOND = 50
"""Positions of the encoder's output in a second."""


def words(
    vocabulary: Vocabulary, language: str | None, tokens: Sequence[int], path: Any
) -> list[AlignedWord]:
    """Cut text tokens into words, each from where the path enters it to where the path enters the next.

    `path` has `alignments`, pairs of token and position, and `text_token_probs`.
    """
    split = vocabulary.split_words(tokens, language)
    if not split:
        return []
    token_at, position_at = np.array(path.alignments).T
    enters = np.diff(token_at, prepend=-1) > 0
    seconds = position_at[enters] / _POSITIONS_PER_SECOND
    edges = np.cumsum([0, *(n_tokens for _, n_tokens in split)])
    return [
        AlignedWord(
            text=text,
            n_tokens=n_tokens,
            start=float(seconds[first]),
            end=float(seconds[last]),
            probability=float(np.mean(path.text_token_probs[first:last])),
        )
        for (text, n_tokens), first, last in zip(split, edges[:-1], edges[1:], strict=True)
    ]
