import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Contender } from './bench-process.ts'

/** A registry of the bench. */
export interface BenchRegistry {
  /** `host:port`. */
  readonly host: string
  /** A file with the certificate to trust; without one there is no TLS. */
  readonly ca?: string | undefined
  /** A folder with Docker's `config.json`, where it takes a password. */
  readonly config?: string | undefined
}

/** The registries that the environment names: one without TLS and passwords, then one with both. */
export function benchRegistries(work: string): readonly BenchRegistry[] {
  const env = (name: string): string | undefined => process.env[`S3LO_TEST_REGISTRY_${name}`]
  const [open, tls, ca] = [env('OPEN'), env('TLS'), env('CA')]
  if (open === undefined) return []
  if (tls === undefined || ca === undefined) return [{ host: open }]
  const config = join(work, 'docker')
  const auth = Buffer.from(`${env('USER')}:${env('PASSWORD')}`).toString('base64')
  mkdirSync(config, { recursive: true })
  writeFileSync(join(config, 'config.json'), JSON.stringify({ auths: { [tls]: { auth } } }))
  return [{ host: open }, { host: tls, ca, config }]
}

/** The variables by which every client finds the certificate and the password of a registry. */
export function envOf({ ca, config }: BenchRegistry): Readonly<Record<string, string>> {
  return {
    // crane takes the certificate from here only.
    ...(ca ? { SSL_CERT_FILE: ca } : {}),
    ...(config ? { DOCKER_CONFIG: config, REGISTRY_AUTH_FILE: join(config, 'config.json') } : {}),
  }
}

/** A client that people use today. */
interface Client {
  readonly name: string
  /** The words that copy an image of the registry to an OCI layout, with all its platforms. */
  copy(image: string, layout: string, registry: BenchRegistry): readonly string[]
}

const CLIENTS: readonly Client[] = [
  {
    name: 'crane',
    copy: (image, layout, { ca }) => [
      'pull',
      ...(ca ? [] : ['--insecure']),
      '--format=oci',
      image,
      layout,
    ],
  },
  {
    name: 'oras',
    copy: (image, layout, { ca }) => [
      'copy',
      ...(ca ? ['--from-ca-file', ca] : ['--from-plain-http']),
      image,
      '--to-oci-layout',
      `${layout}:v1`,
    ],
  },
  {
    name: 'regctl',
    copy: (image, layout, { host, ca }) => [
      '--host',
      `reg=${host},tls=${ca ? 'insecure' : 'disabled'}`,
      'image',
      'copy',
      image,
      `ocidir://${layout}:v1`,
    ],
  },
  {
    name: 'skopeo',
    copy: (image, layout) => [
      'copy',
      '--all',
      '--quiet',
      '--preserve-digests',
      '--src-tls-verify=false',
      `docker://${image}`,
      `oci:${layout}:v1`,
    ],
  },
]

/** Those that are there, each with a layout of its own; `before` runs with that layout. */
export function peersThatCopy(
  { image, registry }: { readonly image: string; readonly registry: BenchRegistry },
  layoutOf: (client: string) => string,
  before: (layout: string) => void,
): readonly Contender[] {
  return CLIENTS.filter(({ name }) => isInstalled(name)).map((client) => ({
    name: client.name,
    command: [commandOf(client.name), ...client.copy(image, layoutOf(client.name), registry)],
    env: envOf(registry),
    before: () => before(layoutOf(client.name)),
  }))
}

/** A client can be named by a variable: integration/clients.sh prints them. */
export function commandOf(client: string): string {
  return process.env[`S3LO_TEST_CLIENT_${client.toUpperCase()}`] ?? client
}

function isInstalled(client: string): boolean {
  return spawnSync(commandOf(client), ['--help'], { stdio: 'ignore' }).error === undefined
}
