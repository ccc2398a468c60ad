"""Reading a request: a strict JSON body or query against a marshmallow schema, errors with JSON pointers."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NoReturn

from flask import Request, request
from flask.globals import request_ctx
from gunicorn.http.errors import ParseException
from marshmallow import RAISE, Schema, ValidationError, fields, validate
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from shared.errors import GuichetError, InvalidInputError
from shared.ids import BIGINT_MAX

BODY_BYTES_MAX = 64 * 1024
# What an answer says is wrong: a body of 64 KiB can have 8,000 members that nobody knows, and an answer 400 KB of them.
ERRORS_MAX = 100


class StrictSchema(Schema):
    """Refuses unknown fields."""

    class Meta:
        """Marshmallow's options."""

        unknown = RAISE


class StrictInteger(fields.Integer):
    """A JSON integer within bigint: `true`, `1.0` and `"1"` are not."""

    def __init__(self, *, minimum: int = -BIGINT_MAX, maximum: int = BIGINT_MAX, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(strict=True, validate=validate.Range(min=minimum, max=maximum), **kwargs)

    def _validated(self, value: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return value


class QueryInteger(fields.Integer):
    """An integer in a query string: digits, within bounds; a minus is an integer too, and out of them."""

    def __init__(self, *, minimum: int, maximum: int = BIGINT_MAX, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(validate=validate.Range(min=minimum, max=maximum), **kwargs)

    def _validated(self, value: Any) -> Any:  # noqa: ANN401 - marshmallow's signature
        digits = value.removeprefix("-") if isinstance(value, str) else ""
        if not digits.isascii() or not digits.isdigit():
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class StrictBoolean(fields.Boolean):
    """A JSON boolean: `1` and `"yes"` are not."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Text(fields.String):
    """Text without NUL (PostgreSQL cannot store it) and without lone surrogates, trimmed, of a bounded length."""

    def __init__(self, *, maximum: int, minimum: int = 0, trim: bool = True, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.minimum, self.maximum, self.trim = minimum, maximum, trim

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:  # noqa: ANN401
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ValidationError("Has characters that cannot be stored.")
        if self.trim:
            text = text.strip()
        if not self.minimum <= len(text) <= self.maximum:
            raise ValidationError(f"Must have {self.minimum} to {self.maximum} characters.")
        return text


def load_body(schema: Schema) -> dict[str, Any]:
    """The body, checked against `schema`. An empty body counts as `{}`.

    Raises 413 and 415 as werkzeug's exceptions, GuichetError `bad_request` for a body that was cut off or is not
    what its chunks say, `malformed_json`, InvalidInputError.
    """
    asked = request_ctx.request  # `request` looks for itself at every mention
    raw = _read_body(asked)
    if (
        raw
        and asked.environ.get("CONTENT_TYPE") != "application/json"
        and asked.mimetype != "application/json"
    ):
        raise UnsupportedMediaType
    if len(raw) > _KNOWN_BYTES_MAX:
        return _load(schema, raw)
    known = _KNOWN.get((schema, raw))
    if known is None:
        known = _load(schema, raw)  # raises what is wrong with it, and remembers nothing then
        if all(type(value) in _PLAIN for value in known.values()):
            if len(_KNOWN) >= _KNOWN_MAX:
                _KNOWN.clear()  # whoever makes up new ones keeps nobody else's out for long
            _KNOWN[schema, raw] = known
    return dict(known)


# Bodies that were checked, by schema: on the booking path there are some ten, `{"tickets":2}` and its like, and what
# one means never changes. Checking costs far more than a look. Only small ones of plain values, and no more than these.
_KNOWN: Final[dict[tuple[Schema, bytes], dict[str, Any]]] = {}
_KNOWN_MAX: Final = 256
_KNOWN_BYTES_MAX: Final = 48
_SMALL_DIGITS: Final = 2
_PLAIN: Final = frozenset({int, bool, type(None)})


def find_known(schema: Schema, raw: bytes) -> dict[str, Any] | None:
    """What `load_body` gives for a body that it has checked before; None when it has not."""
    known = _KNOWN.get((schema, raw))
    return None if known is None else dict(known)


def read_small_body(environ: dict[str, Any]) -> bytes | None:
    """The body, if it is JSON of a few bytes whose length is said, or none at all; None for every other, of which
    nothing has been read. From the server directly: werkzeug would lay two streams around it.

    Raises GuichetError `bad_request` for a body that was cut off.
    """
    length = environ.get("CONTENT_LENGTH", "0")
    if "HTTP_TRANSFER_ENCODING" in environ or not _is_small(length):
        return None
    if length == "0":
        return b""
    if environ.get("CONTENT_TYPE") != "application/json":
        return None
    try:
        raw: bytes = environ["wsgi.input"].read(int(length))
    except (OSError, ParseException) as error:  # a client that has gone
        raise _unreadable() from error
    if len(raw) < int(length):
        raise _cut_off()
    return raw


def _is_small(length: str) -> bool:
    return (
        len(length) <= _SMALL_DIGITS
        and length.isascii()
        and length.isdigit()
        and int(length) <= _KNOWN_BYTES_MAX
    )


def _read_body(asked: Request) -> bytes:
    """The body; raises 413 and GuichetError `bad_request` as `load_body`."""
    raw = read_small_body(asked.environ)
    if raw is not None:
        return raw
    try:
        raw = asked.get_data(cache=True)
    except (OSError, ParseException) as error:  # chunks that are none, or a client that has gone
        raise _unreadable() from error
    if len(raw) > BODY_BYTES_MAX:
        raise RequestEntityTooLarge
    if len(raw) < (asked.content_length or 0):
        raise _cut_off()
    return raw


def _unreadable() -> GuichetError:
    return GuichetError("bad_request", "The body could not be read.")


def _cut_off() -> GuichetError:
    return GuichetError("bad_request", "The body is shorter than its Content-Length.")


def _load(schema: Schema, raw: bytes) -> dict[str, Any]:
    """What the text of a body says, checked against `schema`."""
    if not raw:
        return load_data(schema, {})
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise GuichetError("malformed_json", "The body is not UTF-8.") from error
    try:
        data = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise GuichetError("malformed_json", str(error)) from error
    return load_data(schema, data)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members; a name given twice is refused, because readers disagree on which counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("An object has a member twice.")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_refuse_constant)


def load_query(schema: Schema) -> dict[str, Any]:
    """The query string, checked against `schema`; a parameter given twice is refused."""
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise InvalidInputError(
            [{"pointer": f"?{name}", "detail": "Given more than once."} for name in repeated[:ERRORS_MAX]]
        )
    return load_data(schema, request.args.to_dict(), prefix="?")


def load_data(schema: Schema, data: object, *, prefix: str = "#/") -> dict[str, Any]:
    """`data` checked against `schema`; raises InvalidInputError with one entry per pointer."""
    if not isinstance(data, dict):
        raise InvalidInputError([{"pointer": "#", "detail": "Must be a JSON object."}])
    try:
        loaded: dict[str, Any] = schema.load(data)
    except ValidationError as error:
        raise InvalidInputError(list(islice(_pointers(error.messages, prefix), ERRORS_MAX))) from error
    return loaded


def _pointers(messages: object, prefix: str) -> Iterator[dict[str, str]]:
    if isinstance(messages, Mapping):
        for key, value in messages.items():
            name = "" if key == "_schema" else str(key).replace("~", "~0").replace("/", "~1")
            # a name may have lone surrogates, an answer may not
            name = name.encode(errors="replace").decode()
            deeper = isinstance(value, Mapping)
            yield from _pointers(value, f"{prefix}{name}{'/' if deeper else ''}")
    elif isinstance(messages, list):
        for message in messages:
            yield {"pointer": prefix.rstrip("/") or "#", "detail": str(message)}
    else:
        yield {"pointer": prefix, "detail": str(messages)}
