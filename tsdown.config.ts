import { defineConfig, type UserConfig } from 'tsdown'

// Nuxt's build finds these in the application that uses the module; the package refers to itself by name, because
// dist/nuxt/runtime is shipped file by file and must not carry a second copy of what `peerbridge` holds.
const neverBundle = [/^peerbridge(\/|$)/, /^#/, /^virtual:/, /^nuxt(\/|$)/, /^@nuxt\//, /^nitropack(\/|$)/, /^h3$/, /^vue$/]

const common: UserConfig = {
  format: 'esm',
  // scripts/build.mjs puts it in the place of dist/ when all of it is there.
  outDir: 'build/dist',
  tsconfig: 'tsconfig.build.json',
  // package.json says "type": "module", so plain .js and .d.ts are ESM.
  outExtensions: () => ({ js: '.js', dts: '.d.ts' }),
  // Syntax that every browser with unified-plan WebRTC data channels and wasm understands without help.
  target: 'es2022',
  dts: true,
  sourcemap: false,
  clean: false,
  report: false,
  checks: { pluginTimings: false },
  hash: true,
  deps: { neverBundle },
}

export default defineConfig([
  {
    ...common,
    name: 'browser',
    platform: 'browser',
    entry: { 'index': 'js/index.ts', 'vue/index': 'js/vue/index.ts' },
    // `peerbridge/vue` shares the chunks of `peerbridge` here: they are one build.
    deps: { neverBundle: [/^#/, /^vue$/] },
    // What is loaded first stays small; the application's own bundler minifies once more, but `sizes` and people who
    // load the files as they are should see the real cost.
    minify: { compress: true, mangle: true, codegen: { removeWhitespace: true } },
    outputOptions: { chunkFileNames: 'chunks/[name]-[hash].js' },
  },
  {
    ...common,
    name: 'server',
    platform: 'node',
    target: 'node20.19',
    entry: { 'server/index': 'js/server/index.ts', 'server/cli': 'js/server/cli.ts' },
    outputOptions: { chunkFileNames: 'server/chunks/[name]-[hash].js' },
  },
  {
    ...common,
    name: 'nuxt module',
    platform: 'node',
    target: 'node20.19',
    entry: { 'nuxt/module': 'js/nuxt/module.ts' },
    outputOptions: { chunkFileNames: 'nuxt/chunks/[name]-[hash].js' },
  },
  {
    ...common,
    name: 'nuxt runtime',
    platform: 'neutral',
    outDir: 'build/dist/nuxt/runtime',
    root: 'js/nuxt/runtime',
    // Nuxt wants to see every file: it scans, transforms and tree-shakes them together with the application's own.
    entry: ['js/nuxt/runtime/**/*.ts', '!**/*.d.ts', '!**/*.test.ts'],
    unbundle: true,
    deps: { ...common.deps, skipNodeModulesBundle: true },
  },
])
