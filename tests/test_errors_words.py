"""What a wrong value is told to a person, without the words of a library."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from revenue_engine.errors import in_plain_words


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str = Field(min_length=2, max_length=5, pattern=r"^[a-z]+$")
    count: int = Field(ge=1, lt=9)
    kind: Literal["till", "paybill"] = "till"
    live: bool = False
    own: str = "a"

    @field_validator("own")
    @classmethod
    def _own(cls, value: str) -> str:
        if value != "a":
            raise ValueError("the only word is a")
        return value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 1}, "is missing"),
        ({"name": "ab", "count": 1, "x": 1}, "is not known here: look at its spelling, or leave it out"),
        ({"name": "AB", "count": 1}, "has a letter or a sign that may not stand in it, or is too short or too long"),
        ({"name": "a", "count": 1}, "is shorter than 2 letters"),
        ({"name": "abcdef", "count": 1}, "is longer than 5 letters"),
        ({"name": 5, "count": 1}, "is no text"),
        ({"name": "ab", "count": 0}, "is below 1"),
        ({"name": "ab", "count": 9}, "is not below 9"),
        ({"name": "ab", "count": "one"}, "is no whole number"),
        ({"name": "ab", "count": 1, "kind": "bank"}, "is none of 'till' or 'paybill'"),
        ({"name": "ab", "count": 1, "live": "yes"}, "is neither true nor false"),
        ({"name": "ab", "count": 1, "own": "b"}, "the only word is a"),
    ],
)
def test_what_is_wrong_is_told_in_our_words(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(given)
    (problem,) = caught.value.errors()
    assert in_plain_words(problem) == said
