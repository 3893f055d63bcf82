/** What a command needs at a bucket of Amazon S3. */
export interface CommandPermissions {
  /** Commands of s3lo that need the same. */
  readonly commands: readonly string[]
  /** IAM actions whose resource is the bucket: `arn:aws:s3:::BUCKET`. */
  readonly onBucket: readonly string[]
  /** IAM actions whose resource is its objects: `arn:aws:s3:::BUCKET/*`. */
  readonly onObjects: readonly string[]
}

/** Without the list, an object that is missing cannot be told from one that may not be read. */
const READ = { onBucket: ['s3:ListBucket'], onObjects: ['s3:GetObject'] } as const

const WRITE = {
  onBucket: READ.onBucket,
  onObjects: [
    ...READ.onObjects,
    's3:PutObject',
    // What a large upload leaves behind when it fails.
    's3:AbortMultipartUpload',
    // What writers tell each other by, and what a probe has written.
    's3:DeleteObject',
  ],
} as const

const WATCH_UPLOADS = 's3:ListBucketMultipartUploads'

/** The permissions of each command: the one table, which `docs/backends/s3.md` repeats. */
export const PERMISSIONS: readonly CommandPermissions[] = [
  { commands: ['list', 'inspect', 'history', 'stats', 'pull', 'copy from it'], ...READ },
  { commands: ['push', 'copy to it', 'delete', 'init', 'config set', 'config remove'], ...WRITE },
  {
    commands: ['clean'],
    onBucket: [...WRITE.onBucket, WATCH_UPLOADS],
    onObjects: WRITE.onObjects,
  },
  {
    commands: ['doctor', 'config recommend'],
    onBucket: [
      ...READ.onBucket,
      WATCH_UPLOADS,
      's3:GetBucketVersioning',
      's3:GetLifecycleConfiguration',
      's3:GetBucketObjectLockConfiguration',
      's3:GetIntelligentTieringConfiguration',
    ],
    onObjects: READ.onObjects,
  },
]
