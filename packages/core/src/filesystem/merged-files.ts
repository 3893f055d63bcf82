import { S3loError } from '../errors.ts'
import { type ByteText, decodeText, encodeText } from '../tar/byte-text.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import { type LayerNode, type LayerTree, MAX_LINKS, splitPath, splitTarget } from './layer-tree.ts'

/** A file, directory or link of the merged image. */
export interface FoundFile {
  /** Without links or `..`; empty for the root. */
  readonly path: readonly ByteText[]
  readonly isDirectory: boolean
  /** Absent for a directory that no layer names. */
  readonly entry: TocEntry | undefined
  /** Of the layer that it is seen from; the bottom layer is 0. */
  readonly layer: number
}

/** Gives one layer's tree; called once for each layer that is looked into, until it is forgotten. */
export type OpenTree = (layer: number) => Promise<LayerTree>

/**
 * The files of an image as a running container sees them: layers over each other as in overlayfs,
 * so that a directory in an upper layer that lower ones have as a link hides the link.
 */
export class MergedFiles {
  readonly #count: number
  readonly #open: OpenTree
  readonly #trees = new Map<number, Promise<LayerTree>>()

  constructor(count: number, open: OpenTree) {
    this.#count = count
    this.#open = open
  }

  /**
   * What a path leads to, through the symbolic links of its components, the last one included.
   * Throws `NOT_FOUND` where it leads nowhere.
   */
  async resolve(path: string): Promise<FoundFile> {
    const pending = splitPath(encodeText(path)).toReversed()
    const mustBeDirectory = /\/\.{0,2}$/.test(path)
    let current: FoundFile = rootOf(this.#count)
    let links = 0
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (!current.isDirectory) throw notADirectory(path, current)
      if (name === '..') {
        current = await this.#directory(current.path.slice(0, -1))
        continue
      }
      const next = await this.find([...current.path, name])
      if (!next) throw notFound(path, [...current.path, name])
      if (next.entry?.type !== 'symlink') {
        current = next
        continue
      }
      if (++links > MAX_LINKS) {
        throw new S3loError('NOT_FOUND', `${path} goes through more than ${MAX_LINKS} links`)
      }
      const target = splitTarget(next.entry)
      if (!target) throw new S3loError('NOT_FOUND', `${path} goes through a link that is too long`)
      if (next.entry.linkname.startsWith('/')) current = rootOf(this.#count)
      pending.push(...target.toReversed())
    }
    if (mustBeDirectory && !current.isDirectory) throw notADirectory(path, current)
    return current
  }

  /** What is at a path without links or `..`; a link is not followed. */
  async find(path: readonly ByteText[], from = this.#count - 1): Promise<FoundFile | undefined> {
    if (path.length === 0) return rootOf(this.#count)
    for (let layer = from; layer >= 0; layer--) {
      const { node, hidesBelow } = (await this.#tree(layer)).look(path)
      if (node) return this.#found(path, node, layer)
      if (hidesBelow) return undefined
    }
    return undefined
  }

  /** Lets a layer be opened again. */
  forget(layer: number): void {
    this.#trees.delete(layer)
  }

  /** What is in a directory, in the byte order of the names. */
  async list({ path }: FoundFile): Promise<readonly FoundFile[]> {
    const seen = new Map<ByteText, FoundFile | undefined>()
    for (let layer = this.#count - 1; layer >= 0; layer--) {
      const { node, hidesBelow } = (await this.#tree(layer)).look(path)
      if (node && node.kind !== 'directory') break
      if (node) {
        for (const [name, child] of node.children) {
          const above = seen.get(name)
          if (!seen.has(name)) seen.set(name, await this.#found([...path, name], child, layer))
          else if (above?.isDirectory && !above.entry && child.kind === 'directory') {
            seen.set(name, { ...above, entry: child.entry })
          }
        }
        for (const name of node.removed) if (!seen.has(name)) seen.set(name, undefined)
      }
      if (hidesBelow) break
    }
    return [...seen].toSorted(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, found]) => found ?? [])
  }

  async #found(
    path: readonly ByteText[],
    node: LayerNode,
    layer: number,
  ): Promise<FoundFile | undefined> {
    if (node.kind === 'directory') return { path, layer, isDirectory: true, entry: node.entry }
    if (node.kind === 'file') return { path, layer, isDirectory: false, entry: node.entry }
    const target = await this.find(node.target, layer - 1)
    return target?.isDirectory === false ? { ...target, path } : undefined
  }

  async #directory(path: readonly ByteText[]): Promise<FoundFile> {
    return (await this.find(path)) ?? rootOf(this.#count)
  }

  #tree(layer: number): Promise<LayerTree> {
    const known = this.#trees.get(layer)
    if (known) return known
    const tree = this.#open(layer)
    this.#trees.set(layer, tree)
    return tree
  }
}

/** A path as people write it. */
export function formatPath(path: readonly ByteText[]): string {
  return `/${path.map(decodeText).join('/')}`
}

function rootOf(count: number): FoundFile {
  return { path: [], isDirectory: true, entry: undefined, layer: Math.max(0, count - 1) }
}

function notFound(path: string, missing: readonly ByteText[]): S3loError {
  const at = formatPath(missing)
  const where = at === path ? '' : `: there is no ${at}`
  return new S3loError('NOT_FOUND', `${path} is not in the image${where}`, {
    hint: `s3lo files <ref> ${formatPath(missing.slice(0, -1))} shows what is there`,
  })
}

function notADirectory(path: string, { path: file }: FoundFile): S3loError {
  return new S3loError('NOT_FOUND', `${path}: ${formatPath(file)} is not a directory`)
}
