import type { CallOptions } from '@s3lo/core/plugin'

/** What a registry, or its token service, takes as proof. `source` says where it was found. */
export type Credential =
  | {
      readonly kind: 'password'
      readonly username: string
      readonly password: string
      readonly source: string
      /** Where it is known to be good for a while only. */
      readonly expiresAt?: Date
    }
  /** A refresh token, which buys access tokens from the token service. */
  | { readonly kind: 'identity-token'; readonly token: string; readonly source: string }
  /** A bearer token for the registry itself. */
  | { readonly kind: 'registry-token'; readonly token: string; readonly source: string }

/** For whom a credential is looked for. */
export interface FindCredentialOptions extends CallOptions {
  /** Some files have credentials for parts of a registry: `team/app`. */
  readonly repository?: string | undefined
}

/** Where credentials are found. */
export interface CredentialStore {
  /** What is to be used for a registry host; `undefined` when nothing is known of it. */
  find(host: string, options?: FindCredentialOptions): Promise<Credential | undefined>
}
