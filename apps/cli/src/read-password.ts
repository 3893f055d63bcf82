import type { Readable, Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'

/** A terminal to read from, as `process.stdin` is when `isTTY` is true. */
export interface Terminal extends Readable {
  setRawMode(isRaw: boolean): unknown
}

/** Where a question is asked. */
export interface PromptOptions extends CallOptions {
  readonly input: Terminal
  readonly output: Writable
  /** False for a secret, which is not echoed. */
  readonly echo: boolean
}

const MAX_LENGTH = 64 * 1024

/**
 * Reads a password from a stream to its end, without the line break that `echo` adds. Throws
 * `USAGE` when there is none, or more than one line.
 */
export async function readPassword(input: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of input as AsyncIterable<Buffer | string>) {
    chunks.push(Buffer.from(chunk))
    size += chunks.at(-1)?.byteLength ?? 0
    if (size > MAX_LENGTH) break
  }
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
  if (text !== '' && size <= MAX_LENGTH && !/[\r\n]/.test(text)) return text
  throw new S3loError('USAGE', 'standard input has no password of one line', {
    hint: 'for example: s3lo login HOST -u USER --password-stdin < FILE',
  })
}

/**
 * Asks for a line on a terminal. Throws `ABORTED` for Ctrl-C and Ctrl-D. The terminal is as before
 * when it returns.
 */
export async function promptLine(
  question: string,
  { input, output, echo, signal }: PromptOptions,
): Promise<string> {
  signal?.throwIfAborted()
  output.write(question)
  input.setRawMode(true)
  try {
    return await readLine(input, new LineEditor(echo ? output : undefined), signal)
  } finally {
    input.pause()
    input.setRawMode(false)
    output.write('\n')
  }
}

function readLine(
  input: Terminal,
  line: LineEditor,
  signal: AbortSignal | undefined,
): Promise<string> {
  const decoder = new StringDecoder('utf8')
  return new Promise<string>((resolve, reject) => {
    const settle = (outcome: () => void): void => {
      input.off('data', read).off('end', leave).off('error', reject)
      signal?.removeEventListener('abort', abort)
      outcome()
    }
    const read = (chunk: Buffer | string): void => {
      try {
        if (line.type(decoder.write(Buffer.from(chunk)))) settle(() => resolve(line.text))
      } catch (error) {
        settle(() => reject(error))
      }
    }
    const leave = (): void => settle(() => reject(cancelled()))
    const abort = (): void => settle(() => reject(signal?.reason))
    signal?.addEventListener('abort', abort, { once: true })
    input.on('data', read).once('end', leave).once('error', reject).resume()
  })
}

function cancelled(): S3loError {
  return new S3loError('ABORTED', 'the login was cancelled')
}

/** A line as it is typed. */
class LineEditor {
  readonly #echo: Writable | undefined
  readonly #characters: string[] = []

  constructor(echo: Writable | undefined) {
    this.#echo = echo
  }

  get text(): string {
    return this.#characters.join('')
  }

  /** Takes what was typed; true when the line is complete. What follows it is left out. */
  type(text: string): boolean {
    for (const character of text) {
      if (character === '\r' || character === '\n') return true
      if (character === '\u0003' || character === '\u0004') {
        throw cancelled()
      }
      this.#take(character)
    }
    return false
  }

  #take(character: string): void {
    if (character === '\u007f' || character === '\b') this.#erase(1)
    else if (character === '\u0015') this.#erase(this.#characters.length)
    else if (!/\p{Cc}/u.test(character) && this.#characters.length < MAX_LENGTH) {
      this.#characters.push(character)
      this.#echo?.write(character)
    }
  }

  #erase(count: number): void {
    const erased = this.#characters.splice(Math.max(0, this.#characters.length - count), count)
    this.#echo?.write('\b \b'.repeat(erased.length))
  }
}
