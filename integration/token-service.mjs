// The token service of a registry in the integration tests, as the Docker token specification
// describes it: node token-service.mjs PORT KEY.pem CERT.pem, with TOKEN_USER and TOKEN_PASSWORD.
// It knows one user, who may do everything; anybody may pull from public/… .
import { randomUUID, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [port, keyFile, certFile] = process.argv.slice(2)
const { TOKEN_USER: USER, TOKEN_PASSWORD: PASSWORD } = process.env
const SECONDS = Number(process.env.TOKEN_SECONDS ?? 300)
const key = readFileSync(keyFile)
const x5c = [readFileSync(certFile, 'utf8').replaceAll(/-----[^-]+-----|\s/g, '')]
const refreshTokens = new Set()

createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const url = new URL(request.url, 'http://localhost')
  const isForm = request.method === 'POST'
  const asked = isForm ? new URLSearchParams(Buffer.concat(chunks).toString()) : url.searchParams
  const login = isForm ? formLogin(asked) : basicLogin(request.headers.authorization)
  response.setHeader('content-type', 'application/json')
  if (login === 'wrong') {
    response.writeHead(401)
    response.end('{"errors":[{"code":"UNAUTHORIZED","message":"wrong user name or password"}]}')
    return
  }
  const token = tokenFor(login, asked.getAll('scope'))
  const wantsRefresh = isForm || asked.get('offline_token') === 'true'
  const refresh = login === 'user' && wantsRefresh ? { refresh_token: newRefreshToken() } : {}
  response.end(JSON.stringify({ token, access_token: token, expires_in: SECONDS, ...refresh }))
}).listen(Number(port), '127.0.0.1')

function basicLogin(header = '') {
  const basic = /^Basic (.+)$/i.exec(header)
  if (!basic) return 'anonymous'
  const isRight = Buffer.from(basic[1], 'base64').toString() === `${USER}:${PASSWORD}`
  return isRight ? 'user' : 'wrong'
}

function formLogin(form) {
  if (form.get('grant_type') === 'refresh_token') {
    return refreshTokens.has(form.get('refresh_token')) ? 'user' : 'wrong'
  }
  const isRight = form.get('username') === USER && form.get('password') === PASSWORD
  return isRight ? 'user' : 'wrong'
}

function newRefreshToken() {
  const token = randomUUID()
  refreshTokens.add(token)
  return token
}

function tokenFor(login, scopes) {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: 's3lo-issuer',
    aud: 's3lo-registry',
    sub: login === 'user' ? USER : '',
    jti: randomUUID(),
    iat: now,
    nbf: now - 10,
    exp: now + SECONDS,
    access: scopes.flatMap((scope) => scope.split(' ')).flatMap((scope) => grant(login, scope)),
  }
  const text = [{ typ: 'JWT', alg: 'RS256', x5c }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  return `${text}.${sign('RSA-SHA256', Buffer.from(text), key).toString('base64url')}`
}

/** What a scope `type:name:action,action` gives to a user. */
function grant(login, scope) {
  const [, type, name, list] = /^([^:]+):(.+):([^:]+)$/.exec(scope) ?? []
  if (!list) return []
  const actions = list.split(',')
  if (login === 'user') return [{ type, name, actions }]
  return name.startsWith('public/') && actions.includes('pull')
    ? [{ type, name, actions: ['pull'] }]
    : []
}
