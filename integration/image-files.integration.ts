import { createHash } from 'node:crypto'
import { lstat, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import local from '@s3lo/backend-local/plugin'
import { createHost, type ListedFile } from '@s3lo/core'
import { imageFixture, TAR_END, tarFile, tarHeader, tarPax } from '@s3lo/core/testing'
import soci from '@s3lo/soci/plugin'
import docker from '@s3lo/source-docker/plugin'
import { afterAll, describe, expect, it } from 'vitest'
import { writeOciLayout } from './oci-layout.ts'
import { PodmanStorage } from './podman-storage.ts'
import { requiredData } from './required.ts'

/** A file as both sides tell it; times of files only, as unpacking changes those of directories. */
type Told = Omit<ListedFile, 'layer' | 'path' | 'modified_at'> & { readonly modified_at?: string }

const host = createHost({ plugins: [local, docker, soci] })
const folder = await mkdtemp(join(tmpdir(), 's3lo-image-files-'))
const podman = await PodmanStorage.open(folder)
const alpine = requiredData('alpine-store')
/** Those whose layer is in the store. */
const PLATFORMS = ['amd64', 'arm/v6', 'arm/v7', '386', 'ppc64le', 'riscv64', 's390x']

afterAll(async () => {
  await podman?.close()
  await rm(folder, { recursive: true, force: true })
})

describe.skipIf(!podman || alpine === undefined)('the files of real images', () => {
  it('are what podman unpacks: 5 000 paths, through layers that replace, link and delete', async () => {
    const storage = required(podman)
    let paths = 0
    for (const arch of PLATFORMS) {
      const layout = arch.replace('/', '-')
      const [source, platforms] = [`local://${alpine}//alpine:latest`, [`linux/${arch}`]]
      await host.copy(source, `oci:${join(folder, layout)}:v1`, { platforms })
      const image = await storage.pull(layout)
      paths += await agree(`oci:${join(folder, layout)}:v1`, image, { platform: `linux/${arch}` })
    }
    let image = await storage.pull('amd64')
    for (const script of CHANGES) image = await storage.change(image, script)
    const archive = join(folder, 'changed.tar')
    await storage.save(image, archive)
    paths += await agree(`oci-archive:${archive}`, image, { isThorough: true })
    expect(paths).toBeGreaterThanOrEqual(5000)
  })
})

describe.skipIf(!podman)('the files of an image with every kind of layer entry', () => {
  it('are what podman unpacks', async () => {
    const layers = LAYERS.map((parts) => Buffer.concat([...parts, TAR_END]))
    await writeOciLayout(join(folder, 'odd'), 'v1', imageFixture({ layers }))
    await agree(`oci:${join(folder, 'odd')}:v1`, await required(podman).pull('odd'), {
      isThorough: true,
    })
  })
})

/** What is done to Alpine, one layer each. */
const CHANGES = [
  `cp -a usr opt/usr
   cp -a lib etc bin sbin opt
   cp -a usr opt/second
   cp -a usr opt/third
   ln bin/busybox opt/linked
   ln -s ../opt/usr usr/share/again
   mkfifo opt/pipe
   rm -r etc/apk
   rm etc/motd`,
  `rm -r opt/usr/share opt/etc/ssl
   mkdir opt/usr/share
   echo new >opt/usr/share/new
   ln opt/linked opt/linked-again
   rm opt/etc/os-release && mkdir opt/etc/os-release && echo x >opt/etc/os-release/x
   mkdir etc/apk && echo back >etc/apk/world
   chmod 4755 opt/lib/libc.musl-*
   chown 1000:1000 opt/etc/passwd
   mv opt/lib opt/moved`,
  `rm -r opt/usr/share
   ln -s ../etc opt/usr/share
   cp -a usr/bin opt/more
   rm opt/linked
   touch -d '2020-02-02 02:02:02' opt/etc/passwd`,
]

const directory = (name: string, mode = 0o755): Buffer => tarHeader(name, { type: '5', mode })
const link = (name: string, target: string): Buffer =>
  tarHeader(name, { type: '2', link: target, mode: 0o777 })
const TOOL = { mode: 0o4755, uid: 7, gid: 8, mtime: 1_000_000_000 }
/** With the metadata of the file, as everything that writes tars has it. */
const hardLink = (name: string, target: string): Buffer =>
  tarHeader(name, { type: '1', link: target, ...TOOL })

/** From the bottom to the top. */
const LAYERS: readonly (readonly Buffer[])[] = [
  [
    directory('usr/'),
    directory('usr/bin/'),
    tarFile('usr/bin/tool', 'tool', TOOL),
    link('bin', 'usr/bin'),
    hardLink('usr/bin/same', 'usr/bin/tool'),
    directory('opaque/'),
    directory('opaque/deep/'),
    tarFile('opaque/deep/hidden', 'hidden'),
    tarFile('opaque/hidden', 'hidden'),
    directory('again/', 0o700),
    tarFile('again/old', 'old'),
    tarFile('file-then-directory', 'x'),
    directory('directory-then-file/'),
    tarFile('directory-then-file/x', 'x'),
    link('link-then-directory', 'usr'),
    tarFile('twice', 'second'),
    tarPax({ path: `long/${'n'.repeat(150)}`, mtime: '1600000000.25' }),
    tarFile('long/cut', 'long'),
    tarFile('implied/one/two', 'two'),
    tarFile('kept', 'kept'),
  ],
  [
    tarFile('opaque/.wh..wh..opq', ''),
    directory('opaque/'),
    directory('opaque/deep/'),
    tarFile('opaque/deep/seen', 'seen'),
    tarFile('.wh.again', ''),
    directory('file-then-directory/'),
    tarFile('file-then-directory/x', 'x'),
    tarFile('directory-then-file', 'x'),
    directory('link-then-directory/'),
    tarFile('usr/bin/.wh.same', ''),
    hardLink('usr/below', 'usr/bin/tool'),
    tarHeader('pipe', { type: '6', mode: 0o640 }),
    tarFile('.wh.never', ''),
    tarFile('implied/one/.wh.two', ''),
  ],
  [
    directory('again/'),
    tarFile('again/new', 'new'),
    tarFile('opaque/deep/.wh..wh..opq', ''),
    tarFile('opaque/deep/last', 'last'),
    tarFile('usr/bin/tool', 'another'),
    directory('usr/', 0o711),
    link('kept', 'twice'),
  ],
]

/**
 * Compares every path of an image with what podman makes of it; gives their number. When it is
 * thorough, the content of every file as well, with indexes of the layers and without.
 */
async function agree(
  source: string,
  image: string,
  {
    platform = 'linux/amd64',
    isThorough = false,
  }: { readonly platform?: string; readonly isThorough?: boolean },
): Promise<number> {
  const ref = `local://${await mkdtemp(join(folder, 'store-'))}//app:v1`
  await host.copy(source, ref)
  const root = await required(podman).mount(image)
  const expected = Object.fromEntries(await walk(root))
  if (isThorough) expect(Object.fromEntries(await list(ref, { platform }))).toEqual(expected)
  // The first listing makes the indexes.
  const found = await list(ref, { platform, index: true })
  expect(Object.fromEntries(found)).toEqual(expected)
  const files = [...found].filter(([, { type }]) => type === 'file').map(([path]) => path)
  for (const path of isThorough ? files : []) {
    const hash = createHash('sha256')
    const take = async (content: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const chunk of content) hash.update(chunk)
    }
    await host.cat(ref, path, take, { platform })
    const content = await readFile(join(root, path))
    expect([path, hash.digest('hex')]).toEqual([path, sha256(content)])
  }
  return found.size
}

