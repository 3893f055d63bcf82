import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { type BlobSink, digestOf, isS3loError } from '@s3lo/core'
import * as fc from 'fast-check'
import { ArchiveStreamSource } from '../src/archive/archive-stream-source.ts'
import { StreamReader } from '../src/tar/byte-reader.ts'
import { formatFileHeader } from '../src/tar/header.ts'
import { readTar } from '../src/tar/tar-reader.ts'
import { encode, withChecksum } from './images.ts'

/** Takes everything and keeps nothing. */
const abyss: BlobSink = {
  has: () => Promise.resolve(false),
  put: (_descriptor, content) => drain(content),
  async ingest(content, size, mediaType) {
    await drain(content)
    return { mediaType, size, digest: digestOf(new Uint8Array()) }
  },
}

async function drain(content: Readable): Promise<void> {
  for await (const _ of content) {
    // Only the reading counts.
  }
}

const hex = fc.constantFrom('a', 'b', 'c').map((digit) => digit.repeat(64))
const name = fc.oneof(
  fc.constantFrom('manifest.json', 'index.json', 'repositories', 'oci-layout', 'config.json'),
  hex.map((digits) => `${digits}/layer.tar`),
  hex.map((digits) => `blobs/sha256/${digits}`),
  fc.string({ maxLength: 120, unit: 'grapheme' }),
)
const document = fc
  .oneof(
    fc
      .record({
        Config: name,
        RepoTags: fc.array(name, { maxLength: 3 }),
        Layers: fc.array(name, { maxLength: 4 }),
      })
      .map((image) => [image]),
    fc.record({
      schemaVersion: fc.constant(2),
      manifests: fc.array(
        fc.record({
          mediaType: fc.constant('application/vnd.oci.image.manifest.v1+json'),
          digest: hex.map((digits) => `sha256:${digits}`),
          size: fc.nat(2000),
        }),
        { maxLength: 4 },
      ),
    }),
    fc.json({ maxDepth: 3 }).map((text) => JSON.parse(text) as unknown),
  )
  .map(encode)
/** Small pieces many times over, which costs a hostile writer nothing. */
const repeated = fc
  .tuple(fc.constantFrom('6 a=b\n', '8 path=\n', '\0', 'x', '[', '{"a":'), fc.nat(300_000))
  .map(([text, times]) => Buffer.from(text.repeat(times)))
const content = fc.oneof(
  document,
  repeated,
  fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
)

/** A member: any type, its own size or one that its header claims. */
const member = fc
  .record({
    name,
    content,
    type: fc.constantFrom('0', '0', '0', '1', '2', '5', '7', 'x', 'x', 'g', 'L', 'K', 'S', '\0'),
    link: fc.oneof(name, fc.constantFrom('../a', '/etc/passwd', 'manifest.json')),
    claimed: fc.option(fc.nat(1e10)),
    times: fc.constantFrom(1, 1, 1, 20),
  })
  .map(({ name: path, content: bytes, type, link, claimed, times }) => {
    const block = Buffer.from(formatFileHeader('x', claimed ?? bytes.length))
    block.fill(0, 0, 100).write(path, 0, 100)
    block.write(type, 156, 'latin1')
    block.write(link, 157, 100)
    const padding = Buffer.alloc(-bytes.length & 511)
    const whole = Buffer.concat([withChecksum(block), bytes, padding])
    return Buffer.concat(Array.from({ length: times }, () => whole))
  })
const archive = fc.array(member, { maxLength: 8 }).map((members) => Buffer.concat(members))

function isRefusal(error: unknown): boolean {
  return isS3loError(error) && error.code !== 'INTERNAL'
}

async function refusing(run: () => Promise<unknown>): Promise<void> {
  try {
    await run()
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
}

export const properties = {
  'an archive in a stream is read or refused': fc.asyncProperty(
    archive,
    fc.constantFrom('docker-archive', 'oci-archive'),
    fc.boolean(),
    async (bytes, transport, compressed) => {
      const input = compressed ? gzipSync(bytes) : bytes
      const open = () => Promise.resolve(Readable.from([input], { objectMode: false }))
      const source = new ArchiveStreamSource(transport, 'fuzz.tar', open)
      await refusing(() => source.transfer({ name: '' }, abyss))
    },
  ),
  'the members of an archive are listed or refused': fc.asyncProperty(
    archive,
    fc.constantFrom(511, 512, 513, 65_536),
    async (bytes, step) => {
      const pieces = Readable.from(
        (function* split() {
          for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
        })(),
      )
      await refusing(async () => {
        for await (const _ of readTar(new StreamReader(pieces, 'fuzz.tar'), 'fuzz.tar')) {
          // Names and sizes are looked at on the way.
        }
      })
    },
  ),
}
