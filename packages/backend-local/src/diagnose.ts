import { statfs } from 'node:fs/promises'
import type { Finding } from '@s3lo/core/plugin'

const GIB = 1024 ** 3

/** Less free space than this is worth a word. */
const SCARCE_BYTES = GIB

/** Linux's numbers of file systems that lie on another machine, or may. */
const REMOTE: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x65735546, 'FUSE'],
])

/** What is asked of a file system. */
export interface FileSystemFacts {
  readonly type: number
  /** Bytes in a block. */
  readonly bsize: number
  /** Blocks that are free for everybody. */
  readonly bavail: number
}

/** Remarks on the file system that a store lies on. */
export async function* diagnoseFolder(
  path: string,
  read: (path: string) => Promise<FileSystemFacts> = statfs,
): AsyncGenerator<Finding, void> {
  const { type, bsize, bavail } = await read(path)
  const free = bsize * bavail
  const amount = `${(free / GIB).toFixed(1)} GiB`
  yield free < SCARCE_BYTES
    ? {
        severity: 'notice',
        message: `only ${amount} are free on the disk`,
        hint: 's3lo clean shows what can be removed',
      }
    : { severity: 'ok', message: `${amount} are free on the disk` }
  // Elsewhere the numbers mean something else.
  const remote = process.platform === 'linux' ? REMOTE.get(type >>> 0) : undefined
  if (remote !== undefined) {
    yield {
      severity: 'notice',
      message: `the directory is on ${remote}: between machines, locks and renames are as good as that makes them`,
      hint: 'write from one machine at a time, or keep the store in a bucket',
    }
  }
}
