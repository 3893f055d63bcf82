import type { IncomingMessage } from 'node:http'
import {
  asArray,
  asDescriptor,
  asObject,
  asString,
  type CallOptions,
  type Descriptor,
  isDigest,
  type JsonObject,
  optional,
  type Platform,
  type Reference,
  S3loError,
} from '@s3lo/core'
import type { EngineAddress } from './engine-address.ts'
import {
  type EngineBytes,
  EngineClient,
  ENGINE_TIMEOUTS,
  type EngineTimeouts,
} from './engine-client.ts'
import { engineName } from '../image/image-name.ts'

/** How an engine keeps images: this decides what it saves and what it can load. */
export type EngineKind = 'graphdriver' | 'containerd' | 'podman'

/** One manifest of an image with several, as engines since API 1.48 list them. */
export interface ImageVariant {
  readonly descriptor: Descriptor
  /** True when the engine has its content. */
  readonly available: boolean
  /** Of its manifest, config and layers, as they are stored (bytes). */
  readonly contentSize?: number
  /** Absent for attestations. */
  readonly platform?: Platform
}

/** What an engine says about one of its images. */
export interface EngineImage {
  /** The config's digest, or, in a containerd store, that of the manifest or index. */
  readonly id: string
  readonly platform: Platform
  /** The digests of the uncompressed layers, bottom first. */
  readonly diffIds: readonly string[]
  /** Of its uncompressed layers; in a containerd store, of what is stored and unpacked (bytes). */
  readonly size?: number
  /** Only from containerd stores since API 1.48. */
  readonly variants?: readonly ImageVariant[]
}

interface EngineFacts {
  readonly kind: EngineKind
  readonly api: ApiVersion
}

type ApiVersion = readonly [major: number, minor: number]

/** The newest version of the Engine API that this code was written for. */
const NEWEST_API: ApiVersion = [1, 51]
/** What an engine speaks that does not say. */
const OLDEST_API: ApiVersion = [1, 24]
/** From here on an engine lists an image's manifests and saves a single platform. */
const PLATFORM_API: ApiVersion = [1, 48]
/** From here on (engine 23) layers may be zstd in a docker archive too. */
const ZSTD_API: ApiVersion = [1, 42]

/** A Docker engine, or one that speaks its API. Its kind is asked for once, when first needed. */
export class Engine {
  readonly #client: EngineClient
  #facts: Promise<EngineFacts> | undefined

  constructor(address: EngineAddress, timeouts: EngineTimeouts = ENGINE_TIMEOUTS) {
    this.#client = new EngineClient(address, timeouts)
  }

  get address(): string {
    return this.#client.address.text
  }

  async kind(options: CallOptions = {}): Promise<EngineKind> {
    return (await this.#know(options)).kind
  }

  /** True when a save can be limited to a platform, and the platforms that are there are listed. */
  async knowsPlatforms(options: CallOptions = {}): Promise<boolean> {
    const { kind, api } = await this.#know(options)
    return kind === 'containerd' && isAtLeast(api, PLATFORM_API)
  }

  /** True when a docker archive for this engine may have zstd layers. */
  async readsZstd(options: CallOptions = {}): Promise<boolean> {
    const { kind, api } = await this.#know(options)
    return kind !== 'graphdriver' || isAtLeast(api, ZSTD_API)
  }

  /** Throws `NOT_FOUND` naming the image. */
  async inspect(reference: Reference, options: CallOptions = {}): Promise<EngineImage> {
    const name = engineName(reference)
    const query = (await this.knowsPlatforms(options)) ? '?manifests=1' : ''
    const path = `${await this.#prefix(options)}/images/${name}/json${query}`
    return parseImage(await this.#client.getJson(path, `image ${name}`, options), name)
  }

  /** The bytes of the image as a tar, of one platform where that is asked for. */
  async save(
    reference: Reference,
    platform: Platform | undefined,
    { signal }: CallOptions = {},
  ): Promise<EngineBytes> {
    const name = engineName(reference)
    const query = platform ? `?platform=${encodeURIComponent(JSON.stringify(platform))}` : ''
    const answer = await this.#client.send({
      path: `${await this.#prefix({ signal })}/images/${name}/get${query}`,
      what: `image ${name}`,
      idleMs: this.#client.timeouts.transferIdleMs,
      signal,
    })
    return this.#client.bytes(answer, { signal })
  }

