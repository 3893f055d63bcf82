import type { OpenedSource, OpenedTarget, Reference, TransportOptions } from '@s3lo/core'
import { parseArchiveLocation } from './archive/archive-location.ts'
import { type ArchiveFormat, ArchiveTarget } from './archive/archive-target.ts'
import { openArchive } from './archive/open-archive.ts'
import { fullNameOf } from './image/image-name.ts'
import { ociArchiveFiles } from './image/oci-archive-files.ts'
import { LayoutSource } from './layout/layout-source.ts'

const TRANSPORT = 'oci-archive'

/** Opens `FILE[:tag]` to read; `-` is the standard input. */
export async function openSource(
  text: string,
  { signal }: TransportOptions,
): Promise<OpenedSource> {
  const { path, name } = parseArchiveLocation(text, TRANSPORT)
  const source = await openArchive(TRANSPORT, path, (archive) => new LayoutSource(archive), signal)
  return { source, reference: toReference(name) }
}

/** Opens `FILE[:tag]` to write, `-` for the standard output. A tag that is an image name is also the name containerd will list. */
export async function openTarget(text: string, _options: TransportOptions): Promise<OpenedTarget> {
  const { path, name } = parseArchiveLocation(text, TRANSPORT)
  return { target: new ArchiveTarget(path, FORMAT), reference: toReference(name) }
}

function toReference(name: string | undefined): Reference {
  return name === undefined ? { name: '' } : { name: '', tag: name }
}

const FORMAT: ArchiveFormat = {
  transport: TRANSPORT,
  acceptsIndex: true,
  files: (root, source, { tag }, { signal }) => {
    const imageName = tag === undefined ? undefined : fullNameOf(tag)
    return ociArchiveFiles(root, source, { refName: tag, imageName }, { signal })
  },
}
