# syntax=docker/dockerfile:1
# `service`: what `make setup` builds, with a compiler for the SM2 kernel that the image does not keep in use. `chain`: a local EVM node for trials, from npm.
FROM node:22-bookworm-slim AS chain
RUN npm install --global --no-fund --no-audit @foundry-rs/anvil@1.7.1
ENTRYPOINT ["anvil", "--host", "0.0.0.0", "--state", "/data/chain.json"]

FROM node:22-bookworm-slim AS node

FROM python:3.12-slim-bookworm AS service
RUN apt-get update && apt-get install -y --no-install-recommends make gcc libc6-dev libssl3 && rm -rf /var/lib/apt/lists/*
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /srv/edutrust
COPY . .
RUN make setup && apt-get purge -y --auto-remove gcc libc6-dev && useradd --system --home /var/lib/edutrust --create-home edutrust
ENV PATH=/srv/edutrust/.venv/bin:$PATH
USER edutrust
VOLUME /var/lib/edutrust
EXPOSE 8080
CMD ["edutrust", "run", "--host", "0.0.0.0"]
