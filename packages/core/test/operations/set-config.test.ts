import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfigDocument } from '../../src/config/edit-config.ts'
import { loadConfigFile } from '../../src/config/config-file.ts'
import type { BackendGuarantees } from '../../src/contract/storage-backend.ts'
import { type ErrorCode, S3loError } from '../../src/errors.ts'
import { BUCKET_CONFIG_KEY } from '../../src/layout/keys.ts'
import { getImageConfig, getStoreConfig } from '../../src/operations/get-config.ts'
import { removeConfig, setConfig } from '../../src/operations/set-config.ts'
import { FaultyBackend, MemoryBackend } from '../../src/testing/index.ts'

const code = (expected: ErrorCode) => expect.objectContaining({ code: expected })

async function storeWith(text: string): Promise<MemoryBackend> {
  const backend = new MemoryBackend()
  await backend.put(BUCKET_CONFIG_KEY, Buffer.from(text))
  return backend
}

async function textOf(backend: MemoryBackend): Promise<string> {
  return Buffer.from((await readConfigDocument(backend)).document.content).toString()
}

/** A backend before whose first write of the configuration another process's comes. */
function raced(backend: MemoryBackend, other: () => Promise<unknown>, times = 1): FaultyBackend {
  let left = times
  return new FaultyBackend(backend, {
    before: async ({ method, key }) => {
      if (method !== 'put' || key !== BUCKET_CONFIG_KEY || left === 0) return
      left--
      await other()
    },
  })
}

it('settings of a store that is not there are not found, not empty', async () => {
  const missing = new FaultyBackend(new MemoryBackend(), {
    before: ({ method }) => {
      if (method === 'list') throw new S3loError('NOT_FOUND', 'the bucket does not exist')
    },
  })
  await expect(getStoreConfig(missing)).rejects.toThrow(code('NOT_FOUND'))
  await expect(getImageConfig(missing, 'app')).rejects.toThrow(code('NOT_FOUND'))
  expect(await getStoreConfig(new MemoryBackend())).toEqual({ default: {} })
  for (const changing of [
    removeConfig(missing, 'app', undefined),
    removeConfig(missing, '', 'immutable'),
    setConfig(missing, 'app', ['immutable=']),
  ]) {
    await expect(changing).rejects.toThrow(code('NOT_FOUND'))
  }
  const nothing = await removeConfig(new MemoryBackend(), 'app', undefined)
  expect(nothing.changed).toBe(false)
})

describe('a change that would hide or loosen what holds', () => {
  const RULES =
    'default: {lifecycle: {keep_last: 3}}\nimages: {"team/*": {immutable: true, lifecycle: {keep_last: 50, max_age: 90d}}}\n'

  it('copies what a new, narrower entry would hide, and says so', async () => {
    const backend = await storeWith(RULES)
    const result = await setConfig(backend, 'team/app', ['lifecycle.max_age=10d'])
    expect(result).toMatchObject({
      copied: ['lifecycle.keep_last'],
      settings: { lifecycle: { keep_last: 50, max_age: '10d' } },
    })
    expect(result.effects).toBeUndefined()
    expect(await getImageConfig(backend, 'team/app')).toMatchObject({
      immutable: true,
      sources: { immutable: 'images["team/*"]' },
    })
    const again = await setConfig(backend, 'team/app', ['lifecycle.max_age=20d'])
    expect(again.copied).toBeUndefined()
  })

  it('copies into a narrower glob, and keeps what it is told to unset unset', async () => {
    const backend = await storeWith(RULES)
    const result = await setConfig(backend, 'team/a*', ['lifecycle.max_age='])
    expect(result.copied).toBeUndefined()
    expect(await setConfig(backend, 'team/b*', ['lifecycle.keep_last=1'])).toMatchObject({
      copied: ['lifecycle.max_age'],
    })
  })

  it('copies nothing for an entry that hides none', async () => {
    const backend = await storeWith(RULES)
    const result = await setConfig(backend, 'other', ['lifecycle.max_age=10d'])
    expect([result.copied, result.effects]).toEqual([undefined, undefined])
  })

  it('says what a removal takes away', async () => {
    const backend = await storeWith(RULES)
    await setConfig(backend, 'team/app', ['lifecycle.keep_last=100'])
    expect(await removeConfig(backend, 'team/app', undefined)).toMatchObject({
      effects: [{ key: 'lifecycle.keep_last', before: 100, after: 50 }],
    })
    expect((await removeConfig(backend, 'team/*', 'lifecycle.max_age')).effects).toBeUndefined()
    expect(await removeConfig(backend, 'team/*', undefined)).toMatchObject({
      effects: [
        { key: 'immutable', before: true },
        { key: 'lifecycle.keep_last', before: 50, after: 3 },
      ],
    })
  })

  it('says that a glob cannot take immutability back', async () => {
    const backend = await storeWith(RULES)
    expect(await setConfig(backend, 'team/a*', ['immutable=false'])).toMatchObject({
      immutable_by: 'team/*',
    })
    const own = await setConfig(backend, 'team/app', ['immutable=false'])
    expect(own.immutable_by).toBeUndefined()
  })
})