  /** Sends a tar of an image. The answer must be read: success is in its body, not in its status. */
  async load(
    body: AsyncIterable<Uint8Array>,
    what: string,
    { signal }: CallOptions = {},
  ): Promise<IncomingMessage> {
    return this.#client.send({
      method: 'POST',
      path: `${await this.#prefix({ signal })}/images/load?quiet=1`,
      what,
      idleMs: this.#client.timeouts.transferIdleMs,
      body,
      signal,
    })
  }

  /** The bytes of an answer, with failures of the connection translated. */
  bytes(answer: IncomingMessage, options: CallOptions = {}): EngineBytes {
    return this.#client.bytes(answer, options)
  }

  close(): void {
    this.#client.close()
  }

  async #prefix(options: CallOptions): Promise<string> {
    return `/v${(await this.#know(options)).api.join('.')}`
  }

  /** A failure is not remembered: the next call asks again. */
  async #know(options: CallOptions): Promise<EngineFacts> {
    this.#facts ??= this.#ask(options).catch((error: unknown) => {
      this.#facts = undefined
      throw error
    })
    return this.#facts
  }

  async #ask(options: CallOptions): Promise<EngineFacts> {
    const headers = await this.#client.getHeaders('/_ping', options)
    const api = negotiate(headers['api-version'], this.address)
    if (headers['libpod-api-version'] !== undefined) return { kind: 'podman', api }
    const path = `/v${api.join('.')}/info`
    const info = asObject(await this.#client.getJson(path, 'itself', options), path)
    return { kind: hasContainerdStore(info) ? 'containerd' : 'graphdriver', api }
  }
}

function negotiate(header: string | string[] | undefined, address: string): ApiVersion {
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(String(header ?? '')) ?? []
  if (major === undefined) return OLDEST_API
  const offered: ApiVersion = [Number(major), Number(minor)]
  if (offered[0] > NEWEST_API[0]) {
    throw new S3loError(
      'UNSUPPORTED',
      `the docker engine at ${address} speaks API ${String(header)}`,
    )
  }
  return isAtLeast(offered, NEWEST_API) ? NEWEST_API : offered
}

function isAtLeast([major, minor]: ApiVersion, [otherMajor, otherMinor]: ApiVersion): boolean {
  return major > otherMajor || (major === otherMajor && minor >= otherMinor)
}

/** `DriverStatus` is a list of pairs; the containerd store has a snapshotter for a driver. */
function hasContainerdStore(info: JsonObject): boolean {
  const status = optional(info, 'DriverStatus', 'info', asArray) ?? []
  return status.some(
    (pair) =>
      Array.isArray(pair) &&
      pair[0] === 'driver-type' &&
      String(pair[1]).startsWith('io.containerd.snapshotter'),
  )
}

function parseImage(value: unknown, name: string): EngineImage {
  const path = `image ${name}`
  const image = asObject(value, path)
  const id = asString(image['Id'], `${path}.Id`)
  const rootFs = optional(image, 'RootFS', path, asObject) ?? {}
  const layers = optional(rootFs, 'Layers', path, asArray) ?? []
  const manifests = optional(image, 'Manifests', path, asArray)
  return {
    id: isDigest(id) ? id : `sha256:${id}`, // Podman leaves the algorithm out.
    platform: toPlatform(image['Os'], image['Architecture'], image['Variant']),
    diffIds: layers.map((layer, i) => asString(layer, `${path}.RootFS.Layers[${i}]`)),
    ...sized('size', image['Size']),
    ...(manifests
      ? { variants: manifests.map((entry, i) => parseVariant(entry, `${path}.Manifests[${i}]`)) }
      : {}),
  }
}

function parseVariant(value: unknown, path: string): ImageVariant {
  const entry = asObject(value, path)
  const data = optional(entry, 'ImageData', path, asObject)
  const platform = data && optional(data, 'Platform', `${path}.ImageData`, asObject)
  return {
    descriptor: asDescriptor(entry['Descriptor'], `${path}.Descriptor`),
    available: entry['Available'] === true,
    ...sized('contentSize', optional(entry, 'Size', path, asObject)?.['Content']),
    ...(entry['Kind'] === 'image' && platform
      ? { platform: toPlatform(platform['os'], platform['architecture'], platform['variant']) }
      : {}),
  }
}

/** A size for what shows progress: one that makes no sense is as good as none. */
function sized<K extends string>(key: K, size: unknown): { readonly [P in K]?: number } {
  const known = typeof size === 'number' && Number.isSafeInteger(size) && size >= 0
  return known ? ({ [key]: size } as { readonly [P in K]?: number }) : {}
}

function toPlatform(os: unknown, architecture: unknown, variant: unknown): Platform {
  return {
    os: typeof os === 'string' ? os : '',
    architecture: typeof architecture === 'string' ? architecture : '',
    ...(typeof variant === 'string' && variant !== '' ? { variant } : {}),
  }
}
