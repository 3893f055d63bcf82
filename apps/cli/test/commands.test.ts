import { digestOf, type Host, S3loError } from '@s3lo/core'
import { imageFixture, indexFixture, putImage } from '@s3lo/core/testing'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { MemoryWorld } from './run-cli.ts'

let world: MemoryWorld

beforeEach(() => {
  world = new MemoryWorld()
})

async function put(name: string, tag: string, label = ''): Promise<void> {
  await putImage(world.bucket('b'), { name, tag }, imageFixture({ layers: ['a', 'bc'], label }))
}

describe('list', () => {
  it('prints one image and tag a line, in order', async () => {
    await put('team/app', 'v2')
    await put('team/app', 'v1')
    await put('base', 'latest')
    expect(await world.run(['list', 'mem://b/'])).toEqual({
      status: 0,
      stdout: 'base:latest\nteam/app:v1\nteam/app:v2\n',
      stderr: '',
    })
    expect((await world.run(['ls', 'mem://b/team/'])).stdout).toBe('team/app:v1\nteam/app:v2\n')
  })

  it('says that an empty store is empty', async () => {
    expect((await world.run(['list', 'mem://b/'])).stdout).toBe('No images found.\n')
    expect((await world.run(['list', 'mem://b/', '-o', 'json'])).stdout).toBe('[]\n')
  })

  it('says how a deeper directory is written when a name in a directory finds nothing', async () => {
    const empty = { list: () => Promise.resolve([]) }
    const { status, stderr } = await world.run(['list', 'local:///var/lib/images'], { host: empty })
    expect(status).toBe(0)
    expect(stderr).toContain('s3lo list local:///var/lib/images//\n')
    const whole = await world.run(['list', 'local:///var/lib/images//'], { host: empty })
    const elsewhere = await world.run(['list', 'mem://var/lib/images'], { host: empty })
    expect([whole.stderr, elsewhere.stderr]).toEqual(['', ''])
    const host = { list: () => Promise.resolve([{ name: 'lib/images', tags: ['v1'] }]) }
    expect((await world.run(['list', 'local:///var/lib/images'], { host })).stderr).toBe('')
  })

  it('prints one document of JSON, indented by two, or of YAML', async () => {
    await put('app', 'v1')
    const expected = [{ name: 'app', tags: ['v1'] }]
    const { stdout } = await world.run(['list', 'mem://b/', '-o', 'json'])
    expect(stdout).toBe(`${JSON.stringify(expected, undefined, 2)}\n`)
    const yaml = await world.run(['list', 'mem://b/', '--output=yaml'])
    expect(parseYaml(yaml.stdout)).toEqual(expected)
    expect((await world.run(['list', 'mem://b/', '-o', 'table'])).stdout).toBe('app:v1\n')
  })

  it('spells out control characters in names', async () => {
    const list = () => Promise.resolve([{ name: 'a\u001b[2J\r\n', tags: ['v\u202e1'] }])
    const { stdout } = await world.run(['list', 'mem://b/'], { host: { list } })
    expect(stdout).toBe('a\\x1b[2J\\r\\n:v\\u{202e}1\n')
  })

  it('takes global options before the command', async () => {
    await put('app', 'v1')
    const argv = ['--endpoint', 'http://localhost:9000', '-o', 'json', 'list', 'mem://b/']
    let endpoint: string | undefined
    const { stdout } = await world.run(argv, { onHost: (options) => (endpoint = options.endpoint) })
    expect(JSON.parse(stdout)).toEqual([{ name: 'app', tags: ['v1'] }])
    expect(endpoint).toBe('http://localhost:9000')
  })
})

