"""`hearsay serve`: from settings to a running server, and its graceful shutdown.

Knows no route and no model; the app is built by `api.app`, models are chosen by the catalogue.
"""

from __future__ import annotations

import errno
import gc
import ipaddress
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hearsay.cli import completion, terminal
from hearsay.cli.serve.banner import address, banner_text
from hearsay.errors import ConfigurationError

if TYPE_CHECKING:
    from hearsay.settings import Settings

_BACKLOG = 2048


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", help="Port to listen on; 0 takes a free one.  [default: 8000]"),
    ] = None,
    model: Annotated[
        str | None,
        completion.recognizer_option(
            "Model for requests that name none; `hearsay models list` shows them.  [default: auto]"
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            metavar="NAME=FOLDER",
            help="Own model, in CTranslate2 or Hugging Face format; repeatable.",
        ),
    ] = None,
    aliases: Annotated[
        list[str] | None,
        typer.Option("--alias", metavar="NAME=MODEL", help="Another name for a model; repeatable."),
    ] = None,
    offline: Annotated[
        bool | None,
        typer.Option("--offline", help="Stay off the network: download nothing.", show_default=False),
    ] = None,
    allow_anonymous: Annotated[
        bool | None,
        typer.Option(
            "--allow-anonymous",
            help="Serve without API keys on an address that other machines reach.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    compute_type: Annotated[str | None, typer.Option(help="Arithmetic: int8, float16, float32, …")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Start the server.

    Where the default model is not installed it is downloaded (not with --offline or HEARSAY_DOWNLOADS=off):
    on a terminal first, with a bar; elsewhere while the server already answers, requests for the model with
    503 and how far it is. Every option is also an environment variable
    (HEARSAY_HOST, HEARSAY_PORT, …) and a line in the settings file; `hearsay config --explain` shows all of
    them.

    Without API keys it listens on this machine only; `hearsay keys add NAME` makes one.

    Examples:

        hearsay serve --port 9000 --model whisper-small

        hearsay serve --models mine=./my-whisper --alias whisper-1=mine

        hearsay keys add laptop && hearsay serve --host 0.0.0.0
    """
    from hearsay.settings import parse_pairs

    try:
        flags = {
            "models": parse_pairs(models) if models else None,
            "aliases": parse_pairs(aliases) if aliases else None,
        }
    except ValueError as error:
        raise ConfigurationError(f"--models and --alias: {error}") from error
    settings = terminal.resolved(
        host=host,
        port=port,
        model=model,
        offline=offline,
        allow_anonymous=allow_anonymous,
        device=device,
        compute_type=compute_type,
        log_level=log_level,
        **flags,
    ).settings
    run(settings)


def run(settings: Settings) -> None:
    """Serve until a signal. Raises: `ConfigurationError`."""
    from hearsay import samples, wiring
    from hearsay.api import startup
    from hearsay.api.app import from_settings
    from hearsay.api.server import configure
    from hearsay.cli.serve import logs
    from hearsay.domain import Task
    from hearsay.storage.api_keys import KeyFile, Keyring

    logs.configure(settings.log_level, settings.log_format)
    keyring = Keyring(KeyFile(settings.keys_file), settings.all_api_keys)
    check_exposure(settings, has_keys=keyring.required)
    catalogue = wiring.catalogue(settings)
    listener = bind(settings.host, settings.port)
    startup_tasks = [startup.preload(catalogue)] if settings.preload else []
    is_watched = sys.stderr.isatty()
    if is_watched:
        terminal.install_missing(catalogue, Task.TRANSCRIBE, terminal.say)
    else:
        startup_tasks.append(startup.install(catalogue))
    card = catalogue.card()
    problem = str(catalogue.unready(card) or "")
    if problem and not is_watched and not catalogue.sources.closed(card):
        problem = "a model is being downloaded."
    app = from_settings(settings, catalogue=catalogue, startup_tasks=startup_tasks)
    banner = banner_text(
        address(settings.host, listener.getsockname()[1]),
        Path(samples.HELLO),
        needs_key=keyring.required,
        model=card.id,
        problem=problem,
    )
    configuration = configure(
        app,
        host=settings.host,
        port=settings.port,
        keepalive=settings.keepalive_seconds,
        drain=settings.drain_seconds,
    )
    _run(configuration, listener, banner)


def check_exposure(settings: Settings, *, has_keys: bool) -> None:
    """Refuse a public address without keys, unless allowed explicitly. Raises: `ConfigurationError`."""
    if has_keys or settings.allow_anonymous or is_loopback(settings.host):
        return
    raise ConfigurationError(
        f"On {settings.host} anyone who reaches this machine could use the server: there are no API keys. "
        "Make one with `hearsay keys add NAME`, or say --allow-anonymous if that is what you want."
    )


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address. Raises: `ConfigurationError` with the reason."""
    try:
        family, _, _, _, sockaddr = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(sockaddr[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"another program listens there already; `--port {port + 1}` may be free",
            errno.EACCES: "this user may not use that port; take one above 1023",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
        }
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        raise ConfigurationError(f"Cannot listen on {host} port {port}: {reason}.") from error


def _run(configuration: Any, listener: socket.socket, banner: str) -> None:
    import uvicorn

    class BannerServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                typer.echo(banner)

    # uvicorn raises captured signals again after its shutdown; ignore them then.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: None)
    # Objects that exist by now live as long as the server: exclude them from garbage collection.
    gc.collect()
    gc.freeze()
    server = BannerServer(configuration)
    server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(1)
