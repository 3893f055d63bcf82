import type { CommandDefinition } from '@s3lo/core/plugin'

/** A command as it is known without loading it. */
export interface CommandEntry {
  /** The words that select it; other spellings follow the one that help shows. */
  readonly paths: readonly [readonly string[], ...(readonly string[])[]]
  readonly summary: string
  /** The exit status of its errors, in place of that of their code. */
  readonly errorStatus?: number | undefined
  load(): Promise<{ readonly default: CommandDefinition }>
}

/** The commands that come with the command line, in the order of help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    paths: [['push']],
    summary: 'publish an image of the Docker engine or an archive in a store',
    load: () => import('./commands/push.ts'),
  },
  {
    paths: [['pull']],
    summary: 'bring an image from a store to the Docker engine or an archive',
    load: () => import('./commands/pull.ts'),
  },
  {
    paths: [['copy']],
    summary: 'copy an image between stores, registries, engines and archives',
    load: () => import('./commands/copy.ts'),
  },
  {
    paths: [['list'], ['ls']],
    summary: 'list the images of a store',
    load: () => import('./commands/list.ts'),
  },
  {
    paths: [['inspect']],
    summary: 'show layers, sizes, platforms and signatures of an image',
    load: () => import('./commands/inspect.ts'),
  },
  {
    paths: [['cat']],
    summary: 'print a file of an image',
    load: () => import('./commands/cat.ts'),
  },
  {
    paths: [['files']],
    summary: 'list a directory of an image',
    load: () => import('./commands/files.ts'),
  },
  {
    paths: [['history']],
    summary: 'show when images and their tags were pushed',
    load: () => import('./commands/history.ts'),
  },
  {
    paths: [['delete'], ['rm']],
    summary: 'delete tags of images',
    load: () => import('./commands/delete.ts'),
  },
  {
    paths: [['restore']],
    summary: 'bring back what a tag named',
    load: () => import('./commands/restore.ts'),
  },
  {
    paths: [['config', 'get']],
    summary: 'show the settings of a store or an image',
    load: () => import('./commands/config-get.ts'),
  },
  {
    paths: [['config', 'set']],
    summary: 'change settings: immutable tags and how long tags are kept',
    load: () => import('./commands/config-set.ts'),
  },
  {
    paths: [['config', 'remove']],
    summary: 'remove settings of a store, an image or a glob',
    load: () => import('./commands/config-remove.ts'),
  },
  {
    paths: [['config', 'recommend']],
    summary: 'recommend settings for a bucket',
    load: () => import('./commands/config-recommend.ts'),
  },
  {
    paths: [['init'], ['bucket', 'init']],
    summary: 'make a bucket or a directory a store',
    load: () => import('./commands/init.ts'),
  },
  {
    paths: [['stats'], ['bucket', 'stats']],
    summary: 'show what a store holds, saves and costs',
    load: () => import('./commands/stats.ts'),
  },
  {
    paths: [['doctor'], ['bucket', 'doctor']],
    summary: 'check that every image of a store is whole',
    load: () => import('./commands/doctor.ts'),
  },
  {
    paths: [['clean'], ['bucket', 'clean']],
    summary: 'delete old tags by rule, and content that no tag needs',
    load: () => import('./commands/clean.ts'),
  },
  {
    paths: [['login']],
    summary: 'log in to a registry',
    load: () => import('./commands/login.ts'),
  },
  {
    paths: [['logout']],
    summary: 'forget the credentials of a registry',
    load: () => import('./commands/logout.ts'),
  },
  {
    paths: [['plugin', 'list']],
    summary: 'list the installed plugins',
    load: () => import('./commands/plugin-list.ts'),
  },
  {
    paths: [['plugin', 'add']],
    summary: 'install a plugin',
    load: () => import('./commands/plugin-add.ts'),
  },
  {
    paths: [['plugin', 'remove']],
    summary: 'remove a plugin',
    load: () => import('./commands/plugin-remove.ts'),
  },
  {
    paths: [['completion']],
    summary: 'print a completion script for a shell',
    load: () => import('./commands/completion.ts'),
  },
  {
    paths: [['version']],
    summary: 'show the version',
    load: () => import('./commands/version.ts'),
  },
]

/** The command that the words begin with; the longest path wins. */
export function findEntry(
  words: readonly string[],
  entries: readonly CommandEntry[] = COMMANDS,
): CommandEntry | undefined {
  return entries
    .flatMap((entry) => entry.paths.map((path) => ({ entry, path })))
    .filter(({ path }) => path.every((word, i) => words[i] === word))
    .toSorted((a, b) => b.path.length - a.path.length)[0]?.entry
}