describe('setConfig', () => {
  it('creates the file, in one create-only write', async () => {
    const backend = new MemoryBackend()
    expect(await setConfig(backend, '', ['immutable=true', 'lifecycle.keep_last=5'])).toEqual({
      ref: 'memory://memory/',
      scope: 'store',
      changed: true,
      settings: { immutable: true, lifecycle: { keep_last: 5 } },
      guard: 'compare-and-swap',
    })
    expect(await textOf(backend)).toBe(
      'default:\n  immutable: true\n  lifecycle:\n    keep_last: 5\n',
    )
  })

  it('sets an image and a glob', async () => {
    const backend = await storeWith('# kept\nchunked: true\n')
    expect(await setConfig(backend, 'app', ['immutable=1'])).toMatchObject({
      ref: 'memory://memory/app',
      scope: 'image',
    })
    expect(await setConfig(backend, 'dev/*', ['lifecycle.keep_tags=a,b'])).toMatchObject({
      scope: 'glob',
      settings: { lifecycle: { keep_tags: ['a', 'b'] } },
    })
    expect(await textOf(backend)).toContain('# kept\n')
  })

  it('writes nothing when it says so already', async () => {
    const backend = new FaultyBackend(await storeWith('chunked: false # why\n'))
    expect(await setConfig(backend, '', ['chunked=false'])).toMatchObject({ changed: false })
    expect(backend.calls.filter(({ method }) => method === 'put')).toEqual([])
  })

  it.each([
    ['', []],
    ['', ['immutable']],
    ['', ['immutable=maybe']],
    ['', ['speed=1']],
    ['', ['constructor=1']],
    ['', ['lifecycle=1']],
    ['', ['lifecycle.keep_last=-1']],
    ['', ['lifecycle.keep_last=1.5']],
    ['', ['lifecycle.max_age=1w']],
    ['', ['lifecycle.mode=both']],
    ['', ['lifecycle.keep_tags=a/b']],
    ['', ['immutable=true', 'immutable=false']],
    ['', ['lifecycle=', 'lifecycle.keep_last=1']],
    ['app:v1', ['immutable=true']],
    ['[', ['immutable=true']],
  ])('for %j refuses %j before anything is read', async (scope, settings) => {
    const backend = new FaultyBackend(new MemoryBackend())
    await expect(setConfig(backend, scope, settings)).rejects.toEqual(code('USAGE'))
    expect(backend.calls).toEqual([])
  })

  it("merges another process's edit of another key", async () => {
    const backend = await storeWith('default:\n  immutable: true # a\n')
    const other = raced(backend, () => setConfig(backend, 'app', ['lifecycle.keep_last=3']))
    expect(await setConfig(other, '', ['immutable=false'])).toMatchObject({
      changed: true,
      merged: true,
    })
    expect(await textOf(backend)).toBe(
      'default:\n  immutable: false # a\nimages:\n  app:\n    lifecycle:\n      keep_last: 3\n',
    )
  })

  it("merges with another process's first file", async () => {
    const backend = new MemoryBackend()
    const other = raced(backend, () => setConfig(backend, '', ['chunked=false']))
    await setConfig(other, '', ['immutable=true'])
    expect((await readConfigDocument(backend)).document.config).toMatchObject({
      chunked: false,
      default: { immutable: true },
    })
  })

  it("refuses to overwrite another process's edit of the same key", async () => {
    const backend = await storeWith('default:\n  lifecycle:\n    keep_last: 1\n')
    const other = raced(backend, () => setConfig(backend, '', ['lifecycle.keep_last=2']))
    await expect(setConfig(other, '', ['lifecycle.keep_last=3'])).rejects.toEqual(code('CONFLICT'))
    expect((await readConfigDocument(backend)).document.config.default.lifecycle).toEqual({
      keepLast: 2,
    })
  })

  it('refuses to remove a block of which another process changed a key', async () => {
    const backend = await storeWith('images:\n  app:\n    immutable: true\n')
    const other = raced(backend, () => setConfig(backend, 'app', ['lifecycle.keep_last=2']))
    await expect(removeConfig(other, 'app', undefined)).rejects.toEqual(code('CONFLICT'))
  })

  it('agrees with another process that set the same', async () => {
    const backend = await storeWith('# x\n')
    const other = raced(backend, () => setConfig(backend, '', ['immutable=true']))
    expect(await setConfig(other, '', ['immutable=true'])).toMatchObject({ changed: false })
  })

  it('gives up when others never stop', async () => {
    const backend = new MemoryBackend()
    let n = 0
    const other = raced(backend, () => setConfig(backend, `i${n++}`, ['immutable=true']), 1000)
    await expect(setConfig(other, '', ['immutable=true'])).rejects.toEqual(code('CONFLICT'))
    expect(n).toBeLessThan(20)
  })

  it('checks, writes and reads back where the store cannot compare and swap, and says so', async () => {
    const guarantees = { createOnly: false, compareAndSwap: false }
    const backend = new MemoryBackend({ guarantees })
    expect(await setConfig(backend, '', ['immutable=true'])).toMatchObject({
      changed: true,
      guard: 'check-write-read-back',
    })
    let lost = true
    const overwritten = new FaultyBackend(backend, {
      after: async ({ method, key }) => {
        if (method !== 'put' || key !== BUCKET_CONFIG_KEY || !lost) return
        lost = false
        await backend.put(
          BUCKET_CONFIG_KEY,
          Buffer.from('default:\n  immutable: true\nchunked: true\n'),
        )
      },
    })
    await setConfig(overwritten, '', ['lifecycle.keep_last=3'])
    expect((await readConfigDocument(backend)).document.config).toMatchObject({
      default: { immutable: true, lifecycle: { keepLast: 3 } },
      chunked: true,
    })
  })

  it('finds out what the store guarantees, but only when there is something to write', async () => {
    class Unproven extends MemoryBackend {
      proofs = 0
      override guarantees = { createOnly: false, compareAndSwap: false, deadlines: false }

      async proveGuarantees(): Promise<BackendGuarantees> {
        this.proofs++
        this.guarantees = { createOnly: true, compareAndSwap: true, deadlines: true }
        return this.guarantees
      }
    }
    const backend = new Unproven()
    expect(await setConfig(backend, '', ['immutable='])).toMatchObject({ changed: false })
    expect(backend.proofs).toBe(0)
    expect(await setConfig(backend, '', ['immutable=true'])).toMatchObject({
      guard: 'compare-and-swap',
    })
    expect(backend.proofs).toBe(1)
  })

  it('never takes a file that may not be read for none', async () => {
    const backend = new FaultyBackend(new MemoryBackend(), {
      before: ({ method }) => {
        if (method === 'get') throw Object.assign(new Error('denied'), { code: 'FORBIDDEN' })
      },
    })
    await expect(setConfig(backend, '', ['immutable=true'])).rejects.toThrow('denied')
    expect(backend.calls.filter(({ method }) => method === 'put')).toEqual([])
  })
})

