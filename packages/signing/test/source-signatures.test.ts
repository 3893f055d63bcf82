import { FixtureSource, imageFixture, type ImageFixture, referrerFixture } from '@s3lo/core/testing'
import { type ImageSource, type PolicyVerdict, S3loError } from '@s3lo/core/plugin'
import { describe, expect, it } from 'vitest'
import { BUNDLE_TYPE } from '../src/cosign/bundle.ts'
import { checkSource } from '../src/signed-check.ts'
import { newSigner } from './world.ts'

const image = imageFixture({ layers: ['base'] })
const bundle = referrerFixture(image.root.descriptor, BUNDLE_TYPE, 'a bundle')
const reference = { name: 'app', tag: 'v1' }
const signer = newSigner()
const rule = { name: 'ours', check: 'signed', keyRef: 'env://PUB' }

/** A registry that says `error` to the question that `refused` names. */
function registry(refused: 'referrers' | 'tags' | 'bundle', error: unknown): ImageSource {
  const images: Record<string, ImageFixture> = { 'app:v1': image, 'app:b': bundle }
  const source = new FixtureSource(images)
  return {
    kind: 'random-access',
    name: 'a registry',
    resolve: async (asked) => {
      if (asked.digest !== undefined) return image.root.descriptor
      if (refused === 'tags') throw error
      throw new S3loError('NOT_FOUND', 'no such tag')
    },
    fetch: async (descriptor, options) => {
      const isPart = bundle.content.has(descriptor.digest)
      if (refused === 'bundle' && isPart) throw error
      return source.fetch(descriptor, options)
    },
    tags: async function* () {},
    referrers: async function* () {
      if (refused === 'referrers') throw error
      yield { ...bundle.root.descriptor, artifactType: BUNDLE_TYPE }
    },
  }
}

function check(source: ImageSource): Promise<PolicyVerdict> {
  const subject = { name: 'app:v1', reference, root: image.root, source }
  const options = { env: { PUB: signer.publicKey.toPem() }, now: new Date(), settings: {} }
  return checkSource(rule, subject, options)
}

describe('signatures in a registry', () => {
  it.each(['UNAUTHORIZED', 'FORBIDDEN', 'UNSUPPORTED', 'INVALID_REFERENCE'] as const)(
    'that are refused with %s are none, and the verdict says what was refused',
    async (code) => {
      for (const refused of ['referrers', 'tags', 'bundle'] as const) {
        const verdict = await check(registry(refused, new S3loError(code, 'not for you')))
        expect(verdict.passed).toBe(false)
        expect(verdict.message).toContain('not for you')
      }
    },
  )

  it('that cannot be asked for are an error, and no verdict', async () => {
    for (const refused of ['referrers', 'tags', 'bundle'] as const) {
      const error = new S3loError('UNAVAILABLE', 'the registry answered 503')
      await expect(check(registry(refused, error))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    }
  })
})
