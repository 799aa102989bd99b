"""The vendors' dialects: the only package that spells a vendor's name.

Knows no web framework: it turns plain fields into options, and records into plain bodies. The dialect of a
request depends on its path and its `User-Agent`, unless it names one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hearsay.dialects import groq, openai, together
from hearsay.dialects.dialect import Dialect
from hearsay.errors import InvalidRequest

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect for dialect in (openai.OPENAI, groq.GROQ, together.TOGETHER)
}
"""Every dialect by its name."""

PREFIX = openai.PREFIX
"""Where the routes are; every other way to write the path becomes this one."""

ALIAS_PREFIX = groq.PREFIX
"""The other prefix under which clients look for the same routes."""

_PREFIXES = re.compile(rf"(?:(?:{ALIAS_PREFIX}|{PREFIX})(?=/|\Z))+")


def canonical_path(path: str) -> tuple[str, bool]:
    """Turn any prefix, also a repeated one, into `PREFIX`; return whether `ALIAS_PREFIX` was among them.

    Clients append their own prefix to a base URL that already has one, so that `/openai/v1/openai/v1/models`
    and `/v1/v1/models` come too. A slash at the end is dropped.
    """
    prefixes = _PREFIXES.match(path)
    if prefixes is None:
        return path, False
    return PREFIX + path[prefixes.end() :].rstrip("/"), ALIAS_PREFIX in prefixes[0]


def choose(*, aliased: bool, user_agent: str, named: str | None) -> Dialect:
    """Return the dialect of a request. Raises `InvalidRequest` where `named` is none."""
    if named:
        dialect = DIALECTS.get(named.strip().lower())
        if dialect is None:
            known = ", ".join(DIALECTS)
            raise InvalidRequest(f"Unknown dialect {named[:40]!r}. Known ones are {known}.", param="dialect")
        return dialect
    if aliased:
        return groq.GROQ
    if together.USER_AGENT_1 in user_agent:
        return together.TOGETHER_1
    if together.USER_AGENT in user_agent:
        return together.TOGETHER
    return openai.OPENAI


__all__ = ["ALIAS_PREFIX", "DIALECTS", "PREFIX", "Dialect", "canonical_path", "choose"]
