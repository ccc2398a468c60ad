"""How our application finds a route: as Flask does, whatever the request says of itself."""

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

from api.app import Application

SERVED = {
    "wsgi.url_scheme": "http",
    "REQUEST_METHOD": "GET",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/x",
    "QUERY_STRING": "a=b",
}
ENVIRONS = {
    "a host": {"HTTP_HOST": "tickets.example.org"},
    "a host and its port": {"HTTP_HOST": "tickets.example.org:8443"},
    "a port that says nothing": {"HTTP_HOST": "tickets.example.org:80"},
    "a port that says nothing under TLS": {
        "HTTP_HOST": "tickets.example.org:443",
        "wsgi.url_scheme": "https",
    },
    "a host in capitals": {"HTTP_HOST": "Tickets.Example.ORG"},
    "an address of version 6": {"HTTP_HOST": "[::1]:8000"},
    "no host": {},
    "no host and no port": {"SERVER_NAME": "a socket", "SERVER_PORT": ""},
    "no host but the server's, of version 6": {"SERVER_NAME": "::1"},
    "an empty host": {"HTTP_HOST": ""},
    "what is no host": {"HTTP_HOST": "a/b c"},
    "a host of bytes": {"HTTP_HOST": "\xc3\xa9.example"},
    "a label that is too long": {"HTTP_HOST": "x" * 70 + ".example"},
    "an empty label": {"HTTP_HOST": "a..example"},
    "a port beyond all": {"HTTP_HOST": "a.example:99999"},
    "a path in UTF-8": {"PATH_INFO": "/\xc3\xa9"},
    "a path that is no UTF-8": {"PATH_INFO": "/\xff"},
    "no path": {"PATH_INFO": ""},
    "a query in UTF-8": {"QUERY_STRING": "search=\xc3\xa9"},
    "a prefix": {"SCRIPT_NAME": "/under"},
    "a web socket": {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket"},
    "an upgrade to something else": {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "h2c"},
}


def found(app: Flask, environ: dict[str, str]) -> object:
    """Where Flask would look, and under what name; or the error that it answers."""
    request = app.request_class(SERVED | environ)
    try:
        adapter = app.create_url_adapter(request)
    except HTTPException as error:
        return type(error)
    assert adapter is not None
    return {name: value for name, value in vars(adapter).items() if name != "map"} | {"host": request.host}


class TestTheRoute:
    @pytest.mark.parametrize("environ", ENVIRONS.values(), ids=ENVIRONS)
    def test_is_looked_for_where_flask_looks(self, environ):
        ours, theirs = Application(__name__, static_folder=None), Flask(__name__, static_folder=None)
        for _ in range(2):
            assert found(ours, environ) == found(theirs, environ)

    def test_of_one_host_says_nothing_of_another(self):
        app = Application(__name__, static_folder=None)
        seen = [found(app, {"HTTP_HOST": host}) for host in ("a.example", "b.example", "a.example")]
        assert [each["host"] for each in seen] == ["a.example", "b.example", "a.example"]

    def test_outside_a_request_is_flasks(self):
        assert Application(__name__, static_folder=None).create_url_adapter(None) is None
