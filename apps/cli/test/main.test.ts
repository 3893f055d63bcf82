import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-cli-test-'))
  await mkdir(join(folder, 'store/manifests/app/v1'), { recursive: true })
  await writeFile(join(folder, 'store/manifests/app/v1/manifest.json'), '{}')
  await writeHangingPlugin()
})

afterAll(async () => {
  await rm(folder, { recursive: true })
})

/** Backends that never answer: `hang://` stops when it is told to, `stuck://` does not even then. */
async function writeHangingPlugin(): Promise<void> {
  for (const scheme of ['hang', 'stuck']) {
    const home = join(folder, 'node_modules', `s3lo-backend-${scheme}`)
    await mkdir(home, { recursive: true })
    await writeFile(
      join(home, 'package.json'),
      JSON.stringify({
        name: `s3lo-backend-${scheme}`,
        version: '1.0.0',
        type: 'module',
        keywords: ['s3lo-plugin'],
        exports: { './plugin': './plugin.js' },
      }),
    )
    const onAbort =
      scheme === 'hang'
        ? `signal.addEventListener('abort', () => { clearInterval(alive); reject(signal.reason) })`
        : ''
    await writeFile(
      join(home, 'plugin.js'),
      `export default {
        name: 's3lo-backend-${scheme}',
        apiVersion: 1,
        backends: {
          ${scheme}: {
            summary: 'never answers',
            load: async () => ({
              openBackend: (location, { signal }) => new Promise((resolve, reject) => {
                const alive = setInterval(() => {}, 1000)
                ${onAbort}
                process.emitWarning('what only the author of a library understands')
                process.stderr.write('ready\\n')
              }),
            }),
          },
        },
      }`,
    )
  }
}

interface StartOptions {
  readonly stdout?: 'pipe' | number
  readonly nodeOptions?: readonly string[]
}

function start(argv: readonly string[], options: StartOptions = {}): ChildProcess {
  const { stdout = 'pipe', nodeOptions = [] } = options
  return spawn(process.execPath, ['--conditions=s3lo-source', ...nodeOptions, MAIN, ...argv], {
    cwd: folder,
    stdio: ['ignore', stdout, 'pipe'],
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      HOME: folder,
      XDG_CACHE_HOME: join(folder, 'cache'),
      XDG_CONFIG_HOME: join(folder, 'config'),
      S3LO_PLUGIN_PATH: folder,
    },
  })
}

async function ended(child: ChildProcess): Promise<{
  status: number | null
  stdout: string
  stderr: string
}> {
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk) => (output.stdout += String(chunk)))
  child.stderr?.on('data', (chunk) => (output.stderr += String(chunk)))
  await once(child, 'close')
  return { status: child.exitCode, ...output }
}

/** Waits until the command hangs, sends the signals, and gives its end. */
async function interrupted(argv: readonly string[], signals: readonly NodeJS.Signals[]) {
  const child = start(argv)
  const end = ended(child)
  const { stderr } = child
  if (stderr) await once(stderr, 'data')
  for (const signal of signals) child.kill(signal)
  return end
}

describe('the process', () => {
  it('prints its version', async () => {
    const { version } = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    ) as { version: string }
    for (const argv of [['--version'], ['version'], ['--version', '--quiet']]) {
      const { status, stdout } = await ended(start(argv))
      expect({ status, stdout }).toEqual({ status: 0, stdout: `s3lo ${version} (development)\n` })
    }
  })

  it('lists a local store', async () => {
    const { status, stdout, stderr } = await ended(start(['list', 'local://./store/']))
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'app:v1\n', stderr: '' })
  })

  it('ends with the status of the error', async () => {
    expect(await ended(start(['lsit']))).toMatchObject({ status: 64, stdout: '' })
    expect((await ended(start(['inspect', 'local://./store/app:v2']))).status).toBe(66)
    expect((await ended(start(['list', 'nosuch://x/']))).status).toBe(69)
  })

  it('says which Node it needs when run by an older one', async () => {
    const older =
      'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.1.0"}})'
    const { status, stderr } = await ended(
      start(['list', 'local://./store/'], { nodeOptions: ['--import', older] }),
    )
    expect(status).toBe(69)
    expect(stderr).toMatch(/^error: s3lo needs Node 22\.19 or newer, this is v[\d.]+\n$/)
  })

  it('ends with 70 when it ends without having said how', async () => {
    const quitting = 'data:text/javascript,setTimeout(()=>process.exit(),0)'
    const { status } = await ended(
      start(['list', 'stuck://x/'], { nodeOptions: ['--import', quitting] }),
    )
    expect(status).toBe(70)
  })
})

describe('standard output', () => {
  it('may be left by its reader at any time', async () => {
    const child = start(['list', 'local://./store/'])
    child.stdout?.destroy()
    const { status, stderr } = await ended(child)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it.runIf(process.platform !== 'win32')('may be closed', async () => {
    const child = spawn(
      'sh',
      [
        '-c',
        'exec "$0" "$@" >&-',
        process.execPath,
        '--conditions=s3lo-source',
        MAIN,
        'list',
        'local://./store/',
      ],
      {
        cwd: folder,
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { HOME: folder, PATH: process.env['PATH'] },
      },
    )
    const { status, stderr } = await ended(child)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it.runIf(existsSync('/dev/full'))('is an IO error when its disk is full', async () => {
    for (const argv of [
      ['list', 'local://./store/'],
      ['list', 'local://./store/', '-o', 'json'],
      ['--version'],
      ['--help'],
    ]) {
      const { status, stderr } = await ended(start(argv, { stdout: openSync('/dev/full', 'w') }))
      expect({ argv, status }).toEqual({ argv, status: 74 })
      expect(stderr).toMatch(/^error: cannot write the output: .*ENOSPC/)
    }
  })
})

describe.runIf(process.platform !== 'win32')('a signal', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s stops the work with status %i', async (signal, status) => {
    const result = await interrupted(['list', 'hang://x/'], [signal])
    expect(result).toMatchObject({ status, stdout: '', stderr: 'ready\ninterrupted\n' })
  })

  it('stops what hangs and says how to resume a transfer', async () => {
    const argv = ['pull', 'stuck://x/app:v1', 'oci:nothing']
    const result = await interrupted(argv, ['SIGINT'])
    expect(result.status).toBe(130)
    expect(result.stderr).toContain(
      'interrupted; run the same command again to resume: s3lo pull stuck://x/app:v1 oci:nothing\n',
    )
  })

  it('that comes again stops at once', async () => {
    const child = start(['list', 'stuck://x/'])
    const end = ended(child)
    if (child.stderr) await once(child.stderr, 'data')
    child.kill('SIGINT')
    // The same signal twice before it is handled is one signal.
    const again = setInterval(() => child.kill('SIGINT'), 20)
    const { status, stderr } = await end
    clearInterval(again)
    // Nothing was waited for, so nothing is said.
    expect({ status, stderr }).toEqual({ status: 130, stderr: 'ready\n' })
  })
})

describe('--timeout', () => {
  it('ends even what does not listen', async () => {
    const { status, stderr } = await ended(start(['list', 'stuck://x/', '--timeout', '200ms']))
    expect({ status, stderr }).toEqual({
      status: 75,
      stderr:
        'ready\nerror: timed out after 200ms\n' +
        'hint: try again, or give it longer with --timeout\n',
    })
  })
})
