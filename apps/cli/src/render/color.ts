import { S3loError } from '@s3lo/core/plugin'

const CODES = { red: 31 } as const

/** The text in a colour, or as it is. */
export function paint(text: string, color: keyof typeof CODES, enabled: boolean): string {
  return enabled ? `\u001b[${CODES[color]}m${text}\u001b[0m` : text
}

/** When to colour: `auto` is for terminals. */
export type ColorChoice = 'auto' | 'always' | 'never'

/** Reads the value of `--color`. Throws `USAGE` for a value that is none. */
export function parseColor(choice: string | undefined): ColorChoice {
  switch (choice) {
    case undefined:
      return 'auto'
    case 'auto':
    case 'always':
    case 'never':
      return choice
    default:
      throw new S3loError('USAGE', `${JSON.stringify(choice)} does not say when to colour`, {
        hint: 'valid values of --color are auto, always, never',
      })
  }
}

/** Whether to colour what goes to a stream: the flag wins, then NO_COLOR, then FORCE_COLOR. */
export function useColor(
  choice: ColorChoice,
  env: Readonly<Record<string, string | undefined>>,
  stream: object,
): boolean {
  if (choice === 'always') return true
  if (choice === 'never') return false
  const { NO_COLOR, FORCE_COLOR } = env
  if (NO_COLOR) return false
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') {
    return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false'
  }
  return isTerminal(stream, env)
}

/** True for a terminal that can move its cursor and show colours. */
export function isTerminal(
  stream: object,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return 'isTTY' in stream && stream.isTTY === true && env['TERM'] !== 'dumb'
}
