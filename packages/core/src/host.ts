import type { CallOptions } from './contract/call-options.ts'
import type { RegistryCredential } from './contract/plugin.ts'
import type { LoginResult, LogoutResult } from './contract/registry-login.ts'
import type { StoreLocation } from './contract/storage-backend.ts'
import type { ScannerChoice, ValidationChoice } from './host/examinations.ts'
import type { Maintenance } from './host/maintenance.ts'
import type { LocateOptions } from './host/locate-store.ts'
import { type HostOptions, type OpenedImage, Opener } from './host/opener.ts'
import type { VerificationChoice } from './host/verification.ts'
import type { ManifestDocument } from './oci/document.ts'
import type { CatResult, TakeContent } from './operations/cat.ts'
import type { CopyOptions, CopyResult } from './operations/copy.ts'
import type { CopyTagsOptions, CopyTagsResult } from './operations/copy-tags.ts'
import type { DeleteAllOptions, DeleteOptions, DeleteResult } from './operations/delete-tag.ts'
import type { ListedFile } from './operations/files.ts'
import type { HistoryOptions, ImageHistory, TagHistory } from './operations/history.ts'
import type { ImageFilesOptions } from './operations/image-files.ts'
import type { InspectResult } from './operations/inspect.ts'
import type { ListedImage } from './operations/list.ts'
import type { PullOptions, PullResult } from './operations/pull.ts'
import type { PushOptions, PushResult } from './operations/push.ts'
import type {
  SbomImageOptions,
  SbomResult,
  ScanImageOptions,
  ScanResult,
} from './operations/scan.ts'
import type { ValidateOptions, ValidateResult } from './operations/validate.ts'
import type { ImageStore } from './store/image-store.ts'

export type { ScannerChoice, ValidationChoice } from './host/examinations.ts'
export type { VerificationChoice } from './host/verification.ts'
// Here as well as in the main entry: what a command that only lists can afford to load.
export { parseStoreReference } from './layout/store-reference.ts'
export type { HostOptions, OpenedImage } from './host/opener.ts'

/** The operations of s3lo, by reference string: what the command line runs and libraries use. */
export interface Host extends Maintenance {
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
  /** The images of a store; a path after the bucket narrows them by name. */
  list(store: string, options?: CallOptions): Promise<readonly ListedImage[]>
  inspect(reference: string, options?: CallOptions): Promise<InspectResult>
  /** The manifest or index of an image, byte for byte. */
  manifest(reference: string, options?: CallOptions): Promise<ManifestDocument>
  delete(reference: string, options?: DeleteOptions): Promise<DeleteResult>
  /** Deletes every tag of an image; its nested images are not touched. */
  deleteAllTags(image: string, options?: DeleteAllOptions): Promise<readonly DeleteResult[]>
  /** The images of a store by their last push. */
  storeHistory(store: string, options?: HistoryOptions): Promise<readonly ImageHistory[]>
  /** The writes of an image's tags, or of one tag when the reference names it. */
  imageHistory(image: string, options?: HistoryOptions): Promise<readonly TagHistory[]>
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
  /** Holds an image against the policies of its bucket. */
  validate(reference: string, options?: ValidateOptions): Promise<ValidateResult>
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
   * The reference as every method here reads it, with its store spelled out, for who parses it. Of
   * `local://`, the store is the deepest folder on the path that is one already. Throws
   * `INVALID_REFERENCE`.
   */
  locate(reference: string, options?: LocateOptions): Promise<string>
  /** The store itself, for what no operation does. To be closed by the caller. */
  openStore(location: StoreLocation, options?: CallOptions): Promise<ImageStore>
  /**
   * The store of an image that is only read, and the image's reference. A digest may be shortened to
   * its first 4 or more hex digits; that of the result is whole. The store is to be closed by the
   * caller. Throws `NOT_FOUND` for a shortened digest that no manifest of the image has, and
   * `INVALID_REFERENCE` for one that several have.
   */
  openImage(reference: string, options?: CallOptions): Promise<OpenedImage>
}

