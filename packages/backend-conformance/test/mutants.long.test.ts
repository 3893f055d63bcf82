import type { Readable } from 'node:stream'
import { PassThrough, Transform } from 'node:stream'
import type {
  BackendGuarantees,
  DeadlineOptions,
  DeleteFailure,
  GetOptions,
  ListOptions,
  MoveOptions,
  ObjectBody,
  ObjectInfo,
  PutOptions,
  StorageBackend,
} from '@s3lo/core'
import { isS3loError, S3loError } from '@s3lo/core'
import { FaultyBackend, MemoryBackend } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import { type BackendUnderTest, runCase, suites } from '../src/index.ts'

/** A backend that is right in everything but the methods that a mutant overrides. */
class Mutant implements StorageBackend {
  readonly scheme = 'mutant'
  readonly bucket = 'mutant'
  readonly guarantees: BackendGuarantees
  readonly inner: StorageBackend
  readonly store: MemoryBackend

  constructor(inner: StorageBackend = new MemoryBackend()) {
    this.inner = inner
    this.store = inner instanceof MemoryBackend ? inner : new MemoryBackend()
    this.guarantees = inner.guarantees
  }

  head(key: string, options?: GetOptions): Promise<ObjectInfo | undefined> {
    return this.inner.head(key, options)
  }

  get(key: string, options?: GetOptions): Promise<ObjectBody> {
    return this.inner.get(key, options)
  }

  put(key: string, body: Uint8Array | Readable, options?: PutOptions): Promise<ObjectInfo> {
    return this.inner.put(key, body, options)
  }

