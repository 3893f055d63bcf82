import { describe, expect, it } from 'vitest'
import { collectGarbage } from '../../src/gc/collector.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { manifestKey } from '../../src/layout/keys.ts'
import { Actor, Choices, type Request } from './scheduler.ts'
import { layered, publishImage, pushImage, TimedStore } from './world.ts'

/** The image: one blob is garbage in the store, one is not there. */
const image = layered('layer')
const [config, layer] = successors(parseManifest(image.root.content, 'image'))
const POLL_MS = 1

/** Requests whose place in time matters to no other participant: the collector's of no shared object. */
function isFree({ method, key }: Request): boolean {
  if (method === 'delete') return key.includes('/clock/')
  if (/^\.s3lo\/(gc\/(clock|condemned)|staging|repositories|blobs)\//.test(key)) return true
  // The image has no links, uploads, indexes or chunks.
  if (/^\.s3lo\/(links|uploads|probe|soci|chunks|recipes|files)\//.test(key)) return true
  if (/^(chunks|recipes|indexes)\//.test(key)) return true
  // New to the store, so that no collector ever asks for it.
  if (key === `blobs/${config!.digest.replace(':', '/')}`) return true
  return false
}

interface Run {
  readonly choices: Choices
  readonly course: readonly string[]
  readonly broken: readonly string[]
}

/** One course of events: the work of both, one request at a time, in the order that is chosen. */
async function play(
  prefix: readonly number[],
  work: (store: TimedStore, actor: Actor) => () => Promise<unknown>,
): Promise<Run> {
  const store = new TimedStore()
  await store.backend.put(
    `blobs/${layer!.digest.replace(':', '/')}`,
    image.content.get(layer!.digest)!,
  )
  const writer = new Actor('writer')
  const collector = new Actor('collector')
  await writer.start(work(store, writer))
  const gated = collector.through(store.backend, isFree)
  await collector.start(() => collectGarbage(gated, { confirm: true, graceMs: 0 }))
  const choices = new Choices(prefix)
  const course: string[] = []
  const broken: string[] = []
  while (writer.waiting ?? collector.waiting) {
    // A writer that polls for a round sees no more before the collector has gone on.
    const isPolling = writer.waiting?.method === 'delay' && collector.waiting
    const ready = [writer, collector].filter((a) => a.waiting && !(a === writer && isPolling))
    const actor = ready.length === 1 ? ready[0]! : choices.choose(ready)
    const { method, key } = actor.waiting!
    course.push(`${actor.name}: ${method} ${key}`)
    await actor.step()
    if (method === 'put' || method === 'delete') broken.push(...(await store.broken()))
  }
  if (writer.failure !== undefined) throw writer.failure
  if (collector.failure !== undefined) throw collector.failure
  if (!(await store.backend.head(manifestKey({ name: 'app', tag: 'latest' }))))
    broken.push('no tag')
  return { choices, course, broken }
}

/** Every course there is; stops at the first that breaks a tag. */
async function playAll(
  work: (store: TimedStore, actor: Actor) => () => Promise<unknown>,
): Promise<{ readonly runs: number; readonly broken?: Run }> {
  let runs = 0
  for (let prefix: readonly number[] | undefined = []; prefix;) {
    const run = await play(prefix, work)
    runs++
    if (run.broken.length > 0) return { runs, broken: run }
    prefix = run.choices.next()
  }
  return { runs }
}

function delayOf(store: TimedStore, actor: Actor) {
  return (ms: number, signal?: AbortSignal): Promise<void> =>
    ms === POLL_MS ? actor.turn({ method: 'delay', key: '' }) : store.delay(ms, signal)
}

describe('every interleaving of a push and a collection', () => {
  it('publishes a whole image, at every request', { timeout: 120_000 }, async () => {
    const { runs, broken } = await playAll((store, actor) => {
      const backend = actor.through(store.backend, isFree)
      const options = { pollMs: POLL_MS, delay: delayOf(store, actor) }
      return () => pushImage(backend, store.protection(backend, options), image, 'app')
    })
    expect(broken?.course).toBeUndefined()
    expect(runs).toBeGreaterThan(1000)
  })

  it('breaks one that looks before it pins', { timeout: 120_000 }, async () => {
    const { broken } = await playAll((store, actor) => {
      const backend = actor.through(store.backend, isFree)
      const options = { pollMs: POLL_MS, delay: delayOf(store, actor) }
      return async () => {
        for (const { digest } of [config!, layer!]) {
          const key = `blobs/${digest.replace(':', '/')}`
          if (await backend.head(key)) continue
          await backend.put(key, image.content.get(digest)!)
        }
        const protection = store.protection(backend, options)
        await publishImage(protection, image, 'app')
        await protection.release()
      }
    })
    expect(broken?.broken.length).toBeGreaterThan(0)
  })
})
