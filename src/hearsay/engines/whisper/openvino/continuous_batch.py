"""Windows being decoded together on OpenVINO: they join, are searched each in its own way, and leave.

Knows no recording and no fallback. What is fed and how it is scored follows openai/whisper `decoding.py`; a
window's answer does not depend on who is decoded beside it, but for the rounding of the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import Hypothesis, Window
from hearsay.engines.whisper import prompts
from hearsay.engines.whisper.beam_search import Beam, Samples, Search, most_sampled
from hearsay.engines.whisper.jobs import Decode
from hearsay.engines.whisper.logit_rules import Ids, allowed, log_probabilities
from hearsay.engines.whisper.openvino.decoder import SequenceInput, Session, WhisperDecoder
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence
from hearsay.engines.whisper.openvino.language_detection import LanguageDetector, softmax
from hearsay.engines.whisper.openvino.topk import Candidates, Logits
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.errors import EngineFailed
from hearsay.transcripts.quality import compression_ratio

MOST_WINDOWS = 64
"""Windows in one decoding: each takes memory for what is heard in it."""

LIKED_WINDOWS = 8
"""Windows together from which on a processor gains next to nothing by more."""

_SEED = 0x5EED
"""Samples of a window are the same whenever and beside whomever it is decoded."""


_SHORT = 4
"""Tokens that may stand in a step of others for each window: a prompt without earlier text has fewer."""

_PICKED = 2
"""Tokens of a prompt whose logits are wanted: of its start and of its end."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A decoder, and what its ids mean."""

    decoder: WhisperDecoder
    vocabulary: Vocabulary
    ids: Ids
    n_text_ctx: int
    """Positions of the decoder: 448 tokens."""
    multilingual: bool
    ear: LanguageDetector
    """What may have heard a window already."""

    @property
    def previous_limit(self) -> int:
        """Most tokens of earlier text that a prompt may carry."""
        return self.n_text_ctx // 2 - 1

    def check(self, encoding: Any) -> None:
        """Raise `EngineFailed` for what this model's encoder cannot have given."""
        shape, width = np.shape(encoding), self.decoder.shape.width
        if len(shape) != 2 or shape[0] < 1 or shape[1] != width:
            raise EngineFailed(f"An encoding should be [n_positions, {width}], and this one is {shape}.")

    def prompt(self, window: Window) -> list[int]:
        """Build what stands before the first sampled token. Raises `UnsupportedOption` for the language."""
        return prompts.prompt(
            self.vocabulary, window, multilingual=self.multilingual, previous_limit=self.previous_limit
        )

    def search(self, window: Window, n_prompt: int) -> Search:
        """Return the search that a window asks for."""
        limit = most_sampled(self.n_text_ctx, n_prompt)
        end = self.ids.end_of_text
        if window.temperature > 0:
            rng = np.random.default_rng([_SEED, round(window.temperature * 1000)])
            return Samples(window.best_of, window.temperature, rng, end_of_text=end, limit=limit)
        return Beam(window.beam_size, end_of_text=end, limit=limit)


@dataclass(slots=True, eq=False)
class _Member:
    """One window in a decoding."""

    number: int
    window: Window
    prompt: list[int]
    search: Search
    place: int
    """Among those heard."""
    no_speech: float = 0.0
    rows: list[CachedSequence] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    """What each row is fed next; empty until the prompt was."""


