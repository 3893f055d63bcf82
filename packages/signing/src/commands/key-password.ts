import type { Readable, Writable } from 'node:stream'
import { S3loError } from '@s3lo/core/plugin'

interface Terminal {
  readonly stdin: Readable
  readonly stderr: Writable
}

const ENTER = new Set(['\r', '\n'])
/** Ctrl-C and Ctrl-D: neither must pass for an empty password. */
const CANCEL = new Set(['\u0003', '\u0004'])
/** As much as a key file is read to; more cannot be typed. */
const MAX_LENGTH = 64 * 1024
const BACKSPACE = new Set(['\u007f', '\b'])

/**
 * Asks for a password on a terminal, without showing it; empty where there is no terminal to ask
 * on, as cosign has it. Throws `ABORTED` on Ctrl-C, Ctrl-D and the end of the terminal.
 */
export async function askPassword(question: string, { stdin, stderr }: Terminal): Promise<string> {
  if (!isTerminal(stdin)) return ''
  stderr.write(`${question}: `)
  stdin.setRawMode(true)
  try {
    return await readSecret(stdin)
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    stderr.write('\n')
  }
}

/** The terminal that a password could be asked on. */
export function isTerminal(stdin: Readable): stdin is NodeJS.ReadStream {
  return 'isTTY' in stdin && stdin.isTTY === true && 'setRawMode' in stdin
}

async function readSecret(stdin: Readable): Promise<string> {
  let typed = ''
  stdin.setEncoding('utf8')
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      stdin.off('data', onData).off('end', cancel).off('error', onError)
      settle()
    }
    const cancel = (): void => onError(new S3loError('ABORTED', 'no password was given'))
    const onError = (error: unknown): void => end(() => reject(toError(error)))
    const onData = (text: string): void => {
      for (const character of text) {
        if (ENTER.has(character)) return end(() => resolve(typed))
        if (CANCEL.has(character)) return cancel()
        if (BACKSPACE.has(character)) typed = typed.slice(0, -1)
        else if (typed.length < MAX_LENGTH) typed += character
      }
    }
    stdin.on('data', onData).on('end', cancel).on('error', onError)
    stdin.resume()
  })
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
