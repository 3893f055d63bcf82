import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import type { CheckResult } from './conformance-case.ts'
import type { RegistryUnderTest } from './registry-under-test.ts'
import { type Feature, FEATURES, featureFacts, isFeature, isSpecVersion } from './feature.ts'
import { runConformance } from './run.ts'

const OPTIONS = {
  version: { type: 'string' },
  with: { type: 'string', multiple: true },
  without: { type: 'string', multiple: true },
  strict: { type: 'boolean' },
  only: { type: 'string', multiple: true },
  namespace: { type: 'string' },
  username: { type: 'string' },
  'password-stdin': { type: 'boolean' },
  'tls-ca': { type: 'string' },
  tags: { type: 'string' },
  json: { type: 'boolean' },
  verbose: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

const USAGE = `Usage: conformance URL [options]
  --version 1.0|1.1|dev    the version that the registry is held to (1.1)
  --without FEATURE        what it lacks by choice; its checks are skipped
  --with FEATURE           what it has beyond its version
  --strict                 an optional feature that it lacks undeclared is a failure
  --only TEXT              the cases whose suite/case contains the text
  --namespace NAME         the first components of the repositories (conformance)
  --username NAME          with the password on standard input: --password-stdin
  --tls-ca FILE            the certificate that TLS trusts
  --tags N                 how many tags the long listing has (60)
  --json                   one JSON object for each check
  --verbose                every check that passed, too

Features:
${FEATURES.map((name) => `  ${name.padEnd(24)} ${featureFacts(name).title}`).join('\n')}
`

/** Where a command reads and writes. */
export interface CommandStreams {
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

/** What the user wrote is not what the command takes. */
class UsageError extends Error {}

/** Runs the command: 0 where all holds, 1 where a check failed, 2 where it was called wrongly. */
export async function runCommand(
  args: readonly string[],
  streams: CommandStreams,
): Promise<number> {
  try {
    const parsed = parse(args)
    if (parsed.values.help === true) {
      streams.stdout.write(USAGE)
      return 0
    }
    const registry = await registryOf(parsed, streams.stdin)
    const report = parsed.values.json === true ? jsonReport(streams) : textReport(streams, parsed)
    let failed = 0
    for await (const result of runConformance(registry, parsed.values.only)) {
      report.add(result)
      if (result.outcome === 'failed') failed += 1
    }
    report.end(registry)
    return failed === 0 ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    streams.stderr.write(`${error.message}\n`)
    return 2
  }
}

type Parsed = ReturnType<typeof parse>

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

async function registryOf(
  { values, positionals }: Parsed,
  stdin: NodeJS.ReadableStream,
): Promise<RegistryUnderTest> {
  const [url, ...others] = positionals
  if (url === undefined || others.length > 0) throw new UsageError(USAGE)
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new UsageError(`URL: expected http://… or https://…, got ${url}`)
  }
  const version = values.version ?? '1.1'
  if (!isSpecVersion(version))
    throw new UsageError(`--version: expected 1.0, 1.1 or dev, got ${version}`)
  const tags = Number(values.tags ?? 60)
  if (!Number.isSafeInteger(tags) || tags < 1) {
    throw new UsageError(`--tags: expected a number from 1, got ${values.tags}`)
  }
  const hasPassword = values['password-stdin'] === true
  if (hasPassword !== (values.username !== undefined)) {
    throw new UsageError('--username and --password-stdin belong together')
  }
  const password = hasPassword ? (await text(stdin)).replace(/\r?\n$/, '') : ''
  const ca = values['tls-ca']
  return {
    url,
    version,
    tags,
    with: features('--with', values.with),
    without: features('--without', values.without),
    strict: values.strict === true,
    ...(values.namespace === undefined ? {} : { namespace: values.namespace }),
    ...(values.username === undefined
      ? {}
      : { credentials: { username: values.username, password } }),
    ...(ca === undefined ? {} : { ca: await readFile(ca, 'utf8') }),
  }
}

/** Features of an option that may be given more than once, and hold a list each. */
function features(option: string, values: readonly string[] = []): readonly Feature[] {
  return values
    .flatMap((value) => value.split(','))
    .map((name) => {
      if (isFeature(name)) return name
      throw new UsageError(`${option}: expected ${FEATURES.join(', ')}, got ${name}`)
    })
}

interface Report {
  add(result: CheckResult): void
  end(registry: RegistryUnderTest): void
}

function jsonReport({ stdout }: CommandStreams): Report {
  return { add: (result) => stdout.write(`${JSON.stringify(result)}\n`), end: () => {} }
}

/** One line for each case, and one for each check that did not pass. */
function textReport({ stdout }: CommandStreams, { values }: Parsed): Report {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  let open: CheckResult[] = []
  const flush = (): void => {
    const [first] = open
    if (first === undefined) return
    stdout.write(linesOf(first.caseName, open, values.verbose === true))
    open = []
  }
  return {
    add(result) {
      if (open[0]?.caseName !== result.caseName) flush()
      open.push(result)
      counts[result.outcome] += 1
    },
    end({ url, version }) {
      flush()
      const { passed, failed, skipped } = counts
      stdout.write(
        `\n${url}, version ${version}: ${passed} passed, ${failed} failed, ${skipped} skipped\n`,
      )
    },
  }
}

const MARKS = { passed: 'ok', failed: 'FAIL', skipped: 'skip' } as const

function linesOf(caseName: string, results: readonly CheckResult[], isVerbose: boolean): string {
  const outcomes = new Set(results.map(({ outcome }) => outcome))
  const whole = outcomes.has('failed') ? 'failed' : outcomes.has('passed') ? 'passed' : 'skipped'
  const passed = results.filter(({ outcome }) => outcome === 'passed').length
  const lines = [`${MARKS[whole].padEnd(4)} ${caseName} (${passed} of ${results.length})`]
  for (const { outcome, name, reason = '', requests = [] } of results) {
    if (outcome === 'passed' && !isVerbose) continue
    const said = [name, reason].filter((part) => part !== '').join(': ')
    lines.push(`       ${MARKS[outcome].padEnd(4)} ${said}`)
    lines.push(...requests.map((request) => `              ${request}`))
  }
  return `${lines.join('\n')}\n`
}
