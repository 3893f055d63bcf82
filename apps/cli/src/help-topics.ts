/** The words and the summary of something that help lists. */
export interface Listed {
  readonly words: string
  readonly summary: string
}

/** How images and stores are written. */
export const TRANSPORTS: readonly Listed[] = [
  {
    words: 's3://BUCKET/IMAGE:TAG',
    summary: 'in Amazon S3, or what --endpoint names (MinIO, Ceph)',
  },
  { words: 'gs://BUCKET/IMAGE:TAG', summary: 'in Google Cloud Storage' },
  { words: 'az://CONTAINER/IMAGE:TAG', summary: 'in Azure Blob Storage' },
  {
    words: 'local://DIR/IMAGE:TAG',
    summary: 'in a directory; DIR//IMAGE:TAG where DIR is a deep one',
  },
  { words: '…/IMAGE@sha256:…', summary: 'by its content, in any store' },
  { words: 's3://BUCKET/', summary: 'a store; what follows narrows it to names that begin so' },
  {
    words: 'IMAGE:TAG',
    summary: 'in the Docker engine (push and pull), or docker-daemon:IMAGE:TAG',
  },
  { words: 'HOST/IMAGE:TAG', summary: 'in a registry (copy), or docker://HOST/IMAGE:TAG' },
  { words: 'docker-archive:FILE', summary: 'an archive of docker save; :IMAGE:TAG selects one' },
  { words: 'oci-archive:FILE', summary: 'an OCI layout in a tar; :TAG selects one image' },
  { words: 'oci:DIR', summary: 'an OCI layout in a directory; :TAG selects one image' },
]

/** What s3lo reads from the environment, besides what the SDKs of the clouds read. */
export const ENVIRONMENT: readonly Listed[] = [
  { words: 'S3LO_CONFIG_HOME', summary: "the folder of the user's plugins (~/.config/s3lo)" },
  { words: 'S3LO_PLUGIN_PATH', summary: 'more folders with plugins, as absolute paths' },
  { words: 'S3LO_TRUST_ENDPOINT', summary: '1: as --trust-endpoint' },
  { words: 'S3LO_TRIVY', summary: 'the Trivy to run' },
  { words: 'DOCKER_HOST, DOCKER_CONTEXT', summary: 'the Docker engine' },
  { words: 'DOCKER_CONFIG, REGISTRY_AUTH_FILE', summary: 'credentials of registries' },
  { words: 'AWS_…', summary: 'credentials, region, profile and endpoint of s3://' },
  { words: 'GOOGLE_APPLICATION_CREDENTIALS', summary: 'credentials of gs://' },
  { words: 'AZURE_…', summary: 'credentials of az://' },
  { words: 'COSIGN_PASSWORD', summary: 'the password of the key that signs' },
  { words: 'HTTPS_PROXY, HTTP_PROXY, NO_PROXY', summary: 'the way to the network' },
  { words: 'NO_COLOR, FORCE_COLOR', summary: 'whether errors are coloured' },
  { words: 'XDG_CACHE_HOME', summary: 'folder of the caches of s3lo (~/.cache)' },
  { words: 'S3LO_FRAME_CACHE', summary: 'MiB of compressed chunks in it (2048); 0: none' },
]

/** What the status of a command says to a script. */
export const EXIT_STATUSES: readonly Listed[] = [
  { words: '0', summary: 'success' },
  { words: '1', summary: 'a negative verdict' },
  { words: '64', summary: 'wrong usage' },
  { words: '65', summary: 'wrong content' },
  { words: '66', summary: 'not found' },
  { words: '69', summary: 'not supported by this installation' },
  { words: '70', summary: 'a bug in s3lo' },
  { words: '73', summary: 'refused to overwrite' },
  { words: '74', summary: 'a local file error: the disk failed or is full' },
  { words: '75', summary: 'try again later: network, --timeout, engine' },
  { words: '77', summary: 'not permitted' },
  { words: '129, 130, 143', summary: 'stopped by SIGHUP, SIGINT (Ctrl-C), SIGTERM' },
]