describe('inspect', () => {
  it('shows the layers of a single image in the shape that scripts know', async () => {
    await put('app', 'v1')
    const { stdout } = await world.run(['inspect', 'mem://b/app:v1'])
    expect(stdout).toBe(
      [
        'Reference: mem://b/app:v1',
        `Digest:    ${imageFixture({ layers: ['a', 'bc'], label: '' }).root.descriptor.digest}`,
        'Type:      single-arch image',
        'Layers:    2',
        'Total:     3 B',
        'Label:     label=',
        '',
        `  [1] ${digestOf(Buffer.from('a'))} (1 B)`,
        `  [2] ${digestOf(Buffer.from('bc'))} (2 B)`,
        '',
      ].join('\n'),
    )
  })

  it('shows the platforms of an index, and attestations under theirs', async () => {
    const platforms = {
      'linux/amd64': imageFixture({ layers: ['a'] }),
      'linux/arm64': imageFixture({ layers: ['b'], platform: 'linux/arm64' }),
    }
    const index = indexFixture(platforms, { attestations: true })
    await putImage(world.bucket('b'), { name: 'app', tag: 'v1' }, index)
    const { stdout } = await world.run(['inspect', 'mem://b/app:v1'])
    const lines = stdout.split('\n')
    expect(lines[2]).toBe('Type:      multi-arch image index (2 platform(s), 2 attestation(s))')
    expect(lines.slice(3, 11)).toEqual([
      '',
      '  Platform: linux/amd64',
      expect.stringMatching(/^ {2}Digest: {3}sha256:[0-9a-f]{64}$/),
      '  Layers:   1',
      '  Size:     1 B',
      '  Label:    label=',
      expect.stringMatching(/^ {4}\[1\] sha256:[0-9a-f]{64} \(1 B\)$/),
      expect.stringMatching(/^ {4}Attestation: sha256:[0-9a-f]{64} \(\d+ B\)$/),
    ])
    expect(lines.filter((line) => line.includes('Platform:'))).toHaveLength(2)
  })

  it('shows when an image was made and how it is run, escaped', async () => {
    const config = {
      user: 'app',
      entrypoint: ['/bin/app', '--x'],
      cmd: ['\u001b[2J'],
      env: ['PATH=/bin', 'A=\u001b'],
      ports: ['80/tcp', '443/tcp'],
      labels: { 'org.example': 'v\u202e' },
    }
    const base = { reference: 'r', digest: 'sha256:00', media_type: 'm', is_index: false }
    const created = '2026-01-02T03:04:05Z'
    const inspect = () => Promise.resolve({ ...base, created, config })
    const { stdout } = await world.run(['inspect', 'mem://b/app:v1'], { host: { inspect } })
    expect(stdout.split('\n').slice(5, 13)).toEqual([
      'Created:   2026-01-02T03:04:05Z',
      'User:      app',
      'Entrypoint: ["/bin/app","--x"]',
      String.raw`Cmd:       ["\u001b[2J"]`,
      'Ports:     80/tcp, 443/tcp',
      'Env:       PATH=/bin',
      String.raw`Env:       A=\x1b`,
      String.raw`Label:     org.example=v\u{202e}`,
    ])
  })

  it('prints the manifest byte for byte with --raw', async () => {
    await put('app', 'v1')
    const { content } = imageFixture({ layers: ['a', 'bc'], label: '' }).root
    const raw = await world.run(['inspect', 'mem://b/app:v1', '--raw'])
    expect(raw).toEqual({ status: 0, stdout: Buffer.from(content).toString(), stderr: '' })
    expect((await world.run(['inspect', 'mem://b/app:v1', '--raw', '-o', 'json'])).status).toBe(64)
  })

  it('shows signatures and attachments, escaped', async () => {
    const inspect = () =>
      Promise.resolve({
        reference: 'mem://b/app:v1',
        digest: 'sha256:00',
        media_type: 'm',
        is_index: false,
        signatures: [
          { key_id: 'k\u001b', key_ref: 'cosign.key', signed_at: '2026-01-02T03:04:05Z' },
        ],
        attachments: [{ digest: `sha256:${'1'.repeat(64)}`, artifact_type: 'sbom', size: 2048 }],
      })
    const { stdout } = await world.run(['inspect', 'mem://b/app:v1'], { host: { inspect } })
    expect(stdout).toContain(
      '\nSignatures:\n  k\\x1b  (key: cosign.key, signed: 2026-01-02T03:04:05Z)\n',
    )
    expect(stdout).toContain(`\nAttachments:\n  sha256:${'1'.repeat(64)}  sbom  (2.0 kB)\n`)
  })
})

