/**
 * `node --conditions=s3lo-source integration/soak.ts`: the collection protocol under fire. In a
 * local and an S3 store at once, processes push, move, copy, restore and attach whole images and images in
 * chunks, send blobs as clients of a registry do and name them later, delete and purge, and 2 collect
 * without a grace period, with pins and rounds of a few seconds, and records and links of a few more;
 * again and again one of them is stopped for longer than these live, or killed. Meanwhile tags are
 * pulled, and images by their digests, each byte verified, every image that a tag names is to have
 * its record, and every client whose link lives is to find the blobs that it has sent. Every object that a
 * collector or a user deletes is judged at that moment against the whole store. In the end every
 * tag is whole, and when all are deleted nothing is left. S3LO_SOAK_MINUTES: 3 by default.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { ObjectInfo, Reference, StorageBackend } from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'
import { type CloudStore, cloudStores, removeBucket } from './cloud-stores.ts'
import { assertCollectable, assertWhole } from './soak-end.ts'
import { readSoaked, SOAK_IMAGES } from './soak-images.ts'
import {
  MARGIN_MS,
  openSoakBackend,
  openSoakStore,
  type Report,
  REPOSITORIES,
  SETTINGS,
  TAGS,
  TICK_MS,
  TTL_SECONDS,
} from './soak-world.ts'

const MINUTES = Number(process.env['S3LO_SOAK_MINUTES'] ?? 3)
const CREW = [
  ...(['push', 'push', 'push', 'push', 'chunk', 'chunk', 'upload', 'upload', 'upload'] as const),
  ...(['delete', 'collect', 'collect'] as const),
]
/** Tags that are looked at all the time. */
const REFERENCES = REPOSITORIES.flatMap((name) => TAGS.map((tag) => ({ name, tag })))
/** Longer than a pin or round lives for anybody. */
const PAUSE_MS = TTL_SECONDS * 1000 + MARGIN_MS + 3000
const CHAOS_EVERY_MS = 2500
/** At once: the others have to get on. */
const MAX_PAUSED = 2

/** What a writer may be told while others delete under its feet, or where it is slow for five pins: it is run again. */
const EXPECTED: Readonly<Record<Report['work'], readonly string[]>> = {
  push: ['UNAVAILABLE', 'CONFLICT', 'LATE'],
  copy: ['UNAVAILABLE', 'CONFLICT', 'NOT_FOUND', 'LATE'],
  restore: ['UNAVAILABLE', 'CONFLICT', 'NOT_FOUND', 'LATE'],
  attach: ['UNAVAILABLE', 'LATE'],
  delete: ['NOT_FOUND', 'LATE', 'CONFLICT', 'UNAVAILABLE'],
  purge: ['NOT_FOUND', 'LATE', 'CONFLICT', 'UNAVAILABLE'],
  collect: ['LATE'],
  upload: ['OVERTAKEN'],
  publish: ['UNAVAILABLE', 'CONFLICT', 'LATE'],
  cancel: [],
  abandon: [],
  rival: ['ALONE', 'OVERTAKEN', 'NOT_FOUND'],
}

/** Deletes that there are in the shortest soak. */
const JUDGED = [
  ...['record', 'entry', 'link', 'blob'].map((kind) => `collector: ${kind}`),
  ...['tag', 'event'].map((kind) => `user: ${kind}`),
]

class Soak {
  readonly counts = new Map<string, number>()
  readonly problems: string[] = []
  readonly #store: CloudStore
  readonly #bucket: string
  readonly #backend: StorageBackend
  readonly #processes = new Set<ChildProcess>()
  readonly #paused = new Set<ChildProcess>()
  #seed = 0
  #isOver = false

  private constructor(store: CloudStore, bucket: string, backend: StorageBackend) {
    this.#store = store
    this.#bucket = bucket
    this.#backend = backend
  }

  static async open(store: CloudStore): Promise<Soak> {
    const bucket = await store.makeBucket()
    Object.assign(process.env, store.env())
    const backend = await openSoakBackend(store.scheme, bucket)
    await backend.put('s3lo.yaml', Buffer.from(SETTINGS))
    return new Soak(store, bucket, backend)
  }

