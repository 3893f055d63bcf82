import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** A process of a script of this folder, spoken to line by line. Its first line says that it is ready. */
export class LineWorker {
  readonly process: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: AsyncIterator<string>

  constructor(script: string, args: readonly string[]) {
    const path = join(import.meta.dirname, script)
    const command = ['--conditions=s3lo-source', path, ...args]
    this.process = spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'inherit'] })
    // Killed while it is spoken to: its answer says so.
    this.process.stdin.on('error', () => {})
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]()
  }

  send(line: string): void {
    this.process.stdin.write(`${line}\n`)
  }

  /** `undefined` where the process has ended. */
  async line(): Promise<string | undefined> {
    const next = await this.#lines.next()
    return next.done ? undefined : next.value
  }

  async end(): Promise<void> {
    this.process.kill('SIGKILL')
    if (this.process.exitCode === null && this.process.signalCode === null) {
      await once(this.process, 'exit')
    }
  }
}
