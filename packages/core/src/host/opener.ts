import type { CallOptions } from '../contract/call-options.ts'
import type { Plugin, TransportOptions } from '../contract/plugin.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { BackendOptions, StorageBackend, StoreLocation } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import type { SourceEnd, TargetEnd } from '../graph/transfer-request.ts'
import type { ImageEnd, ImageEndSyntax } from '../image-end.ts'
import { formatStore } from '../layout/format-store.ts'
import { markError, markSide } from './failed-side.ts'
import type { StoreReference } from '../layout/store-reference.ts'
import { type FindPlugin, PluginRegistry } from '../plugin-registry.ts'
import type { OpenFrameCache } from '../chunk/encode-layer.ts'
import type { ImageStore } from '../store/image-store.ts'

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
  /** The services at these endpoints keep every guarantee, and are not tried out. */
  readonly trustEndpoint?: boolean | undefined
  readonly region?: string | undefined
  readonly credentials?: unknown
  readonly plainHttp?: boolean | undefined
  /** A file of CA certificates for registries and engines. */
  readonly tlsCa?: string | undefined
}

/** An image of a store that is open. */
export interface OpenedImage {
  /** To be closed by the caller. */
  readonly store: ImageStore
  /** Its digest, where it has one, is whole. */
  readonly reference: StoreReference
}

/** What a store is opened with, over what the host was made with. */
export interface OpenOptions extends CallOptions, ProgressOptions {
  readonly endpoint?: string | undefined
}

/** A store that stays open while several operations use it. */
interface HeldStore {
  readonly location: StoreLocation
  readonly backend: StorageBackend
  isClosed: boolean
}

/** Opens what operations work on. Nothing is loaded or connected before it is asked for. */
export class Opener {
  readonly options: HostOptions
  readonly registry: PluginRegistry

  readonly #held: HeldStore | undefined

  constructor(options: HostOptions, registry?: PluginRegistry, held?: HeldStore) {
    this.options = options
    this.registry = registry ?? new PluginRegistry(options.plugins ?? [], options.findPlugin)
    this.#held = held
  }

  /** Opens a store, and gives what opens everything as this does, but works on that store. */
  async hold(location: StoreLocation, options: OpenOptions): Promise<Opener> {
    const backend = await this.openBackend(location, options)
    return new Opener(this.options, this.registry, { location, backend, isClosed: false })
  }

  /** Closes the store that is held. */
  async close(): Promise<void> {
    const held = this.#held
    if (!held || held.isClosed) return
    held.isClosed = true
    await held.backend.close?.()
  }

  /** The environment that plugins see. */
  get env(): Readonly<Record<string, string | undefined>> {
    return this.options.env ?? process.env
  }

