# The tag is the `rust-version` of Cargo.toml, which .ci/container checks.
FROM docker.io/library/rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
# The binary is linked statically, so the image does not need a base: it has no shell, no package
# manager, and no library that needs patches. Only the last link is static, because procedural
# macros must be dynamic. With the caches, a rebuild does not compile the dependencies again.
# cargo detects a changed file by its time, and the cached build may be newer than a file of another
# checkout: hence the touch.
RUN --mount=type=cache,id=chinwag-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=chinwag-target,target=/target,sharing=locked \
    find . -type f -exec touch {} + \
    && CARGO_TARGET_DIR=/target cargo rustc --release --locked --features nats --bin chinwag -- \
        -C target-feature=+crt-static \
    && install -D /target/release/chinwag /out/chinwag \
    && mkdir /out/data

FROM scratch
COPY --from=build /out/chinwag /usr/local/bin/chinwag
# A new volume gets its owner from this directory. The owner is a number, because the image does not
# have an /etc/passwd.
COPY --from=build --chown=65532:65532 /out/data /data
# All addresses, because a published port does not reach the container's loopback. On these, the
# server does not start before it is given keys, or CHINWAG_OPEN=1 to serve everyone.
ENV CHINWAG_LISTEN=0.0.0.0:9000 CHINWAG_DATA=/data
USER 65532:65532
VOLUME /data
EXPOSE 9000
STOPSIGNAL SIGTERM
# A server that replays its log is not ready, but healthy: failures count only after the start period.
# The health check's own timeout of 5 s ends first, so that it can report the error.
HEALTHCHECK --interval=10s --timeout=7s --start-period=10m --retries=3 \
    CMD ["/usr/local/bin/chinwag", "healthcheck"]
# Arguments are passed to the binary: `docker run chinwag --help`.
ENTRYPOINT ["/usr/local/bin/chinwag"]
