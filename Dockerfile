# Service, worker and command line in one image: `docker build .`, or `docker build --build-arg VARIANT=cuda .` for NVIDIA GPUs.
# Base images are named by tag, because no registry could be asked for digests; a site that builds for production pins those.
ARG VARIANT=cpu
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
ARG CUDA_IMAGE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04

FROM ${NODE_IMAGE} AS plugin
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY server/package.json server/
COPY extension/package.json extension/
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run --silent build:extension
# OHIF is fetched and checked here, so that the running image needs no registry.
# hadolint ignore=DL3059
RUN node -e "import('/build/server/src/viewer/ohif-package.ts').then(({ ensureOhif }) => \
      ensureOhif({ directory: '/build/viewer', signal: AbortSignal.timeout(600000) }))"

FROM ${NODE_IMAGE} AS modules
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY server/package.json server/
COPY extension/package.json extension/
# ONNX Runtime for browsers is in the built plugin; that for other systems is never loaded here.
RUN npm ci --omit=dev --no-audit --no-fund \
 && rm -r node_modules/onnxruntime-web \
      node_modules/onnxruntime-node/bin/napi-v6/darwin node_modules/onnxruntime-node/bin/napi-v6/win32

FROM modules AS cuda-modules
# What only fetches the wheel is not pinned: its own version is checked.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-pip \
 && rm -rf /var/lib/apt/lists/*
COPY server/src server/src
RUN node server/src/main.ts install-cuda

FROM scratch AS product
WORKDIR /app
COPY LICENSE ./
COPY server/src server/src
COPY --from=plugin /build/extension/dist extension/dist
COPY --from=plugin /build/viewer viewer
COPY models/onnx models/onnx
COPY scripts/sample scripts/sample

# The whole folder: npm puts modules of the server into node_modules and into server/node_modules.
FROM ${NODE_IMAGE} AS cpu-base
COPY --from=modules /app /app

FROM ${CUDA_IMAGE} AS cuda-base
COPY --from=modules /usr/local/bin/node /usr/local/bin/node
COPY --from=cuda-modules /app /app

FROM ${VARIANT}-base
COPY --from=product /app /app
WORKDIR /app
ENV NODE_ENV=production \
    STAIN_ARCHIVE_FOLDER=/var/lib/stain/archive \
    STAIN_DATABASE_DIRECTORY=/var/lib/stain/database \
    STAIN_SPOOL_DIRECTORY=/var/lib/stain/spool \
    STAIN_TEMPLATES_DIRECTORY=/var/lib/stain/templates \
    STAIN_VIEWER_DIRECTORY=/app/viewer \
    STAIN_MONITORING_HOST=0.0.0.0 \
    STAIN_MONITORING_PORT=9464
# The folders belong to whoever runs the image, and so do the volumes that are mounted there.
RUN install -d -o 1000 -g 1000 -m 0700 /var/lib/stain \
      /var/lib/stain/archive /var/lib/stain/database /var/lib/stain/spool /var/lib/stain/templates
VOLUME /var/lib/stain
USER 1000:1000
EXPOSE 3080 9464
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.STAIN_MONITORING_PORT + '/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/server/src/main.ts"]
CMD ["serve"]
