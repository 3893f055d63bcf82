import type { TransportOptions } from '@s3lo/core/plugin'
import { authFilePaths, readAuthFile } from './auth-file.ts'
import type { Credential, CredentialStore, FindCredentialOptions } from './credential.ts'
import { CredentialHelper } from './credential-helper.ts'
import { DockerConfig } from './docker-config.ts'
import { canonicalHost, credentialKey } from './docker-hub.ts'

/** Where credentials may come from. */
export interface CredentialsOptions {
  /** Says where the files are and which helpers can be run. */
  readonly env: TransportOptions['env']
  /** Used for every host, in place of everything else. */
  readonly explicit?: { readonly username: string; readonly password: string } | undefined
  /** What the plugins of clouds have. */
  readonly registryCredential?: TransportOptions['registryCredential']
}

/**
 * Finds the credentials for a registry: explicit ones, else those of the first file that has some
 * for the host (by its helper or written in it), else those of a cloud. Nothing is kept. Throws
 * when a file or a helper that is asked fails: that is not the same as having nothing.
 */
export class Credentials implements CredentialStore {
  readonly #options: CredentialsOptions

  constructor(options: CredentialsOptions) {
    this.#options = options
  }

  async find(
    host: string,
    { repository, signal }: FindCredentialOptions = {},
  ): Promise<Credential | undefined> {
    const { env, explicit, registryCredential } = this.#options
    if (explicit) return { kind: 'password', ...explicit, source: 'the options' }
    const name = canonicalHost(host)
    for (const path of authFilePaths(env)) {
      const file = await readAuthFile(path)
      const options = { repository, signal }
      const found = file && (await findIn(new DockerConfig(file), name, env, options))
      if (found) return found
    }
    const cloud = await registryCredential?.(name, { signal })
    return cloud && { kind: 'password', ...cloud, source: 'the cloud of this registry' }
  }
}

/** A helper that has nothing leaves the word to what is written in the file. */
async function findIn(
  config: DockerConfig,
  host: string,
  env: CredentialsOptions['env'],
  { repository, signal }: FindCredentialOptions,
): Promise<Credential | undefined> {
  const helper = config.helperFor(host)
  const kept =
    helper === undefined
      ? undefined
      : await new CredentialHelper(helper, { env }).get(credentialKey(host), { signal })
  return kept ?? config.credentialFor(host, repository)
}
