import {
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { getSignedUrl, S3RequestPresigner } from '@aws-sdk/s3-request-presigner'
import { type AnswerToCheck, checkAnswer } from './answer-check.ts'
import type { ReadRequest, SignedRequest } from './read-requests.ts'
import { addDate, signUntil } from './request-middleware.ts'
import { LONGEST_SIGNATURE_S } from './signature.ts'

/** Enough for the attempt that it is made for (seconds). */
const SIGNED_FOR_S = 900

/** The SDK's client of a bucket, in one region. It tries once: `Requests` counts the attempts. */
export class Sdk {
  readonly client: S3Client
  readonly #bucket: string

  /** `onServer` gets the name that the service gives itself in each answer. */
  constructor(bucket: string, config: S3ClientConfig, onServer: (name: string) => void) {
    this.client = new S3Client(config)
    this.#bucket = bucket
    addDate(this.client, onServer)
    this.client.middlewareStack.add(
      (next, context) => async (args) => {
        const result = await next(args)
        await checkAnswer(context['commandName'] ?? '', result.response as AnswerToCheck)
        return result
      },
      // Before the SDK's own parser.
      { step: 'deserialize', priority: 'low', name: 's3loAnswer' },
    )
  }

  /** Adds to a command that the service refuses it after `notAfter`, by its own clock. */
  until<C extends object>(command: C, notAfter: Date | undefined): C {
    if (notAfter !== undefined) signUntil(command, (request) => this.#presign(request, notAfter))
    return command
  }

  /** Addresses and signs a request for a bucket that has ways of its own for both. */
  async signRead({ command, key: Key = '', query = {} }: ReadRequest): Promise<SignedRequest> {
    const Bucket = this.#bucket
    const commands = {
      GetBucketLocationCommand: () => new GetBucketLocationCommand({ Bucket }),
      GetObjectCommand: () => new GetObjectCommand({ Bucket, Key }),
      HeadBucketCommand: () => new HeadBucketCommand({ Bucket }),
      HeadObjectCommand: () => new HeadObjectCommand({ Bucket, Key }),
      ListObjectsV2Command: () =>
        new ListObjectsV2Command({
          Bucket,
          EncodingType: 'url',
          Prefix: query['prefix'],
          StartAfter: query['start-after'],
          Delimiter: query['delimiter'],
          ContinuationToken: query['continuation-token'],
        }),
    }
    // A signer takes any command of its client, which its type does not say of several.
    const asked = commands[command]() as GetObjectCommand
    const signed = await getSignedUrl(this.client, asked, { expiresIn: SIGNED_FOR_S })
    const url = new URL(signed)
    return { origin: url, path: `${url.pathname}${url.search}`, headers: {} }
  }

  async #presign(
    request: Parameters<S3RequestPresigner['presign']>[0],
    notAfter: Date,
  ): ReturnType<S3RequestPresigner['presign']> {
    const presigner = new S3RequestPresigner({ ...this.client.config })
    const end = Math.floor(notAfter.getTime() / 1000)
    const now = Math.floor((Date.now() + this.client.config.systemClockOffset) / 1000)
    // Only the end counts, and it is the store's time: a wrong clock of ours moves the start alone.
    const start = Math.min(now, end - 1)
    return presigner.presign(request, {
      signingDate: new Date(start * 1000),
      expiresIn: Math.min(end - start, LONGEST_SIGNATURE_S),
      signingRegion: await this.client.config.region(),
      unhoistableHeaders: new Set(Object.keys(request.headers).filter(isAboutObject)),
      // Some services refuse a content type that the signature does not cover.
      signableHeaders: new Set(['content-type', 'content-md5', 'if-match', 'if-none-match']),
    })
  }
}

/** What describes an object: not every service looks for that in the query, where signatures are. */
function isAboutObject(header: string): boolean {
  return /^x-amz-(meta-|storage-class$|checksum-|sdk-checksum-)/i.test(header)
}
