export {
  type ArtifactEntry,
  type ArtifactEntryType,
  artifactEntryTypeIndex,
  artifactEntryTypeLayer,
  artifactEntryTypePrefetch,
  ArtifactsDb,
  artifactsDbPath,
  ArtifactStoreEmptyError,
  NotAnIndexError,
} from './artifacts/artifacts-db.ts'
export { type SyncOptions, type SyncResult, syncWithLocalStore } from './artifacts/sync.ts'
export { DEFAULT_MIN_LAYER_SIZE, IndexBuilder } from './index/build.ts'
export type {
  BuildOptions,
  IndexBuilderOptions,
  IndexWithMetadata,
  SkippedLayer,
  SociBlobStore,
} from './index/build-contract.ts'
export {
  getIndexDescriptorCollection,
  type IndexDescriptorCollection,
  type IndexDescriptorInfo,
} from './index/collection.ts'
export { convert, type ConvertedImage, type ConvertOptions } from './index/convert.ts'
export { getImageManifestDescriptor } from './index/image-platforms.ts'
export {
  decodeIndex,
  EmptyIndexError,
  imageAnnotationSociIndexDigest,
  type Index,
  indexAnnotationBuildToolIdentifier,
  indexAnnotationDisableXattrs,
  indexAnnotationImageLayerDigest,
  indexAnnotationImageLayerMediaType,
  indexAnnotationImageManifestDigest,
  indexAnnotationSpanSize,
  type IndexVersion,
  isSociIndexType,
  marshalIndex,
  newIndex,
  type Optimization,
  optimizations,
  parseOptimization,
  sociIndexArtifactType,
  sociIndexArtifactTypeV2,
  sociLayerMediaType,
  sociPrefetchMediaType,
  unmarshalIndex,
  xattrOptimization,
} from './index/soci-index.ts'
export { StoreArtifacts } from './store-artifacts.ts'
export { buildZtoc, type BuildZtocOptions } from './ztoc/build.ts'
export {
  extractEntry,
  type ExtractOptions,
  extractRange,
  type Extent,
  type FetchRange,
} from './ztoc/extract.ts'
export { type CompressionAlgorithm, decodeZtoc, encodeZtoc, type Ztoc } from './ztoc/flatbuffer.ts'
export { findEntry, type LocatedEntry, type OpenZtoc, openZtoc, type Span } from './ztoc/read.ts'
export {
  bytesOf,
  type ByteText,
  decodeText,
  encodeText,
  type EntryType,
  type TocEntry,
} from '@s3lo/core/tar'
export {
  type BuiltZtoc,
  DEFAULT_BUILD_TOOL_IDENTIFIER,
  DEFAULT_SPAN_SIZE,
  UPSTREAM_BUILD_TOOL_IDENTIFIER,
  type ZtocOptions,
} from './ztoc/ztoc-builder.ts'