  delete(keys: readonly string[], options?: DeadlineOptions): Promise<readonly DeleteFailure[]> {
    return this.inner.delete(keys, options)
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo> {
    return this.inner.list(prefix, options)
  }

  listPrefixes(prefix: string, options?: GetOptions): AsyncIterable<string> {
    return this.inner.listPrefixes(prefix, options)
  }

  async copyFrom(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    options?: GetOptions,
  ): Promise<ObjectInfo | undefined> {
    options?.signal?.throwIfAborted()
    if (!(source instanceof Mutant)) return undefined
    return this.store.copyFrom(source.store, sourceKey, key, options)
  }

  move(sourceKey: string, key: string, options?: MoveOptions): Promise<ObjectInfo | undefined> {
    return this.store.move(sourceKey, key, options)
  }

  touch(key: string, options?: GetOptions): Promise<ObjectInfo> {
    return this.store.touch(key, options)
  }
}

interface Crime {
  readonly name: string
  /** The title of the test that must catch it. */
  readonly caughtBy: string
  readonly make: new (inner?: StorageBackend) => Mutant
}

const crimes: readonly Crime[] = [
  {
    name: 'ignores the condition absent',
    caughtBy: 'absent throws CONFLICT where there is an object, and leaves it as it was',
    make: class extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        const { condition, ...rest } = options
        return super.put(key, body, condition?.kind === 'absent' ? rest : options)
      }
    },
  },
  {
    name: 'creates after a look instead of atomically',
    caughtBy: 'absent lets exactly one of several racing puts win, and the rest throw CONFLICT',
    make: class extends Mutant {
      override async put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        const { condition, ...rest } = options
        if (condition?.kind !== 'absent') return super.put(key, body, options)
        if (await this.head(key)) throw new S3loError('CONFLICT', 'exists')
        return super.put(key, body, rest)
      }
    },
  },
  {
    name: 'compares and swaps in two steps',
    caughtBy: 'unchanged lets exactly one of several racing puts win, and the rest throw CONFLICT',
    make: class extends Mutant {
      override async put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        const { condition, ...rest } = options
        if (condition?.kind !== 'unchanged') return super.put(key, body, options)
        if ((await this.head(key))?.etag !== condition.etag) {
          throw new S3loError('CONFLICT', 'changed')
        }
        return super.put(key, body, rest)
      }
    },
  },
  {
    name: 'creates where unchanged finds nothing',
    caughtBy: 'unchanged throws CONFLICT when the object is gone, and makes none',
    make: class extends Mutant {
      override async put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        const { condition, ...rest } = options
        if (condition?.kind !== 'unchanged' || (await this.head(key))) {
          return super.put(key, body, options)
        }
        return super.put(key, body, rest)
      }
    },
  },
  {
    name: 'includes the end of a range',
    caughtBy: 'a range is half-open: it has its first byte and not its last',
    make: class extends Mutant {
      override get(key: string, options: GetOptions = {}) {
        const { range } = options
        if (range?.end === undefined) return super.get(key, options)
        return super.get(key, { ...options, range: { start: range.start, end: range.end + 1 } })
      }
    },
  },
  {
    name: 'fails on a range past the end',
    caughtBy: 'a range that starts at the end or past it, or is empty, gives an empty body',
    make: class extends Mutant {
      override async get(key: string, options: GetOptions = {}) {
        const info = await this.head(key, { signal: options.signal })
        if (info && options.range && options.range.start >= info.size) {
          throw new S3loError('UNAVAILABLE', '416 range not satisfiable')
        }
        return super.get(key, options)
      }
    },
  },
  {
    name: 'calls a refused look missing',
    caughtBy: 'a request that is refused is an error, and never means missing',
    make: class extends Mutant {
      override head(key: string, options?: GetOptions) {
        return super.head(key, options).catch((error: unknown) => {
          if (isS3loError(error, 'FORBIDDEN')) return undefined
          throw error
        })
      }
    },
  },
  {
    name: 'calls a refused list empty',
    caughtBy: 'a request that is refused is an error, and never means missing',
    make: class extends Mutant {
      override async *list(prefix: string, options?: ListOptions) {
        try {
          yield* super.list(prefix, options)
        } catch (error) {
          if (!isS3loError(error, 'FORBIDDEN')) throw error
        }
      }
    },
  },
  {
    name: 'hides a refused delete',
    caughtBy: 'a delete that is refused is reported, by an error or by a failure for the key',
    make: class extends Mutant {
      override delete(keys: readonly string[], options?: DeadlineOptions) {
        return super.delete(keys, options).catch((error: unknown) => {
          if (isS3loError(error, 'FORBIDDEN')) return []
          throw error
        })
      }
    },
  },
  {
    name: 'lists foobar below foo/',
    caughtBy: 'list of foo/ never gives foobar or foo',
    make: class extends Mutant {
      override list(prefix: string, options?: ListOptions) {
        return super.list(prefix.replace(/\/$/, ''), options)
      }
    },
  },
  {
    name: 'leaves what came before the body failed',
    caughtBy: 'a put whose body fails leaves no object',
    make: class extends Mutant {
      override async put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        if (body instanceof Uint8Array) return super.put(key, body, options)
        const received: Uint8Array[] = []
        const spy = new Transform({
          transform(chunk: Uint8Array, _encoding, done) {
            received.push(chunk)
            done(null, chunk)
          },
        })
        body.once('error', (error) => spy.destroy(error))
        try {
          return await super.put(key, body.pipe(spy), options)
        } catch (error) {
          if (!options.condition && !options.signal) {
            await super.put(key, Buffer.concat(received))
          }
          throw error
        } finally {
          body.destroy()
        }
      }
    },
  },
  {
    name: 'lists one page',
    caughtBy: 'list gives every key, however many pages that takes',
    make: class extends Mutant {
      override async *list(prefix: string, options?: ListOptions) {
        let count = 0
        for await (const info of super.list(prefix, options)) {
          yield info
          if ((count += 1) === 1000) return
        }
      }
    },
  },
  {
    name: 'lists the key to start after',
    caughtBy: 'list starts after a key, whether that key exists or not',
    make: class extends Mutant {
      override async *list(prefix: string, options: ListOptions = {}) {
        const { startAfter, ...rest } = options
        for await (const info of super.list(prefix, rest)) {
          if (startAfter === undefined || info.key >= startAfter) yield info
        }
      }
    },
  },
  {
    name: 'lists in the order of writing',
    caughtBy: 'list is in key order',
    make: class extends Mutant {
      readonly #written: string[] = []
      override put(key: string, body: Uint8Array | Readable, options?: PutOptions) {
        if (!this.#written.includes(key)) this.#written.push(key)
        return super.put(key, body, options)
      }
      override async *list(prefix: string, options?: ListOptions) {
        const infos = new Map<string, ObjectInfo>()
        for await (const info of super.list(prefix, options)) infos.set(info.key, info)
        for (const key of this.#written) {
          const info = infos.get(key)
          if (info) yield info
        }
      }
    },
  },
  {
    name: 'orders keys by UTF-16 units',
    caughtBy: 'key order is by UTF-8 bytes, not by UTF-16 units',
    make: class extends Mutant {
      override async *list(prefix: string, options?: ListOptions) {
        const infos: ObjectInfo[] = []
        for await (const info of super.list(prefix, options)) infos.push(info)
        yield* infos.sort((a, b) => (a.key < b.key ? -1 : 1))
      }
    },
  },
  {
    name: 'gives folders more than once',
    caughtBy: 'listPrefixes gives the folders just below the prefix, once each and in order',
    make: class extends Mutant {
      override async *listPrefixes(prefix: string, options?: GetOptions) {
        for await (const { key } of super.list(prefix, options)) {
          const slash = key.indexOf('/', prefix.length)
          if (slash !== -1) yield key.slice(0, slash + 1)
        }
      }
    },
  },
  {
    name: 'fails to delete what is missing',
    caughtBy: 'delete of a key that is not there is no failure',
    make: class extends Mutant {
      override async delete(keys: readonly string[], options?: DeadlineOptions) {
        const failures = [...(await super.delete([], options))]
        for (const key of keys) {
          if (await this.head(key)) failures.push(...(await super.delete([key], options)))
          else failures.push({ key, error: new S3loError('NOT_FOUND', key) })
        }
        return failures
      }
    },
  },
  {
    name: 'deletes by prefix',
    caughtBy: 'delete takes a key by its exact name, never by prefix',
    make: class extends Mutant {
      override async delete(keys: readonly string[], options?: DeadlineOptions) {
        const all: string[] = []
        for (const key of keys) {
          for await (const info of super.list(key)) all.push(info.key)
        }
        return super.delete(all, options)
      }
    },
  },
  {
    name: 'deletes one batch',
    caughtBy: 'delete removes more keys than one request of any store takes',
    make: class extends Mutant {
      override delete(keys: readonly string[], options?: DeadlineOptions) {
        return super.delete(keys.slice(0, 1000), options)
      }
    },
  },
  {
    name: 'drops the last byte of a stream',
    caughtBy: 'put keeps every byte of a stream, whether its length is known or not',
    make: class extends Mutant {
      override async put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        const info = await super.put(key, body, options)
        if (body instanceof Uint8Array || info.size === 0) return info
        const { bytes } = await bytesAt(this.inner, key)
        return super.put(key, bytes.subarray(0, -1))
      }
    },
  },
  {
    name: 'ignores the size of a body',
    caughtBy: 'a body of another length than size is INTEGRITY and leaves no object',
    make: class extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        return super.put(key, body, { ...options, size: undefined })
      }
    },
  },
  {
    name: "replaces the body's error by its own",
    caughtBy: "a put whose body fails throws the body's own error",
    make: class extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options?: PutOptions) {
        if (body instanceof Uint8Array) return super.put(key, body, options)
        let failed = false
        body.once('error', () => (failed = true))
        return super.put(key, body, options).catch((error: unknown) => {
          if (failed && !options?.signal) throw new S3loError('UNAVAILABLE', 'upload failed')
          throw error
        })
      }
    },
  },
  {
    name: 'throws for a foreign source',
    caughtBy: 'copyFrom a foreign source gives undefined and makes nothing',
    make: class extends Mutant {
      override async copyFrom(
        source: StorageBackend,
        sourceKey: string,
        key: string,
        options?: GetOptions,
      ) {
        if (source instanceof Mutant) return super.copyFrom(source, sourceKey, key, options)
        throw new S3loError('UNSUPPORTED', 'cannot copy from there')
      }
    },
  },
  {
    name: 'truncates an object that is copied onto itself',
    caughtBy: 'copyFrom of an object onto itself leaves its bytes',
    make: class extends Mutant {
      override async copyFrom(
        source: StorageBackend,
        sourceKey: string,
        key: string,
        options?: GetOptions,
      ) {
        if (source === this && sourceKey === key && !options?.signal) {
          await this.put(key, new Uint8Array())
        }
        return super.copyFrom(source, sourceKey, key, options)
      }
    },
  },
  {
    name: 'leaves the source of a move',
    caughtBy: 'move gives an object another key, and nothing of it stays',
    make: class extends Mutant {
      override async move(sourceKey: string, key: string, options?: MoveOptions) {
        options?.signal?.throwIfAborted()
        return this.copyFrom(this, sourceKey, key)
      }
    },
  },
  {
    name: 'moves over any object at the goal',
    caughtBy: 'move if absent never replaces an object: CONFLICT, and both stay',
    make: class extends Mutant {
      override move(sourceKey: string, key: string, options?: MoveOptions) {
        return super.move(sourceKey, key, { ...options, condition: undefined })
      }
    },
  },
  {
    name: 'moves any version of the source',
    caughtBy: 'move with an etag moves that version only, else throws CONFLICT and changes nothing',
    make: class extends Mutant {
      override move(sourceKey: string, key: string, options?: MoveOptions) {
        return super.move(sourceKey, key, { ...options, sourceEtag: undefined })
      }
    },
  },
  {
    name: 'removes an object that is moved onto itself',
    caughtBy: 'move of an object onto itself leaves it',
    make: class extends Mutant {
      override async move(sourceKey: string, key: string, options?: MoveOptions) {
        const info = await super.move(sourceKey, key, options)
        if (sourceKey === key) await this.delete([key])
        return info
      }
    },
  },
  {
    name: 'rewrites the content when it touches',
    caughtBy: 'touch leaves the bytes and the size',
    make: class extends Mutant {
      override async touch(key: string, options?: GetOptions) {
        await super.touch(key, options)
        return this.put(key, new Uint8Array())
      }
    },
  },
  {
    name: 'touches nothing',
    caughtBy: 'touch makes lastModified now, by the clock of the store',
    make: class extends Mutant {
      override async touch(key: string, options?: GetOptions) {
        const info = await this.head(key, options)
        return info ?? super.touch(key, options)
      }
    },
  },
  {
    name: 'tells another etag after a touch than head does',
    caughtBy: 'touch gives the facts that head gives afterwards',
    make: class extends Mutant {
      override async touch(key: string, options?: GetOptions) {
        return { ...(await super.touch(key, options)), etag: 'touched' }
      }
    },
  },
  {
    name: 'ignores the signal of a put',
    caughtBy:
      "an aborted put rejects with the signal's reason within a second and leaves no object",
    make: class extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        options.signal?.throwIfAborted()
        return super.put(key, body, { ...options, signal: undefined })
      }
    },
  },
  {
    name: 'leaves the body of an aborted put open',
    caughtBy: 'an aborted put destroys its body',
    make: class extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options?: PutOptions) {
        if (body instanceof Uint8Array) return super.put(key, body, options)
        const pass = new PassThrough()
        body.once('error', (error) => pass.destroy(error))
        return super.put(key, body.pipe(pass), options)
      }
    },
  },
  {
    name: 'ignores the signal of a body',
    caughtBy: "aborting after get fails the body with the signal's reason and closes it",
    make: class extends Mutant {
      override get(key: string, options: GetOptions = {}) {
        options.signal?.throwIfAborted()
        return super.get(key, { ...options, signal: undefined })
      }
    },
  },
  {
    name: 'decodes percent signs in keys',
    caughtBy: 'put keeps keys with spaces, plus, percent and other scripts as they are',
    make: class extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options?: PutOptions) {
        return super.put(key.replace(/%([0-9A-F]{2})/g, decodeURIComponent), body, options)
      }
    },
  },
  {
    name: 'reads a plus in a key as a space',
    caughtBy: 'put keeps keys with spaces, plus, percent and other scripts as they are',
    make: class extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options?: PutOptions) {
        return super.put(key.replaceAll('+', ' '), body, options)
      }
    },
  },
  {
    name: 'ignores the deadline of a put',
    caughtBy: 'a put after its deadline is FORBIDDEN and changes nothing',
    make: class extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        return super.put(key, body, { ...options, notAfter: undefined })
      }
    },
  },
  {
    name: 'ignores the deadline of a delete',
    caughtBy: 'a delete after its deadline gives each key a FORBIDDEN failure and changes nothing',
    make: class extends Mutant {
      override delete(keys: readonly string[], options: DeadlineOptions = {}) {
        return super.delete(keys, { ...options, notAfter: undefined })
      }
    },
  },
  {
    name: 'finds out in the body that an object is missing',
    caughtBy: 'get itself throws NOT_FOUND for a key that is not there, before there is a body',
    make: class extends Mutant {
      override async get(key: string, options?: GetOptions) {
        try {
          return await super.get(key, options)
        } catch (error) {
          if (!isS3loError(error, 'NOT_FOUND')) throw error
          const body = new PassThrough()
          body.on('error', () => {})
          body.destroy(error)
          return { info: { key, size: 0, etag: '', lastModified: new Date(0) }, body }
        }
      }
    },
  },
  {
    name: 'mixes two versions in one body',
    caughtBy: 'a body is of one version, even when the object is replaced while it is read',
    make: class extends Mutant {
      override async get(key: string, options?: GetOptions) {
        const opened = await super.get(key, options)
        if (options?.range || options?.signal) return opened
        opened.body.destroy()
        const { inner } = this
        const { size } = opened.info
        const body = new PassThrough({ highWaterMark: 1 })
        void (async () => {
          for (let start = 0; start < size && !body.destroyed; start += 65_536) {
            const end = Math.min(size, start + 65_536)
            const { bytes } = await bytesAt(inner, key, { range: { start, end } })
            if (!body.write(bytes)) await new Promise((resolve) => body.once('drain', resolve))
          }
          body.end()
        })().catch((error: Error) => body.destroy(error))
        return { info: opened.info, body }
      }
    },
  },
]

