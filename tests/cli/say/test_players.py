"""Choice of the player, its arguments and input, failures and interruptions."""

from __future__ import annotations

import os
import stat
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hearsay.cli.say.players import PLAYERS, Input, Player, find_player, play
from hearsay.errors import HearsayError
from hearsay.media.formats import Container, Encoding

Install = Callable[[str, str], Path]

KEEP = "sys.stdin.buffer.read()"
BY_NAME = {player.program: player for player in PLAYERS}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put programs of our own on an otherwise empty PATH; `heard` is what they were given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, read: str) -> Path:
        program, heard = folder / name, tmp_path / "heard"
        program.write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            f"with open({str(heard)!r}, 'wb') as out: out.write({read})\n"
            f"with open({str(tmp_path / 'told')!r}, 'w') as out: out.write(' '.join(sys.argv[1:]))\n"
            f"with open({str(tmp_path / 'environment')!r}, 'w') as out: out.write(' '.join(os.environ))\n",
            "utf-8",
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return heard

    return make


def test_those_that_begin_at_once_are_preferred() -> None:
    order = [player.input is Input.FILE for player in PLAYERS]
    assert order == sorted(order)
    assert find_player(lambda name: name).program == PLAYERS[0].program
    assert find_player(lambda name: name if name in ("pw-play", "mpv") else None).program == "mpv"


def test_a_machine_without_a_player_is_told_what_to_do() -> None:
    with pytest.raises(HearsayError) as caught:
        find_player(lambda _: None)
    assert "aplay" in caught.value.message and "afplay" in caught.value.message
    assert "--output" in caught.value.message


@pytest.mark.parametrize("player", PLAYERS, ids=lambda player: player.program)
def test_every_player_is_told_what_it_cannot_see(player: Player) -> None:
    told = " ".join(player.command(22_050))
    assert ("22050" in told) == (player.input is Input.SAMPLES)
    assert "{" not in told
    wanted = player.audio_format(22_050)
    assert (wanted.sample_rate, wanted.encoding) == (22_050, Encoding.PCM_S16LE)
    assert (wanted.container is Container.WAV) == (player.input is Input.WAV)


def test_a_player_hears_everything_and_none_of_our_secrets(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARSAY_API_KEY", "sk-secret")
    heard = install("aplay", KEEP)
    sound = [b"ab" * 40_000, b"", b"cd" * 3]
    play(find_player(), iter(sound), 16_000)
    assert heard.read_bytes() == b"".join(sound)
    assert (tmp_path / "told").read_text() == "-q -t raw -f S16_LE -c 1 -r 16000 -"
    names = (tmp_path / "environment").read_text().split()
    assert "PATH" in names and "HEARSAY_API_KEY" not in names


def test_a_player_of_files_is_given_a_whole_one_that_is_gone_afterwards(
    install: Install, tmp_path: Path
) -> None:
    heard = install("afplay", "open(sys.argv[1], 'rb').read()")
    play(find_player(), iter([b"\1\0" * 100, b"\2\0" * 60]), 24_000)
    with wave.open(str(heard), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.getnframes() == 160
        assert file.readframes(200) == b"\1\0" * 100 + b"\2\0" * 60
    assert not Path((tmp_path / "told").read_text()).exists()


@pytest.mark.parametrize("read", ["sys.exit(7)", "KEEP and sys.exit(7)"])
def test_a_player_that_fails_is_named_with_the_remedy(install: Install, read: str) -> None:
    install("aplay", read.replace("KEEP", KEEP))
    with pytest.raises(HearsayError, match=r"aplay could not play .*status 7.*--output"):
        play(find_player(), (b"\0" * 65_536 for _ in range(100)), 16_000)


def test_a_player_that_closes_early_is_a_failure_even_if_it_says_otherwise(install: Install) -> None:
    install("aplay", "sys.stdin.buffer.read(10)")
    with pytest.raises(HearsayError, match="aplay could not play"):
        play(find_player(), (b"\0" * 65_536 for _ in range(100)), 16_000)


@pytest.mark.parametrize("seconds", [0.5, 30])
def test_a_player_that_says_nothing_of_its_failure_is_found_out(install: Install, seconds: float) -> None:
    install("ffplay", KEEP)
    with pytest.raises(HearsayError, match=r"ffplay could not play .*--output"):
        play(BY_NAME["ffplay"], iter([bytes(round(2 * 48_000 * seconds))] * 10), 48_000)
    play(BY_NAME["ffplay"], iter([bytes(200)]), 48_000)


def test_a_player_that_cannot_be_started_is_named_with_the_remedy(install: Install, tmp_path: Path) -> None:
    install("aplay", KEEP)
    program = tmp_path / "bin" / "aplay"
    program.write_text("#!/nowhere/sh\n", "utf-8")
    with pytest.raises(HearsayError, match=r"aplay could not be started: No such file.*--output"):
        play(find_player(), iter([b"ab"]), 16_000)


def test_an_interruption_ends_the_player(install: Install, tmp_path: Path) -> None:
    install(
        "aplay",
        "b'' if os.read(0, 1) and open(sys.argv[0] + '.pid', 'w').write(str(os.getpid())) "
        "and open(sys.argv[0] + '.ready', 'w').close() is None and __import__('signal').pause() else b''",
    )
    ready = tmp_path / "bin" / "aplay.ready"

    def sound() -> Iterator[bytes]:
        yield b"\0\0"
        while not ready.exists():
            os.sched_yield()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(find_player(), sound(), 16_000)
    pid = int((tmp_path / "bin" / "aplay.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_cannot_be_made_is_heard_of_and_not_played(install: Install) -> None:
    heard = install("afplay", "b''")

    def sound() -> Iterator[bytes]:
        yield b"\0\0"
        raise HearsayError("The model broke.")

    with pytest.raises(HearsayError, match="The model broke"):
        play(BY_NAME["afplay"], sound(), 16_000)
    assert not heard.exists()
