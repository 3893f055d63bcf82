import { type ImageFixture, imageFixture } from '@s3lo/core/testing'
import { expect } from 'vitest'
import type { ServedStore } from './served-store.ts'

export const image = imageFixture({ layers: [Buffer.alloc(200_000, 'layer ')] })

/** What a client does to push; the first answer that is no success, or the last one. */
export async function push(served: ServedStore, { root, content }: ImageFixture): Promise<number> {
  for (const [digest, body] of content) {
    const begun = await served.ask('/v2/app/blobs/uploads/', { method: 'POST' })
    if (begun.status !== 202) return begun.status
    const location = begun.headers.location ?? ''
    const sent = await served.ask(location, { method: 'PATCH', body })
    if (sent.status !== 202) return sent.status
    const ended = await served.ask(`${location}?digest=${digest}`, { method: 'PUT' })
    if (ended.status !== 201) return ended.status
  }
  return (await served.ask('/v2/app/manifests/v1', { method: 'PUT', body: root.content })).status
}

/** Reads the image; throws where a byte is wrong. */
export async function pull(served: ServedStore): Promise<number> {
  const manifest = await served.ask('/v2/app/manifests/v1')
  if (manifest.status !== 200) return manifest.status
  expect(manifest.body.equals(image.root.content)).toBe(true)
  for (const [digest, bytes] of image.content) {
    const blob = await served.ask(`/v2/app/blobs/${digest}`)
    if (blob.status !== 200) return blob.status
    expect(blob.body.equals(bytes)).toBe(true)
  }
  return 200
}
