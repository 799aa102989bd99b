"""`hearsay say`: outputs, notices, exit statuses, streamed input."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner, Result

from hearsay.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_MODEL, EXIT_USAGE, app, completion
from hearsay.cli.say.audio_files import Format
from hearsay.cli.say.command import _complete_format, _complete_voice
from hearsay.engines.fake.synthesizer import SAMPLE_RATE, WORD_SECONDS, FakeSynthesizer

FIVE = "Five words are said here."
RATES = {Format.OPUS: 24_000, Format.MULAW: 8000}


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Set the fake voice, independent of this machine."""
    folder = tmp_path_factory.mktemp("home")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HEARSAY_")}
    return kept | {
        "HEARSAY_FAKE_ENGINE": "true",
        "HEARSAY_SPEECH_MODEL": "fake-voice",
        "HEARSAY_DOWNLOADS": "off",
        "HEARSAY_MODELS_FOLDER": str(folder / "models"),
        "XDG_CONFIG_HOME": str(folder),
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> Path:
    """Work in an empty folder with those settings."""
    for name in [name for name in os.environ if name not in environment]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["say", *map(str, arguments)], input=stdin, prog_name="hearsay")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def seconds(path: Path) -> float:
    """Read a WAV file whose header must be whole."""
    with wave.open(str(path), "rb") as file:
        assert path.stat().st_size == 44 + 2 * file.getnframes()
        return file.getnframes() / file.getframerate()


def test_a_text_becomes_a_file_with_a_whole_header(here: Path) -> None:
    result = run(FIVE, "--output", "speech.wav")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert "Voice: high of fake-voice" in result.stderr
    assert seconds(here / "speech.wav") == pytest.approx(5 * WORD_SECONDS)
    assert files(here) == ["speech.wav"]


def test_words_may_be_arguments_of_their_own(here: Path) -> None:
    assert run(*FIVE.split(), "-o", "speech.wav").exit_code == 0
    assert seconds(here / "speech.wav") == pytest.approx(5 * WORD_SECONDS)


def test_folders_are_made_and_silence_can_be_had(here: Path) -> None:
    result = run(FIVE, "-o", "deep/in/it/speech.flac", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (here / "deep" / "in" / "it" / "speech.flac").stat().st_size > 0


@pytest.mark.parametrize("kind", Format)
@pytest.mark.parametrize("by_name", [True, False], ids=["suffix", "option"])
def test_every_format(here: Path, kind: Format, by_name: bool) -> None:
    path = here / (f"speech.{kind.value.upper()}" if by_name else "speech.bin")
    result = run(FIVE, "-o", path, *(() if by_name else ("--format", kind.value)))
    assert result.exit_code == 0, result.stderr
    bare = {Format.PCM: "s16le", Format.MULAW: "mulaw"}
    rate = RATES.get(kind, SAMPLE_RATE)
    options = {"sample_rate": str(rate)} if kind in bare else {}
    with av.open(str(path), format=bare.get(kind), options=options) as container:
        n_samples = sum(frame.samples for frame in container.decode(audio=0))
        heard = container.streams.audio[0].rate
    assert heard == (48_000 if kind in (Format.OPUS, Format.OGG) else rate)
    assert n_samples / heard == pytest.approx(5 * WORD_SECONDS, rel=0.1)


def test_a_rate_that_was_asked_for(here: Path) -> None:
    assert run(FIVE, "-o", "speech.wav", "--sample-rate", "16000").exit_code == 0
    assert seconds(here / "speech.wav") == pytest.approx(5 * WORD_SECONDS, abs=0.01)
    with wave.open("speech.wav", "rb") as file:
        assert file.getframerate() == 16_000


def test_a_rate_that_the_format_lacks(here: Path) -> None:
    result = run(FIVE, "-o", "speech.opus", "--sample-rate", "44100")
    assert result.exit_code == EXIT_USAGE
    assert "48000" in result.stderr
    assert files(here) == []


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
def test_speed(here: Path, speed: float) -> None:
    assert run(FIVE, "-o", "speech.wav", "--speed", str(speed)).exit_code == 0
    assert seconds(here / "speech.wav") == pytest.approx(5 * WORD_SECONDS / speed, rel=0.1)


def test_a_voice_that_was_asked_for(here: Path) -> None:
    assert "Voice: low" in run(FIVE, "-o", "low.wav", "--voice", "low").stderr
    run(FIVE, "-o", "high.wav")
    assert (here / "low.wav").read_bytes() != (here / "high.wav").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--voice", "nobody"], EXIT_USAGE, "nobody"),
        (["--model", "nothing"], EXIT_NO_MODEL, "The model `nothing` does not exist"),
        (["--model", "fake"], EXIT_USAGE, "cannot speak"),
        (["--speed", "9"], EXIT_USAGE, "--speed"),
        (["--format", "tape"], EXIT_USAGE, "mulaw"),
        (["--language", "klingon"], EXIT_USAGE, "klingon"),
        (["--model", "fake-voice", "--language", "ja"], EXIT_USAGE, "does not speak Japanese"),
    ],
)
def test_mistakes_are_sentences(here: Path, arguments: list[str], status: int, said: str) -> None:
    result = run(FIVE, "-o", "speech.wav", *arguments)
    assert result.exit_code == status, result.output
    assert said in " ".join(result.stderr.split())
    assert files(here) == []


