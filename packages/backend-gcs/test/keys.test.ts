import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { GcsBackend } from '../src/index.ts'
import { ACCOUNTS, backendOn, keysOf, textOf } from './double-backend.ts'
import { GcsDouble } from './gcs-double.ts'

let double: GcsDouble
let backend: GcsBackend
beforeAll(async () => {
  double = await GcsDouble.start({ accounts: ACCOUNTS })
  double.makeBucket('bucket')
  backend = backendOn(double, 'bucket')
})
afterAll(() => double.close())

const isNightly = process.env['S3LO_TEST_NIGHTLY'] !== undefined

/** Names that the service allows: well-formed, without line breaks and without `.` and `..`. */
const key = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((text) => text.isWellFormed() && !/[\r\n\0]|(^|\/)\.\.?(\/|$)|^\/|\/$|\/\//.test(text))

it('every name that the service allows is kept, in every kind of request', async () => {
  const notAfter = new Date(Date.now() + 3_600_000)
  await fc.assert(
    fc.asyncProperty(key, async (name) => {
      await backend.put(name, Buffer.from(name))
      expect(await textOf(backend, name)).toBe(name)
      expect(await keysOf(backend.list(name))).toContain(name)
      const url = await backend.presignGet?.(name, { expiresInSeconds: 60 })
      expect(await (await fetch(url!)).text()).toBe(name)
      await backend.put(name, Buffer.from('timed'), { notAfter })
      expect((await backend.touch(name)).key).toBe(name)
      expect((await backend.copyFrom(backend, name, `${name}-copy`))?.size).toBe(5)
      expect(await backend.delete([name, `${name}-copy`], { notAfter })).toEqual([])
      expect(await backend.head(name)).toBeUndefined()
    }),
    { numRuns: isNightly ? 60 : 20 },
  )
})

it('any keys are listed in the order of their UTF-8 bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(key, { maxLength: 12 }), key, async (names, startAfter) => {
      for (const name of names) await backend.put(name, new Uint8Array())
      const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      expect(await keysOf(backend.list(''))).toEqual(sorted)
      const after = sorted.filter(
        (name) => Buffer.compare(Buffer.from(name), Buffer.from(startAfter)) > 0,
      )
      expect(await keysOf(backend.list('', { startAfter }))).toEqual(after)
      expect(await backend.delete(names)).toEqual([])
    }),
    { numRuns: isNightly ? 40 : 15 },
  )
})
