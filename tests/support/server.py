"""A real server for tests: uvicorn on a free loopback port in a thread of its own, with any app.

Knows no test. `Staged` is a catalogue whose `fake` model is whatever recogniser a test wants, and whose
`fake-voice` is whatever synthesizer.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from starlette.types import ASGIApp

from hearsay.api.app import Limits, create_app
from hearsay.api.routes.transcriptions import Decoders
from hearsay.api.server import configure
from hearsay.domain import SAMPLE_RATE, Audio, ModelCard
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.protocols import Engine, Synthesizer, WindowRecognizer
from hearsay.media import decoding
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from hearsay.scheduling.admission import Admission
from hearsay.scheduling.model_pool import ModelPool
from hearsay.storage.api_keys import Keyring


class Server(uvicorn.Server):
    """uvicorn that tells when it has begun and leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.begun.set()


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve `app` and give its address, `http://127.0.0.1:PORT`."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = Server(configure(app, drain=5))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), name="test server")
    thread.start()
    try:
        if not server.begun.wait(60):
            raise RuntimeError("the test server did not start")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
        if thread.is_alive():
            raise RuntimeError("the test server did not stop")


class InlineDecoders:
    """Decoders without worker processes, quick to start; for tests that are not about decoding."""

    async def decode(self, source: Path) -> Audio:
        """Decode in a thread of this process."""
        return await asyncio.to_thread(decoding.load, source)

    async def close(self) -> None:
        """Do nothing."""


class Staged(Catalogue):
    """A catalogue without downloads; each load of `fake` calls `make`, of `fake-voice` `make_voice`."""

    def __init__(
        self,
        models_folder: Path,
        make: Callable[[], WindowRecognizer],
        default: str,
        *,
        make_voice: Callable[[], Synthesizer] = FakeSynthesizer,
    ) -> None:
        super().__init__(
            models_folder=models_folder,
            default=default,
            speaking=fake_cards.FAKE_VOICE,
            hub=Hub(allowed=False),
            offer_fake=True,
        )
        self._makes: Mapping[str, Callable[[], Engine]] = {"fake": make, "fake_voice": make_voice}

    def load(self, card: ModelCard) -> Engine:
        """Load a staged model, or what else was asked for."""
        make = self._makes.get(card.engine)
        return make() if make else super().load(card)


@dataclass(slots=True)
class Running:
    """A server under test and a client for it."""

    url: str
    http: httpx.Client

    def post(
        self,
        path: str = "/v1/audio/transcriptions",
        *,
        file: bytes | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a form; `file` is the bytes of an upload."""
        files = {"file": ("recording.wav", file)} if file is not None else {"unused": (None, b"")}
        return self.http.post(path, data=dict(data or {}), files=files, headers=dict(headers or {}))

    def answer_to_a_head(self, path: str = "/v1/audio/transcriptions") -> str:
        """Send the head of a form whose body never comes, and give the whole error that is the answer."""
        host, port = self.http.base_url.host, self.http.base_url.port
        with socket.create_connection((host, port or 80), timeout=30) as connection:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n"
                "content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
            )
            answer = b""
            while b"}}" not in answer and (received := connection.recv(65536)):
                answer += received
        return answer.decode()


@dataclass(slots=True)
class Stage:
    """What a server under test is made of; tests change what they are about."""

    folder: Path
    make: Callable[[], WindowRecognizer] = FakeWindowRecognizer
    make_voice: Callable[[], Synthesizer] = FakeSynthesizer
    decoders: Decoders = field(default_factory=InlineDecoders)
    keys: Keyring = field(default_factory=Keyring)
    limits: Limits = field(default_factory=Limits)
    admission: Admission = field(default_factory=Admission)
    default: str = "fake"

    def app(self) -> ASGIApp:
        """Make the app."""
        catalogue = Staged(self.folder / "models", self.make, self.default, make_voice=self.make_voice)
        spool = self.folder / "spool"
        spool.mkdir(exist_ok=True)
        return create_app(
            catalogue=catalogue,
            pool=ModelPool(catalogue, admission=self.admission),
            decoders=self.decoders,
            keys=self.keys,
            limits=self.limits,
            folder=spool,
        )

    @contextmanager
    def open(self) -> Iterator[Running]:
        """Serve the app."""
        # Without `verify` every client reads all certificate authorities.
        settings: dict[str, Any] = {"timeout": 30, "trust_env": False, "verify": False}
        with serving(self.app()) as url, httpx.Client(base_url=url, **settings) as http:
            yield Running(url, http)

    def spooled(self) -> list[Path]:
        """List the files that requests left behind."""
        return list((self.folder / "spool").iterdir())


def speech(seconds: float = 2.0, *, silence: tuple[float, float] = (0.0, 0.0)) -> bytes:
    """Make a WAV file with a tone, which the fake engine hears as one word each half second."""
    n_samples = round(seconds * SAMPLE_RATE)
    tone = 0.3 * np.sin(np.arange(n_samples) * (2 * np.pi * 440 / SAMPLE_RATE))
    tone[round(silence[0] * SAMPLE_RATE) : round(silence[1] * SAMPLE_RATE)] = 0
    return decoding.encode(tone.astype(np.float32), "wav")
