import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CallOptions } from './contract/call-options.ts'
import type { Plugin, TransportOptions } from './contract/plugin.ts'
import type { BackendOptions, StorageBackend, StoreLocation } from './contract/storage-backend.ts'
import { S3loError } from './errors.ts'
import type { SourceEnd, TargetEnd } from './graph/transfer.ts'
import { type ImageEnd, parseImageEnd } from './image-end.ts'
import {
  parseConfigReference,
  parseExplicitReference,
  parseStoreReference,
  type StoreReference,
} from './layout/store-reference.ts'
import { type Maintenance, MaintenanceHost } from './maintenance.ts'
import type { CopyOptions, CopyResult } from './operations/copy.ts'
import type { DeleteOptions, DeleteResult } from './operations/delete-tag.ts'
import type { HistoryOptions, ImageHistory, TagHistory } from './operations/history.ts'
import type { InspectResult } from './operations/inspect.ts'
import type { ListedImage } from './operations/list.ts'
import type { PullOptions, PullResult } from './operations/pull.ts'
import type { PushOptions, PushResult } from './operations/push.ts'
import { type FindPlugin, PluginRegistry } from './plugin-registry.ts'
import type { ImageStore } from './store/image-store.ts'

export interface HostOptions {
  /** What can be opened: backends by scheme, sources by transport. */
  readonly plugins?: readonly Plugin[] | undefined
  /** Asked for what `plugins` do not offer. */
  readonly findPlugin?: FindPlugin | undefined
  /** Default: the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** For S3-compatible stores. */
  readonly endpoint?: string | undefined
  /** In place of `endpoint` for the source and the destination of a copy. */
  readonly sourceEndpoint?: string | undefined
  readonly destEndpoint?: string | undefined
  readonly region?: string | undefined
  readonly credentials?: unknown
  readonly plainHttp?: boolean | undefined
  /** A file of CA certificates for registries and engines. */
  readonly tlsCa?: string | undefined
}

/** The operations of s3lo, by reference string: what the command line runs and libraries use. */
export interface Host extends Maintenance {
  /** Publishes an image of the engine (a bare name) or of a transport in a store. */
  push(image: string, destination: string, options?: PushOptions): Promise<PushResult>
  /** Brings an image to the engine (default, as `image:tag`) or to a transport. */
  pull(reference: string, target?: string, options?: PullOptions): Promise<PullResult>
  /** Copies an image between any two of store, registry (a bare name), engine and archive. */
  copy(source: string, destination: string, options?: CopyOptions): Promise<CopyResult>
  /** The images of a store; a path after the bucket narrows them by name. */
  list(store: string, options?: CallOptions): Promise<readonly ListedImage[]>
  inspect(reference: string, options?: CallOptions): Promise<InspectResult>
  delete(reference: string, options?: DeleteOptions): Promise<DeleteResult>
  /** Deletes every tag of an image; its nested images are not touched. */
  deleteAllTags(image: string, options?: DeleteOptions): Promise<readonly DeleteResult[]>
  /** The images of a store by their last push. */
  storeHistory(store: string, options?: HistoryOptions): Promise<readonly ImageHistory[]>
  /** The writes of an image's tags, or of one tag when the reference names it. */
  imageHistory(image: string, options?: HistoryOptions): Promise<readonly TagHistory[]>
  /** The store itself, for what no operation does. To be closed by the caller. */
  openStore(location: StoreLocation, options?: CallOptions): Promise<ImageStore>
}

/** Makes a host of plugins. Nothing is loaded or connected before an operation needs it. */
export function createHost(options: HostOptions = {}): Host {
  return new PluginHost(options)
}

/** The transport of a bare name on each side. */
const ENGINE = 'docker-daemon'
const REGISTRY = 'docker'

class PluginHost extends MaintenanceHost implements Host {
  readonly #options: HostOptions
  readonly #registry: PluginRegistry

  constructor(options: HostOptions) {
    super()
    this.#options = options
    this.#registry = new PluginRegistry(options.plugins ?? [], options.findPlugin)
  }

