export * from './plugin.ts'
export type {
  BucketConfig,
  ImageSettings,
  LifecycleMode,
  LifecycleSettings,
} from './config/bucket-config.ts'
export { SETTINGS, type SettingDefinition } from './config/settings.ts'
export { loadConfigFile } from './config/config-file.ts'
export type { WriteGuard } from './config/edit-config.ts'
export { parseDuration } from './config/duration.ts'
export { isWellFormed, matchesGlob } from './config/glob.ts'
export { YamlReader, type YamlText, type YamlValue } from './config/yaml-reader.ts'
export { layerIndexesPrefix, layerIndexKey, SOCI_ARTIFACTS_PREFIX } from './layout/keys.ts'
export {
  type ConfigScope,
  formatReference,
  parseExplicitReference,
  parseReference,
  parseStoreReference,
  type ParsedReference,
  type StoreReference,
  type StoreScope,
} from './layout/store-reference.ts'
export { ANNOTATION } from './oci/annotations.ts'
export type { ConfigSummary } from './oci/config-summary.ts'
export { isReferrerTag, referrersTagOf } from './oci/referrer-tag.ts'
export { type ImageConfig, MAX_CONFIG_BYTES, parseImageConfig } from './oci/config.ts'
export { type Descriptor, totalSize, uniqueByDigest } from './oci/descriptor.ts'
export {
  type DigestAlgorithm,
  Digester,
  digestOf,
  isDigest,
  isShortDigest,
  parseDigest,
} from './oci/digest.ts'
export {
  type DistributionCode,
  type DistributionError,
  distributionError,
} from './oci/distribution-codes.ts'
export {
  asDescriptor,
  assertDepth,
  type ImageIndex,
  type ImageManifest,
  type Manifest,
  documentWith,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseDocument,
  parseManifest,
  successors,
  toDocument,
} from './oci/document.ts'
export { isIndexMediaType, isManifestMediaType, MEDIA_TYPE } from './oci/media-type.ts'
export {
  formatPlatform,
  hostPlatform,
  isAttestationPlatform,
  isSamePlatform,
  normalizePlatform,
  parsePlatform,
  type Platform,
} from './oci/platform.ts'
export { bestFor, choosePlatform, noSuchPlatform, runsOn } from './oci/platform-choice.ts'
export { formatImageName, type Reference } from './oci/reference.ts'
export type { SourceEnd, TargetEnd } from './graph/transfer-request.ts'
export { withPublication } from './graph/with-publication.ts'
export { type Compression, compressionOf, decompress } from './stream/decompress.ts'
export { isStandardInput, isStandardOutput } from './files/standard-stream.ts'
export { readAll } from './stream/read-all.ts'
export { ambiguousDigest } from './graph/expand-digest.ts'
export { verified, verifyDigest } from './stream/verify-digest.ts'
export type { BlobForm, FoundBlob } from './store/blobs.ts'
export type { HistoryEntry } from './store/history.ts'
export { ImageStore, type ImageStoreOptions } from './store/image-store.ts'
export type { WindowOptions } from './store/name-window.ts'
export { RecentMap } from './store/recent-map.ts'
export type { RepositoriesOptions } from './store/tags.ts'
export { readSignatureTag } from './store/signature-tag.ts'
export { readTagContent, type TagContent, tagEtag } from './store/manifests.ts'
export { hasRecord, recordPlace } from './store/records.ts'
export type { RepositoryOptions } from './store/links.ts'
export { type Membership, type MountName, openMembership } from './store/membership.ts'
export type {
  AppendResult,
  BeginUploadOptions,
  FinishResult,
  FinishUploadOptions,
  UploadBodyOptions,
  UploadName,
  Uploads,
  UploadStatus,
} from './store/upload-contract.ts'
export { openUploads } from './store/uploads.ts'
export {
  readSignatureRecord,
  type SignatureInfo,
  writeSignatureRecord,
} from './store/signature-records.ts'
export type { ForceOptions, OperationOptions, PublishOptions } from './operations/options.ts'
export { type LayoutContent, withImageLayout } from './operations/image-layout.ts'
export type {
  SbomImageOptions,
  SbomResult,
  ScanImageOptions,
  ScanResult,
} from './operations/scan.ts'
export { SIGNED_CHECK, type SignatureChoice, signedRule } from './operations/signed-rule.ts'
export {
  assertEnforceable,
  assertValid,
  type PolicyResult,
  type ValidateOptions,
  type ValidateResult,
  type ValidationTools,
} from './operations/validate.ts'
export { type IndexedImage, readIndexContent } from './graph/index-entries.ts'
export { planGraph } from './graph/plan.ts'
export { ReferrerFinder } from './graph/referrers.ts'
export {
  foldSignatures,
  holdsSignatures,
  SIGNATURES_TYPE,
  signatureManifest,
  signatureTagOf,
  SIMPLE_SIGNING_TYPE,
} from './oci/cosign-signatures.ts'
export { BlobReport, type ReportedBlob, reportPlan } from './progress/blob-report.ts'
export { copy, type CopyOptions, type CopyResult, type DroppedReferrer } from './operations/copy.ts'
export {
  type CopiedTag,
  copyTags,
  type CopyTagsOptions,
  type CopyTagsResult,
} from './operations/copy-tags.ts'
export { hasTagPattern } from './image-end.ts'
export type { CatResult, TakeContent } from './operations/cat.ts'
export {
  type DeleteAllOptions,
  type DeleteOptions,
  type DeleteResult,
  deleteTag,
} from './operations/delete-tag.ts'
export type { UntaggedListing } from './operations/list-untagged.ts'
export {
  type RestorableImage,
  restore,
  type RestoreOptions,
  type RestoreResult,
} from './operations/restore.ts'
export { clean, type CleanOptions } from './operations/clean.ts'
export {
  type CleanedImage,
  type CleanedObject,
  type CleanedTag,
  cleanFailure,
  type CleanResult,
} from './operations/clean-result.ts'
export type { UntaggedFigures } from './operations/untagged.ts'
export { nameParticipant, type Participant } from './gc/participants.ts'
export type { DoctorOptions, DoctorResult } from './operations/doctor.ts'
export type {
  EndpointReport,
  GuaranteeReport,
  GuaranteeState,
} from './operations/doctor-endpoint.ts'
export type { FileIssue } from './operations/doctor-files.ts'
export type { BlobProblem, ManifestIssue } from './operations/manifest-issue.ts'
export { formatStore } from './layout/format-store.ts'
export type { ListedFile } from './operations/files.ts'
export type {
  Config,
  ConfigSettings,
  ImageConfigResult,
  LifecycleFields,
  StoreConfigResult,
} from './operations/get-config.ts'
export type { InitCheck, InitResult } from './operations/init.ts'
export type { LayerSharingResult, SharedLayer } from './operations/layer-sharing.ts'
export type { ImageFilesOptions, NamedLayerReader } from './operations/image-files.ts'
export { loadPrices, type Prices } from './operations/prices.ts'
export type { InterruptedUploads } from './operations/provider-findings.ts'
export type {
  BucketFinding,
  Recommendation,
  RecommendOptions,
  RecommendResult,
} from './operations/recommend.ts'
export type { ConfigEffect } from './config/config-effects.ts'
export type { SetConfigResult } from './operations/set-config.ts'
export type { CostEstimate, StatsOptions, StatsResult } from './operations/stats.ts'
export type { History, HistoryOptions, ImageHistory } from './operations/history.ts'
export type { TagHistory } from './operations/past-tags.ts'
export type {
  InspectedArtifact,
  InspectedAttachment,
  InspectedLayer,
  InspectedPlatform,
  InspectResult,
} from './operations/inspect.ts'
export type { ListedImage, ListImagesOptions } from './operations/list.ts'
export {
  type ManifestPut,
  type ManifestPutResult,
  putManifest,
  type PutManifestOptions,
  type TagExpectation,
} from './operations/put-manifest.ts'
export type { PullOptions, PullResult } from './operations/pull.ts'
export { type PlannedPushBlob, push, type PushOptions, type PushResult } from './operations/push.ts'
export {
  createHost,
  type Host,
  type HostOptions,
  type OpenedImage,
  type Operations,
  type ScannerChoice,
  type StoreHandle,
  type ValidationChoice,
  type VerificationChoice,
} from './host.ts'
export type { FindPlugin, PluginNeed } from './plugin-registry.ts'