describe('push --dry-run', () => {
  it('shows what would be sent, a line for each blob', async () => {
    const digest = (digit: string): string => `sha256:${digit.repeat(64)}`
    const blob = { media_type: 'm', exists: false }
    const planned = {
      ref: 'mem://b/app:v1',
      digest: digest('0'),
      bytes: 30_000_512,
      chunks: 7,
      chunks_uploaded: 1,
      bytes_uploaded: 4_000_512,
      blobs_uploaded: 2,
      blobs_skipped: 1,
      dry_run: true as const,
      blobs: [
        { ...blob, digest: digest('1'), size: 512, bytes_uploaded: 512 },
        {
          ...blob,
          digest: digest('2'),
          size: 25_000_000,
          bytes_uploaded: 4_000_000,
          chunks: 7,
          chunks_uploaded: 1,
        },
        { ...blob, exists: true, digest: digest('3'), size: 5_000_000, bytes_uploaded: 0 },
      ],
    }
    const push = vi.fn<Host['push']>(() => Promise.resolve(planned))
    const run = (...flags: string[]) =>
      world.run(['push', 'app:v1', 'mem://b/app:v1', '--dry-run', ...flags], { host: { push } })
    expect(await run()).toEqual({
      status: 0,
      stdout: [
        `${digest('0')}: 30.0 MB, 2 blob(s) to send (4.0 MB), 1 already there`,
        '',
        `${'BLOB'.padEnd(71)}  SIZE      TO SEND   CHUNKS`,
        '-'.repeat(103),
        `${digest('1')}  512 B     512 B`,
        `${digest('2')}  25.0 MB   4.0 MB    1 of 7 new`,
        `${digest('3')}  5.0 MB    nothing`,
        '',
      ].join('\n'),
      stderr: '',
    })
    expect(push.mock.calls[0]?.[2]).toMatchObject({ dryRun: true })
    expect(JSON.parse((await run('-o', 'json')).stdout)).toEqual(planned)
  })
})

describe('history', () => {
  it('shows a store as a table', async () => {
    const row = {
      name: 'app',
      tags: 5,
      last_pushed_at: '2026-04-12T14:30:00Z',
      total_size_bytes: 61_551_411,
    }
    const history = () => Promise.resolve({ of: 'store' as const, rows: [row] })
    const { stdout } = await world.run(['history', 'mem://b/'], { host: { history } })
    const local = new Date('2026-04-12T14:30:00Z')
    const time = `${local.getFullYear()}-04-${String(local.getDate()).padStart(2, '0')} ${local.toTimeString().slice(0, 8)}`
    expect(stdout).toBe(
      [
        'REPOSITORY            TAGS   LAST PUSHED           TOTAL SIZE',
        '-'.repeat(66),
        `app                   5      ${time}   61.6 MB`,
        '',
      ].join('\n'),
    )
  })

  it('shows an image as a table, overwritten pushes marked', async () => {
    const row = { pushed_at: 'no time', size_bytes: 12, digest: `sha256:${'1'.repeat(64)}` }
    const rows = [
      { tag: 'v1', ...row, forced: true as const },
      { tag: 'v1', ...row, superseded: true as const },
    ]
    const history = () => Promise.resolve({ of: 'image' as const, image: 'app', rows })
    const { stdout } = await world.run(['history', 'mem://b/app', '--all'], {
      host: { history },
    })
    expect(stdout).toBe(
      [
        'TAG                   PUSHED                SIZE        DIGEST',
        '-'.repeat(80),
        `v1                    no time               12 B        ${row.digest} (forced)`,
        `v1 (overridden)       no time               12 B        ${row.digest}`,
        '',
      ].join('\n'),
    )
  })

  it('narrows to the tag that is named', async () => {
    await put('app', 'v1', 'one')
    await put('app', 'v2', 'two')
    const { stdout } = await world.run(['history', 'mem://b/app:v2', '-o', 'json'])
    expect(JSON.parse(stdout)).toEqual([expect.objectContaining({ tag: 'v2' })])
    const missing = await world.run(['history', 'mem://b/app:v3'])
    expect(missing).toMatchObject({ status: 66, stdout: '' })
    expect(missing.stderr).toContain('hint: s3lo history memory://b/app ')
  })

  it('shows ten rows and says that there are more, unless it is told how many', async () => {
    const row = { tags: 1, last_pushed_at: '2026-04-12T14:30:00Z', total_size_bytes: 1 }
    const rows = Array.from({ length: 12 }, (_, i) => ({ name: `app${i}`, ...row }))
    const host = { history: () => Promise.resolve({ of: 'store' as const, rows }) }
    const count = async (...argv: readonly string[]) => {
      const { stdout, stderr } = await world.run(['history', 'mem://b/', ...argv], { host })
      return [stdout.split('\n').filter((line) => line.startsWith('app')).length, stderr]
    }
    expect(await count()).toEqual([10, 'note: 10 of 12 rows are shown: --limit 0 shows all\n'])
    expect(await count('--limit', '5')).toEqual([5, ''])
    expect(await count('--limit', '0')).toEqual([12, ''])
    expect((await world.run(['history', 'mem://b/', '--limit', 'many'])).status).toBe(64)
  })
})

