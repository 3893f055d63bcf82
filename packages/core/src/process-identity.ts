import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'

/**
 * Whose file this is, told by its name alone, so that there is no moment at which a file exists
 * and its owner is not known:
 *
 * - `host`: the host name and the machine id;
 * - `boot`: this run of the kernel;
 * - `space`: the namespaces in which a pid and a start time mean something (containers have their
 *   own pids, and may have their own time);
 * - `pid` and `start`: the process, and when it started, since pids are used again;
 * - `id`: this one file.
 */
interface Owner {
  readonly host: string
  readonly boot: string
  readonly space: string
  readonly pid: number
  readonly start: string
  readonly id: string
}

/** What can be said about the owner of a file. */
type OwnerState = 'alive' | 'dead' | 'rebooted' | 'unknown'

const OWNER = /^([0-9a-f]{12})-([0-9a-f]{12})-([0-9a-f]{12})-(\d{1,10})-(\w{1,20})-([0-9a-f]{16})$/

/** A new name that says it is this process's. */
export async function newOwnedName(): Promise<string> {
  const { host, boot, space, pid, start } = await self()
  const id = process.getBuiltinModule('node:crypto').randomBytes(8).toString('hex')
  return [host, boot, space, pid, start, id].join('-')
}

/**
 * True when the process that made `name` has ended for certain, all of its threads and so every
 * system call of it. False where that cannot be known from here: on another machine, in another
 * container, or where the system does not tell one run of the kernel from another.
 */
export async function hasOwnerEnded(name: string): Promise<boolean> {
  return (await self()).boot !== short('') && (await ownerState(name)) === 'dead'
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
  const [machine, boot, pids, time, start] = await Promise.all([
    orEmpty(readFile('/etc/machine-id', 'utf8')),
    orEmpty(readFile('/proc/sys/kernel/random/boot_id', 'utf8')),
    orEmpty(readlink('/proc/self/ns/pid')),
    orEmpty(readlink('/proc/self/ns/time')),
    startOf(process.pid),
  ])
  const space = `${pids} ${time}`
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
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return undefined
    // EPERM: it runs, for another user.
  }
  // A folder of another container's processes knows them by other numbers.
  if ((await orEmpty(readlink('/proc/self'))) !== String(process.pid)) return UNKNOWN
  const stat = await orEmpty(readFile(`/proc/${pid}/stat`, 'utf8'))
  // The second field is the program's name in parentheses and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, threads, start = UNKNOWN] = [fields[0], fields[17], fields[19]]
  // A zombie runs no more, once its other threads have ended.
  return state === 'Z' && threads === '1' ? undefined : start
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
