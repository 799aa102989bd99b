"""The list of models, and single models, through every client that has a method for it."""

from __future__ import annotations

import pytest

from tests.compat.clients import Session, only

SLASHED = "openai/whisper-large-v3"


def test_list(session: Session) -> None:
    if session.client.name == "together-py-3":
        outcome = session.call("request", method="GET", path="/v1/models")
    else:
        outcome = session.call("models")
    assert outcome["ok"], outcome
    models = outcome["value"]
    assert isinstance(models, list)
    assert {"id", "created"} <= set(models[0])
    assert all(isinstance(model["created"], int) and model["object"] == "model" for model in models)
    assert {"whisper-large-v3-turbo", "fake"} <= {model["id"] for model in models}


@pytest.mark.parametrize("name", ["fake", SLASHED])
@only(lambda client: client.vendor != "together")
def test_retrieve(session: Session, name: str) -> None:
    outcome = session.call("model", id=name)
    assert outcome["ok"], outcome
    assert outcome["value"]["object"] == "model"
    assert name in (outcome["value"]["id"], *outcome["value"]["aliases"])


@only(lambda client: client.vendor != "together")
def test_retrieve_unknown(session: Session) -> None:
    outcome = session.call("model", id="whisper-enormous")
    assert not outcome["ok"]
    assert "NotFoundError" in outcome["error"]["classes"]
