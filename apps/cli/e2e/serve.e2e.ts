import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeLayout } from './layout.ts'
import { missingTool, run, Sandbox } from './sandbox.ts'

/** As `htpasswd -nbB -C 5 alice secret` printed it. */
const HASH = '$2y$05$3KxkwNZVY28NED/.oCn.3.UZTo8LbEVbFcwM/5OwyYPUzWcd739ES'
const CONFIG = `
users: { htpasswd: htpasswd }
access: [{ repositories: '**', who: alice, may: [pull, push, delete, catalog] }]
`
const LISTEN = ['--listen', '127.0.0.1:0']

const missing = missingTool()
if (missing !== undefined && process.env['CI']) throw new Error(missing)
if (missing !== undefined) process.stderr.write(`skipped: installing @s3lo/serve: ${missing}\n`)

describe.skipIf(missing !== undefined)('s3lo serve, added as a plugin from its package', () => {
  let sandbox: Sandbox
  let digest: string
  beforeAll(async () => {
    sandbox = await Sandbox.open()
    await sandbox.publishWorkspace(['packages/serve'])
    await run('npm', ['install', '@s3lo/cli'], { cwd: sandbox.app, env: sandbox.env })
    digest = await writeLayout(join(sandbox.app, 'image'), 'v1')
  })
  afterAll(() => sandbox?.close())

  it('is not there before, and says how to add it', async () => {
    expect(await sandbox.s3lo(['serve', 'local://./store/'])).toMatchObject({
      status: 69,
      stderr: expect.stringContaining('hint: s3lo plugin add @s3lo/serve'),
    })
  })

  it('serves a folder that its first push makes', async () => {
    const added = await sandbox.s3lo(['plugin', 'add', '@s3lo/serve'])
    expect(added).toMatchObject({ status: 0, stdout: expect.stringContaining('serve') })
    await using server = await serve('local://./store/', ...LISTEN)
    expect(await (await fetch(`${server.url}/v2/_catalog`)).json()).toEqual({ repositories: [] })
    const { host } = new URL(server.url)
    const pushed = await sandbox.s3lo(['copy', 'oci:./image:v1', `${host}/app:v1`, '-o', 'json'])
    expect(pushed).toMatchObject({ status: 0 })
    expect(JSON.parse(pushed.stdout)).toMatchObject({ digest })
    expect((await sandbox.s3lo(['list', 'local://./store/'])).stdout).toBe('app:v1\n')
  })

  it('knows its users: what checks passwords is installed with it', async () => {
    await writeFile(join(sandbox.app, 'serve.yaml'), CONFIG)
    await writeFile(join(sandbox.app, 'htpasswd'), `alice:${HASH}\n`)
    await using server = await serve('local://./store/', ...LISTEN, '--config', 'serve.yaml')
    const status = async (password: string): Promise<number> => {
      const basic = Buffer.from(`alice:${password}`).toString('base64')
      const headers = { authorization: `Basic ${basic}` }
      return (await fetch(`${server.url}/v2/app/manifests/v1`, { headers })).status
    }
    expect([await status('secret'), await status('wrong')]).toEqual([200, 401])
  })

  it('is removed', async () => {
    const removed = await sandbox.s3lo(['plugin', 'remove', '@s3lo/serve'])
    expect(removed).toMatchObject({ status: 0 })
    expect(await sandbox.s3lo(['serve', 'local://./store/'])).toMatchObject({ status: 69 })
  })

  /** A server that says where it is. Disposing of it ends it, and throws where it ends badly. */
  async function serve(...args: readonly string[]) {
    const bin = join(sandbox.app, 'node_modules/.bin/s3lo')
    const child = spawn(bin, ['serve', ...args], { cwd: sandbox.app, env: sandbox.env })
    const closed = once(child, 'close')
    return {
      url: await urlOf(child),
      async [Symbol.asyncDispose]() {
        child.kill('SIGTERM')
        expect(await closed).toEqual([0, null])
      },
    }
  }
})

async function urlOf({ stderr }: ChildProcess): Promise<string> {
  const said: string[] = []
  for await (const line of createInterface(stderr!)) {
    said.push(line)
    const url = /^Serving .* at (?<url>\S+)$/.exec(line)?.groups?.['url']
    if (url === undefined) continue
    stderr?.resume()
    return url
  }
  throw new Error(said.join('\n'))
}
