import type { CaseContext, ConformanceCase, ConformanceSuite } from '../conformance-case.ts'
import { Lacking } from '../conformance-case.ts'
import {
  artifactOf,
  type Descriptor,
  descriptorOf,
  documentOf,
  type Image,
  imageOf,
  MEDIA,
  unknownDigest,
} from '../content.ts'
import { expectEqual, expectHeader, expectStatus, expectTrue, jsonOf } from '../expect.ts'
import { headerOf, type Reply } from '../http/message.ts'
import { expectDeleted, pagesFrom, paths, putImage, putManifest } from '../protocol.ts'

type Lister = Pick<CaseContext, 'client' | 'repository'>

/** The answer of the first page, and the descriptors of all pages. */
interface Listing {
  readonly first: Reply
  readonly descriptors: readonly Descriptor[]
}

export async function listReferrers(
  { client, repository }: Lister,
  digest: string,
  query = '',
): Promise<Listing> {
  const descriptors: Descriptor[] = []
  let first: Reply | undefined
  for await (const reply of pagesFrom(client, paths.referrers(repository, digest, query))) {
    first ??= reply
    expectStatus(reply, 200)
    expectHeader(reply, 'content-type', MEDIA.index)
    const { schemaVersion, mediaType, manifests } = jsonOf(reply)
    expectEqual('schemaVersion', schemaVersion, 2)
    expectEqual('mediaType', mediaType, MEDIA.index)
    expectTrue(Array.isArray(manifests), 'a list of manifests', manifests ?? null)
    descriptors.push(...(manifests as Descriptor[]))
  }
  if (first === undefined) throw new Error('expected a page, got none')
  return { first, descriptors }
}

const byDigest = (a: Descriptor, b: Descriptor): number => (a.digest < b.digest ? -1 : 1)

/** Each referrer once, with all that the specification wants of its descriptor. */
export function expectReferrers(got: readonly Descriptor[], expected: readonly Descriptor[]): void {
  expectEqual('referrers', got.toSorted(byDigest), expected.toSorted(byDigest))
}

/** One filtered listing: nothing foreign, and the header that says so. */
export async function expectFiltered(
  lister: Lister,
  subject: string,
  type: string,
  all: readonly Descriptor[],
): Promise<void> {
  const query = `?artifactType=${encodeURIComponent(type)}`
  const { first, descriptors } = await listReferrers(lister, subject, query)
  const applied = headerOf(first, 'oci-filters-applied')
  if (applied === undefined) {
    expectReferrers(descriptors, all)
    throw new Lacking('referrers-filter', 'no OCI-Filters-Applied')
  }
  expectEqual('OCI-Filters-Applied', applied, 'artifactType')
  expectReferrers(
    descriptors,
    all.filter(({ artifactType }) => artifactType === type),
  )
}

async function push({ client, repository }: Lister, image: Image): Promise<void> {
  await putImage(client, repository, image)
}

const unknown: ConformanceCase = {
  name: 'referrers of what is not there',
  section: 'Listing referrers',
  needs: ['referrers'],
  run: async (context) => {
    const { check, client, repository } = context
    await check('an unknown digest has none', async () => {
      expectReferrers((await listReferrers(context, unknownDigest())).descriptors, [])
    })
    await check('an unknown digest of sha512 has none, or is refused', async () => {
      const path = paths.referrers(repository, unknownDigest('sha512'))
      expectStatus(await client.send({ method: 'GET', path }), 200, 400)
    })
    await check('an unknown digest has none of any type', async () => {
      const query = '?artifactType=application%2Fnone'
      expectReferrers((await listReferrers(context, unknownDigest(), query)).descriptors, [])
    })
    for (const bad of ['sha256:baddigeststring', 'sha256:', 'tag', `sha256:${'A'.repeat(64)}`]) {
      await check(`${bad.slice(0, 24)} is answered 400`, async () => {
        const path = paths.referrers(repository, bad)
        expectStatus(await client.send({ method: 'GET', path }), 400)
      })
    }
  },
}

