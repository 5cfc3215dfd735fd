/**
 * What `#imports` means while the package itself is type-checked: the part of Nuxt and Nitro that js/nuxt/runtime uses.
 * In an application Nuxt generates the real one.
 */
import type { H3Event } from 'h3'
import type { RuntimeConfig } from 'nuxt/schema'

export * from 'vue'
export {
  addRouteMiddleware, defineNuxtPlugin, onNuxtReady, useAppConfig, useNuxtApp, useRequestURL, useRoute, useRouter, useState,
} from 'nuxt/app'
export { defineNitroPlugin, useNitroApp, useStorage } from 'nitropack/runtime'
export { createError, defineEventHandler, defineWebSocketHandler } from 'h3'

/** In the application without argument, in Nitro with the event. */
export function useRuntimeConfig(event?: H3Event): RuntimeConfig
