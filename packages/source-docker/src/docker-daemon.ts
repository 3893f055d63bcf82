import { type OpenedSource, type OpenedTarget, S3loError, type TransportOptions } from '@s3lo/core'
import { Engine } from './engine/engine.ts'
import { findEngine } from './engine/engine-address.ts'
import { EngineSource } from './engine/engine-source.ts'
import { EngineTarget } from './engine/engine-target.ts'
import { parseImageName } from './image/image-name.ts'

/** Opens `name[:tag|@digest]`, or an image id, of the engine that the environment names. */
export async function openSource(text: string, options: TransportOptions): Promise<OpenedSource> {
  const reference = parseImageName(text)
  return { source: new EngineSource(new Engine(await findEngine(options))), reference }
}

/** Opens `name[:tag]` of the engine that the environment names. Throws `USAGE` for a digest. */
export async function openTarget(text: string, options: TransportOptions): Promise<OpenedTarget> {
  const reference = parseImageName(text)
  if (reference.tag === undefined) {
    throw new S3loError('USAGE', `an engine cannot be told to call an image ${text}`, {
      hint: 'name a tag: docker-daemon:name:tag',
    })
  }
  return { target: new EngineTarget(new Engine(await findEngine(options))), reference }
}
