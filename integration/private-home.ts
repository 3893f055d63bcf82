import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { inherited } from './inherited.ts'

const MAIN = join(import.meta.dirname, '../apps/cli/src/main.ts')

/** What a command line said. */
export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** A home of its own, in which the command line finds no credentials but those that a test puts there. */
export class PrivateHome {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async create(): Promise<PrivateHome> {
    const home = new PrivateHome(await mkdtemp(join(tmpdir(), 's3lo-private-')))
    await mkdir(join(home.folder, 'bin'))
    return home
  }

  /** Writes JSON below the home; gives its path. */
  async write(name: string, content: unknown): Promise<string> {
    const path = join(this.folder, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, JSON.stringify(content))
    return path
  }

  /** Installs `docker-credential-test`, which keeps these entries: by host, a name and a secret. */
  async installHelper(entries: Readonly<Record<string, readonly [string, string]>>): Promise<void> {
    const kept = await this.write('keychain.json', entries)
    const path = join(this.folder, 'bin', 'docker-credential-test')
    await writeFile(path, `#!${process.execPath}\nconst file = ${JSON.stringify(kept)}\n${HELPER}`)
    await chmod(path, 0o755)
  }

  /** Runs `s3lo` here, with `input` on its standard input. */
  async s3lo(
    args: readonly string[],
    { input = '', env = {} }: { readonly input?: string; readonly env?: NodeJS.ProcessEnv } = {},
  ): Promise<Outcome> {
    const path = [join(this.folder, 'bin'), process.env['PATH']].join(delimiter)
    const child = spawn(process.execPath, ['--conditions=s3lo-source', MAIN, ...args], {
      cwd: this.folder,
      env: {
        HOME: this.folder,
        XDG_RUNTIME_DIR: join(this.folder, 'run'),
        ...inherited(),
        PATH: path,
        ...env,
      },
    })
    child.stdin.end(input)
    const [stdout, stderr, [status]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number]>,
    ])
    return { status, stdout, stderr }
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** The protocol of docker's credential helpers, with a file for a keychain. */
const HELPER = `
const { readFileSync, writeFileSync } = require('node:fs')
const kept = JSON.parse(readFileSync(file, 'utf8'))
const input = readFileSync(0, 'utf8').trim()
if (process.argv[2] === 'store') {
  const { ServerURL, Username, Secret } = JSON.parse(input)
  writeFileSync(file, JSON.stringify({ ...kept, [ServerURL]: [Username, Secret] }))
} else if (!kept[input]) {
  process.stdout.write('credentials not found in native keychain\\n')
  process.exitCode = 1
} else if (process.argv[2] === 'erase') {
  writeFileSync(file, JSON.stringify({ ...kept, [input]: undefined }))
} else {
  const [Username, Secret] = kept[input]
  process.stdout.write(JSON.stringify({ ServerURL: input, Username, Secret }))
}
`
