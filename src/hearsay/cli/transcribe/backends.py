"""Transcription of one file: by a model in this process, or by a server.

Knows no output format and no exit code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hearsay.cli import terminal
from hearsay.cli.progress import Reporter
from hearsay.client.transcription_client import Limits, TranscriptionClient, find_key, vendor_of
from hearsay.domain import DecodeSettings, Segment, TranscribeOptions, Transcript
from hearsay.settings import Settings

if TYPE_CHECKING:
    from hearsay.engines.jobs import Submit
    from hearsay.models.catalogue import Catalogue
    from hearsay.scheduling.batcher import BatchLimits


class LocalModel:
    """A model in this process, loaded once for all recordings."""

    def __init__(
        self,
        catalogue: Catalogue,
        model: str | None,
        options: TranscribeOptions,
        reporter: Reporter,
        *,
        decode: DecodeSettings,
        limits: BatchLimits | None = None,
    ) -> None:
        """Choose, download if necessary, and load the model.

        Raises: `ModelNotFound`, `ModelNotInstalled`, `DownloadFailed`, `UnsupportedOption`,
        `ConfigurationError`.
        """
        from hearsay.asr.transcription import check_options
        from hearsay.engines import registry

        if catalogue.is_default_name(model, options.task):
            terminal.install_missing(catalogue, options.task, reporter.say)
        self.card = catalogue.card(model, options.task)
        self._decode = decode
        self._limits = limits
        self._recognizer = catalogue.load_recognizer(self.card)
        self._detector = registry.speech_detector(self.card)
        reporter.say(f"Model: {self.card.id}.")
        check_options(options, self._recognizer, self.card)

    def transcribe(
        self,
        path: Path,
        options: TranscribeOptions,
        *,
        progress: Callable[[float, float], None],
        on_segment: Callable[[Segment], None],
    ) -> Transcript:
        """Transcribe one file; `on_segment` is called with each segment as it is recognised."""
        from hearsay.asr.transcription import Transcription
        from hearsay.media import decoding

        recording = decoding.load(path)
        with self._batching() as submit:
            transcription = Transcription(
                recording,
                options,
                self._recognizer,
                self.card,
                decode=self._decode,
                submit=submit,
                detector=self._detector,
            )
            for segment in transcription:
                on_segment(segment)
                progress(transcription.progress, recording.duration)
            return transcription.transcript()

    @contextmanager
    def _batching(self) -> Iterator[Submit]:
        """Batch the windows of a recording; an interruption ends that with the current batch."""
        from hearsay.scheduling.batcher import Batcher

        with closing(Batcher(self._recognizer, limits=self._limits, name=self.card.id)) as batcher:
            yield batcher.request_queue().submit

    def close(self) -> None:
        """Free the model's memory."""
        self._recognizer.close()


def open_server(
    base_url: str,
    api_key: str | None,
    model: str | None,
    limits: Limits,
    settings: Settings,
    reporter: Reporter,
) -> TranscriptionClient:
    """Return a client with the key meant for that server; Hearsay's own key is never sent to a vendor.

    Raises: `InvalidRequest` for a bad address.
    """
    own = settings.api_key.get_secret_value() if settings.api_key is not None else None
    found = find_key(base_url, os.environ) or (own if vendor_of(base_url) is None else None)
    return TranscriptionClient(
        base_url, api_key=api_key or found, model=model, limits=limits, note=reporter.say
    )
