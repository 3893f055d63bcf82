import { GetObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import type { CallSettings } from '@s3lo/core/transfer'
import type { S3Service } from './s3-service.ts'

/** A URL that reads an object for so long. */
export async function presignGet(
  service: S3Service,
  key: string,
  expiresInSeconds: number,
  settings: CallSettings,
): Promise<string> {
  const command = new GetObjectCommand({ Bucket: service.bucket, Key: key })
  const expiresIn = Math.floor(expiresInSeconds)
  return service.sign(settings, (client) => getSignedUrl(client, command, { expiresIn }))
}
