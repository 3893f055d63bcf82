import { S3loError } from '../errors.ts'

/** Where an image runs (OCI image spec v1.1.1, "image index"); names as Go spells them. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
  /** Of Windows: `10.0.17763.1`. */
  readonly 'os.version'?: string
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
  return { os, architecture: GO_ARCH[arch] ?? arch, ...hostVariant() }
}

/** 32-bit ARM alone differs so much that a program must know: this one runs here. */
function hostVariant(): { readonly variant?: string } {
  const { arch, config } = process
  const version = 'arm_version' in config.variables ? String(config.variables.arm_version) : ''
  return arch === 'arm' && /^[5-8]$/.test(version) ? { variant: `v${version}` } : {}
}

const SYSTEM = /^([^()]*)\(([A-Za-z0-9_.-]+)\)$/

/**
 * Parses `os/arch[/variant]`, where Windows may have a version: `windows(10.0.17763)/amd64`. Other
 * names of architectures are taken for what they are (`x86_64`, `aarch64`, `armhf`). Throws `USAGE`.
 */
export function parsePlatform(text: string): Platform {
  const [system = '', name, given, ...rest] = text.split('/')
  const [, os = system, version] = SYSTEM.exec(system) ?? []
  if (!os || !name || given === '' || rest.length > 0 || /[()]/.test(os)) {
    throw new S3loError('USAGE', `${JSON.stringify(text)} is not a platform`, {
      hint: 'platforms are os/arch or os/arch/variant, for example linux/arm64',
    })
  }
  const { architecture, variant } = normalizePlatform({ os, architecture: name })
  // `arm` alone leaves open which one it is; `armel` does not.
  const implied = name.toLowerCase() === architecture ? undefined : variant
  return {
    os: normalSystem(os),
    architecture,
    ...defined('variant', given?.toLowerCase() ?? implied),
    ...defined('os.version', version),
  }
}

function defined<K extends string>(
  key: K,
  value: string | undefined,
): { readonly [P in K]?: string } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: string })
}

function normalSystem(os: string): string {
  const system = os.toLowerCase()
  return system === 'macos' ? 'darwin' : system
}

/** What else architectures are called, and the variant that such a name implies. */
const ARCHITECTURES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  i386: ['386', ''],
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
}

/** What variants are called of which there are several spellings; empty is the baseline. */
const VARIANTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  amd64: { v1: '' },
  arm64: { 8: '', v8: '', 'v8.0': '', 9: 'v9', '9.0': 'v9', 'v9.0': 'v9' },
  arm: { '': 'v7', 5: 'v5', 6: 'v6', 7: 'v7', 8: 'v8' },
}

/** One spelling for each platform, as containerd normalises them: the baseline has no variant, and `arm` is `arm/v7`. */
export function normalizePlatform(platform: Platform): Platform {
  const { os, variant: given = '', ...rest } = platform
  const name = platform.architecture.toLowerCase()
  const [architecture, implied] = own(ARCHITECTURES, name) ?? [name]
  const spelled = implied ?? given.toLowerCase()
  const variant = own(own(VARIANTS, architecture) ?? {}, spelled) ?? spelled
  return { ...rest, os: normalSystem(os), architecture, ...(variant ? { variant } : {}) }
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

/** True when both normalise to one platform; versions of Windows are not compared. */
export function isSamePlatform(a: Platform, b: Platform): boolean {
  return formatPlatform(normalizePlatform(a)) === formatPlatform(normalizePlatform(b))
}

/** `os/arch[/variant]`, or `(attestation)` for an entry that no machine runs. */
export function formatPlatform(platform: Platform | undefined): string {
  if (!platform?.os || platform.os === 'unknown') return ATTESTATION_PLATFORM
  const { os, architecture, variant } = platform
  return variant ? `${os}/${architecture}/${variant}` : `${os}/${architecture}`
}

/** As {@link formatPlatform}, with the version of Windows: `windows(10.0.17763.1)/amd64`. */
export function formatExactPlatform(platform: Platform): string {
  const { os, 'os.version': version } = platform
  return formatPlatform(version && os ? { ...platform, os: `${os}(${version})` } : platform)
}

/** True for the text that {@link formatPlatform} gives to an attestation. */
export function isAttestationPlatform(text: string): boolean {
  return text === ATTESTATION_PLATFORM || text === '' || text.split('/', 1)[0] === 'unknown'
}
