import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [vue()],
  // As strict as a page can be that runs WebAssembly: the package evaluates no strings.
  preview: { headers: { 'Content-Security-Policy': "default-src 'self'; img-src 'self' data:; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' http://localhost:* ws://localhost:*" } },
})
