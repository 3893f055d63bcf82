import type { BigIntStats } from 'node:fs'
import type { ObjectInfo } from '@s3lo/core/plugin'

/**
 * A file's facts. The etag is inode, size and modification time.
 *
 * Every put makes a new file, and `stampNow` gives it a time of its own, so an inode number
 * that is used again cannot repeat an etag. A writer in place (the Go program truncates and
 * writes) keeps the inode but moves the time; only two writes of equal size within one tick of an
 * old kernel's clock would look alike. The change time is left out on purpose: it moves when a
 * link is made or the mode changes, and would break a compare-and-swap over equal content.
 * A touch changes the etag, since it changes the time.
 */
export function toObjectInfo(key: string, { ino, size, mtimeNs }: BigIntStats): ObjectInfo {
  return {
    key,
    size: Number(size),
    etag: `${ino.toString(36)}-${size.toString(36)}-${mtimeNs.toString(36)}`,
    lastModified: new Date(Number(mtimeNs / 1_000_000n)),
  }
}
