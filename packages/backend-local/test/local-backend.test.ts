import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import {
  mkdir,
  mkdtemp,
  link,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { type ErrorCode, isS3loError } from '@s3lo/core'
import { writeBody } from '@s3lo/core/files'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { toLocalError } from '../src/errors.ts'
import { LocalBackend, openBackend } from '../src/index.ts'
import plugin from '../src/plugin.ts'

const WORKER = fileURLToPath(new URL('store-worker.ts', import.meta.url))
const isLinux = process.platform === 'linux'

let place: string
let root: string
let backend: LocalBackend

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 's3lo-local-'))
  root = join(place, 'store')
  await mkdir(root)
  backend = new LocalBackend(root)
})

afterEach(async () => {
  await backend.close()
  await rm(place, { recursive: true })
})

describe('opening', () => {
  it('is offered as local by the plugin', async () => {
    const module = await plugin.backends.local.load()
    const opened = await module.openBackend({ scheme: 'local', bucket: root }, { env: {} })
    expect(opened).toMatchObject({ scheme: 'local', bucket: root })
  })

  it('refuses an empty bucket instead of taking the working directory', async () => {
    await expectCode(openBackend({ scheme: 'local', bucket: '' }, { env: {} }), 'INVALID_REFERENCE')
  })

  it('takes a relative path from the working directory', async () => {
    const spelled = new LocalBackend(relative(process.cwd(), root))
    await spelled.put('a', Buffer.from('x'))
    expect(await keysOf(backend)).toEqual(['a'])
    await spelled.close()
  })

  it('neither makes nor needs the directory, and never calls a missing store empty', async () => {
    const missing = new LocalBackend(join(place, 'missing'))
    expect(await missing.head('a/b')).toBeUndefined()
    expect(await missing.delete(['a/b'])).toEqual([])
    await expectCode(missing.get('a/b'), 'NOT_FOUND')
    await expectCode(missing.touch('a/b'), 'NOT_FOUND')
    await expectCode(keysOf(missing), 'NOT_FOUND')
    await expectCode(keysOf(missing, 'a/'), 'NOT_FOUND')
    await expectCode(missing.listPrefixes('')[Symbol.asyncIterator]().next(), 'NOT_FOUND')
    expect(existsSync(join(place, 'missing'))).toBe(false)
  })

  it('makes the directory and its parents with the first put', async () => {
    const deep = new LocalBackend(join(place, 'one/two/three'))
    await deep.put('a/b/c', Buffer.from('x'))
    expect(await readFile(join(place, 'one/two/three/a/b/c'), 'utf8')).toBe('x')
    await deep.close()
  })

  it('says so when the store is a file', async () => {
    const path = join(place, 'file')
    await writeFile(path, '')
    await expectCode(new LocalBackend(path).head('a/b'), 'INVALID_REFERENCE')
    await expectCode(keysOf(new LocalBackend(path)), 'INVALID_REFERENCE')
    await expectCode(new LocalBackend(path).put('key', Buffer.from('x')), 'INVALID_REFERENCE')
  })
})

