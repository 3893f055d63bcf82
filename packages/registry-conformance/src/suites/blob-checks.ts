import type { CaseContext } from '../conformance-case.ts'
import { type Algorithm, digestOf } from '../content.ts'
import { expectBlob, expectDeleted, expectGone, paths } from '../protocol.ts'

/** What holds for every blob that was uploaded: it is read back, and deleted. */
export async function checkBlob(
  context: CaseContext,
  bytes: Buffer,
  algorithm: Algorithm,
  location?: string,
): Promise<void> {
  const { repository } = context
  await checkReadable(context, bytes, algorithm, location)
  await checkDelete(context, repository, digestOf(bytes, algorithm))
}

export async function checkReadable(
  context: CaseContext,
  bytes: Buffer,
  algorithm: Algorithm,
  location?: string,
): Promise<void> {
  const { check, client, repository } = context
  const digest = digestOf(bytes, algorithm)
  const path = paths.blob(repository, digest)
  if (location !== undefined) {
    await check('GET of the Location gives the blob', async () => {
      const reply = await client.send({ method: 'GET', path: location })
      expectBlob(context, reply, bytes, digest)
    })
  }
  await check('HEAD gives its length', async () => {
    expectBlob(context, await client.send({ method: 'HEAD', path }), bytes, digest)
  })
  await check('GET gives its bytes', async () => {
    expectBlob(context, await client.send({ method: 'GET', path }), bytes, digest)
  })
}

export async function checkDelete(
  { check, client, has }: CaseContext,
  repository: string,
  digest: string,
): Promise<void> {
  const path = paths.blob(repository, digest)
  const where = repository.endsWith('-other') ? ' in the other repository' : ''
  let isDeleted = false
  await check(
    `DELETE of the blob is answered 202${where}`,
    async () => {
      await expectDeleted(client, path, 'blob-delete')
      isDeleted = true
    },
    ['blob-delete'],
  )
  if (!isDeleted && has('blob-delete')) return
  await check(`HEAD after DELETE is answered 404${where}`, () => expectGone(client, path), [
    'blob-delete',
    'delete-atomic',
  ])
}
