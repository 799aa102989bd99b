"""Who does the work: a model in this process, or a server elsewhere.

Knows no output format and no exit code; it is given a file and gives a transcript.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hearsay.cli import terminal
from hearsay.cli.progress import Reporter
from hearsay.client import transcription_client
from hearsay.domain import Segment, TranscribeOptions, Transcript
from hearsay.errors import EngineFailed, HearsayError, ModelNotFound, Unauthorized
from hearsay.settings import Settings

if TYPE_CHECKING:
    from hearsay.engines.jobs import Submit
    from hearsay.models.catalogue import Catalogue

Result = TypeVar("Result")


class LocalModel:
    """The model of this machine, loaded once for all recordings."""

    def __init__(
        self, settings: Settings, model: str | None, options: TranscribeOptions, reporter: Reporter
    ) -> None:
        """Find, if need be download, and load the model.

        Raises: `ModelNotFound`, `ModelNotInstalled`, `DownloadFailed`, `UnsupportedOption`,
        `ConfigurationError`.
        """
        from hearsay import wiring
        from hearsay.asr.transcription import check_options

        catalogue = wiring.catalogue(settings)
        if catalogue.is_default_name(model, options.task):
            _install_wanted(catalogue, reporter)
        self.card = catalogue.card(model, options.task)
        self._decode = wiring.decode_settings(settings)
        self._limits = wiring.batch_limits(settings)
        self._recognizer = catalogue.load_recognizer(self.card)
        self._detector = wiring.detector_for(self.card)
        reporter.say(f"Model: {self.card.id}.")
        advice = catalogue.upgrade_hint(self.card)
        if advice:
            reporter.say(advice)
        check_options(options, self._recognizer, self.card)

    def transcribe(
        self,
        path: Path,
        options: TranscribeOptions,
        *,
        progress: Callable[[float, float], None],
        heard: Callable[[Segment], None],
    ) -> Transcript:
        """Transcribe one file; `heard` is given every segment as it comes."""
        from hearsay.asr.transcription import Transcription
        from hearsay.media import decoding

        recording = decoding.load(path)
        with self._submitting() as submit:
            work = Transcription(
                recording,
                options,
                self._recognizer,
                self.card,
                decode=self._decode,
                submit=submit,
                detector=self._detector,
            )
            for segment in work:
                heard(segment)
                progress(work.progress, recording.duration)
            return work.transcript()

    @contextmanager
    def _submitting(self) -> Iterator[Submit | None]:
        """Have the windows of a recording decoded together; an interruption ends that with the batch."""
        from hearsay.engines.protocols import WindowRecognizer
        from hearsay.scheduling.batcher import Batcher

        if not isinstance(self._recognizer, WindowRecognizer):
            yield None
            return
        with closing(Batcher(self._recognizer, limits=self._limits, name=self.card.id)) as batcher:
            yield batcher.request_queue().submit

    def close(self) -> None:
        """Return the model's memory back."""
        self._recognizer.close()


def _install_wanted(catalogue: Catalogue, reporter: Reporter) -> None:
    """Download the model that suits this machine where none does and the hub can be reached."""
    wanted = catalogue.recommended_missing()
    if wanted is None:
        return
    problem = catalogue.hub.problem()
    if problem is not None:
        reporter.say(f"{wanted.id}, which suits this machine, is not downloaded: {problem}")
        return
    reporter.say(f"Downloading {wanted.id}, once; Ctrl-C stops it, and another run goes on from there.")
    try:
        with terminal.download_bar(wanted.id) as progress:
            catalogue.pull(wanted.id, progress)
    except HearsayError as error:
        reporter.error(f"{wanted.id} could not be downloaded: {error.message}")


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """A server to send recordings to, as the caller chose it."""

    base_url: str
    api_key: str | None
    model: str | None
    limits: transcription_client.Limits

    def open(self, reporter: Reporter) -> transcription_client.TranscriptionClient:
        """Prepare to use it. Raises: `InvalidRequest` for a bad address."""
        return transcription_client.TranscriptionClient(
            self.base_url,
            api_key=self.api_key,
            model=self.model,
            limits=self.limits,
            note=reporter.say,
        )


def server_choice(
    base_url: str,
    api_key: str | None,
    model: str | None,
    limits: transcription_client.Limits,
    settings: Settings,
) -> ServerChoice:
    """Choose a server and the key that is meant for it; no vendor is shown Hearsay's own key."""
    own = settings.api_key.get_secret_value() if settings.api_key is not None else None
    found = transcription_client.find_key(base_url, os.environ) or (
        own if transcription_client.vendor_of(base_url) is None else None
    )
    return ServerChoice(base_url, api_key or found, model, limits)


def is_hopeless(error: HearsayError) -> bool:
    """Return whether a server that said this will say it to every other recording too."""
    gone = isinstance(error, EngineFailed) and error.code == "unreachable"
    return gone or isinstance(error, (Unauthorized, ModelNotFound))


async def in_order(
    works: Sequence[Callable[[], Awaitable[Result]]], *, at_once: int, each: Callable[[Result], None]
) -> None:
    """Run works side by side, a few at a time, and give their results in the order of the works."""
    permits = asyncio.Semaphore(at_once)

    async def permitted(work: Callable[[], Awaitable[Result]]) -> Result:
        async with permits:
            return await work()

    tasks = [asyncio.create_task(permitted(work)) for work in works]
    try:
        for task in tasks:
            each(await task)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
