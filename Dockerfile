# The tag is the `rust-version` of Cargo.toml; .ci/container checks that.
FROM docker.io/library/rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
# Linked with nothing left to load, so that the image needs no base: no shell, no package manager,
# no library to keep patched. Only the last link is static; procedural macros could not be.
# The caches spare a rebuild the dependencies. The touch is for cargo, which tells a changed file
# by its time: the cached build may be younger than a file of another checkout.
RUN --mount=type=cache,id=chinwag-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=chinwag-target,target=/target,sharing=locked \
    find . -type f -exec touch {} + \
    && CARGO_TARGET_DIR=/target cargo rustc --release --locked --bin chinwag -- \
        -C target-feature=+crt-static \
    && install -D /target/release/chinwag /out/chinwag \
    && mkdir /out/data

FROM scratch
COPY --from=build /out/chinwag /usr/local/bin/chinwag
# A new volume takes its owner from here. By number: there is no /etc/passwd to look a name up in.
COPY --from=build --chown=65532:65532 /out/data /data
# All addresses, since a published port does not arrive on the container's loopback.
ENV CHINWAG_LISTEN=0.0.0.0:9000 CHINWAG_DATA=/data
USER 65532:65532
VOLUME /data
EXPOSE 9000
STOPSIGNAL SIGTERM
# Not ready while it replays its log, which is no fault: failures count only after the start period.
# Its own time-out of 5 s comes first, so that it can say what is wrong.
HEALTHCHECK --interval=10s --timeout=7s --start-period=10m --retries=3 \
    CMD ["/usr/local/bin/chinwag", "healthcheck"]
# Arguments go to the binary: `docker run chinwag --help`.
ENTRYPOINT ["/usr/local/bin/chinwag"]
