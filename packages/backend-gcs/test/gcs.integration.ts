import { requiredVariables } from '@s3lo/core/testing'
import { randomUUID } from 'node:crypto'
import { describeBackend } from '@s3lo/backend-conformance'
import { it } from 'vitest'
import { type GcsBackend, openBackend } from '../src/index.ts'

// The kit runs hermetically in conformance.test.ts. Here it runs against a service in a process of
// its own, opened as a user opens it; conditions are proven first.
const endpoint = requiredEndpoint()
if (endpoint === undefined) it.skip('a storage service is not there', () => {})
else testAgainst(endpoint, process.env['S3LO_TEST_GCS_KEY_FILE'])

function testAgainst(endpoint: string, keyFile: string | undefined): void {
  const env = { ...(keyFile && { GOOGLE_APPLICATION_CREDENTIALS: keyFile }) }
  const open = (bucket: string): Promise<GcsBackend> =>
    openBackend({ scheme: 'gs', bucket }, { env, endpoint })
  describeBackend(`backend-gcs at ${endpoint}`, {
    open: async () => {
      const name = `s3lo-${randomUUID()}`
      const response = await fetch(`${endpoint}/storage/v1/b?project=s3lo-test`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name }),
      })
      if (!response.ok) throw new Error(`no bucket: HTTP ${response.status}`)
      return open(name)
    },
    openAgain: ({ bucket }) => open(bucket),
  })
}

/** The service that S3LO_TEST_GCS_ENDPOINT names, as `requiredVariables` has it. */
function requiredEndpoint(): string | undefined {
  const hint = 'eval "$(integration/start-gcs.sh)"'
  return requiredVariables('gcs', ['S3LO_TEST_GCS_ENDPOINT'], hint)?.S3LO_TEST_GCS_ENDPOINT
}
