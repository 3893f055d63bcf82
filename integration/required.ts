import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { requiredVariables } from '@s3lo/core/testing'

/** What the variables of a server say; `script` starts the server. */
export function requiredServer<const Names extends readonly string[]>(
  kind: string,
  script: string,
  names: Names,
): Readonly<Record<Names[number], string>> | undefined {
  return requiredVariables(kind, names, `eval "$(integration/${script})"`)
}

/** A folder of real test data below S3LO_TEST_DATA. Throws where that folder lacks it. */
export function requiredData(name: string): string | undefined {
  const hint = 'it names a folder of real test data'
  const root = requiredVariables('data', ['S3LO_TEST_DATA'], hint)?.S3LO_TEST_DATA
  if (root === undefined) return undefined
  const path = join(root, name)
  if (!existsSync(path)) throw new Error(`S3LO_TEST_DATA has no ${name}`)
  return path
}

/** The address of a service of one kind, that its start script prints. */
export function requiredService(kind: string, variable: string): string | undefined {
  return requiredVariables(kind, [variable], `a script in integration starts ${kind}`)?.[variable]
}

const REGISTRY_NAMES = ['OPEN', 'HTPASSWD', 'TOKEN', 'TLS', 'USER', 'PASSWORD', 'CA'] as const

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

/** The registries that the environment names. */
export function requiredRegistries(): Registries | undefined {
  const variables = REGISTRY_NAMES.map((name) => `S3LO_TEST_REGISTRY_${name}` as const)
  const found = requiredServer('registry', 'start-registry.sh', variables)
  return (
    found && {
      open: found.S3LO_TEST_REGISTRY_OPEN,
      htpasswd: found.S3LO_TEST_REGISTRY_HTPASSWD,
      token: found.S3LO_TEST_REGISTRY_TOKEN,
      tls: found.S3LO_TEST_REGISTRY_TLS,
      user: found.S3LO_TEST_REGISTRY_USER,
      password: found.S3LO_TEST_REGISTRY_PASSWORD,
      ca: found.S3LO_TEST_REGISTRY_CA,
    }
  )
}

/** Independent clients of registries, as clients.sh brings them: paths of their programs. */
export interface Clients {
  readonly skopeo: string
  readonly crane: string
  readonly oras: string
}

/** The clients that the environment names. */
export function requiredClients(): Clients | undefined {
  const found = requiredServer('registry', 'clients.sh', [
    'S3LO_TEST_CLIENT_SKOPEO',
    'S3LO_TEST_CLIENT_CRANE',
    'S3LO_TEST_CLIENT_ORAS',
  ])
  return (
    found && {
      skopeo: found.S3LO_TEST_CLIENT_SKOPEO,
      crane: found.S3LO_TEST_CLIENT_CRANE,
      oras: found.S3LO_TEST_CLIENT_ORAS,
    }
  )
}

/** Clients that clients.sh brings for S3LO_TEST_NIGHTLY only: paths of their programs. */
export interface NightlyClients {
  readonly regctl: string
  readonly helm: string
  readonly buildx: string
}

/** The clients of the night; `undefined` by day. */
export function requiredNightlyClients(): NightlyClients | undefined {
  if (process.env['S3LO_TEST_NIGHTLY'] === undefined) return undefined
  const found = requiredServer('registry', 'clients.sh', [
    'S3LO_TEST_CLIENT_REGCTL',
    'S3LO_TEST_CLIENT_HELM',
    'S3LO_TEST_CLIENT_BUILDX',
  ])
  return (
    found && {
      regctl: found.S3LO_TEST_CLIENT_REGCTL,
      helm: found.S3LO_TEST_CLIENT_HELM,
      buildx: found.S3LO_TEST_CLIENT_BUILDX,
    }
  )
}

/** cosign by its major version, as start-cosign.sh brings it. */
export function requiredCosign(): Readonly<Record<2 | 3, string>> | undefined {
  const names = ['S3LO_TEST_COSIGN_2', 'S3LO_TEST_COSIGN_3'] as const
  const found = requiredServer('cosign', 'start-cosign.sh', names)
  return found && { 2: found.S3LO_TEST_COSIGN_2, 3: found.S3LO_TEST_COSIGN_3 }
}
