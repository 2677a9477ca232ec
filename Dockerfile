# MedImageInsight Server on a CPU (linux/amd64 and linux/arm64).
#
#   docker build -t medimageinsight-server .
#   docker run --rm -p 8000:8000 medimageinsight-server
#
# Build arguments:
#   BASE_DIGEST  sha256:... of the base image, to pin it. Default: the newest image of that tag.
#   TORCH_INDEX  package index for torch. Empty: pip's own index, whose torch includes CUDA's libraries.
ARG BASE=python:3.11-slim-bookworm
ARG BASE_DIGEST=

FROM ${BASE}${BASE_DIGEST:+@}${BASE_DIGEST} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/venv /opt/sbom \
    && /opt/sbom/bin/pip install -q -c constraints.txt cyclonedx-bom \
    && if [ -n "${TORCH_INDEX}" ]; then \
         /opt/venv/bin/pip install -q -c constraints.txt --index-url "${TORCH_INDEX}" --no-deps torch torchvision; \
       fi
# The packages are large and seldom change. Their layer depends only on both pyproject.toml, constraints.txt and LICENSE.
# The client and the server are named in one command, so that pip never looks for the client in a package index.
COPY pyproject.toml LICENSE ./
COPY client/pyproject.toml client/
RUN touch README.md client/README.md && mkdir -p app model client/medimageinsight \
    && /opt/venv/bin/pip install -q -c constraints.txt ./client '.[dicom,nifti,nrrd,otel,tiff]' \
    && /opt/venv/bin/pip uninstall -qy medimageinsight-server medimageinsight setuptools pip \
    && find /opt/venv -depth \( -path '*/torch/include' -o -path '*/torch/share/cmake' -o -name tests -path '*/numpy/*' \) \
         -exec rm -rf {} +
COPY app app
COPY client client
COPY model model
COPY README.md ./
RUN /opt/sbom/bin/pip --python /opt/venv/bin/python install -q --no-deps --target /opt/service ./client . \
    && /opt/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
         -o /opt/sbom.cdx.json /opt/venv

FROM ${BASE}${BASE_DIGEST:+@}${BASE_DIGEST}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin service \
    && install -d -o 10001 -g 10001 /models
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/service /opt/service
COPY --from=build /opt/sbom.cdx.json /usr/share/doc/medimageinsight-server/
COPY docker/healthcheck.py /opt/healthcheck.py
ENV PATH=/opt/venv/bin:/opt/service/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/service \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TORCHINDUCTOR_CACHE_DIR=/tmp \
    HOST=0.0.0.0 PORT=8000 CACHE_DIR=/models
VOLUME /models
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# The first start may download 2.5 GB. A start that fails ends the process, so that a long period hides no failure.
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=1h CMD ["python", "/opt/healthcheck.py"]
ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="MedImageInsight Server" \
      org.opencontainers.image.description="Medical images and texts to embeddings; research software, not for clinical use" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["medimageinsight", "serve"]
