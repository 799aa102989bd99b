"""What the decoder found becomes words: without fillers, with times inside the utterance."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from hearsay.engines.pocketsphinx.process import recognize


def test_fillers_vanish_and_variants_lose_their_numbers() -> None:
    spoken = [("<s>", 0, 3), ("read(2)", 4, 20), ("[NOISE]", 21, 30), ("++UH++", 31, 40), ("it", 41, 99)]
    segments = [SimpleNamespace(word=w, start_frame=a, end_frame=b, prob=1.5) for w, a, b in spoken]
    decoder = SimpleNamespace(
        reinit_feat=lambda: None,
        start_utt=lambda: None,
        end_utt=lambda: None,
        hyp=lambda: "read it",
        seg=lambda: segments,
    )
    decoder.process_raw = lambda pcm, no_search, full: None
    words = recognize(decoder, bytes(2 * 12_000))
    assert [text for text, *_ in words] == ["read", "it"]
    assert np.allclose([numbers for _, *numbers in words], [[0.04, 0.21, 1.0], [0.41, 0.75, 1.0]])
    decoder.hyp = lambda: None
    assert recognize(decoder, bytes(2 * 12_000)) == []
