import { randomBytes } from 'node:crypto'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Frame } from '../../src/chunk/encode-layer.ts'
import { FrameFolder, openFrameFolder } from '../../src/files/frame-folder.ts'
import { digestOf } from '../../src/oci/digest.ts'

const MIB = 1024 * 1024

let work: string
let folder: string
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 's3lo-frames-'))
  folder = join(work, 's3lo', 'frames')
})
afterEach(() => rmSync(work, { recursive: true }))

const newFolder = (most = 64 * MIB): FrameFolder => new FrameFolder(folder, most)

interface Made {
  readonly raw: string
  readonly frame: Frame
}

/** A frame as far as a cache looks at it. */
function made(length = 1000): Made {
  const bytes = randomBytes(length)
  return { raw: digestOf(randomBytes(8)), frame: { bytes, digest: digestOf(bytes) } }
}

const keep = (cache: FrameFolder, { raw, frame }: Made, rawBytes = MIB): Promise<void> =>
  cache.put(raw, rawBytes, frame)

const onlyFile = (): string => join(folder, readdirSync(folder)[0]!)

it('gives a later process the frame that was kept, to its owner alone', async () => {
  const one = made()
  expect(await newFolder().get(one.raw)).toBeUndefined()
  const cache = newFolder()
  await keep(cache, one)
  for (const each of [cache, newFolder()]) expect(await each.get(one.raw)).toEqual(one.frame)
  expect(await cache.get(made().raw)).toBeUndefined()
  expect([statSync(folder).mode & 0o777, statSync(onlyFile()).mode & 0o777]).toEqual([0o700, 0o600])
})

it.each<[string, (path: string) => void]>([
  ['torn', (path) => truncateSync(path, 10)],
  ['longer', (path) => writeFileSync(path, 'x', { flag: 'a' })],
  ['of other bytes', (path) => writeFileSync(path, randomBytes(1000))],
  ['gone', (path) => rmSync(path)],
])('does without a file that is %s, and keeps the frame again', async (_, spoil) => {
  const one = made()
  await keep(newFolder(), one)
  spoil(onlyFile())
  const cache = newFolder()
  expect(await cache.get(one.raw)).toBeUndefined()
  await keep(cache, one)
  expect(await cache.get(one.raw)).toEqual(one.frame)
})

it('does without frames of another encoder', async () => {
  const one = made()
  await keep(newFolder(), one)
  const path = onlyFile()
  const other = path.replace('/zstd-', '/zstd-0.')
  writeFileSync(other, readFileSync(path))
  rmSync(path)
  expect(await newFolder().get(one.raw)).toBeUndefined()
})

it('leaves out what does not pay: short chunks, and those that hardly compress', async () => {
  const cache = newFolder()
  await keep(cache, made(), 1001)
  await keep(cache, made(100_000), 101_000)
  await keep(newFolder(999), made(1000))
  expect(() => readdirSync(folder)).toThrow('ENOENT')
})

it('takes no more than it may: what was used least recently goes first', async () => {
  const all = [made(), made(), made()] as const
  const cache = newFolder(3500)
  for (const [i, one] of all.entries()) {
    await keep(cache, one)
    const name = readdirSync(folder).find((each) => each.includes(one.raw.slice(7)))
    utimesSync(join(folder, name!), i, i)
  }
  const later = newFolder(3500)
  await later.get(all[0].raw)
  const fourth = made()
  await keep(later, fourth)
  const found = await Promise.all([...all, fourth].map(({ raw }) => newFolder(3500).get(raw)))
  expect(found.map((each) => each !== undefined)).toEqual([true, false, true, true])
})

it('a folder that cannot be made is no failure', async () => {
  writeFileSync(join(work, 's3lo'), 'a file')
  const cache = newFolder()
  const one = made()
  await keep(cache, one)
  expect(await cache.get(one.raw)).toBeUndefined()
})

it('leaves the disk as much free space as it may take itself', async () => {
  const cache = newFolder(Number.MAX_SAFE_INTEGER)
  await keep(cache, made())
  expect(readdirSync(folder)).toEqual([])
})

it('is where the environment says, and as large, and nowhere in CI', async () => {
  const env = { XDG_CACHE_HOME: work, LOCALAPPDATA: work }
  const one = made()
  await keep(openFrameFolder(env)!, one)
  expect(await newFolder().get(one.raw)).toEqual(one.frame)
  const isOn = (more: Record<string, string>): boolean =>
    Boolean(openFrameFolder({ ...env, ...more }))
  expect([
    isOn({ S3LO_FRAME_CACHE: '' }),
    isOn({ S3LO_FRAME_CACHE: '0' }),
    isOn({ S3LO_FRAME_CACHE: 'none' }),
    isOn({ CI: 'true' }),
    isOn({ CI: 'false' }),
    isOn({ CI: 'true', S3LO_FRAME_CACHE: '64' }),
  ]).toEqual([true, false, false, false, true, true])
  await keep(openFrameFolder({ ...env, S3LO_FRAME_CACHE: '0.001' })!, made())
  expect(readdirSync(folder)).toHaveLength(1)
})
