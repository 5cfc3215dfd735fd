import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// Tests see the sources under the package's own name; tests/package sees what is packed.
const alias = [
  { find: /^peerbridge$/, replacement: source('./js/index.ts') },
  { find: /^peerbridge\/vue$/, replacement: source('./js/vue/index.ts') },
  { find: /^peerbridge\/server$/, replacement: source('./js/server/index.ts') },
  { find: /^peerbridge\/nuxt$/, replacement: source('./js/nuxt/module.ts') },
]

export default defineConfig({
  test: {
    // A project without tests is a mistake of ours, never a success.
    passWithNoTests: false,
    projects: [
      {
        resolve: { alias },
        test: { name: 'js', include: ['tests/js/**/*.test.ts', 'js/**/*.test.ts'], exclude: ['tests/js/vue/**', 'js/vue/**', 'js/nuxt/**', 'js/server/**'], environment: 'node', testTimeout: 20_000 },
      },
      {
        plugins: [vue()],
        resolve: { alias },
        test: { name: 'vue', include: ['tests/js/vue/**/*.test.ts', 'js/vue/**/*.test.ts'], environment: 'happy-dom', testTimeout: 20_000 },
      },
      {
        resolve: { alias },
        test: { name: 'server', include: ['tests/server/**/*.test.ts', 'js/server/**/*.test.ts'], environment: 'node', testTimeout: 15_000 },
      },
      {
        resolve: { alias },
        // These start Nuxt; two at a time is what two cores stand.
        test: { name: 'nuxt', include: ['tests/nuxt/**/*.test.ts', 'js/nuxt/**/*.test.ts'], environment: 'node', testTimeout: 120_000, hookTimeout: 240_000, fileParallelism: false },
      },
      {
        // No alias: this one installs the tarball and must not see the sources.
        test: { name: 'package', include: ['tests/package/**/*.test.ts'], environment: 'node', testTimeout: 300_000, hookTimeout: 600_000, fileParallelism: false },
      },
    ],
  },
})
