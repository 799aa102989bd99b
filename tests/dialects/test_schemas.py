"""The encoding of bodies, and the shapes that the OpenAPI document is made from."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from hearsay.dialects import schemas
from hearsay.dialects.rendering import encode_json


def test_encode() -> None:
    assert encode_json({"a": "ü\ud800"}) == '{"a":"ü?"}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_json({"a": float("nan")})


SHAPES = [each for each in vars(schemas).values() if is_typeddict(each)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_shape_has_a_schema_that_names_its_fields(shape: type) -> None:
    schema = TypeAdapter(shape).json_schema()
    assert schema["type"] == "object"
    assert schema["properties"].keys() == shape.__annotations__.keys()
    assert schema["description"]