describe('removeConfig', () => {
  it('removes one setting, one block, or all of an image', async () => {
    const text =
      'images:\n  app:\n    immutable: true\n    lifecycle:\n      keep_last: 1\n      max_age: 1d\n'
    const backend = await storeWith(text)
    await removeConfig(backend, 'app', 'lifecycle.max_age')
    expect(await textOf(backend)).toBe(text.replace('      max_age: 1d\n', ''))
    await removeConfig(backend, 'app', 'lifecycle')
    expect(await textOf(backend)).toBe('images:\n  app:\n    immutable: true\n')
    expect(await removeConfig(backend, 'app', undefined)).toMatchObject({ changed: true })
    expect(await textOf(backend)).toBe('')
    expect(await removeConfig(backend, 'app', undefined)).toMatchObject({ changed: false })
    await expect(removeConfig(backend, 'app', 'speed')).rejects.toEqual(code('USAGE'))
  })
})

describe('getConfig', () => {
  const text = `default:
  immutable: true
  lifecycle: {keep_last: 10, max_age: 90d}
images:
  ab*: {lifecycle: {keep_last: 1}}
  a*c: {lifecycle: {keep_last: 2, mode: either}}
policies: [{check: size, max_bytes: 5}]
chunked: false
chunk_format: 1
`

  it('of a store is everything that is set', async () => {
    expect(await getStoreConfig(await storeWith(text))).toEqual({
      default: { immutable: true, lifecycle: { keep_last: 10, max_age: '90d' } },
      images: {
        'ab*': { lifecycle: { keep_last: 1 } },
        'a*c': { lifecycle: { keep_last: 2, mode: 'either' } },
      },
      policies: [{ name: 'size', check: 'size', max_bytes: 5 }],
      chunked: false,
      chunk_format: 1,
    })
    expect(await getStoreConfig(new MemoryBackend())).toEqual({ default: {} })
  })

  it('of an image is what holds, with the true source of each value', async () => {
    expect(await getImageConfig(await storeWith(text), 'abc')).toEqual({
      ref: 'memory://memory/abc',
      immutable: true,
      lifecycle: { keep_last: 2, max_age: '90d', mode: 'either' },
      pattern: 'a*c',
      chunked: false,
      sources: {
        immutable: 'default',
        'lifecycle.keep_last': 'images["a*c"]',
        'lifecycle.max_age': 'default',
        'lifecycle.mode': 'images["a*c"]',
        chunked: 'default',
      },
    })
  })

  it('of a glob is what holds where that glob applies', async () => {
    expect(await getImageConfig(await storeWith(text), 'ab*')).toMatchObject({
      lifecycle: { keep_last: 1, max_age: '90d' },
      pattern: 'ab*',
    })
    expect(await getImageConfig(new MemoryBackend(), 'x*')).toEqual({
      ref: 'memory://memory/x*',
      sources: {},
    })
  })
})

describe('loadConfigFile', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 's3lo-config-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('reads the rules of a file, and names the line that is wrong', async () => {
    const path = join(folder, 'rules.yaml')
    await writeFile(path, 'default:\n  lifecycle:\n    keep_last: 2\n')
    expect((await loadConfigFile(path)).default.lifecycle).toEqual({ keepLast: 2 })
    await writeFile(path, 'default:\n  lifecycle:\n    max_age: 1w\n')
    await expect(loadConfigFile(path)).rejects.toMatchObject({
      code: 'INTEGRITY',
      message: expect.stringContaining('rules.yaml line 3'),
    })
  })

  it('tells what is missing, too large or no file', async () => {
    await expect(loadConfigFile(join(folder, 'none'))).rejects.toEqual(code('NOT_FOUND'))
    await expect(loadConfigFile(folder)).rejects.toEqual(code('IO'))
    await writeFile(join(folder, 'large'), Buffer.alloc(300_000, 0x20))
    await expect(loadConfigFile(join(folder, 'large'))).rejects.toEqual(code('INTEGRITY'))
  })
})
