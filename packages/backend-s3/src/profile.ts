import { CONFIG_PREFIX_SEPARATOR, loadSharedConfigFiles } from '@smithy/core/config'
import { type BackendOptions, S3loError } from '@s3lo/core/plugin'
import type { AddressKind } from './address.ts'
import type { Credentials } from './signature.ts'

type Environment = BackendOptions['env']

/** What a profile says about the service. */
export interface Profile {
  readonly endpoint?: string | undefined
  readonly region?: string | undefined
  /** A key that stands in it, where it does not say to use another one with it. */
  readonly credentials?: Credentials
  /** By `use_fips_endpoint` and `use_dualstack_endpoint`. */
  readonly addressKind: AddressKind
  /** Endpoints of the environment and of profiles do not count. */
  readonly ignoresEndpoints: boolean
}

type Section = Readonly<Record<string, string | undefined>>

const DEFAULT_PROFILE = 'default'

/**
 * The options with the endpoint that the environment or the profile names, and the profile's region
 * where its endpoint is used. Throws `USAGE` for a profile that is not there.
 */
export async function withProfile<T extends BackendOptions>(options: T): Promise<T> {
  const { env, endpoint, region } = options
  const profile = await readProfile(env)
  if (endpoint) return options
  if (profile.ignoresEndpoints) {
    return { ...options, env: { ...env, AWS_ENDPOINT_URL_S3: '', AWS_ENDPOINT_URL: '' } }
  }
  const isNamed = env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL']
  if (isNamed || !profile.endpoint) return options
  const wantedRegion = region || env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || profile.region
  return { ...options, endpoint: profile.endpoint, ...(wantedRegion && { region: wantedRegion }) }
}

/** The profile that AWS_PROFILE names. Throws `USAGE` where there is none of that name. */
export async function readProfile(env: Environment): Promise<Profile> {
  const name = env['AWS_PROFILE'] || DEFAULT_PROFILE
  // Where nothing names the files, they are where the SDK looks for the credentials in them.
  const filepath = env['AWS_SHARED_CREDENTIALS_FILE']
  const configFilepath = env['AWS_CONFIG_FILE']
  const files = await loadSharedConfigFiles({
    ...(filepath && { filepath }),
    ...(configFilepath && { configFilepath }),
    ignoreCache: true,
  })
  const sections: Readonly<Record<string, Section | undefined>> = files.configFile
  const found = [files.credentialsFile[name], sections[name]]
  if (name !== DEFAULT_PROFILE && found.every((section) => section === undefined)) {
    throw new S3loError(
      'USAGE',
      `there is no AWS profile ${name} in ${configFilepath || '~/.aws/config'} or ${filepath || '~/.aws/credentials'}`,
      { hint: 'correct AWS_PROFILE, or make the profile: aws configure --profile NAME' },
    )
  }
  const profile: Section = { ...found[0], ...found[1] }
  const ignores =
    env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] ?? profile['ignore_configured_endpoint_urls']
  const wants = (kind: 'dualstack' | 'fips'): boolean => {
    const wanted = env[`AWS_USE_${kind.toUpperCase()}_ENDPOINT`] ?? profile[`use_${kind}_endpoint`]
    return wanted?.toLowerCase() === 'true'
  }
  return {
    endpoint: serviceEndpoint(profile, sections, name) ?? profile['endpoint_url'],
    region: profile['region'],
    ...keyOf({ ...found[1], ...found[0] }),
    addressKind: { isFips: wants('fips'), isDualStack: wants('dualstack') },
    ignoresEndpoints: ignores?.toLowerCase() === 'true',
  }
}

/** A profile that assumes a role uses its key for that alone. */
function keyOf(section: Section): Pick<Profile, 'credentials'> {
  const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey } = section
  const { aws_session_token: sessionToken, role_arn: role } = section
  if (role !== undefined || !accessKeyId || !secretAccessKey) return {}
  return { credentials: { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) } }
}

/** The endpoint for S3 in the section that says where the services of a profile are. */
function serviceEndpoint(
  { services }: Section,
  sections: Readonly<Record<string, Section | undefined>>,
  profile: string,
): string | undefined {
  if (services === undefined) return undefined
  const section = sections[`services${CONFIG_PREFIX_SEPARATOR}${services}`]
  if (section) return section[`s3${CONFIG_PREFIX_SEPARATOR}endpoint_url`]
  throw new S3loError(
    'USAGE',
    `the AWS profile ${profile} names services ${services}, which are not there`,
    {
      hint: `add a section [services ${services}] to the AWS configuration file`,
    },
  )
}
