import type { IncomingMessage } from 'node:http'
import type { AnswerHeaders } from './answer.ts'

/** Of every answer: what the server is, and that nothing of it is ever rendered, or loaded by a page. */
export const COMMON_HEADERS: AnswerHeaders = {
  'docker-distribution-api-version': 'registry/2.0',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'same-origin',
}

/** A browser that navigates to content is given a file: content of a store is not a page. */
export function attachmentHeaders({ headers }: IncomingMessage): AnswerHeaders {
  const isNavigation =
    headers['sec-fetch-mode'] === 'navigate' || (headers.accept ?? '').includes('text/html')
  return isNavigation ? { 'content-disposition': 'attachment' } : {}
}

/** The whole header, as the specification bounds it (distribution spec v1.1.1, "Warnings"). */
const MAX_WARNING = 4096

/** A `Warning` header (distribution spec v1.1.1, "Warnings"). What cannot be in one is left out. */
export function warning(text: string): string {
  const printable = text.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, "'")
  return `299 - "${printable.slice(0, MAX_WARNING - '299 - ""'.length)}"`
}
