# Three images: `api` (the default) serves a bundle, `pipeline` runs the stages, `tracking` is MLflow's server.
#
#   docker build --build-arg REVISION=$(git rev-parse HEAD) --build-arg BUNDLE_VERSION=$(python -m deploy.image.version) -t product-codes-api .
#   docker build --target pipeline -t product-codes-pipeline .
#
# PYTHON_IMAGE pins the base: in production name it by digest, python:3.11-slim@sha256:...; see docs/operations.md.
ARG PYTHON_IMAGE=python:3.11-slim
ARG BUNDLE_DIR=models/bundle

# --- What installs, and stays behind
FROM ${PYTHON_IMAGE} AS installer
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements/uv.txt requirements/uv.txt
RUN python3.11 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --require-hashes -r requirements/uv.txt

FROM installer AS api-environment
COPY requirements/api.txt requirements/api.txt
RUN python3.11 -m venv --without-pip /opt/venv \
 && /opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python --no-deps --require-hashes -r requirements/api.txt
COPY deploy/image/prune.py deploy/image/bytecode.py deploy/image/
RUN /opt/venv/bin/python deploy/image/prune.py /opt/venv
WORKDIR /app
COPY api api
# Bytecode of what the service loads, Python's own modules among it, and of nothing else: it starts in a second, on a
# disk that it can't write.
ENV PYTHONPYCACHEPREFIX=/opt/bytecode
RUN /opt/venv/bin/python -m api.preload \
 && /opt/venv/bin/python /build/deploy/image/bytecode.py /opt/bytecode

FROM installer AS pipeline-environment
COPY requirements/pipeline.txt requirements/pipeline.txt
RUN python3.11 -m venv --without-pip /opt/venv \
 && /opt/uv/bin/uv pip install --quiet --compile-bytecode --python /opt/venv/bin/python --require-hashes -r requirements/pipeline.txt

FROM installer AS tracking-environment
COPY requirements/tracking.txt requirements/tracking.txt
RUN python3.11 -m venv --without-pip /opt/venv \
 && /opt/uv/bin/uv pip install --quiet --compile-bytecode --python /opt/venv/bin/python --require-hashes -r requirements/tracking.txt

# --- MLflow with its drivers of PostgreSQL and S3; compose.yaml starts it by deploy/compose/tracking.py
FROM ${PYTHON_IMAGE} AS tracking
LABEL org.opencontainers.image.title="Product codes: MLflow" \
      org.opencontainers.image.licenses="MIT"
COPY --from=tracking-environment /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:0
EXPOSE 5000
HEALTHCHECK --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
CMD ["python", "/deploy/tracking.py"]

# --- The stages: dvc repro, in a work tree that is mounted
FROM ${PYTHON_IMAGE} AS pipeline
# Git, as DVC asks it for the revision, and the compiler's OpenMP library, which TensorFlow loads.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git libgomp1 \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin stages \
 && install --directory --owner=10001 --group=0 --mode=0770 /bundle
COPY --from=pipeline-environment /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLBACKEND=Agg \
    ORT_DISABLE_TELEMETRY=1 \
    DVC_SITE_CACHE_DIR=/tmp/dvc
WORKDIR /project
# The work tree is mounted over it, with its data and history; without one the code is here to be imported.
COPY api api
COPY stages stages
COPY conf conf
COPY dvc.yaml dvc.lock params.yaml ./
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Product codes: pipeline" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
USER 10001:0
# It runs a stage and ends: there is nothing to ask for its health.
HEALTHCHECK NONE
CMD ["dvc", "repro"]

# --- The service
FROM ${PYTHON_IMAGE} AS api
ARG BUNDLE_DIR
ARG BUNDLE_VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Product codes: service" \
      org.opencontainers.image.description="Classifies marketplace products into 27 product type codes from text and photo" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT" \
      io.product-codes.bundle.version="${BUNDLE_VERSION}"
COPY --from=api-environment /opt/venv /opt/venv
COPY --from=api-environment /opt/bytecode /opt/bytecode
COPY --from=api-environment /app/api /app/api
COPY ${BUNDLE_DIR} /app/models/bundle
# What uvicorn is told, and why: docs/decisions/serving.md. ONNX Runtime would report to its maker that it is used.
# State and uploads go to volumes; the rest is read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    PYTHONWARNINGS=ignore \
    MALLOC_ARENA_MAX=2 \
    ORT_DISABLE_TELEMETRY=1 \
    UVICORN_HOST=0.0.0.0 \
    UVICORN_HTTP=api.http_protocol:BoundedHead \
    UVICORN_WS=none \
    UVICORN_PROXY_HEADERS=false \
    UVICORN_SERVER_HEADER=false \
    UVICORN_ACCESS_LOG=false \
    UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN=20 \
    API_LOG_DIR=none \
    API_BUILD_REVISION=${REVISION}
WORKDIR /app
# Volumes made over them belong to whom the service runs as. SQLite's file is in state/ by default; a variable here
# would take precedence over API_DATABASE_URL_FILE.
RUN install --directory --owner=10001 --group=0 --mode=0770 /state /bundle \
 && ln -s /state state
VOLUME ["/state"]
USER 10001:0
EXPOSE 8000 8011
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('UVICORN_PORT', 8000)), timeout=4); c.request('GET', '/status'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "-m", "uvicorn", "--factory", "api.main:create_app"]
