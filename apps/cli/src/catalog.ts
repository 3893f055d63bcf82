/**
 * Which package brings what: names only, so that help and hints need no plugin. A test holds the
 * installed official plugins against it.
 */

/** By scheme of a store. */
export const BACKEND_PACKAGES: Readonly<Record<string, string>> = {
  s3: '@s3lo/backend-s3',
  gs: '@s3lo/backend-gcs',
  az: '@s3lo/backend-azure',
  local: '@s3lo/backend-local',
}

/** By transport of an image outside a store. */
export const SOURCE_PACKAGES: Readonly<Record<string, string>> = {
  'docker-daemon': '@s3lo/source-docker',
  'docker-archive': '@s3lo/source-docker',
  oci: '@s3lo/source-docker',
  'oci-archive': '@s3lo/source-docker',
  docker: '@s3lo/source-registry',
}

/** By the name of a scanner. */
export const SCANNER_PACKAGES: Readonly<Record<string, string>> = {
  trivy: '@s3lo/scanner-trivy',
}

/** By what `check:` says in a policy. */
export const POLICY_CHECK_PACKAGES: Readonly<Record<string, string>> = {
  age: '@s3lo/policy',
  size: '@s3lo/policy',
  signed: '@s3lo/signing',
  scan: '@s3lo/scanner-trivy',
}

/** By the name of what reads single files out of layers. */
export const LAYER_READER_PACKAGES: Readonly<Record<string, string>> = {
  soci: '@s3lo/soci',
}

/** By the name of what signs images. */
export const SIGNER_PACKAGES: Readonly<Record<string, string>> = {
  key: '@s3lo/signing',
}

/** By the end of a registry's host: the cloud that has credentials for it. */
export const CREDENTIAL_PACKAGES: Readonly<Record<string, string>> = {
  '.amazonaws.com': '@s3lo/backend-s3',
  '.amazonaws.com.cn': '@s3lo/backend-s3',
  '.on.aws': '@s3lo/backend-s3',
  'public.ecr.aws': '@s3lo/backend-s3',
  '.pkg.dev': '@s3lo/backend-gcs',
  'gcr.io': '@s3lo/backend-gcs',
  '.azurecr.io': '@s3lo/backend-azure',
  '.azurecr.cn': '@s3lo/backend-azure',
  '.azurecr.us': '@s3lo/backend-azure',
}

/** A command and the package that brings it. */
export interface CatalogCommand {
  readonly package: string
  readonly summary: string
}

/** By the words of a command. */
export const COMMAND_PACKAGES: Readonly<Record<string, CatalogCommand>> = {
  sign: { package: '@s3lo/signing', summary: 'sign an image' },
  verify: { package: '@s3lo/signing', summary: 'verify the signature of an image' },
  'generate-key-pair': { package: '@s3lo/signing', summary: 'make a key pair for signing' },
  scan: { package: '@s3lo/scanner-trivy', summary: 'scan an image for vulnerabilities' },
  sbom: { package: '@s3lo/scanner-trivy', summary: 'list the contents of an image (SBOM)' },
  'config validate': { package: '@s3lo/policy', summary: 'check an image against the policies' },
  serve: { package: '@s3lo/serve', summary: 'serve a store as a registry' },
  soci: { package: '@s3lo/soci', summary: 'index images for lazy loading (SOCI)' },
}