describe('staying inside the root', () => {
  const escapes = [
    '',
    '..',
    '../../etc/passwd',
    '../outside',
    'blobs/../../../etc/shadow',
    'a/../b',
    './a',
    '/etc/passwd',
    'a//b',
    'a/',
    'a\\b',
    'a\0b',
    '.s3lo/tmp/x',
    '.s3lo/locks/x',
  ]

  it.each(escapes)('refuses the key %j', async (key) => {
    await expectCode(backend.head(key), 'INVALID_REFERENCE')
    await expectCode(backend.get(key), 'INVALID_REFERENCE')
    await expectCode(backend.put(key, Buffer.from('x')), 'INVALID_REFERENCE')
    await expectCode(backend.touch(key), 'INVALID_REFERENCE')
    await expectCode(backend.copyFrom(backend, key, 'copy'), 'INVALID_REFERENCE')
    const [failure] = await backend.delete([key])
    expect(failure?.error.code).toBe('INVALID_REFERENCE')
    expect(await readdir(place)).toEqual(['store'])
  })

  it.each(['../', 'a/../', '/', 'a//'])('refuses the prefix %j', async (prefix) => {
    await expectCode(keysOf(backend, prefix), 'INVALID_REFERENCE')
  })

  it('refuses a name that is too long for the file system, and does not call it missing', async () => {
    for (const key of ['x'.repeat(256), `a/${'x'.repeat(256)}/b`]) {
      await expectCode(backend.put(key, Buffer.from('x')), 'INVALID_REFERENCE')
      await expectCode(backend.head(key), 'INVALID_REFERENCE')
    }
  })

  it('never goes through a link to a directory outside', async () => {
    const outside = join(place, 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'secret'), 'secret')
    await symlink(outside, join(root, 'link'))
    await expectCode(backend.head('link/secret'), 'FORBIDDEN')
    await expectCode(backend.get('link/secret'), 'FORBIDDEN')
    await expectCode(backend.put('link/new', Buffer.from('x')), 'FORBIDDEN')
    await expectCode(backend.put('link/deep/new', Buffer.from('x')), 'FORBIDDEN')
    await expectCode(backend.touch('link/secret'), 'FORBIDDEN')
    await expectCode(keysOf(backend), 'FORBIDDEN')
    await expectCode(keysOf(backend, 'link/'), 'FORBIDDEN')
    const [failure] = await backend.delete(['link/secret'])
    expect(failure?.error.code).toBe('FORBIDDEN')
    expect(await readdir(outside)).toEqual(['secret'])
  })

  it('never goes through a link to a file outside', async () => {
    await writeFile(join(place, 'secret'), 'secret')
    await symlink('../secret', join(root, 'key'))
    await expectCode(backend.head('key'), 'FORBIDDEN')
    await expectCode(backend.get('key'), 'FORBIDDEN')
    await expectCode(backend.put('key', Buffer.from('x')), 'FORBIDDEN')
    const [failure] = await backend.delete(['key'])
    expect(failure?.error.code).toBe('FORBIDDEN')
    expect(await readFile(join(place, 'secret'), 'utf8')).toBe('secret')
  })

  it('keeps its own files inside where .s3lo is a link', async () => {
    await mkdir(join(place, 'outside'))
    await symlink(join(place, 'outside'), join(root, '.s3lo'))
    await expectCode(backend.put('key', Buffer.from('x')), 'FORBIDDEN')
    expect(await readdir(join(place, 'outside'))).toEqual([])
  })

  it('follows links that stay inside, and survives one that leads back', async () => {
    await backend.put('real/key', Buffer.from('x'))
    await symlink('real', join(root, 'alias'))
    await symlink('real/key', join(root, 'file'))
    await symlink('..', join(root, 'real/up'))
    expect(await read(backend, 'alias/key')).toBe('x')
    expect(await read(backend, 'file')).toBe('x')
    const keys = await keysOf(backend)
    expect(keys).toEqual(expect.arrayContaining(['alias/key', 'file', 'real/key']))
  })

  it('takes a named pipe for no object, and does not wait for it', async (context) => {
    context.skip(!isLinux, 'named pipes are made with mkfifo')
    const { execFileSync } = await import('node:child_process')
    execFileSync('mkfifo', [join(root, 'pipe')])
    expect(await backend.head('pipe')).toBeUndefined()
    await expectCode(backend.get('pipe'), 'NOT_FOUND')
    expect(await keysOf(backend)).toEqual([])
  })
})

