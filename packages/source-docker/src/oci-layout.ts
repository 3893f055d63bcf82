import type { OpenedSource, OpenedTarget, Reference, TransportOptions } from '@s3lo/core'
import { parseArchiveLocation } from './archive/archive-location.ts'
import { LayoutDirectory } from './layout/layout-directory.ts'
import { LayoutSource } from './layout/layout-source.ts'
import { LayoutTarget } from './layout/layout-target.ts'

const TRANSPORT = 'oci'

/** Opens the layout in `DIR[:tag]` to read. */
export async function openSource(text: string, _options: TransportOptions): Promise<OpenedSource> {
  const { path, name } = parseArchiveLocation(text, TRANSPORT)
  return { source: new LayoutSource(new LayoutDirectory(path)), reference: toReference(name) }
}

/** Opens the layout in `DIR[:tag]` to write; it is made when something is first written. */
export async function openTarget(text: string, _options: TransportOptions): Promise<OpenedTarget> {
  const { path, name } = parseArchiveLocation(text, TRANSPORT)
  return { target: new LayoutTarget(path), reference: toReference(name) }
}

function toReference(tag: string | undefined): Reference {
  return tag === undefined ? { name: '' } : { name: '', tag }
}
