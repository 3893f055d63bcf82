import type { RegistryCredential } from '../contract/plugin.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { SignChoice, VerifyChoice } from '../contract/signer.ts'
import { S3loError } from '../errors.ts'
import { parseConfigReference, parseReadReference } from '../layout/store-reference.ts'
import type { CatResult, TakeContent } from '../operations/cat.ts'
import type { DoctorOptions } from '../operations/doctor.ts'
import type { HistoryOptions } from '../operations/history.ts'
import type { ImageFilesOptions } from '../operations/image-files.ts'
import type { SbomImageOptions, ScanImageOptions } from '../operations/scan.ts'
import type { ValidateOptions } from '../operations/validate.ts'
import type { WindowOptions } from '../store/name-window.ts'
import type { Operations } from './contract.ts'
import type { Opener } from './opener.ts'
import {
  betweenEnds,
  locate,
  onImage,
  onImages,
  onNames,
  onScope,
  onStore,
  onTag,
  onTags,
} from './subject.ts'
import type { ScannerChoice } from './tools.ts'

/** The transport of registries. */
const REGISTRY = 'docker'

/** What signs with keys. */
const SIGNER = 'key'

/**
 * Every operation of the host: its kind of subject, and the function that works on it once it is
 * open. An operation is loaded by its first call.
 */
