import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { writeGuidePackage } from './guide.ts'
import { writeLayout } from './layout.ts'
import { missingTool, type Outcome, ROOT, run, Sandbox } from './sandbox.ts'

const missing = missingTool()
if (missing !== undefined && process.env['CI']) throw new Error(missing)
if (missing !== undefined) process.stderr.write(`skipped: installing the packages: ${missing}\n`)

describe.skipIf(missing !== undefined)('s3lo, installed from its packages', () => {
  let sandbox: Sandbox
  let digest: string
  const s3lo = (...args: string[]): Promise<Outcome> => sandbox.s3lo(args)

  beforeAll(async () => {
    sandbox = await Sandbox.open()
    await run('npm', ['install', '@s3lo/cli'], { cwd: sandbox.app, env: sandbox.env })
    digest = await writeLayout(join(sandbox.app, 'image'), 'v1')
  })
  afterAll(() => sandbox?.close())

  describe('in an empty folder', () => {
    it('says its version and the commit', async () => {
      const description = await readFile(join(ROOT, 'apps/cli/package.json'), 'utf8')
      const { version } = JSON.parse(description) as { version: string }
      const { stdout: head } = await run('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: ROOT })
      expect((await s3lo('--version')).stdout).toContain(`s3lo ${version} (${head.trim()}`)
    })

    it('brings no cloud SDK and little else', async () => {
      const modules = await readdir(join(sandbox.app, 'node_modules'))
      expect(modules.filter((name) => !name.startsWith('.'))).toEqual(['@s3lo'])
      expect(await readdir(join(sandbox.app, 'node_modules/@s3lo'))).toEqual(['cli'])
      expect(await sizeOf(join(sandbox.app, 'node_modules'))).toBeLessThan(8_000_000)
    })

    it('pushes, lists, inspects and pulls with local://, every digest equal', async () => {
      await s3lo('init', 'local://./store/')
      await s3lo('config', 'set', 'local://./store/', 'chunked=false')
      const pushed = await s3lo('push', 'oci:./image:v1', 'local://./store/app:v1', '-o', 'json')
      expect(JSON.parse(pushed.stdout)).toMatchObject({ digest })
      expect((await s3lo('list', 'local://./store/')).stdout).toBe('app:v1\n')
      const inspected = await s3lo('inspect', 'local://./store/app:v1', '-o', 'json')
      expect(JSON.parse(inspected.stdout)).toMatchObject({ digest, is_index: false })
      for (const target of ['oci-archive:./app.tar:v1', 'oci:./pulled:v1']) {
        expect(await s3lo('pull', 'local://./store/app:v1', target)).toMatchObject({ status: 0 })
        const again = await s3lo('push', target, 'local://./store/again:v1', '-o', 'json')
        expect(JSON.parse(again.stdout)).toMatchObject({ digest, blobs_uploaded: 0 })
      }
    })

    it('signs and verifies, and has no package of a cloud for it', async () => {
      const env = { COSIGN_PASSWORD: 'a password', AWS_REGION: 'eu-central-1' }
      const signing = (...args: string[]): Promise<Outcome> => sandbox.s3lo(args, { env })
      await s3lo('push', 'oci:./image:v1', 'local://./store/signed:v1')
      expect((await signing('generate-key-pair')).status).toBe(0)
      const verify = ['verify', 'local://./store/signed:v1', '--key', 'cosign.pub']
      expect((await s3lo(...verify)).status).toBe(1)
      const signed = await signing('sign', 'local://./store/signed:v1', '--key', 'cosign.key')
      expect(signed).toMatchObject({ status: 0 })
      expect((await s3lo(...verify)).status).toBe(0)
      const aws = await signing('sign', 'local://./store/signed:v1', '--key', 'awskms:///alias/k')
      expect(aws.status).toBe(69)
      expect(aws.stderr).toContain('hint: npm install @aws-sdk/client-kms')
    })

    it('says how to install a backend that is not there', async () => {
      const { status, stderr } = await s3lo('list', 'gs://bucket/')
      expect(status).toBe(69)
      expect(stderr).toContain('hint: s3lo plugin add @s3lo/backend-gcs')
    })

    it('says how to install a command that is not there', async () => {
      const { status, stderr } = await s3lo('scan', 'local://./store/app:v1')
      expect(status).toBe(69)
      expect(stderr).toContain('hint: s3lo plugin add @s3lo/scanner-trivy')
    })
  })

  describe('with a store that is made from docs/writing-a-backend.md', () => {
    let guide: string
    let shelves: string
    const shelf = (...args: string[]): Promise<Outcome> =>
      sandbox.s3lo(args, { env: { S3LO_SHELF_ROOT: shelves } })

    beforeAll(async () => {
      guide = join(sandbox.folder, 'guide')
      shelves = join(sandbox.folder, 'shelves')
      await mkdir(join(shelves, 'books'), { recursive: true })
      await writeGuidePackage(guide)
      await run(process.execPath, ['node_modules/typescript/bin/tsc'], { cwd: guide })
      await sandbox.publish(guide)
    })

    it('passes the contract', async () => {
      // Not the variables of the vitest that runs this.
      const env = { PATH: process.env['PATH'], TMPDIR: sandbox.folder }
      const args = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=json']
      await run(process.execPath, [...args, '--outputFile=report.json'], { cwd: guide, env })
      const text = await readFile(join(guide, 'report.json'), 'utf8')
      const report = JSON.parse(text) as { numPassedTests: number; success: boolean }
      expect(report.success).toBe(true)
      expect(report.numPassedTests).toBeGreaterThan(50)
    })

    it('can be tried before it is published', async () => {
      const tried = join(sandbox.folder, 'tried')
      const args = ['install', '--prefix', tried, '--ignore-scripts', '.']
      await run('npm', args, { cwd: guide, env: sandbox.env })
      const listed = await sandbox.s3lo(['list', 'shelf://books/'], {
        env: { S3LO_SHELF_ROOT: shelves, S3LO_PLUGIN_PATH: tried },
      })
      expect(listed).toMatchObject({ status: 0 })
    })

    it('is added, used and removed', async () => {
      const before = await shelf('list', 'shelf://books/')
      expect(before).toMatchObject({ status: 69, stderr: expect.stringContaining('shelf://') })
      expect(before.stderr).not.toContain('plugin add')
      const added = await shelf('plugin', 'add', 's3lo-backend-shelf')
      expect(added).toMatchObject({ status: 0, stdout: expect.stringContaining('shelf://') })
      const pushed = await shelf('push', 'oci:./image:v1', 'shelf://books/app:v1')
      expect(pushed).toMatchObject({ status: 0 })
      const stored = pushed.stdout.trim()
      expect((await shelf('list', 'shelf://books/')).stdout).toBe('app:v1\n')
      const back = ['shelf://books/app:v1', 'local://./back/app:v1'] as const
      const copied = await shelf('copy', ...back, '-o', 'json')
      expect(JSON.parse(copied.stdout)).toMatchObject({ digest: stored })
      expect(await shelf('list', 'shelf://attic/')).toMatchObject({ status: 66 })
      expect(await plugins()).toContainEqual({
        name: 's3lo-backend-shelf',
        version: '1.0.0',
        from: 'user',
        schemes: ['shelf'],
        transports: [],
        commands: [],
      })
      expect(await shelf('plugin', 'remove', 's3lo-backend-shelf')).toMatchObject({ status: 0 })
      expect(await shelf('list', 'shelf://books/')).toMatchObject({ status: 69 })
      expect(existsSync(join(sandbox.home, 'node_modules/s3lo-backend-shelf'))).toBe(false)
    })

    it('is found beside a command line that pnpm installed with every package isolated', async () => {
      const folder = join(sandbox.folder, 'isolated')
      await mkdir(folder)
      await writeFile(join(folder, 'package.json'), '{ "private": true }')
      await writeFile(join(folder, '.npmrc'), `registry=${sandbox.registry.url}\n`)
      await writeFile(join(folder, 'pnpm-workspace.yaml'), 'hoist: false\npmOnFail: ignore\n')
      const packages = ['@s3lo/cli', 's3lo-backend-shelf', '@s3lo/core']
      const store = ['--store-dir', join(sandbox.folder, 'pnpm-store')]
      const { env } = sandbox
      await run('pnpm', ['add', '--ignore-scripts', ...store, ...packages], { cwd: folder, env })
      const options = { folder, env: { S3LO_SHELF_ROOT: shelves } }
      expect(await sandbox.s3lo(['list', 'shelf://books/'], options)).toMatchObject({ status: 0 })
      const local = await sandbox.s3lo(['list', 'local://./nowhere/'], options)
      expect(local).toMatchObject({ status: 66 })
    })
  })

  describe('adding a plugin', () => {
    const PLUGIN = `export default { name: 's3lo-backend-bin', apiVersion: 1, backends: {
      bin: { summary: 'bin', load: async () => ({}) } } }`
    const GREET = `import { argument, defineCommand, flag, S3loError } from '@s3lo/core/plugin'
      const greet = defineCommand({
        examples: [['Greet', 's3lo greet you']],
        parameters: { who: argument('who'), loud: flag('--loud', 'in capitals') },
        async run({ args: { who, loud }, host, options }) {
          if (who === 'stranger') throw new S3loError('NOT_FOUND', 'stranger is not here', { hint: 'try you' })
          const images = await host.list('local://./nothing/', options).catch(() => [])
          const text = 'hello ' + who
          return {
            result: { images: images.length },
            render: () => (loud ? text.toUpperCase() : text) + '\\n',
          }
        },
      })
      export default { name: 's3lo-greet', apiVersion: 1, commands: [
        { path: ['greet'], summary: 'greet', load: async () => ({ default: greet }) } ] }`
    let home: string
    let env: NodeJS.ProcessEnv
    const add = (specifier: string): Promise<Outcome> =>
      sandbox.s3lo(['plugin', 'add', specifier], { env })

    beforeAll(async () => {
      await publish('s3lo-greet', '1.0.0', GREET, { '@s3lo/core': '*' })
      await publish('s3lo-backend-none', '1.0.0', 'export const nothing = 1')
      await publish('s3lo-backend-bin', '1.0.0', PLUGIN)
      await publish('s3lo-backend-bin', '2.0.0', "throw new Error('boom')")
    })

    beforeEach(async () => {
      home = await mkdtemp(join(sandbox.folder, 'home-'))
      env = { S3LO_CONFIG_HOME: home }
    })

    /** Publishes a package whose every script would leave a file. */
    async function publish(
      name: string,
      version: string,
      code: string,
      dependencies: Readonly<Record<string, string>> = { yaml: '*' },
    ): Promise<void> {
      const folder = await mkdtemp(join(sandbox.folder, 'package-'))
      const script = `node -e "fs.writeFileSync('${join(sandbox.folder, 'ran')}', '')"`
      const description = {
        name,
        version,
        type: 'module',
        keywords: ['s3lo-plugin'],
        exports: { './plugin': { import: './plugin.js' } },
        scripts: { preinstall: script, install: script, postinstall: script, prepare: script },
        dependencies,
      }
      await writeFile(join(folder, 'package.json'), JSON.stringify(description))
      await writeFile(join(folder, 'plugin.js'), code)
      await sandbox.publish(folder)
    }

    it('that is none leaves nothing behind', async () => {
      const refused = { status: 69, stderr: expect.stringContaining('no s3lo plugin') }
      expect(await add('s3lo-backend-none')).toMatchObject(refused)
      expect(await readdir(home)).toEqual([])
    })

    it('brings a command that works with its own copy of core', async () => {
      expect(await add('s3lo-greet')).toMatchObject({ status: 0 })
      const own = join(home, 'node_modules/@s3lo/core/package.json')
      expect(existsSync(own)).toBe(true)
      const greet = (...words: string[]): Promise<Outcome> =>
        sandbox.s3lo(['greet', ...words], { env })
      expect(await greet('you', '--loud')).toMatchObject({ status: 0, stdout: 'HELLO YOU\n' })
      expect(JSON.parse((await greet('you', '-o', 'json')).stdout)).toEqual({ images: 0 })
      expect((await greet('--help')).stdout).toContain('Usage: s3lo greet <who> [options]\n')
      expect(await greet('stranger')).toMatchObject({
        status: 66,
        stderr: 'error: stranger is not here\nhint: try you\n',
      })
      expect(await greet()).toMatchObject({ status: 64 })
    })

    it('runs none of its scripts', async () => {
      expect(await add('s3lo-backend-bin@1.0.0')).toMatchObject({ status: 0 })
      expect(existsSync(join(sandbox.folder, 'ran'))).toBe(false)
    })

    it.each([
      ['that does not work', 's3lo-backend-bin@2.0.0', 69, 'boom'],
      ['that does not exist', 's3lo-backend-bin@3', 66, 's3lo-backend-bin@3'],
    ])('in a version %s keeps the one that did', async (_, specifier, status, words) => {
      await add('s3lo-backend-bin@1.0.0')
      const before = await contents(home)
      const refused = { status, stderr: expect.stringContaining(words) }
      expect(await add(specifier)).toMatchObject(refused)
      expect(await contents(home)).toEqual(before)
      expect(await plugins(env)).toContainEqual(
        expect.objectContaining({ name: 's3lo-backend-bin', version: '1.0.0', schemes: ['bin'] }),
      )
    })

    it('that does not exist is named', async () => {
      const unknown = { status: 66, stderr: expect.stringContaining('s3lo-backend-nowhere') }
      expect(await add('s3lo-backend-nowhere')).toMatchObject(unknown)
    })

    it('asks the registry of the user, not one that the working directory names', async () => {
      const folder = await mkdtemp(join(sandbox.app, 'hostile-'))
      await writeFile(join(folder, '.npmrc'), 'registry=http://127.0.0.1:9/\n')
      const config = join(home, 'npmrc')
      await writeFile(config, `registry=${sandbox.registry.url}\n`)
      env = { ...env, npm_config_registry: undefined, npm_config_userconfig: config }
      const bin = join(sandbox.app, 'node_modules/.bin/s3lo')
      const options = { cwd: folder, env: { ...sandbox.env, ...env } }
      const added = await run(bin, ['plugin', 'add', 's3lo-backend-bin@1.0.0'], options)
      expect(added.stdout).toContain('bin://')
    })
  })

  async function plugins(env: NodeJS.ProcessEnv = {}): Promise<readonly object[]> {
    const { stdout } = await sandbox.s3lo(['plugin', 'list', '-o', 'json'], { env })
    return JSON.parse(stdout) as object[]
  }
})

/** What the files of a folder take, in bytes. */
async function sizeOf(folder: string): Promise<number> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true })
  const sizes = files
    .filter((file) => file.isFile())
    .map(async (file) => (await stat(join(file.parentPath, file.name))).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

/** The files of a plugin folder that say what is installed, and what they say. */
async function contents(home: string): Promise<readonly string[]> {
  const files = ['package.json', 'plugins.json', 'node_modules/s3lo-backend-bin/package.json']
  return Promise.all(files.map((file) => readFile(join(home, file), 'utf8')))
}
