import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatStore, type InitResult } from '@s3lo/core'
import { defineCommand, option, optionalArgument, S3loError } from '@s3lo/core/plugin'
import { escapeText, quoteWord } from '@s3lo/views/text'

export default defineCommand({
  examples: [
    ['Prepare a bucket', 's3lo init s3://my-bucket/'],
    ['Make a store of a directory', 's3lo init --local ./store'],
    ['See by a program what the bucket can do', 's3lo init az://my-container/ -o json'],
  ],
  parameters: {
    store: optionalArgument('store'),
    local: option('--local', 'make a store of the directory `DIR` instead'),
  },
  async run({ args, host, options: { signal } }) {
    const store = await referenceOf(args)
    const result = await host.init(store, { signal })
    const next = `Next: s3lo push app:v1 ${quoteWord(`${store}app:v1`)}`
    const look = `      s3lo doctor ${quoteWord(store)}`
    return { result, render: () => renderChecks(result), status: [next, look] }
  },
})

async function referenceOf({
  store,
  local,
}: {
  readonly store: string | undefined
  readonly local: string | undefined
}): Promise<string> {
  if (local === undefined && store !== undefined) return store.endsWith('/') ? store : `${store}/`
  if (local === undefined || store !== undefined) {
    throw new S3loError('USAGE', 'name either a store or a directory', {
      hint: 's3lo init s3://my-bucket/, or s3lo init --local ./store',
    })
  }
  const made = formatStore({ scheme: 'local', bucket: toRoot(local) })
  await makeFolders(local)
  return made
}

/** A directory as a store's name has it. */
function toRoot(directory: string): string {
  const root = directory.length > 1 ? directory.replace(/\/+$/, '') : directory
  if (root !== '' && root !== '/') return root
  throw new S3loError('USAGE', `${JSON.stringify(directory)} cannot be a store`, {
    hint: 'name a directory: s3lo init --local ./store',
  })
}

/** The folders that the Go program expects of a store. */
async function makeFolders(directory: string): Promise<void> {
  for (const folder of ['blobs/sha256', 'manifests']) {
    try {
      await mkdir(join(directory, folder), { recursive: true })
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new S3loError('IO', `cannot make a store of ${directory}: ${reason}`, { cause })
    }
  }
}

function renderChecks({ bucket, checks }: InitResult): string {
  const lines = checks.map(({ label, ok, note }) => {
    const line = `${ok ? '✓' : '!'} ${escapeText(label)}`
    return note === undefined ? line : `${line} (${escapeText(note)})`
  })
  return `${[`Bucket: ${escapeText(bucket)}`, ...lines].join('\n')}\n`
}
