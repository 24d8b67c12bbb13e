# The image holds one static binary, certificate authorities, the license and
# an empty /data. It runs as an unprivileged user, with a root file system that
# may be read-only, and has no shell.
#
#   docker build -t packhouse .
#       compiles in ${BUILDER}, which needs Go, a shell and CA certificates
#   docker build -t packhouse --target prebuilt .
#       takes ./dist as it is and pulls nothing. To make it:
#         mkdir -p dist/etc/ssl/certs && mkdir -m 1777 dist/data
#         CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o dist/packhouse ./cmd/packhouse
#         cp /etc/ssl/certs/ca-certificates.crt dist/etc/ssl/certs/
#         find dist LICENSE -exec touch -d @0 {} +
#
# The same commit, Go and authorities make the same layers. For the same image,
# whose configuration has a date too, BuildKit takes
#   --build-arg SOURCE_DATE_EPOCH=0 --output type=image,rewrite-timestamp=true
#
# A container can be reached from outside, and a registry without credentials
# does not let itself be unless it is told to: it asks for them, and the first
# start prints the administrator's token.
#
#   docker run -p 127.0.0.1:5000:5000 -v packhouse:/data --read-only --cap-drop ALL packhouse
ARG BUILDER=golang:1.26

FROM scratch AS base
LABEL org.opencontainers.image.title=Packhouse \
      org.opencontainers.image.source=https://github.com/packhouse/packhouse \
      org.opencontainers.image.licenses=Apache-2.0
ENV PACKHOUSE_ADDR=0.0.0.0:5000 PACKHOUSE_DATA=/data
EXPOSE 5000
USER 65532:65532
# For docker and compose; Kubernetes has probes of its own.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10m CMD ["/packhouse", "ready"]
ENTRYPOINT ["/packhouse"]
CMD ["serve"]

# Before the stage that compiles: builders that make every stage up to their
# target must not need that one here. Nor this one there, hence the pattern and
# a file that it can do without: a COPY has to find something.
FROM base AS prebuilt
COPY LICENSE dis[t] /
VOLUME /data

FROM ${BUILDER} AS build
WORKDIR /src
COPY . .
ARG VERSION=
ARG SOURCE_DATE_EPOCH=0
RUN mkdir -p /dist/etc/ssl/certs \
 && cp /etc/ssl/certs/ca-certificates.crt /dist/etc/ssl/certs/ \
 && cp LICENSE /dist/ \
 && mkdir -m 1777 /dist/data \
 && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /dist/packhouse ./cmd/packhouse \
 && find /dist -exec touch -d "@${SOURCE_DATE_EPOCH}" {} +

# /data is open to any user, as /tmp is: `docker run --user` just works.
FROM base
COPY --from=build /dist /
VOLUME /data