  async push(image: string, destination: string, options: PushOptions = {}): Promise<PushResult> {
    const to = parseExplicitReference(destination)
    const from = this.#parse(image, ENGINE)
    const { push } = await import('./operations/push.ts')
    return this.#withSource(from, options, (source) =>
      this.#withStore(to, options, (store) => push(source, store, to, options)),
    )
  }

  async pull(reference: string, target?: string, options: PullOptions = {}): Promise<PullResult> {
    const from = parseExplicitReference(reference)
    const to =
      target === undefined
        ? ({ kind: 'transport', transport: ENGINE, text: defaultTarget(from) } as const)
        : this.#parse(target, ENGINE)
    if (to.kind === 'store') {
      throw new S3loError('USAGE', `cannot pull to ${to.text}: it is a store`, {
        hint: `s3lo copy ${reference} ${to.text}`,
      })
    }
    const { pull } = await import('./operations/pull.ts')
    return this.#withStore(from, options, (store) =>
      this.#withTarget(to, options, (end) => pull(store, from, end, options)),
    )
  }

  async copy(source: string, destination: string, options: CopyOptions = {}): Promise<CopyResult> {
    const from = this.#parse(source, REGISTRY)
    const to = this.#parse(destination, REGISTRY)
    const { sourceEndpoint, destEndpoint } = this.#options
    const { copy } = await import('./operations/copy.ts')
    return this.#withSource(from, { ...options, endpoint: sourceEndpoint }, (sourceEnd) =>
      this.#withTarget(to, { ...options, endpoint: destEndpoint }, (targetEnd) => {
        const bothStream =
          sourceEnd.source.kind === 'streaming' && targetEnd.target.kind === 'streaming'
        return bothStream
          ? this.#copyThroughLayout(sourceEnd, targetEnd, options)
          : copy(sourceEnd, targetEnd, options)
      }),
    )
  }

  async list(store: string, options: CallOptions = {}): Promise<readonly ListedImage[]> {
    const location = parseStoreReference(store)
    const { list } = await import('./operations/list.ts')
    return this.withBackend(location, options, (backend) => list(backend, location.filter, options))
  }

  async inspect(reference: string, options: CallOptions = {}): Promise<InspectResult> {
    const parsed = parseExplicitReference(reference)
    const { inspect } = await import('./operations/inspect.ts')
    return this.#withStore(parsed, options, (store) => inspect(store, parsed, options))
  }

  async delete(reference: string, options: DeleteOptions = {}): Promise<DeleteResult> {
    const parsed = parseExplicitReference(reference)
    const { deleteTag } = await import('./operations/delete-tag.ts')
    return this.#withStore(parsed, options, (store) => deleteTag(store, parsed, options))
  }

  async deleteAllTags(
    image: string,
    options: DeleteOptions = {},
  ): Promise<readonly DeleteResult[]> {
    const location = parseConfigReference(image)
    const { deleteAllTags } = await import('./operations/delete-tag.ts')
    return this.#withStore(location, options, (store) =>
      deleteAllTags(store, { ...location, name: location.image }, options),
    )
  }

  async storeHistory(
    store: string,
    options: HistoryOptions = {},
  ): Promise<readonly ImageHistory[]> {
    const location = parseStoreReference(store)
    const { storeHistory } = await import('./operations/history.ts')
    return this.#withStore(location, options, (opened) =>
      storeHistory(opened, location.filter, options),
    )
  }

  async imageHistory(image: string, options: HistoryOptions = {}): Promise<readonly TagHistory[]> {
    const location = parseConfigReference(image)
    const { imageHistory } = await import('./operations/history.ts')
    return this.#withStore(location, options, (store) =>
      imageHistory(store, location.image, options),
    )
  }

  async openStore(
    { scheme, bucket }: StoreLocation,
    options: CallOptions & { readonly endpoint?: string | undefined } = {},
  ): Promise<ImageStore> {
    const backend = await this.#openBackend({ scheme, bucket }, options)
    const { ImageStore: Store } = await import('./store/image-store.ts')
    return new Store(backend)
  }

  protected override async withBackend<T>(
    location: StoreLocation,
    options: CallOptions,
    use: (backend: StorageBackend) => Promise<T>,
  ): Promise<T> {
    const backend = await this.#openBackend(location, options)
    return using(backend, () => use(backend))
  }

  async #openBackend(
    { scheme, bucket }: StoreLocation,
    options: CallOptions & { readonly endpoint?: string | undefined },
  ): Promise<StorageBackend> {
    const module = await this.#registry.backend(scheme)
    return module.openBackend({ scheme, bucket }, this.#backendOptions(options))
  }

  #parse(text: string, bareTransport: string): ImageEnd {
    return parseImageEnd(text, bareTransport, this.#registry.transports)
  }

  async #withStore<T>(
    location: StoreLocation,
    options: CallOptions & { readonly endpoint?: string | undefined },
    use: (store: ImageStore) => Promise<T>,
  ): Promise<T> {
    const store = await this.openStore(location, options)
    return using(store, () => use(store))
  }

  async #withSource<T>(
    end: ImageEnd,
    options: CallOptions & { readonly endpoint?: string | undefined },
    use: (source: SourceEnd) => Promise<T>,
  ): Promise<T> {
    if (end.kind === 'store') {
      const reference = parseExplicitReference(end.text)
      return this.#withStore(reference, options, (source) => use({ source, reference }))
    }
    const module = await this.#registry.source(end.transport)
    if (!module.openSource) throw oneWay(end.transport, 'written to')
    const opened = await module.openSource(end.text, this.#transportOptions(options))
    return using(opened.source, () => use(opened))
  }

  async #withTarget<T>(
    end: ImageEnd,
    options: CallOptions & { readonly endpoint?: string | undefined },
    use: (target: TargetEnd) => Promise<T>,
  ): Promise<T> {
    if (end.kind === 'store') {
      const reference = parseExplicitReference(end.text)
      return this.#withStore(reference, options, (target) => use({ target, reference }))
    }
    const module = await this.#registry.source(end.transport)
    if (!module.openTarget) throw oneWay(end.transport, 'read from')
    const opened = await module.openTarget(end.text, this.#transportOptions(options))
    return using(opened.target, () => use(opened))
  }

  /** Between two ends that both stream, a layout folder holds the image: neither waits for the other. */
  async #copyThroughLayout(
    from: SourceEnd,
    to: TargetEnd,
    options: CopyOptions,
  ): Promise<CopyResult> {
    const { copy } = await import('./operations/copy.ts')
    const folder = await mkdtemp(join(tmpdir(), 's3lo-copy-'))
    const layout = { kind: 'transport', transport: 'oci', text: `${folder}:copy` } as const
    try {
      await this.#withTarget(layout, options, (target) => copy(from, target, options))
      return await this.#withSource(layout, options, (source) => copy(source, to, options))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  #backendOptions(
    options: CallOptions & { readonly endpoint?: string | undefined },
  ): BackendOptions {
    const { env = process.env, endpoint, region, credentials } = this.#options
    return {
      env,
      endpoint: options.endpoint ?? endpoint,
      region,
      credentials,
      signal: options.signal,
    }
  }

  #transportOptions({ signal }: CallOptions): TransportOptions {
    const { env = process.env, tlsCa, plainHttp } = this.#options
    const registryCredential: TransportOptions['registryCredential'] = async (host, options) => {
      const module = await this.#registry.registryCredential(host)
      return module?.getRegistryCredential(host, { env, ...options })
    }
    return { env, tlsCa, plainHttp, registryCredential, signal }
  }
}

/** What an image is called in the engine unless the user says otherwise. */
function defaultTarget({ name, tag, digest }: StoreReference): string {
  if (tag !== undefined) return `${name}:${tag}`
  throw new S3loError('USAGE', `${name}@${digest} has no tag to give the image in the engine`, {
    hint: `name one: s3lo pull <reference> ${name}:latest`,
  })
}

function oneWay(transport: string, direction: string): S3loError {
  return new S3loError('UNSUPPORTED', `${transport}: can only be ${direction}`)
}

/** Runs `use` and closes the resource whatever comes of it. */
async function using<T>(resource: { close?(): Promise<void> }, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } finally {
    await resource.close?.()
  }
}