  /** Asked by a push that encodes chunks. */
  readonly #frames: OpenFrameCache = async () => {
    const { openFrameFolder } = await import('../files/frame-folder.ts')
    return openFrameFolder(this.env)
  }

  /** To be closed by the caller. */
  async openStore(
    { scheme, bucket }: StoreLocation,
    options: OpenOptions = {},
  ): Promise<ImageStore> {
    const backend = await this.openBackend({ scheme, bucket }, options)
    const { ImageStore: Store } = await import('../store/image-store.ts')
    return new Store(backend, { frames: this.#frames })
  }

  /**
   * Opens the store of an image that is only read, and expands a shortened digest. What writes never
   * comes here: it has to be told exactly what is meant. Throws `NOT_FOUND` for a shortened digest
   * that no manifest of the image has, `INVALID_REFERENCE` for one that several have.
   */
  async openImage(reference: StoreReference, options: OpenOptions = {}): Promise<OpenedImage> {
    const store = await this.openStore(reference, options)
    try {
      const { expandDigest } = await import('../graph/expand-digest.ts')
      return { store, reference: await expandDigest(store, reference, options) }
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** Runs `use` on an image that is only read, as {@link openImage} opens it, and closes its store. */
  async withImage<T>(
    reference: StoreReference,
    options: OpenOptions,
    use: (store: ImageStore, reference: StoreReference) => Promise<T>,
  ): Promise<T> {
    return this.withStore(reference, options, async (store) => {
      const { expandDigest } = await import('../graph/expand-digest.ts')
      return use(store, await expandDigest(store, reference, options))
    })
  }

  /** Runs `use` on the store's backend, and closes it in any case. */
  async withBackend<T>(
    location: StoreLocation,
    options: OpenOptions,
    use: (backend: StorageBackend) => Promise<T>,
  ): Promise<T> {
    const held = this.#heldFor(location, options)
    if (held) return use(held)
    const backend = await this.openBackend(location, options)
    return using(backend, () => use(backend))
  }

  /** The backend that is held, where it is the one that is asked for. Throws `USAGE` once it is closed. */
  #heldFor({ scheme, bucket }: StoreLocation, options: OpenOptions): StorageBackend | undefined {
    const held = this.#held
    if (held?.location.scheme !== scheme || held.location.bucket !== bucket) return undefined
    const { endpoint = this.options.endpoint } = options
    if (endpoint !== this.options.endpoint) return undefined
    if (held.isClosed) throw new S3loError('USAGE', `${formatStore(held.location)} is closed`)
    options.signal?.throwIfAborted()
    return held.backend
  }

  /** To be closed by the caller. */
  async openBackend(
    { scheme, bucket }: StoreLocation,
    options: OpenOptions,
  ): Promise<StorageBackend> {
    const module = await this.registry.backend(scheme)
    return module.openBackend({ scheme, bucket }, this.#backendOptions(options))
  }

  /** How sides of a transfer are read; a bare name is of `bareTransport`. */
  endSyntax(bareTransport: string): ImageEndSyntax {
    return { bareTransport, transports: this.registry.transports }
  }

  /** Runs `use` on the store, and closes it in any case. */
  async withStore<T>(
    location: StoreLocation,
    options: OpenOptions,
    use: (store: ImageStore) => Promise<T>,
  ): Promise<T> {
    return this.withBackend(location, options, async (backend) => {
      const { ImageStore: Store } = await import('../store/image-store.ts')
      return use(new Store(backend, { frames: this.#frames }))
    })
  }

  /** As {@link withStore}, with any source of an image. */
  async withSource<T>(
    end: ImageEnd,
    options: OpenOptions,
    use: (source: SourceEnd) => Promise<T>,
  ): Promise<T> {
    if (end.kind === 'store') {
      return this.withImage(end.reference, options, (source, reference) =>
        use({ source: markSide(source, 'source'), reference }),
      )
    }
    const module = await this.registry.source(end.transport)
    if (!module.openSource) throw oneWay(end.transport, 'written to')
    const opened = await module
      .openSource(end.text, this.transportOptions(options))
      .catch((error: unknown) => {
        throw markError(error, 'source')
      })
    return using(opened.source, () => use({ ...opened, source: markSide(opened.source, 'source') }))
  }

  /** As {@link withStore}, with any target of an image. */
  async withTarget<T>(
    end: ImageEnd,
    options: OpenOptions,
    use: (target: TargetEnd) => Promise<T>,
  ): Promise<T> {
    if (end.kind === 'store') {
      const { reference } = end
      return this.withStore(reference, options, (target) =>
        use({ target: markSide(target, 'target'), reference }),
      )
    }
    const module = await this.registry.source(end.transport)
    if (!module.openTarget) throw oneWay(end.transport, 'read from')
    const opened = await module
      .openTarget(end.text, this.transportOptions(options))
      .catch((error: unknown) => {
        throw markError(error, 'target')
      })
    return using(opened.target, () => use({ ...opened, target: markSide(opened.target, 'target') }))
  }

  /** What a transport is opened with. */
  transportOptions({ signal, onProgress }: OpenOptions): TransportOptions {
    const { env } = this
    const { tlsCa, plainHttp } = this.options
    const registryCredential: TransportOptions['registryCredential'] = async (host, options) => {
      const module = await this.registry.registryCredential(host)
      return module?.getRegistryCredential(host, { env, ...options })
    }
    return { env, tlsCa, plainHttp, registryCredential, signal, onProgress }
  }

  #backendOptions(options: OpenOptions): BackendOptions {
    const { env } = this
    const { endpoint, trustEndpoint, region, credentials } = this.options
    return {
      env,
      endpoint: options.endpoint ?? endpoint,
      // Without a word, the environment may vouch for the service.
      ...(trustEndpoint && { trustEndpoint }),
      region,
      credentials,
      signal: options.signal,
      onProgress: options.onProgress,
    }
  }
}

function oneWay(transport: string, direction: string): S3loError {
  return new S3loError('UNSUPPORTED', `${transport}: can only be ${direction}`)
}

/** Runs `use` and closes the resource in any case. */
async function using<T>(resource: { close?(): Promise<void> }, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } finally {
    await resource.close?.()
  }
}
