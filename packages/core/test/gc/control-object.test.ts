import { describe, expect, it } from 'vitest'
import { MemoryBackend } from '../../src/testing/index.ts'
import { controlKey, parseCondemnedKey, parseControlKey } from '../../src/gc/control-key.ts'
import {
  type ControlObject,
  listControls,
  readControl,
  writeControl,
} from '../../src/gc/control-object.ts'
import { DigestSet } from '../../src/gc/digest-set.ts'
import { NameSet, shorten } from '../../src/gc/name-set.ts'
import { digestOf } from '../../src/oci/digest.ts'

const hex = (text: string | number): string => digestOf(Buffer.from(String(text))).slice(7)
const now = new Date(1_760_000_000_000)

async function listed(backend: MemoryBackend): Promise<readonly ControlObject[]> {
  return Array.fromAsync(listControls(backend, 'pin'))
}

describe('a pin', () => {
  it('lives from the date that the store gave it, as everybody reads it', async () => {
    const backend = new MemoryBackend({ now: () => now })
    const content = { names: [hex('a')], who: 'push app:1.2' }
    const pin = await writeControl(backend, 'pin', content, { ttlSeconds: 600 })
    expect(pin).toMatchObject({ created: now.getTime(), expires: now.getTime() + 600_000 })
    expect(await listed(backend)).toEqual([pin])
    const { names } = (await readControl(backend, pin)) ?? {}
    expect([names?.matches(hex('a')), names?.matches(hex('b'))]).toEqual([true, false])
  })

  it('never expires without a time to live', async () => {
    const backend = new MemoryBackend({ now: () => now })
    const content = { names: [], who: '' }
    await writeControl(backend, 'pin', content, { ttlSeconds: undefined })
    expect((await listed(backend)).map(({ expires }) => expires)).toEqual([undefined])
  })

  it.each([
    'hello',
    '000600-0123.json',
    `000600-${'0'.repeat(32)}.json/manifest.json`,
    `x/000600-${'0'.repeat(32)}.json`,
    `000901-${'0'.repeat(32)}.json`,
    `999999-${'0'.repeat(32)}.json`,
    `0000600-${'0'.repeat(32)}.json`,
  ])('has no say under the name %s, which no participant writes', async (name) => {
    const backend = new MemoryBackend({ now: () => now })
    await backend.put(`.s3lo/gc/pins/${name}`, Buffer.from('{}'))
    expect(await listed(backend)).toEqual([])
  })

  it.each([0, -1, 901, Number.NaN])('is not written for %d seconds', async (ttlSeconds) => {
    const written = writeControl(new MemoryBackend(), 'pin', { names: [], who: '' }, { ttlSeconds })
    await expect(written).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('holds nothing once it is gone', async () => {
    const backend = new MemoryBackend()
    const pin = await writeControl(backend, 'pin', { names: [], who: '' }, { ttlSeconds: 1 })
    await backend.delete([pin.key])
    expect(await readControl(backend, pin)).toBeUndefined()
  })

  it.each([
    ['another version', '{"v":2,"kind":"pin","names":[]}'],
    ['another kind', '{"v":1,"kind":"round","names":[]}'],
    ['no names', '{"v":1,"kind":"pin"}'],
    ['a name that is none', '{"v":1,"kind":"pin","names":["g"]}'],
    ['a number for a name', '{"v":1,"kind":"pin","names":[1]}'],
    ['nothing', ''],
    ['bytes', '\xff\xfe'],
    ['too much', `{"v":1,"kind":"pin","names":[${'"",'.repeat(1_500_000)}""]}`],
  ])('matches everything when it has %s', async (_, text) => {
    const backend = new MemoryBackend()
    const key = controlKey('pin', 600, '0'.repeat(32))
    await backend.put(key, Buffer.from(text, 'latin1'))
    const [pin] = await listed(backend)
    expect((await readControl(backend, pin!))?.names.matches(hex('a'))).toBe(true)
  })
})

describe('names', () => {
  it('match in full, by prefix, and by the empty prefix', () => {
    expect(new NameSet([hex('a')]).matches(hex('a'))).toBe(true)
    expect(new NameSet([hex('a').slice(0, 8)]).matches(hex('a'))).toBe(true)
    expect(new NameSet(['']).matches(hex('a'))).toBe(true)
    expect(new NameSet([hex('b'), hex('b').slice(0, 8)]).matches(hex('a'))).toBe(false)
    expect(new NameSet().matches(hex('a'))).toBe(false)
  })

  it('are cut when there are very many, and still match', () => {
    const names = Array.from({ length: 50_000 }, (_, i) => hex(i))
    const short = shorten(names)
    expect(Math.max(...short.map(({ length }) => length))).toBe(8)
    const set = new NameSet(short)
    expect(names.every((name) => set.matches(name))).toBe(true)
    expect(shorten(names.slice(0, 3))).toEqual(names.slice(0, 3))
  })
})

describe('keys', () => {
  it('are read back as they were written', () => {
    const id = 'ab'.repeat(16)
    expect(parseControlKey('round', controlKey('round', 600, id))).toEqual({ id, ttlSeconds: 600 })
    expect(parseControlKey('pin', controlKey('pin', undefined, id))).toEqual({
      id,
      ttlSeconds: undefined,
    })
    expect(parseCondemnedKey('.s3lo/gc/condemned/x.txt')).toBeUndefined()
  })
})

describe('a set of digests', () => {
  it('holds what was added and nothing else, while it grows', () => {
    const set = new DigestSet()
    for (let i = 0; i < 20_000; i++) expect(set.add(hex(i))).toBe(true)
    for (let i = 0; i < 20_000; i += 7) expect(set.add(hex(i))).toBe(false)
    expect(set.size).toBe(20_000)
    for (let i = 0; i < 20_000; i += 3) expect(set.has(hex(i))).toBe(true)
    for (let i = 20_000; i < 30_000; i++) expect(set.has(hex(i))).toBe(false)
  })

  it('holds the digest of all zeros and long ones', () => {
    const set = new DigestSet()
    const zeros = '0'.repeat(64)
    expect([set.has(zeros), set.add(zeros), set.add(zeros), set.has(zeros)]).toEqual([
      false,
      true,
      false,
      true,
    ])
    const long = digestOf(Buffer.from('x'), 'sha512').slice(7)
    set.add(long)
    expect([set.has(long), set.has(hex('x'))]).toEqual([true, false])
  })
})
