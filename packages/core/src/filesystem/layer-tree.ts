import { S3loError } from '../errors.ts'
import type { ByteText } from '../tar/byte-text.ts'
import type { TocEntry } from '../tar/toc-entry.ts'

/** A directory of one layer: what the layer puts there, and what it takes away from the layers below. */
export interface DirectoryNode {
  readonly kind: 'directory'
  /** Absent where only something in it is in the tar. */
  entry: TocEntry | undefined
  readonly children: Map<ByteText, LayerNode>
  /** Names that a whiteout removes from the layers below. */
  readonly removed: Set<ByteText>
  /** Hides all that the layers below have in it. */
  isOpaque: boolean
}

/** Anything but a directory; hard links of one layer share it. */
interface FileNode {
  readonly kind: 'file'
  readonly entry: TocEntry
}

/** A hard link to what the layer itself does not hold. */
interface LinkNode {
  readonly kind: 'link'
  readonly entry: TocEntry
  readonly target: readonly ByteText[]
}

export type LayerNode = DirectoryNode | FileNode | LinkNode

/** What a layer has at a path. */
export interface LayerLook {
  readonly node: LayerNode | undefined
  /** True where nothing of the layers below can be seen at the path. */
  readonly hidesBelow: boolean
}

/** The symbolic links that one path may go through, as in Linux. */
export const MAX_LINKS = 40

/** Directories that a layer may imply without naming them: more is no image but an attack. */
const MAX_IMPLIED = 1_000_000

/**
 * Names that symbolic links of a layer may lead through while it is extracted: many times as many as a layer of a million
 * files needs. Each of its paths may go through 40 links, and each of these through 2000 directories.
 */
const MAX_FOLLOWED = 16_000_000

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** AUFS kept its own records under such names. */
const RECORD = '.wh..wh.'

/** The components of a path; empty ones and `.` are left out, `..` is kept. */
export function splitPath(path: ByteText): ByteText[] {
  return path.split('/').filter((part) => part !== '' && part !== '.') as ByteText[]
}

/** What a path has room for in Linux, which counts its end as one (bytes). */
const MAX_PATH = 4096

/** The components of a symbolic link's target; `undefined` for one that is too long to lead anywhere. */
export function splitTarget({ linkname }: TocEntry): ByteText[] | undefined {
  return linkname.length < MAX_PATH ? splitPath(linkname) : undefined
}

/** One layer as extracting its tar in order makes it, in a root of its own: the last of two wins. */
export class LayerTree {
  readonly root: DirectoryNode = newDirectory()
  #implied = 0
  #followed = 0
  /**
   * Where the entry before lies, as text and as node: most entries follow one of their directory. It
   * holds until something is replaced, which may be on the way there.
   */
  #latest: { readonly directory: string; readonly parent: DirectoryNode } | undefined

  /** Throws `INTEGRITY` for a layer that implies too many directories, or whose links lead through too many. */
  constructor(entries: Iterable<TocEntry>) {
    for (const entry of entries) this.#extract(entry)
  }

  /** What the layer says about a path without links or `..`. */
  look(path: readonly ByteText[]): LayerLook {
    let node: LayerNode = this.root
    let hidesBelow = this.root.isOpaque
    for (const name of path) {
      if (node.kind !== 'directory') return { node: undefined, hidesBelow: true }
      hidesBelow ||= node.removed.has(name)
      const child = node.children.get(name)
      if (!child) return { node: undefined, hidesBelow }
      node = child
      hidesBelow ||= node.kind !== 'directory' || node.isOpaque
    }
    return { node, hidesBelow }
  }

