import { resolve } from 'node:path'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { S3loError } from '../errors.ts'
import { isReservedName } from '../layout/keys.ts'
import { closePath, type OpenPath, parseOpenPath } from '../layout/local-path.ts'
import type { Opener } from './opener.ts'

export interface LocateOptions extends CallOptions, ProgressOptions {
  /**
   * What the reference names: an image, whose name takes at least the last component of the path
   * (default), or a store, with a path of names below it or without.
   */
  readonly names?: 'image' | 'store' | undefined
  /** The operation makes the store where there is none, which is worth a notice. */
  readonly creates?: boolean | undefined
}

/**
 * The reference with its store spelled out. In `local://` a path may continue after the store, and the
 * store is the deepest folder on it that is one already. Where none is, it is the first folder, as
 * the Go program has it; of an absolute path with more than one folder before the image that is
 * hardly what was meant. Throws `INVALID_REFERENCE` for that and for `~`, which only a shell expands.
 */
export async function locateStore(
  opener: Opener,
  text: string,
  { names = 'image', creates = false, onProgress, signal }: LocateOptions = {},
): Promise<string> {
  if (!text.startsWith('local://')) return text
  if (text.startsWith('local://~')) throw unexpanded(text)
  const path = parseOpenPath(text)
  const depth = path && (await findDepth(opener, path, names, { signal }))
  if (path && depth === undefined) assertPlain(text, path, names)
  const located = path && depth !== undefined ? closePath(path, depth) : text
  const bucket = path
    ? path.lead + (path.folders[0] ?? '')
    : (/^local:\/\/(.+?)\/\//.exec(text)?.[1] ?? '')
  const isNew = creates && depth === undefined && bucket !== ''
  if (isNew && !(await isStore(opener, bucket, { signal }))) {
    const message = `a new store is made in ${resolve(bucket)}`
    onProgress?.({ type: 'notice', code: 'new-store', message })
  }
  return located
}

/** How many folders of the path lead to the deepest store; `undefined` where there is none. */
async function findDepth(
  opener: Opener,
  { lead, folders }: OpenPath,
  names: 'image' | 'store',
  options: CallOptions,
): Promise<number | undefined> {
  const most = names === 'image' ? folders.length - 1 : folders.length
  let found: number | undefined
  for (let depth = 1; depth <= most; depth++) {
    const isInside = found !== undefined && isReservedName(folders[found] ?? '')
    if (isInside) break
    const bucket = lead + folders.slice(0, depth).join('/')
    if (await isStore(opener, bucket, options)) found = depth
  }
  return found
}

async function isStore(opener: Opener, bucket: string, options: CallOptions): Promise<boolean> {
  const module = await opener.registry.backend('local')
  return (await module.isStore?.({ scheme: 'local', bucket }, options)) ?? false
}

function assertPlain(text: string, path: OpenPath, names: 'image' | 'store'): void {
  const { lead, folders } = path
  if (lead !== '/' || folders.length <= 2) return
  const all = names === 'store' ? folders.length : folders.length - 1
  const deep = `/${folders.slice(0, all).join('/')}`
  const [first = ''] = folders
  throw new S3loError(
    'INVALID_REFERENCE',
    `reference ${JSON.stringify(text)} can be read in several ways, and no folder on its path is a store yet`,
    {
      hint:
        `${closePath(path, all)} is in the store ${deep}, local:///${first}//${folders.slice(1).join('/')}${path.version} in the store /${first}; ` +
        `or make the store first: s3lo init --local ${deep}`,
    },
  )
}

function unexpanded(text: string): S3loError {
  return new S3loError(
    'INVALID_REFERENCE',
    `reference ${JSON.stringify(text)} begins with ~, which only a shell expands`,
    {
      hint: 'write the path out, as in "local://$HOME/store//app:v1"; a folder of that name is ./~',
    },
  )
}
