import type { PeerDefaultOptions, PublicPeerbridgeConfig } from 'peerbridge/nuxt'

/** What is used of `window.location`. */
export interface Address {
  readonly protocol: string
  readonly hostname: string
  readonly port: string
}

/**
 * What every peer of this application starts from: the endpoint is where the page came from. Whoever set a `host` means
 * another server, and then the page's own port and path would be wrong for it.
 */
export function peerDefaults(config: PublicPeerbridgeConfig, baseURL: string, location: Address): PeerDefaultOptions & { key: string } {
  const { path, key, peer } = config
  if (!path || peer.host) return { key, ...peer }
  const secure = location.protocol === 'https:'
  return {
    host: location.hostname,
    port: Number(location.port) || (secure ? 443 : 80),
    path: `${baseURL}/${path}`.replace(/\/{2,}/g, '/'),
    secure,
    key,
    ...peer,
  }
}
