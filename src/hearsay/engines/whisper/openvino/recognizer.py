"""Whisper with a decoder on OpenVINO, as a `ContinuousRecognizer`.

Knows no search and no graph: `continuous_batch` and `decoder_graph` have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hearsay.domain import AlignedWord, Hypothesis, Window
from hearsay.engines.whisper.encoder import Encoder
from hearsay.engines.whisper.logit_rules import TokenIds
from hearsay.engines.whisper.openvino import continuous_batch
from hearsay.engines.whisper.openvino.continuous_batch import DecodeBatch, DecoderModel, LanguageDetector
from hearsay.engines.whisper.openvino.forced_alignment import ForcedAlignmentInput, find_paths
from hearsay.engines.whisper.recognizer import EncodedWindow, WhisperRecognizer
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.engines.whisper.weights.folder import Shape
from hearsay.engines.whisper.word_timestamps import words_on_path

if TYPE_CHECKING:
    from hearsay.engines.whisper.openvino.decoder import WhisperDecoder

NUMBER_FORMATS = {"f32": "float32", "bf16": "bfloat16", "int8": "int8_float32"}
"""CTranslate2's names of the decoder's precisions."""


class OpenVinoWhisper(WhisperRecognizer):
    """A loaded Whisper with continuous batching; for one thread at a time.

    Beam search and its limits are those of openai/whisper, and samples of a window are always the same.
    """

    device = "cpu"
    n_replicas = 1
    batch_windows = continuous_batch.EFFICIENT_WINDOWS

    def __init__(
        self, vocabulary: Vocabulary, shape: Shape, folder: Path, *, encoder: Encoder, decoder: WhisperDecoder
    ) -> None:
        super().__init__(vocabulary, shape, folder, encoder)
        self.decoder = decoder
        self.compute_type = NUMBER_FORMATS[decoder.precision]
        self._language_detector = LanguageDetector(decoder, vocabulary)
        ids = TokenIds.of(vocabulary, shape.n_vocab)
        self._model = DecoderModel(decoder, vocabulary, ids, shape.n_text_ctx, self._language_detector)

    def continuous_batch(self) -> DecodeBatch:
        return DecodeBatch(self._model)

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        return continuous_batch.recognize(self.continuous_batch(), windows)

    def close(self) -> None:
        self._language_detector.close()
        self.encoder.close()
        self.decoder.close()

    def _detect(self, encodings: Sequence[EncodedWindow]) -> list[Mapping[str, float]]:
        for encoding in encodings:
            self._model.check(encoding)
        return list(self._language_detector.detect(encodings))

    def _align_all(self, jobs: Sequence[tuple[Window, Sequence[int], int]]) -> list[list[AlignedWord]]:
        """Align texts together, whatever their lengths, languages and tasks."""
        inputs = {
            i: ForcedAlignmentInput(
                encoding=window.encoding,
                start=(*self._vocabulary.start_sequence(window), self._vocabulary.timestamp_begin - 1),
                text=tuple(tokens),
                n_frames=n_frames,
            )
            for i, (window, tokens, n_frames) in enumerate(jobs)
            if tokens
        }
        paths = dict(zip(inputs, find_paths(self.decoder, list(inputs.values())), strict=True))
        return [
            words_on_path(self._vocabulary, window.language, tokens, paths[i]) if tokens else []
            for i, (window, tokens, _) in enumerate(jobs)
        ]
