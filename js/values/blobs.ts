// Blobs inside a value: room is left for them, and their bytes come later.

import { PeerError } from '../errors.js'

export interface PendingBlob { blob: Blob, at: number }

/** Puts the bytes of Blobs where room was left for them. @throws {PeerError} 'data-clone' when one cannot be read any more */
export async function fill(bytes: Uint8Array<ArrayBuffer>, blobs: PendingBlob[]): Promise<Uint8Array<ArrayBuffer>> {
  await Promise.all(blobs.map(async ({ blob, at }) => {
    let content: ArrayBuffer
    try {
      content = await blob.arrayBuffer()
    }
    catch (error) {
      // The file behind it was changed or removed since it was chosen.
      throw new PeerError('data-clone', `A file in this value could not be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    if (content.byteLength !== blob.size) throw new PeerError('data-clone', 'A file in this value changed while it was read.')
    bytes.set(new Uint8Array(content), at)
  }))
  return bytes
}