describe('processes', () => {
  it('lets exactly one of two processes create each of 200 keys', async () => {
    const [first = [], second = []] = await Promise.all([runJob('create'), runJob('create')])
    const all = [...(first as number[]), ...(second as number[])].sort((a, b) => a - b)
    expect(all).toEqual(Array.from({ length: 200 }, (_, round) => round))
  }, 60_000)

  it('loses no update of two processes that compare and swap', async () => {
    await backend.put('counter', Buffer.from('0'))
    await Promise.all([runJob('count'), runJob('count')])
    expect(await read(backend, 'counter')).toBe('100')
  }, 60_000)

  it('sweeps what a killed process left, once it is a minute old', async () => {
    const child = await startJob('stage')
    await ready(child)
    const [left = ''] = await staged()
    expect(await keysOf(backend)).toEqual([])

    await makeOlder(left, 120_000)
    await sweep()
    expect(await staged()).toEqual([left])

    await kill(child)
    await makeOlder(left, 30_000)
    await sweep()
    expect(await staged()).toEqual([left])

    await makeOlder(left, 120_000)
    await sweep()
    expect(await staged()).toEqual([])
  })

  it('sweeps what cannot be judged only after a day', async () => {
    await mkdir(join(root, '.s3lo/tmp'), { recursive: true })
    await writeFile(join(root, '.s3lo/tmp/strange'), '')
    await makeOlder('strange', 23 * 3_600_000)
    await sweep()
    expect(await staged()).toEqual(['strange'])
    await makeOlder('strange', 25 * 3_600_000)
    await sweep()
    expect(await staged()).toEqual([])
  })

  it('breaks the lock of a killed process', async () => {
    const child = await startJob('lock')
    await ready(child)
    await kill(child)
    await backend.put('locked', Buffer.from('x'))
    expect(await read(backend, 'locked')).toBe('x')
    expect(await readdir(join(root, '.s3lo/locks'))).toEqual([])
  })

  it('waits for the lock of a process that lives, until the signal', async () => {
    const child = await startJob('lock')
    await ready(child)
    const controller = new AbortController()
    const reason = new Error('stop')
    const put = backend.put('locked', Buffer.from('x'), { signal: controller.signal })
    put.catch(() => {})
    // The lock that it prepared and cannot put in its place is the only directory there.
    await until(async () => (await staged(true)).length > 0)
    controller.abort(reason)
    await expect(put).rejects.toBe(reason)
    expect(await backend.head('locked')).toBeUndefined()
    expect(await staged()).toEqual([])
    expect(child.exitCode).toBeNull()
    await kill(child)
  })
})

