import { BACKEND_PACKAGES } from './catalog.ts'
import { nearest } from './suggest.ts'

/** Other names of services and places, and how s3lo writes them. */
const OTHER_NAMES: readonly (readonly [schemes: readonly string[], hint: string])[] = [
  [
    ['minio', 'ceph', 'rgw', 'r2', 'b2', 'wasabi', 'spaces', 'oss', 'cos', 'obs', 'garage'],
    'MinIO and other services that speak S3 are s3:// with --endpoint',
  ],
  [['s3a', 's3n', 'aws'], 'Amazon S3 is s3://'],
  [['gcs', 'gcp', 'google'], 'Google Cloud Storage is gs://'],
  [
    ['azure', 'azblob', 'abs', 'abfs', 'abfss', 'wasb', 'wasbs', 'blob'],
    'Azure Blob Storage is az://',
  ],
  [['file', 'dir', 'fs', 'path'], 'a directory is local://'],
  [
    ['http', 'https', 'registry', 'ghcr', 'ecr', 'gcr', 'acr'],
    'a registry is written without a scheme, as in s3lo copy ghcr.io/org/app:v1 local://./store/app:v1; a service that speaks S3 is s3:// with --endpoint',
  ],
]

/** What to write instead of a scheme that no installed plugin brings. */
export function hintForScheme(scheme: string): string {
  const name = scheme.toLowerCase()
  const other = OTHER_NAMES.find(([schemes]) => schemes.includes(name))
  if (other) return other[1]
  const meant = nearest(name, Object.keys(BACKEND_PACKAGES))
  if (meant !== undefined) return `did you mean ${meant}://?`
  const known = Object.keys(BACKEND_PACKAGES).map((each) => `${each}://`)
  return `stores are ${known.join(', ')} and those of plugins; MinIO is s3:// with --endpoint`
}