@pytest.mark.parametrize("name", ["speech", "speech.xyz"])
def test_a_name_that_tells_no_format(here: Path, name: str) -> None:
    result = run(FIVE, "-o", name)
    assert result.exit_code == EXIT_USAGE
    told = " ".join(result.stderr.replace("│", " ").split())
    assert name in told and ".flac" in told and "--format" in told
    assert run(FIVE, "-o", name, "--format", ".MP3").exit_code == 0
    assert files(here) == [name]


@pytest.mark.parametrize("text", ["", "  ", "—", "\u200b"])
def test_nothing_to_say(here: Path, text: str) -> None:
    result = run(text, "-o", "speech.wav")
    assert result.exit_code == EXIT_USAGE, result.output
    assert "Nothing in the input can be spoken" in result.stderr
    assert files(here) == []
    assert run("-", "-o", "speech.wav", stdin=text.encode()).exit_code == EXIT_USAGE
    assert files(here) == []


def test_a_file_that_exists_is_left_alone_unless_told(here: Path) -> None:
    (here / "speech.wav").write_bytes(b"mine")
    result = run(FIVE, "-o", "speech.wav")
    assert result.exit_code == EXIT_FAILED
    assert "speech.wav exists; --overwrite replaces it" in result.stderr
    assert (here / "speech.wav").read_bytes() == b"mine"
    assert run(FIVE, "-o", "speech.wav", "--overwrite").exit_code == 0
    assert seconds(here / "speech.wav") == pytest.approx(5 * WORD_SECONDS)


def test_a_folder_is_no_file(here: Path) -> None:
    (here / "folder.wav").mkdir()
    result = run(FIVE, "-o", "folder.wav", "--overwrite")
    assert result.exit_code == EXIT_USAGE
    assert "is a folder" in result.stderr


def test_a_device_is_written_to(here: Path) -> None:
    assert run(FIVE, "-o", "/dev/null", "--format", "wav").exit_code == 0
    assert Path("/dev/null").is_char_device()


def test_an_engine_that_breaks_leaves_no_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = FakeSynthesizer.__init__

    def fragile(self: FakeSynthesizer) -> None:
        made(self)
        self.mishaps.fail_after = 3

    monkeypatch.setattr(FakeSynthesizer, "__init__", fragile)
    (here / "speech.wav").write_bytes(b"mine")
    result = run(FIVE, "-o", "speech.wav", "--overwrite")
    assert result.exit_code == EXIT_FAILED
    assert result.stderr.splitlines()[-1].startswith("hearsay: ")
    assert files(here) == ["speech.wav"]
    assert (here / "speech.wav").read_bytes() == b"mine"


def test_standard_output(here: Path) -> None:
    result = run(FIVE, "--output", "-")
    assert result.exit_code == 0, result.stderr
    data = result.stdout_bytes
    assert data[:4] + data[8:12] == b"RIFFWAVE"
    assert len(data) == 44 + 2 * 5 * WORD_SECONDS * SAMPLE_RATE
    bare = run(FIVE, "--output", "-", "--format", "pcm")
    assert bare.stdout_bytes == data[44:]