describe('delete', () => {
  it('deletes one tag and says so on standard error', async () => {
    await put('app', 'v1')
    const { status, stdout, stderr } = await world.run(['delete', 'mem://b/app:v1'])
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
    expect(stderr).toMatch(
      /^Deleted mem:\/\/b\/app:v1\nThe image stays pullable by digest until .*\n$/,
    )
  })

  it('keeps nothing with --purge, and names what still has the image', async () => {
    await put('app', 'v1')
    await put('app', 'v2')
    const { stderr } = await world.run(['delete', 'mem://b/app:v1', '--purge'])
    expect(stderr).toMatch(/^Deleted .*\napp:v2 still names sha256:[0-9a-f]{64}\nContent .*\n$/)
  })

  it('gives an object for one reference, a list for several and for all tags', async () => {
    for (const tag of ['1', '2', '3', '4', '5']) await put('app', tag)
    const one = await world.run(['rm', 'mem://b/app:1', '-o', 'json'])
    expect(JSON.parse(one.stdout)).toMatchObject({ ref: 'mem://b/app:1', deleted: true })
    const two = await world.run(['rm', 'mem://b/app:2', 'mem://b/app:3', '-o', 'json'])
    expect(JSON.parse(two.stdout)).toHaveLength(2)
    const rest = await world.run(['delete', 'mem://b/app', '--all-tags', '-o', 'json'])
    expect(JSON.parse(rest.stdout)).toMatchObject([
      { ref: 'mem://b/app:4', deleted: true },
      { ref: 'mem://b/app:5', deleted: true },
    ])
  })

  it('reports what was deleted before a failure, and the status of the failure', async () => {
    await put('app', 'v1')
    const argv = ['delete', 'mem://b/app:v1', 'mem://b/app:v2']
    const text = await world.run(argv)
    expect(text.status).toBe(66)
    expect(text.stderr).toMatch(/^Deleted mem:\/\/b\/app:v1\nerror: .*app:v2.*\nhint: /)
    await put('app', 'v1')
    const json = await world.run([...argv, '-o', 'json'])
    expect(json).toMatchObject({ status: 66, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({
      error: { code: 'NOT_FOUND' },
      deleted: [{ ref: 'mem://b/app:v1', deleted: true }],
    })
  })

  it('reports each tag of --all-tags as it goes', async () => {
    for (const tag of ['1', '2', '3']) await put('app', tag)
    const bucket = world.bucket('b')
    const isThere = bucket.head.bind(bucket)
    bucket.head = (key, options) =>
      key === 'manifests/app/3/manifest.json'
        ? Promise.reject(new S3loError('UNAVAILABLE', 'the store does not answer'))
        : isThere(key, options)
    const argv = ['delete', 'mem://b/app', '--all-tags']
    const text = await world.run(argv)
    expect(text.status).toBe(75)
    expect(text.stderr).toMatch(
      /^Deleted mem:\/\/b\/app:1\nDeleted mem:\/\/b\/app:2\nerror: the store does not answer\n/,
    )
    await put('app', '1')
    const json = await world.run([...argv, '-o', 'json'])
    expect(JSON.parse(json.stdout)).toMatchObject({
      error: { code: 'UNAVAILABLE' },
      deleted: [{ ref: 'mem://b/app:1', deleted: true }],
    })
  })

  it('needs --force for an immutable image', async () => {
    await put('app', 'v1')
    await world.bucket('b').put('s3lo.yaml', Buffer.from('default:\n  immutable: true\n'))
    expect((await world.run(['delete', 'mem://b/app:v1'])).status).toBe(73)
    expect((await world.run(['delete', 'mem://b/app:v1', '--force'])).status).toBe(0)
  })
})

describe('push, pull and copy', () => {
  beforeEach(async () => {
    world.images['app:v1'] = imageFixture({ layers: ['one', 'two'] })
    // The digest that is printed is that of the source.
    await world.bucket('b').put('s3lo.yaml', Buffer.from('chunked: false\n'))
  })

  it('print the digest alone on standard output, and what was done on standard error', async () => {
    const { digest } = world.images['app:v1']!.root.descriptor
    const stdout = `${digest}\n`
    const size = String.raw`\d+ B in \d\.\ds`
    const pushed = await world.run(['push', 'fix:app:v1', 'mem://b/app:v1'])
    expect(pushed).toMatchObject({ status: 0, stdout })
    expect(pushed.stderr).toMatch(
      new RegExp(
        `^Pushing fix:app:v1 to mem://b/app:v1\nDone\\. ${digest}: ${size}, 3 blob\\(s\\) sent \\(\\d+ B\\), 0 already there\\.\n$`,
      ),
    )
    const again = await world.run(['push', 'fix:app:v1', 'mem://b/app:v1'])
    expect(again.stdout).toBe(stdout)
    expect(again.stderr).toMatch(/, 0 blob\(s\) sent \(0 B\), 3 already there \(\d+ B\)\.\n$/)
    const pulled = await world.run(['pull', 'mem://b/app:v1'])
    expect(pulled).toMatchObject({ status: 0, stdout })
    expect(pulled.stderr).toMatch(/, 3 blob\(s\) sent .*\nImage imported into Docker\.\n$/)
    const copied = await world.run(['copy', 'mem://b/app:v1', 'mem://c/app:v1'])
    expect(copied).toMatchObject({ status: 0, stdout })
    expect(copied.stderr).toMatch(
      new RegExp(
        `\nDone\\. ${digest}: ${size}, 3 blob\\(s\\) copied \\(\\d+ B\\), 0 skipped \\(already exist\\)\\.\n$`,
      ),
    )
  })

  it('say nothing on standard output when that carries an archive', async () => {
    const result = { ref: 'r', image_tag: 't', digest: 'sha256:00', bytes: 1 }
    const moved = { blobs_copied: 1, blobs_skipped: 0, bytes_copied: 1 }
    const host = { pull: () => Promise.resolve({ ...result, ...moved }) }
    for (const path of ['-', '-:app:v1', '/dev/stdout', '/dev/fd/1:app:v1']) {
      const argv = ['pull', 'mem://b/app:v1', `docker-archive:${path}`]
      const text = await world.run(argv, { host })
      expect(text.stdout).toBe('')
      expect(text.stderr).toContain('\nsha256:00\n')
      const json = await world.run([...argv, '-o', 'json'], { host })
      expect(json.stdout).toBe('')
      expect(JSON.parse(json.stderr)).toMatchObject(result)
    }
    const file = await world.run(['pull', 'mem://b/app:v1', 'oci-archive:./-'], { host })
    expect(file.stdout).toBe('sha256:00\n')
  })

  it('end in silence when the reader of an archive has left', async () => {
    const cause = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
    const host = { copy: () => Promise.reject(new S3loError('IO', 'broken pipe', { cause })) }
    const left = await world.run(['copy', 'mem://b/a:1', 'oci-archive:-', '--quiet'], { host })
    expect(left).toEqual({ status: 141, stdout: '', stderr: '' })
    const other = await world.run(['copy', 'mem://b/a:1', 'oci-archive:x', '--quiet'], { host })
    expect(other.status).toBe(74)
  })

  it('print the result alone as a document', async () => {
    const { stdout, stderr } = await world.run([
      'push',
      'fix:app:v1',
      'mem://b/app:v1',
      '-o',
      'json',
    ])
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ ref: 'mem://b/app:v1', blobs_uploaded: 3 })
  })

  it('say nothing but the digest with --quiet', async () => {
    const { digest } = world.images['app:v1']!.root.descriptor
    const result = await world.run(['push', 'fix:app:v1', 'mem://b/app:v1', '--quiet'])
    expect(result).toEqual({ status: 0, stdout: `${digest}\n`, stderr: '' })
  })

  it('print notices as a line each, except with --quiet', async () => {
    const operations = {
      push: (_from: string, _to: string, options: { onProgress?: unknown } = {}) => {
        const { onProgress } = options
        if (typeof onProgress === 'function') {
          onProgress({ type: 'notice', code: 'platforms-left', message: 'left\nover' })
        }
        return Promise.reject(new S3loError('CONFLICT', 'tag app:v1 exists'))
      },
    }
    const argv = ['push', 'a', 'mem://b/a:1']
    const { stderr } = await world.run(argv, { host: operations })
    expect(stderr).toContain('\nnote: left\\nover\nerror: tag app:v1 exists\n')
    const quiet = await world.run([...argv, '--quiet'], { host: operations })
    expect(quiet.stderr).toBe('error: tag app:v1 exists\n')
  })

  it('count platforms where there are several and say that signatures stayed behind', async () => {
    const copy = () =>
      Promise.resolve({
        digest: 'sha256:00',
        bytes: 12,
        blobs_copied: 4,
        blobs_skipped: 1,
        bytes_copied: 9,
        platforms: 2,
        attestations: 2,
        foreign_layers: 0,
        referrers_copied: 0,
        referrers_dropped: [],
        signatures_dropped: 1,
      })
    const { stderr } = await world.run(['copy', 'mem://b/a:1', 'mem://c/a:2'], { host: { copy } })
    expect(stderr).toMatch(
      /Done\. sha256:00: 12 B in \d\.\ds, 2 platforms, 2 attestations, 4 blob\(s\) copied \(9 B\), 1 skipped \(already exist\)\.\n/,
    )
    expect(stderr).toContain('s3lo sign mem://c/a:2 --key KEY')
  })

  it('pass their options on', async () => {
    const seen: unknown[] = []
    const copy = (...given: unknown[]) => {
      seen.push(given[2])
      return Promise.reject(new S3loError('NOT_FOUND', 'nothing'))
    }
    let made: unknown
    await world.run(
      [
        'copy mem://b/a:1 mem://c/a:1 --force --referrers none',
        '--platform linux/amd64 --platform=linux/arm64',
        '--source-endpoint http://one --dest-endpoint https://two --plain-http',
      ].flatMap((words) => words.split(' ')),
      { host: { copy }, onHost: (options) => (made = options) },
    )
    expect(seen).toEqual([
      expect.objectContaining({
        platforms: ['linux/amd64', 'linux/arm64'],
        force: true,
        referrers: 'none',
      }),
    ])
    expect(made).toMatchObject({
      sourceEndpoint: 'http://one',
      destEndpoint: 'https://two',
      plainHttp: true,
    })
  })
})

