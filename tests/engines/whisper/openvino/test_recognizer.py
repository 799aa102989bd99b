"""Whisper with OpenVINO's decoder: what it says of itself, and jobs that join others at any time.

What it recognises is compared with CTranslate2's in `test_continuous_batch` and `whisper/test_recognizer`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hearsay.domain import Window
from hearsay.engines import openvino_runtime
from hearsay.engines.protocols import ContinuousRecognizer
from hearsay.engines.whisper import loading
from hearsay.engines.whisper.jobs import Decode
from hearsay.engines.whisper.openvino.recognizer import OpenVinoWhisper
from hearsay.errors import EngineFailed
from tests.support import toy_whisper

pytestmark = pytest.mark.skipif(
    not openvino_runtime.is_usable(), reason="OpenVINO cannot compute on this machine"
)


def load(folder: str, tmp_path_factory: pytest.TempPathFactory, compute_type: str) -> OpenVinoWhisper:
    toy = toy_whisper.write(tmp_path_factory.mktemp(folder) / "toy")
    recognizer = loading.load(toy.folder, device="cpu", compute_type=compute_type, decoder="openvino")
    assert isinstance(recognizer, OpenVinoWhisper)
    return recognizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenVinoWhisper]:
    recognizer = load("exact", tmp_path_factory, "float32")
    yield recognizer
    recognizer.close()


def windows(model: OpenVinoWhisper, n: int) -> list[Window]:
    rng = np.random.default_rng(2)
    inputs = [rng.normal(size=(80, 3000)).astype(np.float32) for _ in range(n)]
    return [Window(encoding, 30.0, "en", beam_size=1) for encoding in model.encode(inputs)]


def test_it_computes_on_the_processor_for_one_thread(model: OpenVinoWhisper) -> None:
    assert isinstance(model, ContinuousRecognizer)
    assert (model.device, model.n_replicas, model.compute_type) == ("cpu", 1, "float32")


def test_the_number_format_has_ctranslate2s_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    small = load("small", tmp_path_factory, "default")
    assert small.compute_type == {"bf16": "bfloat16", "int8": "int8_float32"}[small.decoder.precision]
    small.close()


def test_windows_that_join_later_are_decoded_as_alone(model: OpenVinoWhisper) -> None:
    first, second = windows(model, 2)
    expected = model.recognize([first]) + model.recognize([second])
    batch = model.continuous_batch()
    numbers = [batch.join(Decode(first))]
    found = dict(batch.step())
    numbers.append(batch.join(Decode(second)))
    while len(found) < 2:
        found.update(batch.step())
    assert [found[number].tokens for number in numbers] == [hypothesis.tokens for hypothesis in expected]


def test_batches_know_nothing_of_each_other(model: OpenVinoWhisper) -> None:
    (window,) = windows(model, 1)
    one, other = model.continuous_batch(), model.continuous_batch()
    one.join(Decode(window))
    assert other.step() == []


def test_texts_of_any_length_are_aligned_together(model: OpenVinoWhisper) -> None:
    first, second = windows(model, 2)
    texts = [model.encode_text(" the the the"), (), model.encode_text(" the")]
    found = model.align([first, second, second], texts, [3000, 3000, 900])
    assert [len(words) for words in found] == [3, 0, 1]
    assert found[2] == model.align([second], texts[2:], [900])[0]


def test_once_closed_it_decodes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    closed = load("closed", tmp_path_factory, "float32")
    (window,) = windows(closed, 1)
    closed.close()
    with pytest.raises(EngineFailed):
        closed.recognize([window])
