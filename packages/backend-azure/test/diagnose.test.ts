import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, FakeBlobService, refuse } from './fake-blob-service.ts'

let service: FakeBlobService
beforeAll(async () => {
  service = await FakeBlobService.start()
})
afterAll(() => service.close())

function container(headers: Record<string, string> = {}): Answer {
  const known = { etag: '"0x1"', 'last-modified': 'Sat, 21 Nov 2026 06:00:00 GMT' }
  return (response) => void response.writeHead(200, { ...known, ...headers }).end()
}

function account(policy: string): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/xml' })
    response.end(
      `<?xml version="1.0"?><StorageServiceProperties><DeleteRetentionPolicy>${policy}</DeleteRetentionPolicy></StorageServiceProperties>`,
    )
  }
}

const NO_SOFT_DELETE = account('<Enabled>false</Enabled>')

async function findings(own: Answer, settings: Answer = NO_SOFT_DELETE) {
  service.script(own, settings)
  return Array.fromAsync(service.backend().diagnose())
}

describe('diagnose', () => {
  it('says what is fine and what it does not know', async () => {
    expect(await findings(container())).toMatchObject([
      { severity: 'ok', message: expect.stringContaining('soft delete is off') },
      { severity: 'notice', message: expect.stringContaining('are not checked') },
    ])
    expect(service.seen).toEqual([
      'GET /account/bucket?restype=container',
      'GET /account/?restype=service&comp=properties',
    ])
  })

  it('finds what keeps tags from being moved or deleted', async () => {
    const [policy] = await findings(container({ 'x-ms-has-immutability-policy': 'true' }))
    expect(policy).toMatchObject({
      severity: 'problem',
      message: expect.stringContaining('an immutability policy keeps every blob'),
    })
    const [hold] = await findings(container({ 'x-ms-has-legal-hold': 'true' }))
    expect(hold?.message).toContain('a legal hold keeps every blob')
  })

  it('finds public access and soft delete', async () => {
    const found = await findings(
      container({ 'x-ms-blob-public-access': 'container' }),
      account('<Enabled>true</Enabled><Days>7</Days>'),
    )
    expect(found.map(({ message }) => message).slice(0, 2)).toEqual([
      'the container can be read by anybody',
      'soft delete is on: what is deleted or replaced is kept for 7 days, and billed',
    ])
  })

  it('says what may not be looked at and continues', async () => {
    const denied = refuse(403, 'AuthorizationPermissionMismatch')
    const found = await findings(denied, denied)
    expect(found.map(({ severity }) => severity)).toEqual(['notice', 'notice', 'notice'])
    expect(found[1]?.message).toBe('soft delete of the account cannot be read')
  })

  it('throws for a container that is not there', async () => {
    await expect(findings(refuse(404, 'ContainerNotFound'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})
