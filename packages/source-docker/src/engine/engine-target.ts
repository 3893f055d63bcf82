import {
  type CallOptions,
  type ContentSource,
  type ManifestDocument,
  type Reference,
  S3loError,
  type StreamingTarget,
} from '@s3lo/core'
import { dockerArchiveFiles } from '../image/docker-archive-files.ts'
import { engineName, fullImageName, fullReference } from '../image/image-name.ts'
import { ociArchiveFiles } from '../image/oci-archive-files.ts'
import { type TarFile, writeTar } from '../tar/tar-writer.ts'
import type { Engine, EngineKind } from './engine.ts'
import { readLoadAnswer } from './load-answer.ts'

/**
 * An engine to load images into: the archive it understands goes straight from the source to its
 * socket, and is whole or refused.
 */
export class EngineTarget implements StreamingTarget {
  readonly kind = 'streaming'
  readonly name: string
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
    this.name = `docker engine at ${engine.address}`
  }

  async acceptsIndex(options?: CallOptions): Promise<boolean> {
    return (await this.#engine.kind(options)) === 'containerd'
  }

  async receive(
    root: ManifestDocument,
    source: ContentSource,
    reference: Reference,
    options: CallOptions = {},
  ): Promise<void> {
    const kind = await this.#engine.kind(options)
    const files = await this.#files(kind, root, source, reference, options)
    const what = `image ${engineName(reference)}`
    const answer = await this.#engine.load(writeTar(files, options), what, options)
    await readLoadAnswer(this.#engine.bytes(answer, options), what)
    await this.#verify(kind, root, reference, options)
  }

  async close(): Promise<void> {
    this.#engine.close()
  }

  async #files(
    kind: EngineKind,
    root: ManifestDocument,
    source: ContentSource,
    reference: Reference,
    { signal }: CallOptions,
  ): Promise<AsyncIterable<TarFile>> {
    const imageName = fullImageName(reference)
    if (kind === 'containerd') {
      return ociArchiveFiles(root, source, { refName: reference.tag, imageName }, { signal })
    }
    const keepZstd = await this.#engine.readsZstd({ signal })
    return dockerArchiveFiles(root, source, { repoTags: [imageName], keepZstd, signal })
  }

  /** An engine may answer with success and have done something else. */
  async #verify(
    kind: EngineKind,
    root: ManifestDocument,
    reference: Reference,
    options: CallOptions,
  ): Promise<void> {
    const { manifest } = root
    const byConfig = kind !== 'containerd' && manifest.kind === 'manifest'
    const expected = byConfig ? manifest.config.digest : root.descriptor.digest
    // By its whole name: podman would look for a short one in other places first.
    const { id } = await this.#engine.inspect(fullReference(reference), options)
    if (id === expected) return
    const name = engineName(reference)
    throw new S3loError(
      'INTEGRITY',
      `the engine's ${name} is ${id} after the load, not ${expected}`,
      {
        hint: 'someone else may have tagged it at the same moment; try again',
      },
    )
  }
}
