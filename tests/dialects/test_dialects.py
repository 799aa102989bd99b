"""The choice of a dialect, and every spelling of a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.dialects import DIALECTS, canonical_path, choose
from hearsay.errors import InvalidRequest

TOGETHER = DIALECTS["together"]


@pytest.mark.parametrize(
    ("path", "canonical", "aliased"),
    [
        ("/v1/models", "/v1/models", False),
        ("/openai/v1/models", "/v1/models", True),
        ("/v1/v1/models", "/v1/models", False),
        ("/v1/v1/v1/models", "/v1/models", False),
        ("/openai/v1/openai/v1/models/openai/whisper", "/v1/models/openai/whisper", True),
        ("/openai/v1/v1/models", "/v1/models", True),
        ("/v1", "/v1", False),
        ("/v1/", "/v1", False),
        ("/openai/v1/models//", "/v1/models", True),
        ("/v10/models", "/v10/models", False),
        ("/openai/v1x", "/openai/v1x", False),
        ("/openai/models", "/openai/models", False),
        ("/health", "/health", False),
        ("/v1/models/v1/x", "/v1/models/v1/x", False),
    ],
)
def test_paths(path: str, canonical: str, aliased: bool) -> None:
    assert canonical_path(path) == (canonical, aliased)


@given(st.lists(st.sampled_from(["/v1", "/openai/v1"]), min_size=1, max_size=6))
def test_any_pile_of_prefixes_is_one(prefixes: list[str]) -> None:
    path = "".join(prefixes) + "/audio/transcriptions"
    assert canonical_path(path) == ("/v1/audio/transcriptions", "/openai/v1" in prefixes)


@pytest.mark.parametrize(
    ("aliased", "user_agent", "named", "name"),
    [
        (False, "OpenAI/Python 3.52.0", None, "openai"),
        (False, "curl/8.0", None, "openai"),
        (False, "", None, "openai"),
        (True, "Groq/Python 1.7.0", None, "groq"),
        (True, "curl/8.0", None, "groq"),
        (False, "Together/v1 PythonBindings/1.6.0", None, "together"),
        (False, "AsyncTogether/Python 3.1.1", None, "together"),
        (False, "Together/JS 0.52.0", None, "together"),
        (True, "Together/Python 3.1.1", None, "groq"),
        (True, "curl/8.0", "Together", "together"),
        (False, "Together/Python 3.1.1", " openai ", "openai"),
        (False, "", "", "openai"),
    ],
)
def test_choice(aliased: bool, user_agent: str, named: str | None, name: str) -> None:
    assert choose(aliased=aliased, user_agent=user_agent, named=named).name == name


def test_the_oldest_client_is_known_by_what_it_sends_unasked() -> None:
    old, new = "Together/v1 PythonBindings/1.6.0", "Together/Python 3.1.1"
    assert choose(aliased=False, user_agent=old, named=None).unasked_fields
    assert choose(aliased=False, user_agent=new, named=None) is TOGETHER
    assert not TOGETHER.unasked_fields


def test_unknown_dialect() -> None:
    with pytest.raises(InvalidRequest, match="openai, groq, together"):
        choose(aliased=False, user_agent="", named="klingon")
