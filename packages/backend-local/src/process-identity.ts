import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { errnoOf } from './errors.ts'

/**
 * Whose file this is, told by its name alone, so that there is no moment at which a file exists
 * and its owner is not known:
 *
 * - `host`: the host name and the machine id;
 * - `boot`: this run of the kernel;
 * - `space`: the namespace in which a pid means something (containers have their own);
 * - `pid` and `start`: the process, and when it started, since pids are used again;
 * - `id`: this one file.
 */
export interface Owner {
  readonly host: string
  readonly boot: string
  readonly space: string
  readonly pid: number
  readonly start: string
  readonly id: string
}

/** What can be said about the owner of a file. */
export type OwnerState = 'alive' | 'dead' | 'rebooted' | 'unknown'

const OWNER = /^([0-9a-f]{12})-([0-9a-f]{12})-([0-9a-f]{12})-(\d{1,10})-(\w{1,20})-([0-9a-f]{16})$/

/** A new name that says it is this process's. */
export async function newOwnedName(): Promise<string> {
  const { host, boot, space, pid, start } = await self()
  return [
    host,
    boot,
    space,
    pid,
    start,
    process.getBuiltinModule('node:crypto').randomBytes(8).toString('hex'),
  ].join('-')
}

/**
 * Whether the process that made `name` is dead for certain. `rebooted` means that it ran on a
 * machine of this name and id before its last start: dead, unless two machines share both.
 * Anything that cannot be judged from here (another host, another container) is `unknown`.
 */
export async function ownerState(name: string): Promise<OwnerState> {
  const owner = parseOwner(name)
  if (owner === undefined) return 'unknown'
  const mine = await self()
  if (owner.host !== mine.host) return 'unknown'
  if (owner.boot !== mine.boot) return 'rebooted'
  if (owner.space !== mine.space) return 'unknown'
  const start = await startOf(owner.pid)
  if (start === undefined) return 'dead'
  const isAnother = start !== UNKNOWN && owner.start !== UNKNOWN && start !== owner.start
  return isAnother ? 'dead' : 'alive'
}

/** The owner that a name tells, for messages; `undefined` for a foreign name. */
export function parseOwner(name: string): Owner | undefined {
  const [, host, boot, space, pid, start, id] = OWNER.exec(name) ?? []
  if (!host || !boot || !space || !pid || !start || !id) return undefined
  return { host, boot, space, pid: Number(pid), start, id }
}

let identity: Promise<Omit<Owner, 'id'>> | undefined

function self(): Promise<Omit<Owner, 'id'>> {
  identity ??= identify()
  return identity
}

async function identify(): Promise<Omit<Owner, 'id'>> {
  const [machine, boot, space, start] = await Promise.all([
    orEmpty(readFile('/etc/machine-id', 'utf8')),
    orEmpty(readFile('/proc/sys/kernel/random/boot_id', 'utf8')),
    orEmpty(readlink('/proc/self/ns/pid')),
    startOf(process.pid),
  ])
  return {
    host: short(`${hostname()} ${machine}`),
    boot: short(boot),
    space: short(space),
    pid: process.pid,
    start: start ?? UNKNOWN,
  }
}

/** Where the system does not tell when a process started; it counts as the one that is meant. */
const UNKNOWN = '0'

/** When a process started, in ticks after boot; `undefined` when none with this pid runs. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return undefined
    // EPERM: it runs, for another user.
  }
  const stat = await orEmpty(readFile(`/proc/${pid}/stat`, 'utf8'))
  // The second field is the program's name in parentheses and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // A zombie runs no more.
  if (fields[0] === 'Z') return undefined
  return fields[19] ?? UNKNOWN
}

/** These files exist on Linux only; elsewhere the rest of the identity has to do. */
function orEmpty(text: Promise<string>): Promise<string> {
  return text.catch(() => '')
}

function short(text: string): string {
  return process
    .getBuiltinModule('node:crypto')
    .createHash('sha256')
    .update(text)
    .digest('hex')
    .slice(0, 12)
}
