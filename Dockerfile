# syntax=docker/dockerfile:1
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY api ./api
COPY worker ./worker
COPY shared ./shared
COPY scripts ./scripts
COPY migrations ./migrations
COPY deploy ./deploy
# No [embedded]: servers are containers of their own here.
RUN python -m venv /opt/guichet && /opt/guichet/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.12-slim
ENV PATH=/opt/guichet/bin:$PATH PYTHONUNBUFFERED=1 GUICHET_ENV=production GUICHET_DATA=/var/lib/guichet
# The folder of figures is there before a volume is mounted on it, or root would own it.
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/guichet guichet \
    && install --directory --owner=guichet /var/lib/guichet/metrics
COPY --from=build /opt/guichet /opt/guichet
WORKDIR /var/lib/guichet
USER guichet
EXPOSE 8000
# Alive, not ready: a container without a booking worker still accepts. Python is there anyway; curl is not. The workers' containers switch this off: they serve no HTTP.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["gunicorn", "--config", "python:api.gunicorn_conf", "--bind", "0.0.0.0:8000", "api.wsgi:app"]
