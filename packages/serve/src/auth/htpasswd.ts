import { createHmac, randomBytes } from 'node:crypto'
import { readBoundedFile, RecentMap, S3loError } from '@s3lo/core'
import { createGate } from './gate.ts'

/** The largest htpasswd file that is read (bytes). */
const MAX_FILE_BYTES = 1024 * 1024

/** bcrypt takes no more bytes of a password into account, so that a longer one is refused. */
export const MAX_PASSWORD_BYTES = 72

/** A cost above takes seconds for each log-in. */
const MAX_COST = 14

/** Password checks at once, each on a thread of its own, and in line. */
const CHECKS = { limit: 2, waiting: 64 }

/** Log-ins whose result is remembered: a client that sends Basic does so with every request. */
const MAX_REMEMBERED = 1_000

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/
const HASH = /^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/

/** The names that mean something else in rules. */
const RESERVED: ReadonlySet<string> = new Set(['anonymous'])

/** bcrypt hashes by user. */
export type UserTable = ReadonlyMap<string, string>

export interface Users {
  /** The result of the same log-in before, while the user's hash has stayed the same. */
  recall(name: string, password: string): boolean | undefined
  /**
   * True for the user's password. `busy`: too many checks are waiting; `slowed`: the turn of this one
   * came too late. Neither was made.
   */
  check(name: string, password: string, pace?: CheckPace): Promise<boolean | 'busy' | 'slowed'>
  /** What changes when the user's password does; `undefined` when there is no such user. */
  fingerprint(name: string): string | undefined
  /** Puts other users in place of these. */
  replace(table: UserTable): void
}

/** Is asked when it is a check's turn: those that waited before it may have been wrong. */
interface CheckPace {
  isSlowed(): boolean
  failed(): void
}

export interface UsersOptions {
  /** Replaces bcrypt, in tests. */
  readonly verify?: (password: string, hash: string) => Promise<boolean>
}

/**
 * The users of an htpasswd file: one `name:hash` on a line, `#` starts a comment. Throws `INTEGRITY`
 * naming the line that is no bcrypt hash of a user, or repeats one.
 */
export function parseHtpasswd(text: string, file: string): UserTable {
  const users = new Map<string, string>()
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0))
    const hash = line.slice(colon + 1)
    const problem = problemOf(name, hash, users)
    // The line itself is a secret, or near one.
    if (problem)
      throw new S3loError('INTEGRITY', `${file} line ${i + 1}: ${problem}`, { hint: HINT })
    users.set(name, hash)
  }
  return users
}

const HINT = 'lines are made by htpasswd -B'

function problemOf(name: string, hash: string, users: UserTable): string | undefined {
  if (!NAME.test(name)) return 'expected NAME:HASH with a name of letters, digits and ._@+-'
  if (RESERVED.has(name)) return `${name} is no name for a user`
  if (users.has(name)) return `the user ${name} is there twice`
  const cost = Number(HASH.exec(hash)?.groups?.['cost'] ?? Number.NaN)
  if (Number.isNaN(cost)) return `the hash of ${name} is not a bcrypt hash`
  if (cost < 4 || cost > MAX_COST) return `expected a cost of 4 to ${MAX_COST}, got ${cost}`
  return undefined
}

/** Reads and parses. Throws `INTEGRITY`, and what reading the file throws. */
export async function readHtpasswd(file: string): Promise<UserTable> {
  const content = await readBoundedFile(file, MAX_FILE_BYTES)
  return parseHtpasswd(content.toString('utf8'), file)
}

/**
 * Checks passwords. An unknown user costs what the dearest known one costs. Log-ins are remembered
 * as digests under a key of this process.
 */
export function createUsers(initial: UserTable, options: UsersOptions = {}): Users {
  const verify = options.verify ?? verifyBcrypt
  const gate = createGate(CHECKS)
  const key = randomBytes(32)
  const results = new RecentMap<string, boolean>(MAX_REMEMBERED)
  let table = initial
  let decoy = decoyFor(table)
  const digest = (name: string, password: string): string =>
    createHmac('sha256', key)
      .update(JSON.stringify([name, table.get(name) ?? '', password]))
      .digest('base64')
  return {
    recall: (name, password) => results.get(digest(name, password)),
    async check(name, password, pace) {
      const hash = table.get(name)
      const isPossible =
        Buffer.byteLength(password) <= MAX_PASSWORD_BYTES && !password.includes('\0')
      const asked = digest(name, password)
      const checked = await gate.run(async () => {
        if (pace?.isSlowed()) return 'slowed'
        const isVerified = await verify(isPossible ? password : '', hash ?? decoy)
        const isRight = isVerified && hash !== undefined && isPossible
        results.set(asked, isRight)
        if (!isRight) pace?.failed()
        return isRight
      })
      return checked ? checked.value : 'busy'
    },
    fingerprint: (name) => table.get(name),
    replace(users) {
      table = users
      decoy = decoyFor(users)
    },
  }
}

/** A hash that no password has, as dear as the dearest one of the table. */
function decoyFor(table: UserTable): string {
  const costs = [...table.values()].map((hash) => HASH.exec(hash)?.groups?.['cost'] ?? '10')
  const cost = costs.sort().at(-1) ?? '10'
  return `$2b$${cost}$3KxkwNZVY28NED/.oCn.3.UZTo8LbEVbFcwM/5OwyYPUzWcd739ES`
}

async function verifyBcrypt(password: string, hash: string): Promise<boolean> {
  const { verify } = await import('@node-rs/bcrypt')
  return verify(password, hash)
}
