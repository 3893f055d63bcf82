import type { CallOptions } from '../contract/call-options.ts'
import type { RegistryCredential } from '../contract/plugin.ts'
import type { LoginResult, LogoutResult } from '../contract/registry-login.ts'
import { S3loError } from '../errors.ts'
import type { Opener } from './opener.ts'

/** The transport of registries. */
const REGISTRY = 'docker'

/** See `Host.login`. */
export async function loginToRegistry(
  opener: Opener,
  registry: string,
  credential: RegistryCredential,
  options: CallOptions = {},
): Promise<LoginResult> {
  const module = await opener.registry.source(REGISTRY)
  if (!module.login) throw noLogins()
  return module.login(registry, credential, opener.transportOptions(options))
}

/** See `Host.logout`. */
export async function logoutOfRegistry(
  opener: Opener,
  registry: string,
  options: CallOptions = {},
): Promise<LogoutResult> {
  const module = await opener.registry.source(REGISTRY)
  if (!module.logout) throw noLogins()
  return module.logout(registry, opener.transportOptions(options))
}

function noLogins(): S3loError {
  return new S3loError('UNSUPPORTED', `${REGISTRY}: the plugin keeps no logins`)
}
