import { S3loError } from '@s3lo/core/plugin'

/** Checks the value of an option that names a service. Throws `USAGE`. */
export function parseEndpoint(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const url = URL.parse(text)
  if (url && /^https?:$/.test(url.protocol) && url.hostname !== '') return text
  throw new S3loError('USAGE', `${option} ${JSON.stringify(text)} is no http or https URL`, {
    hint: `for example ${option} http://localhost:9000`,
  })
}
