import { S3loError } from '@s3lo/core/plugin'

/**
 * Loads what only the users of one key service need, so that no other user installs it. Throws
 * `PLUGIN_NOT_INSTALLED` naming the package when it is not there.
 */
export async function loadOptional<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new S3loError('PLUGIN_NOT_INSTALLED', `keys of this kind need the package ${name}`, {
      hint: `npm install ${name}, where s3lo is installed (with --global where it was installed so)`,
      cause,
    })
  }
}
