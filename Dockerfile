# The server as an image: one program on a base without a shell, run by a user without rights.
#
#   docker build -t tickey-lickey-redeemer .
#   docker run --rm -p 8080:8080 tickey-lickey-redeemer demo

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# Symbols are left out, since nothing prints a backtrace. For all that is built, or the layer below would not be used.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols

# What the program depends on, in a layer of its own, which stays while Cargo.lock does: built for an empty program.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches tests data \
 && echo 'fn main() {}' | tee src/main.rs benches/embedded.rs benches/elasticsearch.rs benches/growth.rs benches/peers.rs tests/proof.rs tests/hanging_disk.rs >/dev/null \
 && touch src/lib.rs \
 && cargo build --locked --release --bin tickey \
 && rm -r src

COPY templates templates
COPY static static
COPY seed seed
COPY src src
# Newer than what was built of the empty program.
RUN touch src/main.rs src/lib.rs \
 && cargo build --locked --release --bin tickey

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tickey-lickey redeemer" \
      org.opencontainers.image.description="Redeems download keys: a key becomes a download, exactly once" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
COPY --from=build /src/target/release/tickey /usr/local/bin/tickey
# For a store and link keys in a volume: `demo`, and `serve` without other options, keep them in ./tickey-data.
COPY --from=build --chown=65532:65532 /src/data /var/lib/tickey
WORKDIR /var/lib/tickey
ENV TICKEY_LISTEN=0.0.0.0:8080 \
    TICKEY_OPS_LISTEN=0.0.0.0:9090
EXPOSE 8080 9090
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s CMD ["/usr/local/bin/tickey", "healthcheck"]
# The program itself is process 1: it takes SIGTERM and ends in order.
ENTRYPOINT ["/usr/local/bin/tickey"]
CMD ["serve"]
