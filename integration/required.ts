import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** What CI insists on: a comma-separated list such as `data,engines`. */
const REQUIRED = new Set((process.env['S3LO_REQUIRE'] ?? '').split(','))

/** True where a suite that cannot run has to fail. */
export function isRequired(kind: string): boolean {
  return REQUIRED.has(kind)
}

/**
 * A value that a suite needs from outside. Without it the suite is skipped, with the reason
 * printed, except where S3LO_REQUIRE names its kind: there it fails.
 */
function required(kind: string, variable: string, what: string): string | undefined {
  const value = process.env[variable]
  if (value) return value
  const reason = `${what} is not there: set ${variable}`
  if (isRequired(kind)) throw new Error(reason)
  process.stderr.write(`skipped: ${reason}\n`)
  return undefined
}

/**
 * What the variables of a server say, in their order. Without one of them the suites are skipped as
 * {@link required} says; `script` starts the server.
 */
export function requiredServer<const Names extends readonly string[]>(
  kind: string,
  script: string,
  names: Names,
): Readonly<Record<Names[number], string>> | undefined {
  const what = `a server of the kind ${kind} (eval "$(integration/${script})")`
  const entries = names.map((name) => [name, required(kind, name, what)] as const)
  if (entries.some(([, value]) => value === undefined)) return undefined
  return Object.fromEntries(entries) as Record<Names[number], string>
}

/** A folder of real test data below S3LO_TEST_DATA. */
export function requiredData(name: string): string | undefined {
  const root = required('data', 'S3LO_TEST_DATA', `real test data (${name})`)
  if (root === undefined) return undefined
  const path = join(root, name)
  if (!existsSync(path)) throw new Error(`S3LO_TEST_DATA has no ${name}`)
  return path
}

/** The address of a service of one kind, that its start script prints. */
export function requiredService(kind: string, variable: string): string | undefined {
  return required(kind, variable, `a service (${kind})`)
}

/** The registries of start-registry.sh, each as `host:port`. */
export interface Registries {
  readonly open: string
  readonly htpasswd: string
  readonly token: string
  readonly tls: string
  readonly user: string
  readonly password: string
  /** A file: the certificate of the one with TLS. */
  readonly ca: string
}

/** The registries that the environment names; `registry` in S3LO_REQUIRE makes their absence a failure. */
export function requiredRegistries(): Registries | undefined {
  const read = (name: string): string => process.env[`S3LO_TEST_REGISTRY_${name}`] ?? ''
  const registries = {
    open: read('OPEN'),
    htpasswd: read('HTPASSWD'),
    token: read('TOKEN'),
    tls: read('TLS'),
    user: read('USER'),
    password: read('PASSWORD'),
    ca: read('CA'),
  }
  if (!Object.values(registries).includes('')) return registries
  const reason = 'there are no registries: eval "$(integration/start-registry.sh)"'
  if ((process.env['S3LO_REQUIRE'] ?? '').split(',').includes('registry')) throw new Error(reason)
  process.stderr.write(`skipped: ${reason}\n`)
  return undefined
}

/** Independent clients of registries, as clients.sh brings them: paths of their programs. */
export interface Clients {
  readonly skopeo: string
  readonly crane: string
  readonly oras: string
}

/** The clients that the environment names; `registry` in S3LO_REQUIRE makes their absence a failure. */
export function requiredClients(): Clients | undefined {
  const paths = ['SKOPEO', 'CRANE', 'ORAS'].map((name) => {
    const what = 'an independent client of registries (integration/clients.sh)'
    return required('registry', `S3LO_TEST_CLIENT_${name}`, what)
  })
  const [skopeo, crane, oras] = paths
  return skopeo && crane && oras ? { skopeo, crane, oras } : undefined
}
