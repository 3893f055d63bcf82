import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** How a stand-in for Trivy ends, and what it says. */
export interface Behaviour {
  readonly status?: number
  readonly stdout?: string
  readonly stderr?: string
  /** Ends by no means of its own. */
  readonly hangs?: boolean
  /** Ends by this. */
  readonly killedBy?: NodeJS.Signals
}

/** What a stand-in saw. */
export interface Seen {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly layout: string
  /** Platforms by the configs of the manifests that the layout's index names. */
  readonly platforms: readonly string[]
  /** Whether every blob that is named is there and has its digest. */
  readonly isWhole: boolean
}

/** The program: it checks the OCI layout that it is given, and records what it saw. */
const PROGRAM = `
const { createHash } = require('node:crypto')
const { readFileSync, renameSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const behaviour = JSON.parse(readFileSync(join(__dirname, 'behaviour.json'), 'utf8'))
const args = process.argv.slice(2)
const layout = args[args.indexOf('--input') + 1]
const blob = ({ digest, size }) => {
  const [algorithm, hex] = digest.split(':')
  const content = readFileSync(join(layout, 'blobs', algorithm, hex))
  isWhole &&= content.length === size && createHash(algorithm).update(content).digest('hex') === hex
  return content
}
let isWhole = JSON.parse(readFileSync(join(layout, 'oci-layout'))).imageLayoutVersion === '1.0.0'
const platforms = JSON.parse(readFileSync(join(layout, 'index.json'))).manifests.map((entry) => {
  const { config, layers } = JSON.parse(blob(entry))
  layers.forEach(blob)
  const { os, architecture } = JSON.parse(blob(config))
  return os + '/' + architecture
})
const seen = { args, env: process.env, layout, platforms, isWhole }
writeFileSync(join(__dirname, 'seen.part'), JSON.stringify(seen))
renameSync(join(__dirname, 'seen.part'), join(__dirname, 'seen.json'))
const empty = { json: { SchemaVersion: 2 }, sarif: { runs: [] }, cyclonedx: { bomFormat: 'CycloneDX' } }
const format = args.find((arg) => arg.startsWith('--format=')).slice(9)
process.stdout.write(behaviour.stdout ?? (format === 'table' ? 'nothing\\n' : JSON.stringify(empty[format] ?? {})))
process.stderr.write(behaviour.stderr ?? '')
process.exitCode = behaviour.status ?? 0
if (behaviour.killedBy) process.kill(process.pid, behaviour.killedBy)
if (behaviour.hangs) setInterval(() => {}, 1000)
`

/** An executable in place of Trivy, in a folder of its own. */
export class StandIn {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async create(): Promise<StandIn> {
    const standIn = new StandIn(await mkdtemp(join(tmpdir(), 's3lo-trivy-')))
    await writeFile(standIn.executable, `#!${process.execPath}\n${PROGRAM}`)
    await chmod(standIn.executable, 0o755)
    await standIn.behave({})
    return standIn
  }

  get executable(): string {
    return join(this.folder, 'trivy')
  }

  behave(behaviour: Behaviour): Promise<void> {
    return writeFile(join(this.folder, 'behaviour.json'), JSON.stringify(behaviour))
  }

  async seen(): Promise<Seen> {
    return JSON.parse(await readFile(join(this.folder, 'seen.json'), 'utf8')) as Seen
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true })
  }
}
