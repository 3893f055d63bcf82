import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { toS3loError } from '@s3lo/core/plugin'

/** Writes a file whole, or leaves the one that was there. Throws `IO`, and what the content fails with. */
export async function replaceFile(file: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const staged = join(dirname(file), `.${basename(file)}.${randomUUID()}`)
  try {
    await pipeline(Readable.from(content), createWriteStream(staged, { flags: 'wx' }))
    await rename(staged, file)
  } catch (error) {
    await rm(staged, { force: true })
    throw toS3loError(error, 'IO', `cannot write ${file}`)
  }
}
