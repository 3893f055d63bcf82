import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { S3loError } from '../../src/errors.ts'
import { writeBody } from '../../src/files/write-body.ts'

const MIB = 1024 * 1024

/** A file whose disk fails the first flush, and only that: as Linux reports an error of writing back. */
class FailingDisk {
  #written = 0
  #flushes = 0
  readonly #bytes: number

  /** Answers the first flush once `bytes` are written. */
  constructor(bytes: number) {
    this.#bytes = bytes
  }

  readonly write = async ({ byteLength }: Uint8Array): Promise<{ bytesWritten: number }> => {
    this.#written += byteLength
    return { bytesWritten: byteLength }
  }

  readonly writev = async (chunks: readonly Uint8Array[]): Promise<{ bytesWritten: number }> => {
    const bytes = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0)
    return this.write(new Uint8Array(bytes))
  }

  readonly datasync = async (): Promise<void> => {
    this.#flushes += 1
    if (this.#flushes > 1) return
    while (this.#written < this.#bytes) await turn()
    throw Object.assign(new Error('i/o error'), { code: 'EIO', errno: -5, syscall: 'fdatasync' })
  }
}

describe('a body that is written', () => {
  it.each([
    ['bytes', (bytes: Uint8Array) => bytes],
    ['a stream', (bytes: Uint8Array) => Readable.from([bytes], { objectMode: false })],
  ])('of %s fails when the disk failed behind the last write', async (_, bodyOf) => {
    const bytes = new Uint8Array(33 * MIB)
    const disk = new FailingDisk(bytes.byteLength) as unknown as FileHandle
    const toError = (cause: unknown): S3loError => new S3loError('IO', 'blob', { cause })
    const written = writeBody(disk, bodyOf(bytes), { name: 'blob', toError })
    await expect(written).rejects.toMatchObject({ code: 'IO', cause: { code: 'EIO' } })
  })
})