describe('copy of several tags', () => {
  beforeEach(async () => {
    for (const tag of ['v1.0', 'v1.1', 'v2.0']) {
      await putImage(world.bucket('b'), { name: 'app', tag }, imageFixture({ layers: [tag] }))
    }
  })

  it('shows with --dry-run what a pattern selects', async () => {
    await world.run(['copy', 'mem://b/app:v1.0', 'mem://c/app:v1.0'])
    const { stdout, stderr, status } = await world.run([
      'copy',
      'mem://b/app:v1.*',
      'mem://c/app',
      '--dry-run',
    ])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(
      /^v1\.0 {2}unchanged {2}sha256:\w{64}\nv1\.1 {2}copy {7}sha256:\w{64}\n$/,
    )
    expect(await world.bucket('c').head('manifests/app/v1.1/manifest.json')).toBeUndefined()
  })

  it('says of each what became of it, and fails with the status of the first failure', async () => {
    await world.bucket('b').put('manifests/app/v1.1/manifest.json', Buffer.from('{}'))
    const argv = ['copy', '--all-tags', 'mem://b/app', 'mem://c/app']
    const { stdout, stderr, status } = await world.run(argv)
    expect(status).toBe(65)
    expect(stdout).toMatch(/^v1\.0 {2}copy {7}sha256:\w{64}\nv1\.1 {2}failed .*\nv2\.0 .*\n$/)
    expect(stderr).toMatch(
      /\nv1\.0: copied, 2 blob\(s\) copied \(\d+ B\), 0 skipped \(already exist\)\n/,
    )
    expect(stderr).toContain('\nv1.1: failed: ')
    expect(stderr).toContain('error: 1 of 3 tags were not copied; the first, v1.1: ')
    const again = await world.run([...argv, '-o', 'json'])
    expect(JSON.parse(again.stdout)).toMatchObject({
      error: { code: 'INTEGRITY' },
      tags_unchanged: 2,
      tags_failed: 1,
      tags: [{ tag: 'v1.0' }, { tag: 'v1.1', action: 'failed' }, { tag: 'v2.0' }],
    })
  })

  it('takes either --all-tags or a pattern', async () => {
    const argv = ['copy', '--all-tags', 'mem://b/app:v*', 'mem://c/app']
    expect((await world.run(argv)).status).toBe(64)
  })

  it.each([
    [['mem://b/app:v1.0', 'mem://c/app:v1']],
    [['--all-tags', 'mem://b/app', 'mem://c/app']],
  ])('validates no dry run of %j: nothing is there to be judged', async (argv) => {
    const { status, stderr } = await world.run(['copy', ...argv, '--dry-run', '--validate'])
    expect({ status, stderr }).toEqual({
      status: 64,
      stderr: expect.stringMatching(/dry run.*\n.*--validate/),
    })
  })

  it('shows for one image how much would be sent', async () => {
    const { stdout } = await world.run(['copy', 'mem://b/app:v1.0', 'mem://c/app:v1', '--dry-run'])
    expect(stdout).toMatch(
      /^sha256:\w{64}: 2 blob\(s\) to copy \(\d+ B\), 0 already exist, 0 attachment\(s\)\n$/,
    )
  })
})