describe('what a put leaves', () => {
  it('leaves no file behind, whether it succeeds, fails or is aborted', async () => {
    await backend.put('a/b', Buffer.from('x'))
    await expectCode(backend.put('c', Readable.from([Buffer.from('x')]), { size: 2 }), 'INTEGRITY')
    const condition = { kind: 'absent' } as const
    await expectCode(backend.put('a/b', Buffer.from('y'), { condition }), 'CONFLICT')
    const controller = new AbortController()
    const body = new Readable({
      read() {
        if (this.readableFlowing === false) return
        this.push(Buffer.alloc(1000))
        setImmediate(() => controller.abort())
      },
    })
    await expect(backend.put('d', body, { signal: controller.signal })).rejects.toThrow()
    await backend.close()
    expect(await staged()).toEqual([])
    expect(await readdir(join(root, '.s3lo/locks'))).toEqual([])
    expect((await readdir(root)).sort()).toEqual(['.s3lo', 'a'])
  })

  it('refuses a put whose deadline passes while its body streams', async () => {
    const { lastModified } = await backend.put('clock', Buffer.from('tick'))
    const notAfter = new Date(lastModified.getTime() + 100)
    const body = Readable.from(
      (async function* () {
        yield Buffer.from('a')
        while ((await backend.put('clock', Buffer.from('tick'))).lastModified <= notAfter);
        yield Buffer.from('b')
      })(),
    )
    await expectCode(backend.put('key', body, { notAfter }), 'FORBIDDEN')
    expect(await backend.head('key')).toBeUndefined()
  })

  it.each([-1, 1])(
    'dates and judges by the file system beside a clock that is %i day off',
    async (days) => {
      const before = await backend.put('before', Buffer.from('x'))
      const real = Date.now
      vi.spyOn(Date, 'now').mockImplementation(() => real() + days * 24 * 3_600_000)
      try {
        const put = await backend.put('key', Buffer.from('x'))
        const touched = await backend.touch('before')
        const now = (await backend.now()) ?? new Date(0)
        for (const { lastModified } of [put, touched, { lastModified: now }]) {
          const age = lastModified.getTime() - before.lastModified.getTime()
          expect(age).toBeGreaterThanOrEqual(0)
          expect(age).toBeLessThan(3_600_000)
        }
        const soon = { notAfter: new Date(now.getTime() + 3_600_000) }
        const late = { notAfter: new Date(now.getTime() - 3_600_000) }
        await backend.put('key', Buffer.from('y'), soon)
        await expectCode(backend.put('key', Buffer.from('z'), late), 'FORBIDDEN')
        expect((await backend.delete(['key'], late)).map(({ error }) => error.code)).toEqual([
          'FORBIDDEN',
        ])
        expect(await backend.delete(['key'], soon)).toEqual([])
      } finally {
        vi.restoreAllMocks()
      }
    },
  )

  it('writes plain files with the mode that the umask leaves', async () => {
    await backend.put('a/b', Buffer.from('x'))
    const mask = process.umask()
    expect((await stat(join(root, 'a/b'))).mode & 0o777).toBe(0o644 & ~mask)
    expect((await stat(join(root, 'a'))).mode & 0o777).toBe(0o755 & ~mask)
  })

  it('says that the disk is full', async (context) => {
    context.skip(!isLinux, 'a device that is always full is a thing of Linux')
    const handle = await open('/dev/full', 'w')
    try {
      const body = Readable.from([Buffer.alloc(1000), Buffer.alloc(1000)])
      const toError = (error: unknown): unknown => toLocalError(error, 'key')
      const written = writeBody(handle, body, { name: 'key', toError })
      await expect(written).rejects.toMatchObject({
        code: 'IO',
        hint: expect.stringContaining('space'),
      })
    } finally {
      await handle.close()
    }
  })

  it.each<[string, ErrorCode]>([
    ['ENOSPC', 'IO'],
    ['EDQUOT', 'IO'],
    ['EIO', 'IO'],
    ['ESTALE', 'IO'],
    ['EACCES', 'FORBIDDEN'],
    ['EPERM', 'FORBIDDEN'],
    ['EROFS', 'FORBIDDEN'],
    ['ENAMETOOLONG', 'INVALID_REFERENCE'],
    ['EISDIR', 'UNSUPPORTED'],
  ])('translates %s to %s', (errno, code) => {
    const error = Object.assign(new Error(errno), { errno: -1, code: errno })
    expect(toLocalError(error, 'key')).toMatchObject({ code })
  })

  it('cannot hold an object and a folder of one name, and says so', async () => {
    await backend.put('a', Buffer.from('x'))
    await expectCode(backend.put('a/b', Buffer.from('x')), 'UNSUPPORTED')
    await backend.put('c/d', Buffer.from('x'))
    await expectCode(backend.put('c', Buffer.from('x')), 'UNSUPPORTED')
    expect(await keysOf(backend)).toEqual(['a', 'c/d'])
  })
})

describe('beside the Go program', () => {
  it('sees a rewrite in place of the same length as another etag', async () => {
    await backend.put('key', Buffer.from('one'))
    const before = await backend.head('key')
    await writeFile(join(root, 'key'), 'two')
    const after = await backend.head('key')
    expect(after?.etag).not.toBe(before?.etag)
    expect(after?.size).toBe(3)
  })

  it('ends a body with INTEGRITY when its file is truncated in place', async () => {
    await backend.put('key', Buffer.alloc(4 * 1024 * 1024))
    const { body } = await backend.get('key')
    await writeFile(join(root, 'key'), '')
    await expectCode(buffer(body), 'INTEGRITY')
  })

  it('takes an empty directory for nothing', async () => {
    await mkdir(join(root, 'manifests/app/v1'), { recursive: true })
    await mkdir(join(root, 'key'))
    expect(await prefixesOf(backend, '')).toEqual([])
    await backend.put('key', Buffer.from('x'))
    expect(await keysOf(backend)).toEqual(['key'])
  })
})

