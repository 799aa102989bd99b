"""What sets one vendor's accent apart from another's, as data.

Knows no request and no answer: `requests` and the renderers read these flags.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """One vendor's accent; the defaults are the base that the others vary."""

    name: str
    language_codes: bool = False
    """Whether verbose answers say `en` rather than `english`."""
    keeps_segments: bool = False
    """Whether verbose answers carry segments even when only words were asked for."""
    bare_model_list: bool = False
    """Whether the list of models is an array rather than an object that holds one."""
    language_is_target: bool = False
    """Whether `language` on translations names what is written (English) rather than what is spoken."""
