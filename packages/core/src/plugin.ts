/** What plugin authors import: the contracts and errors, and nothing that costs time to load. */
export {
  type CommandDefinition,
  type CommandOutput,
  type CommandTable,
  type CommandWork,
  defineCommand,
} from './command/definition.ts'
export {
  type ArgsOf,
  argument,
  type Argument,
  type CommandOption,
  flag,
  option,
  optionalArgument,
  type Parameters,
  repeatedOption,
  requiredOption,
  someArguments,
} from './command/parameters.ts'
export { forEachConcurrent } from './concurrency/for-each-concurrent.ts'
export { FreshFlight } from './concurrency/fresh-flight.ts'
export { SingleFlight } from './concurrency/single-flight.ts'
export type { ByteRange, CallOptions } from './contract/call-options.ts'
export type {
  BlobSink,
  ContentSource,
  FetchOptions,
  ImageSource,
  PlainLayer,
  StreamingSource,
  TransferOptions,
} from './contract/image-source.ts'
export type {
  AttachOptions,
  AttachPlace,
  BeginOptions,
  ImageTarget,
  MountedChunks,
  Publication,
  StreamingTarget,
  TagOptions,
} from './contract/image-target.ts'
export type {
  IndexCheck,
  LayerReader,
  LayerReaderContext,
  LayerReaderModule,
  WrongIndex,
} from './contract/layer-reader.ts'
export {
  assertCompatible,
  type CommandContribution,
  type Contribution,
  definePlugin,
  type OpenedSource,
  type OpenedTarget,
  type Plugin,
  PLUGIN_API_VERSION,
  type RegistryCredential,
  type RegistryCredentialContribution,
  type RegistryCredentialModule,
  type RegistryCredentialOptions,
  registryCredentialsFor,
  type SourceModule,
  type TransportOptions,
} from './contract/plugin.ts'
export type {
  PolicyCheckModule,
  PolicyCheckOptions,
  PolicySubject,
  PolicyVerdict,
  SourceSubject,
} from './contract/policy-check.ts'
export type { PolicyRule } from './contract/policy-rule.ts'
export type { StoreSource } from './contract/store-facts.ts'
export type { ProgressEvent, ProgressOptions } from './contract/progress.ts'
export { documentationOf } from './documentation.ts'
export type { LoginResult, LogoutResult } from './contract/registry-login.ts'
export type {
  KeyChoice,
  SignChoice,
  SignerModule,
  SignerSubject,
  SignResult,
  VerifyChoice,
  VerifyResult,
} from './contract/signer.ts'
export {
  type SbomOptions,
  type Scanner,
  type ScannerModule,
  type ScannerOptions,
  type ScanOptions,
  type ScanReport,
  type ScanTarget,
  SEVERITIES,
  type Severity,
} from './contract/scanner.ts'
export {
  type AbandonedUpload,
  type BackendCapability,
  type BackendGuarantees,
  type BackendModule,
  type BackendOptions,
  type CopyOptions,
  type DeadlineOptions,
  type DeleteFailure,
  type Finding,
  type GetOptions,
  type ListOptions,
  type MoveOptions,
  type ObjectBody,
  type ObjectInfo,
  type PresignOptions,
  type PutOptions,
  type StorageBackend,
  type StoreLocation,
  supports,
  type WriteCondition,
} from './contract/storage-backend.ts'
export {
  type ErrorCode,
  type ErrorDetails,
  EXIT_STATUS,
  type FailureDetails,
  isS3loError,
  S3loError,
  toS3loError,
} from './errors.ts'
export { escapeJson, escapeLines, escapeText } from './escape-text.ts'
export { isRefusal, isRefusedBeside } from './graph/refusal.ts'
export { CacheFile } from './files/cache-file.ts'
export { makeFolder } from './files/make-folder.ts'
export {
  BLOBS_PREFIX,
  BUCKET_CONFIG_KEY,
  CONTENT_PREFIXES,
  GUARANTEES_PREFIX,
  MANIFESTS_PREFIX,
  OWN_PREFIX,
  PROBE_PREFIX,
} from './layout/keys.ts'
export {
  asArray,
  asObject,
  asSize,
  asString,
  asStringMap,
  type JsonObject,
  optional,
  parseJson,
  parseStrictJson,
  refuseLookalikes,
} from './oci/json.ts'
export {
  openRegularFile,
  readBoundedFile,
  readBoundedFileSync,
  readOptionalFile,
} from './stream/bounded-file.ts'
export { HeldContent } from './stream/held-content.ts'
export { ChunkPool, recycle } from './stream/recycle.ts'