const promising = { createOnly: false, compareAndSwap: false, deadlines: false }

describe('the kit', () => {
  it('finds nothing wrong with a mutant that does nothing wrong', async () => {
    expect(await failuresOf(underTest(Mutant))).toEqual([])
  })

  it.each(crimes)('catches a backend that $name', async ({ make, caughtBy }) => {
    expect(await failuresOf(underTest(make))).toContain(caughtBy)
  })

  it('catches a backend that drops a condition and a deadline which it does not promise', async () => {
    class Silent extends Mutant {
      override put(key: string, body: Uint8Array | Readable, options: PutOptions = {}) {
        return super.put(key, body, { ...options, condition: undefined, notAfter: undefined })
      }
    }
    const open = async () => new Silent(new MemoryBackend({ guarantees: promising }))
    expect(await failuresOf({ open })).toEqual(
      expect.arrayContaining([
        'without the guarantee, absent throws UNSUPPORTED before anything is written',
        'without the guarantee, unchanged throws UNSUPPORTED before anything is written',
        'without the guarantee, a deadline throws UNSUPPORTED before anything is changed',
      ]),
    )
  })

  it('has no two sentences with the same words', () => {
    const titles = suites.flatMap(({ cases }) => cases.map(({ title }) => title))
    expect(new Set(titles).size).toBe(titles.length)
  })

  it('skips what is not offered and says why', async () => {
    const presign = suites.find(({ name }) => name === 'presignGet')?.cases[0]
    const reason = presign && (await runCase({ open: async () => new MemoryBackend() }, presign))
    expect(reason).toBe('the backend has no presignGet')
  })
})

function underTest(make: new (inner?: StorageBackend) => Mutant): BackendUnderTest {
  const deny = () => {
    throw new S3loError('FORBIDDEN', 'access denied')
  }
  return {
    open: async () => new make(),
    openDenied: async () => new make(new FaultyBackend(new MemoryBackend(), { before: deny })),
  }
}

/** Runs the whole kit and gives the titles of what failed. */
async function failuresOf(backend: BackendUnderTest): Promise<string[]> {
  const failed: string[] = []
  for (const testCase of suites.flatMap(({ cases }) => cases)) {
    await runCase(backend, testCase).catch(() => failed.push(testCase.title))
  }
  return failed
}

async function bytesAt(backend: StorageBackend, key: string, options?: GetOptions) {
  const { body } = await backend.get(key, options)
  const chunks: Uint8Array[] = []
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return { bytes: Buffer.concat(chunks) }
}
