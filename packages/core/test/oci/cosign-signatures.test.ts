import { describe, expect, it } from 'vitest'
import {
  foldSignatures,
  SIGNATURES_TYPE,
  signatureManifest,
  signatureTagOf,
  SIMPLE_SIGNING_TYPE,
  unfoldSignatures,
} from '../../src/oci/cosign-signatures.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseManifest, toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'

const hex = 'a'.repeat(64)
const subject = { mediaType: MEDIA_TYPE.ociManifest, digest: `sha256:${hex}`, size: 7 }
const layer = (text: string) => ({
  mediaType: SIMPLE_SIGNING_TYPE,
  digest: digestOf(Buffer.from(text)),
  size: text.length,
  annotations: { 'dev.cosignproject.cosign/signature': 'c2ln', 'dev.sigstore.cosign/chain': '' },
})
const { document } = signatureManifest([layer('one'), layer('two')])

function manifestWith(members: object): ReturnType<typeof toDocument> {
  const base = JSON.parse(Buffer.from(document.content).toString()) as object
  return toDocument(Buffer.from(JSON.stringify({ ...base, ...members })), MEDIA_TYPE.ociManifest)
}

describe('signatures of a tag', () => {
  it('become a referrer as cosign knows it, and the very bytes again', () => {
    const folded = foldSignatures(document, subject)
    expect(folded?.manifest).toMatchObject({ artifactType: SIGNATURES_TYPE, subject })
    expect(folded && unfoldSignatures(folded)).toMatchObject({
      content: document.content,
      descriptor: document.descriptor,
    })
  })

  it.each([
    ['annotations of its own', { annotations: { 'org.example.note': 'x' } }],
    ['members that s3lo does not know', { 'x-tool': [1, { a: null }] }],
  ])('keep %s', (_, members) => {
    const given = manifestWith(members)
    const folded = foldSignatures(given, subject)
    expect(folded && unfoldSignatures(folded)?.content).toEqual(given.content)
  })

  it.each([
    ['with no layers', manifestWith({ layers: [] })],
    ['with another layer', manifestWith({ layers: [{ ...layer('x'), mediaType: 'text/plain' }] })],
    ['with a subject', manifestWith({ subject })],
    ['with an artifact type', manifestWith({ artifactType: 'a/b' })],
    ['with no annotations in their place', manifestWith({ annotations: {} })],
    ['of Docker', manifestWith({ mediaType: MEDIA_TYPE.dockerManifest })],
    [
      'with blanks between its members',
      toDocument(
        Buffer.from(JSON.stringify(JSON.parse(Buffer.from(document.content).toString()), null, 1)),
        MEDIA_TYPE.ociManifest,
      ),
    ],
  ])('%s stay a tag: the bytes would be lost', (_, given) => {
    expect(foldSignatures(given, subject)).toBeUndefined()
  })

  it('are told from signatures that another program attached', () => {
    const attached = manifestWith({ artifactType: SIGNATURES_TYPE, subject })
    expect(unfoldSignatures(attached)).toBeUndefined()
  })

  it('have a tag of a digest in sha256 only', () => {
    expect(signatureTagOf(subject.digest)).toBe(`sha256-${hex}.sig`)
    expect(signatureTagOf(`sha512:${hex}${hex}`)).toBeUndefined()
  })

  it('are an image to cosign 2: its config names the layers', () => {
    const { config, document: made } = signatureManifest([layer('one')])
    const { manifest } = made
    expect(manifest.kind === 'manifest' && manifest.config.digest).toBe(digestOf(config))
    expect(JSON.parse(Buffer.from(config).toString())).toMatchObject({
      rootfs: { type: 'layers', diff_ids: [layer('one').digest] },
    })
    expect(parseManifest(made.content, 'it')).toMatchObject({ layers: [layer('one')] })
  })
})