describe('listing', () => {
  it('opens no folder that the prefix or startAfter rules out', async () => {
    await backend.put('b/1', Buffer.from('x'))
    await backend.put('c/1', Buffer.from('x'))
    // A process that opens this folder meets a link that leads out, which is an error.
    await mkdir(join(root, 'a'))
    await symlink(place, join(root, 'a/trap'))
    await expectCode(keysOf(backend), 'FORBIDDEN')
    expect(await keysOf(backend, '', 'a0')).toEqual(['b/1', 'c/1'])
    expect(await keysOf(backend, 'b/')).toEqual(['b/1'])
    expect(await keysOf(backend, 'b')).toEqual(['b/1'])
  })

  it('hides its own files and nothing else below .s3lo', async () => {
    await backend.put('.s3lo/gc/pins/1.json', Buffer.from('{}'))
    await backend.put('.s3lo/tmpfile', Buffer.from('x'))
    await writeFile(join(root, '.s3lo/tmp/left'), 'x')
    expect(await keysOf(backend)).toEqual(['.s3lo/gc/pins/1.json', '.s3lo/tmpfile'])
    expect(await keysOf(backend, '.s3lo/tmp')).toEqual(['.s3lo/tmpfile'])
    expect(await prefixesOf(backend, '.s3lo/')).toEqual(['.s3lo/gc/'])
  })
})

describe('deleting', () => {
  it('removes the folders that it empties, but not the root', async () => {
    await backend.put('a/b/c/d', Buffer.from('x'))
    await backend.put('a/e', Buffer.from('x'))
    await backend.delete(['a/b/c/d'])
    expect(await readdir(join(root, 'a'))).toEqual(['e'])
    await backend.delete(['a/e'])
    expect(await readdir(root)).toEqual(['.s3lo'])
  })
})

describe('copying and touching', () => {
  it('copies onto itself by another spelling of the root without losing a byte', async () => {
    await backend.put('key', Buffer.from('content'))
    const before = await backend.head('key')
    const spelled = new LocalBackend(join(root, '../store/.'))
    expect(await backend.copyFrom(spelled, 'key', 'key')).toEqual(before)
    expect(await read(backend, 'key')).toBe('content')
  })

  it('leaves another directory to the caller, who verifies what passes', async () => {
    const other = new LocalBackend(join(place, 'other'))
    await other.put('from', Buffer.from('content'))
    expect(await backend.copyFrom(other, 'from', 'to')).toBeUndefined()
    expect(await backend.head('to')).toBeUndefined()
    await other.close()
  })

  it('touches the date of an old object', async () => {
    await backend.put('key', Buffer.from('x'))
    await utimes(join(root, 'key'), 1000, 1000)
    const touched = await backend.touch('key')
    expect(touched.lastModified.getTime()).toBeGreaterThan(1_700_000_000_000)
    expect(await backend.head('key')).toEqual(touched)
  })
})

