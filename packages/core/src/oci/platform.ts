import { S3loError } from '../errors.ts'

/** Where an image runs (OCI image spec v1.1.1, "image index"); names as Go spells them. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

/** How an index entry without a real platform is shown: BuildKit's attestations have `unknown/unknown`. */
const ATTESTATION_PLATFORM = '(attestation)'

const GO_ARCH: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
}

/** The platform of this machine's containers: darwin and windows hosts run linux ones. */
export function hostPlatform(): Platform {
  const { arch, platform: host } = process
  const os = host === 'darwin' || host === 'win32' ? 'linux' : host
  return { os, architecture: GO_ARCH[arch] ?? arch }
}

/** Parses `os/arch[/variant]`. Throws `USAGE`. */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...rest] = text.split('/')
  if (!os || !architecture || variant === '' || rest.length > 0) {
    throw new S3loError('USAGE', `${JSON.stringify(text)} is not a platform`, {
      hint: 'platforms are os/arch or os/arch/variant, for example linux/arm64',
    })
  }
  return variant === undefined ? { os, architecture } : { os, architecture, variant }
}

/** `os/arch[/variant]`, or `(attestation)` for an entry that no machine runs. */
export function formatPlatform(platform: Platform | undefined): string {
  if (!platform?.os || platform.os === 'unknown') return ATTESTATION_PLATFORM
  const { os, architecture, variant } = platform
  return variant ? `${os}/${architecture}/${variant}` : `${os}/${architecture}`
}

/** True for the text that {@link formatPlatform} gives to an attestation. */
export function isAttestationPlatform(text: string): boolean {
  return text === ATTESTATION_PLATFORM || text === '' || text.split('/', 1)[0] === 'unknown'
}

/** True when an index entry is what was asked for; the variant counts only when it was asked for. */
export function matchesPlatform(entry: Platform | undefined, wanted: Platform): boolean {
  return (
    entry !== undefined &&
    entry.os === wanted.os &&
    entry.architecture === wanted.architecture &&
    (wanted.variant === undefined || entry.variant === wanted.variant)
  )
}

/** True when both name the same machine as far as both say: one of them may leave the variant out. */
export function isCompatiblePlatform(a: Platform, b: Platform): boolean {
  return (
    a.os === b.os &&
    a.architecture === b.architecture &&
    (!a.variant || !b.variant || a.variant === b.variant)
  )
}

export interface PlatformChoice {
  /** `undefined` when nothing was asked for and nothing is known: take what there is. */
  readonly chosen: Platform | undefined
  /** The platforms left behind, as text, sorted. */
  readonly dropped: readonly string[]
}

/**
 * Which of an image's platforms a push takes: the one asked for, else the only one, else the
 * host's. Throws `NOT_FOUND` when the one asked for is not there, `USAGE` when none is asked for
 * and the host's is not there.
 */
export function choosePlatform(
  available: readonly Platform[],
  requested: Platform | undefined,
  host: Platform = hostPlatform(),
): PlatformChoice {
  if (available.length === 0) return { chosen: requested, dropped: [] }
  const names = available.map(formatPlatform).toSorted()
  const chosen = pick(available, requested, host, names)
  const dropped = available
    .filter((other) => !isCompatiblePlatform(other, chosen))
    .map(formatPlatform)
  return { chosen, dropped: [...new Set(dropped)].toSorted() }
}

function pick(
  available: readonly Platform[],
  requested: Platform | undefined,
  host: Platform,
  names: readonly string[],
): Platform {
  if (requested) {
    if (available.some((entry) => isCompatiblePlatform(entry, requested))) return requested
    throw new S3loError('NOT_FOUND', `the image has no platform ${formatPlatform(requested)}`, {
      hint: `it has ${names.join(', ')}`,
    })
  }
  const [only] = available
  if (only && available.length === 1) return only
  if (available.some((entry) => isCompatiblePlatform(entry, host))) return host
  throw new S3loError(
    'USAGE',
    `the image has several platforms and none is ${formatPlatform(host)}`,
    {
      hint: `pass --platform with one of ${names.join(', ')}, or --all-platforms`,
    },
  )
}
