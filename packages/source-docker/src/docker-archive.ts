import {
  type OpenedSource,
  type OpenedTarget,
  type Reference,
  type TransportOptions,
} from '@s3lo/core'
import { parseArchiveLocation } from './archive/archive-location.ts'
import { type ArchiveFormat, ArchiveTarget } from './archive/archive-target.ts'
import { DockerArchiveSource } from './archive/docker-archive-source.ts'
import { openArchive } from './archive/open-archive.ts'
import { dockerArchiveFiles } from './image/docker-archive-files.ts'
import { fullImageName, parseImageName } from './image/image-name.ts'

const TRANSPORT = 'docker-archive'

/** Opens `FILE[:name[:tag]]` to read; `-` is the standard input. */
export async function openSource(
  text: string,
  { signal }: TransportOptions,
): Promise<OpenedSource> {
  const { path, name } = parseArchiveLocation(text, TRANSPORT)
  const source = await openArchive(
    TRANSPORT,
    path,
    (archive) => new DockerArchiveSource(archive),
    signal,
  )
  return { source, reference: toReference(name) }
}

/** Opens `FILE[:name[:tag]]` to write, `-` for the standard output; the name is what `docker load` will call the image. */
export async function openTarget(text: string, _options: TransportOptions): Promise<OpenedTarget> {
  const { path, name } = parseArchiveLocation(text, TRANSPORT)
  return { target: new ArchiveTarget(path, FORMAT), reference: toReference(name) }
}

function toReference(name: string | undefined): Reference {
  return name === undefined ? { name: '' } : parseImageName(name)
}

const FORMAT: ArchiveFormat = {
  transport: TRANSPORT,
  acceptsIndex: false,
  files: (root, source, reference, { signal }) => {
    const nameable = reference.name !== '' && reference.digest === undefined
    return dockerArchiveFiles(root, source, {
      repoTags: nameable ? [fullImageName(reference)] : [],
      signal,
    })
  },
}
