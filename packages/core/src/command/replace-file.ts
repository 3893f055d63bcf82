import { constants, createWriteStream, open as openDescriptor } from 'node:fs'
import { open, readlink, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { CallOptions } from '../contract/call-options.ts'
import { S3loError, toS3loError } from '../errors.ts'

type Content = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/**
 * Writes the file that a command was told to write: whole, or the one that was there stays. A link
 * stays a link, and its target is written. What is there and is no regular file (a pipe, a device)
 * is not replaced but gets the content as it comes. Throws `IO`, and what the
 * content fails with.
 */
export async function replaceFile(
  file: string,
  content: Content,
  { signal }: CallOptions = {},
): Promise<void> {
  try {
    const target = await regularTarget(file)
    if (target === undefined) await send(file, content, { signal })
    else await replace(target, content, { signal })
  } catch (error) {
    signal?.throwIfAborted()
    throw toS3loError(error, 'IO', `cannot write ${file}`)
  }
}

/**
 * True for what is there and cannot be replaced by a finished file, but takes content as it comes: a
 * pipe (`>(command)` is one), a device, a file that is open already. Throws what the system does.
 */
export async function takesStream(file: string): Promise<boolean> {
  return (await regularTarget(file)) === undefined
}

async function replace(file: string, content: Content, options: CallOptions): Promise<void> {
  const { randomUUID } = process.getBuiltinModule('node:crypto')
  const staged = join(dirname(file), `.${basename(file)}.${randomUUID()}`)
  try {
    await pipeline(Readable.from(content), createWriteStream(staged, { flags: 'wx' }), options)
    await rename(staged, file)
  } catch (error) {
    await rm(staged, { force: true })
    throw error
  }
}

/** Neither made nor cut: what others wrote through the same descriptor stays. */
async function send(file: string, content: Content, options: CallOptions): Promise<void> {
  const isPipe = (await stat(file)).isFIFO()
  const target = isPipe
    ? await openPipe(file, options)
    : (await open(file, constants.O_WRONLY | constants.O_APPEND)).createWriteStream()
  await pipeline(Readable.from(content), target, options)
}

/** How often a pipe without a reader is looked at (milliseconds). */
const READER_INTERVAL = 50

/** Waits for a reader, but in no system call: the process could not end while it is in one. */
async function openPipe(file: string, { signal }: CallOptions): Promise<Writable> {
  const { Socket } = process.getBuiltinModule('node:net')
  const openNow = promisify(openDescriptor)
  for (;;) {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK
    const fd = await openNow(file, flags).catch(unless('ENXIO'))
    if (fd !== undefined) return new Socket({ fd, readable: false, writable: true })
    await realpath(file) // Fails for a pipe without a name, which gets no other reader.
    await setTimeout(READER_INTERVAL, undefined, signal ? { signal } : {})
  }
}

const MAX_LINKS = 40

/** What is open already, as `/dev/stdout` leads to: it must stay the file that others write to. */
const DESCRIPTORS = /^(?:\/proc\/\d+(?:\/task\/\d+)?|\/dev)\/fd$/

/** The path behind all links, of a regular file or of nothing yet; `undefined` for anything else. */
async function regularTarget(file: string): Promise<string | undefined> {
  const there = await stat(file).catch(unless('ENOENT'))
  if (there && !there.isFile()) return undefined
  let path = file
  for (let links = 0; links < MAX_LINKS; links++) {
    const folder = await realpath(dirname(path))
    if (DESCRIPTORS.test(folder)) return undefined
    // Step by step: the target of a link need not be there.
    const link = await readlink(path).catch(unless('ENOENT', 'EINVAL', 'UNKNOWN'))
    if (link === undefined) return path
    path = resolve(folder, link)
  }
  throw new S3loError('IO', `${file} is a link that leads nowhere`)
}

/** Turns failures with these codes into `undefined`. */
function unless(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (typeof code === 'string' && codes.includes(code)) return undefined
    throw error
  }
}
