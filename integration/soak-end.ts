/** What is to hold once the processes of the soak have ended. */
import { setTimeout as delay } from 'node:timers/promises'
import {
  clean,
  type Descriptor,
  type ImageStore,
  parseManifest,
  readAll,
  type StorageBackend,
  successors,
} from '@s3lo/core'
import { readSoaked } from './soak-images.ts'
import {
  CLEAN_OPTIONS,
  LEAST_KEPT_MS,
  LINK_LIFE_MS,
  MARGIN_MS,
  openSoakStore,
  PURGED,
  REPOSITORIES,
  TAGS,
  TICK_MS,
  TTL_SECONDS,
} from './soak-world.ts'

/** Where is told what was found. */
interface Findings {
  readonly problems: string[]
  count(name: string, by?: number): void
}

/** Every tag that is there has all of its content, and every referrer of it. */
export async function assertWhole(backend: StorageBackend, findings: Findings): Promise<void> {
  const store = openSoakStore(backend)
  for (const name of REPOSITORIES) {
    for (const tag of TAGS) {
      const reference = { name, tag }
      try {
        await readSoaked(backend, reference)
        findings.count(`tags of ${name} whole at the end`)
        await assertReferrersWhole(name, await store.resolve(reference), store, findings)
      } catch (error) {
        const isThere = await backend.head(manifestOf(name, tag))
        if (isThere) findings.problems.push(`${name}:${tag} at the end: ${String(error)}`)
      }
    }
  }
}

async function assertReferrersWhole(
  repository: string,
  subject: Descriptor,
  store: ImageStore,
  findings: Findings,
): Promise<void> {
  for await (const referrer of store.referrers(repository, subject)) {
    const content = await readAll(
      await store.fetch(referrer, { repository }),
      1 << 20,
      referrer.digest,
    )
    for (const blob of successors(parseManifest(content, referrer.digest))) {
      if (await store.blobs.hasReferrerBlob(blob)) continue
      findings.problems.push(`referrer ${referrer.digest} has lost ${blob.digest}`)
    }
    findings.count('referrers whole at the end')
  }
}

/** Once the pins of the killed are dead, what is not named goes, and without tags everything. */
export async function assertCollectable(
  backend: StorageBackend,
  findings: Findings,
): Promise<void> {
  await delay(TTL_SECONDS * 1000 + MARGIN_MS + TICK_MS)
  const store = openSoakStore(backend)
  findings.count('objects deleted at the end', (await clean(store, '', CLEAN_OPTIONS)).deleted)
  for (const name of [...REPOSITORIES, ...Object.values(PURGED)]) {
    await backend.delete(TAGS.map((tag) => manifestOf(name, tag)))
  }
  await delay(Math.max(LEAST_KEPT_MS, LINK_LIFE_MS) + MARGIN_MS + TICK_MS)
  // What a first one has deleted lets go of members, events and entries, which a second one finds.
  const protocol = { ...CLEAN_OPTIONS.protocol, abandonedAfterMs: TICK_MS }
  for (let round = 0; round < 2; round++) {
    await delay(TICK_MS * 2)
    await clean(store, '', { ...CLEAN_OPTIONS, protocol })
  }
  const left = await Array.fromAsync(backend.list(''), ({ key }) => key)
  const garbage = left.filter((key) => !isKept(key))
  findings.count('objects left', garbage.length)
  for (const key of garbage) findings.problems.push(`${key} is left`)
}

/** The settings, histories of tags, the last census, and for seven days what a service was proven to do. */
function isKept(key: string): boolean {
  return (
    key === 's3lo.yaml' ||
    key === '.s3lo/settings-seen.json' ||
    key.endsWith('/history.json') ||
    key.startsWith('.s3lo/gc/tags/') ||
    key.startsWith('.s3lo/guarantees/')
  )
}

function manifestOf(name: string, tag: string): string {
  return `manifests/${name}/${tag}/manifest.json`
}
