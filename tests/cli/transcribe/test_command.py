"""`hearsay transcribe`: outputs, notices, exit statuses."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from hearsay.cli import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_NO_MODEL,
    EXIT_USAGE,
    app,
    completion,
)
from hearsay.cli.say.command import say
from hearsay.cli.transcribe import outputs
from hearsay.cli.transcribe.command import _complete_format, transcribe
from hearsay.cli.transcribe.outputs import Format
from hearsay.cli.voices import voices
from hearsay.domain import SAMPLE_RATE, Audio, TranscribeOptions
from hearsay.engines.fake.recognizer import FakeWindowRecognizer, Faults
from hearsay.media import decoding
from tests.support.paths import ROOT
from tests.support.tone_recognizer import SENTENCES, ToneRecognizer, normal, speak

if TYPE_CHECKING:
    from tests.support.server import Stage

TEXT = " ".join(SENTENCES)


def speech(seconds: float) -> bytes:
    """Write a WAV in which the fake engine recognises a word each half second."""
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return decoding.encode((0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32), "wav")


def words(count: int, noun: str = "word") -> str:
    return " ".join(f"{noun}{i}" for i in range(count))


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings under which the fake engine is the model and nothing of this machine matters."""
    folder = tmp_path_factory.mktemp("home")
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("HEARSAY_", "OPENAI_", "GROQ_", "TOGETHER_"))
    }
    return kept | {
        "HEARSAY_FAKE_ENGINE": "true",
        "HEARSAY_MODEL": "fake",
        "HEARSAY_OFFLINE": "true",
        "HEARSAY_MODELS_FOLDER": str(folder / "models"),
        "HEARSAY_KEYS_FILE": str(folder / "keys.json"),
        "XDG_CONFIG_HOME": str(folder),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
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
    return CliRunner().invoke(app, ["transcribe", *map(str, arguments)], input=stdin, prog_name="hearsay")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_one_recording_goes_to_standard_output_and_all_else_does_not(here: Path) -> None:
    (here / "talk.wav").write_bytes(speech(2))
    result = run("talk.wav")
    assert result.exit_code == 0
    assert normal(result.stdout) == words(4)
    assert "Model: fake" in result.stderr
    assert files(here) == ["talk.wav"]
    assert run("talk.wav", "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("kind", "begins"), [("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n\n00:00:00.000 --> ")]
)
def test_subtitles(here: Path, kind: str, begins: str) -> None:
    (here / "talk.wav").write_bytes(speech(2))
    assert run("talk.wav", "--format", kind).stdout.startswith(begins)


def test_json_has_everything(here: Path) -> None:
    (here / "talk.wav").write_bytes(speech(2))
    body = json.loads(run("talk.wav", "-f", "json", "--words", "--language", "german").stdout)
    assert normal(body["text"]) == words(4, "wort")
    assert (body["task"], body["language"], body["language_code"]) == ("transcribe", "german", "de")
    assert (body["duration"], body["model"]) == (2.0, "fake")
    assert [word["word"] for word in body["words"]] == words(4, "wort").split()
    assert {"id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob"} <= set(
        body["segments"][0]
    )
    assert body["quality"] == []
    assert (body["report"]["chunking"], body["report"]["windows"]) == ("vad", 1)
    plain = json.loads(run("talk.wav", "-f", "json", "--chunking", "sequential").stdout)
    assert "words" not in plain
    assert plain["report"]["chunking"] == "sequential"


def test_options_reach_the_engine(here: Path) -> None:
    (here / "talk.wav").write_bytes(speech(1))
    assert normal(run("talk.wav", "-l", "es").stdout) == words(2, "palabra")
    assert normal(run("talk.wav", "-l", "es", "--translate").stdout) == words(2)
    assert normal(run("talk.wav", "--prompt", "LOUD").stdout) == words(2).upper()


def test_standard_input(here: Path) -> None:
    result = run("-", stdin=speech(1))
    assert (result.exit_code, normal(result.stdout)) == (0, words(2))
    run("-", "--output", "texts", stdin=speech(1))
    assert files(here) == ["texts/stdin.txt"]


def test_a_named_pipe_is_read_once(here: Path) -> None:
    os.mkfifo(here / "pipe")
    writer = threading.Thread(target=lambda: (here / "pipe").write_bytes(speech(2)))
    writer.start()
    result = run("pipe")
    writer.join()
    assert (result.exit_code, normal(result.stdout)) == (0, words(4)), result.stderr


def test_several_recordings_become_files_beside_them(here: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (here / name).write_bytes(speech(1))
    result = run("a.wav", "b.wav", "--format", "txt,srt")
    assert result.exit_code == 0 and result.stdout == ""
    assert files(here) == ["a.srt", "a.txt", "a.wav", "b.srt", "b.txt", "b.wav"]
    assert normal((here / "a.txt").read_text()) == words(2)
    assert "a.wav → a.txt" in result.stderr and "2 transcribed." in result.stderr


def test_several_recordings_to_standard_output_have_headings(here: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (here / name).write_bytes(speech(1))
    result = run("a.wav", "b.wav", "--output", "-")
    assert result.stdout.splitlines() == ["==> a.wav <==", words(2), "==> b.wav <==", words(2)]
    assert run("a.wav", "b.wav", "-o", "-", "-f", "srt").exit_code == 2


def test_a_folder_keeps_its_structure(here: Path) -> None:
    for name in ("in/a.wav", "in/deep/er/a.wav", "in/deep/b.flac", "in/.hidden/c.wav", "in/notes.pdf"):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(speech(1))
    assert run("in", "--output", "flat").exit_code == 0
    assert files(here / "flat") == ["a.txt"]
    assert run("in", "--output", "out", "--recursive", "-f", "txt", "-f", "json").exit_code == 0
    assert files(here / "out") == [
        "a.json",
        "a.txt",
        "deep/b.json",
        "deep/b.txt",
        "deep/er/a.json",
        "deep/er/a.txt",
    ]


def test_a_folder_without_recordings_is_a_mistake(here: Path) -> None:
    (here / "in/deep").mkdir(parents=True)
    result = run("in")
    assert result.exit_code == 2
    assert "no recording" in result.stderr and "--recursive" in result.stderr


def test_equal_stems_do_not_meet_in_one_output(here: Path) -> None:
    for name in ("a.wav", "a.flac", "A.mp3", "x/b.wav", "y/b.wav"):
        path = here / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(speech(1))
    assert run("a.wav", "a.flac", "A.mp3", "x/b.wav", "y/b.wav", "-o", "out").exit_code == 0
    assert files(here / "out") == ["A.mp3.txt", "a.flac.txt", "a.wav.txt", "b.wav-2.txt", "b.wav.txt"]


def test_bad_recordings_are_reported_and_the_rest_is_done(here: Path) -> None:
    (here / "a.wav").write_bytes(speech(1))
    (here / "bad.wav").write_bytes(b"this is not a recording at all")
    (here / "empty.wav").write_bytes(b"")
    (here / "z.wav").write_bytes(speech(1))
    (here / "circle.wav").symlink_to("circle.wav")
    result = run("a.wav", "bad.wav", "empty.wav", "gone.wav", "circle.wav", "z.wav")
    assert result.exit_code == 1
    assert files(here) == ["a.txt", "a.wav", "bad.wav", "empty.wav", "z.txt", "z.wav"]
    assert "2 transcribed; 4 failed:" in result.stderr
    summary = result.stderr[result.stderr.index("4 failed:") :]
    assert "circle.wav: It cannot be read" in summary
    assert all(
        name in summary for name in ("bad.wav", "empty.wav", "gone.wav: It cannot be read: No such file")
    )


def test_folders_that_may_not_be_read_are_reported_and_the_rest_is_done(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "in/closed").mkdir(parents=True)
    (here / "in/a.wav").write_bytes(speech(1))
    (here / "in/closed/b.wav").write_bytes(speech(1))
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may read everything
    result = run("in", "--recursive")
    assert result.exit_code == 1
    assert "1 transcribed; 1 failed:" in result.stderr and "in/closed: It cannot be read" in result.stderr
    assert files(here / "in")[:2] == ["a.txt", "a.wav"]
    alone = run("in/closed")
    assert alone.exit_code == 2 and "in/closed cannot be looked into" in alone.stderr


def test_a_full_disk_is_a_failure_of_that_recording(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.wav", "b.wav"):
        (here / name).write_bytes(speech(1))
    real, calls = decoding.load, iter([True, False])

    def load(path: Path) -> Audio:
        if next(calls):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path)

    monkeypatch.setattr(decoding, "load", load)
    result = run("a.wav", "b.wav")
    assert result.exit_code == 1
    assert "a.wav: [Errno 28] No space left on device." in result.stderr
    assert (here / "b.txt").exists() and not (here / "a.txt").exists()


def test_transcripts_that_exist_are_neither_lost_nor_made_twice(here: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (here / name).write_bytes(speech(1))
    (here / "a.txt").write_text("my own notes")
    refused = run("a.wav", "b.wav")
    assert refused.exit_code == 1 and "--overwrite" in refused.stderr
    assert (here / "a.txt").read_text() == "my own notes"
    assert normal((here / "b.txt").read_text()) == words(2)
    skipped = run("a.wav", "b.wav", "--skip-existing")
    assert skipped.exit_code == 0 and "2 skipped" in skipped.stderr
    assert (here / "a.txt").read_text() == "my own notes"
    assert run("a.wav", "b.wav", "--skip-existing", "-f", "txt,srt").exit_code == 0
    assert (here / "a.txt").read_text() == "my own notes" and (here / "a.srt").exists()
    assert run("a.wav", "b.wav", "--overwrite").exit_code == 0
    assert normal((here / "a.txt").read_text()) == words(2)
    assert run("a.wav", "--overwrite", "--skip-existing").exit_code == 2


def test_an_output_that_cannot_be_written_is_a_failure_of_that_recording(here: Path) -> None:
    (here / "a.wav").write_bytes(speech(1))
    (here / "out").write_text("a file where the folder should be")
    result = run("a.wav", "-o", "out")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.wav", "--format", "docx"], "docx"),
        (["a.wav", "--language", "klingonish"], "klingonish"),
        (["a.wav", "--words"], "json"),
        (["a.wav", "--temperature", "2"], "temperature"),
        (["a.wav", "--base-url", "localhost:8000"], "no http"),
        ([], "RECORDING"),
        (["a.wav", "--what"], "--what"),
        (["a.wav", "--chunking", "loudly"], "sequential"),
        (["a.wav", "--chunking", "vad", "--base-url", "https://api.groq.com"], "as it likes"),
        (["a.wav", "--language", "finnish"], "does not understand Finnish"),
    ],
)
def test_mistakes_in_the_command(here: Path, arguments: list[str], said: str) -> None:
    (here / "a.wav").write_bytes(speech(1))
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_models_that_are_not_there(here: Path) -> None:
    (here / "a.wav").write_bytes(speech(1))
    unknown = run("a.wav", "--model", "whisper-smal")
    assert unknown.exit_code == 3 and "whisper-small" in unknown.stderr
    missing = run("a.wav", "--model", "whisper-small")
    assert missing.exit_code == 3 and "hearsay models pull whisper-small" in missing.stderr


def test_where_downloads_are_off_a_missing_default_is_told_with_the_command_that_helps(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEARSAY_MODEL")
    (here / "a.wav").write_bytes(speech(1))
    result = run("a.wav")
    assert result.exit_code == 3
    assert "hearsay models pull whisper-" in result.stderr


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Serve a folder `web` of the working folder over HTTP."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    site = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{site.server_address[1]}"
    site.shutdown()
    thread.join()
    site.server_close()


def test_addresses_are_fetched(here: Path, web: str) -> None:
    (here / "web/my talk.wav").write_bytes(speech(1))
    result = run(f"{web}/my%20talk.wav?session=1")
    assert (result.exit_code, normal(result.stdout)) == (0, words(2))
    assert run(f"{web}/my%20talk.wav", "-o", "out").exit_code == 0
    assert files(here / "out") == ["my talk.txt"]
    missing = run(f"{web}/nothing.wav")
    assert missing.exit_code == 1 and "404" in missing.stderr


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "socks://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_a_reason(
    here: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("all_proxy", proxy)
    (here / "a.wav").write_bytes(speech(1))
    for arguments in (["http://talk.invalid/a.wav"], ["a.wav", "--base-url", "http://server.invalid"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "proxy that the environment names" in result.stderr, result.stderr


def start(environment: Mapping[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hearsay", "transcribe", *arguments],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call_process(
    environment: Mapping[str, str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, which the server's log lines cannot reach."""
    process = start(environment, folder, *arguments)
    text, said = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, text, said)


def test_a_server_does_the_work(here: Path, stage: Stage, environment: Mapping[str, str]) -> None:
    stage.make = ToneRecognizer
    (here / "talk.wav").write_bytes(decoding.encode(speak(SENTENCES), "wav"))
    (here / "b.wav").write_bytes(decoding.encode(speak(SENTENCES[:1]), "wav"))
    with stage.open() as server:
        call = partial(call_process, environment, here, "--base-url")
        whole = call(server.url, "talk.wav")
        cut = call(f"{server.url}/v1", "talk.wav", "--part-limit", "0.3", "-f", "json", "--words")
        two = call(server.url, "talk.wav", "b.wav", "-f", "vtt,txt", "-o", "out")
        unknown = call(server.url, "talk.wav", "b.wav", "--model", "nonsense", "--jobs", "1")
    assert whole.returncode == 0 and whole.stdout.splitlines() == list(SENTENCES)
    assert f"Model: whisper-1 at {server.url}." in whole.stderr and "The server used fake." in whole.stderr
    body = json.loads(cut.stdout)
    assert normal(body["text"]) == TEXT and [w["word"] for w in body["words"]] == TEXT.split()
    assert body["model"] == "fake"
    assert two.returncode == 0 and files(here / "out") == ["b.txt", "b.vtt", "talk.txt", "talk.vtt"]
    assert unknown.returncode == 3 and "nonsense" in unknown.stderr and "not done" in unknown.stderr


def test_a_server_that_is_not_there(here: Path) -> None:
    (here / "a.wav").write_bytes(speech(1))
    result = run("a.wav", "--base-url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr


def test_an_interruption_leaves_what_is_finished_and_nothing_else(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    (tmp_path / "a.wav").write_bytes(speech(1))
    process = start(environment, tmp_path, "a.wav", "-", "--output", "out")
    assert process.stderr is not None and process.stdin is not None
    said: list[str] = []
    while not any("a.txt" in line for line in said):  # then it waits for standard input
        said.append(process.stderr.readline())
        assert said[-1], said
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted." in rest and "1 transcribed; 1 not done" in rest
    assert "Traceback" not in rest
    assert files(tmp_path / "out") == ["a.txt"]


def test_an_interruption_while_a_server_works(
    tmp_path: Path, environment: Mapping[str, str], stage: Stage
) -> None:
    begun, release = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        release.wait(60)

    stage.make = lambda: FakeWindowRecognizer(mishaps=Faults(pause=wait))
    (tmp_path / "a.wav").write_bytes(speech(1))
    with stage.open() as server:
        process = start(environment, tmp_path, "a.wav", "--base-url", server.url, "-o", "out")
        try:
            assert begun.wait(60)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            release.set()
    assert process.returncode == 130
    assert "Interrupted." in said and "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_real_process_keeps_the_streams_apart(tmp_path: Path, environment: Mapping[str, str]) -> None:
    (tmp_path / "a.wav").write_bytes(speech(1))
    process = start(environment, tmp_path, "a.wav")
    text, said = process.communicate(timeout=60)
    assert (process.returncode, normal(text)) == (0, words(2))
    assert "Model: fake" in said


def test_no_text_is_lost_to_a_poor_locale(tmp_path: Path, environment: Mapping[str, str]) -> None:
    for name in ("日本.wav", "a.wav"):
        (tmp_path / name).write_bytes(speech(1))
    process = start({**environment, "PYTHONIOENCODING": "ascii"}, tmp_path, "日本.wav", "a.wav", "-o", "-")
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert text.splitlines() == ["==> 日本.wav <==", words(2), "==> a.wav <==", words(2)]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes only there")
def test_names_that_are_no_text(here: Path) -> None:
    name = os.fsdecode(b"a\xff.wav")
    (here / name).write_bytes(speech(1))
    result = run(here, "--output", "out")
    assert result.exit_code == 0
    assert [os.fsencode(path.name) for path in (here / "out").iterdir()] == [b"a\xff.txt"]
    assert run(name, name, "-o", "-").exit_code == 0


def test_a_reader_that_has_seen_enough_ends_it_quietly(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    with start(environment, tmp_path, "-") as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdout.close()
        with process.stdin:
            os.write(process.stdin.fileno(), speech(1))  # only now is there a notice
        said = process.stderr.read()
    assert process.returncode == EXIT_FAILED
    assert "Traceback" not in said and "BrokenPipe" not in said


def test_completion_offers_formats_and_languages() -> None:
    assert _complete_format("s") == ["srt"]
    assert ("de", "german") in completion.complete_language("d")


def test_options_default_to_the_domains() -> None:
    assert outputs.with_format(Path("a.b"), Format.SRT) == Path("a.b.srt")
    assert TranscribeOptions().temperature == 0.0


PAGE = ROOT / "docs" / "cli.md"


def options_of(function: Callable[..., None]) -> set[str]:
    single = typer.Typer(add_completion=False)
    single.command()(function)
    return {name for parameter in typer.main.get_command(single).params for name in parameter.opts}


def test_the_page_names_only_options_that_exist_and_every_one_that_matters() -> None:
    known = options_of(transcribe) | options_of(say) | options_of(voices)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE.read_text("utf-8")))
    assert named - known == {"--help"}
    assert {name for name in known - named if name.startswith("--")} == set()


def test_the_page_and_the_help_give_the_same_exit_statuses(here: Path) -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [int(row) for row in rows] == [0, EXIT_FAILED, EXIT_USAGE, EXIT_NO_MODEL, EXIT_INTERRUPTED]
    text = " ".join(run("--help").stdout.split())
    assert all(re.search(rf"\b{row} [a-z]", text) for row in rows)


def test_the_commands_of_the_pages_parse() -> None:
    single = typer.Typer(add_completion=False)
    single.command()(transcribe)
    command = typer.main.get_command(single)
    lines = "\n".join(
        page.read_text("utf-8") for page in (PAGE, PAGE.with_name("quickstart.md"))
    ).splitlines()
    found = [
        line.partition("hearsay transcribe ")[2]
        for line in lines
        if re.match(r"[\w./]*hearsay transcribe |ffmpeg", line)
    ]
    assert len(found) >= 8
    for arguments in found:
        command.make_context("hearsay transcribe", shlex.split(arguments))
