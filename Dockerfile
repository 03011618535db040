# syntax=docker/dockerfile:1.7
# Floe with its bundled model and espeak-ng. docs/operations.md says what was tried of this without a Docker daemon.

FROM node:22-bookworm-slim AS page
WORKDIR /src
COPY web-client/package.json web-client/package-lock.json web-client/.npmrc ./
RUN npm ci --loglevel=error
COPY web-client ./
RUN npm run --silent build

FROM rust:1.95-bookworm AS build
# whisper.cpp and libopus are built from source.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock build.rs ./
COPY benches benches
COPY examples examples
COPY migrations migrations
COPY models/manifest.toml models/manifest.toml
COPY src src
COPY tests/suite tests/suite
COPY --from=page /src/dist web-client/dist
COPY deploy/licences.sh deploy/licences.sh
# Crates and their objects stay in the builder's caches: a change of Floe compiles Floe.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin floe \
    && install -D --strip target/release/floe /out/floe \
    && sh deploy/licences.sh /out/licences

FROM debian:bookworm-slim
# curl asks /readyz; espeak-ng speaks, and makes the phonemes of Piper's voices. Versions are Debian's stable ones.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl espeak-ng \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/floe --shell /usr/sbin/nologin floe \
    && install -d -o floe -g floe /var/lib/floe /usr/share/floe/models
COPY --from=build /out/floe /usr/local/bin/floe
COPY --from=build /out/licences /usr/share/doc/floe/licences
COPY LICENSE /usr/share/doc/floe/
COPY --chown=floe:floe models/floe-demo.en.bin models/floe-demo.en.md models/manifest.toml /usr/share/floe/models/
ENV FLOE_SERVER_LISTEN=0.0.0.0:8080 \
    FLOE_MODELS_FOLDER=/usr/share/floe/models \
    FLOE_STORE_DIR=/var/lib/floe \
    FLOE_TELEMETRY_LOG_FORMAT=json
USER 10001
WORKDIR /var/lib/floe
VOLUME /var/lib/floe
EXPOSE 8080
# Not ready while it loads its model, and while it drains.
HEALTHCHECK --interval=5s --timeout=2s --start-period=60s --retries=3 \
    CMD ["curl", "--silent", "--fail", "--max-time", "2", "http://127.0.0.1:8080/readyz"]
# It finishes replies first: `docker stop --time 60`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["floe"]
CMD ["serve"]
