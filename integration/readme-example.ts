import { execFile } from 'node:child_process'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { imageFixture, padTar, TAR_END, tarFile } from '@s3lo/core/testing'
import { inherited } from './inherited.ts'
import { writeOciLayout } from './oci-layout.ts'
import type { Environment } from './source-cli.ts'

const ROOT = join(import.meta.dirname, '..')

/** What the examples find in their folder: `layout:v1`, with a layer that is large enough to be indexed. */
export const EXAMPLE_IMAGE = imageFixture({
  layers: [
    Buffer.concat([tarFile('etc/os-release', 'ID=example\n'), TAR_END]),
    Buffer.concat([tarFile('data', padTar(Buffer.alloc(11 * 1024 * 1024))), TAR_END]),
  ],
})

/** A block of JavaScript or TypeScript of a README, and the packages that the page says to install. */
export interface ReadmeExample {
  readonly code: string
  readonly packages: readonly string[]
}

/** Reads the example of a page, named from the root; `index` counts from 0. Throws where there is none. */
export async function readExample(page: string, index = 0): Promise<ReadmeExample> {
  const text = await readFile(join(ROOT, page), 'utf8')
  const code = [...text.matchAll(/^```[jt]s\n(.*?)^```/gms)][index]?.[1]
  const installed = /^npm install (?!--global)(.*)$/m.exec(text)?.[1]
  if (code === undefined || installed === undefined) throw new Error(`${page} has no example`)
  return { code, packages: installed.split(' ').filter((word) => word.startsWith('@s3lo/')) }
}

/**
 * Runs an example from the sources in `folder`, where it finds the packages that its page names and
 * no others, and gives its standard output. Throws with what it said where it fails.
 */
export async function runExample(
  { code, packages }: ReadmeExample,
  folder: string,
  env: Environment = {},
): Promise<string> {
  await writeOciLayout(join(folder, 'layout'), 'v1', EXAMPLE_IMAGE)
  for (const name of packages) {
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(ROOT, 'packages', name.slice('@s3lo/'.length)), link, 'junction')
  }
  await writeFile(join(folder, 'example.mts'), code)
  const args = ['--conditions=s3lo-source', '--disable-warning=ExperimentalWarning', 'example.mts']
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    cwd: folder,
    env: { HOME: folder, ...inherited(), ...env },
  })
  if (stderr !== '') throw new Error(`the example says to standard error: ${stderr}`)
  return stdout
}
