import { chmod, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

/** A home of its own for a test, with its environment and stand-in credential helpers. */
export class Home {
  readonly folder: string
  readonly env: Readonly<Record<string, string | undefined>>

  constructor(folder: string, env: Home['env']) {
    this.folder = folder
    this.env = env
  }

  static async create(): Promise<Home> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 's3lo-home-')))
    const path = [join(folder, 'bin'), process.env['PATH']].join(delimiter)
    await mkdir(join(folder, 'bin'))
    return new Home(folder, {
      HOME: folder,
      XDG_RUNTIME_DIR: join(folder, 'run'),
      PATH: path,
      KEYCHAIN: join(folder, 'keychain.json'),
    })
  }

  get dockerConfig(): string {
    return join(this.folder, '.docker', 'config.json')
  }

  /** Writes a file below the home, text as it is and the rest as JSON; gives its path. */
  async write(name: string, content: unknown): Promise<string> {
    const path = join(this.folder, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
    return path
  }

  async readConfig(): Promise<unknown> {
    return JSON.parse(await readFile(this.dockerConfig, 'utf8'))
  }

  /** Installs `docker-credential-NAME`, a script of Node; by default one that works. */
  async installHelper(name: string, script: string = KEYCHAIN): Promise<void> {
    const path = await this.write(
      join('bin', `docker-credential-${name}`),
      `#!${process.execPath}\n${script}`,
    )
    await chmod(path, 0o755)
  }

  /** What the helper that works keeps, by key. */
  async keychain(): Promise<
    Record<string, { readonly Username: string; readonly Secret: string }>
  > {
    return JSON.parse(await readFile(join(this.folder, 'keychain.json'), 'utf8'))
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** A helper by the protocol, with a file for a keychain. */
const KEYCHAIN = `
const { existsSync, readFileSync, writeFileSync } = require('node:fs')
const file = process.env.KEYCHAIN
const kept = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
const input = process.argv[2] === 'list' ? '' : readFileSync(0, 'utf8').trim()
const absent = () => {
  process.stdout.write('credentials not found in native keychain\\n')
  process.exitCode = 1
}
switch (process.argv[2]) {
  case 'get':
    if (kept[input]) process.stdout.write(JSON.stringify({ ServerURL: input, ...kept[input] }))
    else absent()
    break
  case 'store': {
    const { ServerURL, ...entry } = JSON.parse(input)
    writeFileSync(file, JSON.stringify({ ...kept, [ServerURL]: entry }))
    break
  }
  case 'erase':
    if (!kept[input]) absent()
    delete kept[input]
    writeFileSync(file, JSON.stringify(kept))
    break
  case 'list':
    process.stdout.write(
      JSON.stringify(Object.fromEntries(Object.entries(kept).map(([k, v]) => [k, v.Username]))),
    )
}
`
