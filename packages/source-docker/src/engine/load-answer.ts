import { asObject, type JsonObject, S3loError } from '@s3lo/core'

/** The longest line of a load's answer (bytes); the whole may be longer, nothing of it is kept. */
const MAX_LINE = 1024 * 1024

/**
 * Reads what an engine says about a load, one JSON object a line. Engines answer 200 before they
 * know: an `error` in a line, or a line that is no JSON, means that the load failed.
 */
export async function readLoadAnswer(bytes: AsyncIterable<Buffer>, what: string): Promise<void> {
  for await (const line of lines(bytes, what)) {
    const failure = errorIn(line, what)
    if (failure !== undefined) throw toLoadError(failure, what)
  }
}

async function* lines(bytes: AsyncIterable<Buffer>, what: string): AsyncGenerator<string> {
  let rest = Buffer.alloc(0)
  for await (const chunk of bytes) {
    rest = Buffer.concat([rest, chunk])
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      yield rest.toString('utf8', 0, end)
      rest = rest.subarray(end + 1)
    }
    if (rest.length > MAX_LINE) {
      throw new S3loError('UNAVAILABLE', `the docker engine's answer about ${what} has no end`)
    }
  }
  yield rest.toString('utf8')
}

function errorIn(line: string, what: string): string | undefined {
  if (line.trim() === '') return undefined
  const answer = parse(line, what)
  const { error, errorDetail } = answer
  if (!error && !errorDetail) return undefined
  if (typeof error === 'string') return error
  const detail = typeof errorDetail === 'object' && errorDetail !== null ? errorDetail : {}
  return 'message' in detail && typeof detail.message === 'string' ? detail.message : line
}

function parse(line: string, what: string): JsonObject {
  let answer: unknown
  try {
    answer = JSON.parse(line)
  } catch (cause) {
    const shown = JSON.stringify(line.slice(0, 200))
    throw new S3loError(
      'UNAVAILABLE',
      `the docker engine's answer about ${what} is no JSON: ${shown}`,
      { cause },
    )
  }
  return asObject(answer, `the docker engine's answer about ${what}`)
}

function toLoadError(message: string, what: string): S3loError {
  const reason = message.slice(0, 1000)
  if (/no space left/i.test(reason)) {
    return new S3loError('IO', `the docker engine's disk is full: ${reason}`, {
      hint: 'docker system df shows what takes the space',
    })
  }
  return new S3loError('UNAVAILABLE', `the docker engine refused ${what}: ${reason}`)
}
