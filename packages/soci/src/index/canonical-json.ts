import { S3loError } from '@s3lo/core/plugin'

/** How the members of an object are ordered; what is not named keeps its place after them. */
interface Shape {
  readonly order: readonly string[]
  /** Written even when empty. */
  readonly required: readonly string[]
  readonly members: Readonly<Record<string, Shape | 'map'>>
}

const PLATFORM: Shape = {
  order: ['architecture', 'os', 'os.version', 'os.features', 'variant'],
  required: ['architecture', 'os'],
  members: {},
}

const DESCRIPTOR: Shape = {
  order: ['mediaType', 'digest', 'size', 'urls', 'annotations', 'data', 'platform', 'artifactType'],
  required: ['mediaType', 'digest', 'size'],
  members: { annotations: 'map', platform: PLATFORM },
}

const MANIFEST: Shape = {
  order: [
    'schemaVersion',
    'mediaType',
    'artifactType',
    'config',
    'layers',
    'subject',
    'annotations',
  ],
  required: ['schemaVersion', 'config', 'layers'],
  members: { config: DESCRIPTOR, layers: DESCRIPTOR, subject: DESCRIPTOR, annotations: 'map' },
}

const INDEX: Shape = {
  order: ['schemaVersion', 'mediaType', 'artifactType', 'manifests', 'subject', 'annotations'],
  required: ['schemaVersion', 'manifests'],
  members: { manifests: DESCRIPTOR, subject: DESCRIPTOR, annotations: 'map' },
}

const MAP: Shape = { order: [], required: [], members: {} }

/** Deeper than this no document of ours goes. */
const MAX_DEPTH = 64

/** A manifest's bytes as Go's encoder writes them (OCI image spec v1.1.1). Members it does not know follow. */
export function encodeManifest(manifest: object): Buffer {
  return Buffer.from(encode(manifest, MANIFEST, 0))
}

/** An index's bytes as Go's encoder writes them. */
export function encodeIndex(index: object): Buffer {
  return Buffer.from(encode(index, INDEX, 0))
}

/** Any value's bytes as Go's encoder writes a map: keys in byte order. */
export function encodeMap(value: object): Buffer {
  return Buffer.from(encode(value, 'map', 0))
}

function encode(value: unknown, shape: Shape | 'map' | undefined, depth: number): string {
  if (depth > MAX_DEPTH) throw new S3loError('INTEGRITY', 'a document is nested too deeply')
  if (Array.isArray(value)) {
    return `[${value.map((item: unknown) => encode(item, shape, depth + 1)).join(',')}]`
  }
  if (typeof value === 'object' && value !== null) return encodeObject(value, shape, depth)
  return typeof value === 'string' ? encodeText(value) : (JSON.stringify(value) ?? 'null')
}

function encodeObject(value: object, shape: Shape | 'map' | undefined, depth: number): string {
  const given = new Map<string, unknown>(Object.entries(value))
  const keys = shape === 'map' ? [...given.keys()].toSorted(byBytes) : orderOf(given, shape ?? MAP)
  const { members, order, required } = shape === undefined || shape === 'map' ? MAP : shape
  const texts = keys
    .filter((key) => {
      const member = given.get(key)
      if (!order.includes(key)) return member !== undefined
      return required.includes(key) ? member !== undefined : !isEmpty(member)
    })
    .map((key) => `${encodeText(key)}:${encode(given.get(key), members[key], depth + 1)}`)
  return `{${texts.join(',')}}`
}

function orderOf(given: ReadonlyMap<string, unknown>, { order }: Shape): readonly string[] {
  return [...order, ...[...given.keys()].filter((key) => !order.includes(key))]
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** Go escapes for HTML and JavaScript, and has no lone surrogates. */
function encodeText(text: string): string {
  const escape = (character: string): string =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(text.toWellFormed()).replaceAll(/[<>&\u2028\u2029]/g, escape)
}
