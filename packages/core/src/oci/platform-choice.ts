import { S3loError } from '../errors.ts'
import {
  formatExactPlatform,
  formatPlatform,
  hostPlatform,
  isSamePlatform,
  normalizePlatform,
  type Platform,
} from './platform.ts'

/** Something that runs on one platform. */
export interface OfPlatform {
  readonly platform: Platform
}

/** `machine`: 32-bit relatives of the architecture count as well, for a machine that runs them. */
export type Reach = 'architecture' | 'machine'

/**
 * What runs on a platform, the best first, as containerd orders it: the highest variant that is not
 * above the one wanted, down to the baseline. Where no variant is wanted, those above the baseline
 * come last, the lowest first.
 */
function orderOf(wanted: Platform, reach: Reach): readonly Platform[] {
  const { os, architecture, variant = '' } = normalizePlatform(wanted)
  const lower = lowerVariants(architecture, variant)
  const own = [variant, ...lower].map((each) => toPlatform(os, architecture, each))
  if (reach === 'architecture') return own
  if (architecture === 'amd64') return [...own, toPlatform(os, '386', '')]
  if (architecture !== 'arm64') return own
  return [...own, ...['v8', 'v7', 'v6', 'v5'].map((each) => toPlatform(os, 'arm', each))]
}

function toPlatform(os: string, architecture: string, variant: string): Platform {
  return normalizePlatform({ os, architecture, ...(variant ? { variant } : {}) })
}

const VARIANT = /^v(\d{1,2})(?:\.(\d{1,2}))?$/

/** The variants below one of its architecture, the highest first. */
function lowerVariants(architecture: string, variant: string): readonly string[] {
  const [, major = '', minor = '0'] = VARIANT.exec(variant || 'v8') ?? []
  switch (architecture) {
    case 'amd64':
      return variant === '' ? [] : downFrom(Number(major) - 1, 1).map((each) => `v${each}`)
    case 'arm':
      return downFrom(Number(major) - 1, 5).map((each) => `v${each}`)
    case 'arm64':
      return lowerArm64(Number(major), Number(minor))
    default:
      return []
  }
}

/** ARMv9.x has all of ARMv8.(x + 5). */
function lowerArm64(major: number, minor: number): readonly string[] {
  const name = (each: number): string => `v${major}${each === 0 ? '' : `.${each}`}`
  const lower = downFrom(minor - 1, 0).map(name)
  if (major !== 9) return lower
  return [...lower, `v8.${minor + 5}`, ...lowerArm64(8, minor + 5)]
}

function downFrom(highest: number, lowest: number): readonly number[] {
  return Array.from({ length: Math.max(0, highest - lowest + 1) }, (_, i) => highest - i)
}

/** Behind every variant that is known to run. */
const UNASKED = 1000

/** How well it runs on the platform, 0 best; `undefined` where it does not. */
function rankOf(offered: Platform, wanted: Platform, reach: Reach): number | undefined {
  if (!isVersion(offered, wanted)) return undefined
  const at = orderOf(wanted, reach).findIndex((each) => isSamePlatform(each, offered))
  if (at >= 0) return at
  const { os, architecture, variant = '' } = normalizePlatform(offered)
  const { os: system, architecture: machine } = normalizePlatform(wanted)
  if (wanted.variant !== undefined || os !== system || architecture !== machine) return undefined
  const [, major = '99', minor = '0'] = VARIANT.exec(variant) ?? []
  return UNASKED + Number(major) * 100 + Number(minor)
}

/** Windows runs images of its own build: the first three numbers. What has no version fits all. */
function isVersion(offered: Platform, wanted: Platform): boolean {
  const [a, b] = [offered['os.version'], wanted['os.version']]
  return !a || !b || buildOf(a) === buildOf(b) || a.startsWith(`${b}.`)
}

function buildOf(version: string): string {
  return version.split('.').slice(0, 3).join('.')
}

/** True when an image of the first platform runs where the second is wanted. */
export function runsOn(offered: Platform, wanted: Platform): boolean {
  return rankOf(offered, wanted, 'architecture') !== undefined
}

/** True for just the wanted platform, not for others that would run there; what is left open fits all. */
export function isWantedPlatform(offered: Platform, wanted: Platform): boolean {
  const isSame =
    wanted.variant === undefined
      ? isSamePlatform(withoutVariant(offered), withoutVariant(wanted))
      : isSamePlatform(offered, wanted)
  return isSame && isVersion(offered, wanted)
}

