import { type PolicyCheckOptions, S3loError, type ScannerOptions } from '@s3lo/core/plugin'
import { findTrivy, installFolder, type TrivySettings } from './find-trivy.ts'

/**
 * The Trivy to run. One that is missing is installed when the settings say so, or when a user at
 * the terminal does. Throws `UNSUPPORTED` otherwise.
 */
export async function requireTrivy({
  env,
  settings,
  signal,
  onProgress,
}: ScannerOptions | PolicyCheckOptions): Promise<string> {
  const wanted = readSettings(settings)
  const found = await findTrivy(wanted, env)
  if (found !== undefined) return found
  if (!wanted.installTrivy && !(await agrees(settings['ask']))) throw missing(env)
  const { installTrivy, TRIVY_VERSION } = await import('./install-trivy.ts')
  const message = `installing Trivy ${TRIVY_VERSION} in ${installFolder(env)}`
  onProgress?.({ type: 'notice', code: 'trivy-install', message })
  return installTrivy({ env, signal })
}

/** `ask` is given by a command that runs at a terminal. */
async function agrees(ask: unknown): Promise<boolean> {
  if (typeof ask !== 'function') return false
  const answer: unknown = await ask('Trivy is not installed. Install it now? [Y/n] ')
  return typeof answer === 'string' && /^(|y|yes)$/i.test(answer.trim())
}

function readSettings(settings: Readonly<Record<string, unknown>>): TrivySettings {
  const { trivyPath, installTrivy } = settings
  return {
    trivyPath: typeof trivyPath === 'string' ? trivyPath : undefined,
    installTrivy: installTrivy === true,
  }
}

function missing(env: Readonly<Record<string, string | undefined>>): S3loError {
  return new S3loError('UNSUPPORTED', 'Trivy is not installed on this machine', {
    hint: `--install-trivy puts it into ${installFolder(env)}; --trivy-path or S3LO_TRIVY names another`,
  })
}
