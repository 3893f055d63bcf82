import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { servingAt, type ServeProcess } from './serve-process.ts'
import { type Environment, SourceCli } from './source-cli.ts'

/** As `htpasswd -nbB -C 5 alice secret` printed it. */
const HASH = '$2y$05$3KxkwNZVY28NED/.oCn.3.UZTo8LbEVbFcwM/5OwyYPUzWcd739ES'
const TLS = 'tls: { cert: cert.pem, key: key.pem }'
const CONFIG = `
users: { htpasswd: htpasswd }
access:
  - { repositories: 'public/**', who: anonymous, may: [pull] }
  - { repositories: 'team/*', who: alice, may: [pull, push] }
  - { repositories: '**', who: admin, may: [pull, push, delete, catalog] }
`
const run = promisify(execFile)

/**
 * A process of `s3lo serve`, with TLS or not, for a folder as its store: alice pulls and pushes `team`, admin may
 * everything, and everyone pulls `public`. Both have the password `secret`.
 */
export class SecuredServe implements AsyncDisposable {
  /** Where clients run, with `home` for their home. */
  readonly folder: string
  /** `127.0.0.1:PORT`, as clients name it. */
  readonly host: string
  readonly cli: SourceCli
  readonly #server: ServeProcess

  private constructor(folder: string, cli: SourceCli, server: ServeProcess) {
    this.folder = folder
    this.cli = cli
    this.host = server.host
    this.#server = server
  }

  static async start(
    options: readonly string[] = [],
    { hasTls = true }: { readonly hasTls?: boolean } = {},
  ): Promise<SecuredServe> {
    const folder = await mkdtemp(join(tmpdir(), 's3lo-secured-serve-'))
    await mkdir(join(folder, 'home'))
    await writeFile(join(folder, 'serve.yaml'), `${CONFIG}${hasTls ? TLS : ''}\n`)
    await writeFile(join(folder, 'htpasswd'), `alice:${HASH}\nadmin:${HASH}\n`)
    const words =
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=s3lo-test ' +
      '-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem'
    await run('openssl', words.split(' '), { cwd: folder })
    const cli = await SourceCli.open(folder)
    const serve = ['serve', `local://${folder}/store//`, '--config', 'serve.yaml']
    const server = await servingAt(cli.spawn([...serve, '--listen', '127.0.0.1:0', ...options]))
    return new SecuredServe(folder, cli, server)
  }

  /** The certificate that clients have to trust. */
  get ca(): string {
    return join(this.folder, 'cert.pem')
  }

  /** The reference of the store. */
  get store(): string {
    return `local://${this.folder}/store//`
  }

  /** Runs a client with a home of its own, that trusts the certificate. Gives what it prints. */
  async client(program: string, args: readonly string[], more: Environment = {}): Promise<string> {
    const home = join(this.folder, 'home')
    const env = {
      PATH: process.env['PATH'],
      HOME: home,
      DOCKER_CONFIG: join(home, '.docker'),
      XDG_RUNTIME_DIR: home,
      SSL_CERT_FILE: this.ca,
      REGISTRY_AUTH_FILE: join(home, 'auth.json'),
      ...more,
    }
    const options = { env, cwd: this.folder, maxBuffer: 16 * 1024 * 1024 }
    return (await run(program, [...args], options)).stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true })
  }
}
