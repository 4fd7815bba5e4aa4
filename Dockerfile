# The environment of requirements.lock, without the project: mount a checkout and work in it.
#
#     docker build -t dmp-bench .                                         or --build-arg TORCH=cpu
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD":/work dmp-bench \
#         snakemake --cores all tables                                    with GPUs: --gpus all
FROM python:3.11-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# git says which commit computed a row; Triton compiles with gcc where blocks are compiled for a GPU. The
# checkout belongs to another user than the container's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*'

ARG TORCH=
COPY requirements.lock /opt/
RUN pip install --no-cache-dir "$(grep '^uv==' /opt/requirements.lock)" \
    && if [ "$TORCH" = cpu ]; then sed -Ei '/^(cuda-|nvidia-|triton)/d' /opt/requirements.lock; fi \
    && uv pip sync --system --no-cache --compile-bytecode ${TORCH:+"--torch-backend=$TORCH"} \
        /opt/requirements.lock

# `dmp` is the package of the checkout that is mounted.
RUN printf '#!/bin/sh\nexec python -m dmp "$@"\n' >/usr/local/bin/dmp && chmod +x /usr/local/bin/dmp
WORKDIR /work
ENV PYTHONPATH=/work HOME=/tmp
CMD ["dmp", "--help"]