describe('version', () => {
  it('prints name, version and commit', async () => {
    const { stdout } = await world.run(['version'])
    expect(stdout).toMatch(/^s3lo \S+ \(\S+\)\n$/)
    const json = await world.run(['version', '-o', 'json'])
    expect(JSON.parse(json.stdout)).toEqual({
      version: expect.any(String),
      commit: expect.any(String),
    })
  })
})

describe('restore', () => {
  it('shows what can be restored, and brings a deleted tag back', async () => {
    await put('app', 'v1')
    expect((await world.run(['restore', 'mem://b/app'])).stdout).toBe('Nothing to restore.\n')
    await world.run(['delete', 'mem://b/app:v1'])
    const listed = await world.run(['restore', 'mem://b/'])
    expect(listed.stdout).toMatch(/^app:v1 .* deleted .* sha256:[0-9a-f]{64}$/m)
    const untagged = await world.run(['list', 'mem://b/', '--untagged'])
    expect(untagged.stdout).toMatch(/^app .* sha256:[0-9a-f]{64}$/m)
    const restored = await world.run(['restore', 'mem://b/app:v1'])
    expect(restored).toMatchObject({ status: 0, stdout: '' })
    expect(restored.stderr).toMatch(/^Restored mem:\/\/b\/app:v1: sha256:[0-9a-f]{64}\n$/)
    const document = await world.run(['restore', 'mem://b/app:v1', '--list', '-o', 'json'])
    expect(JSON.parse(document.stdout)).toEqual([])
  })

  it('asks what to restore of a tag that is there, and refuses what is no time', async () => {
    await put('app', 'v1')
    expect((await world.run(['restore', 'mem://b/app:v1'])).status).toBe(73)
    expect((await world.run(['restore', 'mem://b/app:v1', '--at', 'soon'])).status).toBe(64)
    expect(
      (await world.run(['restore', 'mem://b/app:v2', `@sha256:${'0'.repeat(64)}`])).status,
    ).toBe(66)
  })
})
