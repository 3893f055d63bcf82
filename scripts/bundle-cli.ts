/** Makes `dist`, the command line as it is published: see ARCHITECTURE.md, "What a command loads". */
import { spawnSync } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type OutputChunk, rolldown } from 'rolldown'
import { chunkGroups } from './chunk-groups.ts'
import { licensesOf } from './licenses.ts'

const ROOT = join(import.meta.dirname, '../apps/cli')
const DIST = join(ROOT, process.argv[2] ?? 'dist')

/** What only the users of one key service install: beside the command line. */
const NOT_BUNDLED = ['@aws-sdk/client-kms', '@azure/identity', 'google-auth-library']

const bundle = await rolldown({
  cwd: ROOT,
  input: { main: 'src/main.ts' },
  platform: 'node',
  external: NOT_BUNDLED,
  resolve: {
    conditionNames: ['s3lo-source', 'node', 'import', 'default'],
  },
  transform: { define: { S3LO_COMMIT: JSON.stringify(commit()) } },
  // Types of its rules overlap on purpose: what is loaded with the first use stays so in the bundle.
  checks: { ineffectiveDynamicImport: false },
})

await rm(DIST, { recursive: true, force: true })
const { output } = await bundle.write({
  dir: DIST,
  // Node starts modules of this kind in less time, and makes no unused streams for them.
  format: 'cjs',
  entryFileNames: '[name].cjs',
  chunkFileNames: '[name].cjs',
  sourcemap: true,
  codeSplitting: { groups: [...chunkGroups(join(ROOT, '../..'))] },
})
await bundle.close()

const chunks = output.filter((each): each is OutputChunk => each.type === 'chunk')
await writeFile(
  join(DIST, 'LICENSES.txt'),
  await licensesOf(chunks.flatMap(({ modules }) => Object.keys(modules))),
)

/** What `s3lo --version` names: the commit, `-dirty` after it where files have changed. */
function commit(): string {
  const { stdout } = spawnSync(
    'git',
    ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'],
    {
      cwd: ROOT,
      encoding: 'utf8',
    },
  )
  // A source archive has no repository.
  return stdout?.trim() || 'development'
}
