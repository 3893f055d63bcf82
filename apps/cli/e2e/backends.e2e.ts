import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dependencyClosure } from './dependency-closure.ts'
import { missingTool, ROOT, run } from './sandbox.ts'

/** By scheme: the package that brings it, and the names of its cloud's libraries. */
const CLOUDS = {
  s3: { folder: 'backend-s3', library: /^(@aws-sdk|@aws-crypto|@smithy|@aws)\// },
  gs: {
    folder: 'backend-gcs',
    library: /^(@google-cloud\/|google-|gaxios$|gcp-metadata$|gtoken$)/,
  },
  az: { folder: 'backend-azure', library: /^(@azure|@typespec)\// },
}
const SCHEMES = ['s3', 'gs', 'az'] as const

/** Records the file of every module that is read. */
const RECORDER = `
  import { registerHooks } from 'node:module'
  const loaded = []
  registerHooks({
    load(url, context, next) {
      if (url.startsWith('file:')) loaded.push(url)
      return next(url, context)
    },
  })
  process.on('exit', () => process.stderr.write('\\n' + JSON.stringify(loaded)))
`

const missing = missingTool()
if (missing !== undefined && process.env['CI']) throw new Error(missing)
if (missing !== undefined) process.stderr.write(`skipped: packing the packages: ${missing}\n`)

describe.skipIf(missing !== undefined)('an installation', () => {
  it.each(SCHEMES)('of s3lo and the backend for %s:// brings no other cloud', async (scheme) => {
    const { folder, library } = CLOUDS[scheme]
    const names = await dependencyClosure(['apps/cli', join('packages', folder)])
    expect(names.filter((name) => library.test(name))).not.toEqual([])
    expect(names.filter((name) => name.startsWith('@s3lo/backend-'))).toEqual([`@s3lo/${folder}`])
    expect(clouds(names)).toEqual([scheme])
  })

  it('of s3lo alone brings none', async () => {
    expect(clouds(await dependencyClosure(['apps/cli']))).toEqual([])
  })
})

describe('with every backend installed', () => {
  let work: string
  let store: string

  beforeAll(async () => {
    work = await realpath(await mkdtemp(join(tmpdir(), 's3lo-backends-')))
    store = join(work, 'store')
    await mkdir(join(store, 'manifests/app/v1'), { recursive: true })
    await writeFile(join(store, 'manifests/app/v1/manifest.json'), '{}')
    for (const scheme of SCHEMES) await writePlugin(CLOUDS[scheme].folder)
  })
  afterAll(() => rm(work, { recursive: true }))

  it('a list of a local store reads no file of a cloud', async () => {
    const { stdout, files } = await filesReadBy(['list', `local://${store}//`])
    expect(stdout).toBe('app:v1\n')
    expect(files.filter((file) => /backend-(s3|gcs|azure)/.test(file))).toEqual([])
    expect(clouds(files.map(packageOf))).toEqual([])
  })

  it.each(SCHEMES)('a list of %s:// reads the library of that cloud only', async (scheme) => {
    const { files } = await filesReadBy(['list', `${scheme}://bucket/`])
    expect(files.some((file) => file.includes(CLOUDS[scheme].folder))).toBe(true)
    expect(clouds(files.map(packageOf)).filter((cloud) => cloud !== scheme)).toEqual([])
  })

  /** A package of the user's whose plugin is the one in the sources. */
  async function writePlugin(name: string): Promise<void> {
    const folder = join(work, 'plugins/node_modules/@s3lo', name)
    await mkdir(folder, { recursive: true })
    const exports = { './plugin': './plugin.js' }
    const keywords = ['s3lo-plugin']
    const description = {
      name: `@s3lo/${name}`,
      version: '0.0.0',
      type: 'module',
      keywords,
      exports,
    }
    await writeFile(join(folder, 'package.json'), JSON.stringify(description))
    const source = pathToFileURL(join(ROOT, 'packages', name, 'src/plugin.ts')).href
    await writeFile(join(folder, 'plugin.js'), `export { default } from '${source}'\n`)
  }

  /** What a command reads; without credentials it ends before it asks anybody. */
  async function filesReadBy(
    args: readonly string[],
  ): Promise<{ readonly stdout: string; readonly files: readonly string[] }> {
    const recorder = `data:text/javascript,${encodeURIComponent(RECORDER)}`
    const main = join(ROOT, 'apps/cli/src/main.ts')
    const flags = ['--conditions=s3lo-source', '--import', recorder, main]
    const env = {
      HOME: work,
      S3LO_PLUGIN_PATH: join(work, 'plugins'),
      NODE_DISABLE_COMPILE_CACHE: '1',
      AWS_EC2_METADATA_DISABLED: 'true',
      METADATA_SERVER_DETECTION: 'none',
    }
    const { stdout, stderr } = await run(process.execPath, [...flags, ...args], {
      cwd: work,
      env,
    }).catch((error: { stdout: string; stderr: string }) => error)
    const urls = JSON.parse(stderr.slice(stderr.lastIndexOf('\n') + 1)) as readonly string[]
    return { stdout, files: urls.map((url) => fileURLToPath(url)) }
  }
})

/** The clouds whose libraries are among the packages. */
function clouds(packages: readonly string[]): readonly string[] {
  return SCHEMES.filter((scheme) => packages.some((name) => CLOUDS[scheme].library.test(name)))
}

/** The name of the package that a file belongs to; empty for one of ours. */
function packageOf(file: string): string {
  return /.*\/node_modules\/(?<name>(?:@[^/]+\/)?[^/]+)/.exec(file)?.groups?.['name'] ?? ''
}
