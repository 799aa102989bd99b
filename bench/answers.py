"""Transcripts by a model in CTranslate2's format of recordings of up to 30 s, without a server.

Knows no timing. Beam search at temperature 0 with timestamps, all in one way, for comparing two models.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ctranslate2

from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.log_mel import LogMel
from hearsay.media import decoding

_MELS = 80


def of(folder: Path, files: Sequence[Path], *, compute_type: str = "float32", beam: int = 5) -> list[str]:
    """Return language and text of each recording."""
    model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type=compute_type, intra_threads=2)
    vocabulary = tokenizer.read(folder)
    return [_hear(model, vocabulary, file, beam) for file in files]


def _hear(model: ctranslate2.models.Whisper, vocabulary: tokenizer.Vocabulary, file: Path, beam: int) -> str:
    features = LogMel(decoding.load(file), _MELS).window(0)
    encoded = model.encode(ctranslate2.StorageView.from_array(features[None]))
    language: str = model.detect_language(encoded)[0][0][0]
    prompt = [vocabulary.start, vocabulary.special[language], vocabulary.transcribe]
    (result,) = model.generate(encoded, [prompt], beam_size=beam)
    return language + vocabulary.decode(result.sequences_ids[0])
