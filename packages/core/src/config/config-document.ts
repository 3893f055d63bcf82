import { isS3loError, S3loError } from '../errors.ts'
import { type BucketConfig, MAX_BUCKET_CONFIG_BYTES, parseBucketConfig } from './bucket-config.ts'
import type { ConfigEdit, ConfigPath } from './config-path.ts'
import { YamlEditor } from './yaml-editor.ts'
import { at, type Shape } from './yaml-shape.ts'

const BOM = '\uFEFF'

/**
 * A valid `s3lo.yaml` with its exact bytes. Editing makes another one, in which everything that was
 * not edited is kept byte for byte.
 */
export class ConfigDocument {
  /** What it says. */
  readonly config: BucketConfig
  readonly content: Uint8Array
  readonly #editor: YamlEditor
  readonly #text: string
  readonly #shape: Shape

  private constructor(config: BucketConfig, content: Uint8Array, text: string, editor: YamlEditor) {
    this.config = config
    this.content = content
    this.#text = text
    this.#editor = editor
    this.#shape = editor.shape(withoutBom(text))
  }

  /** Validates and parses. Throws `INTEGRITY` naming the line and the key that is wrong. */
  static async parse(content: Uint8Array, name?: string): Promise<ConfigDocument> {
    const config = await parseBucketConfig(content, name)
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
    return new ConfigDocument(config, content, text, await YamlEditor.open())
  }

  /** True when both say the same at a path, however it is written. */
  agrees(other: ConfigDocument, path: ConfigPath): boolean {
    return JSON.stringify(at(this.#shape, path)) === JSON.stringify(at(other.#shape, path))
  }

  /** True when something is written at a path. */
  has(path: ConfigPath): boolean {
    return at(this.#shape, path) !== undefined
  }

  /** The keys of the mapping at a path, in order; none where there is no mapping, or an alias. */
  keysAt(path: readonly string[]): readonly string[] {
    const shape = at(this.#shape, path)
    if (typeof shape !== 'object' || shape === null || !('map' in shape)) return []
    return shape.map.map(([key]) => key)
  }

  /**
   * The document with the edits made, in order; a block that a removal leaves empty goes too.
   * Throws `INTEGRITY` for a result that would not be valid, `UNSUPPORTED` for a value that is
   * written so (behind an alias, say) that changing it would change others.
   */
  async edit(edits: readonly ConfigEdit[]): Promise<ConfigDocument> {
    let text = withoutBom(this.#text)
    for (const { path, value } of edits) {
      text = value === undefined ? this.#remove(text, path) : this.#editor.set(text, path, value)
    }
    const whole = this.#text.startsWith(BOM) ? BOM + text : text
    if (whole === this.#text) return this
    const content = new TextEncoder().encode(whole)
    assertSize(content)
    return ConfigDocument.parse(content).catch((error: unknown) => {
      throw isS3loError(error, 'INTEGRITY') ? invalidResult(error) : error
    })
  }

  #remove(text: string, path: ConfigPath): string {
    let edited = this.#editor.remove(text, path)
    if (edited === text) return text
    for (let depth = path.length - 1; depth > 0; depth--) {
      const [first, ...rest] = path.slice(0, depth)
      if (first === undefined) break
      const parent: ConfigPath = [first, ...rest]
      if (at(this.#editor.shape(edited), parent) !== null) break
      edited = this.#editor.remove(edited, parent)
    }
    return edited
  }
}

function withoutBom(text: string): string {
  return text.startsWith(BOM) ? text.slice(BOM.length) : text
}

/** Before it is parsed again, so that it is the edit that is refused and not the store's file. */
function assertSize({ byteLength }: Uint8Array): void {
  if (byteLength <= MAX_BUCKET_CONFIG_BYTES) return
  throw new S3loError(
    'USAGE',
    `s3lo.yaml would have ${byteLength} bytes, more than ${MAX_BUCKET_CONFIG_BYTES}`,
    { hint: 'set fewer patterns: one glob can stand for many images' },
  )
}

function invalidResult(error: S3loError): S3loError {
  return new S3loError('INTEGRITY', `the change would not be valid: ${error.message}`, {
    cause: error,
  })
}
