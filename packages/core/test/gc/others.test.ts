import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import { collectGarbage } from '../../src/gc/collector.ts'
import type { ControlKind } from '../../src/gc/control-key.ts'
import { nameOf } from '../../src/gc/name-set.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { newOwnedName } from '../../src/process-identity.ts'
import { HOUR, layered, pushImage, SECOND, TimedStore } from './world.ts'

const image = layered('one', 'two')
const [first] = successors(parseManifest(image.root.content, 'image'))
const app = manifestKey({ name: 'app', tag: 'latest' })
const ID = '0123456789abcdef0123456789abcdef'
const POLL = 2 * SECOND
const isLinux = process.platform === 'linux'

afterEach(() => vi.restoreAllMocks())

/** A name of this process with another value of one field. */
async function ownerWith(
  field: 'host' | 'boot' | 'space' | 'start',
  value: string,
): Promise<string> {
  const parts = (await newOwnedName()).split('-')
  parts[['host', 'boot', 'space', 'pid', 'start'].indexOf(field)] = value
  return parts.join('-')
}

/** A process with this number began at another moment, so the one that is meant has ended. */
const deadOwner = (): Promise<string> => ownerWith('start', '1')

interface Written {
  readonly ttl?: string
  readonly owner?: string
  readonly who?: string
  readonly host?: string
}

async function write(store: TimedStore, kind: ControlKind, written: Written = {}): Promise<string> {
  const { ttl = '000600', ...author } = written
  const key = `.s3lo/gc/${kind}s/${ttl}-${ID}.json`
  const names = [nameOf(first!.digest)]
  await store.backend.put(key, Buffer.from(JSON.stringify({ v: 1, kind, names, ...author })))
  return key
}

/** Lets a push that waits look once more, and resolves when it waits again. */
async function lookAgain(store: TimedStore): Promise<void> {
  store.advance(POLL)
  await store.untilAsleep(POLL)
}

/** A push, and what it says while it waits. */
function start(store: TimedStore): { push: Promise<void>; notices: string[] } {
  const notices: string[] = []
  const onProgress = (event: ProgressEvent): void => {
    if (event.type === 'notice' && event.code !== 'clock-skew') notices.push(event.message)
  }
  const push = pushImage(
    store.backend,
    store.protection(store.backend, { onProgress }),
    image,
    'app',
  )
  return { push, notices }
}

