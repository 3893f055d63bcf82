/**
 * `pnpm demo`: the main job, visibly. Makes a real image (this Node and a small program as layers), pushes two
 * versions of it to a local store with the built `s3lo`, looks at them, pulls one back and compares config and layers.
 * The store keeps layers compressed, large ones in chunks.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const BIN = join(import.meta.dirname, '../apps/cli/dist/main.cjs')
const ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' }

interface BlobRef {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

const work = mkdtempSync(join(tmpdir(), 's3lo-demo-'))
const started = performance.now()
try {
  demo()
} finally {
  rmSync(work, { recursive: true, force: true })
}

function demo(): void {
  const store = `local://${work}/store//`
  const built = join(work, 'built')
  const pulled = join(work, 'pulled')

  say('Make an image of three layers: a root, a runtime (this Node), a program.')
  const rootLayer = layer(built, { 'etc/os-release': 'NAME="demo"\n', 'etc/hostname': 'demo\n' })
  const runtime = layer(built, { 'usr/bin/node': { copy: process.execPath } })
  for (const version of ['v1', 'v2']) {
    const program = layer(built, { 'app/main.js': `console.log('hello from ${version}')\n` })
    writeImage(built, version, [rootLayer, runtime, program])
  }

  say('Push two versions. The second sends only what changed.')
  s3lo('push', `oci:${built}:v1`, `${store}team/app:v1`)
  const second = s3lo('push', `oci:${built}:v2`, `${store}team/app:v2`, '-o', 'json')
  const { bytes, bytes_uploaded: sent } = JSON.parse(second) as Record<string, number>
  console.log(`   ${human(bytes)} image, ${human(sent)} sent: the rest is shared with v1`)

  say('See what is there.')
  s3lo('list', store)
  s3lo('inspect', `${store}team/app:v2`)
  s3lo('history', `${store}team/app`)

  say('Pull one back, into an archive for docker load, and compare its config and layers.')
  s3lo('pull', `${store}team/app:v1`, `docker-archive:${pulled}.tar:team/app:v1`)
  mkdirSync(pulled)
  run('tar', '-xf', `${pulled}.tar`, '-C', pulled)
  compare(imageDigests(built, 'v1'), archivedFiles(pulled))
  console.log(`\nDone in ${((performance.now() - started) / 1000).toFixed(1)} s.`)
}

function compare(original: readonly string[], returned: readonly Uint8Array[]): void {
  if (returned.length !== original.length) throw new Error('the image came back incomplete')
  for (const [i, content] of returned.entries()) {
    const digest = digestOf(content)
    const same = digest === original[i]
    console.log(`   ${same ? 'equal ' : 'DIFFERS'} ${digest} ${human(content.length)}`)
    if (!same) throw new Error(`${original[i]} did not come back as it was`)
  }
}

/** The digests of a tag's config and layers. */
function imageDigests(folder: string, tag: string): readonly string[] {
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as {
    manifests: { digest: string; annotations?: Record<string, string> }[]
  }
  const entry = index.manifests.find(
    ({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === tag,
  )
  if (!entry) throw new Error(`${folder} has no ${tag}`)
  const manifest = JSON.parse(readFileSync(blobPath(folder, entry.digest), 'utf8')) as {
    config: BlobRef
    layers: BlobRef[]
  }
  return [manifest.config.digest, ...manifest.layers.map(({ digest }) => digest)]
}

/** The config and layers of an archive of one image, as docker load takes it. */
function archivedFiles(folder: string): readonly Uint8Array[] {
  const [image] = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
    Config: string
    Layers: string[]
  }[]
  if (!image) throw new Error(`${folder} has no image`)
  return [image.Config, ...image.Layers].map((path) => readFileSync(join(folder, path)))
}

/** A layer: the files packed by the system's tar. */
function layer(
  folder: string,
  files: Readonly<Record<string, string | { readonly copy: string }>>,
): BlobRef {
  const tree = mkdtempSync(join(work, 'tree-'))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(tree, name, '..'), { recursive: true })
    if (typeof content === 'string') writeFileSync(join(tree, name), content)
    else copyFileSync(content.copy, join(tree, name))
  }
  const archive = `${tree}.tar`
  run('tar', '-cf', archive, '-C', tree, '.')
  const bytes = readFileSync(archive)
  rmSync(tree, { recursive: true })
  rmSync(archive)
  return writeBlob(folder, bytes, 'application/vnd.oci.image.layer.v1.tar')
}

/** Adds an image to an OCI layout by hand, as any builder would. */
function writeImage(folder: string, tag: string, layers: readonly BlobRef[]): void {
  const config = {
    architecture: ARCH[process.arch] ?? process.arch,
    os: 'linux',
    config: { Cmd: ['/usr/bin/node', '/app/main.js'] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  }
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: writeBlob(folder, encode(config), 'application/vnd.oci.image.config.v1+json'),
    layers,
  }
  const root = writeBlob(folder, encode(manifest), manifest.mediaType)
  const indexFile = join(folder, 'index.json')
  const entries =
    tag === 'v1' ? [] : (JSON.parse(readFileSync(indexFile, 'utf8')) as Index).manifests
  const annotations = { 'org.opencontainers.image.ref.name': tag }
  writeFileSync(
    indexFile,
    encode({ schemaVersion: 2, manifests: [...entries, { ...root, annotations }] }),
  )
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
}

interface Index {
  readonly manifests: readonly unknown[]
}

function writeBlob(folder: string, bytes: Buffer, mediaType: string): BlobRef {
  const digest = digestOf(bytes)
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true })
  writeFileSync(blobPath(folder, digest), bytes)
  return { mediaType, digest, size: bytes.length }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function blobPath(folder: string, digest: string): string {
  return join(folder, 'blobs', digest.replace(':', '/'))
}

function encode(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function s3lo(...args: string[]): string {
  console.log(`\n$ s3lo ${args.join(' ').replaceAll(work, '/tmp/demo')}`)
  const output = run(process.execPath, BIN, ...args, '--no-progress').replaceAll(work, '/tmp/demo')
  if (output !== '') console.log(output.trimEnd().replace(/^/gm, '   '))
  return output
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (stderr !== '' && status === 0)
    console.log(stderr.trimEnd().replaceAll(work, '/tmp/demo').replace(/^/gm, '   '))
  if (status === 0) return stdout
  throw new Error(`${command} failed: ${error?.message ?? stderr}`)
}

function say(text: string): void {
  console.log(`\n# ${text}`)
}

function human(bytes: number | undefined): string {
  if (bytes === undefined) return '?'
  return bytes < 1024 * 1024
    ? `${(bytes / 1024).toFixed(1)} KB`
    : `${(bytes / 1024 ** 2).toFixed(1)} MB`
}
