import { type Descriptor, isDigest, isManifestMediaType, MEDIA_TYPE } from '@s3lo/core'
import type { HttpHeaders } from './http.ts'
import type { RegistryClient } from './registry-client.ts'

/** What a token has to allow. */
export type RepositoryAction = 'pull' | 'push' | 'delete'

/** What a repository is opened for. */
export type RepositoryAccess = 'pull' | 'push'

/** One repository of a registry: its paths, scopes and names for messages. */
export class RepositoryApi {
  readonly client: RegistryClient
  readonly repository: string
  readonly #access: RepositoryAccess

  constructor(client: RegistryClient, repository: string, access: RepositoryAccess) {
    this.client = client
    this.repository = repository
    this.#access = access
  }

  /** A path below the repository: `manifests/v1`. */
  path(rest: string): string {
    return `/v2/${this.repository}/${rest}`
  }

  /** Where the registry has what a descriptor names. */
  pathOf({ mediaType, digest }: Descriptor): string {
    return this.path(`${isManifestMediaType(mediaType) ? 'manifests' : 'blobs'}/${digest}`)
  }

  /**
   * What a call needs. A repository that is written to is read by the same token: some registries
   * do not let a token with less know that it is not there yet.
   */
  scopes(action: RepositoryAction): readonly string[] {
    const needed = action === 'pull' ? this.#access : action
    const actions = needed === 'pull' ? needed : `pull,${needed}`
    return [`repository:${this.repository}:${actions}`]
  }

  /** For messages: `ghcr.io/org/app:v1`. */
  nameOf({ tag, digest }: { readonly tag?: string; readonly digest?: string }): string {
    const name = `${this.client.host}/${this.repository}`
    if (digest !== undefined) return `${name}@${digest}`
    return tag === undefined ? name : `${name}:${tag}`
  }
}

/** The manifests that are understood, as an `Accept` header. */
export const ACCEPT_MANIFESTS = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerIndex,
  MEDIA_TYPE.dockerManifest,
  MEDIA_TYPE.ociArtifact,
].join(', ')

/** A `Content-Type` without its parameters, in small letters; empty where there is none. */
export function mediaTypeIn(contentType: string | undefined): string {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

/** What a registry says is the digest of its answer; `undefined` where it says nothing. */
export function digestIn(headers: HttpHeaders): string | undefined {
  const said = headers.get('docker-content-digest')?.split(',') ?? []
  // Proxies send a header twice, and some servers write hex in capitals: the digest is the same.
  const digests = new Set(said.map((one) => one.trim()).map(spelled))
  return [...digests].join(', ') || undefined
}

function spelled(digest: string): string {
  const small = digest.toLowerCase()
  return isDigest(small) ? small : digest
}
