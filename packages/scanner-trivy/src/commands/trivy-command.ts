import type { Readable, Writable } from 'node:stream'
import {
  type ArgsOf,
  argument,
  type CommandWork,
  escapeLines,
  flag,
  option,
  S3loError,
} from '@s3lo/core/plugin'

/** What the commands that run Trivy take. */
export const TRIVY_PARAMETERS = {
  ref: argument('ref'),
  platform: option(
    '--platform',
    "look into `OS/ARCH` of several platforms; default this machine's",
  ),
  attach: flag('--attach', 'attach the document to the image, as a referrer'),
  installTrivy: flag('--install-trivy', 'install Trivy when it is not there'),
  trivyPath: option('--trivy-path', 'run the Trivy in `FILE`'),
}

type Work = CommandWork<ArgsOf<typeof TRIVY_PARAMETERS>>

/** For the scanner. */
export function settingsOf({ args, stdin, stderr }: Work): Readonly<Record<string, unknown>> {
  const { installTrivy, trivyPath } = args
  const hasTerminal = isTerminal(stdin) && isTerminal(stderr)
  const ask = (question: string): Promise<string> => askOn(stdin, stderr, question)
  return { installTrivy, trivyPath, ...(hasTerminal ? { ask } : {}) }
}

/**
 * A document as it is printed. What is in an image decides what is in it, and a terminal must not
 * obey that; what programs read stays as it is.
 */
export function shown(document: string, format: string, stdout: Writable): string {
  const isForPeople = format === 'table' || (format === 'spdx' && isTerminal(stdout))
  return isForPeople ? escapeLines(document) : document
}

async function askOn(input: Readable, output: Writable, question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises')
  const dialogue = createInterface({ input, output })
  try {
    return await new Promise<string>((resolve, reject) => {
      // Ctrl-C and Ctrl-D close the dialogue; not every Node fails the question then.
      dialogue.once('close', () => reject(unanswered()))
      dialogue.question(question).then(resolve, (cause: unknown) => reject(unanswered(cause)))
    })
  } finally {
    dialogue.close()
  }
}

function isTerminal(stream: object): boolean {
  return 'isTTY' in stream && stream.isTTY === true
}

function unanswered(cause?: unknown): S3loError {
  return new S3loError('ABORTED', 'the question was not answered', { cause })
}