  #extract(entry: TocEntry): void {
    const slash = entry.name.lastIndexOf('/')
    const directory = entry.name.slice(0, slash + 1)
    const last = entry.name.slice(slash + 1) as ByteText
    if (this.#latest?.directory === directory && isPlain(last)) {
      this.#put(this.#latest.parent, last, entry)
      return
    }
    const path = cleanPath(entry.name)
    const name = path.pop()
    if (name === undefined) {
      if (entry.type === 'dir') this.root.entry = entry
      return
    }
    const parent = this.#walk(path, () => this.#imply())
    // What is inside of a file cannot be extracted either.
    if (parent?.kind !== 'directory') return
    if (isPlain(last)) this.#latest = { directory, parent }
    this.#put(parent, name, entry)
  }

  #put(parent: DirectoryNode, name: ByteText, entry: TocEntry): void {
    if (name === OPAQUE) parent.isOpaque = true
    else if (name.startsWith(RECORD)) return
    else if (name.startsWith(WHITEOUT)) parent.removed.add(name.slice(WHITEOUT.length) as ByteText)
    else this.#place(parent, name, entry)
  }

  #place(parent: DirectoryNode, name: ByteText, entry: TocEntry): void {
    const there = parent.children.get(name)
    if (there) this.#latest = undefined
    if (entry.type === 'dir') {
      if (there?.kind === 'directory') there.entry = entry
      else parent.children.set(name, newDirectory(entry))
    } else if (entry.type === 'hardlink') {
      const linked = this.#linked(entry)
      if (linked) parent.children.set(name, linked)
    } else {
      parent.children.set(name, { kind: 'file', entry })
    }
  }

  /** What a hard link is another name of: its target counts from the root of the archive. */
  #linked(entry: TocEntry): LayerNode | undefined {
    const target = cleanPath(entry.linkname)
    const parent = this.#walk(target.slice(0, -1), () => undefined)
    const name = target.at(-1)
    if (name === undefined) return undefined
    const node = parent?.children.get(name)
    if (node?.kind === 'directory') return undefined
    return node ?? { kind: 'link', entry, target }
  }

  /** The directory at a path, through symbolic links of this layer. */
  #walk(
    path: readonly ByteText[],
    missing: () => DirectoryNode | undefined,
  ): DirectoryNode | undefined {
    const stack = [this.root]
    const pending = path.toReversed()
    let links = 0
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === '..') {
        if (stack.length > 1) stack.pop()
        continue
      }
      const current = stack.at(-1) ?? this.root
      const child = current.children.get(name)
      if (child?.kind === 'directory') {
        stack.push(child)
      } else if (child?.kind === 'file' && child.entry.type === 'symlink' && links++ < MAX_LINKS) {
        const target = splitTarget(child.entry)
        if (!target) return undefined
        this.#follow(target.length)
        if (child.entry.linkname.startsWith('/')) stack.length = 1
        pending.push(...target.toReversed())
      } else {
        const made = child ? undefined : missing()
        if (!made) return undefined
        current.children.set(name, made)
        stack.push(made)
      }
    }
    return stack.at(-1)
  }

  #follow(names: number): void {
    this.#followed += names
    if (this.#followed <= MAX_FOLLOWED) return
    throw new S3loError(
      'INTEGRITY',
      `the layer's links lead through over ${MAX_FOLLOWED} directories`,
    )
  }

  #imply(): DirectoryNode {
    if (++this.#implied > MAX_IMPLIED) {
      throw new S3loError('INTEGRITY', `the layer implies over ${MAX_IMPLIED} directories`)
    }
    return newDirectory()
  }
}

function newDirectory(entry?: TocEntry): DirectoryNode {
  return { kind: 'directory', entry, children: new Map(), removed: new Set(), isOpaque: false }
}

/** True for the last part of a name that {@link splitPath} and {@link cleanPath} leave as it is. */
function isPlain(name: ByteText): boolean {
  return name !== '' && name !== '.' && name !== '..'
}

/** A name in an archive: `..` is undone where it stands, and never leaves the root. */
function cleanPath(name: ByteText): ByteText[] {
  const parts = splitPath(name)
  if (!name.includes('..')) return parts
  const clean: ByteText[] = []
  for (const part of parts) {
    if (part === '..') clean.pop()
    else clean.push(part)
  }
  return clean
}
