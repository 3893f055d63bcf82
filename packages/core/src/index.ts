export * from './plugin.ts'
export {
  type BucketConfig,
  type ImageSettings,
  type LifecycleSettings,
  parseBucketConfig,
  type PolicyRule,
} from './config/bucket-config.ts'
export { formatDuration, parseDuration } from './config/duration.ts'
export {
  type EffectiveConfig,
  effectiveConfig,
  isImmutable,
  type Setting,
  type SettingSource,
} from './config/effective-config.ts'
export {
  type ConfigScope,
  formatReference,
  isStoreReference,
  manifestsPrefix,
  parseConfigReference,
  parseExplicitReference,
  parseReference,
  parseStoreReference,
  type StoreReference,
  type StoreScope,
} from './layout/store-reference.ts'
export { ANNOTATION } from './oci/annotations.ts'
export { isFallbackTag } from './oci/fallback-tag.ts'
export { type ImageConfig, MAX_CONFIG_BYTES, parseImageConfig } from './oci/config.ts'
export { type Descriptor, totalSize, uniqueByDigest } from './oci/descriptor.ts'
export { type DigestAlgorithm, Digester, digestOf, isDigest, parseDigest } from './oci/digest.ts'
export {
  asDescriptor,
  type ImageIndex,
  type ImageManifest,
  isIndexContent,
  type Manifest,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseManifest,
  successors,
  toDocument,
} from './oci/document.ts'
export { isIndexMediaType, isManifestMediaType, MEDIA_TYPE } from './oci/media-type.ts'
export {
  choosePlatform,
  formatPlatform,
  hostPlatform,
  isAttestationPlatform,
  isCompatiblePlatform,
  matchesPlatform,
  parsePlatform,
  type Platform,
  type PlatformChoice,
} from './oci/platform.ts'
export { formatImageName, type Reference } from './oci/reference.ts'
export type { SourceEnd, TargetEnd } from './graph/transfer.ts'
export { readAll } from './stream/read-all.ts'
export { verified, verifyDigest } from './stream/verify-digest.ts'
export type { BlobForm } from './store/blobs.ts'
export type { HistoryEntry } from './store/history.ts'
export { ImageStore, type ImageStoreOptions } from './store/image-store.ts'
export type { SignatureInfo } from './store/signature-records.ts'
export type { ForceOptions, OperationOptions } from './operations/options.ts'
export { copy, type CopyOptions, type CopyResult, type DroppedReferrer } from './operations/copy.ts'
export {
  type CopiedTag,
  copyTags,
  type CopyTagsOptions,
  type CopyTagsResult,
} from './operations/copy-tags.ts'
export { hasTagPattern } from './image-end.ts'
export { type DeleteOptions, type DeleteResult, deleteTag } from './operations/delete-tag.ts'
export type { HistoryOptions, ImageHistory, TagHistory } from './operations/history.ts'
export type {
  InspectedAttachment,
  InspectedLayer,
  InspectedPlatform,
  InspectResult,
} from './operations/inspect.ts'
export type { ListedImage } from './operations/list.ts'
export type { PullOptions, PullResult } from './operations/pull.ts'
export type { PushOptions, PushResult } from './operations/push.ts'
export type { CommandContext, CommandOutput, CommandWork } from './command.ts'
export { createHost, type Host, type HostOptions } from './host.ts'
export type { FindPlugin, PluginNeed } from './plugin-registry.ts'
