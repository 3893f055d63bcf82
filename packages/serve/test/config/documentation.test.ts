import { readFile } from 'node:fs/promises'
import { ImageStore } from '@s3lo/core'
import { MemoryBackend } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import serve from '../../src/commands/serve.ts'
import { parseServeConfig } from '../../src/config/serve-config.ts'

const PAGE = new URL('../../../../docs/serve.md', import.meta.url)

const parse = (text: string) => parseServeConfig(new TextEncoder().encode(text), 'serve.yaml')

async function allExamples(): Promise<readonly string[]> {
  const page = await readFile(PAGE, 'utf8')
  const blocks = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
  // Those of Kubernetes are tested where they are run.
  return blocks.filter((text) => !text.startsWith('apiVersion:'))
}

/** Policies are in the `s3lo.yaml` of a bucket. */
const isOfBucket = (text: string): boolean => text.startsWith('policies:')

async function examples(): Promise<readonly string[]> {
  return (await allExamples()).filter((text) => !isOfBucket(text))
}

describe('the examples of docs/serve.md', () => {
  it('are each a valid serve.yaml', async () => {
    const texts = await examples()
    expect(texts.length).toBeGreaterThanOrEqual(3)
    for (const text of texts) await expect(parse(text)).resolves.toBeDefined()
  })

  it('of policies are what a bucket is read with', async () => {
    const text = (await allExamples()).find(isOfBucket) ?? ''
    const backend = new MemoryBackend()
    await backend.put('s3lo.yaml', Buffer.from(text))
    const { policies = [] } = await new ImageStore(backend).config()
    expect(policies.map(({ enforce }) => enforce)).toEqual(['push', 'warn'])
  })

  it('name every key between them', async () => {
    const all = (await examples()).join('\n')
    const refusal = await parse('unheard_of: 1').then(
      () => '',
      (error: Error) => error.message,
    )
    const [, keys = ''] = /known are (.*)$/.exec(refusal) ?? []
    expect(keys.split(', ').length).toBeGreaterThanOrEqual(12)
    for (const key of keys.split(', ')) expect(all).toMatch(new RegExp(`^${key}:`, 'm'))
  })
})

it('docs/serve.md tells of every option', async () => {
  const page = await readFile(PAGE, 'utf8')
  const names = Object.values(serve.parameters).flatMap((each) =>
    'names' in each ? each.names : [],
  )
  expect(names.length).toBeGreaterThan(15)
  expect(names.filter((name) => !new RegExp(`${name}(?![a-z0-9-])`).test(page))).toEqual([])
})
