import type { CallOptions } from '../contract/call-options.ts'
import type { RegistryCredential } from '../contract/plugin.ts'
import type { LoginResult, LogoutResult } from '../contract/registry-login.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { SignChoice, SignResult, VerifyChoice, VerifyResult } from '../contract/signer.ts'
import type { LocateOptions } from './locate-store.ts'
import type { OpenedImage } from './opener.ts'
import type { ScannerChoice } from './tools.ts'
import type { ValidationChoice } from './validation.ts'
import type { VerificationChoice } from './verification.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { CatResult, TakeContent } from '../operations/cat.ts'
import type { CleanOptions, CleanResult } from '../operations/clean.ts'
import type { CopyOptions, CopyResult } from '../operations/copy.ts'
import type { CopyTagsOptions, CopyTagsResult } from '../operations/copy-tags.ts'
import type { DeleteAllOptions, DeleteOptions, DeleteResult } from '../operations/delete-tag.ts'
import type { DoctorOptions, DoctorResult } from '../operations/doctor.ts'
import type { ListedFile } from '../operations/files.ts'
import type { Config } from '../operations/get-config.ts'
import type { History, HistoryOptions } from '../operations/history.ts'
import type { ImageFilesOptions } from '../operations/image-files.ts'
import type { InitResult } from '../operations/init.ts'
import type { InspectResult } from '../operations/inspect.ts'
import type { LayerSharingResult } from '../operations/layer-sharing.ts'
import type { ListedImage, ListImagesOptions } from '../operations/list.ts'
import type { UntaggedListing } from '../operations/list-untagged.ts'
import type { OperationOptions } from '../operations/options.ts'
import type { PullOptions, PullResult } from '../operations/pull.ts'
import type { PushOptions, PushResult } from '../operations/push.ts'
import type { RecommendOptions, RecommendResult } from '../operations/recommend.ts'
import type { RestorableImage, RestoreOptions, RestoreResult } from '../operations/restore.ts'
import type {
  SbomImageOptions,
  SbomResult,
  ScanImageOptions,
  ScanResult,
} from '../operations/scan.ts'
import type { SetConfigResult } from '../operations/set-config.ts'
import type { StatsOptions, StatsResult } from '../operations/stats.ts'
import type { ValidateOptions, ValidateResult } from '../operations/validate.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { WindowOptions } from '../store/name-window.ts'

/** What the command line runs and libraries use. */
export interface Host extends Operations {
  /**
   * Opens a store once for many calls. The reference is of the store, or of an image in it
   * (`names: 'image'`). Notices of the store itself go to the `onProgress` that is given here.
   */
  open(reference: string, options?: LocateOptions): Promise<StoreHandle>
}

/**
 * A store that stays open: for servers, user interfaces and programs with many calls. Operations on
 * references of this store work on what is open; for other references, they open and close as those
 * of the host do.
 */
export interface StoreHandle extends Operations, AsyncDisposable {
  /** The reference of the store: `s3://bucket/`. */
  readonly store: string
  /** Closes the store. What still runs fails, and later calls on the store throw `USAGE`. */
  close(): Promise<void>
}

