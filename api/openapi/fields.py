"""marshmallow → JSON Schema 2020-12, with what our own fields check said in the schema's words."""

from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields

from api.fields import Instant, QueryBoolean, UtcDay
from api.parsing import Text

_NO_NUL: Final = r"^[^\u0000]*$"
_ENDINGS: Final = {"Document": "", "Schema": "Input"}


def make_spec(**options: Any) -> tuple[APISpec, MarshmallowPlugin]:  # noqa: ANN401 - apispec's options
    """An empty document that knows our fields, and the plugin that turns schemas into its components."""
    plugin = MarshmallowPlugin(schema_name_resolver=_component_name)
    spec = APISpec(openapi_version="3.1.0", plugins=[plugin], **options)
    converter = plugin.converter
    if converter is None:  # set by APISpec when it takes the plugin over
        raise RuntimeError("apispec has not initialised its plugin")
    converter.field_mapping[Instant] = ("string", "date-time")
    converter.field_mapping[UtcDay] = ("string", None)
    converter.field_mapping[QueryBoolean] = ("boolean", None)
    for function in (_text_bounds, _anchored_pattern, _example_list):
        converter.add_attribute_function(function)  # type: ignore[no-untyped-call]
    return spec, plugin


def describe_components(spec: APISpec, plugin: MarshmallowPlugin) -> None:
    """Gives every schema its class' docstring."""
    if plugin.converter is None:
        return
    for key, name in plugin.converter.refs.items():
        text = key[0].__doc__
        if text:
            spec.components.schemas[name].setdefault("description", paragraph(text))


def paragraph(text: str) -> str:
    """A docstring's first paragraph on one line."""
    return " ".join(text.strip().split("\n\n", 1)[0].split())


def _component_name(schema: type[Schema] | Schema | str) -> str:
    """`EventDocument` → Event, `EventSchema` → EventInput; in part (PATCH) EventInputPart."""
    kind = schema if isinstance(schema, type) else type(schema)
    name = schema if isinstance(schema, str) else kind.__name__
    for ending, replacement in _ENDINGS.items():
        if name.endswith(ending):
            name = name.removesuffix(ending) + replacement
            break
    return f"{name}Part" if getattr(schema, "partial", None) else name


def _text_bounds(_converter: object, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Text's bounds. It is trimmed first: a longer text with spaces around is accepted all the same."""
    if not isinstance(field, Text) or "enum" in ret:
        return {}
    bounds: dict[str, Any] = {"maxLength": field.maximum, "pattern": _NO_NUL}
    return {"minLength": field.minimum, **bounds} if field.minimum else bounds


def _anchored_pattern(_converter: object, _field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    r"""Python's `match` begins at the start and `\Z` ends; JSON Schema searches, and knows only `^` and `$`."""
    pattern = ret.get("pattern")
    if not pattern or pattern.startswith("^"):
        return {}
    core = pattern.removesuffix(r"\Z").removesuffix("$")
    return {"pattern": f"^(?:{core})$"}


def _example_list(_converter: object, _field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """`example` is OpenAPI 3.0's; JSON Schema has `examples`."""
    return {"examples": [ret.pop("example")]} if "example" in ret else {}
