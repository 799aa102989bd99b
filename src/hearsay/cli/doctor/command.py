"""`hearsay doctor`: look at everything, say what is fine and what is not, transcribe a clip, say a word.

Knows what to look at and in which order; looking is done by `examination`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from hearsay.cli import EXIT_FAILED, terminal
from hearsay.cli.doctor import checks as look
from hearsay.cli.doctor.checks import Finding, State
from hearsay.errors import HearsayError

_MARKS = {State.FINE: ("ok", "green"), State.NOTE: ("note", "yellow"), State.BROKEN: ("BROKEN", "red")}


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Leave out checksums and trying models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check this machine: versions, hardware, settings, hub, models; then let them work.

    A known clip is transcribed by the embedded recogniser and by the default one, and a word is said by the
    embedded voice and by the default one.

    Exit status: 0 when nothing is broken, 1 when something is.

    Examples:

        hearsay doctor

        hearsay doctor --quick --json
    """
    findings = []
    for finding in examine(quick=quick):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        terminal.print_json([dataclasses.asdict(finding) for finding in findings])
    broken = [finding for finding in findings if finding.state is State.BROKEN]
    if broken:
        terminal.say(f"Broken: {', '.join(finding.subject for finding in broken)}.")
        raise typer.Exit(EXIT_FAILED)


def examine(*, quick: bool) -> Iterator[Finding]:
    """Look at everything, in an order in which each needs only what was fine before."""
    from hearsay import wiring
    from hearsay.domain import Task
    from hearsay.engines.espeak import cards as espeak_cards
    from hearsay.engines.pocketsphinx import cards as pocketsphinx_cards

    yield from look.software()
    try:
        resolved = terminal.resolved()
        catalogue = wiring.catalogue(resolved.settings)
    except HearsayError as error:
        yield Finding("settings", State.BROKEN, error.message)
        return
    yield from look.hardware(resolved.settings.device)
    yield from look.configuration(resolved)
    yield from look.network(resolved.settings, catalogue)
    default = catalogue.card()
    speaker = catalogue.card(None, Task.SYNTHESIZE)
    yield Finding("default model", State.FINE, default.id)
    yield Finding("default speech model", State.FINE, speaker.id)
    if quick:
        return
    yield from look.weights(catalogue)
    yield look.speech_detector()
    embedded = catalogue.card(pocketsphinx_cards.POCKETSPHINX)
    for card in dict.fromkeys((embedded.id, default.id)):
        yield look.self_test(catalogue, catalogue.card(card))
    for card in dict.fromkeys((espeak_cards.ESPEAK_NG, speaker.id)):
        yield look.speaking_test(catalogue, catalogue.named(card))


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    if sys.stdout.isatty():
        mark, subject = typer.style(f"{mark:6}", fg=colour), typer.style(finding.subject, bold=True)
        typer.echo(f"{mark} {subject}: {finding.detail}")
    else:
        typer.echo(f"{mark}\t{finding.subject}\t{finding.detail}")
