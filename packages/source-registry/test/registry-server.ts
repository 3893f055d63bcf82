import { requiredVariables } from '@s3lo/core/testing'

/** The registries of integration/start-registry.sh, each as `host:port`. */
export interface RegistryServers {
  readonly open: string
  readonly htpasswd: string
  readonly token: string
  readonly tls: string
  readonly user: string
  readonly password: string
  /** A file: the certificate of the one with TLS. */
  readonly ca: string
}

const NAMES = ['open', 'htpasswd', 'token', 'tls', 'user', 'password', 'ca'] as const

/** The registries that the environment names, as `requiredVariables` has them. */
export function requiredServers(): RegistryServers | undefined {
  const variables = NAMES.map((name) => `S3LO_TEST_REGISTRY_${name.toUpperCase()}`)
  const found = requiredVariables('registry', variables, 'eval "$(integration/start-registry.sh)"')
  const values = NAMES.map((name, i) => [name, found?.[variables[i] ?? ''] ?? ''] as const)
  return found && (Object.fromEntries(values) as Record<(typeof NAMES)[number], string>)
}
