/**
 * `s3lo serve` with users, rules and TLS, in several processes, before clients that others wrote: each logs
 * in, pushes, pulls and is refused what the rules do not allow.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { imageFixture } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeOciLayout } from './oci-layout.ts'
import { type Clients, requiredClients } from './required.ts'
import { SecuredServe } from './secured-serve.ts'

const image = imageFixture({ layers: ['a layer', 'another layer'] })
const clients = requiredClients()
if (clients === undefined) it.skip('clients are not there', () => {})
else describe('s3lo serve with users and TLS', () => testWith(clients))

let served: SecuredServe
let folder: string
let host: string

beforeAll(async () => {
  served = await SecuredServe.start(['--workers', '2', '--access-log'])
  ;({ folder, host } = served)
  await writeOciLayout(join(folder, 'layout'), 'v1', image)
})
afterAll(() => served[Symbol.asyncDispose]())

function testWith({ skopeo, crane, oras }: Clients): void {
  const client = (program: string, args: readonly string[]): Promise<string> =>
    served.client(program, args)
  const refused = (what: RegExp) => ({ stderr: expect.stringMatching(what) })
  const policy = '--insecure-policy'

  it('skopeo logs in with the right password only, pushes and pulls', async () => {
    const login = (password: string) =>
      client(skopeo, ['login', '-u', 'alice', '-p', password, host])
    await expect(login('wrong')).rejects.toMatchObject(refused(/invalid username\/password/))
    await login('secret')
    const target = `docker://${host}/team/app:v1`
    await client(skopeo, [policy, 'copy', '--preserve-digests', 'oci:layout:v1', target])
    const inspected = await client(skopeo, [policy, 'inspect', '--format', '{{.Digest}}', target])
    expect(inspected.trim()).toBe(image.root.descriptor.digest)
    await client(skopeo, [policy, 'copy', '--preserve-digests', target, 'oci:pulled:v1'])
    const { manifests } = JSON.parse(await readFile(join(folder, 'pulled/index.json'), 'utf8'))
    expect(manifests[0].digest).toBe(image.root.descriptor.digest)
    const other = `docker://${host}/other:v1`
    await expect(client(skopeo, [policy, 'copy', 'oci:layout:v1', other])).rejects.toMatchObject(
      refused(/denied|403/i),
    )
    await expect(client(skopeo, ['delete', target])).rejects.toMatchObject(refused(/denied/i))
  })

  it('crane copies between repositories, lists and deletes as far as the rules go', async () => {
    await client(crane, ['auth', 'login', '-u', 'alice', '-p', 'secret', host])
    await client(crane, ['copy', `${host}/team/app:v1`, `${host}/team/copy:v1`])
    expect((await client(crane, ['ls', `${host}/team/copy`])).trim()).toBe('v1')
    await expect(client(crane, ['catalog', host])).rejects.toMatchObject(refused(/DENIED/))
    await expect(
      client(crane, ['copy', `${host}/team/app:v1`, `${host}/public/app:v1`]),
    ).rejects.toMatchObject(refused(/DENIED/))
    await client(crane, ['auth', 'login', '-u', 'admin', '-p', 'secret', host])
    await client(crane, ['copy', `${host}/team/app:v1`, `${host}/public/app:v1`])
    expect((await client(crane, ['catalog', host])).split('\n')).toContain('public/app')
    await client(crane, ['delete', `${host}/team/copy:v1`])
    await client(crane, ['auth', 'logout', host])
    const digest = await client(crane, ['digest', `${host}/public/app:v1`])
    expect(digest.trim()).toBe(image.root.descriptor.digest)
    await expect(client(crane, ['digest', `${host}/team/app:v1`])).rejects.toMatchObject(
      refused(/UNAUTHORIZED|401/),
    )
  })

  it('oras logs in with the right password only, pushes artifacts and what refers to them', async () => {
    const login = (password: string) => client(oras, ['login', '-u', 'alice', '-p', password, host])
    await expect(login('wrong')).rejects.toMatchObject(refused(/unauthorized/))
    await login('secret')
    await writeFile(join(folder, 'note.txt'), 'a note')
    await client(oras, ['push', `${host}/team/note:v1`, 'note.txt:text/plain'])
    const attach = ['attach', '--artifact-type', 'example/note', `${host}/team/app:v1`]
    await client(oras, [...attach, 'note.txt:text/plain'])
    const found = await client(oras, ['discover', '--format', 'json', `${host}/team/app:v1`])
    expect(found).toContain('example/note')
    await client(oras, ['pull', '-o', 'fetched', `${host}/team/note:v1`])
    expect(await readFile(join(folder, 'fetched/note.txt'), 'utf8')).toBe('a note')
    await expect(
      client(oras, ['push', `${host}/other:v1`, 'note.txt:text/plain']),
    ).rejects.toMatchObject(refused(/403|denied/i))
  })

  it('s3lo copies with the credentials that another client kept, and lists what they pushed', async () => {
    const copied = await served.cli.run([
      'copy',
      `${host}/team/app:v1`,
      'oci:again:v1',
      '--tls-ca',
      'cert.pem',
    ])
    expect(copied).toMatchObject({ status: 0 })
    const listed = JSON.stringify(await served.cli.json(['list', served.store]))
    for (const name of ['team/app', 'team/note', 'public/app']) expect(listed).toContain(name)
  })
}