/** Makes a host of plugins. Nothing is loaded or connected before an operation needs it. */
export function createHost(options: HostOptions = {}): Host {
  const opener = new Opener(options)
  const transfers = () => import('./host/transfers.ts')
  const contents = () => import('./host/contents.ts')
  const imageFiles = () => import('./host/image-files.ts')
  const maintenance = () => import('./host/maintenance.ts')
  const registries = () => import('./host/registries.ts')
  const examinations = () => import('./host/examinations.ts')
  // Other references name their store by themselves, and load nothing for it.
  const locate = async (text: string, given?: LocateOptions): Promise<string> =>
    text.startsWith('local://')
      ? (await import('./host/locate-store.ts')).locateStore(opener, text, given)
      : text
  return {
    push: async (image, to, options) =>
      (await transfers()).pushImage(
        opener,
        await locate(image, options),
        await locate(to, { ...options, creates: true }),
        options,
      ),
    pull: async (from, to, options) =>
      (await transfers()).pullImage(
        opener,
        await locate(from, options),
        to === undefined ? to : await locate(to, options),
        options,
      ),
    copy: async (from, to, options) =>
      (await transfers()).copyImage(
        opener,
        await locate(from, options),
        await locate(to, { ...options, creates: !options?.dryRun }),
        options,
      ),
    copyTags: async (from, to, options) =>
      (await transfers()).copyImageTags(
        opener,
        await locate(from, options),
        await locate(to, { ...options, creates: !options?.dryRun }),
        options,
      ),
    list: async (reference, options) =>
      (await contents()).listImages(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    inspect: async (reference, options) =>
      (await contents()).inspectImage(opener, await locate(reference, options), options),
    manifest: async (reference, options) =>
      (await contents()).readImageManifest(opener, await locate(reference, options), options),
    delete: async (reference, options) =>
      (await contents()).deleteImage(opener, await locate(reference, options), options),
    deleteAllTags: async (reference, options) =>
      (await contents()).deleteImageTags(opener, await locate(reference, options), options),
    storeHistory: async (reference, options) =>
      (await contents()).readStoreHistory(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    imageHistory: async (reference, options) =>
      (await contents()).readImageHistory(opener, await locate(reference, options), options),
    cat: async (reference, path, take, options) =>
      (await imageFiles()).readImageFile(
        opener,
        await locate(reference, options),
        path,
        take,
        options,
      ),
    files: async (reference, directory, options) =>
      (await imageFiles()).listImageFiles(
        opener,
        await locate(reference, options),
        directory,
        options,
      ),
    scan: async (reference, options) =>
      (await examinations()).scanImage(opener, await locate(reference, options), options),
    sbom: async (reference, options) =>
      (await examinations()).listImageContents(opener, await locate(reference, options), options),
    validate: async (reference, options) =>
      (await examinations()).validateImage(opener, await locate(reference, options), options),
    init: async (reference, options) =>
      (await maintenance()).initStore(
        opener,
        await locate(reference, { ...options, names: 'store', creates: true }),
        options,
      ),
    storeConfig: async (reference, options) =>
      (await maintenance()).readStoreConfig(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    imageConfig: async (reference, options) =>
      (await maintenance()).readImageConfig(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    setConfig: async (reference, settings, options) =>
      (await maintenance()).changeConfig(
        opener,
        await locate(reference, { ...options, names: 'store', creates: true }),
        settings,
        options,
      ),
    removeConfig: async (reference, key, options) =>
      (await maintenance()).unsetConfig(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        key,
        options,
      ),
    recommend: async (reference, options) =>
      (await maintenance()).recommendSettings(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    stats: async (reference, options) =>
      (await maintenance()).measureStore(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    layerSharing: async (reference, options) =>
      (await maintenance()).measureSharing(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    doctor: async (reference, options) =>
      (await maintenance()).examineStore(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    clean: async (reference, options) =>
      (await maintenance()).cleanStore(
        opener,
        await locate(reference, { ...options, names: 'store' }),
        options,
      ),
    login: async (...args) => (await registries()).loginToRegistry(opener, ...args),
    logout: async (...args) => (await registries()).logoutOfRegistry(opener, ...args),
    locate,
    openStore: (...args) => opener.openStore(...args),
    openImage: async (reference, options) =>
      (await contents()).openStoreImage(opener, await locate(reference, options), options),
  }
}
