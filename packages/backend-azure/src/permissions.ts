/** What a command needs at a container of Azure Blob Storage. */
export interface CommandPermissions {
  /** Commands of s3lo that need the same. */
  readonly commands: readonly string[]
  /** Data actions of Azure RBAC, without `Microsoft.Storage/storageAccounts/blobServices/`. */
  readonly dataActions: readonly string[]
  /** The built-in role that has them. */
  readonly role: string
  /** The letters of a shared access signature for the container that are enough instead. */
  readonly sas: string
}

const READ = ['containers/blobs/read'] as const
const WRITE = [
  ...READ,
  'containers/blobs/write',
  'containers/blobs/add/action',
  // What writers tell each other by is removed in the end.
  'containers/blobs/delete',
] as const
const READER = 'Storage Blob Data Reader'
const CONTRIBUTOR = 'Storage Blob Data Contributor'

/** The permissions of each command: the one table, which `docs/backends/azure.md` repeats. */
export const PERMISSIONS: readonly CommandPermissions[] = [
  {
    commands: ['list', 'inspect', 'history', 'stats', 'pull', 'copy from it'],
    dataActions: READ,
    role: READER,
    sas: 'rl',
  },
  {
    commands: ['push', 'copy to it', 'delete', 'clean', 'init', 'config set', 'config remove'],
    dataActions: WRITE,
    role: CONTRIBUTOR,
    sas: 'racwdl',
  },
  {
    commands: ['doctor', 'config recommend'],
    dataActions: READ,
    role: `${READER}, and Storage Account Contributor for remarks on soft delete`,
    sas: 'rl',
  },
]
