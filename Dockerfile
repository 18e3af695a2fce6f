# An image with the coordinator, workers and clients of Lifeline: docker build -t lifeline .
#
# It is made of the Debian package, so that what the program needs is written down once (Packaging/debian/build.sh).
ARG SWIFT_IMAGE=swift:6.3-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${SWIFT_IMAGE} AS build
# The time that files in the package have; the same source and the same time make the same package.
ARG SOURCE_DATE_EPOCH
RUN apt-get update \
  && apt-get install -y --no-install-recommends binutils dpkg-dev make libev-dev libpq-dev libsqlite3-dev libssl-dev zlib1g-dev \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN make deb

FROM ${DEBIAN_IMAGE}
COPY --from=build /source/.build/packages /tmp/packages
# The package would make its users itself, under numbers that depend on what is there; files that are mounted from outside
# need numbers that stay, among those of system users.
RUN groupadd --system --gid 876 lifeline \
  && useradd --system --uid 876 --gid 876 --home-dir /var/lib/lifeline --shell /usr/sbin/nologin lifeline \
  && groupadd --system --gid 877 lifeline-worker \
  && useradd --system --uid 877 --gid 877 --home-dir /var/lib/lifeline-worker --shell /usr/sbin/nologin lifeline-worker \
  && apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates /tmp/packages/lifeline_*.deb \
  && rm -rf /tmp/packages /var/lib/apt/lists/*
USER lifeline
WORKDIR /var/lib/lifeline
VOLUME /var/lib/lifeline
EXPOSE 8765
# A drain: everybody is told when to come back.
STOPSIGNAL SIGTERM
# Asks at LIFELINE_COORDINATOR, which a coordinator with TLS must be given: by the name that its certificate has.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["lifeline", "health"]
ENTRYPOINT ["lifeline"]
# Without TLS and keys this refuses to start, and says what is missing: whoever reaches a coordinator can run commands.
CMD ["coordinator", "--host", "0.0.0.0"]
