import { isDigest, isShortDigest, parseExplicitReference, parsePlatform } from '@s3lo/core'
import type { Platform, StoreReference } from '@s3lo/core'
import {
  type ArgsOf,
  type CallOptions,
  type CommandWork,
  flag,
  option,
  type ProgressOptions,
  repeatedOption,
  S3loError,
} from '@s3lo/core/plugin'
import type { IndexBuilderOptions, IndexWithMetadata } from '../index/build-contract.ts'
import { type IndexVersion, parseOptimization } from '../index/soci-index.ts'
import { StoreArtifacts } from '../store-artifacts.ts'

/** Runs `use` on the artifacts of a store, and closes it. */
export async function onStore<T>(
  store: string,
  { host, options: { signal } }: CommandWork,
  use: (artifacts: StoreArtifacts) => Promise<T>,
): Promise<T> {
  const opened = await host.openStore(store, { signal })
  try {
    return await use(new StoreArtifacts(opened, 'v2'))
  } finally {
    await opened.close()
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

/** What the commands that build indexes take. */
export const BUILD_PARAMETERS = {
  platforms: repeatedOption('--platform', "index `OS/ARCH`; repeatable, default this machine's"),
  allPlatforms: flag('--all-platforms', 'index every platform of the image'),
  spanSize: option('--span-size', 'make spans of `BYTES` of content (4194304)'),
  minLayerSize: option('--min-layer-size', 'leave layers of less than `BYTES` alone (10485760)'),
  optimizations: repeatedOption(
    '--optimizations',
    'apply the optimization `NAME`: xattr (records that layers have no extended attributes)',
  ),
  buildTool: option('--build-tool', 'record `ID` as the build tool of the index (s3lo soci v1)'),
  force: flag('--force', 'build again and replace what is there, and overwrite an immutable tag'),
}

type BuildArgs = ArgsOf<typeof BUILD_PARAMETERS>

/** What the options of a command say to the builder. Throws `USAGE`. */
export function builderOptions(
  { spanSize, minLayerSize, optimizations, buildTool, force }: BuildArgs,
  { onProgress }: ProgressOptions,
  repository: string,
): IndexBuilderOptions {
  return {
    repository,
    onProgress,
    spanSize: parseBytes('--span-size', spanSize),
    minLayerSize: parseBytes('--min-layer-size', minLayerSize),
    optimizations: optimizations?.map(parseOptimization),
    buildToolIdentifier: buildTool,
    forceRecreateZtocs: force,
  }
}

export function chosenPlatforms({ platforms }: BuildArgs): readonly Platform[] | undefined {
  return platforms?.map(parsePlatform)
}

/** Runs `use` on the artifacts beside an image, and closes its store. */
export async function onImage<T>(
  version: IndexVersion,
  { args: { ref }, host, options }: CommandWork<BuildArgs & { readonly ref: string }>,
  use: (artifacts: StoreArtifacts, reference: StoreReference) => Promise<T>,
): Promise<T> {
  const located = await host.locate(ref, options)
  const reference = parseExplicitReference(located)
  const store = await host.openStore(located, { names: 'image', signal: options.signal })
  try {
    return await use(new StoreArtifacts(store, version, reference.name), reference)
  } finally {
    await store.close()
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

function parseBytes(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[0-9]{1,15}$/.test(text)) return Number(text)
  throw new S3loError('USAGE', `${option} ${JSON.stringify(text)} is no number of bytes`)
}
