# Build: every dependency from hashed lock files, the build tool included.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/bootstrap.txt \
 && python -m venv --without-pip /opt/engine \
 && /opt/build/bin/uv pip install --no-cache --python /opt/engine/bin/python --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY revenue_engine/ revenue_engine/
COPY adapters/ adapters/
COPY reconciliation/ reconciliation/
COPY migrations/ migrations/
RUN /opt/build/bin/uv build --wheel --no-cache --python /opt/engine/bin/python \
      --build-constraints requirements/dev.txt --require-hashes --out-dir /dist . \
 && /opt/build/bin/uv pip install --no-cache --python /opt/engine/bin/python --no-deps /dist/*.whl

# Run: no build tools, no root. The embedded servers keep their data in /var/lib/revenue-engine.
FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/revenue-engine --shell /usr/sbin/nologin revenue \
 && chmod 700 /var/lib/revenue-engine
COPY --from=build /opt/engine /opt/engine
ENV PATH=/opt/engine/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REVENUE_STATE_DIR=/var/lib/revenue-engine/state \
    REVENUE_INTAKE_HOST=0.0.0.0
USER revenue
WORKDIR /var/lib/revenue-engine
VOLUME /var/lib/revenue-engine
EXPOSE 8801
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8801/livez', timeout=4)"]
CMD ["revenue-engine", "serve"]
