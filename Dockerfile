FROM rust:1-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends cmake gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin guarita \
 && strip target/release/guarita

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir / --no-create-home --shell /usr/sbin/nologin guarita \
 && install --directory --owner guarita --group guarita --mode 0700 /data
COPY --from=build /build/target/release/guarita /usr/local/bin/guarita
USER 10001
# `data_dir = "data"` is relative to the working directory, so it is /data.
WORKDIR /
VOLUME /data
# 8443: the gateway. 9090: metrics and health, on 127.0.0.1 unless `ops.address` is set.
EXPOSE 8443 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["guarita", "healthcheck"]
ENTRYPOINT ["guarita"]
CMD ["serve", "--config", "/etc/guarita/guarita.toml"]