/** Every path of an image, by `files` of each directory. */
async function list(
  ref: string,
  options: { readonly platform: string; readonly index?: boolean },
): Promise<Map<string, Told>> {
  const found = new Map<string, Told>()
  const pending = ['/']
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const { path, layer: _, modified_at, ...told } of await host.files(ref, at, options)) {
      found.set(path, told.type === 'file' ? { ...told, modified_at: toSecond(modified_at) } : told)
      if (told.type === 'directory') pending.push(path)
    }
  }
  return sorted(found)
}

/** Every path below a folder of this machine; links are not followed, they lead out of it. */
async function walk(root: string): Promise<Map<string, Told>> {
  const found = new Map<string, Told>()
  const pending = ['/']
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const name of await readdir(join(root, at))) {
      const path = join(at, name)
      const told = await tell(join(root, path))
      found.set(path, told)
      if (told.type === 'directory') pending.push(path)
    }
  }
  return sorted(found)
}

async function tell(file: string): Promise<Told> {
  const stats = await lstat(file)
  const type = TYPES.find(([, is]) => stats[is]())?.[0] ?? 'file'
  return {
    type,
    size: type === 'file' ? stats.size : 0,
    mode: (stats.mode & 0o7777).toString(8).padStart(4, '0'),
    uid: stats.uid,
    gid: stats.gid,
    ...(type === 'file' ? { modified_at: toSecond(stats.mtime.toISOString()) } : {}),
    ...(type === 'symlink' ? { target: await readlink(file) } : {}),
  }
}

const TYPES = [
  ['directory', 'isDirectory'],
  ['symlink', 'isSymbolicLink'],
  ['fifo', 'isFIFO'],
  ['character-device', 'isCharacterDevice'],
  ['block-device', 'isBlockDevice'],
] as const

function sorted(found: ReadonlyMap<string, Told>): Map<string, Told> {
  return new Map([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function toSecond(time = ''): string {
  return new Date(Math.floor(Date.parse(time) / 1000) * 1000).toISOString()
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the suite was to be skipped')
  return value
}
