import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { TAR_END, tarFile } from '@s3lo/core/testing'
import type { LayerPlan } from './generated-layer.ts'

/** Where programs and libraries are. */
const ROOT = '/usr/lib'

/** A longer file is left out, because a file is held whole. */
const MAX_FILE_BYTES = 64 * 1024 * 1024

/**
 * A tar of the programs and libraries of this machine, all with the same times, for what depends on how
 * fast content compresses. It is the same in each run on one machine, and shorter than planned on one
 * that has less.
 */
export function* machineLayer({ bytes, edits }: LayerPlan): Generator<Buffer> {
  let [number, written] = [0, 0]
  for (const path of filesIn(ROOT)) {
    if (written >= bytes) break
    const content = Buffer.concat([Buffer.from(edits?.get(number) ?? ''), readFileSync(path)])
    const file = tarFile(`file-${number}`, content)
    number += 1
    written += file.length
    yield file
  }
  yield TAR_END
}

/** Regular files, in the order of their names. */
function* filesIn(folder: string): Generator<string> {
  const entries = readdirSync(folder, { withFileTypes: true })
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesIn(path)
    else if (entry.isFile() && statSync(path).size <= MAX_FILE_BYTES) yield path
  }
}
