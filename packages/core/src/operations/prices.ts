import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import { asObject, asString, type JsonObject, optional, parseJson } from '../oci/json.ts'
import { readBoundedFile } from '../stream/bounded-file.ts'

/** What storage costs; field names are those of a price file and of `--output json`. */
export interface Prices {
  /** When these were looked up: `2026-03` or `2026-03-31`. */
  readonly as_of: string
  readonly currency: string
  /** For a GiB in the bucket for a month. */
  readonly s3_gib_month: number
  /** In place of it for some storage classes, by their names in `storage_by_class`. */
  readonly by_class?: Readonly<Record<string, number>>
  /** For a GiB in ECR for a month. */
  readonly ecr_gib_month: number
  /** How much smaller ECR stores a layer that is not compressed here. */
  readonly ecr_compression: number
}

/** The list prices of S3 Standard (first 50 TB) and of ECR private storage in us-east-1. */
export const LIST_PRICES: Prices = {
  as_of: '2026-03',
  currency: 'USD',
  s3_gib_month: 0.023,
  ecr_gib_month: 0.1,
  ecr_compression: 3.4,
}

const MAX_PRICES_BYTES = 64 * 1024

/** Reads a JSON file of prices. Throws `NOT_FOUND`, `IO`, and `INTEGRITY` naming what is wrong. */
export async function loadPrices(path: string, options?: CallOptions): Promise<Prices> {
  return parsePrices(await readBoundedFile(path, MAX_PRICES_BYTES, options), path)
}

/** Reads prices; what they leave out is as in {@link LIST_PRICES}, but the date. Throws `INTEGRITY`. */
export function parsePrices(content: Uint8Array, name: string): Prices {
  const file = asObject(parseJson(content, name), name)
  const byClass = optional(file, 'by_class', name, asObject)
  return {
    as_of: asDate(file['as_of'], `${name}.as_of`),
    currency: optional(file, 'currency', name, asString) ?? LIST_PRICES.currency,
    s3_gib_month: optional(file, 's3_gib_month', name, asPrice) ?? LIST_PRICES.s3_gib_month,
    ...(byClass ? { by_class: asPrices(byClass, `${name}.by_class`) } : {}),
    ecr_gib_month: optional(file, 'ecr_gib_month', name, asPrice) ?? LIST_PRICES.ecr_gib_month,
    ecr_compression:
      optional(file, 'ecr_compression', name, asRatio) ?? LIST_PRICES.ecr_compression,
  }
}

function asDate(value: unknown, path: string): string {
  const text = typeof value === 'string' ? value : ''
  if (/^\d{4}-\d{2}(?:-\d{2})?$/.test(text)) return text
  throw new S3loError('INTEGRITY', `${path} is not the date of the prices`, {
    hint: 'write it as 2026-03 or 2026-03-31',
  })
}

function asPrices(prices: JsonObject, path: string): Readonly<Record<string, number>> {
  const record: Record<string, number> = Object.create(null)
  for (const [name, value] of Object.entries(prices)) {
    record[name] = asPrice(value, `${path}.${name.slice(0, 80)}`)
  }
  return record
}

function asPrice(value: unknown, path: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  throw new S3loError('INTEGRITY', `${path} is not a price of 0 or more`)
}

function asRatio(value: unknown, path: string): number {
  const ratio = asPrice(value, path)
  if (ratio >= 1) return ratio
  throw new S3loError('INTEGRITY', `${path} is not a ratio of 1 or more`)
}
