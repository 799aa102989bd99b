"""Leases of models that speak: a thread each, prompt ends, and room that they do not take."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from hearsay.domain import ModelCard, SynthesisOptions, Task
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer, Faults
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.protocols import Engine, Synthesizer
from hearsay.errors import Cancelled, EngineFailed, UnsupportedOption
from hearsay.scheduling.model_pool import Lease, ModelPool
from hearsay.tts.synthesis import Synthesis
from tests.scheduling.test_cancellable_synthesizer import WAIT, Mute, Slow
from tests.scheduling.test_model_pool import Clock, until

HIGH = SynthesisOptions("high")


class Shelf:
    """A catalogue whose models are what their names begin with; collects what is loaded and closed."""

    def __init__(self, make: Callable[[], Synthesizer] = FakeSynthesizer) -> None:
        self.loads: list[str] = []
        self.closed: list[str] = []
        self._make = make

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        name = name or "light"
        if name.startswith("ear"):
            return replace(fake_cards.fake(), id=name)
        engine = "onnx_tts" if name.startswith("heavy") else "fake_voice"
        return replace(fake_cards.fake_voice(), id=name, engine=engine)

    def load(self, card: ModelCard) -> Engine:
        self.loads.append(card.id)
        engine: Any = FakeWindowRecognizer() if card.id.startswith("ear") else self._make()
        close = engine.close

        def closing() -> None:
            self.closed.append(card.id)
            close()

        engine.close = closing
        return engine  # type: ignore[no-any-return]


def run(scenario: Callable[[Shelf], Any], make: Callable[[], Synthesizer] = FakeSynthesizer) -> Shelf:
    shelf = Shelf(make)
    asyncio.run(scenario(shelf))
    return shelf


def synthesis(lease: Lease, text: str) -> Synthesis:
    return Synthesis(text.split(","), HIGH, lease.synthesizer, cancelled=lease.cancelled)


def test_requests_speak_at_once_each_in_its_thread() -> None:
    together = threading.Barrier(3)

    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)

        async def speak() -> int:
            async with (
                await pool.lease("light", Task.SYNTHESIZE) as lease,
                aclosing(lease.stream(lambda: synthesis(lease, "one two, three"))) as blocks,
            ):
                return sum([len(block) async for block in blocks])

        assert len(set(await asyncio.gather(speak(), speak(), speak()))) == 1
        await pool.close()

    def meet() -> None:
        together.wait(WAIT)

    shelf = run(scenario, lambda: FakeSynthesizer(Faults(pause=meet)))
    assert shelf.loads == shelf.closed == ["light"]


def test_a_lease_is_for_what_the_model_can_do() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        async with await pool.lease("light", Task.SYNTHESIZE) as lease:
            assert isinstance(lease.synthesizer, Synthesizer) and lease.request_queue is None
            with pytest.raises(UnsupportedOption, match="`light` speaks; it cannot transcribe"):
                _ = lease.recognizer
        async with await pool.lease("ear") as lease:
            assert lease.recognizer is lease.recognizer
            with pytest.raises(UnsupportedOption, match="transcribes; it cannot speak"):
                _ = lease.synthesizer
        await pool.close()

    run(scenario)


def test_seconds_are_those_of_steps() -> None:
    clock = Clock()

    def pause() -> None:
        clock.now += 2.0

    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, clock=clock)
        async with await pool.lease("light", Task.SYNTHESIZE) as lease:
            async for _ in lease.stream(lambda: synthesis(lease, "one two, three")):
                pass
            assert (lease.timings.serving, lease.timings.queued) == (6.0, 0.0)
        await pool.close()

    run(scenario, lambda: FakeSynthesizer(Faults(pause=pause)))


@pytest.mark.parametrize("leave", [Lease.cancel, Lease.release])
def test_who_leaves_while_no_sound_comes_is_not_waited_for(leave: Callable[[Lease], None]) -> None:
    piece = Mute()

    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        lease = await pool.lease("light", Task.SYNTHESIZE)
        listening = asyncio.ensure_future(anext(lease.stream(lambda: synthesis(lease, "a,b"))))
        await until(piece.asked.is_set)
        leave(lease)
        with pytest.raises(Cancelled):
            await listening
        with pytest.raises(Cancelled):
            await lease.run(len, "")
        lease.release()
        async with await pool.lease("light", Task.SYNTHESIZE) as other:
            assert other.synthesizer.voices
        await pool.close()

    assert run(scenario, lambda: Slow(piece)).closed == ["light"]


def test_a_pool_closes_though_somebody_waits_for_sound() -> None:
    piece = Mute()

    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        lease = await pool.lease("light", Task.SYNTHESIZE)
        listening = asyncio.ensure_future(anext(lease.stream(lambda: synthesis(lease, "a"))))
        await until(piece.asked.is_set)
        await pool.close()
        with pytest.raises(Cancelled):
            await listening

    assert run(scenario, lambda: Slow(piece)).closed == ["light"]


def test_a_slow_reader_is_one_step_ahead_and_no_more() -> None:
    spoken: list[int] = []

    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        async with await pool.lease("light", Task.SYNTHESIZE) as lease:
            blocks = lease.stream(lambda: synthesis(lease, "one two three four"))
            await anext(blocks)
            await until(lambda: len(spoken) == 2)
            await lease.run(len, "")  # whatever was begun before has ended by now
            assert len(spoken) == 2
            await blocks.aclose()
        await pool.close()

    run(scenario, lambda: FakeSynthesizer(Faults(pause=lambda: spoken.append(1))))


def test_a_failing_engine_fails_the_request_alone() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        async with await pool.lease("light", Task.SYNTHESIZE) as lease:
            with pytest.raises(EngineFailed):
                async for _ in lease.stream(lambda: synthesis(lease, "one two")):
                    pass
        assert sum(map(pool.admission.n_using, pool._slots)) == 0 and pool.loaded() == ["light"]
        await pool.close()

    run(scenario, lambda: FakeSynthesizer(Faults(fail_after=1)))


def test_light_models_take_no_room_and_make_none() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, max_loaded=1)
        assert pool.has_room()
        for name in ("light", "ear", "light-too"):
            async with await pool.lease(name):
                pass
        assert sorted(pool.loaded()) == ["ear", "light", "light-too"] and not pool.has_room()
        async with await pool.lease("heavy"):
            assert sorted(pool.loaded()) == ["heavy", "light", "light-too"]
            async with await pool.lease("light"):  # though there is no room at all
                pass
        await pool.close()

    assert run(scenario).loads == ["light", "ear", "light-too", "heavy"]


def test_light_models_are_unloaded_when_idle() -> None:
    clock = Clock()

    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, idle_seconds=60, clock=clock)
        async with await pool.lease("light"):
            pass
        clock.now += 61
        assert await pool.unload_idle() == ["light"] and pool.loaded() == []
        await pool.close()

    run(scenario)
