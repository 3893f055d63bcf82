import type { CommandContext } from '@s3lo/core'
import { escapeLines, S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'

/** What is shown of the image's way to Trivy. */
export const ACTIVITY = { activity: 'Scanning' } as const

/** What the commands that run Trivy have in common. */
export abstract class TrivyCommand extends Command<CommandContext> {
  ref = Option.String({ name: 'ref' })
  platform = Option.String('--platform', {
    description: "look into `OS/ARCH` of several platforms; default this machine's",
  })
  attach = Option.Boolean('--attach', false, {
    description: 'attach the document to the image, as a referrer',
  })
  installTrivy = Option.Boolean('--install-trivy', false, {
    description: 'install Trivy when it is not there',
  })
  trivyPath = Option.String('--trivy-path', { description: 'run the Trivy in `FILE`' })

  /** For the scanner. */
  protected settings(): Readonly<Record<string, unknown>> {
    const { installTrivy, trivyPath } = this
    return { installTrivy, trivyPath, ...(this.#hasTerminal() ? { ask: this.#ask } : {}) }
  }

  /**
   * A document as it is printed. What is in an image decides what is in it, and a terminal must not
   * obey that; what programs read stays as it is.
   */
  protected shown(document: string, format: string): string {
    const isForPeople = format === 'table' || (format === 'spdx' && isTerminal(this.context.stdout))
    return isForPeople ? escapeLines(document) : document
  }

  #hasTerminal(): boolean {
    const { stdin, stderr } = this.context
    return isTerminal(stdin) && isTerminal(stderr)
  }

  readonly #ask = async (question: string): Promise<string> => {
    const { createInterface } = await import('node:readline/promises')
    const { stdin, stderr } = this.context
    const dialogue = createInterface({ input: stdin, output: stderr })
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
}

function isTerminal(stream: object): boolean {
  return 'isTTY' in stream && stream.isTTY === true
}

function unanswered(cause?: unknown): S3loError {
  return new S3loError('ABORTED', 'the question was not answered', { cause })
}
