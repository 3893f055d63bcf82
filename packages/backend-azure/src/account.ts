import { AnonymousCredential, StorageSharedKeyCredential } from '@azure/storage-blob'
import { type BackendOptions, S3loError } from '@s3lo/core/plugin'
import { type ConnectionString, parseConnectionString } from './connection-string.ts'
import {
  defaultCredential,
  isTokenCredential,
  stoppable,
  type TokenCredential,
} from './default-credential.ts'

/** A storage account, and what opens it. */
export interface AzureAccount {
  /** The URL of the blob service, without a `/` at its end. */
  readonly url: string
  readonly credential: StorageSharedKeyCredential | AnonymousCredential | TokenCredential
  /** Without the leading `?`. */
  readonly sasToken?: string
}

type Environment = BackendOptions['env']

/**
 * Finds the account and its credentials: the connection string first, then AZURE_STORAGE_ACCOUNT
 * with AZURE_STORAGE_KEY, with AZURE_STORAGE_SAS_TOKEN, or with the identity of this machine or
 * user. Throws `USAGE` for settings that are missing or contradict each other.
 */
export function resolveAccount({ env, endpoint, credentials }: BackendOptions): AzureAccount {
  const connection = parseConnectionString(env['AZURE_STORAGE_CONNECTION_STRING'] ?? '')
  const name = accountName(connection, env)
  const url = serviceUrl(endpoint ?? connection.blobEndpoint, name)
  if (credentials !== undefined) return { url, credential: givenCredential(credentials, url) }
  const key = connection.accountKey ?? (connection.sasToken ? undefined : setting(env, 'KEY'))
  if (key !== undefined) return { url, credential: sharedKey(name, key) }
  const sasToken = connection.sasToken ?? setting(env, 'SAS_TOKEN')
  if (sasToken !== undefined) {
    return { url, credential: new AnonymousCredential(), sasToken: sasToken.replace(/^\?/, '') }
  }
  assertEncrypted(url)
  return { url, credential: stoppable(defaultCredential(env)) }
}

function accountName(connection: ConnectionString, env: Environment): string | undefined {
  const name = setting(env, 'ACCOUNT')
  const connected = connection.accountName
  if (name !== undefined && connected !== undefined && name !== connected) {
    throw new S3loError(
      'USAGE',
      `AZURE_STORAGE_ACCOUNT names ${name}, but the connection string is of ${connected}`,
      { hint: 'unset one of the two' },
    )
  }
  return connected ?? name
}

function serviceUrl(endpoint: string | undefined, name: string | undefined): string {
  if (name !== undefined && !/^[a-z0-9-]{3,63}$/.test(name)) {
    throw new S3loError('USAGE', `"${name}" cannot be the name of an Azure storage account`)
  }
  if (endpoint === undefined) {
    if (name !== undefined) return `https://${name}.blob.core.windows.net`
    throw new S3loError('USAGE', 'it is not known which Azure storage account to use', {
      hint: 'set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING',
    })
  }
  const url = parseEndpoint(endpoint)
  // An address has no room for the account in its host name, so emulators take it as a folder.
  if (url.pathname === '/' && name !== undefined && isAddress(url.hostname)) url.pathname = name
  return url.href.replace(/\/+$/, '')
}

function parseEndpoint(endpoint: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url && /^https?:$/.test(url.protocol) && !url.search && !url.username && !url.hash) return url
  // The text is not repeated: a SAS token could be pasted into it.
  throw new S3loError('USAGE', 'the Azure endpoint is not an http or https URL without a query', {
    hint: 'use the form https://ACCOUNT.blob.core.windows.net',
  })
}

function isAddress(hostname: string): boolean {
  return hostname === 'localhost' || hostname.startsWith('[') || /^[\d.]+$/.test(hostname)
}

function givenCredential(credentials: unknown, url: string): AzureAccount['credential'] {
  if (credentials instanceof StorageSharedKeyCredential) return credentials
  if (!isTokenCredential(credentials)) {
    throw new S3loError('USAGE', 'the credentials given for Azure are of an unknown kind', {
      hint: 'give a TokenCredential or a StorageSharedKeyCredential',
    })
  }
  assertEncrypted(url)
  return stoppable(credentials)
}

function sharedKey(name: string | undefined, key: string): StorageSharedKeyCredential {
  if (name === undefined) {
    throw new S3loError('USAGE', 'the Azure account key has no account', {
      hint: 'set AZURE_STORAGE_ACCOUNT too',
    })
  }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(key)) {
    throw new S3loError('USAGE', 'the Azure account key is not base64', {
      hint: 'copy AZURE_STORAGE_KEY again',
    })
  }
  return new StorageSharedKeyCredential(name, key)
}

function assertEncrypted(url: string): void {
  if (url.startsWith('https:')) return
  throw new S3loError('USAGE', `an Azure identity cannot be used at ${url}, which is not https`, {
    hint: 'set AZURE_STORAGE_KEY for an emulator',
  })
}

function setting(env: Environment, name: string): string | undefined {
  // An empty variable is one that was meant to be unset.
  return env[`AZURE_STORAGE_${name}`]?.trim() || undefined
}