describe('a push that has to wait for a round', () => {
  it('says after two seconds, once, what it waits for, whose it is, since when and until when', async () => {
    const store = new TimedStore()
    const owner = await newOwnedName()
    const key = await write(store, 'round', { owner, who: 'clean', host: 'build-7' })
    const { push, notices } = start(store)
    await store.untilAsleep(POLL)
    expect(notices).toEqual([])
    for (let i = 0; i < 4; i++) await lookAgain(store)
    expect(notices).toEqual([expect.any(String)])
    for (const part of [
      ID,
      'clean',
      `process ${process.pid}`,
      'build-7',
      'since 2026-01-01T00:00:00Z',
      'until 2026-01-01T00:15:00Z at most',
      `--end ${ID}`,
    ]) {
      expect(notices[0]).toContain(part)
    }
    await store.backend.delete([key])
    store.advance(2 * SECOND)
    await push
  })

  it('shows nothing that a terminal obeys', async () => {
    const store = new TimedStore()
    const key = await write(store, 'round', { who: '\u001b[2Jclean\n', host: '\u202ehost' })
    const { push, notices } = start(store)
    await store.untilAsleep(POLL)
    await lookAgain(store)
    expect(notices[0]).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    await store.backend.delete([key])
    store.advance(2 * SECOND)
    await push
  })

  it('waits for none whose process has ended here, where requests end with it', async (context) => {
    context.skip(!isLinux, 'only Linux tells when a process began')
    const store = new TimedStore({ endsWithProcess: true })
    await write(store, 'round', { owner: await deadOwner() })
    const { push, notices } = start(store)
    await push
    expect(notices).toEqual([])
  })

  it('ends its wait when the process ends meanwhile', async (context) => {
    context.skip(!isLinux, 'only Linux tells when a process began')
    const store = new TimedStore({ endsWithProcess: true })
    const owner = await newOwnedName()
    await write(store, 'round', { owner })
    const { push } = start(store)
    await store.untilAsleep(POLL)
    vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error('no such process'), { code: 'ESRCH' })
    })
    store.advance(2 * SECOND)
    await push
  })

  it('waits for what an ended process has sent elsewhere, and for no longer', async (context) => {
    context.skip(!isLinux, 'only Linux tells when a process began')
    const store = new TimedStore()
    await write(store, 'round', { owner: await deadOwner() })
    const { push, notices } = start(store)
    await store.untilAsleep(POLL)
    await lookAgain(store)
    expect(notices[0]).toContain('until 2026-01-01T00:05:00Z at most')
    store.pause(295 * SECOND)
    await lookAgain(store)
    store.pause(2 * SECOND)
    store.advance(POLL)
    await push
  })

  it.each([
    ['lives', async () => newOwnedName()],
    ['is on another machine', () => ownerWith('host', '0'.repeat(12))],
    ['ran before the machine was started again', () => ownerWith('boot', '0'.repeat(12))],
    ['is in another container of this name', () => ownerWith('space', '0'.repeat(12))],
    ['is not told', () => Promise.resolve('hello')],
  ])('waits where the process %s', async (_, owner) => {
    const store = new TimedStore({ endsWithProcess: true })
    const key = await write(store, 'round', { owner: await owner() })
    const { push } = start(store)
    await store.untilAsleep(POLL)
    await lookAgain(store)
    expect(await store.backend.head(app)).toBeUndefined()
    await store.backend.delete([key])
    store.advance(2 * SECOND)
    await push
  })

  it.each(['999999', '000901'])('takes a lifetime of %s seconds for no round', async (ttl) => {
    const store = new TimedStore()
    const key = await write(store, 'round', { ttl })
    await start(store).push
    expect(await store.backend.head(key)).toBeDefined()
  })

  it('waits for one without a lifetime as for the longest, where the store has deadlines', async () => {
    const store = new TimedStore()
    await write(store, 'round', { ttl: '000000' })
    const { push } = start(store)
    await store.untilAsleep(POLL)
    store.pause(1198 * SECOND)
    await lookAgain(store)
    store.advance(POLL)
    await push
  })

  it('waits for one without a lifetime until it is ended, where the store has none', async () => {
    const store = new TimedStore({ deadlines: false })
    const key = await write(store, 'round', { ttl: '000000', owner: await newOwnedName() })
    const { push, notices } = start(store)
    await store.untilAsleep(POLL)
    store.pause(24 * HOUR)
    await lookAgain(store)
    expect(notices[0]).toContain('waiting until it ends')
    await store.backend.delete([key])
    store.advance(2 * SECOND)
    await push
  })
})

describe('a clean', () => {
  async function withGarbage(options?: { readonly endsWithProcess: boolean }): Promise<TimedStore> {
    const store = new TimedStore(options)
    await store.plant(image)
    store.advance(2 * HOUR)
    return store
  }

  it.each([
    [true, 0],
    [false, 1],
  ])(
    'with requests that end with their process (%s) keeps %d objects for a dead push',
    async (endsWithProcess, pinned) => {
      if (!isLinux) return
      const store = await withGarbage({ endsWithProcess })
      await write(store, 'pin', { owner: await deadOwner() })
      const result = await collectGarbage(store.backend, { confirm: true, graceMs: 0 })
      expect(result).toMatchObject({ pinned, pinsRemoved: 1 - pinned })
    },
  )

  it('that took too long refuses itself to delete, where the store would not', async () => {
    const store = new TimedStore({ deadlines: false })
    await store.plant(image)
    const real = Date.now
    const list = store.backend.list.bind(store.backend)
    vi.spyOn(store.backend, 'list').mockImplementation((prefix, options) => {
      if (prefix === '.s3lo/gc/pins/') {
        // The machine sleeps before the round looks at the pins, once it is open.
        vi.spyOn(Date, 'now').mockImplementation(() => real() + 451 * SECOND * looks)
        looks++
      }
      return list(prefix, options)
    })
    let looks = 0
    const collection = collectGarbage(store.backend, { confirm: true, graceMs: 0 })
    await expect(collection).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await store.backend.head(blobKey(first!.digest))).toBeDefined()
    expect(await store.keys('.s3lo/gc/rounds/')).toEqual([])
  })
})