class DecodeBatch:
    """Windows being decoded; for one thread at a time. See `protocols.ContinuousBatch`."""

    def __init__(self, model: Model, most_windows: int = MOST_WINDOWS) -> None:
        """Begin without a window."""
        self._model = model
        self._most = most_windows
        self._candidates = Candidates(model.decoder.shape, model.ids)
        self._members: list[_Member] = []
        self._session: Session | None = None
        self._next = 0

    @property
    def n_windows(self) -> int:
        """Windows in it now."""
        return len(self._members)

    def has_room(self, job: Decode) -> bool:
        """Return whether `join` would take this job now: windows of different lengths cannot mix."""
        if not self._members:
            return True
        same = self._session is not None and len(job.window.encoding) == self._session.n_positions
        return same and len(self._members) < self._most

    def join(self, job: Decode) -> int:
        """Add a window and return its number. Raises: `UnsupportedOption`, `EngineFailed`."""
        if not self.has_room(job):
            raise EngineFailed("There is no room for one more window in this batch.")
        window = job.window
        self._model.check(window.encoding)
        prompt = self._model.prompt(window)
        search = self._model.search(window, len(prompt))
        n_positions = len(window.encoding)
        if self._session is None or self._session.n_positions != n_positions:
            self._session = self._model.decoder.session(n_positions)
        place = next(i for i, m in enumerate([*self._members, None]) if m is None or m.place != i)
        self._members.insert(place, _Member(self._next, window, prompt, search, place))
        self._next += 1
        return self._members[place].number

    def step(self) -> list[tuple[int, Hypothesis]]:
        """Advance every window by about one token; give those that came to their end, which leave."""
        self._close_ranks()
        old = [member for member in self._members if member.rows]
        room = max(_SHORT, *(len(member.rows) for member in old)) if old else 0
        apart = [m for m in self._members if not m.rows and len(m.prompt) > room]
        for _, group in groupby(apart, key=lambda member: len(member.prompt)):
            self._advance(list(group))
        if going := [member for member in self._members if not member.search.done]:
            self._advance(going)
        ended = [member for member in self._members if member.search.done]
        hypotheses = [(member.number, self._hypothesis(member)) for member in ended]
        for member in ended:
            self._remove(member)
        return hypotheses

    def leave(self, number: int) -> None:
        """Forget a window that nobody wants any more; unknown numbers are no error."""
        for member in [member for member in self._members if member.number == number]:
            self._remove(member)

    def _remove(self, member: _Member) -> None:
        """Free a member's memory; its index may be reused by one that joins before the next step."""
        session = self._open()
        for row in member.rows:
            session.rows.release(row)
        self._members.remove(member)
        if not self._members:
            session.clear()

    def _close_ranks(self) -> None:
        """Let the last members take places that are still free, so that no gap is computed."""
        for place in range(len(self._members)):
            if self._members[place].place != place:
                last = self._members.pop()
                if last.rows:
                    self._open().move(last.place, place)
                last.place = place
                self._members.insert(place, last)

    def _advance(self, members: Sequence[_Member]) -> None:
        """Feed members one token for each row, or their prompts if they are new, and let them choose.

        Members stand in the order of their places.
        """
        feeds: list[SequenceInput] = []
        rows: list[slice] = []
        for member in members:
            first = rows[-1].stop if rows else 0
            is_new = not member.rows
            feeds += self._begin(member) if is_new else _next_tokens(member)
            rows.append(slice(first, first + (_PICKED if is_new else len(member.rows))))
        logits = self._open().feed(feeds, slice(members[0].place, members[-1].place + 1))
        for member, cut in zip(members, rows, strict=True):
            if not member.search.rows[0]:
                member.no_speech = self._no_speech(logits.rows(cut.start, cut.start + 1))
        for n, run in groupby(zip(members, rows, strict=True), key=lambda pair: pair[0].search.candidates):
            self._choose(list(run), logits, n)

    def _begin(self, member: _Member) -> list[SequenceInput]:
        """Hear a new member, and feed its prompt; the logits after its start tell whether there is speech."""
        encoding = member.window.encoding
        self._open().compute_cross_kv(member.place, encoding, known=self._model.ear.recall(encoding))
        member.rows = [CachedSequence()]
        start = member.prompt.index(self._model.vocabulary.start)
        return [SequenceInput(member.rows[0], member.prompt, member.place, (start, len(member.prompt) - 1))]

    def _choose(self, run: Sequence[tuple[_Member, slice]], logits: Logits, n: int | None) -> None:
        """Let neighbours that want as many candidates choose, and rearrange their rows accordingly."""
        ids = self._model.ids
        if n is None:
            for member, cut in run:
                last = logits.rows(cut.stop - len(member.search.rows), cut.stop)
                may = [allowed(sampled, ids) for sampled in member.search.rows]
                whole = log_probabilities(last.whole(ids.end_of_text), may, ids)
                self._go_on(member, whole, np.broadcast_to(np.arange(ids.n_vocab), whole.shape))
            return
        first = run[0][1].start
        may = []
        for member, cut in run:  # What a prompt's first logits allow does not matter, nobody asks for it.
            n_unasked = cut.stop - cut.start - len(member.search.rows)
            may += [allowed(sampled, ids) for sampled in [*[()] * n_unasked, *member.search.rows]]
        chances, found = self._candidates.best(logits.rows(first, run[-1][1].stop), may, n)
        for member, cut in run:
            asked = slice(cut.stop - first - len(member.search.rows), cut.stop - first)
            self._go_on(member, chances[asked], found[asked])

    def _go_on(self, member: _Member, chances: NDArray[np.float32], ids: NDArray[np.integer]) -> None:
        chosen = member.search.advance(chances, ids)
        member.rows = self._open().rows.fork(member.rows, chosen.parents.tolist())
        member.tokens = chosen.tokens.tolist()

    def _no_speech(self, logits: Logits) -> float:
        return float(softmax(logits.whole(self._model.ids.end_of_text)[0])[self._model.vocabulary.no_speech])

    def _hypothesis(self, member: _Member) -> Hypothesis:
        tokens, summed = member.search.best()
        text = self._model.vocabulary.decode(tokens).strip()
        return Hypothesis(
            tokens=tokens,
            text=text,
            avg_logprob=summed / (len(tokens) + 1),
            no_speech_prob=member.no_speech,
            temperature=member.window.temperature,
            compression_ratio=compression_ratio(text),
        )

    def _open(self) -> Session:
        if self._session is None:
            raise EngineFailed("A decoding without a window was asked to go on.")
        return self._session


def _next_tokens(member: _Member) -> list[SequenceInput]:
    pairs = zip(member.rows, member.tokens, strict=True)
    return [SequenceInput(row, (token,), member.place, (0,)) for row, token in pairs]


def recognize(batch: DecodeBatch, windows: Sequence[Window]) -> list[Hypothesis]:
    """Decode windows to the end in an empty batch."""
    found: dict[int, Hypothesis] = {}
    indices: dict[int, int] = {}
    waiting = list(enumerate(map(Decode, windows)))[::-1]
    while len(found) < len(windows):
        while waiting and batch.has_room(waiting[-1][1]):
            index, job = waiting.pop()
            indices[batch.join(job)] = index
        found.update((indices[number], hypothesis) for number, hypothesis in batch.step())
    return [found[index] for index in range(len(windows))]
