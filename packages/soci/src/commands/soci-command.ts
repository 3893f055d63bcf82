import {
  type CommandContext,
  type CommandOutput,
  type CommandWork,
  isDigest,
  isShortDigest,
  parseExplicitReference,
  parsePlatform,
  type Platform,
  type StoreReference,
} from '@s3lo/core'
import { type CallOptions, type ProgressOptions, S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import type { IndexBuilderOptions, IndexWithMetadata } from '../index/build-contract.ts'
import { type IndexVersion, parseOptimization } from '../index/soci-index.ts'
import { StoreArtifacts } from '../store-artifacts.ts'

/** What the commands about a store have in common. */
export abstract class SociCommand extends Command<CommandContext> {
  /** Opens the store, does the work on it and closes it. With an activity, progress is shown. */
  protected onStore(
    text: string,
    activity: string | undefined,
    work: (artifacts: StoreArtifacts, tools: CommandWork) => Promise<CommandOutput>,
  ): Promise<number> {
    return this.context.runCommand(
      async (tools) => {
        const located = await tools.host.locate(text, { ...tools.options, names: 'store' })
        return withArtifacts({ located, names: 'store' }, 'v2', tools, (artifacts) =>
          work(artifacts, tools),
        )
      },
      { activity },
    )
  }
}

/** The digest of an artifact as it was typed. Throws `USAGE` for what is none. */
export function parseArtifactDigest(text: string): string {
  if (isDigest(text)) return text
  throw new S3loError('USAGE', `${JSON.stringify(text)} is not a digest`, {
    hint: 's3lo soci list and s3lo soci ztoc list show the digests of a store',
  })
}

/** As {@link parseArtifactDigest}, of a recorded artifact that is only read: the digest may be shortened. */
export async function findArtifactDigest(
  { db }: StoreArtifacts,
  text: string,
  options?: CallOptions,
): Promise<string> {
  return isShortDigest(text) ? db.expandDigest(text, options) : parseArtifactDigest(text)
}

/** What the commands that build indexes have in common. */
export abstract class BuildCommand extends Command<CommandContext> {
  ref = Option.String({ name: 'ref' })
  platforms = Option.Array('--platform', {
    description: "index `OS/ARCH`; repeatable, default this machine's",
  })
  allPlatforms = Option.Boolean('--all-platforms', false, {
    description: 'index every platform of the image',
  })
  spanSize = Option.String('--span-size', {
    description: 'make spans of `BYTES` of content (4194304)',
  })
  minLayerSize = Option.String('--min-layer-size', {
    description: 'leave layers of less than `BYTES` alone (10485760)',
  })
  optimizations = Option.Array('--optimizations', {
    description: 'apply `NAME`: xattr (says of layers that they have no extended attributes)',
  })
  buildTool = Option.String('--build-tool', {
    description: 'name `ID` as what has built the index (s3lo soci v1)',
  })
  force = Option.Boolean('--force', false, {
    description: 'build again and replace what is there, and overwrite an immutable tag',
  })

  protected builderOptions({ onProgress }: ProgressOptions): IndexBuilderOptions {
    return {
      onProgress,
      spanSize: parseBytes('--span-size', this.spanSize),
      minLayerSize: parseBytes('--min-layer-size', this.minLayerSize),
      optimizations: this.optimizations?.map(parseOptimization),
      buildToolIdentifier: this.buildTool,
      forceRecreateZtocs: this.force,
    }
  }

  protected chosenPlatforms(): readonly Platform[] | undefined {
    return this.platforms?.map(parsePlatform)
  }

  /** Opens the store of the image, does the work on it and closes it. */
  protected onImage(
    version: IndexVersion,
    work: (
      artifacts: StoreArtifacts,
      reference: StoreReference,
      tools: CommandWork,
    ) => Promise<CommandOutput>,
  ): Promise<number> {
    return this.context.runCommand(
      async (tools) => {
        const located = await tools.host.locate(this.ref, tools.options)
        const reference = parseExplicitReference(located)
        return withArtifacts({ located, names: 'image' }, version, tools, (artifacts) =>
          work(artifacts, reference, tools),
        )
      },
      { activity: 'Indexing' },
    )
  }
}

/** An index that was made; field names are those of `--output json`. */
export interface BuiltIndex {
  readonly digest: string
  readonly platform: string
  readonly manifest_digest: string
  readonly ztocs: number
  readonly reused: number
  readonly skipped: readonly { readonly digest: string; readonly reason: string }[]
}

/** What is reported of an index that was made. */
export function toBuilt(built: IndexWithMetadata, platform: string): BuiltIndex {
  return {
    digest: built.document.descriptor.digest,
    platform,
    manifest_digest: built.manifest.digest,
    ztocs: built.index.blobs.length,
    reused: built.reused,
    skipped: built.skipped,
  }
}

/** The same for people. */
export function describeBuilt({ platform, digest, ztocs, reused, skipped }: BuiltIndex): string[] {
  const again = reused > 0 ? `, ${reused} of them there already` : ''
  return [
    `${platform}: index ${digest} of ${ztocs} layers${again}`,
    ...skipped.map((layer) => `${platform}: layer ${layer.digest} skipped: ${layer.reason}`),
  ]
}

async function withArtifacts(
  { located, names }: { readonly located: string; readonly names: 'image' | 'store' },
  version: IndexVersion,
  { host, options: { signal } }: CommandWork,
  work: (artifacts: StoreArtifacts) => Promise<CommandOutput>,
): Promise<CommandOutput> {
  const store = await host.openStore(located, { names, signal })
  try {
    return await work(new StoreArtifacts(store, version))
  } finally {
    await store.close()
  }
}

function parseBytes(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[0-9]{1,15}$/.test(text)) return Number(text)
  throw new S3loError('USAGE', `${option} ${JSON.stringify(text)} is no number of bytes`)
}
