import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isRequired } from '@s3lo/core/testing'

const run = promisify(execFile)

/** Images unpacked by podman in a storage of its own, one whole directory for each layer. */
export class PodmanStorage {
  readonly #folder: string
  readonly #globals: readonly string[]

  private constructor(folder: string) {
    this.#folder = folder
    const at = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run')]
    this.#globals = [...at, '--storage-driver', 'vfs']
  }

  /**
   * A storage below `folder`. Without podman, or the rights to mount, it is `undefined` with the
   * reason printed, except where S3LO_REQUIRE names `engines`: there it throws.
   */
  static async open(folder: string): Promise<PodmanStorage | undefined> {
    const storage = new PodmanStorage(folder)
    try {
      await storage.#run('image', 'mount')
      return storage
    } catch (cause) {
      const reason = 'podman cannot unpack images here (integration/engines.sh start podman)'
      if (isRequired('engines')) throw new Error(reason, { cause })
      process.stderr.write(`skipped: ${reason}\n`)
      return undefined
    }
  }

  /** Brings an image here, `v1` of a layout whose name in `folder` has no capitals; gives its id. */
  async pull(layout: string): Promise<string> {
    return lastLine(await this.#run('pull', '--quiet', `oci:${layout}:v1`))
  }

  /** Where the files of an image lie, merged. They must not be changed. */
  async mount(image: string): Promise<string> {
    return lastLine(await this.#run('image', 'mount', image))
  }

  /** A new image with one more layer: what `script` does in the root of the other. */
  async change(image: string, script: string): Promise<string> {
    const container = lastLine(await this.#run('create', image, '/bin/true'))
    const root = lastLine(await this.#run('mount', container))
    await run('sh', ['-ec', script], { cwd: root })
    await this.#run('umount', container)
    return lastLine(await this.#run('commit', '--quiet', container))
  }

  /** Writes an image into an OCI archive. */
  async save(image: string, file: string): Promise<void> {
    await this.#run('save', '--quiet', '--format', 'oci-archive', '-o', file, image)
  }

  /** Removes all of it. */
  async close(): Promise<void> {
    await this.#run('image', 'umount', '--all')
    await this.#run('rm', '--all', '--force')
    await this.#run('rmi', '--all', '--force')
  }

  async #run(...args: readonly string[]): Promise<string> {
    const options = { cwd: this.#folder, timeout: 300_000 }
    const { stdout } = await run('podman', [...this.#globals, ...args], options)
    return stdout
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
