"""A frozen value that says no to what it does not know."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen, validated value; a change makes a new one with ``model_copy`` or `replace`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, ser_json_bytes="base64", val_json_bytes="base64"
    )

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed, validated again.

        Raises
        ------
        pydantic.ValidationError
            If a field does not exist or a value is outside its range.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**fields, **changes})
