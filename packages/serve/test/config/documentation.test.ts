import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { parseServeConfig } from '../../src/config/serve-config.ts'

const PAGE = new URL('../../../../docs/serve.md', import.meta.url)

async function examples(): Promise<readonly string[]> {
  const page = await readFile(PAGE, 'utf8')
  return [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
}

describe('the examples of docs/serve.md', () => {
  it('are each a valid serve.yaml', async () => {
    const texts = await examples()
    expect(texts.length).toBeGreaterThanOrEqual(3)
    for (const text of texts) {
      await expect(
        parseServeConfig(new TextEncoder().encode(text), 'serve.yaml'),
      ).resolves.toBeDefined()
    }
  })

  it('name every key between them', async () => {
    const all = (await examples()).join('\n')
    for (const key of [
      'listen',
      'external_url',
      'allow_hosts',
      'trusted_proxies',
      'tls',
      'users',
      'tokens',
      'signing_key',
      'access',
      'limits',
      'access_log',
      'read_only',
    ]) {
      expect(all).toMatch(new RegExp(`^${key}:`, 'm'))
    }
  })
})
