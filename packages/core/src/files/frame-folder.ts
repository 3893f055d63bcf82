import { randomUUID } from 'node:crypto'
import { lstatSync, readdirSync } from 'node:fs'
import { open, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Frame, FrameCache } from '../chunk/encode-layer.ts'
import { encoderName, MAX_FRAME_BYTES } from '../chunk/frame.ts'
import { hexOf } from '../chunk/sized-digest.ts'
import { digestInPool } from '../oci/digest.ts'
import { cacheFolder, type Environment } from './cache-folder.ts'
import { makeFolder } from './make-folder.ts'

const MIB = 1024 * 1024

/** What the folder takes at most where nothing else is said (bytes). */
const DEFAULT_BYTES = 2048 * MIB

/** A shorter chunk is encoded in less time than a file is found (raw bytes). */
const MIN_RAW_BYTES = 64 * 1024

/** A frame that is longer than so much of its chunk is of content that is encoded nearly as fast as it is read. */
const MOST_OF_RAW = 7 / 8

/** After so much of its bound the folder has room again. */
const LEFT_AFTER_EVICTION = 0.9

/** `<encoder>.<hex of the raw bytes>.<hex of the frame>`. */
const NAME = /^(?<encoder>.+)\.(?<raw>[0-9a-f]{64})\.(?<frame>[0-9a-f]{64})$/

interface KeptFile {
  readonly path: string
  readonly size: number
  /** When it was last used (milliseconds). */
  readonly used: number
}

/**
 * Frames in the user's cache folder, a file each, so that a push after an edit does not encode again what
 * it has encoded. Nothing depends on it: a file that is damaged is as if it were not there, and where none
 * can be written, none is. Processes may use it at the same time: a file has its name once it is whole.
 */
export class FrameFolder implements FrameCache {
  readonly #folder: string
  readonly #most: number
  readonly #encoder = encoderName()
  /** Names of files, by the hex of their raw bytes, as they were found and written. */
  #names: Map<string, string> | undefined
  /** What the files take, as far as is known (bytes). */
  #bytes = 0
  /** Found out with the first file, and false after the first that could not be written. */
  #isWritable: Promise<boolean> | undefined

  /** @param most What all files together may take (bytes). */
  constructor(folder: string, most: number) {
    this.#folder = folder
    this.#most = most
  }

  has(raw: string): boolean {
    return this.#found().has(hexOf(raw))
  }

  async get(raw: string): Promise<Frame | undefined> {
    const name = this.#found().get(hexOf(raw))
    if (name === undefined) return undefined
    const path = join(this.#folder, name)
    try {
      const bytes = await readUsed(path)
      const digest = await digestInPool(bytes)
      if (name === this.#nameOf(raw, digest)) return { bytes, digest }
      await rm(path, { force: true })
    } catch {
      // It is encoded again.
    }
    this.#found().delete(hexOf(raw))
    return undefined
  }

  async put(raw: string, rawBytes: number, { bytes, digest }: Frame): Promise<void> {
    if (rawBytes < MIN_RAW_BYTES || bytes.length > rawBytes * MOST_OF_RAW) return
    if (bytes.length > this.#most || this.has(raw)) return
    const part = join(this.#folder, `${randomUUID()}.part`)
    try {
      if (!(await (this.#isWritable ??= this.#begin()))) return
      await this.#makeRoom(bytes.length)
      const name = this.#nameOf(raw, digest)
      await writeFile(part, bytes, { mode: 0o600, flag: 'wx' })
      await rename(part, join(this.#folder, name))
      this.#found().set(hexOf(raw), name)
    } catch {
      this.#isWritable = Promise.resolve(false)
      await rm(part, { force: true }).catch(() => undefined)
    }
  }

  #nameOf(raw: string, frame: string): string {
    return `${this.#encoder}.${hexOf(raw)}.${hexOf(frame)}`
  }

  #found(): Map<string, string> {
    this.#names ??= new Map(
      namesIn(this.#folder).flatMap((name) => {
        const { encoder, raw } = NAME.exec(name)?.groups ?? {}
        return raw !== undefined && encoder === this.#encoder ? [[raw, name]] : []
      }),
    )
    return this.#names
  }

  /** False where the disk has less free space than the folder may take. */
  async #begin(): Promise<boolean> {
    await makeFolder(this.#folder, { mode: 0o700 })
    const { bavail, bsize } = await statfs(this.#folder)
    this.#bytes = sizeOf(filesIn(this.#folder))
    return bavail * bsize >= this.#most
  }

  async #makeRoom(bytes: number): Promise<void> {
    this.#bytes += bytes
    if (this.#bytes > this.#most) await this.#evict(bytes)
  }

  /** Removes the files that were used least recently. */
  async #evict(coming: number): Promise<void> {
    // Looked at again: other processes write and remove files too.
    const files = filesIn(this.#folder).toSorted((a, b) => a.used - b.used)
    let left = sizeOf(files) + coming
    for (const { path, size } of files) {
      if (left <= this.#most * LEFT_AFTER_EVICTION) break
      await rm(path, { force: true })
      left -= size
    }
    this.#bytes = left
  }
}

/**
 * The folder that the environment says, and lets have: `S3LO_FRAME_CACHE` is its bound in MiB, and 0 turns it
 * off. Without that, there is none where `CI` is set: a machine that is thrown away has no use of it.
 */
export function openFrameFolder(env: Environment): FrameFolder | undefined {
  const { S3LO_FRAME_CACHE: text, CI: ci } = env
  const most = text ? Number(text) * MIB : ci && ci !== 'false' ? 0 : DEFAULT_BYTES
  const folder = cacheFolder(env)
  return folder !== undefined && most > 0
    ? new FrameFolder(join(folder, 'frames'), most)
    : undefined
}

/** Reads a frame, and marks it as used. */
async function readUsed(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const bytes = Buffer.allocUnsafeSlow(Math.min(size, MAX_FRAME_BYTES))
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    const now = new Date()
    await file.utimes(now, now).catch(() => undefined)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function filesIn(folder: string): readonly KeptFile[] {
  return namesIn(folder).flatMap((name) => {
    const path = join(folder, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    return stats?.isFile() ? [{ path, size: stats.size, used: stats.mtimeMs }] : []
  })
}

function sizeOf(files: readonly KeptFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0)
}
