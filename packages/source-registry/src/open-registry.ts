import {
  CacheFile,
  type OpenedSource,
  type OpenedTarget,
  type TransportOptions,
} from '@s3lo/core/plugin'
import { Authenticator } from './auth/authenticator.ts'
import { BlobPlaces, MAX_PLACES_BYTES } from './blob-places.ts'
import { readCertificates } from './certificates.ts'
import { RegistryClient } from './registry-client.ts'
import { isPlainHttpHost, parseRegistryName } from './registry-name.ts'
import type { RepositoryAccess } from './repository-api.ts'
import { RegistryRepository } from './registry-repository.ts'

export { login, logout } from './auth/login.ts'

/** Opens `[//][host/]name[:tag][@digest]` to read. */
export async function openSource(text: string, options: TransportOptions): Promise<OpenedSource> {
  const { repository: source, reference } = await openRepository(text, 'pull', options)
  return { source, reference }
}

/** Opens `[//][host/]name[:tag]` to write. */
export async function openTarget(text: string, options: TransportOptions): Promise<OpenedTarget> {
  const { repository: target, reference } = await openRepository(text, 'push', options)
  return { target, reference }
}

async function openRepository(text: string, access: RepositoryAccess, options: TransportOptions) {
  const { host, apiHost, reference } = parseRegistryName(text)
  const { env, registryCredential, tlsCa, plainHttp: isAsked, onProgress } = options
  // A certificate to trust says that there is TLS, on this machine too.
  const plainHttp = isAsked === true || (tlsCa === undefined && isPlainHttpHost(apiHost))
  const client = new RegistryClient({
    host,
    apiHost,
    plainHttp,
    env,
    authorizer: (fetch) => new Authenticator({ host, plainHttp, env, fetch, registryCredential }),
    tlsCa: await readCertificates(tlsCa),
    onNotice: (message) => onProgress?.({ type: 'notice', code: 'registry', message }),
  })
  const places = placesOf(env)
  const repository = new RegistryRepository(client, reference.name, { access, places })
  return { repository, reference }
}

/** One for each environment, so that what one repository has shown serves the next. */
const PLACES = new WeakMap<object, BlobPlaces>()

function placesOf(env: TransportOptions['env']): BlobPlaces {
  const known = PLACES.get(env)
  if (known) return known
  const places = new BlobPlaces(new CacheFile(env, 'registry-blobs.json', MAX_PLACES_BYTES))
  PLACES.set(env, places)
  return places
}
