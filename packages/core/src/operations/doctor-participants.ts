import type { CallOptions } from '../contract/call-options.ts'
import type { Finding, StorageBackend } from '../contract/storage-backend.ts'
import {
  listForeignControls,
  listParticipants,
  nameParticipant,
  type Participant,
} from '../gc/participants.ts'
import { peekTime } from '../gc/store-clock.ts'
import { formatStore } from '../layout/format-store.ts'

/** What a store says of pushes, copies and cleans that run, or that were killed. */
export interface ParticipantsReport {
  readonly pins: readonly Participant[]
  readonly rounds: readonly Participant[]
  readonly findings: readonly Finding[]
}

/** How many foreign keys are named. */
const MAX_FOREIGN = 5

/** Lists pins and rounds, and names what lies among them and is none. */
export async function findParticipants(
  backend: StorageBackend,
  { now, signal }: CallOptions & { readonly now?: (() => Date) | undefined } = {},
): Promise<ParticipantsReport> {
  const time = now?.().getTime() ?? (await peekTime(backend, { signal }))
  const all = await listParticipants(backend, time, { signal })
  const foreign: string[] = []
  let foreignCount = 0
  for await (const key of listForeignControls(backend, { signal })) {
    foreignCount++
    if (foreign.length < MAX_FOREIGN) foreign.push(JSON.stringify(key))
  }
  const findings = all.map((participant) => judge(backend, participant))
  if (foreignCount > 0) {
    const more = foreignCount > foreign.length ? ` and ${foreignCount - foreign.length} more` : ''
    findings.push({
      severity: 'notice',
      message: `below .s3lo/gc/ are objects that no push or clean writes and that count for nothing: ${foreign.join(', ')}${more}`,
      hint: 'find the program that writes there; the files are left alone',
    })
  }
  return {
    pins: all.filter(({ kind }) => kind === 'pin'),
    rounds: all.filter(({ kind }) => kind === 'round'),
    findings,
  }
}

const EFFECT = {
  round: 'pushes of what it may delete wait for it',
  pin: 'cleans keep what it names',
} as const

function judge(backend: StorageBackend, participant: Participant): Finding {
  const { kind, id, until, state } = participant
  const name = nameParticipant(participant)
  const ref = formatStore(backend)
  if (state === 'over') {
    const hint = `s3lo clean ${ref} --confirm`
    return { severity: 'notice', message: `${name} is over and holds up no process`, hint }
  }
  const end = until === undefined ? 'until it is ended' : `until ${until} at most`
  const fate = state === 'ended' ? '; its process has ended' : ''
  return {
    severity: state === 'open' ? 'ok' : 'notice',
    message: `${name}: ${EFFECT[kind]}, ${end}${fate}`,
    hint: `where its process has ended for certain: s3lo clean ${ref} --end ${id} --confirm`,
  }
}
