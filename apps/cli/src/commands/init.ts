import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatStore, type Host, type InitResult, type OperationOptions } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { escapeText, quoteWord } from '../render/text.ts'

export default class InitCommand extends S3loCommand {
  static override readonly paths = [['init'], ['bucket', 'init']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Prepare a bucket', 's3lo init s3://my-bucket/'],
      ['Make a store of a directory', 's3lo init --local ./store'],
      ['See by a program what the bucket can do', 's3lo init az://my-container/ -o json'],
    ],
  })

  store = Option.String({ name: 'store', required: false })
  local = Option.String('--local', {
    description: 'make a store of the directory `DIR` instead',
  })

  protected override async run(host: Host, { signal }: OperationOptions): Promise<Output> {
    const store = await this.#reference()
    const result = await host.init(store, { signal })
    const next = `Next: s3lo push app:v1 ${quoteWord(`${store}app:v1`)}`
    const look = `      s3lo doctor ${quoteWord(store)}`
    return { result, render: () => renderChecks(result), status: [next, look] }
  }

  async #reference(): Promise<string> {
    if (this.local === undefined && this.store !== undefined) {
      return this.store.endsWith('/') ? this.store : `${this.store}/`
    }
    if (this.local === undefined || this.store !== undefined) {
      throw new S3loError('USAGE', 'name either a store or a directory', {
        hint: 's3lo init s3://my-bucket/, or s3lo init --local ./store',
      })
    }
    const store = formatStore({ scheme: 'local', bucket: toRoot(this.local) })
    await makeFolders(this.local)
    return store
  }
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
