import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** A file of the bundle, by the modules that bring all that they import with them. */
interface Group {
  readonly name: string
  readonly roots: readonly string[]
}

/**
 * The files that are more than one module with what only it needs. A module goes to the first group
 * that has it; what is loaded with its first use stays in a file of its own.
 */
const GROUPS: readonly Group[] = [
  {
    // What each command needs.
    name: 'start',
    roots: [
      'apps/cli/src/process.ts',
      'apps/cli/src/execute.ts',
      'apps/cli/src/plugin-resolver.ts',
      'apps/cli/src/plugin-module.ts',
      'packages/core/src/host.ts',
    ],
  },
  {
    // What reads a store in a directory.
    name: 'local',
    roots: [
      'packages/backend-local/src/plugin.ts',
      'packages/backend-local/src/open-backend.ts',
      'packages/core/src/host/locate-store.ts',
      'packages/core/src/operations/list.ts',
    ],
  },
  {
    // What reads and writes images.
    name: 'images',
    roots: ['packages/core/src/store/image-store.ts', 'packages/core/src/operations/copy.ts'],
  },
  // The rest of core, which a plugin imports as a whole: without registries and their HTTP client.
  { name: 'core', roots: ['packages/core/src/index.ts'] },
  { name: 'registry', roots: ['packages/source-registry/src/open-registry.ts'] },
]

/** The groups as the bundler takes them: what a root imports goes with it, unless an earlier group has it. */
export function chunkGroups(
  workspace: string,
): readonly { readonly name: string; readonly priority: number; test(id: string): boolean }[] {
  return GROUPS.map(({ name, roots }, i) => {
    const ids = new Set(roots.map((path) => join(workspace, path)))
    for (const id of ids) if (!existsSync(id)) throw new Error(`${id} is not there any more`)
    return { name, priority: GROUPS.length - i, test: (id) => ids.has(id) }
  })
}
