"""Examples of bodies and answers, put together from those of the fields."""

from typing import Any, Final

from marshmallow import Schema, fields, missing

from api.fields import Instant

_INSTANT: Final = "2030-06-01T18:00:00.000000Z"
_UUID: Final = "01a1fa38-2c56-79d1-a69f-e87985a90e56"


def example_of(schema: Schema) -> dict[str, Any]:
    """An answer: every field of it."""
    return {_name(field): _field_example(field) for field in schema.fields.values()}


def example_input(schema: Schema) -> dict[str, Any]:
    """A body: the required fields, and the others that have an example of their own."""
    return {
        _name(field): _field_example(field)
        for field in schema.fields.values()
        if field.required or "example" in field.metadata
    }


def _name(field: fields.Field[Any]) -> str:
    return field.data_key or field.name or ""


def _field_example(field: fields.Field[Any]) -> Any:  # noqa: ANN401 - JSON
    if "example" in field.metadata:
        return field.metadata["example"]
    if isinstance(field, fields.Nested):
        one = example_of(field.schema)
        return [one] if field.many else one
    if isinstance(field, fields.List):
        return [_field_example(field.inner)]
    if isinstance(field, fields.Dict):
        return {}
    if field.load_default is not missing and not callable(field.load_default):
        return field.load_default
    return None if field.allow_none else _example_by_kind(field)


def _example_by_kind(field: fields.Field[Any]) -> Any:  # noqa: ANN401 - JSON
    choices = [choice for validator in field.validators for choice in getattr(validator, "choices", ())]
    if choices:
        return choices[0]
    if isinstance(field, fields.Boolean):
        return False
    if isinstance(field, fields.Number):
        lowest = [
            low for validator in field.validators if (low := getattr(validator, "min", None)) is not None
        ]
        return max(lowest, default=1)
    if isinstance(field, Instant | fields.DateTime):
        return _INSTANT
    return _UUID if isinstance(field, fields.UUID) else None