describe('moving', () => {
  it('renames the file, and removes the folders that it leaves empty', async () => {
    await backend.put('from/deep/key', Buffer.from('content'))
    const { ino } = await stat(join(root, 'from/deep/key'))
    await backend.move('from/deep/key', 'to/key')
    expect((await stat(join(root, 'to/key'))).ino).toBe(ino)
    expect(await readdir(root)).toEqual(['.s3lo', 'to'])
    expect(await readdir(join(root, '.s3lo/tmp'))).toEqual([])
  })

  it('is done again after a process that died before the source was gone', async () => {
    await backend.put('from', Buffer.from('content'))
    await link(join(root, 'from'), join(root, 'to'))
    await backend.move('from', 'to')
    expect(await read(backend, 'to')).toBe('content')
    expect(await backend.head('from')).toBeUndefined()
    expect(await readdir(join(root, '.s3lo/tmp'))).toEqual([])
  })

  it('loses no version that is put to the source meanwhile', async () => {
    for (let round = 0; round < 20; round++) {
      await backend.put('from', Buffer.from('content'))
      const again = backend.put('from', Buffer.from('newer'))
      await Promise.all([backend.move('from', 'to'), again])
      const left = (await backend.head('from')) && (await read(backend, 'from'))
      expect([left, await read(backend, 'to')]).toContain('newer')
    }
  })

  it('gives undefined for a symbolic link, and changes nothing', async () => {
    await backend.put('real', Buffer.from('content'))
    await symlink('real', join(root, 'from'))
    expect(await backend.move('from', 'to')).toBeUndefined()
    expect(await read(backend, 'from')).toBe('content')
    expect(await backend.head('to')).toBeUndefined()
    expect(await readdir(join(root, '.s3lo/tmp'))).toEqual([])
  })
})

it('leaks no file when 1000 bodies are destroyed unread', async (context) => {
  context.skip(!isLinux, 'open files are counted in /proc')
  await backend.put('key', Buffer.alloc(100_000))
  await backend.close()
  const before = (await readdir('/proc/self/fd')).length
  for (let round = 0; round < 1000; round += 1) {
    const { body } = await backend.get('key', { range: { start: round } })
    const closed = once(body, 'close')
    body.destroy()
    await closed
  }
  expect((await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before)
})

async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const error = await promise.then(
    () => 'no error',
    (reason: unknown) => reason,
  )
  expect(isS3loError(error) ? error.code : error).toBe(code)
}

async function keysOf(store: LocalBackend, prefix = '', startAfter?: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefix, { startAfter })) keys.push(key)
  return keys
}

async function prefixesOf(store: LocalBackend, prefix: string): Promise<string[]> {
  const prefixes: string[] = []
  for await (const found of store.listPrefixes(prefix)) prefixes.push(found)
  return prefixes
}

async function read(store: LocalBackend, key: string): Promise<string> {
  return (await buffer((await store.get(key)).body)).toString()
}

async function staged(directories = false): Promise<string[]> {
  const found = await readdir(join(root, '.s3lo/tmp'), { withFileTypes: true })
  return found.filter((entry) => !directories || entry.isDirectory()).map(({ name }) => name)
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
}

async function makeOlder(name: string, ageMs: number): Promise<void> {
  const date = new Date(Date.now() - ageMs)
  await utimes(join(root, '.s3lo/tmp', name), date, date)
}

/** Puts with a new backend, whose first put sweeps, and waits for that. */
async function sweep(): Promise<void> {
  const fresh = new LocalBackend(root)
  await fresh.put('sweeper', Buffer.from('x'))
  await fresh.close()
  await backend.delete(['sweeper'])
}

/** A process at the start of `job`. */
async function startJob(job: string): Promise<ChildProcess> {
  const child = fork(WORKER, [job, root], {
    cwd: dirname(WORKER),
    execArgv: ['--conditions=s3lo-source'],
  })
  await once(child, 'message')
  return child
}

/** What a process answers that does the whole of `job`. */
async function runJob(job: string): Promise<unknown> {
  const child = await startJob(job)
  let answer: unknown
  child.once('message', (message) => (answer = message))
  const ended = once(child, 'exit')
  child.send('go')
  expect((await ended)[0]).toBe(0)
  return answer
}

async function ready(child: ChildProcess): Promise<void> {
  const message = once(child, 'message')
  child.send('go')
  await message
}

async function kill(child: ChildProcess): Promise<void> {
  expect(child.exitCode).toBeNull()
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
