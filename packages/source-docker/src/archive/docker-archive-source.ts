import type { Readable } from 'node:stream'
import {
  type CallOptions,
  type Descriptor,
  Digester,
  digestOf,
  type FetchOptions,
  formatImageName,
  type ImageSource,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  parseImageConfig,
  type Reference,
  S3loError,
} from '@s3lo/core'
import { assembleImage, requireLayerCount, type StoredLayer } from '../image/assemble-image.ts'
import { SNIFF_SIZE, sniffForm } from '../image/compression.ts'
import {
  DOCKER_MANIFEST,
  parseDockerManifest,
  selectArchivedImage,
} from '../image/docker-manifest.ts'
import { LAYOUT_INDEX } from '../layout/layout-files.ts'
import { slice } from '../stream/slice.ts'
import { verified } from '../stream/verified.ts'
import type { TarIndex } from '../tar/tar-index.ts'

/**
 * A docker archive in a file, read where its content stands. `resolve` makes the manifest, which
 * docker archives lack, and hashes compressed layers, whose digest nothing else tells.
 */
export class DockerArchiveSource implements ImageSource {
  readonly kind = 'random-access'
  readonly name: string
  readonly #archive: TarIndex
  /** What `resolve` found, by digest: the name of a file, or the manifest itself. */
  readonly #contents = new Map<string, string | Uint8Array>()
  readonly #hashed = new Map<string, string>()

  constructor(archive: TarIndex) {
    this.name = archive.name
    this.#archive = archive
  }

  async resolve(reference: Reference, options: CallOptions = {}): Promise<Descriptor> {
    await this.#requireDockerArchive()
    const listed = await this.#archive.read(DOCKER_MANIFEST, MAX_MANIFEST_BYTES, options)
    const name = reference.name === '' ? undefined : formatImageName(reference)
    const image = selectArchivedImage(parseDockerManifest(listed, this.name), name, this.name)
    await this.#sizeOf(image.config)
    const config = await this.#archive.read(image.config, MAX_CONFIG_BYTES, options)
    const { diffIds } = parseImageConfig(config, image.config)
    requireLayerCount(image.layers.length, diffIds.length, this.name)
    const layers: StoredLayer[] = []
    for (const [i, path] of image.layers.entries()) {
      layers.push(await this.#layer(path, diffIds[i], options))
    }
    const document = assembleImage(config, layers, this.name)
    this.#contents.set(digestOf(config), image.config)
    for (const [i, { digest }] of layers.entries())
      this.#contents.set(digest, image.layers[i] ?? '')
    this.#contents.set(document.descriptor.digest, document.content)
    return document.descriptor
  }

  async fetch(descriptor: Descriptor, { range, signal }: FetchOptions = {}): Promise<Readable> {
    const found = this.#contents.get(descriptor.digest)
    if (found === undefined) {
      throw new S3loError('NOT_FOUND', `${this.name} has no ${descriptor.digest}`)
    }
    const content =
      typeof found === 'string'
        ? await this.#archive.content(found, range, { signal })
        : slice(found, range)
    return range ? content : verified(content, descriptor, signal)
  }

  async close(): Promise<void> {
    await this.#archive.close()
  }

  /** A plain layer's digest is the config's word for it, which every whole read checks. */
  async #layer(
    path: string,
    diffId: string | undefined,
    options: CallOptions,
  ): Promise<StoredLayer> {
    const size = await this.#sizeOf(path)
    const form = sniffForm(await this.#archive.head(path, SNIFF_SIZE))
    const compressed = form === 'gzip' || form === 'zstd'
    const digest = compressed || diffId === undefined ? await this.#hash(path, options) : diffId
    return { path, form, digest, size }
  }

  async #requireDockerArchive(): Promise<void> {
    if ((await this.#archive.size(DOCKER_MANIFEST)) !== undefined) return
    const isLayout = (await this.#archive.size(LAYOUT_INDEX)) !== undefined
    throw new S3loError('NOT_FOUND', `${this.name} has no ${DOCKER_MANIFEST}`, {
      hint: isLayout ? 'it is an OCI archive: write oci-archive:' : undefined,
    })
  }

  /** What `manifest.json` names must be there; where it is not, the archive was cut off. */
  async #sizeOf(path: string): Promise<number> {
    const size = await this.#archive.size(path)
    if (size !== undefined) return size
    const shown = JSON.stringify(path.slice(0, 160))
    throw new S3loError('INTEGRITY', `${this.name} has no ${shown}, which it names`)
  }

  async #hash(path: string, options: CallOptions): Promise<string> {
    const known = this.#hashed.get(path)
    if (known !== undefined) return known
    const digester = new Digester()
    const content = await this.#archive.content(path, undefined, options)
    for await (const chunk of content as AsyncIterable<Uint8Array>) digester.update(chunk)
    const digest = digester.digest()
    this.#hashed.set(path, digest)
    return digest
  }
}
