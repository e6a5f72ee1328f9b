# syntax=docker/dockerfile:1
# The server in a container: docs/operating.md, "In a container". `docker build --tag stagebook .`

FROM python:3.13-slim-bookworm AS build
WORKDIR /source
RUN python -m venv /opt/stagebook
# The pinned versions with their hashes first: this layer changes with the dependencies only.
COPY constraints/server.txt constraints/server.txt
RUN /opt/stagebook/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement constraints/server.txt
COPY pyproject.toml MANIFEST.in PACKAGE.md LICENSE ./
# The console has a symbolic link to the open client.
COPY clients/js clients/js
COPY src src
RUN /opt/stagebook/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Stagebook" \
      org.opencontainers.image.description="Open, self-hosted Amazon IVS Real-Time" \
      org.opencontainers.image.licenses="Apache-2.0"
# The volume takes the owner and the mode of this folder; the server refuses a folder that others can write to.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data stagebook \
    && install --directory --mode 0700 --owner stagebook --group stagebook /data
COPY --from=build /opt/stagebook /opt/stagebook
ENV PATH=/opt/stagebook/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    STAGEBOOK_DATA=/data \
    STAGEBOOK_LISTEN=0.0.0.0:8080 \
    STAGEBOOK_RTMP_LISTEN=0.0.0.0:1935 \
    STAGEBOOK_RTMPS_LISTEN=0.0.0.0:1936 \
    STAGEBOOK_MEDIA_PORT=50000 \
    STAGEBOOK_LOG_FORM=json
USER 10001:10001
VOLUME /data
EXPOSE 8080/tcp 1935/tcp 1936/tcp 50000/tcp 50000/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["stagebook"]
CMD ["serve"]
