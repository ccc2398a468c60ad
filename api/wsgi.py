"""What gunicorn serves: `gunicorn --config api/gunicorn_conf.py api.wsgi:app`."""

import os

from api.spared import spare_unused

spare_unused()

from api.app import create_app  # noqa: E402 - what it imports is spared by then
from shared.logs import configure_logging  # noqa: E402
from shared.settings import load_settings  # noqa: E402

_settings = load_settings(os.environ)
configure_logging(_settings.log_level)
app = create_app(_settings)
