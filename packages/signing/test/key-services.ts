import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Exchange {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Record<string, unknown>
}

interface Answer {
  readonly status?: number
  readonly body: unknown
}

/** A key service on loopback that answers as a test says, and remembers what it was asked. */
export class KeyService {
  readonly exchanges: Exchange[] = []
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(answer: (exchange: Exchange) => Answer): Promise<KeyService> {
    const server = createServer((request, response) => {
      void respond(request, response)
    })
    async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
      const sent = await text(request)
      const exchange = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: (sent === '' ? {} : JSON.parse(sent)) as Record<string, unknown>,
      }
      service.exchanges.push(exchange)
      const { status = 200, body } = answer(exchange)
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    const service = new KeyService(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return service
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

const VAULT_TYPES: Readonly<Record<string, string>> = {
  prime256v1: 'ecdsa-p256',
  secp384r1: 'ecdsa-p384',
  secp521r1: 'ecdsa-p521',
}

/** Vault's transit engine, from its API documentation: read a key, sign a message with it. */
export function transit(key: KeyObject, token: string): (exchange: Exchange) => Answer {
  return ({ method, path, headers, body }) => {
    if (headers['x-vault-token'] !== token) {
      return { status: 403, body: { errors: ['permission denied'] } }
    }
    const [, action, name, hash = ''] =
      /^\/v1\/transit\/(keys|sign)\/([\w-]+)(?:\/(sha2-\d+))?$/.exec(path) ?? []
    if (name !== 'release') return { status: 404, body: { errors: [] } }
    if (action === 'keys' && method === 'GET') return { body: { data: describeKey(key) } }
    if (action !== 'sign' || !/^(?:PUT|POST)$/.test(method)) return { status: 405, body: {} }
    const input = Buffer.from(String(body['input']), 'base64')
    const algorithm = hash.replace('sha2-', 'sha') || 'sha256'
    if (body['prehashed'] === true) return { status: 400, body: { errors: ['not here'] } }
    const signature = signMessage(key, input, algorithm)
    return {
      body: { data: { signature: `vault:v1:${signature.toString('base64')}`, key_version: 1 } },
    }
  }
}

function describeKey(key: KeyObject): unknown {
  const publicKey = createPublicKey(key)
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const isEd25519 = key.asymmetricKeyType === 'ed25519'
  const type = VAULT_TYPES[key.asymmetricKeyDetails?.namedCurve ?? '']
  return {
    name: 'release',
    type: type ?? (isEd25519 ? 'ed25519' : 'rsa-2048'),
    latest_version: 1,
    keys: {
      1: {
        creation_time: '2026-01-01T00:00:00Z',
        name: 'release',
        public_key: isEd25519
          ? spki.subarray(-32).toString('base64')
          : publicKey.export({ type: 'spki', format: 'pem' }),
      },
    },
  }
}

function signMessage(key: KeyObject, message: Buffer, algorithm: string): Buffer {
  return sign(key.asymmetricKeyType === 'ed25519' ? null : algorithm, message, key)
}

/** Signs digests by knowing the messages that they can be of. */
export class DigestSigner {
  readonly #messages = new Map<string, Buffer>()
  readonly #key: KeyObject

  constructor(key: KeyObject) {
    this.#key = key
  }

  expect(message: Buffer, algorithm: string): void {
    this.#messages.set(createHash(algorithm).update(message).digest('hex'), message)
  }

  sign(digest: Buffer, algorithm: string, padding: object = {}): Buffer {
    const message = this.#messages.get(digest.toString('hex'))
    if (!message) throw new Error('a digest of nothing that was expected')
    return sign(algorithm, message, { key: this.#key, ...padding })
  }
}
