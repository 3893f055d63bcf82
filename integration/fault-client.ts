import { digestOf } from '@s3lo/core'
import type { ImageFixture } from '@s3lo/core/testing'

/** What a registry says when its store fails: an error of the specification, or a connection that is cut. */
export class StoreFault extends Error {
  override readonly name = 'StoreFault'
  readonly status: number | 'cut'

  constructor(status: number | 'cut', message: string, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

const CHUNK_BYTES = 160_000

/** One push of an image as `v1`. It continues where it was when it is run again, as clients do. */
export class ImagePush {
  readonly image: ImageFixture
  readonly #name: string
  readonly #done = new Set<string>()
  /** Of the upload that is not over. */
  #location: string | undefined

  constructor(name: string, image: ImageFixture) {
    this.#name = name
    this.image = image
  }

  /** Pushes what is not pushed yet: small blobs at once, others in chunks. Throws {@link StoreFault}. */
  async run(address: string): Promise<void> {
    const { root, content } = this.image
    for (const [digest, bytes] of content) {
      if (this.#done.has(digest)) continue
      if (bytes.byteLength < CHUNK_BYTES) await this.#pushWhole(address, digest, bytes)
      else await this.#pushChunks(address, digest, bytes)
      this.#done.add(digest)
    }
    const body = new Uint8Array(root.content)
    await ask(address, `/v2/${this.#name}/manifests/v1`, 201, { method: 'PUT', body })
  }

  async isPublished(address: string): Promise<boolean> {
    const reply = await fetch(`http://${address}/v2/${this.#name}/manifests/v1`, { method: 'HEAD' })
    if (reply.status !== 200 && reply.status !== 404) throw new Error(`HEAD: ${reply.status}`)
    return reply.status === 200
  }

  async #pushWhole(address: string, digest: string, bytes: Uint8Array): Promise<void> {
    const path = `/v2/${this.#name}/blobs/uploads/?digest=${digest}`
    await ask(address, path, 201, { method: 'POST', body: new Uint8Array(bytes) })
  }

  async #pushChunks(address: string, digest: string, bytes: Uint8Array): Promise<void> {
    const begun = await this.#continue(address, digest)
    if (begun === 'over') return
    const { location } = begun
    let { offset } = begun
    while (offset < bytes.byteLength) {
      const body = new Uint8Array(bytes.subarray(offset, offset + CHUNK_BYTES))
      const end = offset + body.byteLength
      const headers = { 'content-range': `${offset}-${end - 1}` }
      await ask(address, location, 202, { method: 'PATCH', body, headers })
      offset = end
    }
    await ask(address, `${location}?digest=${digest}`, 201, { method: 'PUT' })
    this.#location = undefined
  }

  /** Begins an upload, or asks how far one is. Throws where one is lost. */
  async #continue(
    address: string,
    digest: string,
  ): Promise<'over' | { readonly location: string; readonly offset: number }> {
    const location = this.#location
    if (location === undefined) {
      const path = `/v2/${this.#name}/blobs/uploads/`
      const { headers } = await ask(address, path, 202, { method: 'POST' })
      this.#location = new URL(headers.get('location') ?? '', 'http://registry').pathname
      return { location: this.#location, offset: 0 }
    }
    const state = await fetch(`http://${address}${location}`)
    if (state.status === 204) {
      const last = /^0-(\d+)$/.exec(state.headers.get('range') ?? '')?.[1]
      return { location, offset: last === undefined || last === '0' ? 0 : Number(last) + 1 }
    }
    // Its end took effect, and only the answer was lost.
    const there = await fetch(`http://${address}/v2/${this.#name}/blobs/${digest}`, {
      method: 'HEAD',
    })
    if (state.status === 404 && there.status === 200) return 'over'
    throw new Error(`the upload is lost: ${state.status}, and its blob is ${there.status}`)
  }
}

/** Reads what `v1` and its digest name, and compares all of it. Throws {@link StoreFault}. */
export async function pullImage(
  address: string,
  name: string,
  { root, content }: ImageFixture,
): Promise<void> {
  const references = ['v1', root.descriptor.digest]
  const wanted = [
    ...references.map((reference) => [`manifests/${reference}`, root.content] as const),
    ...[...content].map(([digest, bytes]) => [`blobs/${digest}`, bytes] as const),
  ]
  for (const [path, expected] of wanted) {
    const { body } = await ask(address, `/v2/${name}/${path}`, 200)
    if (digestOf(body) !== digestOf(expected)) throw new Error(`${path} has wrong bytes`)
  }
}

interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
}

/** Asks for an answer of one status. */
async function ask(
  address: string,
  path: string,
  expected: number,
  init: RequestInit = {},
): Promise<Reply> {
  const what = `${init.method ?? 'GET'} ${path}`
  const reply = await send(`http://${address}${path}`, init).catch((error: unknown) => {
    throw new StoreFault('cut', `${what}: cut`, { cause: error })
  })
  if (reply.status === expected) return reply
  const text = Buffer.from(reply.body).toString()
  const { errors } = JSON.parse(text) as { errors?: readonly { readonly code?: unknown }[] }
  const isError = reply.status >= 400 && typeof errors?.[0]?.code === 'string'
  if (isError) throw new StoreFault(reply.status, `${what}: ${reply.status} ${text}`)
  throw new Error(`${what}: expected ${expected} or an error, got ${reply.status}: ${text}`)
}

async function send(url: string, init: RequestInit): Promise<Reply> {
  const reply = await fetch(url, init)
  const body = new Uint8Array(await reply.arrayBuffer())
  return { status: reply.status, headers: reply.headers, body }
}
