/** Backends by the names people use, best first. */
export const BACKEND_NAMES = ['native', 'wasm', 'js'] as const

export type BackendName = (typeof BACKEND_NAMES)[number]

/** What tfjs calls them. */
export const TFJS_BACKENDS = { native: 'tensorflow', wasm: 'wasm', js: 'cpu' } as const satisfies Record<
  BackendName,
  string
>
