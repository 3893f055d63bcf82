import type { CallOptions } from '../contract/call-options.ts'
import type {
  BackendGuarantees,
  Finding,
  ObjectInfo,
  PutOptions,
  StorageBackend,
} from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { stagingKey } from '../layout/keys.ts'
import { provenGuarantees } from '../store/guarantees.ts'

/**
 * What a store does about a condition or deadline. `enforced`: tried, and it refused as it should.
 * `none`: the backend does not rely on it here. `broken`: it let through what it should refuse.
 */
export type GuaranteeState = 'enforced' | 'none' | 'broken' | 'untested'

/** By the names of `--output json`. */
export interface GuaranteeReport {
  readonly create_only: GuaranteeState
  readonly compare_and_swap: GuaranteeState
  readonly deadlines: GuaranteeState
}

/** What a store's endpoint really does. */
export interface EndpointReport {
  readonly guarantees: GuaranteeReport
  /** How far the store's clock is ahead of this machine's; absent when nothing could be written. */
  readonly clockSkewMs?: number
  readonly findings: readonly Finding[]
}

export interface ProbeOptions extends CallOptions {
  /** This machine's clock. */
  readonly now?: (() => Date) | undefined
}

/** A skew that nothing minds. S3 refuses requests beyond 15 minutes. */
const HARMLESS_SKEW_MS = 60_000
const HOUR_MS = 3_600_000

/** Of a store to which nothing was written. */
export const UNTESTED_ENDPOINT: EndpointReport = {
  guarantees: { create_only: 'untested', compare_and_swap: 'untested', deadlines: 'untested' },
  findings: [],
}

/**
 * Tries what a store does about conditions and deadlines and reads its clock, with one small object
 * in the staging place, which is removed again. A store that cannot be written is left untested.
 */
export async function probeEndpoint(
  backend: StorageBackend,
  { now = () => new Date(), signal }: ProbeOptions = {},
): Promise<EndpointReport> {
  const key = stagingKey(`doctor-${process.getBuiltinModule('node:crypto').randomUUID()}`)
  const probe = new Probe(backend, key, signal)
  let leftover: readonly Finding[] = []
  let report: EndpointReport
  try {
    report = await run(probe, now)
  } finally {
    leftover = await probe.remove()
  }
  return { ...report, findings: [...report.findings, ...leftover] }
}

async function run(probe: Probe, now: () => Date): Promise<EndpointReport> {
  try {
    const before = now().getTime()
    const { lastModified, etag } = await probe.write('first')
    const clockSkewMs = Math.round(lastModified.getTime() - (before + now().getTime()) / 2)
    const claimed = await probe.guarantees()
    const guarantees = {
      create_only: await probe.createOnly(claimed),
      compare_and_swap: await probe.compareAndSwap(claimed, etag),
      deadlines: await probe.deadlines(claimed, new Date(lastModified.getTime() - HOUR_MS)),
    }
    return { guarantees, clockSkewMs, findings: [...judge(guarantees), ...judgeClock(clockSkewMs)] }
  } catch (error) {
    if (!isS3loError(error, 'FORBIDDEN') && !isS3loError(error, 'UNSUPPORTED')) throw error
    const message = `writing is not allowed, so conditions, deadlines and the clock are untested: ${error.message}`
    return { ...UNTESTED_ENDPOINT, findings: [{ severity: 'notice', message }] }
  }
}

class Probe {
  readonly #backend: StorageBackend
  readonly #key: string
  readonly #signal: AbortSignal | undefined
  #written = false

  constructor(backend: StorageBackend, key: string, signal: AbortSignal | undefined) {
    this.#backend = backend
    this.#key = key
    this.#signal = signal
  }

