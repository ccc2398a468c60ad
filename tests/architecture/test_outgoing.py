"""The processes that serve and decide speak to PostgreSQL and Redis, and to nobody else.

So no address that a client writes down is ever fetched, whatever it names: there is nothing here that could.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("api", "worker", "shared")

# What opens connections, or starts programs that could. `urllib.parse` only takes addresses apart.
CLIENTS = {
    *("aiohttp", "asyncio", "boto3", "botocore", "curl_cffi", "dns", "ftplib", "grpc", "http.client"),
    *(
        "http.cookiejar",
        "httplib2",
        "httpx",
        "imaplib",
        "nntplib",
        "paramiko",
        "poplib",
        "pycurl",
        "requests",
    ),
    *(
        "smtplib",
        "socket",
        "socketserver",
        "ssl",
        "subprocess",
        "telnetlib",
        "trio",
        "urllib.request",
        "urllib3",
    ),
    *("websocket", "websockets", "xmlrpc"),
}
# Who may, and what for.
ALLOWED = {
    "api/gunicorn_answers.py": {"socket"},  # how a client is cut off
    "api/gunicorn_problems.py": {"socket"},  # the type of a client's, to answer it
    "shared/line/client.py": {"socket"},  # how much a connection to Redis may hold
    "shared/metrics/sharing.py": {"socket"},  # the machine's name
    "worker/__main__.py": {"socket"},  # the machine's name
}
# The servers' own clients, and where they are made.
MAKERS = {
    "create_engine": {"shared/db.py"},
    "psycopg2.connect": {"worker/claims.py"},
    "BlockingConnectionPool.from_url": {"shared/line/client.py"},
}


def imports(path: Path) -> set[str]:
    """Every module that the file imports, at whatever depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {
            "import_module",
            "__import__",
        }:
            found |= {part.value for part in node.args if isinstance(part, ast.Constant)}
    return found


def is_client(module: str) -> bool:
    return any(module == client or module.startswith(f"{client}.") for client in CLIENTS)


def files() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def test_no_process_can_open_a_connection_of_its_own() -> None:
    found = {
        name: clients
        for path in files()
        if (clients := {module for module in imports(path) if is_client(module)})
        and not clients <= ALLOWED.get(name := str(path.relative_to(ROOT)), set())
    }
    assert found == {}


def test_the_look_is_a_look(tmp_path: Path) -> None:
    """What it must find, it finds."""
    file = tmp_path / "client.py"
    for line in ("import requests", "from urllib import request", "def f():\n    import http.client as h"):
        file.write_text(line)
        assert any(is_client(module) for module in imports(file)), line
    file.write_text("from urllib.parse import urlsplit\nfrom http import HTTPStatus")
    assert not any(is_client(module) for module in imports(file))


def test_connections_to_the_servers_are_made_in_one_place_each() -> None:
    for maker, places in MAKERS.items():
        found = {
            str(path.relative_to(ROOT))
            for path in files()
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == maker
        }
        assert found == places, maker
