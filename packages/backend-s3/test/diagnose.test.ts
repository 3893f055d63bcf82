import { describe, expect, it } from 'vitest'
import { type Answer, failureOf, refuse, xml, useFakeS3 } from './fake-s3.ts'

const service = await useFakeS3()

const NO_RULES = refuse(404, 'NoSuchLifecycleConfiguration')
const NO_VERSIONS = xml('<VersioningConfiguration/>')
const NO_LOCK = refuse(404, 'ObjectLockConfigurationNotFoundError')
const NO_TIERS = xml('<ListBucketIntelligentTieringConfigurationsOutput/>')

/** What is found where only some of the bucket's settings are not the usual ones. */
async function findings({
  rules = NO_RULES,
  versioning = NO_VERSIONS,
  lock = NO_LOCK,
  tiers = NO_TIERS,
}: Partial<Record<'rules' | 'versioning' | 'lock' | 'tiers', Answer>> = {}) {
  service.script(rules, versioning, lock, tiers)
  return Array.fromAsync(service.backend().diagnose())
}

function rule(body: string): Answer {
  return xml(
    `<LifecycleConfiguration><Rule><Status>Enabled</Status>${body}</Rule></LifecycleConfiguration>`,
  )
}

const EVERYTHING = '<Filter><Prefix></Prefix></Filter>'

describe('diagnose', () => {
  it('finds little to say about a bucket as it is made', async () => {
    expect(await findings()).toMatchObject([
      { severity: 'ok', message: expect.stringContaining('versioning is off') },
      { severity: 'notice', message: expect.stringContaining('no lifecycle rule removes') },
      { severity: 'ok', tiering: 'not configured' },
    ])
    expect(service.seen).toHaveLength(4)
  })

  it('minds versioning unless a rule expires old versions', async () => {
    for (const status of ['Enabled', 'Suspended']) {
      const versioning = xml(
        `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`,
      )
      const [bare] = await findings({ versioning })
      expect(bare).toMatchObject({
        severity: 'notice',
        hint: expect.stringContaining('NoncurrentVersionExpiration'),
      })
      const rules = rule(
        `${EVERYTHING}<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>`,
      )
      const [covered] = await findings({ versioning, rules })
      expect(covered?.severity).toBe('ok')
    }
  })

  it('warns of rules that destroy or archive what is tagged, and of no others', async () => {
    const expiry = '<Expiration><Days>30</Days></Expiration>'
    const archive = '<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>'
    const problemsOf = async (body: string) =>
      (await findings({ rules: rule(body) })).filter(({ severity }) => severity === 'problem')
    expect(await problemsOf(`${EVERYTHING}${expiry}`)).toMatchObject([
      { message: expect.stringContaining('destroys images that are still tagged') },
    ])
    expect(await problemsOf(`${EVERYTHING}${archive}`)).toMatchObject([
      { message: expect.stringContaining('GLACIER: images there cannot be pulled') },
    ])
    expect(
      await problemsOf(`<Filter><Prefix>blobs/sha256/</Prefix></Filter>${expiry}`),
    ).toHaveLength(1)
    expect(await problemsOf(`<Filter><Prefix>logs/</Prefix></Filter>${expiry}`)).toEqual([])
    expect(await problemsOf(`${EVERYTHING}${archive.replace('GLACIER', 'GLACIER_IR')}`)).toEqual([])
    expect(
      await problemsOf(
        `${EVERYTHING}<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>`,
      ),
    ).toEqual([])
  })

  it('has nothing to say of a setting for which the service lists the bucket', async () => {
    const tiers = xml('<ListBucketResult><Name>bucket</Name></ListBucketResult>')
    expect((await findings({ tiers })).at(-1)?.message).toBe(
      'Intelligent-Tiering: the service does not have it',
    )
  })

  it('tells Object Lock and the archive tiers of Intelligent-Tiering', async () => {
    const lock = xml(
      '<ObjectLockConfiguration><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>7</Days></DefaultRetention></Rule></ObjectLockConfiguration>',
    )
    const tiers = xml(
      '<ListBucketIntelligentTieringConfigurationsOutput><IntelligentTieringConfiguration><Id>a</Id><Status>Enabled</Status></IntelligentTieringConfiguration></ListBucketIntelligentTieringConfigurationsOutput>',
    )
    const found = await findings({ lock, tiers })
    expect(found.at(-2)?.message).toContain(
      'Object Lock (COMPLIANCE) keeps every version for 7 days',
    )
    expect(found.at(-1)).toMatchObject({ severity: 'notice', tiering: 'enabled' })
  })

  it('says what may not be looked at and continues', async () => {
    const denied = refuse(403, 'AccessDenied')
    const found = await findings({ rules: denied, versioning: denied, lock: denied, tiers: denied })
    expect(found.map(({ message }) => message)).toEqual([
      'versioning: the credentials may not look at it',
      'lifecycle: the credentials may not look at it',
      'Intelligent-Tiering: the credentials may not look at it',
    ])
  })

  it('throws for a bucket that is not there', async () => {
    service.script(refuse(404, 'NoSuchBucket'))
    const failure = await failureOf(service.backend().diagnose()[Symbol.asyncIterator]().next())
    expect(failure.code).toBe('NOT_FOUND')
  })
})
