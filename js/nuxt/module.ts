import { join } from 'node:path'
import {
  addComponent, addImports, addPlugin, addServerHandler, addServerPlugin, createResolver, defineNuxtModule, findPath, useLogger,
} from 'nuxt/kit'
import type { Nuxt, NuxtModule } from 'nuxt/schema'
import type { NitroConfig } from 'nitropack'
import { defu } from 'defu'
import type { PeerOptions } from 'peerbridge'
import type { CorsOptions, SignalingServerOptions } from 'peerbridge/server'
import { components, imports, serverImports } from './auto-imports.js'
import { whatIsLost } from './lost.js'

/** Options of the module, `peerbridge` in nuxt.config. All of them are optional, and none is needed. */
export interface ModuleOptions {
  /**
   * Serve a signaling endpoint from this application. With `false`, say in `peer` where another one is.
   *
   * @default true
   */
  signaling?: boolean

  /**
   * Where the endpoint is, below `app.baseURL`. A stock PeerJS client finds it with this `path`: WebSocket at
   * `{path}/peerjs`, HTTP at `{path}/{key}/id`.
   *
   * @default '/api/signal'
   */
  path?: string

  /**
   * The key that clients have to name. Public: it keeps applications apart, not attackers out.
   *
   * @default 'peerjs'
   */
  key?: string

  /**
   * Limits and rules of the endpoint; see the options of `createSignalingServer`. They stay on the server and can be set
   * when it starts, e.g. `NUXT_PEERBRIDGE_SERVER_CONCURRENT_LIMIT=10000` or `NUXT_PEERBRIDGE_SERVER_TURN_SECRET=…` for one that is
   * written down here. With `turn` every peer asks for credentials of that TURN server by itself.
   *
   * Functions and patterns, `authorize` above all, go into the file `server/peerbridge.ts` (`definePeerbridgeServer`): what is
   * written down here travels to the server as JSON.
   *
   * @default {}
   */
  server?: ServerLimits

  /**
   * `redis://…` that several instances of the application share, which makes them one for those who signal. Needs the package
   * `ioredis`. Stays on the server; can be set when it starts, as `NUXT_PEERBRIDGE_SERVER_REDIS`, where something is written down here.
   *
   * @default none: everything is in the memory of one instance
   */
  redis?: string

  /**
   * STUN and TURN servers of every peer. They are in the page for everybody to read: a TURN server belongs here only
   * with credentials that end soon (`createTurnCredentials` of `peerbridge/server`).
   *
   * @default those of Peer
   */
  iceServers?: RTCIceServer[]

  /**
   * Defaults for every `usePeer()`; the options of a call win. Travels to the page as JSON, so no functions.
   *
   * @default {}
   */
  peer?: PeerDefaultOptions

  /**
   * Make `usePeer`, `Peer` and all the others available without an import.
   *
   * @default true
   */
  autoImports?: boolean
}

/** Without what has its own place in `ModuleOptions`, and without functions and patterns, which no configuration can carry. */
export type ServerLimits = Omit<SignalingServerOptions, 'path' | 'key' | 'generateClientId' | 'authorize' | 'port' | 'host' | 'ssl' | 'corsOptions'> & {
  corsOptions?: Omit<CorsOptions, 'origin'> & { origin?: boolean | string | readonly (boolean | string)[] }
}

/** The options of Peer that JSON can carry. */
export type PeerDefaultOptions = Partial<Omit<PeerOptions, 'logFunction' | 'serializers' | 'key'>>

/** What the page gets to know. */
export interface PublicPeerbridgeConfig {
  /** Below `app.baseURL`; empty when the application serves no endpoint. */
  path: string
  key: string
  peer: PeerDefaultOptions
}

/** What only the server knows. */
export interface PrivatePeerbridgeConfig {
  server: ServerLimits
}

declare module '@nuxt/schema' {
  interface PublicRuntimeConfig { peerbridge: PublicPeerbridgeConfig }
  interface RuntimeConfig { peerbridge: PrivatePeerbridgeConfig }
}

