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

/**
 * The registries that the environment names. Without them their tests are skipped, with the
 * reason printed, except where S3LO_REQUIRE names `registry`: there they fail.
 */
export function requiredServers(): RegistryServers | undefined {
  const read = (name: string): string => process.env[`S3LO_TEST_REGISTRY_${name}`] ?? ''
  const servers = {
    open: read('OPEN'),
    htpasswd: read('HTPASSWD'),
    token: read('TOKEN'),
    tls: read('TLS'),
    user: read('USER'),
    password: read('PASSWORD'),
    ca: read('CA'),
  }
  if (!Object.values(servers).includes('')) return servers
  const reason = 'there are no registries: eval "$(integration/start-registry.sh)"'
  if ((process.env['S3LO_REQUIRE'] ?? '').split(',').includes('registry')) throw new Error(reason)
  process.stderr.write(`skipped: ${reason}\n`)
  return undefined
}
