import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BACKEND_PACKAGES, COMMAND_PACKAGES, SOURCE_PACKAGES } from '../src/catalog.ts'
import { type InstalledPlugin, listPlugins } from '../src/plugin-store.ts'

let folder: string
let official: readonly InstalledPlugin[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-catalog-'))
  official = await listPlugins({ env: { S3LO_CONFIG_HOME: folder } })
})
afterAll(() => rm(folder, { recursive: true }))

/** What the catalog says that a package brings. */
function listed(packages: Readonly<Record<string, string>>, name: string): readonly string[] {
  return Object.keys(packages).filter((offered) => packages[offered] === name)
}

describe('the catalog', () => {
  it('names the plugins that come with s3lo, and they load', () => {
    expect(official.map(({ name }) => name)).toEqual([
      '@s3lo/backend-local',
      '@s3lo/policy',
      '@s3lo/signing',
      '@s3lo/source-docker',
      '@s3lo/source-registry',
    ])
    expect(official.filter(({ error }) => error)).toEqual([])
  })

  it('agrees with every official plugin that is installed', () => {
    for (const { name, schemes, transports, commands } of official) {
      expect(schemes.toSorted()).toEqual(listed(BACKEND_PACKAGES, name).toSorted())
      expect(transports.toSorted()).toEqual(listed(SOURCE_PACKAGES, name).toSorted())
      for (const path of commands) {
        const known = Object.keys(COMMAND_PACKAGES).filter((words) =>
          `${path} `.startsWith(`${words} `),
        )
        expect(known.map((words) => COMMAND_PACKAGES[words]?.package)).toEqual([name])
      }
    }
  })

  it('holds for the commands that it names', () => {
    for (const [path, { package: name }] of Object.entries(COMMAND_PACKAGES)) {
      const plugin = official.find((each) => each.name === name)
      const begins = plugin?.commands.some((words) => `${words} `.startsWith(`${path} `)) ?? true
      expect(begins, `${name} brings s3lo ${path}`).toBe(true)
    }
  })
})