def test_a_terminal_is_no_place_for_sound(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearsay.cli.say.command._is_terminal", lambda _: True)
    result = run(FIVE, "--output", "-")
    assert result.exit_code == EXIT_USAGE
    assert "terminal" in result.stderr
    assert result.stdout == ""


def test_standard_input(here: Path) -> None:
    assert run("-", "-o", "speech.wav", stdin=FIVE.encode()).exit_code == 0
    assert seconds(here / "speech.wav") == pytest.approx(5 * WORD_SECONDS)


@pytest.mark.parametrize("text", [b"\xef\xbb\xbfOne two.", b"One \xfftwo.", b"One\r\n\r\ntwo\0"])
def test_standard_input_that_is_not_quite_text(here: Path, text: bytes) -> None:
    result = run("-", "-o", "speech.wav", stdin=text)
    assert result.exit_code == 0, result.output
    assert seconds(here / "speech.wav") == pytest.approx(2 * WORD_SECONDS)


def test_a_long_text_from_standard_input_is_said_whole(here: Path) -> None:
    sentences = "".join(f"Sentence number {n} of the book has nine words.\n" for n in range(200))
    assert run("-", "-o", "book.pcm", stdin=sentences.encode()).exit_code == 0
    assert (here / "book.pcm").stat().st_size == 200 * 9 * WORD_SECONDS * SAMPLE_RATE * 2


def start(environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hearsay", "say", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=dict(environment), stdin=pipe, stdout=pipe, stderr=pipe)


def test_the_first_sound_comes_before_the_input_ends(here: Path, environment: Mapping[str, str]) -> None:
    with start(environment, "-", "--output", "-", "--format", "pcm", "--quiet") as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"This is what the book begins with. " * 60)
        process.stdin.flush()
        first = process.stdout.read(10_000)
        process.stdin.write(b"And so it ends.")
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait() == 0
    assert len(first) + len(rest) == (60 * 7 + 4) * WORD_SECONDS * SAMPLE_RATE * 2


def test_an_interruption_leaves_nothing_behind(here: Path, environment: Mapping[str, str]) -> None:
    with start(environment, "-", "-o", "book.wav", "--language", "en") as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(b"This is what the book begins with. " * 60)
        process.stdin.flush()
        while not any(path.stat().st_size for path in here.glob(".*.part")):
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        told = process.stderr.read().decode()
        assert process.wait() == EXIT_INTERRUPTED, told
    assert told.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in told
    assert files(here) == []


def test_a_reader_that_has_heard_enough(here: Path, environment: Mapping[str, str]) -> None:
    with start(environment, "word " * 20_000, "--output", "-") as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        assert len(process.stdout.read(1000)) == 1000
        process.stdout.close()
        told = process.stderr.read().decode()
        assert process.wait() == EXIT_FAILED
    assert "Traceback" not in told and "Broken" not in told


@pytest.fixture
def player(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A player that keeps its input."""
    program = here / "bin" / "aplay"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open({str(here / 'heard')!r}, 'wb').write(sys.stdin.buffer.read())\n"
        f"open({str(here / 'told')!r}, 'w').write(' '.join(sys.argv[1:]))\n",
        "utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent))
    yield here / "heard"


def test_without_a_file_it_is_played(here: Path, player: Path) -> None:
    result = run(FIVE)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert player.stat().st_size == 5 * WORD_SECONDS * SAMPLE_RATE * 2
    assert f"-r {SAMPLE_RATE}" in (here / "told").read_text()


@pytest.mark.parametrize("option", [["--format", "mp3"], ["--sample-rate", "16000"]])
def test_what_is_played_has_no_format(here: Path, player: Path, option: list[str]) -> None:
    result = run(FIVE, *option)
    assert result.exit_code == EXIT_USAGE
    assert option[0] in result.stderr and "--output" in result.stderr
    assert not player.exists()


def test_without_a_player_there_is_a_way_out(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(here))
    result = run(FIVE)
    assert result.exit_code == EXIT_FAILED
    assert "No program that plays sound" in result.stderr and "--output" in result.stderr


def test_the_embedded_voice_speaks_the_language_of_the_text(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEARSAY_SPEECH_MODEL")
    texts = {
        "de": "Heute scheint die Sonne, und morgen wird es wahrscheinlich regnen und sehr kalt werden.",
        "es": "Hoy hace sol, y mañana probablemente va a llover durante todo el día en la ciudad.",
    }
    for code, text in texts.items():
        result = run("-", "-o", f"{code}.wav", stdin=text.encode())
        assert result.exit_code == 0, result.output
        assert f"Voice: {code}" in result.stderr and "espeak-ng" in result.stderr
        assert 3 < seconds(here / f"{code}.wav") < 15


def test_a_voice_of_a_vendor_is_played_by_one_of_ours(here: Path) -> None:
    result = run(FIVE, "-o", "speech.wav", "--voice", "Onyx")
    assert result.exit_code == 0, result.stderr
    assert "Voice: low" in result.stderr


def test_an_own_name_for_a_voice(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARSAY_VOICES", "narrator=low")
    assert "Voice: low" in run(FIVE, "-o", "speech.wav", "--voice", "Narrator").stderr


def test_what_nobody_can_tell_is_in_the_usual_language(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARSAY_SPEECH_LANGUAGE", "es")
    result = run("1234", "-o", "speech.wav", "--model", "espeak-ng")
    assert "Voice: es of espeak-ng" in result.stderr


def test_the_shell_completes_formats_and_voices(here: Path) -> None:
    assert _complete_format("m") == ["mp3", "mulaw"]
    assert "low" in _complete_voice("lo")
    assert "kokoro-82m" in completion.complete_synthesizer("")
    assert completion.complete_synthesizer("esp") == ["espeak-ng"]
    assert completion.complete_synthesizer("whisper") == []
    assert "alloy" in _complete_voice("ALL")
