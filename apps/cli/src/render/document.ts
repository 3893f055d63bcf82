import { escapeJson, S3loError } from '@s3lo/core/plugin'

/** How results are printed. */
export type Format = 'text' | 'json' | 'yaml'

/** The values of `--output`; `table` is the Go program's name for text. */
const FORMAT_CHOICES = ['text', 'json', 'yaml', 'table'] as const

/** Whether `--output` takes this value. */
export function isFormat(text: string): boolean {
  return FORMAT_CHOICES.some((choice) => choice === text)
}

/** Reads the value of `--output`. Throws `USAGE` for a value that is none. */
export function parseFormat(choice: string | undefined): Format {
  switch (choice) {
    case undefined:
    case '':
    case 'text':
    case 'table':
      return 'text'
    case 'json':
    case 'yaml':
      return choice
    default:
      throw formatError(choice)
  }
}

/** The error for a value of `--output` that is none. */
export function formatError(choice: string): S3loError {
  return new S3loError('USAGE', `${JSON.stringify(choice)} is not an output format`, {
    hint: `valid values of --output are ${FORMAT_CHOICES.join(', ')}`,
  })
}

/**
 * One document of JSON or YAML with a newline at its end. Names of images decide what is in it, and a
 * terminal must not obey that: what is not printable is spelled as the format spells it.
 */
export async function formatDocument(value: unknown, format: 'json' | 'yaml'): Promise<string> {
  const json = JSON.stringify(value, undefined, 2)
  const isPrintable = json === undefined || escapeJson(json) === json
  if (format === 'json') return `${isPrintable ? json : escapeJson(json)}\n`
  const { stringify } = await import('yaml')
  if (isPrintable) return stringify(value, { lineWidth: 0 })
  const quoted = { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'QUOTE_DOUBLE' } as const
  return escapeJson(stringify(value, { lineWidth: 0, ...quoted }))
}
