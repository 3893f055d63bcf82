import type { ListedFile } from '@s3lo/core'
import { escapeText, formatTime } from './text.ts'

/** One path a line; directories end in `/`. */
export function renderFiles(files: readonly ListedFile[]): string {
  return files.map((file) => `${name(file)}\n`).join('')
}

/** One file a line, in columns: mode, owner, bytes, time, path and where a link leads. */
export function renderLongFiles(files: readonly ListedFile[]): string {
  const owners = files.map(({ uid, gid }) => `${uid}:${gid}`)
  const ownerWidth = Math.max(0, ...owners.map(({ length }) => length))
  const sizeWidth = Math.max(0, ...files.map(({ size }) => String(size).length))
  const lines = files.map((file, i) => {
    const { size, modified_at: time = '', target } = file
    const columns = [
      KINDS[file.type] + permissions(Number.parseInt(file.mode, 8)),
      (owners[i] ?? '').padEnd(ownerWidth),
      String(size).padStart(sizeWidth),
      (time === '' ? '' : formatTime(time)).padEnd(TIME_WIDTH),
      target === undefined ? name(file) : `${name(file)} -> ${escapeText(target)}`,
    ]
    return `${columns.join('  ')}\n`
  })
  return lines.join('')
}

/** Of a formatted time. */
const TIME_WIDTH = 19

const KINDS: Readonly<Record<ListedFile['type'], string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  'character-device': 'c',
  'block-device': 'b',
  fifo: 'p',
}

/** `rwxr-xr-x`, with `s` and `t` where those bits are set. */
function permissions(mode: number): string {
  const bits = 'rwxrwxrwx'.split('').map((letter, i) => (mode & (0o400 >> i) ? letter : '-'))
  const special = [
    [0o4000, 2, 's'],
    [0o2000, 5, 's'],
    [0o1000, 8, 't'],
  ] as const
  for (const [bit, at, letter] of special) {
    if (mode & bit) bits[at] = bits[at] === 'x' ? letter : letter.toUpperCase()
  }
  return bits.join('')
}

function name({ path, type }: ListedFile): string {
  return escapeText(type === 'directory' && path !== '/' ? `${path}/` : path)
}
