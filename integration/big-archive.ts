import { createCipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'

const BLOCK = 512
const PIECE = 1024 * 1024

/** A `docker save` archive of random layers, which nothing can compress or share. */
export interface BigArchive {
  readonly path: string
  /** Bytes of the layers. */
  readonly size: number
  /** `name:tag` inside the archive. */
  readonly name: string
}

/** A layer of an archive: its bytes, made as they are read, the same each time. */
export interface ArchiveLayer {
  readonly size: number
  readonly content: () => Iterable<Uint8Array>
}

/** Writes an image of `layerCount` layers of `layerBytes` each; the same arguments give the same image. */
export async function writeBigArchive(
  path: string,
  { layerCount, layerBytes, name }: { layerCount: number; layerBytes: number; name: string },
): Promise<BigArchive> {
  const layers = Array.from({ length: layerCount }, (_, i) => ({
    size: layerBytes + BLOCK + 2 * BLOCK + padding(layerBytes),
    content: () => layerContent(i, layerBytes),
  }))
  await writeArchive(path, name, layers)
  return { path, size: layerCount * layerBytes, name }
}

/** Writes what `docker save` writes of an image of these layers. */
export async function writeArchive(
  path: string,
  name: string,
  layers: readonly ArchiveLayer[],
): Promise<void> {
  const out = createWriteStream(path)
  async function write(bytes: Uint8Array): Promise<void> {
    if (!out.write(bytes)) await once(out, 'drain')
  }
  const diffIds: string[] = []
  const names: string[] = []
  for (const [i, { size, content }] of layers.entries()) {
    const layerName = `${String(i).padStart(64, '0')}/layer.tar`
    names.push(layerName)
    await write(header(layerName, size))
    const hash = createHash('sha256')
    for (const piece of content()) {
      hash.update(piece)
      await write(piece)
    }
    await write(new Uint8Array(padding(size)))
    diffIds.push(`sha256:${hash.digest('hex')}`)
  }
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/bin/true'] },
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: diffIds.map(() => ({ created_by: 'bench' })),
    }),
  )
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`
  const manifest = Buffer.from(
    JSON.stringify([{ Config: configName, RepoTags: [name], Layers: names }]),
  )
  for (const [file, bytes] of [
    [configName, config],
    ['manifest.json', manifest],
  ] as const) {
    await write(header(file, bytes.length))
    await write(bytes)
    await write(new Uint8Array(padding(bytes.length)))
  }
  await write(new Uint8Array(2 * BLOCK))
  out.end()
  await once(out, 'finish')
}

/** A layer: a tar of one file of random bytes, from a keystream, which is quick and repeatable. */
function* layerContent(index: number, bytes: number): Generator<Uint8Array> {
  yield header(`data-${index}`, bytes)
  const key = Buffer.alloc(16, index + 1)
  const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  const zeros = Buffer.alloc(PIECE)
  for (let left = bytes; left > 0; left -= PIECE) {
    yield stream.update(zeros.subarray(0, Math.min(PIECE, left)))
  }
  yield new Uint8Array(padding(bytes) + 2 * BLOCK)
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

/** A ustar header of a regular file (POSIX.1-2017, pax "ustar interchange format"). */
function header(name: string, size: number): Uint8Array {
  const block = Buffer.alloc(BLOCK)
  block.write(name, 0)
  block.write('0000644\0', 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  block.write('00000000000\0', 136)
  block.write('        ', 148)
  block.write('0', 156)
  block.write('ustar\x0000', 257)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
