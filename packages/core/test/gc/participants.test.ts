import { beforeEach, describe, expect, it } from 'vitest'
import { writeControl } from '../../src/gc/control-object.ts'
import { nameParticipant } from '../../src/gc/participants.ts'
import { clean } from '../../src/operations/clean.ts'
import { doctor } from '../../src/operations/doctor.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { layered, SECOND, TimedStore } from './world.ts'

const ID = '0123456789abcdef0123456789abcdef'
const ALL = { names: [''], who: 'clean' }

let world: TimedStore
let store: ImageStore

beforeEach(async () => {
  world = new TimedStore()
  store = new ImageStore(world.backend)
  await world.plant(layered('one'), 'app')
})

const now = (): number => world.time
const examine = (): ReturnType<typeof doctor> =>
  doctor(store, '', { probe: false, now: () => new Date(world.time) })

async function controls(): Promise<readonly string[]> {
  return [...(await world.keys('.s3lo/gc/pins/')), ...(await world.keys('.s3lo/gc/rounds/'))]
}

describe('doctor', () => {
  it('lists pins and rounds, with whose they are, since when, until when and in which state', async () => {
    await writeControl(world.backend, 'round', ALL, { ttlSeconds: 60 })
    world.advance(361 * SECOND)
    const pin = await writeControl(
      world.backend,
      'pin',
      { names: [], who: 'push' },
      { ttlSeconds: 600 },
    )
    const round = await writeControl(world.backend, 'round', ALL, { ttlSeconds: undefined })
    const { pins, rounds, findings } = await examine()
    expect(pins).toEqual([
      {
        kind: 'pin',
        id: pin.id,
        who: 'push',
        host: expect.any(String),
        pid: process.pid,
        since: '2026-01-01T00:06:01Z',
        until: '2026-01-01T00:21:01Z',
        state: 'open',
      },
    ])
    expect(rounds.map(({ state }) => state).sort()).toEqual(['open', 'over'])
    const told = findings.filter(({ message }) => message.startsWith('round '))
    expect(told.map(({ severity }) => severity).sort()).toEqual(['notice', 'ok'])
    expect(findings.find(({ message }) => message.includes(round.id))?.hint).toContain(
      `--end ${round.id} --confirm`,
    )
  })

  it('names what lies below the prefix and is no pin, round or memory of ours', async () => {
    const foreign = [
      '.s3lo/gc/README',
      `.s3lo/gc/pins/999999-${ID}.json`,
      `.s3lo/gc/rounds/000600-${ID}.json/manifest.json`,
      `.s3lo/gc/tags/hello`,
      `.s3lo/gc/condemned/x/000000000001-${ID}.txt`,
    ]
    for (const key of foreign) await world.backend.put(key, Buffer.from('x'))
    const { findings, pins, rounds } = await examine()
    expect([pins, rounds]).toEqual([[], []])
    const finding = findings.find(({ message }) => message.includes('.s3lo/gc/README'))
    for (const key of foreign) expect(finding?.message).toContain(key)
    // And a clean leaves them alone.
    world.advance(100 * 24 * 3600 * SECOND)
    await clean(store, '', { confirm: true, graceMs: 0, now })
    expect(await world.keys('.s3lo/gc/')).toEqual(expect.arrayContaining(foreign))
  })
})

describe('clean --end', () => {
  it('ends what it is given and does nothing else', async () => {
    const round = await writeControl(world.backend, 'round', ALL, { ttlSeconds: undefined })
    const pin = await writeControl(world.backend, 'pin', ALL, { ttlSeconds: 600 })
    await world.backend.put('blobs/sha256/'.padEnd(77, 'a'), Buffer.from('garbage'))
    world.advance(7200 * SECOND)
    const options = { graceMs: 0, now, end: [round.id] }
    const before = await world.keys('')
    const planned = await clean(store, '', options)
    expect(planned).toMatchObject({ dry_run: true, deleted: 0, ended: [{ id: round.id }] })
    expect(await world.keys('')).toEqual(before)
    const done = await clean(store, '', { ...options, confirm: true })
    expect(done).toMatchObject({
      dry_run: false,
      deleted: 0,
      ended: [{ id: round.id, kind: 'round' }],
    })
    expect(await world.keys('')).toEqual(before.filter((key) => key !== round.key))
    expect(await controls()).toEqual([pin.key])
  })

  it('ends nothing when one of the ids is not there', async () => {
    const pin = await writeControl(world.backend, 'pin', ALL, { ttlSeconds: 600 })
    for (const id of [ID, '', '../x', 'manifests/app/latest/manifest.json']) {
      const ended = clean(store, '', { now, confirm: true, end: [pin.id, id] })
      await expect(ended).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
    expect(await controls()).toEqual([pin.key])
  })
})

describe('the name of a participant', () => {
  it('is one safe line', () => {
    const text = nameParticipant({
      kind: 'pin',
      id: ID,
      who: 'a\u001b[2J\n',
      host: '\u202e',
      since: 'then',
    })
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })
})
