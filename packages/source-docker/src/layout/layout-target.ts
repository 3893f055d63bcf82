import { join } from 'node:path'
import type { Readable } from 'node:stream'
import {
  asObject,
  type AttachPlace,
  type CallOptions,
  type Descriptor,
  Digester,
  type ImageTarget,
  type Publication,
  isS3loError,
  makeFolder,
  type ManifestDocument,
  parseDigest,
  parseJson,
  type Reference,
  S3loError,
  successors,
  type TagOptions,
  uniqueByDigest,
} from '@s3lo/core'
import { toFileError } from '../file-error.ts'
import { verified } from '../stream/verified.ts'
import { commitFile, flushWritten, stageFile, writeAtomically } from '../stream/write-atomically.ts'
import { LayoutDirectory, locateInside } from './layout-directory.ts'
import {
  blobPath,
  LAYOUT_INDEX,
  LAYOUT_MARKER,
  LAYOUT_MARKER_CONTENT,
  MAX_INDEX_BYTES,
} from './layout-files.ts'
import { type NewEntry, parseLayoutIndex, withEntry } from './layout-index.ts'
import { LayoutSource } from './layout-source.ts'

/**
 * An OCI layout directory to write to, and to read what is there already; it is made when it is
 * not there. Blobs and `index.json`
 * appear whole or not at all. Tags are written one after the other by one target; two processes
 * that tag in one directory at the same moment may lose one of the tags.
 */
export class LayoutTarget extends LayoutSource implements ImageTarget, Publication {
  readonly #root: string
  readonly #files: LayoutDirectory
  #lastWrite: Promise<void> = Promise.resolve()

  constructor(root: string) {
    const files = new LayoutDirectory(root)
    super(files)
    this.#root = root
    this.#files = files
  }

  /** What a write would replace: without a tag that is nothing when there are several images. */
  override async resolve(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    // Another process may have written since.
    this.forget()
    try {
      return await super.resolve(reference, options)
    } catch (error) {
      if (!isS3loError(error, 'USAGE')) throw error
      throw new S3loError('NOT_FOUND', error.message, { cause: error })
    }
  }

  begin(): Publication {
    return this
  }

  async has({ digest, size }: Descriptor, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    return (await this.#files.size(blobPath(digest))) === size
  }

  async put(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    options?: CallOptions,
  ): Promise<void> {
    if (await this.has(descriptor, options)) return
    const folder = await this.#blobFolder(descriptor.digest)
    const checked = verified(await open(), descriptor, options?.signal)
    await commitFile(await stageFile(folder, checked, options), this.#path(descriptor.digest))
  }

  async ingest(
    content: Readable,
    size: number,
    mediaType: string,
    options?: CallOptions,
  ): Promise<Descriptor> {
    const digester = new Digester()
    const folder = await this.#blobFolder(`sha256:${'0'.repeat(64)}`)
    const staged = await stageFile(folder, measured(content, size, digester), options)
    const digest = digester.digest()
    await commitFile(staged, this.#path(digest))
    return { mediaType, digest, size }
  }

  async tag(root: ManifestDocument, reference: Reference, options: TagOptions = {}): Promise<void> {
    await this.#putDocument(root, options)
    await this.#addEntry({ descriptor: root.descriptor, refName: reference.tag }, options)
  }

  async attach(
    referrer: ManifestDocument,
    _place: AttachPlace,
    open: (blob: Descriptor) => Promise<Readable>,
    options?: CallOptions,
  ): Promise<void> {
    const { manifest } = referrer
    for (const blob of uniqueByDigest(successors(manifest))) {
      await this.put(blob, () => open(blob), options)
    }
    await this.#putDocument(referrer, options)
    await this.#addEntry({ descriptor: referrer.descriptor }, options)
  }

  async #putDocument(
    { descriptor, content }: ManifestDocument,
    options?: CallOptions,
  ): Promise<void> {
    if (await this.has(descriptor, options)) return
    await this.#blobFolder(descriptor.digest)
    await writeAtomically(this.#path(descriptor.digest), content, options)
  }

  /** Reading and writing `index.json` belong together: one writer at a time. */
  async #addEntry(entry: NewEntry, options: TagOptions = {}): Promise<void> {
    const write = this.#lastWrite.then(() => this.#writeEntry(entry, options))
    this.#lastWrite = write.catch(() => {}) // The caller of that write has the error.
    await write
  }

  async #writeEntry(entry: NewEntry, options: TagOptions): Promise<void> {
    await this.#mark()
    const present = (await this.#files.size(LAYOUT_INDEX)) !== undefined
    const before = present
      ? await this.#files.read(LAYOUT_INDEX, MAX_INDEX_BYTES, options)
      : undefined
    if (options.createOnly && before && this.#holds(before, entry)) {
      throw new S3loError('CONFLICT', `${this.name} has a tag ${entry.refName ?? ''} already`)
    }
    const after = withEntry(before, entry, this.name)
    const path = join(this.#root, LAYOUT_INDEX)
    if (before && Buffer.compare(before, after) === 0) await flushWritten(path)
    else await writeAtomically(path, after, options)
    this.forget()
  }

  #holds(index: Uint8Array, { refName }: NewEntry): boolean {
    const entries = parseLayoutIndex(index, this.name)
    return refName !== undefined && entries.some((entry) => entry.refName === refName)
  }

  /** Writes the file that makes a directory a layout. Throws `UNSUPPORTED` for a layout of another version. */
  async #mark(): Promise<void> {
    if ((await this.#files.size(LAYOUT_MARKER)) === undefined) {
      await writeAtomically(join(this.#root, LAYOUT_MARKER), Buffer.from(LAYOUT_MARKER_CONTENT))
      return
    }
    const path = `${LAYOUT_MARKER} of ${this.name}`
    const marker = asObject(parseJson(await this.#files.read(LAYOUT_MARKER, 4096), path), path)
    if (marker['imageLayoutVersion'] === '1.0.0') return
    throw new S3loError('UNSUPPORTED', `${this.name} has a layout version other than 1.0.0`)
  }

  async #blobFolder(digest: string): Promise<string> {
    const path = `blobs/${parseDigest(digest).algorithm}`
    await makeFolder(join(this.#root, path)).catch((error: unknown) => {
      throw toFileError(error, this.name)
    })
    const folder = await locateInside(this.#root, path, this.name)
    if (folder === undefined)
      throw new S3loError('IO', `${this.name} was removed while it was written`)
    return folder
  }

  #path(digest: string): string {
    return join(this.#root, blobPath(digest))
  }
}

async function* measured(
  content: Readable,
  size: number,
  digester: Digester,
): AsyncGenerator<Uint8Array> {
  let received = 0
  for await (const chunk of content as AsyncIterable<Uint8Array>) {
    received += chunk.byteLength
    if (received > size) break
    digester.update(chunk)
    yield chunk
  }
  if (received === size) return
  throw new S3loError('INTEGRITY', `a layer has not the ${size} bytes that were announced`)
}
