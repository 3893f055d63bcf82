import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { installTrivy, TRIVY_VERSION } from '../src/index.ts'

const ARCHIVE = `trivy_${TRIVY_VERSION}_Linux-64bit.tar.gz`

let home: string
let server: Server
let releases: string
let files: Map<string, Buffer | string>
/** The file in whose midst the connection breaks. */
let breaking: string

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 's3lo-install-'))
  files = new Map()
  breaking = ''
  server = createServer((request, response) => {
    const content = files.get(request.url?.split('/').at(-1) ?? '')
    response.statusCode = content === undefined ? 404 : 200
    if (breaking === '' || !request.url?.endsWith(breaking)) return response.end(content)
    response.setHeader('content-length', 1000)
    return response.write(content, () => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  releases = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  server.close()
  await rm(home, { recursive: true })
})

async function archiveOf(entries: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack()
  for (const [name, content] of Object.entries(entries)) tar.entry({ name }, content)
  tar.finalize()
  return gzipSync(await buffer(tar))
}

async function publish(archive: Buffer, checked = archive): Promise<void> {
  const hex = createHash('sha256').update(checked).digest('hex')
  files.set(ARCHIVE, archive)
  files.set(
    `trivy_${TRIVY_VERSION}_checksums.txt`,
    `${'0'.repeat(64)}  other\n${hex}  ${ARCHIVE}\n`,
  )
}

const install = (options: object = {}): Promise<string> =>
  installTrivy({ env: { HOME: home }, releases, platform: 'linux', arch: 'x64', ...options })

describe('installing trivy', () => {
  it('takes the program out of the archive that the release vouches for', async () => {
    await publish(await archiveOf({ LICENSE: 'free', '../trivy': 'evil', trivy: 'program' }))
    const file = await install()
    expect(file).toBe(join(home, '.local/bin/trivy'))
    expect(await readFile(file, 'utf8')).toBe('program')
    expect((await stat(file)).mode & 0o777).toBe(0o755)
    expect(await readdir(join(home, '.local/bin'))).toEqual(['trivy'])
  })

  it.each([
    ['an archive that differs', async () => publish(Buffer.from('evil'), Buffer.from('good'))],
    ['an archive that is not in gzip', async () => publish(Buffer.from('no gzip'))],
    [
      'an archive that breaks off',
      async () => publish((await archiveOf({ trivy: 'program' })).subarray(0, -12)),
    ],
    ['an archive that holds no tar', async () => publish(gzipSync(Buffer.alloc(1024, 'x')))],
    ['an archive without a program', async () => publish(await archiveOf({ README: 'x' }))],
  ])('refuses %s and leaves nothing behind', async (_, prepare) => {
    await prepare()
    await expect(install()).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await readdir(join(home, '.local/bin'))).toEqual([])
  })

  it('refuses an archive that the release has no checksum for', async () => {
    await publish(await archiveOf({ trivy: 'program' }))
    files.set(`trivy_${TRIVY_VERSION}_checksums.txt`, 'nothing here\n')
    await expect(install()).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('says what is missing', async () => {
    await expect(install()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('answers 404'),
    })
    await expect(install({ platform: 'sunos' })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(install({ releases: 'http://127.0.0.1:1' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('HTTPS_PROXY'),
    })
  })

  it.each([[ARCHIVE], [`trivy_${TRIVY_VERSION}_checksums.txt`]])(
    'says that the connection broke within %s',
    async (file) => {
      await publish(await archiveOf({ trivy: 'program' }))
      breaking = file
      await expect(install()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      expect(await readdir(join(home, '.local/bin'))).toEqual([])
    },
  )

  it('says that its folder cannot be written', async () => {
    await publish(await archiveOf({ trivy: 'program' }))
    await mkdir(join(home, '.local/bin/trivy/full'), { recursive: true })
    await expect(install()).rejects.toMatchObject({ code: 'IO' })
    expect(await readdir(join(home, '.local/bin'))).toEqual(['trivy'])
    await writeFile(join(home, 'file'), '')
    const env = { HOME: join(home, 'file') }
    await expect(install({ env })).rejects.toMatchObject({ code: 'IO' })
  })

  it('goes through a proxy', async () => {
    await publish(await archiveOf({ trivy: 'program' }))
    const env = { HOME: home, HTTP_PROXY: releases }
    const file = await install({ env, releases: 'http://releases.invalid' })
    expect(await readFile(file, 'utf8')).toBe('program')
  })
})
