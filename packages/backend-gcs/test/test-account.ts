import { generateKeyPairSync, type KeyObject } from 'node:crypto'

type FileMember =
  | 'type'
  | 'project_id'
  | 'private_key_id'
  | 'private_key'
  | 'client_email'
  | 'client_id'
  | 'token_uri'

/** A made-up service account, with a key of its own. */
export interface TestAccount {
  readonly email: string
  readonly publicKey: KeyObject
  /** What its key file would hold. */
  readonly file: Readonly<Record<FileMember, string>>
}

/** Makes a service account whose tokens come from `tokenUri`. */
export function makeAccount(tokenUri = 'http://127.0.0.1:1/token'): TestAccount {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const email = 'tester@s3lo-test.iam.gserviceaccount.com'
  const file = {
    type: 'service_account',
    project_id: 's3lo-test',
    private_key_id: 'test',
    private_key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    client_email: email,
    client_id: '1',
    token_uri: tokenUri,
  }
  return { email, publicKey, file }
}
