import stylistic from '@stylistic/eslint-plugin'
import vue from 'eslint-plugin-vue'
import tseslint from 'typescript-eslint'

/** Who may know whom: see "One idea" in docs/architecture.md. */
// One entry a folder: of two that match a file, ESLint would only apply the last.
const mayNot = (files, group, message) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [{ group, message }, { group: ['**/tests/**'], message: 'Nothing imports tests/.' }] }] },
})

export default tseslint.config(
  {
    ignores: [
      'dist/', 'build/', '**/node_modules/', '**/.nuxt/', '**/.output/', 'js/core/generated/', 'test-results/',
      'playwright-report/', '**/*.d.ts', 'docs/',
    ],
  },
  ...tseslint.configs.recommended,
  ...vue.configs['flat/essential'],
  { files: ['**/*.vue'], languageOptions: { parserOptions: { parser: tseslint.parser } } },
  {
    plugins: { '@stylistic': stylistic },
    rules: {
      '@stylistic/semi': ['error', 'never'],
      '@stylistic/quotes': ['error', 'single', { avoidEscape: true }],
      '@stylistic/indent': ['error', 2, { SwitchCase: 1, ignoreComments: true, flatTernaryExpressions: true, offsetTernaryExpressions: true }],
      '@stylistic/comma-dangle': ['error', 'always-multiline'],
      '@stylistic/no-trailing-spaces': 'error',
      '@stylistic/eol-last': 'error',
      '@stylistic/max-len': ['error', { code: 140, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true }],
      'eqeqeq': ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      'no-eval': 'error',
      'no-new-func': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      'vue/multi-word-component-names': 'off',
    },
  },
  {
    // A promise that nobody looks at is an unhandled rejection in somebody's application.
    files: ['js/**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  // Attributes such as v-html aside, undefined names are the type checker's business.
  { files: ['**/*.vue'], rules: { 'no-undef': 'off' } },
  { files: ['js/server/cli.ts', 'scripts/**', 'tests/**', '*.config.*', 'demo-nuxt/**'], rules: { 'no-console': 'off' } },
  // Test doubles stand in for browser objects whose full types do not matter there.
  { files: ['tests/**'], rules: { '@typescript-eslint/no-explicit-any': 'off' } },
  mayNot(['js/core/**'], ['node:*', '**/driver/**', '**/signaling/**', '**/vue/**', '**/nuxt/**', '**/server/**', 'vue'], 'js/core owns the memory of the core and nothing else.'),
  mayNot(['js/driver/**', 'js/signaling/**', 'js/values/**', 'js/*.ts'], ['node:*', '**/vue/**', '**/nuxt/**', '**/server/**', 'vue'], 'The shim knows neither Vue nor Node.'),
  mayNot(['js/vue/**'], ['node:*', '**/nuxt/**', '**/server/**'], 'The composables know Peer and Vue.'),
  mayNot(['js/nuxt/runtime/**'], ['node:*', '../../vue/**', '../../server/**', '../../../**/js/**'], "Files under runtime/ are shipped one by one: import 'peerbridge', 'peerbridge/vue' or 'peerbridge/server'."),
  mayNot(['js/server/**'], ['**/driver/**', '**/vue/**', '**/nuxt/**', 'vue'], 'The server shares only message types with the rest.'),
)