const kinds: ConformanceCase = {
  name: 'referrers of every kind',
  section: 'Listing referrers',
  needs: ['push', 'referrers', 'subject', 'artifact', 'index'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    const subject = image.document.descriptor
    await step('an image is pushed', () => push(context, image))
    const { artifactType: _, ...plain } = subject
    const about = { mediaType: plain.mediaType, digest: plain.digest, size: plain.size }
    const annotations = { 'org.example.a': 'b', 'org.example.empty': '', über: 'Ω "quoted" \\ <&>' }
    const child = imageOf()
    const index = (value: object): Image => ({
      document: documentOf(MEDIA.index, {
        manifests: [descriptorOf(MEDIA.manifest, child.document.bytes)],
        subject: about,
        ...value,
      }),
      blobs: [],
    })
    const referrers = {
      'an artifact': artifactOf('application/vnd.example.one', { subject: about }),
      'an artifact with annotations': artifactOf('application/vnd.example.two+json', {
        subject: about,
        annotations,
      }),
      'an image, whose type is its config’s': imageOf({ subject: about }),
      'an index without a type': index({ annotations }),
      'an index with a type': index({ artifactType: 'application/vnd.example.one' }),
    }
    await step('a child of the indexes is pushed', () => push(context, child))
    const pushed: Descriptor[] = []
    for (const [name, referrer] of Object.entries(referrers)) {
      const [document, digest] = [referrer.document, referrer.document.digest]
      await step(`the blobs of ${name} are pushed`, () =>
        putImage(client, repository, { ...referrer, document: image.document }),
      )
      await step(`${name} is pushed, and OCI-Subject names its subject`, async () => {
        const reply = await putManifest(client, repository, digest, document)
        expectStatus(reply, 201)
        expectHeader(reply, 'oci-subject', subject.digest)
      })
      pushed.push(document.descriptor)
      await check(`${name} is listed at once`, async () => {
        expectReferrers((await listReferrers(context, subject.digest)).descriptors, pushed)
      })
    }
    const types = new Set(pushed.map(({ artifactType }) => artifactType ?? 'application/none'))
    for (const type of types) {
      await check(
        `those of type ${type} are listed alone`,
        () => expectFiltered(context, subject.digest, type, pushed),
        ['referrers-filter'],
      )
    }
    await check('a referrer that is pushed again is listed once', async () => {
      const [first] = Object.values(referrers)
      if (first === undefined) return
      await putManifest(client, repository, 'tagged', first.document)
      expectReferrers((await listReferrers(context, subject.digest)).descriptors, pushed)
    })
    await check('another repository lists none of them', async () => {
      const elsewhere = { client, repository: context.otherRepository }
      expectReferrers((await listReferrers(elsewhere, subject.digest)).descriptors, [])
    })
  },
}

const before: ConformanceCase = {
  name: 'referrers that come before their subject',
  section: 'Pushing manifests with subject',
  needs: ['push', 'referrers', 'subject', 'artifact'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    const { mediaType, digest, size } = image.document.descriptor
    const subject = { mediaType, digest, size }
    const referrer = artifactOf('application/vnd.example.early', { subject })
    await step('the referrer is pushed', () => push(context, referrer))
    const expected = [referrer.document.descriptor]
    await check('it is listed', async () => {
      expectReferrers((await listReferrers(context, digest)).descriptors, expected)
    })
    await check('the subject is not there', async () => {
      const path = paths.manifest(repository, digest)
      expectStatus(await client.send({ method: 'GET', path }), 404)
    })
    await step('the subject is pushed', () => push(context, image))
    await check('it is listed after that', async () => {
      expectReferrers((await listReferrers(context, digest)).descriptors, expected)
    })
  },
}

const removed: ConformanceCase = {
  name: 'referrers that are deleted',
  section: 'Deleting manifests',
  needs: ['push', 'referrers', 'subject', 'artifact', 'manifest-delete'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    const { mediaType, digest, size } = image.document.descriptor
    const subject = { mediaType, digest, size }
    const types = ['application/vnd.example.one', 'application/vnd.example.two']
    const referrers = types.map((type) => artifactOf(type, { subject }))
    await step('an image and its referrers are pushed', async () => {
      for (const one of [image, ...referrers]) await push(context, one)
    })
    const [first, second] = referrers.map(({ document }) => document)
    if (!first || !second) return
    await step('one is deleted', () =>
      expectDeleted(client, paths.manifest(repository, first.digest), 'manifest-delete'),
    )
    await check('the other is listed alone', async () => {
      const { descriptors } = await listReferrers(context, digest)
      expectReferrers(descriptors, [second.descriptor])
    })
    await step('the subject is deleted', () =>
      expectDeleted(client, paths.manifest(repository, digest), 'manifest-delete'),
    )
    await check('its referrers can be listed nevertheless', async () => {
      await listReferrers(context, digest)
    })
  },
}

const MANY = 40

const many: ConformanceCase = {
  name: 'many and large referrers',
  section: 'Listing referrers',
  needs: ['push', 'referrers', 'subject', 'artifact'],
  run: async (context) => {
    const { check, step } = context
    const image = imageOf()
    const { mediaType, digest, size } = image.document.descriptor
    const subject = { mediaType, digest, size }
    await step('an image is pushed', () => push(context, image))
    const pushed: Descriptor[] = []
    await step(`${MANY} referrers are pushed`, async () => {
      for (let at = 0; at < MANY; at += 1) {
        const type = `application/vnd.example.kind-${at % 2}`
        const annotations = { number: String(at), filler: 'x'.repeat(30_000) }
        const referrer = artifactOf(type, { subject, annotations })
        await push(context, referrer)
        pushed.push(referrer.document.descriptor)
      }
    })
    await check('the Links lead through all', async () => {
      expectReferrers((await listReferrers(context, digest)).descriptors, pushed)
    })
    await check(
      'the Links lead through those of a type',
      () => expectFiltered(context, digest, 'application/vnd.example.kind-1', pushed),
      ['referrers-filter'],
    )
  },
}

export const referrersSuite: ConformanceSuite = {
  name: 'referrers',
  cases: [unknown, kinds, before, removed, many],
}
