import { createCipheriv } from 'node:crypto'
import { TAR_END, tarFile } from '@s3lo/core/testing'

/** As many words as make zstd's level 3 shrink text of them to about a third, as it does programs. */
const WORD_BITS = 14
const LETTERS = 'etaoinshrdlucmfwypvbgkjqxz  \n.,'
const WORDS = wordTable()

/** What a generated layer is: the same bytes for the same values. */
export interface LayerPlan {
  /** The files end at the first one that reaches it. */
  readonly bytes: number
  /** What stands at the beginning of a file, by the number of the file. */
  readonly edits?: ReadonlyMap<number, string>
}

/** A tar of files of 4 KiB to 1 MiB with the same times: words, which zstd shrinks to about a third. */
export function* generateLayer({ bytes, edits }: LayerPlan): Generator<Buffer> {
  let written = 0
  for (let number = 0; written < bytes; number++) {
    const content = Buffer.concat([Buffer.from(edits?.get(number) ?? ''), contentOf(number)])
    const file = tarFile(`usr/lib/file-${number}`, content)
    written += file.length
    yield file
  }
  yield TAR_END
}

/** How many files a layer of so many bytes has. */
export function countFiles(bytes: number): number {
  let count = 0
  for (const _ of generateLayer({ bytes })) count++
  return count - 1
}

function contentOf(number: number): Buffer {
  const size = 4096 * (1 + (Math.imul(number, 2_654_435_761) >>> 24))
  const noise = noiseOf(number, size / 4)
  const choices = new Uint16Array(noise.buffer, noise.byteOffset, size / 8)
  const text = new Uint32Array(size / 4)
  for (let at = 0; at < choices.length; at++) {
    const word = 2 * ((choices[at] ?? 0) & ((1 << WORD_BITS) - 1))
    text[2 * at] = WORDS[word] ?? 0
    text[2 * at + 1] = WORDS[word + 1] ?? 0
  }
  return Buffer.from(text.buffer)
}

/** Words of eight letters, each as two numbers. */
function wordTable(): Uint32Array {
  const noise = noiseOf(-1, 8 << WORD_BITS)
  const letters = noise.map((value) => LETTERS.charCodeAt((value / 256) ** 1.5 * LETTERS.length))
  return new Uint32Array(new Uint8Array(letters).buffer)
}

/** Bytes that look like chance, the same for one seed. */
function noiseOf(seed: number, bytes: number): Uint8Array {
  const key = Buffer.alloc(16)
  key.writeInt32LE(seed)
  const noise = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes))
  return new Uint8Array(noise)
}
