"""An API process that has started."""

import gc
from types import SimpleNamespace

import pytest

from api import gunicorn_conf, gunicorn_problems


class TestPostWorkerInit:
    def test_leaves_to_the_collector_only_what_comes_after_the_start(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gunicorn_problems, "install", lambda _base_url: None)
        begun: list[int] = []
        container = SimpleNamespace(start=lambda: begun.append(gc.get_freeze_count()))
        try:
            gunicorn_conf.post_worker_init(
                SimpleNamespace(wsgi=SimpleNamespace(extensions={"guichet": container}))
            )
            assert gc.get_freeze_count() > begun[0]
        finally:
            gc.unfreeze()
