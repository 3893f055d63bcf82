import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalBackend } from '@s3lo/backend-local'
import { createHost, type Host } from '@s3lo/core'
import { writeBigStore } from './big-store.ts'

/** What one run of a command took. */
export interface StoreSample {
  readonly seconds: number
  /** Peak resident set of the process (MB). */
  readonly rssMb?: number
}

/** A command on a store of 10 000 tags, 10 000 digest records and 100 000 blobs. */
export interface StoreRow {
  readonly name: string
  readonly seconds: number
  readonly rss_mb: number
  /** What the project promises (MB). */
  readonly rss_bar_mb: number
  /** Calls of the backend; a listing of any length counts as one. */
  readonly requests: number
}

/** The peak of memory that commands on a large store keep below (MB). */
const RSS_BAR_MB = 200

interface StoreCase {
  readonly name: string
  readonly args: (store: string) => readonly string[]
  readonly operation: (host: Host, store: string) => Promise<unknown>
}

const CASES: readonly StoreCase[] = [
  {
    name: 'list',
    args: (store) => ['list', store],
    operation: (host, store) => host.list(store),
  },
  {
    name: 'stats',
    args: (store) => ['stats', store],
    operation: (host, store) => host.stats(store),
  },
  {
    name: 'doctor',
    args: (store) => ['doctor', store],
    operation: (host, store) => host.doctor(store),
  },
  {
    name: 'clean (dry)',
    args: (store) => ['clean', store],
    operation: (host, store) => host.clean(store),
  },
]

/** Runs each command on a large store: as a process of its own, and once more to count requests. */
export async function benchStore(
  run: (args: readonly string[]) => StoreSample,
): Promise<readonly StoreRow[]> {
  const work = mkdtempSync(join(tmpdir(), 's3lo-bench-store-'))
  try {
    const root = join(work, 'store')
    writeBigStore(root, { tags: 10_000, images: 100, blobsPerTag: 9, untagged: 10_000 })
    const store = `local://${root}//`
    const rows: StoreRow[] = []
    for (const { name, args, operation } of CASES) {
      const { seconds, rssMb = Number.NaN } = run(args(store))
      const requests = await countRequests((host) => operation(host, store))
      rows.push({
        name: `${name} of 10 000 tags, 10 000 records, 100 000 blobs`,
        seconds,
        rss_mb: rssMb,
        rss_bar_mb: RSS_BAR_MB,
        requests,
      })
    }
    return rows
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Counts calls of the backend by an operation of a host. */
async function countRequests(operation: (host: Host) => Promise<unknown>): Promise<number> {
  let requests = 0
  const counted = (backend: LocalBackend): LocalBackend =>
    new Proxy(backend, {
      get(target, property) {
        const member: unknown = Reflect.get(target, property, target)
        if (typeof member !== 'function') return member
        return (...args: readonly unknown[]): unknown => {
          requests++
          return Reflect.apply(member, target, args)
        }
      },
    })
  const openBackend = ({ bucket }: { readonly bucket: string }): Promise<LocalBackend> =>
    Promise.resolve(counted(new LocalBackend(bucket)))
  const load = () => Promise.resolve({ openBackend })
  const backends = { local: { summary: 'a directory, counted', load } }
  await operation(createHost({ plugins: [{ name: 'counted', apiVersion: 1, backends }] }))
  return requests
}
