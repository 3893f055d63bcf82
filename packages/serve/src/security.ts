import { readBoundedFile } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { dirname, resolve } from 'node:path'
import { type AccessControl, createAccessControl } from './auth/access.ts'
import type { AccessOptions, AccessSettings } from './auth/access-state.ts'
import { readHtpasswd } from './auth/htpasswd.ts'
import { changesAnonymously } from './auth/rules.ts'
import { parseSigningKey, type SigningKey } from './auth/signing-key.ts'
import { createBrowserGuard } from './browser-guard.ts'
import {
  MAX_SERVE_CONFIG_BYTES,
  NO_CONFIG,
  parseServeConfig,
  type ServeConfig,
} from './config/serve-config.ts'
import type { Guard } from './options.ts'
import { planServing, type ServePlan, type ServeSettings } from './serve-plan.ts'

const MAX_KEY_BYTES = 16 * 1024

type Environment = Readonly<Record<string, string | undefined>>

/** What the checks of requests follow from. */
export interface SecurityFiles {
  readonly plan: ServePlan
  readonly access: AccessSettings
  /** Files with secrets, that are read again when they change. */
  readonly watched: readonly string[]
}

/** Reads a `serve.yaml` (none gives an empty one) and what it names. Throws `USAGE` and `INTEGRITY`. */
export async function readSecurity(
  settings: ServeSettings,
  env: Environment,
  madeKey: SigningKey,
): Promise<SecurityFiles> {
  const config = await readConfig(settings.config)
  const plan = planServing(settings, config)
  const { htpasswd, signingKey, issuers } = config
  return {
    plan,
    access: {
      users: htpasswd === undefined ? new Map() : await readHtpasswd(htpasswd),
      issuers,
      rules: plan.rules,
      signingKey: await readKey(signingKey, env, madeKey),
    },
    watched: [htpasswd ?? [], signingKey?.from === 'file' ? signingKey.path : []].flat(),
  }
}

/** Paths are seen from the folder of the file. */
async function readConfig(path: string | undefined): Promise<ServeConfig> {
  if (path === undefined) return NO_CONFIG
  const config = await parseServeConfig(await readBoundedFile(path, MAX_SERVE_CONFIG_BYTES), path)
  const from = (file: string): string => resolve(dirname(path), file)
  const { htpasswd, signingKey, tls, issuers } = config
  return {
    ...config,
    issuers: issuers.map((issuer) =>
      issuer.jwks.from === 'file'
        ? { ...issuer, jwks: { from: 'file', at: from(issuer.jwks.at) } }
        : issuer,
    ),
    ...(htpasswd !== undefined && { htpasswd: from(htpasswd) }),
    ...(tls && { tls: { cert: from(tls.cert), key: from(tls.key) } }),
    ...(signingKey?.from === 'file' && {
      signingKey: { from: 'file', path: from(signingKey.path) },
    }),
  }
}

async function readKey(
  place: ServeConfig['signingKey'],
  env: Environment,
  made: SigningKey,
): Promise<SigningKey> {
  if (!place) return made
  if (place.from === 'file') {
    const pem = await readBoundedFile(place.path, MAX_KEY_BYTES)
    return parseSigningKey(pem.toString('utf8'), place.path)
  }
  const pem = env[place.name]
  if (pem) return parseSigningKey(pem, place.name)
  throw new S3loError('USAGE', `the variable ${place.name} has no signing key`)
}

/** The checks of a running server. */
export interface Security {
  readonly control: AccessControl
  readonly guard: Guard
  /** Reads everything again. What cannot be read or is not valid changes nothing, and is thrown. */
  readonly reload: () => Promise<SecurityFiles>
}

/** Checks requests by what was read, and by what is read again later. */
export function createSecurity(
  initial: SecurityFiles,
  read: () => Promise<SecurityFiles>,
  options: Pick<AccessOptions, 'onLogIn'>,
): Security {
  const { externalUrl, trustedProxies } = initial.plan
  const control = createAccessControl(initial.access, { ...options, externalUrl, trustedProxies })
  let guard = guardOf(initial.plan)
  let reloading: Promise<SecurityFiles> | undefined
  const reload = async (): Promise<SecurityFiles> => {
    const files = await read()
    control.replace(files.access)
    guard = guardOf(files.plan)
    return files
  }
  return {
    control,
    guard: (request) => guard(request),
    // One after the other: a slow read must not undo a later one.
    reload: () => (reloading = (reloading ?? Promise.resolve()).then(reload, reload)),
  }
}

function guardOf({ rules, canLogIn, allowHosts, externalUrl }: ServePlan): Guard {
  const isOpen = !canLogIn || rules.some(changesAnonymously)
  return createBrowserGuard({ isOpen, allowHosts, externalUrl })
}
