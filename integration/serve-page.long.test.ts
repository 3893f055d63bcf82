/** What docs/serve.md prints for those who run a server, as far as it needs no other program's server. */
import { execFile, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Deployment, type IDeployment } from 'kubernetes-models/apps/v1'
import { ConfigMap, type IConfigMap, Service, ServiceAccount } from 'kubernetes-models/v1'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { blockOf, runShell, withNames } from './page-blocks.ts'
import { servingAt } from './serve-process.ts'
import { SourceCli } from './source-cli.ts'

const PAGE = 'docs/serve.md'
const ROOT = join(import.meta.dirname, '..')
/** As `htpasswd -nbB -C 5 admin secret` printed it. */
const USERS = 'admin:$2y$05$3KxkwNZVY28NED/.oCn.3.UZTo8LbEVbFcwM/5OwyYPUzWcd739ES\n'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-serve-page-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the shell of docs/serve.md', () => {
  it('makes a key of the token service and a certificate', async () => {
    for (const start of ['openssl genpkey', 'openssl req']) {
      const block = withNames(await blockOf(PAGE, 'sh', start), { '/etc/s3lo': folder })
      await runShell(block, folder, {})
    }
    expect(await readFile(join(folder, 'token.key'), 'utf8')).toContain('PRIVATE KEY')
    const certificate = new X509Certificate(await readFile(join(folder, 'tls.crt')))
    expect(certificate.checkHost('registry.example')).toBe('registry.example')
  })
})

describe('the unit of systemd', () => {
  const isThere = spawnSync('systemd-analyze', ['--version']).status === 0
  if (!isThere) process.stderr.write('skipped: checking the unit: no systemd-analyze here\n')

  it.skipIf(!isThere)('is one that systemd takes', async () => {
    const unit = await blockOf(PAGE, 'ini', '[Unit]')
    const here = { '/opt/s3lo/node_modules/.bin/s3lo': process.execPath }
    const path = join(folder, 's3lo.service')
    await writeFile(path, withNames(unit, here))
    const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], {
      encoding: 'utf8',
    })
    // Of units that this machine has itself, it says things too.
    expect(stderr.split('\n').filter((line) => line.includes('s3lo.service'))).toEqual([])
  })

  it('is of a command that s3lo has', async () => {
    const [, line = ''] = /^ExecStart=(.*)$/m.exec(await blockOf(PAGE, 'ini', '[Unit]')) ?? []
    const [, command = '', store = '', ...options] = line.split(' ')
    expect([command, store]).toEqual(['serve', 's3://my-bucket/'])
    const help = await (await SourceCli.open(folder)).run(['serve', '--help'])
    for (const option of options.filter((word) => word.startsWith('--'))) {
      expect(help.stdout).toContain(option)
    }
  })
})

describe('the manifests of Kubernetes', () => {
  const CLASSES = { ServiceAccount, ConfigMap, Deployment, Service }
  type Kind = keyof typeof CLASSES

  async function documents(): Promise<ReadonlyMap<Kind, unknown>> {
    const page = await blockOf(PAGE, 'yaml', 'apiVersion:')
    const all = parseAllDocuments(page).map((document) => document.toJS() as { kind: Kind })
    return new Map(all.map((document) => [document.kind, document]))
  }

  it('are valid by its schemas', async () => {
    const found = await documents()
    expect([...found.keys()]).toEqual(Object.keys(CLASSES))
    for (const [kind, document] of found) new CLASSES[kind](document as never).validate()
  })

  it('have no member that its API does not have', async () => {
    // Its schemas are open; its types, for a literal, are not.
    const types = 'import type * as apps from "kubernetes-models/apps/v1"\n'.concat(
      'import type * as core from "kubernetes-models/v1"\n',
    )
    const checks = [...(await documents())].map(
      ([kind, document]) =>
        `export const ${kind}: ${kind === 'Deployment' ? 'apps' : 'core'}.I${kind} = ${JSON.stringify(document)}\n`,
    )
    await symlink(join(import.meta.dirname, 'node_modules'), join(folder, 'node_modules'))
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    const check = async (text: string): Promise<string> => {
      await writeFile(join(folder, 'check.ts'), types + text)
      const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
      const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--skipLibCheck', 'check.ts']
      const run = promisify(execFile)(process.execPath, [tsc, ...flags], { cwd: folder })
      return run.then(({ stdout }) => stdout).catch(({ stdout }: { stdout: string }) => stdout)
    }
    expect(await check(checks.join(''))).toBe('')
    const misspelt = checks.join('').replace('"readinessProbe"', '"readynessProbe"')
    expect(await check(misspelt)).toMatch(/'"?readynessProbe"?' does not exist/)
  })

  it('start a server whose probes are answered', async () => {
    const found = await documents()
    const { spec } = found.get('Deployment') as IDeployment
    const [container] = spec?.template.spec?.containers ?? []
    const { data } = found.get('ConfigMap') as IConfigMap
    const names = {
      '/etc/s3lo-secret': join(folder, 'secret'),
      '/etc/s3lo': join(folder, 'config'),
    }
    const config = withNames(data?.['serve.yaml'] ?? '', {
      ...names,
      '0.0.0.0:5732': '127.0.0.1:0',
    })
    await writeFiles({
      'config/serve.yaml': config,
      'secret/htpasswd': USERS,
    })
    const key = withNames(await blockOf(PAGE, 'sh', 'openssl genpkey'), {
      '/etc/s3lo': join(folder, 'secret'),
    })
    await runShell(key, folder, {})
    await mkdir(join(folder, 'store'))
    const bucket = `local://${folder}/store//`
    const args = (container?.args ?? []).map((word) =>
      withNames(word, { ...names, 's3://my-bucket/': bucket }),
    )
    const cli = await SourceCli.open(folder)
    await using served = await servingAt(cli.spawn(['serve', ...args]))
    const probes = [container?.livenessProbe, container?.readinessProbe]
    const paths = probes.map((probe) => probe?.httpGet?.path)
    expect(paths).toEqual(['/healthz', '/readyz'])
    for (const path of paths) expect((await fetch(`${served.url}${path}`)).status).toBe(200)
    const authorization = `Basic ${Buffer.from('admin:secret').toString('base64')}`
    const answer = await fetch(`${served.url}/v2/_catalog`, { headers: { authorization } })
    expect(await answer.json()).toEqual({ repositories: [] })
  })

  it('send requests to the port that the server listens on, and give it time to end', async () => {
    const found = await documents()
    const { data } = found.get('ConfigMap') as IConfigMap
    const { spec } = found.get('Deployment') as IDeployment
    const [container] = spec?.template.spec?.containers ?? []
    const [, listens] = /^listen: .*:(\d+)$/m.exec(data?.['serve.yaml'] ?? '') ?? []
    expect(container?.ports).toEqual([{ name: 'http', containerPort: Number(listens) }])
    expect(spec?.template.spec?.terminationGracePeriodSeconds).toBeGreaterThan(35)
  })
})

async function writeFiles(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
}
