import { existsSync } from 'node:fs'
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cloneUnbuilt, publishedPackages } from './checkout.ts'
import { missingTool, run } from './sandbox.ts'

/** What `npm pack --json` says of a tarball. */
interface Tarball {
  readonly name: string
  readonly filename: string
  readonly files: readonly { readonly path: string; readonly size: number }[]
}

/** Where packages that are bundled have the licences of what is in them. */
const LICENSES: Readonly<Record<string, readonly string[]>> = {
  'apps/cli': ['dist/LICENSES.txt'],
  'packages/backend-s3': ['dist/bundle/LICENSES.txt'],
  'packages/soci': ['dist/bundle/LICENSES.txt'],
}

const packages = await publishedPackages()

describe.skipIf(missingTool() !== undefined)('npm pack in a clone that was not built', () => {
  let folder: string

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 's3lo-pack-')))
    await cloneUnbuilt(folder)
    const built = packages.filter((path) => existsSync(join(folder, path, 'dist')))
    expect(built).toEqual([])
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each(packages)('%s has what its package.json names, and nothing else', async (path) => {
    const options = { cwd: join(folder, path), maxBuffer: 1 << 26 }
    const { stdout } = await run('npm', ['pack', '--json', '--loglevel=error'], options)
    expect(await readFile(join(folder, path, 'LICENSE'))).toEqual(
      await readFile(join(folder, 'LICENSE')),
    )
    const [tarball] = JSON.parse(stdout.slice(stdout.indexOf('['))) as Tarball[]
    const files = tarball?.files.map((file) => file.path) ?? []
    const text = await readFile(join(folder, path, 'package.json'), 'utf8')
    const description = JSON.parse(text) as { bin?: object; publishConfig: object }
    for (const entry of [...namedIn(description.publishConfig), ...namedIn(description.bin)]) {
      // Of a pattern of exports, there is a file.
      const [start = '', end] = entry.split('*')
      expect(
        files.filter((file) =>
          end === undefined ? file === entry : file.startsWith(start) && file.endsWith(end),
        ),
        entry,
      ).not.toEqual([])
    }
    const beside = files.filter((file) => !file.startsWith('dist/'))
    expect(beside.toSorted()).toEqual(['LICENSE', 'README.md', 'package.json'])
    const others = files.filter((file) => !/\.(?:c?js|c?js\.map|d\.ts|d\.ts\.map)$/.test(file))
    const licenses = others.filter((file) => file.startsWith('dist/'))
    expect(licenses).toEqual(LICENSES[path] ?? [])
    // A range that only a workspace understands would make it a package that npm cannot install.
    const { stdout: packed } = await run(
      'tar',
      ['-xOf', tarball?.filename ?? '', 'package/package.json'],
      options,
    )
    const { dependencies, peerDependencies } = JSON.parse(packed) as Record<string, object>
    expect(JSON.stringify({ dependencies, peerDependencies })).not.toMatch(/workspace:|catalog:/)
  })
})

/** The files that are named in a part of a package.json, without `./`. */
function namedIn(part: unknown): readonly string[] {
  if (typeof part === 'string') return part.startsWith('./') ? [part.slice(2)] : []
  return typeof part === 'object' && part !== null ? Object.values(part).flatMap(namedIn) : []
}