  async run(minutes: number): Promise<void> {
    const until = Date.now() + minutes * 60_000
    for (const role of CREW) this.#start(role)
    await Promise.all([
      this.#pullUntil(until),
      this.#pullUntil(until),
      this.#watchUntil(until),
      this.#disturbUntil(until),
    ])
    await this.#stop()
    await assertWhole(this.#backend, this)
    await assertCollectable(this.#backend, this)
    await removeBucket(this.#store, this.#bucket)
  }

  report(): string {
    const counts = [...this.counts.keys()]
      .toSorted((a, b) => a.localeCompare(b))
      .map((name) => `${name}: ${this.counts.get(name)}`)
    return `${this.#store.name}: ${counts.join(', ')}`
  }

  #start(role: (typeof CREW)[number]): void {
    const script = join(import.meta.dirname, 'soak-worker.ts')
    const { scheme } = this.#store
    const seed = String((this.#seed += 7919))
    const args = ['--conditions=s3lo-source', script, role, scheme, this.#bucket, seed]
    const env = { ...process.env, ...this.#store.env() }
    const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#processes.add(child)
    // Killed while it is spoken to: the exit says so.
    child.stdin.on('error', () => {})
    createInterface({ input: child.stdout }).on('line', (line) => this.#note(line))
    child.on('exit', (code, signal) => {
      this.#processes.delete(child)
      this.#paused.delete(child)
      if (code) this.problems.push(`a ${role} process ended with ${code}`)
      if (signal && !this.#isOver) this.#start(role)
    })
  }

  #note(line: string): void {
    const { work, failure, message, deletes = {}, violations = [] }: Report = JSON.parse(line)
    for (const [name, number] of Object.entries(deletes)) this.count(`deleted by ${name}`, number)
    this.problems.push(...violations.map((violation) => `deleted by ${violation}`))
    if (failure === undefined) this.count(`${work} done`)
    else if (EXPECTED[work].includes(failure)) this.count(`${work} ${failure}`)
    else this.problems.push(`${work}: ${failure} ${message}`)
  }

  /** How often something happened. */
  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by)
  }

  /** Stops and kills at random; every third time it is a kill, half of them of a stopped process. */
  async #disturbUntil(until: number): Promise<void> {
    for (let round = 1; Date.now() < until - PAUSE_MS; round++) {
      await delay(CHAOS_EVERY_MS)
      const awake = [...this.#processes].filter((child) => !this.#paused.has(child))
      const victim = awake[Math.floor(Math.random() * awake.length)]
      if (!victim || this.#paused.size >= MAX_PAUSED) continue
      const isKill = round % 3 === 0
      if (isKill && round % 2 === 0) {
        this.count('killed')
        victim.kill('SIGKILL')
        continue
      }
      this.count('stopped')
      this.#paused.add(victim)
      victim.kill('SIGSTOP')
      setTimeout(() => {
        this.#paused.delete(victim)
        if (isKill) this.count('killed')
        victim.kill(isKill ? 'SIGKILL' : 'SIGCONT')
      }, PAUSE_MS).unref()
    }
    await delay(Math.max(0, until - Date.now()))
  }

  async #pullUntil(until: number): Promise<void> {
    while (Date.now() < until) {
      for (const reference of REFERENCES) await this.#pull(reference)
      await delay(20)
    }
  }

  /** Whether what tags name has its records, and what has a record is there by its digest. */
  async #watchUntil(until: number): Promise<void> {
    while (Date.now() < until) {
      for (const reference of REFERENCES) await this.#checkRecords(reference)
      for (const { root } of SOAK_IMAGES) {
        const { digest } = root.descriptor
        await this.#pullDigest('app', recordOf('app', digest), digest)
      }
      for (const name of ['chunked', 'uploaded']) await this.#pullDigests(name)
      await delay(20)
    }
  }

  /** Those of an index's manifests too. */
  async #checkRecords({
    name,
    tag,
  }: {
    readonly name: string
    readonly tag: string
  }): Promise<void> {
    const key = `manifests/${name}/${tag}/manifest.json`
    const before = await this.#backend.head(key)
    const store = openSoakStore(this.#backend)
    const found = before && (await store.find({ name, tag }))
    if (!found) return
    const below = found.manifest.kind === 'index' ? found.manifest.manifests : []
    for (const { digest } of [found.descriptor, ...below]) {
      if (await this.#backend.head(recordOf(name, digest))) this.count('records of tags there')
      else if (await this.#isSame(key, before)) {
        this.problems.push(`the record of ${digest} is gone, which ${name}:${tag} names`)
      }
    }
  }

  async #pullDigests(name: string): Promise<void> {
    for await (const { key } of this.#backend.list(recordOf(name, ''))) {
      const hex = /-([0-9a-f]{64})\.json$/.exec(key)?.[1]
      if (hex !== undefined) await this.#pullDigest(name, key, `sha256:${hex}`)
    }
  }

  async #pullDigest(name: string, key: string, digest: string): Promise<void> {
    const before = await this.#backend.head(key)
    if (!before) return
    try {
      await readSoaked(this.#backend, { name, digest })
      this.count('pull by digest done')
    } catch (error) {
      const isSame = await this.#isSame(key, before)
      if (isS3loError(error, 'NOT_FOUND') && !isSame) this.count('pull by digest overtaken')
      else this.problems.push(`pull of ${name}@${digest}: ${String(error)}`)
    }
  }

  /** Dates are whole seconds on some stores: what is younger may have been written again. */
  async #isSame(key: string, before: ObjectInfo): Promise<boolean> {
    const after = await this.#backend.head(key)
    return (
      after?.etag === before.etag &&
      after.lastModified.getTime() === before.lastModified.getTime() &&
      Date.now() - after.lastModified.getTime() > TICK_MS
    )
  }

  /** One that the tag did not outlast may fail; every other has to succeed. */
  async #pull(reference: Reference): Promise<void> {
    const key = `manifests/${reference.name}/${reference.tag}/manifest.json`
    const before = await this.#backend.head(key)
    if (!before) return
    try {
      await readSoaked(this.#backend, reference)
      this.count(`pull of ${reference.name} done`)
    } catch (error) {
      const isSame = await this.#isSame(key, before)
      if (isS3loError(error, 'NOT_FOUND') && !isSame) this.count('pull overtaken')
      else this.problems.push(`pull of ${reference.name}:${reference.tag}: ${String(error)}`)
    }
  }

  async #stop(): Promise<void> {
    this.#isOver = true
    const exits = [...this.#processes].map(
      (child) => new Promise((resolve) => child.once('exit', resolve)),
    )
    for (const child of this.#processes) {
      child.kill('SIGCONT')
      child.stdin?.end()
    }
    await Promise.all(exits)
  }
}

/** The key of a record; the prefix of all where there is no digest. */
function recordOf(name: string, digest: string): string {
  const prefix = `.s3lo/repositories/${name}/_manifests/`
  return digest === '' ? prefix : `${prefix}${digest.replace(':', '-')}.json`
}

const folder = await mkdtemp(join(tmpdir(), 's3lo-soak-'))
const stores = cloudStores(folder).filter(({ name }) => name === 'local' || name === 's3 (Ceph)')
const soaks = await Promise.all(stores.map((store) => Soak.open(store)))
await Promise.all(soaks.map((soak) => soak.run(MINUTES)))
await rm(folder, { recursive: true, force: true })
for (const soak of soaks) process.stdout.write(`${soak.report()}\n`)
const problems = soaks.flatMap((soak) =>
  soak.problems.map((text) => `${soak.report().split(':')[0]}: ${text}`),
)
const judged = new Set(soaks.flatMap((soak) => [...soak.counts.keys()]))
for (const kind of JUDGED) {
  if (!judged.has(`deleted by ${kind}`)) problems.push(`no delete by ${kind} was judged`)
}
for (const problem of problems.slice(0, 50)) process.stdout.write(`PROBLEM ${problem}\n`)
process.stdout.write(problems.length === 0 ? 'nothing was lost\n' : `${problems.length} problems\n`)
process.exitCode = problems.length === 0 ? 0 : 1
