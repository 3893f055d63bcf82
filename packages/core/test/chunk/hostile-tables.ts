/** Tables of contents that are small in a bucket and cost their reader far more, by what they have too much of. */
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { createZstdCompress } from 'node:zlib'
import { parseLayerTable } from '../../src/chunk/layer-table.ts'
import { isS3loError } from '../../src/errors.ts'
import { LayerTree } from '../../src/filesystem/layer-tree.ts'
import { TABLE_DIGEST, tableLines } from './table-lines.ts'

const PIECE_LENGTH = 64 * 1024
const FEW_LINES = 4000
const MANY_LINES = 1_100_000
const LONG_LINE = 'x'.repeat(1024 * 1024)

/** Each goes through the one before, and through a folder 800 times. */
const chain = (n: number): object =>
  n === 0
    ? { path: 'd' }
    : {
        path: `l${n}`,
        type: 'symlink',
        link: `${'d/../'.repeat(800)}${n === 1 ? 'd' : `l${n - 1}`}`,
      }

export const HOSTILE: Readonly<Record<string, () => Iterable<string>>> = {
  entries: () => tableLines(MANY_LINES, () => ({})),
  attributes: () => {
    const xattrs = Array.from({ length: 5000 }, (_, i) => [i.toString(36), ''])
    return tableLines(FEW_LINES, () => ({ xattrs }))
  },
  names: () => tableLines(FEW_LINES * 2, () => ({ uname: 'u'.repeat(60_000) })),
  text: function* endless() {
    for (let i = 0; i < 500; i++) yield LONG_LINE
  },
  folders: () => tableLines(FEW_LINES, (n) => ({ path: `${n}/${'a/'.repeat(30_000)}` })),
  links: () => tableLines(100_000, (n) => (n < 40 ? chain(n) : { path: `l39/${n}/x` })),
}

/** How the reading of a table ended. */
export interface Ended {
  /** Of the table as it is stored (bytes). */
  readonly stored: number
  /** At the top of the layer, where it was read. */
  readonly names?: number
  readonly code?: string
  readonly message?: string
}

/** Many lines at once: a stream takes its time for each piece. */
function* pieces(lines: Iterable<string>): Generator<string, void> {
  let piece = ''
  for (const line of lines) {
    piece += line
    if (piece.length < PIECE_LENGTH) continue
    yield piece
    piece = ''
  }
  yield piece
}

async function read(table: Iterable<string>): Promise<Ended> {
  const zstd = createZstdCompress()
  const [stored] = await Promise.all([buffer(zstd), pipeline(Readable.from(pieces(table)), zstd)])
  try {
    const { entries } = await parseLayerTable(stored, TABLE_DIGEST)
    const { root } = new LayerTree(entries)
    return { stored: stored.length, names: root.children.size }
  } catch (error) {
    if (!isS3loError(error)) throw error
    return { stored: stored.length, code: error.code, message: error.message }
  }
}

const lines = typeof workerData === 'string' ? HOSTILE[workerData] : undefined
if (!isMainThread && lines) parentPort?.postMessage(await read(lines()), [])
