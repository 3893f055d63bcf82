import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { digestOf } from '@s3lo/core'
import { TAR_END, tarFile } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const STORE = 'local://./store/app'

/** An image whose layer is larger than what a pipe holds. */
function dockerArchive(): Buffer {
  const layer = Buffer.concat([tarFile('file', Buffer.alloc(1024 * 1024, 'x')), TAR_END])
  const rootfs = { type: 'layers', diff_ids: [digestOf(layer)] }
  const config = JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs })
  const listed = [{ Config: 'c.json', RepoTags: ['app:v1'], Layers: ['l/layer.tar'] }]
  return Buffer.concat([
    tarFile('manifest.json', JSON.stringify(listed)),
    tarFile('c.json', config),
    tarFile('l/layer.tar', layer),
    TAR_END,
  ])
}

let folder: string
let digest: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 's3lo-streams-test-'))
  writeFileSync(join(folder, 'image.tar'), dockerArchive())
  digest = shell(`s3lo push docker-archive:image.tar ${STORE}:v1`).stdout.toString()
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** Runs a line of a shell in which `s3lo` is the program. */
function shell(line: string): { status: number | null; stdout: Buffer; stderr: string } {
  const run = `s3lo() { "${process.execPath}" --conditions=s3lo-source "${MAIN}" "$@"; }`
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const env = { HOME: folder, PATH, NODE_COMPILE_CACHE }
  const options = { cwd: folder, env, maxBuffer: 16 * 1024 * 1024 }
  const { status, stdout, stderr } = spawnSync('bash', ['-c', `${run}\n${line}`], options)
  return { status, stdout, stderr: stderr.toString() }
}

describe.skipIf(process.platform === 'win32')('an archive on the standard streams', () => {
  it('is pushed from a pipe as - and as /dev/stdin, and only the digest is printed', () => {
    const lines = [
      `cat image.tar | s3lo push docker-archive:- ${STORE}:v1`,
      `gzip -c image.tar | s3lo push docker-archive:/dev/stdin ${STORE}:v3`,
    ]
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}\n$/)
    for (const line of lines) expect(shell(line).stdout.toString()).toBe(digest)
  })

  it('is pulled to a pipe or a file, which then has nothing else', () => {
    const piped = shell(`s3lo pull ${STORE}:v1 docker-archive:-:app:v1`)
    expect(piped.status).toBe(0)
    expect(piped.stderr).toContain(digest)
    writeFileSync(join(folder, 'pulled.tar'), piped.stdout)
    const again = shell(`s3lo push docker-archive:pulled.tar:app:v1 ${STORE}:again`)
    expect(again.stdout.toString()).toBe(digest)
    const redirected = shell(
      `s3lo copy ${STORE}:v1 oci-archive:/dev/stdout > copied.tar && ` +
        `s3lo push oci-archive:copied.tar ${STORE}:copied`,
    )
    expect(redirected.stdout.toString()).toBe(digest)
  })

  it('ends in silence when its reader leaves early', () => {
    const line = `s3lo pull ${STORE}:v1 docker-archive:- --quiet | head -c 1 > /dev/null`
    const { stdout, stderr } = shell(`${line}; echo "\${PIPESTATUS[0]}"`)
    expect({ status: stdout.toString(), stderr }).toEqual({ status: '141\n', stderr: '' })
  })
})
