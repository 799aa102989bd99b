"""The Whisper recogniser: batches give what single calls give, in order, whatever is mixed in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.domain import Audio, Hypothesis, Task, Window
from hearsay.engines.protocols import ContinuousRecognizer, WindowRecognizer
from hearsay.engines.whisper import loading
from hearsay.engines.whisper.recognizer import WhisperRecognizer
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.errors import EngineFailed, UnsupportedOption
from hearsay.transcripts.quality import compression_ratio
from tests.support import toy_whisper


@pytest.fixture(scope="module", params=["ctranslate2", "openvino"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WhisperRecognizer]:
    toy = toy_whisper.write(tmp_path_factory.mktemp("recognizer") / "toy")
    recognizer = loading.load(toy.folder, device="cpu", compute_type="float32", decoder=request.param)
    yield recognizer
    recognizer.close()


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> WhisperRecognizer:
    toy = toy_whisper.write(tmp_path_factory.mktemp("english") / "toy", multilingual=False)
    return loading.load(toy.folder, device="cpu", compute_type="float32")


def mels(n: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(11)
    return [rng.normal(size=(80, 3000)).astype(np.float32) for _ in range(n)]


def same(left: Hypothesis, right: Hypothesis) -> bool:
    scores = (left.avg_logprob, left.no_speech_prob), (right.avg_logprob, right.no_speech_prob)
    return left.tokens == right.tokens and left.text == right.text and np.allclose(*scores, atol=1e-5)


def test_it_is_a_window_recognizer(model: WhisperRecognizer) -> None:
    assert isinstance(model, WindowRecognizer)
    assert model.multilingual
    assert len(model.languages) == 99
    assert model.previous_limit == 223
    assert model.timestamp_begin > model.end_of_text


def test_a_batch_is_encoded_like_its_windows(model: WhisperRecognizer) -> None:
    together = model.encode(mels(3))
    for mel, encoding in zip(mels(3), together, strict=True):
        assert encoding.shape == (1500, toy_whisper.WIDTH)
        np.testing.assert_allclose(encoding, model.encode([mel])[0], atol=1e-4)


def test_short_encodings_and_long_ones_share_a_batch(model: WhisperRecognizer) -> None:
    """Text and word times of a short window are not those of a long one, nor lost among them."""
    first, second = mels(2)
    encodings = model.encode([first, first[:, :1000], second])
    assert [len(encoding) for encoding in encodings] == [1500, 500, 1500]
    windows = [Window(encoding, 10.0, "en", beam_size=1) for encoding in encodings]
    alone = [model.recognize([window])[0] for window in windows]
    assert all(map(same, model.recognize(windows), alone))
    assert not same(alone[0], alone[1])
    text = model.encode_text(" the thé")
    times = model.align(windows, [text] * 3, [1000] * 3)
    assert times[1] == pytest.approx(model.align(windows[1:2], [text], [1000])[0])
    assert all(words[-1].end <= 10.0 for words in times)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_mixed_batch_gives_what_single_calls_give_in_order(
    model: WhisperRecognizer, beam_size: int
) -> None:
    first, second = model.encode(mels(2))
    before = model.encode_text(" the the")
    windows = [
        Window(first, 30.0, "en", beam_size=beam_size),
        Window(second, 30.0, "de", beam_size=beam_size, previous=before),
        Window(second, 30.0, "ja", task=Task.TRANSLATE, beam_size=beam_size),
        Window(first, 30.0, "es", beam_size=beam_size, previous=before[::-1]),
        Window(second, 30.0, "en", beam_size=beam_size, previous=before * 40),
    ]
    together = model.recognize(windows)
    alone = [model.recognize([window])[0] for window in windows]
    assert all(map(same, together, alone))
    assert len({hypothesis.tokens for hypothesis in together}) > 1


def test_a_hypothesis_describes_itself(model: WhisperRecognizer) -> None:
    (encoding,) = model.encode(mels(1))
    (heard,) = model.recognize([Window(encoding, 30.0, "en", beam_size=1)])
    assert heard.tokens[0] in range(model.timestamp_begin, model.timestamp_begin + 51)
    assert len(heard.tokens) <= 224
    assert heard.text == model.decode_text(heard.tokens).strip()
    assert heard.compression_ratio == compression_ratio(heard.text)
    assert heard.avg_logprob < 0.0
    assert 0.0 <= heard.no_speech_prob <= 1.0
    assert heard.temperature == 0.0


def test_previous_text_changes_what_is_heard_but_only_so_much_of_it(model: WhisperRecognizer) -> None:
    (encoding,) = model.encode(mels(1))
    letters = model.encode_text("abcdefghij" * 23)
    long, cut, without = model.recognize(
        [Window(encoding, 30.0, "en", beam_size=1, previous=p) for p in (letters, letters[-223:], ())]
    )
    assert same(long, cut)
    assert len(cut.tokens) <= 448 - 227 + 1
    assert not same(cut, without)


def test_sampling_draws_and_keeps_the_best(model: WhisperRecognizer) -> None:
    (encoding,) = model.encode(mels(1))
    windows = [Window(encoding, 30.0, "en", temperature=1.0, best_of=n) for n in (1, 1, 8)]
    heard = model.recognize(windows)
    assert {hypothesis.temperature for hypothesis in heard} == {1.0}
    # A decoder of our own draws for each window what it always draws; CTranslate2's generator goes on.
    assert (heard[0].tokens == heard[1].tokens) is isinstance(model, ContinuousRecognizer)
    assert heard[2].tokens not in {heard[0].tokens, heard[1].tokens}
    suppressed = set(model._vocabulary.suppressed)
    assert not any(suppressed & set(hypothesis.tokens) for hypothesis in heard)


def test_scores_of_samples_are_of_the_model_and_not_of_the_temperature(model: WhisperRecognizer) -> None:
    """Nearly cold sampling gives the greedy tokens, and so must give the greedy score."""
    (encoding,) = model.encode(mels(1))
    greedy, cold = model.recognize(
        [Window(encoding, 30.0, "en", beam_size=1), Window(encoding, 30.0, "en", temperature=1e-4, best_of=2)]
    )
    assert greedy.tokens == cold.tokens
    assert cold.avg_logprob == pytest.approx(greedy.avg_logprob, abs=1e-4)


def test_timestamps_obey_the_rules(model: WhisperRecognizer) -> None:
    """They come in pairs, never fall, and no segment is empty."""
    windows = [Window(e, 30.0, "en", temperature=1.0, best_of=1) for e in model.encode(mels(2)) * 3]
    for heard in model.recognize(windows):
        times = [token for token in heard.tokens if token >= model.timestamp_begin]
        assert times == sorted(times)
        runs = "".join(
            "t" if token >= model.timestamp_begin else "w" if token < model.end_of_text else "l"
            for token in heard.tokens
        )
        assert runs.startswith("t")
        assert "ttt" not in runs
        assert "wtw" not in runs


def test_languages_are_probabilities(model: WhisperRecognizer) -> None:
    encodings = model.encode(mels(2))
    together = model.detect_language(encodings)
    assert [set(row) for row in together] == [set(model.languages)] * 2
    for row, encoding in zip(together, encodings, strict=True):
        assert sum(row.values()) == pytest.approx(1.0, abs=1e-4)
        assert model.detect_language([encoding])[0] == pytest.approx(row, abs=1e-5)


def test_english_only_models_hear_english(english: WhisperRecognizer) -> None:
    encodings = english.encode(mels(1))
    assert english.detect_language(encodings) == [{"en": 1.0}]
    assert not english.multilingual
    (heard,) = english.recognize([Window(encodings[0], 30.0, None, beam_size=1)])
    assert heard.tokens[0] >= english.timestamp_begin


def test_nothing_in_nothing_out(model: WhisperRecognizer) -> None:
    assert model.encode([]) == []
    assert model.detect_language([]) == []
    assert model.recognize([]) == []
    assert model.align([], [], []) == []


def test_unknown_languages_are_refused(model: WhisperRecognizer) -> None:
    (encoding,) = model.encode(mels(1))
    with pytest.raises(UnsupportedOption, match="yue") as caught:
        model.recognize([Window(encoding, 30.0, "yue")])
    assert caught.value.param == "language"


def test_aligned_words_stand_for_the_text_and_lie_in_the_window(model: WhisperRecognizer) -> None:
    (encoding,) = model.encode(mels(1))
    text = model.encode_text(" the thé, the - the.")
    (words,) = model.align([Window(encoding, 30.0, "en")], [text], [1234])
    assert "".join(word.text for word in words) == " the thé, the - the."
    assert sum(word.n_tokens for word in words) == len(text)
    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[0] >= 0.0
    assert edges[-1] <= 12.34
    assert all(0.0 <= word.probability <= 1.0 for word in words)


def test_a_mixed_batch_is_aligned_like_its_windows(model: WhisperRecognizer) -> None:
    """Neither the tokens of a longer neighbour nor its frames may show."""
    first, second = model.encode(mels(2))
    windows = [Window(first, 30.0, "en"), Window(second, 30.0, "en"), Window(second, 9.0, "de")]
    windows += [Window(first, 30.0, "en"), Window(second, 30.0, "en")]
    texts = [model.encode_text(t) for t in (" the thé", " the thé and more of it", " der", "", " the thé")]
    frames = [3000, 3000, 900, 3000, 1501]
    together = model.align(windows, texts, frames)
    alone = [model.align([w], [t], [f])[0] for w, t, f in zip(windows, texts, frames, strict=True)]
    for left, right in zip(together, alone, strict=True):
        assert [(w.text, w.start, w.end) for w in left] == [(w.text, w.start, w.end) for w in right]
        np.testing.assert_allclose(
            [w.probability for w in left], [w.probability for w in right], rtol=1e-3, atol=1e-7
        )
    assert together[3] == []


@pytest.mark.parametrize("n_frames", range(10))
def test_the_shortest_stretch_can_be_aligned(model: WhisperRecognizer, n_frames: int) -> None:
    (encoding,) = model.encode(mels(1))
    (words,) = model.align([Window(encoding, 0.1, "en")], [model.encode_text(" the thé")], [n_frames])
    assert all(0.0 <= word.start <= word.end <= n_frames / 100 for word in words)


def test_weights_without_alignment_heads_say_so(model: WhisperRecognizer, tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    convert(toy.folder, tmp_path / "made")
    config = tmp_path / "made" / "config.json"
    config.write_text(config.read_text().replace("alignment_heads", "forgotten"))
    old = loading.load(tmp_path / "made", device="cpu", compute_type="float32")
    (encoding,) = old.encode(mels(1))
    with pytest.raises(UnsupportedOption, match="word times"):
        old.align([Window(encoding, 30.0, "en")], [old.encode_text(" the")], [3000])


def test_what_breaks_inside_is_an_engine_that_failed(model: WhisperRecognizer) -> None:
    with pytest.raises(EngineFailed):
        model.recognize([Window(np.zeros((7, 3), np.float32), 30.0, "en")])


def test_features_have_the_models_mels(model: WhisperRecognizer) -> None:
    features = model.features(Audio(np.zeros(16_000, np.int16)))
    assert features.n_frames == 100
    assert features.window(0).shape == (80, 3000)


def test_a_closed_model_is_gone(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    recognizer = loading.load(toy.folder, device="cpu", compute_type="float32")
    recognizer.close()
    with pytest.raises(EngineFailed):
        recognizer.encode(mels(1))
