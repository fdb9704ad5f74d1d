# syntax=docker/dockerfile:1
# Verify, read EXIF, name, view and store each file.
# Build from the repository's root: docker build -f deploy/docker/ingest.Dockerfile -t varanger-ingest .
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/varanger
WORKDIR /source
COPY constraints.txt ./
COPY libs/common libs/common
COPY services/ingest services/ingest
# Both at once, so that pip takes our common library from here; its extras are named by the service.
RUN /opt/varanger/bin/pip install --constraint constraints.txt ./libs/common ./services/ingest

FROM python:${PYTHON_VERSION}-slim-bookworm
# ExifTool alone reads Reconyx maker notes. Debian's own version is meant: it brings the security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libimage-exiftool-perl \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 varanger && useradd --uid 10001 --gid varanger --no-create-home --shell /usr/sbin/nologin varanger
COPY --from=build /opt/varanger /opt/varanger
COPY deploy/docker/health.py /opt/varanger/health.py
ENV PATH=/opt/varanger/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VARANGER_HEALTH_PORT=8080
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 CMD ["python", "/opt/varanger/health.py"]
CMD ["varanger-ingest"]
