"""What gunicorn serves: `gunicorn --config api/gunicorn_conf.py api.wsgi:app`."""

import os

from api.app import create_app
from shared.logs import configure_logging
from shared.settings import load_settings

_settings = load_settings(os.environ)
configure_logging(_settings.log_level)
app = create_app(_settings)
