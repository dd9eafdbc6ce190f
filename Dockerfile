# Service, worker and command line in one image: `docker build .`, and for NVIDIA GPUs
#   docker build --build-arg VARIANT=cuda --build-arg RUNTIME_IMAGE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 .
# Behind a proxy that inspects TLS, with its CA: `docker build --secret id=ca,src=ca.pem .`; HTTPS_PROXY is a build argument.
# Base images are named by tag, because no registry could be asked for digests; a site that builds for production pins those.
ARG VARIANT=cpu
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
ARG RUNTIME_IMAGE=${NODE_IMAGE}

FROM ${NODE_IMAGE} AS plugin
WORKDIR /build
# Node only warns where there is no such secret. It is in no layer, and the final image has no such variable.
ENV NODE_EXTRA_CA_CERTS=/run/secrets/ca
COPY package.json package-lock.json .npmrc ./
COPY server/package.json server/
COPY extension/package.json extension/
RUN --mount=type=secret,id=ca npm ci --no-audit --no-fund
COPY . .
RUN npm run --silent build:extension
# OHIF is fetched and checked here, so that the running image needs no registry.
# hadolint ignore=DL3059
RUN --mount=type=secret,id=ca \
    node -e "import('/build/server/src/viewer/ohif-package.ts').then(({ ensureOhif }) => \
      ensureOhif({ directory: '/build/viewer', signal: AbortSignal.timeout(600000) }))"

FROM ${NODE_IMAGE} AS modules
ARG VARIANT
WORKDIR /app
ENV NODE_EXTRA_CA_CERTS=/run/secrets/ca
COPY package.json package-lock.json .npmrc ./
COPY server/package.json server/
COPY extension/package.json extension/
# ONNX Runtime for other systems is never loaded here.
RUN --mount=type=secret,id=ca npm ci --omit=dev --no-audit --no-fund \
 && rm -r node_modules/onnxruntime-node/bin/napi-v6/darwin node_modules/onnxruntime-node/bin/napi-v6/win32
COPY core/src core/src
COPY server/src server/src
# What only fetches the wheel is not pinned: its own version is checked.
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca if [ "$VARIANT" = cuda ]; then \
      if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
   && apt-get update \
   && apt-get install -y --no-install-recommends python3-pip \
   && rm -rf /var/lib/apt/lists/* \
   && node server/src/main.ts install-cuda \
   && mkdir bin && cp /usr/local/bin/node bin/; \
    fi

FROM scratch AS product
WORKDIR /app
COPY LICENSE ./
COPY core/src core/src
COPY server/src server/src
COPY --from=plugin /build/extension/dist extension/dist
COPY --from=plugin /build/viewer viewer
COPY models/onnx models/onnx
COPY scripts/sample scripts/sample

FROM ${RUNTIME_IMAGE}
# The whole folder: npm puts modules of the server into node_modules and into server/node_modules.
COPY --from=modules /app /app
COPY --from=product /app /app
WORKDIR /app
# NVIDIA's image has no Node of its own.
ENV PATH=/app/bin:$PATH \
    NODE_ENV=production \
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
ENTRYPOINT ["node", "--max-semi-space-size=8", "/app/server/src/main.ts"]
CMD ["serve"]
