import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { imageFixture } from '@s3lo/core/testing'
import policy from '@s3lo/policy/plugin'
import scanner from '@s3lo/scanner-trivy/plugin'
import serve from '@s3lo/serve/plugin'
import soci from '@s3lo/soci/plugin'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeOciLayout } from './oci-layout.ts'
import { SourceCli } from './source-cli.ts'

const DOCS = join(import.meta.dirname, '../docs/commands')

let folder: string
let cli: SourceCli

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-plugin-commands-'))
  cli = await SourceCli.open(folder)
  await writeOciLayout(join(folder, 'layout'), 'v1', imageFixture({ layers: ['one', 'two'] }))
  await cli.json(['push', 'oci:./layout:v1', 'local://./store/app:v1'])
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const commands = [policy, scanner, serve, soci].flatMap(({ commands }) =>
  commands.map(({ path }) => path),
)

describe.each(commands.map((path) => [path.join(' '), path] as const))('s3lo %s', (name, path) => {
  it('has a page that says what its help says', async () => {
    const page = await readFile(join(DOCS, `${path.join('-')}.md`), 'utf8')
    const { status, stdout } = await cli.run([...path, '--help'])
    expect([status, page]).toEqual([0, expect.stringContaining(`# s3lo ${name}\n`)])
    const sections = new Map(
      stdout.split('\n\n').map((section) => [section.split('\n')[0], section.split('\n').slice(1)]),
    )
    const usage = /^Usage: (?<usage>.*)$/m.exec(stdout)?.groups?.['usage']
    expect(page).toContain(`\`\`\`\n${usage}\n\`\`\`\n`)
    for (const line of sections.get('Options:') ?? []) {
      const [, words, meaning] = /^ {2}(\S.*?) {2,}(.*)$/.exec(line) ?? []
      expect(page).toContain(`| \`${words}\` | ${meaning} |`)
    }
    const examples = (sections.get('Examples:') ?? []).filter((line) => line.startsWith('    '))
    expect(examples.length).toBeGreaterThanOrEqual(2)
    for (const line of examples) expect(page).toContain(`${line.trim()}\n`)
  })
})

describe('s3lo config validate', () => {
  const validate = (tag = 'v1'): ReturnType<SourceCli['run']> =>
    cli.run(['config', 'validate', `local://./store/app:${tag}`])
  const policies = (...lines: readonly string[]): Promise<void> =>
    writeFile(join(folder, 'store/s3lo.yaml'), ['policies:', ...lines, ''].join('\n'))

  it('says 0 where nothing is asked, or all is well', async () => {
    expect(await validate()).toMatchObject({ status: 0, stdout: 'No policies configured.\n' })
    await policies('- {name: small, check: size, max_bytes: 100000}')
    expect(await validate()).toMatchObject({
      status: 0,
      stdout: '✓ small                     passed\n\nAll policies passed.\n',
    })
  })

  it('says 1 for an image that fails', async () => {
    await policies('- {name: small, check: size, max_bytes: 1}', '- {check: age, max_days: 1}')
    const { status, stdout, stderr } = await validate()
    expect([status, stderr]).toEqual([1, ''])
    expect(stdout).toMatch(
      /^✗ small {21}FAILED \(\d+ bytes, the limit is 1\)\n✓ age {23}passed\n\n1 policy failed\.\n$/,
    )
  })

  it.each([
    ['an image that is not there', '- {check: age, max_days: 1}', 'v9', 66],
    ['a file that is not valid', '- {name: nothing}', 'v1', 65],
  ])('says neither for %s', async (_, policy, tag, expected) => {
    await policies(policy)
    const { status, stdout, stderr } = await validate(tag)
    expect([status, stdout]).toEqual([expected, ''])
    expect(stderr).toMatch(/^error: .*\n(hint: .*\n)?$/)
  })

  it.each([
    ['a check that no plugin brings', '- {check: other}', 69],
    ['a rule without a limit', '- {check: size}', 64],
  ])('reports %s as the failure of that policy alone', async (_, policy, expected) => {
    await policies(policy, '- {check: age, max_days: 1}')
    const { status, stdout } = await validate()
    expect(status).toBe(expected)
    expect(stdout).toMatch(/^✗ .*\n[^]*✓ age {23}passed\n/)
  })
})

describe('s3lo scan and sbom', () => {
  let trivy: string
  const behave = async (script: string): Promise<void> => {
    await writeFile(trivy, `#!/bin/sh\n${script}\n`)
    await chmod(trivy, 0o755)
  }
  const scan = (...args: readonly string[]): ReturnType<SourceCli['run']> =>
    cli.run(['scan', 'local://./store/app:v1', ...args], { S3LO_TRIVY: trivy })

  beforeAll(() => {
    trivy = join(folder, 'trivy')
  })

  it('say 0, 1 and something else, with the report alone on standard output', async () => {
    await behave('echo progress >&2; echo "$@"')
    const clean = await scan('--severity', 'high,critical')
    expect([clean.status, clean.stderr]).toEqual([0, ''])
    expect(clean.stdout).toMatch(/^image --input \S+ --no-progress .* --severity=HIGH,CRITICAL\n$/)
    await behave('echo CVE-1; exit 86')
    expect(await scan()).toMatchObject({ status: 1, stdout: 'CVE-1\n', stderr: '' })
    await behave('echo half; echo no database >&2; exit 1')
    const failed = await scan()
    expect([failed.status, failed.stdout]).toEqual([75, ''])
    expect(failed.stderr).toContain('error: trivy could not look into local://./store/app:v1')
    const missing = await cli.run(['scan', 'local://./store/app:v1'], { PATH: '/nowhere' })
    expect([missing.status, missing.stdout]).toEqual([69, ''])
    expect(await scan('--severity', 'bad')).toMatchObject({ status: 64 })
  })

  it('give a document with -o json', async () => {
    await behave(`echo '{"SchemaVersion":2}'; exit 86`)
    const { status, stdout } = await scan('-o', 'json', '--format', 'json', '--attach')
    expect([status, JSON.parse(stdout)]).toEqual([
      1,
      {
        ref: 'local://./store/app:v1',
        digest: expect.stringMatching(/^sha256:/),
        platform: 'linux/amd64',
        scanner: 'trivy',
        findings: true,
        format: 'json',
        report: '{"SchemaVersion":2}\n',
        attached: expect.stringMatching(/^sha256:/),
      },
    ])
  })

  it('write an SBOM to a file, by -O or by -o', async () => {
    const bom = '{"bomFormat":"CycloneDX"}\n'
    await behave(`echo '${bom.trim()}'`)
    const sbom = ['sbom', 'local://./store/app:v1']
    const env = { S3LO_TRIVY: trivy }
    expect(await cli.run([...sbom], env)).toMatchObject({ status: 0, stdout: bom })
    for (const option of ['-O', '-o']) {
      const outcome = await cli.run([...sbom, option, `bom${option}.json`], env)
      expect(outcome).toEqual({
        status: 0,
        stdout: '',
        stderr: `SBOM written to bom${option}.json\n`,
      })
      expect(await readFile(join(folder, `bom${option}.json`), 'utf8')).toBe(bom)
    }
    const nowhere = await cli.run([...sbom, '-O', './none/bom.json'], env)
    expect([nowhere.status, nowhere.stdout]).toEqual([74, ''])
  })
})
