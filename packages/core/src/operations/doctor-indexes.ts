import type { CallOptions } from '../contract/call-options.ts'
import type { WrongIndex } from '../contract/layer-reader.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { Finding, StorageBackend } from '../contract/storage-backend.ts'
import { formatTag } from '../layout/format-store.ts'
import { layerIndexesPrefix, SOCI_ARTIFACTS_PREFIX } from '../layout/keys.ts'
import type { LayerOfTag } from './doctor-images.ts'
import type { NamedLayerReader } from './image-files.ts'

/** What became of comparing the indexes of layers with the layers. */
export interface IndexesReport {
  readonly compared: number
  readonly wrong: readonly WrongIndex[]
  readonly findings: readonly Finding[]
}

/** Compares all indexes of the layers, which are read whole once more. Without a reader it says so. */
export async function checkLayerIndexes(
  backend: StorageBackend,
  layers: readonly LayerOfTag[],
  reader: NamedLayerReader | undefined,
  options: CallOptions & ProgressOptions,
): Promise<IndexesReport> {
  const module = reader?.module
  if (!module?.checkIndexes)
    return { compared: 0, wrong: [], findings: await noteUnchecked(backend, options) }
  const descriptors = layers.map(({ descriptor }) => descriptor)
  const { compared, wrong } = await module.checkIndexes(backend, descriptors, options)
  const tags = new Map(layers.map((layer) => [layer.descriptor.digest, layer]))
  const findings = wrong.map(({ layer, message }): Finding => {
    const { image = '', tag = '' } = tags.get(layer) ?? {}
    const hint = `s3lo soci create ${formatTag(backend, image, tag)} --all-platforms --force makes it anew`
    return { severity: 'problem', message, hint }
  })
  const right: Finding = { severity: 'ok', message: `${compared} indexes of layers are right` }
  return { compared, wrong, findings: compared > 0 && wrong.length === 0 ? [right] : findings }
}

async function noteUnchecked(
  backend: StorageBackend,
  options: CallOptions,
): Promise<readonly Finding[]> {
  for (const prefix of [layerIndexesPrefix('soci'), SOCI_ARTIFACTS_PREFIX]) {
    for await (const _ of backend.list(prefix, { signal: options.signal })) {
      const message = 'indexes of layers are not compared with their layers without their plugin'
      return [{ severity: 'notice', message, hint: 's3lo plugin add @s3lo/soci' }]
    }
  }
  return []
}
