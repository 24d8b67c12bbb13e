# The image holds one static binary, certificate authorities, the license and
# an empty /data. It runs as an unprivileged user and has no shell.
#
#   docker build -t packhouse .
#       compiles in ${BUILDER}, which needs Go, a shell and CA certificates
#   docker build -t packhouse --target prebuilt .
#       takes ./dist as it is and pulls nothing. To make it:
#         mkdir -p dist/etc/ssl/certs && mkdir -m 1777 dist/data
#         CGO_ENABLED=0 go build -trimpath -o dist/packhouse ./cmd/packhouse
#         cp /etc/ssl/certs/ca-certificates.crt dist/etc/ssl/certs/
#
# A container can be reached from outside, and a registry without credentials
# does not let itself be unless it is told to: it says what is missing and ends.
#
#   docker run -e PACKHOUSE_INSECURE_OPEN=true -p 127.0.0.1:5000:5000 -v packhouse:/data packhouse
ARG BUILDER=golang:1.26

FROM scratch AS base
ENV PACKHOUSE_ADDR=0.0.0.0:5000 PACKHOUSE_DATA=/data
EXPOSE 5000
USER 65532:65532
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
RUN mkdir -p /dist/etc/ssl/certs \
 && cp /etc/ssl/certs/ca-certificates.crt /dist/etc/ssl/certs/ \
 && cp LICENSE /dist/ \
 && mkdir -m 1777 /dist/data \
 && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /dist/packhouse ./cmd/packhouse

# /data is open to any user, as /tmp is: `docker run --user` just works.
FROM base
COPY --from=build /dist /
VOLUME /data
