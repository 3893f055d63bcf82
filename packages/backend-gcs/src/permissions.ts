/** What a command needs at a bucket of Google Cloud Storage. */
export interface CommandPermissions {
  /** Commands of s3lo that need the same. */
  readonly commands: readonly string[]
  /** IAM permissions, the fewest that are enough. */
  readonly permissions: readonly string[]
  /** The predefined role that has them. */
  readonly role: string
}

const READ = ['storage.objects.get', 'storage.objects.list'] as const

/** The permissions of each command: the one table, which `docs/backends/gcs.md` repeats. */
export const PERMISSIONS: readonly CommandPermissions[] = [
  {
    commands: ['list', 'inspect', 'history', 'pull', 'copy from it'],
    permissions: READ,
    role: 'roles/storage.objectViewer',
  },
  {
    commands: ['push', 'copy to it'],
    permissions: [
      ...READ,
      'storage.objects.create',
      // To replace an object is to delete its old version.
      'storage.objects.delete',
    ],
    role: 'roles/storage.objectUser',
  },
  {
    commands: ['delete', 'clean'],
    permissions: [...READ, 'storage.objects.create', 'storage.objects.delete'],
    role: 'roles/storage.objectUser',
  },
  {
    commands: ['doctor'],
    permissions: [...READ, 'storage.buckets.get'],
    role: 'roles/storage.objectViewer, and roles/storage.bucketViewer for remarks on the bucket',
  },
]