/** The operations by reference string. Each takes a signal and reports its progress. */
export interface Operations {
  /** Publishes an image of the engine (a bare name) or of a transport in a store. */
  push(
    image: string,
    destination: string,
    options?: PushOptions & ValidationChoice,
  ): Promise<PushResult>
  /** Brings an image to the engine (default, as `image:tag`) or to a transport. */
  pull(
    reference: string,
    target?: string,
    options?: PullOptions & VerificationChoice,
  ): Promise<PullResult>
  /** Copies an image between any two of store, registry (a bare name), engine and archive. */
  copy(
    source: string,
    destination: string,
    options?: CopyOptions & ValidationChoice & VerificationChoice,
  ): Promise<CopyResult>
  /**
   * Copies the tags of an image that a pattern selects (`ghcr.io/org/app:v1.*`), or all of them when
   * the source has no tag. The destination is an image without a tag.
   */
  copyTags(
    source: string,
    destination: string,
    options?: CopyTagsOptions & ValidationChoice & VerificationChoice,
  ): Promise<CopyTagsResult>
  /** The images of a store, or a window of them; a path after the bucket narrows them by name. */
  list(store: string, options?: ListImagesOptions): Promise<readonly ListedImage[]>
  /** The tags of an image, or a window of them, in the order of names. */
  tags(image: string, options?: WindowOptions): Promise<readonly string[]>
  /** The images of a store that no tag reaches and that are pullable by their digests. */
  listUntagged(store: string, options?: CallOptions): Promise<readonly UntaggedListing[]>
  /** What an image is made of: platforms, layers, sizes, signatures. */
  inspect(reference: string, options?: CallOptions): Promise<InspectResult>
  /** The manifest or index of an image, byte for byte. */
  manifest(reference: string, options?: CallOptions): Promise<ManifestDocument>
  /** Deletes one tag. Throws `NOT_FOUND`, and `CONFLICT` for an immutable image unless forced. */
  delete(reference: string, options?: DeleteOptions): Promise<DeleteResult>
  /** Deletes every tag of an image; its nested images are not touched. */
  deleteAllTags(image: string, options?: DeleteAllOptions): Promise<readonly DeleteResult[]>
  /** What tags named before and can be given back: of a store, an image or a tag (`app:v1`). */
  restorable(reference: string, options?: CallOptions): Promise<readonly RestorableImage[]>
  /**
   * Gives a tag back what it named. Throws `NOT_FOUND` for what is not kept, and `CONFLICT` for a tag that
   * is there when it is not said what to restore.
   */
  restore(reference: string, options?: RestoreOptions): Promise<RestoreResult>
  /**
   * The images of a store by their last push, or the writes of an image's tags, or of the tag or
   * digest that the reference names. Throws `NOT_FOUND` for an image that was never pushed.
   */
  history(reference: string, options?: HistoryOptions): Promise<History>
  /** Reads one file as a running container sees it; `take` gets its content. */
  cat(
    reference: string,
    path: string,
    take: TakeContent,
    options?: ImageFilesOptions,
  ): Promise<CatResult>
  /** Lists a directory (default the root) as a running container sees it. */
  files(
    reference: string,
    directory?: string,
    options?: ImageFilesOptions,
  ): Promise<readonly ListedFile[]>
  /** Looks for known vulnerabilities in one platform of an image. */
  scan(reference: string, options?: ScanImageOptions & ScannerChoice): Promise<ScanResult>
  /** Lists what one platform of an image is made of. */
  sbom(reference: string, options?: SbomImageOptions & ScannerChoice): Promise<SbomResult>
  /**
   * Signs an image with a key, by the plugin that does so. Throws `NOT_FOUND`, and
   * `PLUGIN_NOT_INSTALLED` without that plugin.
   */
  sign(reference: string, options: SignChoice & ProgressOptions): Promise<SignResult>
  /**
   * Tells whether a key signed what the reference names now: a wrong signature is a verdict. Throws as
   * {@link sign} does.
   */
  verify(reference: string, options: VerifyChoice & ProgressOptions): Promise<VerifyResult>
  /** Holds an image against the policies of its bucket. */
  validate(reference: string, options?: ValidateOptions): Promise<ValidateResult>
  /** Makes a bucket or folder a store. What is there is never overwritten. */
  init(store: string, options?: CallOptions): Promise<InitResult>
  /**
   * What a store's `s3lo.yaml` sets, of every scope, or what holds for an image or glob, each value
   * with its source. Throws `INTEGRITY` when the file is not valid.
   */
  getConfig(reference: string, options?: CallOptions): Promise<Config>
  /** Sets `key=value` pairs for a store, an image or a glob, in one write; an empty value unsets. */
  setConfig(
    reference: string,
    settings: readonly string[],
    options?: CallOptions,
  ): Promise<SetConfigResult>
  /** Unsets one key of a store, an image or a glob, or without a key all that is set for it. */
  removeConfig(reference: string, key?: string, options?: CallOptions): Promise<SetConfigResult>
  /** How a bucket could be kept better. Changes nothing. */
  recommend(store: string, options?: RecommendOptions): Promise<RecommendResult>
  /** What a store holds and costs; a path after the bucket narrows images and tags by name. */
  stats(store: string, options?: StatsOptions): Promise<StatsResult>
  /** Which tags share which layers; a path after the bucket narrows them by name. */
  layerSharing(store: string, options?: OperationOptions): Promise<LayerSharingResult>
  /** Checks a store; a path after the bucket narrows the images that are looked at. */
  doctor(store: string, options?: DoctorOptions): Promise<DoctorResult>
  /**
   * Deletes tags that the rules drop and content that nothing needs, or says what it would. A path
   * after the bucket narrows the tags. What kept it from its work is in the result.
   */
  clean(store: string, options?: CleanOptions): Promise<CleanResult>
  /**
   * Keeps a credential for a registry, once the registry has accepted it, where docker keeps it.
   * Throws `UNAUTHORIZED` when it is refused; nothing is kept then.
   */
  login(
    registry: string,
    credential: RegistryCredential,
    options?: CallOptions,
  ): Promise<LoginResult>
  /** Forgets the credentials of a registry where {@link login} keeps them. */
  logout(registry: string, options?: CallOptions): Promise<LogoutResult>
  /**
   * The reference as every method here reads it, with its store spelled out, for the caller that parses it. Of
   * `local://`, the store is the deepest folder on the path that is one already. Throws
   * `INVALID_REFERENCE`.
   */
  locate(reference: string, options?: LocateOptions): Promise<string>
  /**
   * The store itself, for what no operation does. To be closed by the caller. Of the reference of an
   * image (`names: 'image'`), it is the store that the image is in. `endpoint` replaces that of the host.
   */
  openStore(
    reference: string,
    options?: LocateOptions & { readonly endpoint?: string | undefined },
  ): Promise<ImageStore>
  /**
   * The store of an image that is only read, and the image's reference. A digest may be shortened to
   * its first 4 or more hex digits; that of the result is whole. The store is to be closed by the
   * caller. Throws `NOT_FOUND` for a shortened digest that no manifest of the image has, and
   * `INVALID_REFERENCE` for one that several have.
   */
  openImage(reference: string, options?: CallOptions): Promise<OpenedImage>
}
