import {
  type RegistryCredential,
  type RegistryCredentialOptions,
  S3loError,
} from '@s3lo/core/plugin'
import { findAccess } from './access.ts'
import { resolveEndpoint } from './endpoint.ts'
import { TokenError, toFailure } from './errors.ts'

/** The user whose password is an access token, at every registry of Google. */
const USERNAME = 'oauth2accesstoken'

/**
 * An access token of Application Default Credentials for Artifact Registry or Container Registry.
 * `undefined` where there are none; throws `UNAUTHORIZED` for some that do not work.
 */
export async function getRegistryCredential(
  host: string,
  { env, signal }: RegistryCredentialOptions,
): Promise<RegistryCredential | undefined> {
  signal?.throwIfAborted()
  // An emulator of storage says nothing about registries.
  const access = await findAccess({ env }, resolveEndpoint({ env: {} }))
  try {
    const headers = await access.headers(signal ?? new AbortController().signal)
    const [, token] = /^Bearer (.+)$/.exec(headers['authorization'] ?? '') ?? []
    if (token === undefined) throw new TokenError()
    const expiresAt = await access.expiresAt?.()
    return { username: USERNAME, password: token, ...(expiresAt && { expiresAt }) }
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof TokenError && error.isAbsent) return undefined
    const { error: thrown } = toFailure(error, host)
    throw thrown instanceof S3loError ? thrown : error
  }
}
