"""What is written is heard: the embedded voice speaks, our own small Whisper writes it down, in one server.

The sentences are held-out ones of the grammar that the small Whisper knows (see fixture/README.md); it was
trained on voices of the same engine, at 140 to 215 words a minute, which normal speed is among.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import httpx
import jiwer
import numpy as np
import pytest
from fixture import grammar

from tests.compat.serving import Scene
from tests.support.paths import FIXTURE_WHISPER
from tests.support.server import serving

WEIGHTS = FIXTURE_WHISPER
LISTENER = "fixture"
SPEAKER = "espeak-ng"
N_SENTENCES = 12
MOST_ERRORS = 0.05
"""Word error rate in each language, and over all."""

RATE = 16_000


def sentences(language: str) -> list[str]:
    """Return different sentences of one language that the small Whisper was never taught."""
    rng = np.random.default_rng(4)
    found: dict[str, None] = {}
    while len(found) < N_SENTENCES:
        drawn = grammar.draw(rng)
        if grammar.is_held_out(drawn["en"].text):
            found.setdefault(drawn[language].text)
    return list(found)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server that hears with the small Whisper and speaks with the embedded voice."""
    folder = tmp_path_factory.mktemp("round-trip")
    with (
        serving(Scene(folder, default=LISTENER, local={LISTENER: WEIGHTS}).app()) as address,
        httpx.Client(base_url=address, timeout=120, trust_env=False) as client,
    ):
        yield client


def spoken(http: httpx.Client, text: str, language: str) -> bytes:
    """Have a sentence said."""
    wishes = {"response_format": "wav", "sample_rate": RATE, "language": language}
    # A vendor's name that speaks every language, so that the voice is ours to choose.
    body = {"model": SPEAKER, "voice": "alloy", "input": text, **wishes}
    answer = http.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
    return answer.content


def heard(http: httpx.Client, sound: bytes) -> tuple[str, str]:
    """Have it written down; give the text and the code of the language that was heard."""
    answer = http.post(
        "/v1/audio/transcriptions",
        files={"file": ("speech.wav", sound)},
        data={"model": LISTENER, "response_format": "verbose_json"},
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["text"], body["x_hearsay"]["language"]


@pytest.mark.slow
def test_what_is_said_is_understood(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    written = {language: sentences(language) for language in grammar.LANGUAGES}
    understood: dict[str, list[str]] = {language: [] for language in written}

    def say_and_hear(sentence: tuple[str, str]) -> tuple[str, str, str]:
        language, text = sentence
        return language, *heard(http, spoken(http, text, language))

    everyone = [(language, text) for language, texts in written.items() for text in texts]
    with ThreadPoolExecutor(4) as callers:
        for language, text, found in callers.map(say_and_hear, everyone):
            assert found == language, text
            understood[language].append(text)
    rates = {language: jiwer.wer(written[language], understood[language]) for language in written}
    everything = jiwer.wer([*chain(*written.values())], [*chain(*understood.values())])
    with capsys.disabled():
        told = ", ".join(f"{language} {rate:.1%}" for language, rate in rates.items())
        print(f"\nword error rate of {N_SENTENCES} sentences each: {told}; all {everything:.1%}")
    assert max(everything, *rates.values()) <= MOST_ERRORS


@pytest.mark.slow
def test_another_text_is_not_what_is_understood(http: httpx.Client) -> None:
    first, second, *_ = sentences("en")
    text, _ = heard(http, spoken(http, first, "en"))
    assert jiwer.wer(second, text) > MOST_ERRORS
