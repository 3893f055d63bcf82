import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Outcome, PrivateHome } from './private-home.ts'
import { runExample } from './readme-example.ts'

const ROOT = join(import.meta.dirname, '..')
const PLUGIN = 's3lo-plugin-lint'
/** Milliseconds, for several command lines on a busy machine. */
const TIMEOUT = 60_000

/** A file as the guide prints it: its name in bold, then its content as a code block. */
const PRINTED_FILE = /^\*\*`([^`]+)`\*\*\n+```\w+\n(.*?)^```/gms

let guide: string
let home: PrivateHome
const s3lo = (...args: string[]): Promise<Outcome> =>
  home.s3lo(args, { env: { S3LO_CONFIG_HOME: join(home.folder, 'try') } })

beforeAll(async () => {
  guide = await readFile(join(ROOT, 'docs/writing-a-plugin.md'), 'utf8')
  home = await PrivateHome.create()
  await install(join(home.folder, 'try/node_modules'))
  await home.write('try/plugins.json', { plugins: [PLUGIN] })
  await runExample({ code: '', packages: [] }, home.folder)
  await s3lo('push', 'oci:./layout:v1', 'local://./store/app:v1')
}, TIMEOUT)
afterAll(() => home.remove())

/** Puts the guide's package into a folder as npm would, with what it depends on. */
async function install(modules: string): Promise<void> {
  for (const [, name = '', content = ''] of guide.matchAll(PRINTED_FILE)) {
    await mkdir(join(modules, PLUGIN), { recursive: true })
    await writeFile(join(modules, PLUGIN, name), content)
  }
  await mkdir(join(modules, '@s3lo'))
  await symlink(join(ROOT, 'packages/core'), join(modules, '@s3lo/core'), 'junction')
}

/** Gives a folder with the store and the guide's package. */
async function inProgram(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 's3lo-guide-'))
  try {
    await cp(join(home.folder, 'store'), join(folder, 'store'), { recursive: true })
    await install(join(folder, 'node_modules'))
    await run(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

describe('the plugin of docs/writing-a-plugin.md', { timeout: TIMEOUT }, () => {
  it('is listed with its command', async () => {
    const { stdout } = await s3lo('plugin', 'list', '-o', 'json')
    const expected = { name: PLUGIN, version: '1.0.0', from: 'user', commands: ['lint'] }
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining(expected))
  })

  it('brings a command with its help and its options', async () => {
    const help = await s3lo('lint', '--help')
    expect(help).toMatchObject({ status: 0, stderr: '' })
    expect(help.stdout).toContain('Usage: s3lo lint <ref> [options]\n')
    expect(help.stdout).toContain('--platform OS/ARCH')
    const found = await s3lo('lint', 'local://./store/app:v1', '--platform', 'linux/amd64')
    expect(found).toEqual({
      status: 1,
      stdout: 'local://./store/app:v1: runs as root\n',
      stderr: '',
    })
    const { stdout } = await s3lo('lint', 'local://./store/app:v1', '-o', 'json')
    expect(JSON.parse(stdout)).toMatchObject({ scanner: 'lint', findings: true })
    expect(await s3lo('lint')).toMatchObject({ status: 64 })
    expect(await s3lo('lint', 'local://./store/app:v9')).toMatchObject({ status: 66 })
  })

  it('brings a policy check', async () => {
    const policies = /^```yaml\n(.*?)^```/ms.exec(guide)?.[1] ?? ''
    await writeFile(join(home.folder, 'store/s3lo.yaml'), policies)
    const validate = ['config', 'validate', 'local://./store/app:v1']
    const { status, stdout } = await s3lo(...validate)
    expect(status).toBe(1)
    expect(stdout).toMatch(/^✗ origin is known .*it has no org\.opencontainers\.image\.source/)
    await writeFile(join(home.folder, 'store/s3lo.yaml'), 'policies:\n- check: annotation\n')
    expect(await s3lo(...validate)).toMatchObject({ status: 64 })
    await writeFile(join(home.folder, 'store/s3lo.yaml'), 'policies:\n- check: anotation\n')
    const unknown = await s3lo(...validate)
    expect(unknown.status).toBe(69)
    expect(unknown.stdout).toContain('no policy check anotation is installed')
  })

  it('brings a place that images are copied to and from', async () => {
    await inProgram(async (folder) => {
      const code = `
        import { createHost } from '@s3lo/core'
        import local from '@s3lo/backend-local/plugin'
        import lint from 's3lo-plugin-lint/plugin'
        const host = createHost({ plugins: [local, lint] })
        const [app, drawer, back] = ['local://./store/app:v1', 'drawer:./drawer:v1', 'local://./store/back:v1']
        for (const [from, to] of [[app, drawer], [app, drawer], [drawer, back]]) {
          const { digest, blobs_copied, blobs_skipped } = await host.copy(from, to)
          console.log(digest, blobs_copied, blobs_skipped)
        }
        console.log((await host.inspect(back)).digest)
        await host.copy('drawer:./drawer:v2', back).catch(({ code }) => console.log(code))`
      const printed = await runExample({ code, packages: ['@s3lo/backend-local'] }, folder)
      const digest = printed.slice(0, printed.indexOf(' '))
      expect(printed.trim().split('\n')).toEqual([
        `${digest} 3 0`,
        `${digest} 0 3`,
        `${digest} 0 3`,
        digest,
        'NOT_FOUND',
      ])
    })
  })

  it('serves a program', async () => {
    await inProgram(async (folder) => {
      const code = /^## In a program\n+```js\n(.*?)^```/ms.exec(guide)?.[1] ?? ''
      const printed = await runExample({ code, packages: ['@s3lo/backend-local'] }, folder)
      expect(printed).toBe('true local://./store/app:v1: runs as root\n\n')
    })
  })
})
