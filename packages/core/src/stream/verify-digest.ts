import { Transform, type TransformCallback } from 'node:stream'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { Digester, parseDigest } from '../oci/digest.ts'

/**
 * Passes bytes on and fails at the end, or as soon as there are too many, unless they are the
 * descriptor's. A consumer commits only after the stream has ended.
 */
export class DigestVerifier extends Transform {
  readonly descriptor: Pick<Descriptor, 'digest' | 'size'>
  readonly #digester: Digester
  #received = 0

  constructor(descriptor: Pick<Descriptor, 'digest' | 'size'>) {
    super({ highWaterMark: 256 * 1024 })
    this.descriptor = descriptor
    this.#digester = new Digester(parseDigest(descriptor.digest).algorithm)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const { digest, size } = this.descriptor
    this.#received += chunk.length
    if (this.#received > size) {
      done(new S3loError('INTEGRITY', `${digest} is longer than its ${size} bytes`))
      return
    }
    this.#digester.update(chunk)
    done(null, chunk)
  }

  override _flush(done: TransformCallback): void {
    const { digest, size } = this.descriptor
    if (this.#received < size) {
      done(new S3loError('INTEGRITY', `${digest} ends after ${this.#received} of ${size} bytes`))
      return
    }
    const actual = this.#digester.digest()
    done(
      actual === digest ? null : new S3loError('INTEGRITY', `expected ${digest}, received ${actual}`),
    )
  }
}

/** A transform that lets content pass and fails unless it is what the descriptor says. */
export function verifyDigest(descriptor: Pick<Descriptor, 'digest' | 'size'>): DigestVerifier {
  return new DigestVerifier(descriptor)
}
