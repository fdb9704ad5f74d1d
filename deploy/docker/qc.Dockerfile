# syntax=docker/dockerfile:1
# Draw quality-check rounds and estimate from their reviews.
# Build from the repository's root: docker build -f deploy/docker/qc.Dockerfile -t varanger-qc .
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/varanger
WORKDIR /source
COPY constraints.txt ./
COPY libs/common libs/common
COPY services/qc services/qc
# Both at once, so that pip takes our common library from here; its extras are named by the service.
RUN /opt/varanger/bin/pip install --constraint constraints.txt ./libs/common ./services/qc

FROM python:${PYTHON_VERSION}-slim-bookworm
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
CMD ["varanger-qc"]
