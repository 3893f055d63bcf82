import { type Duplex, pipeline, type Readable } from 'node:stream'

/** `content` through `transform`: an error of either is the result's, and destroying the result frees both. */
export function pipelined<T extends Duplex>(content: Readable, transform: T): T {
  // The callback only keeps the pipeline from throwing: the result carries the error to its reader.
  pipeline(content, transform, () => {})
  return transform
}
