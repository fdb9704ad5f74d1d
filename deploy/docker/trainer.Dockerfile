# syntax=docker/dockerfile:1
# Train and export releases. ultralytics in here is AGPL-3.0, and so is this image.
# Build from the repository's root: docker build -f deploy/docker/trainer.Dockerfile -t varanger-trainer .
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/varanger
WORKDIR /source
COPY constraints.txt constraints-torch.txt ./
COPY libs/common libs/common
COPY services/trainer services/trainer
# Both at once, so that pip takes our common library from here; its extras are named by the service.
# Another index serves the builds for one's own CUDA: --build-arg TORCH_INDEX_URL=https://...
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN /opt/varanger/bin/pip install --extra-index-url "${TORCH_INDEX_URL}" \
        --constraint constraints.txt --constraint constraints-torch.txt \
        ./libs/common "./services/trainer[torch]"

FROM python:${PYTHON_VERSION}-slim-bookworm
# OpenCV, which ultralytics imports, loads these even where nothing is drawn.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 varanger && useradd --uid 10001 --gid varanger --no-create-home --shell /usr/sbin/nologin varanger
COPY --from=build /opt/varanger /opt/varanger
COPY deploy/docker/health.py /opt/varanger/health.py
ENV PATH=/opt/varanger/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VARANGER_HEALTH_PORT=8080 \
    VARANGER_TRAINING_FOLDER=/var/lib/varanger/training \
    YOLO_CONFIG_DIR=/tmp/ultralytics \
    MPLCONFIGDIR=/tmp/matplotlib
# Training writes here and nowhere else.
RUN install --directory --owner=varanger --group=varanger /var/lib/varanger/training
VOLUME /var/lib/varanger/training
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 CMD ["python", "/opt/varanger/health.py"]
CMD ["varanger-trainer"]
