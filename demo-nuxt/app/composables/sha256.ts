/** Hashing reads the whole file into memory: not for the largest. */
const limit = 200_000_000

/** SHA-256 of a file, in hexadecimal; undefined where it is too large or the page is not secure. */
export async function sha256(blob: Blob): Promise<string | undefined> {
  if (blob.size > limit || !globalThis.crypto?.subtle) return
  const hash = await crypto.subtle.digest('SHA-256', await blob.arrayBuffer())
  return Array.from(new Uint8Array(hash), byte => byte.toString(16).padStart(2, '0')).join('')
}