function withoutVariant(platform: Platform): Platform {
  const { os, architecture } = normalizePlatform(platform)
  return { os, architecture }
}

/**
 * The best of what is offered for a platform; `undefined` when nothing runs there. Throws `USAGE`
 * where several versions of Windows are offered and none is wanted.
 */
export function bestFor<T extends OfPlatform>(
  offered: readonly T[],
  wanted: Platform,
  reach: Reach = 'architecture',
): T | undefined {
  let best: { readonly rank: number; readonly fitting: T[] } | undefined
  for (const each of offered) {
    const rank = rankOf(each.platform, wanted, reach)
    if (rank === undefined || (best && rank > best.rank)) continue
    if (best?.rank === rank) best.fitting.push(each)
    else best = { rank, fitting: [each] }
  }
  return best && newest(best.fitting, wanted)
}

/** The last revision of the one build of Windows; elsewhere, the first. */
function newest<T extends OfPlatform>(fitting: readonly T[], wanted: Platform): T | undefined {
  const [first] = fitting
  if (!first || normalizePlatform(first.platform).os !== 'windows') return first
  const versions = fitting.map(({ platform }) => platform['os.version'] ?? '')
  if (new Set(versions.map(buildOf)).size > 1) {
    const names = fitting.map(({ platform }) => formatExactPlatform(platform))
    const message = `the image has several versions of ${formatPlatform(wanted)}`
    throw new S3loError('USAGE', message, {
      hint: `pass --platform with one of ${[...new Set(names)].join(', ')}`,
    })
  }
  const exact = fitting.find(({ platform }) => platform['os.version'] === wanted['os.version'])
  return exact ?? fitting.toSorted((a, b) => revisionOf(b) - revisionOf(a))[0]
}

function revisionOf({ platform }: OfPlatform): number {
  return Number(platform['os.version']?.split('.')[3] ?? 0) || 0
}

/** What was taken of several, and what was not. */
export interface PlatformChoice<T> {
  /** `undefined` when nothing is offered: take what there is. */
  readonly chosen: T | undefined
  /** The platforms left behind, as text, sorted. */
  readonly dropped: readonly string[]
}

/**
 * Which of an image's platforms a push takes: the one asked for, else the only one, else the
 * host's. Throws `NOT_FOUND` when the one asked for is not there, `USAGE` when none is asked for
 * and nothing runs on the host.
 */
export function choosePlatform<T extends OfPlatform>(
  offered: readonly T[],
  requested: Platform | undefined,
  host: Platform = hostPlatform(),
): PlatformChoice<T> {
  const [only] = offered
  if (!only) return { chosen: undefined, dropped: [] }
  const chosen = requested ? named(offered, requested) : hosted(offered, host)
  const dropped = offered
    .filter(({ platform }) => !isSamePlatform(platform, chosen.platform))
    .map(({ platform }) => formatPlatform(platform))
  return { chosen, dropped: [...new Set(dropped)].toSorted() }
}

function named<T extends OfPlatform>(offered: readonly T[], requested: Platform): T {
  const found = bestFor(offered, requested)
  if (found) return found
  throw noSuchPlatform(offered, requested)
}

function hosted<T extends OfPlatform>(offered: readonly T[], host: Platform): T {
  const found = offered.length === 1 ? offered[0] : bestFor(offered, host, 'machine')
  if (found) return found
  throw new S3loError(
    'USAGE',
    `the image has several platforms and none is ${formatPlatform(host)}`,
    {
      hint: `pass --platform with one of ${namesOf(offered)}, or --all-platforms`,
    },
  )
}

/** Says what there is instead. */
export function noSuchPlatform(offered: readonly OfPlatform[], wanted: Platform): S3loError {
  return new S3loError('NOT_FOUND', `the image has no platform ${formatExactPlatform(wanted)}`, {
    hint:
      offered.length === 0
        ? 'it has none that runs'
        : `it has ${namesOf(offered)}; pass one with --platform`,
  })
}

function namesOf(offered: readonly OfPlatform[]): string {
  const names = new Set(offered.map(({ platform }) => formatExactPlatform(platform)))
  return [...names].toSorted().join(', ')
}
