# The headless runner: docker build -t dbackup . && docker run --rm dbackup --help
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm pack --pack-destination /tmp && mv /tmp/dbackup-node-red-*.tgz /tmp/dbackup.tgz

FROM ${NODE_IMAGE} AS install
ARG NODE_RED_VERSION=5
WORKDIR /opt/dbackup
COPY --from=build /tmp/dbackup.tgz /tmp/dbackup.tgz
RUN npm install --omit=dev --no-audit --no-fund /tmp/dbackup.tgz node-red@${NODE_RED_VERSION}

FROM ${NODE_IMAGE}
RUN apt-get update \
  && apt-get install --yes --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/*
COPY --from=install /opt/dbackup /opt/dbackup
RUN ln -s /opt/dbackup/node_modules/.bin/dbackup /usr/local/bin/dbackup \
  && install -d -o node -g node /data /flows /backups
ENV NODE_ENV=production DBACKUP_DATA=/data XDG_CACHE_HOME=/tmp/cache
USER node
WORKDIR /data
VOLUME ["/data", "/backups"]
EXPOSE 1880
# Whether it reacts. Whether backups would succeed is told by /readyz: a restart would not mend that.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:1880/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "dbackup"]
CMD ["serve", "/flows/flow.json", "--user-dir", "/data", "--host", "0.0.0.0", "--port", "1880"]
