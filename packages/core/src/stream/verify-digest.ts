import { pipeline, type Readable, Transform, type TransformCallback } from 'node:stream'
import { S3loError } from '../errors.ts'
import { Digester, parseDigest } from '../oci/digest.ts'

/** What content has to be. Without a size (bytes) its digest alone tells. */
export interface ExpectedContent {
  readonly digest: string
  readonly size?: number | undefined
  /** What helps where it has another digest. */
  readonly hint?: string | undefined
}

/**
 * Passes bytes on and fails at the end, or as soon as there are too many, unless they are the
 * descriptor's. A consumer commits only after the stream has ended.
 */
export class DigestVerifier extends Transform {
  readonly descriptor: ExpectedContent
  readonly #digester: Digester
  #received = 0
  #onBytes: ((delta: number) => void) | undefined

  constructor(descriptor: ExpectedContent) {
    super({ highWaterMark: 256 * 1024 })
    this.descriptor = descriptor
    this.#digester = new Digester(parseDigest(descriptor.digest).algorithm)
  }

  /** Reports the length of every chunk, with those that have passed already as the first. */
  report(onBytes: (delta: number) => void): void {
    this.#onBytes = onBytes
    if (this.#received > 0) onBytes(this.#received)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const { digest, size = Infinity } = this.descriptor
    this.#received += chunk.length
    if (this.#received > size) {
      done(ofContent(new S3loError('INTEGRITY', `${digest} is longer than its ${size} bytes`)))
      return
    }
    this.#digester.update(chunk)
    this.#onBytes?.(chunk.length)
    done(null, chunk)
  }

  override _flush(done: TransformCallback): void {
    const { digest, size = 0, hint } = this.descriptor
    if (this.#received < size) {
      const message = `${digest} ends after ${this.#received} of ${size} bytes`
      done(ofContent(new S3loError('INTEGRITY', message)))
      return
    }
    const actual = this.#digester.digest()
    if (actual === digest) done(null)
    else done(ofContent(new S3loError('INTEGRITY', `expected ${digest}, got ${actual}`, { hint })))
  }
}

/** Errors that content failed with while it was read. */
const contentErrors = new WeakSet<Error>()

/** True for an error of content itself, and not of what takes it. */
export function isOfContent(error: Error): boolean {
  return contentErrors.has(error)
}

function ofContent<E extends Error>(error: E): E {
  contentErrors.add(error)
  return error
}

/** The digest each stream is already checked against, so that no byte is hashed twice. */
const verifiedDigests = new WeakMap<Readable, string>()

/** A transform that lets content pass and fails unless it is what the descriptor says. */
export function verifyDigest(descriptor: ExpectedContent): DigestVerifier {
  const verifier = new DigestVerifier(descriptor)
  verifiedDigests.set(verifier, descriptor.digest)
  return verifier
}

/** `content`, verified: itself when it already is, else piped through {@link verifyDigest}. */
export function verified(content: Readable, descriptor: ExpectedContent): Readable {
  return verifiedDigests.get(content) === descriptor.digest
    ? content
    : pipeThrough(content, verifyDigest(descriptor))
}

/** `content`, with every chunk's length reported; verified when `content` was. */
export function metered(content: Readable, onBytes: (delta: number) => void): Readable {
  if (content instanceof DigestVerifier) {
    content.report(onBytes)
    return content
  }
  const meter = new Transform({
    highWaterMark: 256 * 1024,
    transform(chunk: Buffer, _encoding, done) {
      onBytes(chunk.length)
      done(null, chunk)
    },
  })
  const digest = verifiedDigests.get(content)
  if (digest !== undefined) verifiedDigests.set(meter, digest)
  return pipeThrough(content, meter)
}

/** Joins two streams so that the failure or end of either is the other's too. */
export function pipeThrough<T extends Transform>(content: Readable, transform: T): T {
  // A consumer that fails destroys the transform first, and the content through it.
  content.once('error', (error) => {
    if (!transform.destroyed) ofContent(error)
  })
  // The result carries the outcome: its consumer sees the error, so it is not handled twice.
  pipeline(content, transform, () => undefined)
  return transform
}
