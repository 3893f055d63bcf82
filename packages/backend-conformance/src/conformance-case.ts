import type { BackendCapability, BackendGuarantees, StorageBackend } from '@s3lo/core'

/** How the kit gets the backend that it tests. */
export interface BackendUnderTest {
  /** A backend on an empty bucket (or prefix) of its own; called once or more for every test. */
  open(): Promise<StorageBackend>
  /** A second client of the same bucket, for the races; without it both racers are one client. */
  openAgain?(backend: StorageBackend): Promise<StorageBackend>
  /** A backend whose every request is refused or fails: wrong credentials, a closed port. */
  openDenied?(): Promise<StorageBackend>
  /** Removes what `open` made. The kit calls `close` itself. */
  destroy?(backend: StorageBackend): Promise<void>
}

/** What a case can ask for; a case whose needs are not met is skipped, with the reason. */
export type Need =
  | BackendCapability
  | keyof BackendGuarantees
  | `no ${keyof BackendGuarantees}`
  | 'openDenied'

/** What a case works with. */
export interface CaseContext {
  /** On an empty bucket. */
  readonly backend: StorageBackend
  /** Another client of the same bucket. */
  readonly second: StorageBackend
  /** A backend on another empty bucket. */
  readonly openOther: () => Promise<StorageBackend>
  /** Only for a case that needs `openDenied`. */
  readonly openDenied: () => Promise<StorageBackend>
}

/** One sentence of the contract, and its proof. */
export interface ConformanceCase {
  readonly title: string
  readonly needs?: readonly Need[]
  readonly run: (context: CaseContext) => Promise<void>
}

/** The cases about one method or promise. */
export interface ConformanceSuite {
  readonly name: string
  readonly cases: readonly ConformanceCase[]
}

/** Runs one case on a fresh bucket. Throws when it fails; returns the reason when it is skipped. */
export async function runCase(
  underTest: BackendUnderTest,
  { needs = [], run }: ConformanceCase,
): Promise<string | undefined> {
  const opened: StorageBackend[] = []
  const clients: StorageBackend[] = []
  const open = async (): Promise<StorageBackend> => {
    const backend = await underTest.open()
    opened.push(backend)
    await prove(backend)
    return backend
  }
  const openDenied = async (): Promise<StorageBackend> => {
    if (underTest.openDenied === undefined) throw new Error('a case forgot to need openDenied')
    const backend = await underTest.openDenied()
    clients.push(backend)
    return backend
  }
  try {
    const backend = await open()
    const unmet = needs.find((need) => !isMet(need, backend, underTest))
    if (unmet !== undefined) return reasonFor(unmet)
    const second = (await underTest.openAgain?.(backend)) ?? backend
    if (second !== backend) {
      clients.push(second)
      await prove(second)
    }
    await run({ backend, second, openOther: open, openDenied })
    return undefined
  } finally {
    for (const client of clients) await client.close?.()
    for (const backend of opened) {
      await backend.close?.()
      await underTest.destroy?.(backend)
    }
  }
}

/**
 * Lets the backend find out what the cases about conditions need to know. It may keep the outcome in
 * the bucket below `.s3lo/`, which is removed: a case begins with an empty one.
 */
async function prove(backend: StorageBackend): Promise<void> {
  if (backend.proveGuarantees === undefined) return
  await backend.proveGuarantees()
  const records = await Array.fromAsync(backend.list('.s3lo/'))
  if (records.length > 0) await backend.delete(records.map(({ key }) => key))
}

function isMet(need: Need, backend: StorageBackend, underTest: BackendUnderTest): boolean {
  switch (need) {
    case 'openDenied':
      return underTest.openDenied !== undefined
    case 'createOnly':
    case 'compareAndSwap':
    case 'deadlines':
      return backend.guarantees[need]
    case 'endsWithProcess':
      return backend.guarantees.endsWithProcess === true
    case 'no endsWithProcess':
      return backend.guarantees.endsWithProcess !== true
    case 'no createOnly':
      return !backend.guarantees.createOnly
    case 'no compareAndSwap':
      return !backend.guarantees.compareAndSwap
    case 'no deadlines':
      return !backend.guarantees.deadlines
    case 'proveGuarantees':
    case 'now':
    case 'copyFrom':
    case 'move':
    case 'touch':
    case 'linkTo':
    case 'listKeys':
    case 'presignGet':
    case 'abandonedUploads':
    case 'abortUpload':
    case 'diagnose':
    case 'close':
      return typeof backend[need] === 'function'
  }
}

function reasonFor(need: Need): string {
  if (need === 'openDenied') return 'the test gives no openDenied'
  return need.startsWith('no ')
    ? `the backend guarantees ${need.slice(3)}`
    : `the backend has no ${need}`
}
