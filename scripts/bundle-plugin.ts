/**
 * Makes `dist/bundle` of the package in the working directory: its plugin with everything that it
 * depends on, in a few files, for the command line. The library beside it stays as it is. See
 * ARCHITECTURE.md, "What a command loads".
 *
 * Arguments are programs that the plugin runs in threads of their own, as `name=source`.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type OutputChunk, rolldown } from 'rolldown'
import { licensesOf } from './licenses.ts'

const ROOT = process.cwd()
const TARGET = join(ROOT, 'dist/bundle')
const WORKERS = process.argv.slice(2).map((argument) => argument.split('=', 2) as [string, string])

const bundle = await rolldown({
  cwd: ROOT,
  input: { plugin: 'src/plugin.ts', ...Object.fromEntries(WORKERS) },
  platform: 'node',
  resolve: {
    // What is written as ES modules is bundled in parts.
    mainFields: ['module', 'main'],
    conditionNames: ['s3lo-source', 'module', 'import', 'node', 'default'],
  },
  checks: { ineffectiveDynamicImport: false },
})
await rm(TARGET, { recursive: true, force: true })
const { output } = await bundle.write({
  dir: TARGET,
  format: 'cjs',
  // An import() of node:http would load Node's own copy of undici with it, as in any ES module.
  dynamicImportInCjs: false,
  exports: 'named',
  entryFileNames: '[name].cjs',
  chunkFileNames: '[name].cjs',
  sourcemap: true,
  codeSplitting: {
    // What is loaded with the first use; the SDK's search for credentials would be several files.
    groups: [
      { name: 'backend', test: join(ROOT, 'src/open-backend.ts'), priority: 1 },
      { name: 'credentials', test: join(ROOT, 'src/credential-chain.ts') },
    ],
  },
})
await bundle.close()

const chunks = output.filter((each): each is OutputChunk => each.type === 'chunk')
const modules = chunks.flatMap((chunk) => Object.keys(chunk.modules))
await writeFile(join(TARGET, 'LICENSES.txt'), await licensesOf(modules))
await writeFile(
  join(TARGET, 'plugin.js'),
  "import plugin from './plugin.cjs'\nexport default plugin.default\n",
)
for (const [name] of WORKERS) {
  await writeFile(join(TARGET, `${name}.js`), `import './${name}.cjs'\n`)
}
