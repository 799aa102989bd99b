"""`hearsay doctor`: run every check, print what is fine and what is not, transcribe a clip, say a word.

Knows which checks there are and their order; the checks are in `checks`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from hearsay.cli import EXIT_FAILED, terminal
from hearsay.cli.doctor import checks
from hearsay.cli.doctor.checks import Finding, State
from hearsay.errors import HearsayError

_MARKS = {State.FINE: ("ok", "green"), State.NOTE: ("note", "yellow"), State.BROKEN: ("BROKEN", "red")}


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Leave out checksums and trying models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check this machine: versions, hardware, settings, sources, models; then let them work.

    A known clip is transcribed by the default model where it is installed, and a word is said by the embedded
    voice and by the default one.

    Exit status: 0 when nothing is broken, 1 when something is.

    Examples:

        hearsay doctor

        hearsay doctor --quick --json
    """
    findings = []
    for finding in run_checks(quick=quick):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        terminal.print_json([dataclasses.asdict(finding) for finding in findings])
    broken = [finding for finding in findings if finding.state is State.BROKEN]
    if broken:
        terminal.say(f"Broken: {', '.join(finding.subject for finding in broken)}.")
        raise typer.Exit(EXIT_FAILED)


def run_checks(*, quick: bool) -> Iterator[Finding]:
    """Run every check, in an order in which each needs only what was fine before."""
    from hearsay import wiring
    from hearsay.domain import Task
    from hearsay.engines import registry

    yield from checks.software()
    yield from checks.engines()
    try:
        resolved = terminal.resolved()
        catalogue = wiring.catalogue(resolved.settings)
    except HearsayError as error:
        yield Finding("settings", State.BROKEN, error.message)
        return
    yield from checks.hardware(resolved.settings.device)
    yield from checks.configuration(resolved)
    yield from checks.network(resolved.settings, catalogue)
    default = catalogue.card()
    default_speech = catalogue.card(None, Task.SYNTHESIZE)
    yield Finding("default model", State.FINE, default.id)
    yield Finding("default speech model", State.FINE, default_speech.id)
    if quick:
        return
    yield from checks.weights(catalogue)
    yield checks.speech_detector()
    if catalogue.installed(default):
        yield checks.self_test(catalogue, default)
    for card_id in dict.fromkeys((registry.embedded_synthesizer().id, default_speech.id)):
        yield checks.speaking_test(catalogue, catalogue.named(card_id))


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    if sys.stdout.isatty():
        mark, subject = typer.style(f"{mark:6}", fg=colour), typer.style(finding.subject, bold=True)
        typer.echo(f"{mark} {subject}: {finding.detail}")
    else:
        typer.echo(f"{mark}\t{finding.subject}\t{finding.detail}")
