import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { imageFixture, putImage, TAR_END, tarFile, tarHeader } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryWorld } from './run-cli.ts'

let world: MemoryWorld
let folder: string

const LAYER = Buffer.concat([
  tarHeader('bin', { type: '2', link: 'usr/bin', mode: 0o777 }),
  tarFile('etc/motd', 'welcome\n'),
  tarFile('usr/bin/tool', Buffer.from([0, 255, 10]), { mode: 0o4755, uid: 10 }),
  tarHeader('usr/tmp/', { type: '5', mode: 0o1776 }),
  tarFile('usr/\u001b[1m', ''),
  TAR_END,
])

beforeEach(async () => {
  world = new MemoryWorld()
  await putImage(world.bucket('b'), { name: 'app', tag: 'v1' }, imageFixture({ layers: [LAYER] }))
  folder = await mkdtemp(join(tmpdir(), 's3lo-files-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('cat', () => {
  it('prints the content, and says what was fetched on standard error', async () => {
    expect(await world.run(['cat', 'mem://b/app:v1', '/etc/motd'])).toEqual({
      status: 0,
      stdout: 'welcome\n',
      stderr: expect.stringMatching(/^\/etc\/motd: fetched \d.*B of \d.*B\n$/),
    })
    expect((await world.run(['cat', 'mem://b/app:v1', 'etc/motd', '--quiet'])).stderr).toBe('')
  })

  it.each([['-O'], ['-o']])(
    'writes the content to the file of %s, byte for byte',
    async (option) => {
      const file = join(folder, 'out')
      const { status, stdout } = await world.run([
        'cat',
        'mem://b/app:v1',
        '/bin/tool',
        option,
        file,
      ])
      expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
      expect(await readFile(file)).toEqual(Buffer.from([0, 255, 10]))
      expect(await readdir(folder)).toEqual(['out'])
    },
  )

  it('gives a document when the content goes to a file', async () => {
    const file = join(folder, 'out')
    const argv = ['cat', 'mem://b/app:v1', '/bin/tool', '-o', 'json']
    const { stdout } = await world.run([...argv, '-O', file])
    expect(JSON.parse(stdout)).toEqual({
      reference: 'memory://b/app:v1',
      path: '/usr/bin/tool',
      size: 3,
      layer: expect.stringMatching(/^sha256:/),
      fetched_bytes: LAYER.length,
      layers_bytes: LAYER.length,
    })
    expect(await world.run(argv)).toMatchObject({ status: 64 })
  })

  it('leaves a file alone when there is nothing to write to it', async () => {
    const file = join(folder, 'out')
    const { status, stderr } = await world.run(['cat', 'mem://b/app:v1', '/no', '-O', file])
    expect(status).toBe(66)
    expect(stderr).toContain('hint: s3lo files <ref> / shows what is there')
    expect(await readdir(folder)).toEqual([])
    const nowhere = join(folder, 'no', 'out')
    expect(await world.run(['cat', 'mem://b/app:v1', '/etc/motd', '-O', nowhere])).toMatchObject({
      status: 74,
    })
  })

  it('needs the plugin to make an index', async () => {
    const argv = ['cat', 'mem://b/app:v1', '/etc/motd', '--index']
    expect(await world.run(argv)).toMatchObject({ status: 69, stdout: '' })
  })
})

describe('files', () => {
  it('lists a directory, with nothing that a terminal would obey', async () => {
    expect(await world.run(['files', 'mem://b/app:v1'])).toEqual({
      status: 0,
      stdout: '/bin\n/etc/\n/usr/\n',
      stderr: '',
    })
    const { stdout } = await world.run(['files', 'mem://b/app:v1', '/usr'])
    expect(stdout).not.toContain('\u001b')
  })

  it('shows what the files are with --long', async () => {
    const root = await world.run(['files', 'mem://b/app:v1', '--long'])
    expect(root.stdout).toContain('lrwxrwxrwx  0:0  0  1970-01-01')
    expect(root.stdout).toContain('/bin -> usr/bin\n')
    const bin = await world.run(['files', 'mem://b/app:v1', '/bin', '--long'])
    expect(bin.stdout).toMatch(/^-rwsr-xr-x {2}10:0 {2}3 {2}1970-01-01 \S+ {2}\/usr\/bin\/tool\n$/)
    const usr = await world.run(['files', 'mem://b/app:v1', 'usr', '--long'])
    expect(usr.stdout).toContain('drwxrwxrwT')
  })

  it('gives the documented fields', async () => {
    const { stdout } = await world.run(['files', 'mem://b/app:v1', '/bin', '-o', 'json'])
    expect(JSON.parse(stdout)).toEqual([
      {
        path: '/usr/bin/tool',
        type: 'file',
        size: 3,
        mode: '4755',
        uid: 10,
        gid: 0,
        modified_at: '1970-01-01T00:00:00Z',
        layer: expect.stringMatching(/^sha256:/),
      },
    ])
  })
})
