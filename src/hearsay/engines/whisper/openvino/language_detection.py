"""Which language is spoken in windows, by one step of the decoder on OpenVINO.

Knows no decoding, but that a window whose language was just detected is likely to be decoded next: what was
heard in it is remembered, for it takes longer to compute than the step itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.engines.whisper.openvino.decoder import SequenceInput, Session, WhisperDecoder
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence
from hearsay.engines.whisper.tokenizer import Vocabulary

MOST_WINDOWS = 8
"""Windows heard in one step."""


class LanguageDetector:
    """Detects languages, and remembers the last window that it heard by itself; for one thread at a time."""

    def __init__(self, decoder: WhisperDecoder, vocabulary: Vocabulary) -> None:
        """Begin without having heard anything."""
        self._decoder = decoder
        self._start = vocabulary.start
        self._languages = vocabulary.languages
        self._end_of_text = decoder.shape.end_of_text
        self._session: Session | None = None
        self._last: Any = None

    def detect(self, encodings: Sequence[NDArray[np.float32]]) -> list[dict[str, float]]:
        """Return for each encoding the probability of every language code.

        Those of one length share steps.
        """
        found: dict[int, dict[str, float]] = {}
        order = sorted(range(len(encodings)), key=lambda place: len(encodings[place]))
        for _, same in groupby(order, key=lambda place: len(encodings[place])):
            places = list(same)
            for first in range(0, len(places), MOST_WINDOWS):
                group = places[first : first + MOST_WINDOWS]
                found.update(zip(group, self._detect([encodings[i] for i in group]), strict=True))
        return [found[place] for place in range(len(encodings))]

    def recall(self, encoding: NDArray[np.float32]) -> NDArray[Any] | None:
        """Return the keys and values of this very encoding, if it was the last that was heard by itself."""
        return self._session.cross_kv(0) if self._session is not None and encoding is self._last else None

    def forget(self) -> None:
        """Free all memory."""
        self._session = self._last = None

    def _detect(self, encodings: Sequence[NDArray[np.float32]]) -> list[dict[str, float]]:
        """Detect languages in encodings of one length."""
        self._last = None
        if self._session is None or self._session.n_positions != len(encodings[0]):
            self._session = self._decoder.session(len(encodings[0]))
        for place, encoding in enumerate(encodings):
            self._session.compute_cross_kv(place, encoding)
        rows = [CachedSequence() for _ in encodings]
        feeds = [SequenceInput(row, [self._start], place, (0,)) for place, row in enumerate(rows)]
        logits = self._session.feed(feeds, slice(0, len(encodings)))
        chosen = logits.rest[:, [id_ - self._end_of_text for id_ in self._languages.values()]].copy()
        for row in rows:
            self._session.rows.release(row)
        self._session.clear()
        if len(encodings) == 1:
            self._last = encodings[0]
        return [
            {code: float(chance) for code, chance in zip(self._languages, softmax(row), strict=True)}
            for row in chosen
        ]


def softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn logits into probabilities: `float32[n]`."""
    raised = np.exp(values - values.max())
    shares: NDArray[np.float32] = raised / raised.sum()
    return shares
