import {
  type ConfigScope,
  parseConfigReference,
  parseExplicitReference,
  parseReadReference,
  parseStoreReference,
  type StoreReference,
} from '../layout/store-reference.ts'
import type { StorageBackend, StoreLocation } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { LocateOptions } from './locate-store.ts'
import type { Opener, OpenOptions } from './opener.ts'

/** A method of the host, once it is bound to what opens stores. */
type Bound<A extends readonly unknown[], R> = (
  opener: Opener,
) => (reference: string, ...args: A) => Promise<R>

/** Where a method differs from `(reference, options)`. */
interface Shape {
  /** The arguments between the reference and the options (default 0). */
  readonly between?: number
  /** The operation makes the store where there is none. */
  readonly creates?: boolean
}

/** Makes methods of operations that begin with the arguments `S`; an operation is loaded by its first call. */
type Binder<S extends readonly unknown[]> = <A extends readonly unknown[], R>(
  load: (opener: Opener) => Promise<(...args: [...S, ...A]) => Promise<R>>,
  shape?: Shape,
) => Bound<A, R>

/** The options of a call: what opens the store, and how `local://` is read. */
type SubjectOptions = OpenOptions & LocateOptions

/** Reads a reference, opens its store for `use`, and closes it. */
type Open<S extends readonly unknown[]> = <R>(
  opener: Opener,
  reference: string,
  options: OpenOptions,
  use: (...subject: S) => Promise<R>,
) => Promise<R>

function binder<S extends readonly unknown[]>(
  names: LocateOptions['names'],
  open: Open<S>,
): Binder<S> {
  return <A extends readonly unknown[], R>(
    load: (opener: Opener) => Promise<(...args: [...S, ...A]) => Promise<R>>,
    { between = 0, creates = false }: Shape = {},
  ): Bound<A, R> =>
    (opener) =>
    async (reference, ...args) => {
      const options = (args[between] ?? {}) as SubjectOptions
      const located = await locate(opener, reference, { ...options, names, creates })
      return open(opener, located, options, async (...subject) => {
        const operation = await load(opener)
        return operation(...subject, ...args)
      })
    }
}

/** The reference with its store spelled out; see `Host.locate`. */
export async function locate(
  opener: Opener,
  text: string,
  options?: LocateOptions,
): Promise<string> {
  // Other references name their store by themselves, and load nothing for it.
  if (!text.startsWith('local://')) return text
  const { locateStore } = await import('./locate-store.ts')
  return locateStore(opener, text, options)
}

/** Operations of a whole store: `(backend, …)`. */
export const onStore: Binder<[backend: StorageBackend]> = binder(
  'store',
  async (opener, text, options, use) => opener.withBackend(wholeStore(text), options, use),
)

/** Operations of the names in a store that a path selects: `(backend, filter, …)`. */
export const onNames: Binder<[backend: StorageBackend, filter: string]> = binder(
  'store',
  async (opener, text, options, use) => {
    const location = parseStoreReference(text)
    return opener.withBackend(location, options, (backend) => use(backend, location.filter))
  },
)

/** Operations of the images that a path selects: `(store, filter, …)`. */
export const onImages: Binder<[store: ImageStore, filter: string]> = binder(
  'store',
  async (opener, text, options, use) => {
    const location = parseStoreReference(text)
    return opener.withStore(location, options, (store) => use(store, location.filter))
  },
)

/** Operations of a store, or of an image or glob in it: `(backend, image, …)`, empty for the store. */
export const onScope: Binder<[backend: StorageBackend, image: string]> = binder(
  'store',
  async (opener, text, options, use) => {
    const scope = parseConfigReference(text)
    return opener.withBackend(scope, options, (backend) => use(backend, scope.image))
  },
)

/** Operations of every tag of an image, which is named without one: `(store, image, …)`. */
export const onTags: Binder<[store: ImageStore, image: ConfigScope]> = binder(
  'image',
  async (opener, text, options, use) => {
    const image = parseConfigReference(text)
    return opener.withStore(image, options, (store) => use(store, image))
  },
)

/** Operations that change exactly the tag that is named: `(store, reference, …)`. */
export const onTag: Binder<[store: ImageStore, reference: StoreReference]> = binder(
  'image',
  async (opener, text, options, use) => {
    const reference = parseExplicitReference(text)
    return opener.withStore(reference, options, (store) => use(store, reference))
  },
)

/** Operations that only read an image, whose digest may be shortened: `(store, reference, …)`. */
export const onImage: Binder<[store: ImageStore, reference: StoreReference]> = binder(
  'image',
  async (opener, text, options, use) => opener.withImage(parseReadReference(text), options, use),
)

/** Operations with two ends: `(opener, from, to, options)`. */
export function betweenEnds<T extends string | undefined, O extends SubjectOptions, R>(
  load: () => Promise<(opener: Opener, from: string, to: T, options?: O) => Promise<R>>,
  { creates = false }: { readonly creates?: boolean } = {},
): (opener: Opener) => (from: string, to: T, options?: O) => Promise<R> {
  return (opener) => async (from, to, options) => {
    const operation = await load()
    const isDry = (options as { readonly dryRun?: boolean } | undefined)?.dryRun ?? false
    const source = await locate(opener, from, options)
    const target =
      to === undefined ? to : await locate(opener, to, { ...options, creates: creates && !isDry })
    return operation(opener, source, target as T, options)
  }
}

/** Throws `USAGE` for a reference that continues after the bucket. */
function wholeStore(store: string): StoreLocation {
  const { filter, ...location } = parseStoreReference(store)
  if (filter === '') return location
  throw new S3loError('USAGE', `${store} names an image, not a store`, {
    hint: `leave ${filter.slice(0, -1)} out`,
  })
}