  async write(text: string, options: PutOptions = {}): Promise<ObjectInfo> {
    const content = new TextEncoder().encode(text)
    const put = { ...options, signal: this.#signal, size: content.byteLength }
    const info = await this.#backend.put(this.#key, content, put)
    this.#written = true
    return info
  }

  /** Not bound to the signal: an abort must not leave the probe behind. */
  async remove(): Promise<readonly Finding[]> {
    if (!this.#written) return []
    const failures = await this.#backend.delete([this.#key])
    return failures.map(({ key, error }) => ({
      severity: 'notice',
      message: `the object ${key} of this check could not be removed: ${error.message}`,
    }))
  }

  guarantees(): Promise<BackendGuarantees> {
    return provenGuarantees(this.#backend, { signal: this.#signal })
  }

  async createOnly(guarantees: BackendGuarantees): Promise<GuaranteeState> {
    if (!guarantees.createOnly) return 'none'
    return this.#refused(this.write('second', { condition: { kind: 'absent' } }))
  }

  /** A real etag that is out of date: an invented one need not have the store's form. */
  async compareAndSwap(guarantees: BackendGuarantees, etag: string): Promise<GuaranteeState> {
    if (!guarantees.compareAndSwap) return 'none'
    await this.write('third')
    return this.#refused(this.write('fourth', { condition: { kind: 'unchanged', etag } }))
  }

  /** A write and a delete whose time is over must both be refused and change nothing. */
  async deadlines(guarantees: BackendGuarantees, notAfter: Date): Promise<GuaranteeState> {
    if (!guarantees.deadlines) return 'none'
    const before = await this.#etag()
    if (!(await this.#rejects(this.write('late', { notAfter })))) return 'broken'
    const signal = this.#signal
    const failures = await this.#backend.delete([this.#key], { notAfter, signal })
    const unchanged = before !== undefined && (await this.#etag()) === before
    return failures.length === 1 && unchanged ? 'enforced' : 'broken'
  }

  async #etag(): Promise<string | undefined> {
    return (await this.#backend.head(this.#key, { signal: this.#signal }))?.etag
  }

  async #refused(write: Promise<unknown>): Promise<GuaranteeState> {
    try {
      await write
      return 'broken'
    } catch (error) {
      if (isS3loError(error, 'CONFLICT')) return 'enforced'
      throw error
    }
  }

  async #rejects(write: Promise<unknown>): Promise<boolean> {
    try {
      await write
      return false
    } catch (error) {
      if (isS3loError(error, 'FORBIDDEN')) return true
      throw error
    }
  }
}

/** What depends on each guarantee, in the words of a finding. */
const LOST: Readonly<Record<keyof GuaranteeReport, string>> = {
  create_only: 'two writers can both create an immutable tag: only clients refuse to overwrite it',
  compare_and_swap: 'two edits of s3lo.yaml or of a history at the same moment can lose one',
  deadlines: 'a collector must wait for every writer that it has seen start',
}

const NAME: Readonly<Record<keyof GuaranteeReport, string>> = {
  create_only: 'create-only writes',
  compare_and_swap: 'compare-and-swap writes',
  deadlines: 'deadlines of requests',
}

function judge(guarantees: GuaranteeReport): readonly Finding[] {
  return (['create_only', 'compare_and_swap', 'deadlines'] as const).map((key): Finding => {
    const state = guarantees[key]
    if (state === 'enforced') return { severity: 'ok', message: `the store enforces ${NAME[key]}` }
    if (state === 'broken') {
      return {
        severity: 'problem',
        message: `the store takes ${NAME[key]} and ignores them: ${LOST[key]}`,
        hint: 'ask the operator of the endpoint to enforce them, and run one writer at a time till then',
      }
    }
    return { severity: 'notice', message: `the store has no ${NAME[key]}: ${LOST[key]}` }
  })
}

function judgeClock(skewMs: number): readonly Finding[] {
  if (Math.abs(skewMs) <= HARMLESS_SKEW_MS) return []
  const seconds = Math.round(Math.abs(skewMs) / 1000)
  const side = skewMs > 0 ? 'behind' : 'ahead of'
  return [
    {
      severity: 'notice',
      message: `the clock of this machine is ${seconds} s ${side} the store's`,
      hint: 'set it by NTP: stores refuse requests that are signed more than 15 minutes off',
    },
  ]
}
