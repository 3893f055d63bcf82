/**
 * One transfer of one object as a whole process, for the bench: by our backend or by the helper of
 * the cloud's own SDK, from a file or to one. Arguments: ours|sdk, put|get, cloud, bucket, file; the
 * endpoint and the credentials are in the environment. `large` in place of put or get sends as many
 * bytes as the file argument says, gets them back and compares the digests.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { BlobServiceClient } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { openBackend as openAzure } from '@s3lo/backend-azure'
import { openBackend as openGcs } from '@s3lo/backend-gcs'
import { openBackend as openS3 } from '@s3lo/backend-s3'
import type { StorageBackend } from '@s3lo/core'

const KEY = 'blobs/sha256/bench'
const PIECE_BYTES = 1024 * 1024
/** As files of a store are written; with less, the disk is waited for and not the service. */
const PENDING_BYTES = 512 * 1024
const MIB = 1024 * 1024

/** Puts and gets one object. */
interface Client {
  put(file: string): Promise<void>
  get(file: string): Promise<void>
}

const OPEN = { s3: openS3, gs: openGcs, az: openAzure }
const SDK = { s3: s3Sdk, gs: gcsSdk, az: azureSdk }
type Cloud = keyof typeof OPEN

async function main([
  who,
  what,
  cloud,
  bucket = '',
  target = '',
]: readonly string[]): Promise<void> {
  if (!isCloud(cloud)) throw new Error('the cloud is s3, gs or az')
  const backend = await OPEN[cloud]({ scheme: cloud, bucket }, { env: process.env })
  if (what === 'large') return sendAndCompare(backend, Number(target))
  if (what === 'empty') return empty(backend)
  const client = who === 'sdk' ? SDK[cloud](bucket) : ours(backend)
  await (what === 'put' ? client.put(target) : client.get(target))
}

function isCloud(text: string | undefined): text is Cloud {
  return text !== undefined && text in OPEN
}

function ours(backend: StorageBackend): Client {
  return {
    put: async (file) => {
      const { size } = await stat(file)
      await backend.put(KEY, createReadStream(file, { highWaterMark: PIECE_BYTES }), { size })
    },
    get: async (file) => pipeline((await backend.get(KEY)).body, fileSink(file)),
  }
}

function s3Sdk(bucket: string): Client {
  const client = new S3Client({ forcePathStyle: true })
  return {
    put: async (file) => {
      const params = { Bucket: bucket, Key: KEY, Body: contentOf(file) }
      await new Upload({ client, params }).done()
    },
    get: async (file) => {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: KEY }))
      if (!(Body instanceof Readable)) throw new Error('the answer has no body')
      await pipeline(Body, fileSink(file))
    },
  }
}

function gcsSdk(bucket: string): Client {
  const apiEndpoint = process.env['STORAGE_EMULATOR_HOST'] ?? ''
  // With that variable the library leaves the API's path out of its addresses.
  delete process.env['STORAGE_EMULATOR_HOST']
  const storage = new Storage({ apiEndpoint, projectId: 's3lo-test' }).bucket(bucket)
  return {
    put: async (file) => void (await storage.upload(file, { destination: KEY })),
    get: async (file) => void (await storage.file(KEY).download({ destination: file })),
  }
}

function azureSdk(bucket: string): Client {
  const connection = process.env['AZURE_STORAGE_CONNECTION_STRING'] ?? ''
  const blob = BlobServiceClient.fromConnectionString(connection)
    .getContainerClient(bucket)
    .getBlockBlobClient(KEY)
  return {
    put: async (file) => void (await blob.uploadStream(createReadStream(file))),
    get: async (file) => void (await blob.downloadToFile(file)),
  }
}

/** `-` is what another program pipes into this one. */
function contentOf(file: string): Readable {
  return file === '-' ? process.stdin : createReadStream(file)
}

function fileSink(file: string): Writable {
  return createWriteStream(file, { highWaterMark: PENDING_BYTES })
}

async function empty(backend: StorageBackend): Promise<void> {
  const keys: string[] = []
  for await (const { key } of backend.list('')) keys.push(key)
  await backend.delete(keys)
}

async function sendAndCompare(backend: StorageBackend, size: number): Promise<void> {
  const sent = createHash('sha256')
  const body = Readable.from(
    pieces(size, (piece) => sent.update(piece)),
    { objectMode: false },
  )
  await backend.put(KEY, body, { size })
  const received = createHash('sha256')
  for await (const chunk of (await backend.get(KEY)).body as AsyncIterable<Buffer>) {
    received.update(chunk)
  }
  const [want, got] = [sent.digest('hex'), received.digest('hex')]
  if (want !== got) throw new Error(`sent sha256:${want}, received sha256:${got}`)
}

/** Content that differs from place to place. */
function* pieces(size: number, seen: (piece: Buffer) => void): Generator<Buffer> {
  for (let at = 0; at < size; at += MIB) {
    const piece = Buffer.alloc(Math.min(MIB, size - at), `${at} `)
    seen(piece)
    yield piece
  }
}

await main(process.argv.slice(2))
