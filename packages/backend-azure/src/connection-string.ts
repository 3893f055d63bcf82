import { S3loError } from '@s3lo/core/plugin'

/** What a connection string says about a storage account. */
export interface ConnectionString {
  readonly accountName?: string
  readonly accountKey?: string
  readonly sasToken?: string
  /** The URL of the blob service, with the account in its path where that is the style. */
  readonly blobEndpoint?: string
}

/** The account, the key and the address that every emulator has; Microsoft publishes them. */
const DEVELOPMENT_STORAGE: ConnectionString = {
  accountName: 'devstoreaccount1',
  accountKey:
    'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
  blobEndpoint: 'http://127.0.0.1:10000/devstoreaccount1',
}

/** Reads a storage connection string. Throws `USAGE`, which never quotes it: it holds a secret. */
export function parseConnectionString(text: string): ConnectionString {
  const settings = new Map(
    text
      .split(';')
      .map((setting) => setting.trim())
      .filter((setting) => setting !== '')
      .map(splitSetting),
  )
  if (settings.get('usedevelopmentstorage')?.toLowerCase() === 'true') return DEVELOPMENT_STORAGE
  const accountName = settings.get('accountname')
  const accountKey = settings.get('accountkey')
  const sasToken = settings.get('sharedaccesssignature')
  const blobEndpoint = settings.get('blobendpoint') ?? defaultEndpoint(settings, accountName)
  return {
    ...(accountName !== undefined && { accountName }),
    ...(accountKey !== undefined && { accountKey }),
    ...(sasToken !== undefined && { sasToken }),
    ...(blobEndpoint !== undefined && { blobEndpoint }),
  }
}

/** Names are compared without regard to case; a value may hold `=`. */
function splitSetting(setting: string): readonly [string, string] {
  const equals = setting.indexOf('=')
  if (equals > 0) return [setting.slice(0, equals).toLowerCase(), setting.slice(equals + 1)]
  throw new S3loError('USAGE', 'the Azure connection string is not a list of name=value settings', {
    hint: 'copy AZURE_STORAGE_CONNECTION_STRING again, and put quotes around it',
  })
}

function defaultEndpoint(
  settings: ReadonlyMap<string, string>,
  accountName: string | undefined,
): string | undefined {
  if (accountName === undefined) return undefined
  const protocol = settings.get('defaultendpointsprotocol') ?? 'https'
  const suffix = settings.get('endpointsuffix') ?? 'core.windows.net'
  return `${protocol}://${accountName}.blob.${suffix}`
}