const module: NuxtModule<ModuleOptions> = defineNuxtModule<ModuleOptions>({
  meta: {
    name: 'peerbridge',
    configKey: 'peerbridge',
    compatibility: { nuxt: '>=3.12.0' },
  },
  defaults: {
    signaling: true,
    path: '/api/signal',
    key: 'peerjs',
    autoImports: true,
  },
  async setup(options, nuxt) {
    const { resolve } = createResolver(import.meta.url)
    const runtime = resolve('./runtime')
    const { signaling, key = 'peerjs' } = options
    const path = `/${(options.path ?? '').split('/').filter(Boolean).join('/')}`
    if (signaling && path === '/') {
      throw new TypeError("peerbridge.path must not be '/': the endpoint would take every page of the application. Use for example '/api/signal'.")
    }

    const lost = whatIsLost(options.server, 'peerbridge.server')
    if (lost) {
      // Not a warning: an endpoint whose `authorize` is missing is open to everybody.
      throw new TypeError(`${lost} cannot be in nuxt.config, which reaches the server as JSON. Write it into server/peerbridge.ts:`
        + ' export default definePeerbridgeServer({ … })')
    }

    // ---- what the runtime has to know
    const config = nuxt.options.runtimeConfig
    const { iceServers, peer } = options
    config.public.peerbridge = defu(config.public.peerbridge as Partial<PublicPeerbridgeConfig> | undefined, {
      path: signaling ? path : '',
      key,
      peer: {
        ...peer,
        ...(iceServers && { config: { ...peer?.config, iceServers } }),
        // The page asks for credentials; the secret stays here.
        ...(options.server?.turn && { turn: true }),
      },
    })
    const server = { ...options.server, ...(options.redis && { redis: options.redis }) }
    config.peerbridge = defu(config.peerbridge as Partial<PrivatePeerbridgeConfig> | undefined, { server })

    // ---- the page
    addPlugin(resolve('./runtime/app/plugin.client'))
    if (options.autoImports) {
      addImports(imports)
      for (const component of components) addComponent(component)
    }
    // Nuxt would look for names to import in the package's own files too, where it is linked and not below node_modules.
    // They need none, and in minified ones every short name looks like one (`h`, of Vue).
    const root = resolve('..').replace(/[\\/]+$/, '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    const transform = nuxt.options.imports.transform ??= {}
    transform.exclude = [...transform.exclude ?? [], new RegExp(`^${root}/(?!nuxt/)`)]
    // One copy of the package, and of Vue, in every build: transpiled together with the application on the server, and in
    // `nuxt dev` served as it is, because it has nothing to convert and a package that is linked may change any time.
    nuxt.options.build.transpile.push('peerbridge', runtime)
    // Its one dependency that is CommonJS inside has to be converted all the same.
    const optimize = nuxt.options.vite.optimizeDeps ??= {}
    optimize.exclude = [...optimize.exclude ?? [], 'peerbridge', 'peerbridge/vue']
    optimize.include = [...optimize.include ?? [], 'peerbridge > eventemitter3']

    // ---- the server
    if (!signaling) return
    const app = nuxt.options as unknown as { nitro: NitroConfig }
    if (app.nitro.static) {
      useLogger('peerbridge').warn(
        'This is a static build: nobody will answer at ' + path + '. Host a signaling server (npx peerbridge), name it in'
        + ' peerbridge.peer (host, port, path, secure) and set peerbridge.signaling to false.',
      )
    }
    const handler = resolve('./runtime/server/signaling')
    // One handler for all: the WebSocket's address, {path}/peerjs, is also the prefix of HTTP's {path}/peerjs/id.
    // Loaded with the first request: a page that is rendered needs none of it.
    addServerHandler({ route: path, handler, lazy: true })
    addServerHandler({ route: `${path}/**`, handler, lazy: true })
    addServerPlugin(resolve('./runtime/server/baseUrl'))
    addServerPlugin(resolve('./runtime/server/goodbye'))
    const own = await findPath(placesOf(nuxt, 'peerbridge'))
    app.nitro = defu(app.nitro, {
      experimental: { websocket: true },
      externals: { inline: [runtime, 'peerbridge'] },
      virtual: { '#peerbridge/options': own ? `export { default } from ${JSON.stringify(own)}` : 'export default undefined' },
    })
    if (options.autoImports && app.nitro.imports !== false) {
      // Nitro would write the folder's path into its declarations, where the package's exports do not count: no types.
      const typed = serverImports.map(one => ({ ...one, typeFrom: resolve('../server/index.js') }))
      app.nitro.imports = defu(app.nitro.imports ?? {}, { imports: typed })
    }
  },
})

/** Where a file of the application's server may be, the application's own before those of its layers. */
function placesOf(nuxt: Nuxt, name: string): string[] {
  const layers = nuxt.options._layers.map(({ config, cwd }) => config.serverDir ?? join(config.rootDir ?? cwd, 'server'))
  return [nuxt.options.serverDir, ...layers].map(directory => join(directory, name))
}

export default module
