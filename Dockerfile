# syntax=docker/dockerfile:1
ARG BASE=debian:trixie-slim

FROM ${BASE} AS python
# hadolint ignore=DL3008 # what Debian's stable release has now is what we want: it changes for security only
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/run.txt /tmp/run.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/python \
    && /opt/python/bin/python -m pip install --require-hashes --only-binary :all: --requirement /tmp/run.txt \
    && /opt/python/bin/python -m pip uninstall --yes pip
COPY alembic.ini /opt/dial-to-sip/
COPY migrations /opt/dial-to-sip/migrations
COPY deploy/healthcheck.py /opt/dial-to-sip/deploy/
COPY app /opt/dial-to-sip/app
RUN /opt/python/bin/python -m compileall -q /opt/dial-to-sip

FROM python
LABEL org.opencontainers.image.title="Dial-to-SIP" \
    org.opencontainers.image.description="One HTTP request places a SIP call, and every event of it reaches your webhook" \
    org.opencontainers.image.licenses="GPL-3.0-only"
# A name for the number: PostgreSQL's initdb (role `all`) asks for it.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin dial \
    && install --directory --owner=dial --group=dial --mode=0700 /data
COPY --from=build /opt/python /opt/python
COPY --from=build /opt/dial-to-sip /opt/dial-to-sip
COPY LICENSE /usr/share/doc/dial-to-sip/LICENSE
ENV PATH=/opt/python/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DIAL_DATA_DIR=/data \
    DIAL_HTTP_HOST=0.0.0.0 \
    DIAL_SIP_HOST=0.0.0.0
WORKDIR /opt/dial-to-sip
USER 10001:10001
VOLUME /data
EXPOSE 8080/tcp 5060/udp 5060/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "deploy/healthcheck.py"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["all"]
