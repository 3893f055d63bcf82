import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'

/** An issuer whose documents a fetch of its own serves. */
export interface TestIssuer {
  readonly issuer: string
  readonly fetch: typeof globalThis.fetch
  /** The addresses that were asked for. */
  readonly asked: string[]
  sign(
    claims: JWTPayload,
    header?: { readonly kid?: string; readonly alg?: string },
  ): Promise<string>
  /** Signs with a new key from now on. */
  rotate(): Promise<void>
  /** Answers in place of the documents. */
  answer: ((address: string) => Response | Promise<Response>) | undefined
}

export async function startIssuer(issuer: string, now: () => number): Promise<TestIssuer> {
  const asked: string[] = []
  let count = 0
  let pair = await generateKeyPair('ES256')
  let jwk: JWK = await exportJWK(pair.publicKey)
  const own: TestIssuer = {
    issuer,
    asked,
    answer: undefined,
    async sign(claims, header = {}) {
      const seconds = Math.floor(now() / 1000)
      return new SignJWT({ iss: issuer, aud: 's3lo', iat: seconds, exp: seconds + 300, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: `key-${count}`, ...header })
        .sign(pair.privateKey)
    },
    async rotate() {
      count++
      pair = await generateKeyPair('ES256')
      jwk = await exportJWK(pair.publicKey)
    },
    async fetch(input) {
      const address = input instanceof Request ? input.url : input.toString()
      asked.push(address)
      if (own.answer) return own.answer(address)
      if (address === `${issuer}/.well-known/openid-configuration`) {
        return Response.json({ issuer, jwks_uri: `${issuer}/keys` })
      }
      if (address === `${issuer}/keys`) {
        return Response.json({ keys: [{ ...jwk, kid: `key-${count}`, alg: 'ES256', use: 'sig' }] })
      }
      return new Response('', { status: 404 })
    },
  }
  return own
}