const OPERATIONS: { readonly [K in keyof Operations]: (opener: Opener) => Operations[K] } = {
  push: betweenEnds(async () => (await import('./transfers.ts')).push, { creates: true }),
  pull: betweenEnds(async () => (await import('./transfers.ts')).pull),
  copy: betweenEnds(async () => (await import('./transfers.ts')).copy, { creates: true }),
  copyTags: betweenEnds(async () => (await import('./transfers.ts')).copyTags, { creates: true }),

  list: onNames(async () => (await import('../operations/list.ts')).list),
  tags: onTags(
    async () =>
      async (store, { image }, options?: WindowOptions) =>
        Array.fromAsync(store.tags(image, options)),
  ),
  listUntagged: onImages(async () => (await import('../operations/list-untagged.ts')).listUntagged),
  stats: onImages(async () => (await import('../operations/stats.ts')).stats),
  layerSharing: onImages(async () => (await import('../operations/layer-sharing.ts')).layerSharing),
  clean: onImages(async () => (await import('../operations/clean.ts')).clean),
  doctor: onImages(async (opener) => {
    const { doctor } = await import('../operations/doctor.ts')
    return async (store, filter, options: DoctorOptions = {}) => {
      const { findReader } = await import('./tools.ts')
      const reader = options.reader ?? (options.deep ? await findReader(opener) : undefined)
      return doctor(store, filter, { ...options, reader })
    }
  }),

  inspect: onImage(async () => (await import('../operations/inspect.ts')).inspect),
  manifest: onImage(
    async () => (store, image, options?: CallOptions) => store.read(image, options),
  ),
  cat: onImage(
    async (opener) => {
      const [{ cat }, { findReader }] = await Promise.all([
        import('../operations/cat.ts'),
        import('./tools.ts'),
      ])
      return async (
        store,
        image,
        path: string,
        take: TakeContent,
        options: ImageFilesOptions = {},
      ): Promise<CatResult> =>
        cat(store, image, path, take, { ...options, reader: await findReader(opener, options) })
    },
    { between: 2 },
  ),
  files: onImage(
    async (opener) => {
      const [{ files }, { findReader }] = await Promise.all([
        import('../operations/files.ts'),
        import('./tools.ts'),
      ])
      return async (store, image, directory?: string, options: ImageFilesOptions = {}) =>
        files(store, image, directory, { ...options, reader: await findReader(opener, options) })
    },
    { between: 1 },
  ),
  scan: onImage(async (opener) => {
    const [{ scan }, { openScanner }] = await Promise.all([
      import('../operations/scan.ts'),
      import('./tools.ts'),
    ])
    return async (store, image, given: ScanImageOptions & ScannerChoice = {}) => {
      const { scanner, settings, ...options } = given
      const opened = await openScanner(opener, { scanner, settings }, options)
      return scan(store, image, opened, options)
    }
  }),
  sbom: onImage(async (opener) => {
    const [{ sbom }, { openScanner }] = await Promise.all([
      import('../operations/scan.ts'),
      import('./tools.ts'),
    ])
    return async (store, image, given: SbomImageOptions & ScannerChoice = {}) => {
      const { scanner, settings, ...options } = given
      const opened = await openScanner(opener, { scanner, settings }, options)
      return sbom(store, image, opened, options)
    }
  }),
  validate: onImage(async (opener) => {
    const [{ validate }, { validationTools }] = await Promise.all([
      import('../operations/validate.ts'),
      import('./tools.ts'),
    ])
    return (store, image, options?: ValidateOptions) =>
      validate(store, image, validationTools(opener), options)
  }),
  sign: onTag(async ({ registry, env }) => {
    const signer = await registry.signer(SIGNER)
    return ({ backend }, reference, options: SignChoice) =>
      signer.sign({ backend, reference }, { ...options, env })
  }),
  verify: onImage(async ({ registry, env }) => {
    const signer = await registry.signer(SIGNER)
    return ({ backend }, reference, options: VerifyChoice) =>
      signer.verify({ backend, reference }, { ...options, env })
  }),
  delete: onTag(async () => (await import('../operations/delete-tag.ts')).deleteTag),
  restore: onTag(async () => (await import('../operations/restore.ts')).restore),
  restorable: onScope(async () => {
    const [{ restorable }, { ImageStore }] = await Promise.all([
      import('../operations/restore.ts'),
      import('../store/image-store.ts'),
    ])
    return (backend, scope, options?: CallOptions) =>
      restorable(new ImageStore(backend), scope, options)
  }),
  deleteAllTags: onTags(async () => (await import('../operations/delete-tag.ts')).deleteAllTags),

  history: onScope(async () => {
    const [{ history }, { ImageStore }] = await Promise.all([
      import('../operations/history.ts'),
      import('../store/image-store.ts'),
    ])
    return (backend, image, options?: HistoryOptions) =>
      history(new ImageStore(backend), image, options)
  }),
  init: onStore(async () => (await import('../operations/init.ts')).init, { creates: true }),
  getConfig: onScope(async () => (await import('../operations/get-config.ts')).getConfig),
  setConfig: onScope(async () => (await import('../operations/set-config.ts')).setConfig, {
    between: 1,
    creates: true,
  }),
  removeConfig: onScope(async () => (await import('../operations/set-config.ts')).removeConfig, {
    between: 1,
  }),
  recommend: onStore(async () => (await import('../operations/recommend.ts')).recommend),

  login:
    (opener) =>
    async (registry: string, credential: RegistryCredential, options: CallOptions = {}) => {
      const module = await opener.registry.source(REGISTRY)
      if (!module.login) throw noLogins()
      return module.login(registry, credential, opener.transportOptions(options))
    },
  logout:
    (opener) =>
    async (registry, options = {}) => {
      const module = await opener.registry.source(REGISTRY)
      if (!module.logout) throw noLogins()
      return module.logout(registry, opener.transportOptions(options))
    },

  locate: (opener) => (reference, options) => locate(opener, reference, options),
  openStore:
    (opener) =>
    async (reference, options = {}) =>
      opener.openStore(
        parseConfigReference(await locate(opener, reference, { names: 'store', ...options })),
        options,
      ),
  openImage:
    (opener) =>
    async (reference, options = {}) =>
      opener.openImage(parseReadReference(await locate(opener, reference, options)), options),
}

/** Operations that work on what `opener` opens. */
export function bindOperations(opener: Opener): Operations {
  const bound = Object.entries(OPERATIONS).map(([name, bind]) => [name, bind(opener)] as const)
  return Object.fromEntries(bound) as unknown as Operations
}

function noLogins(): S3loError {
  return new S3loError('UNSUPPORTED', `${REGISTRY}: the plugin keeps no logins`)
}
