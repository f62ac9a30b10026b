/** Backends by the names people use, best first. */
export const BACKEND_NAMES = ['native', 'wasm', 'js'] as const

export type BackendName = (typeof BACKEND_NAMES)[number]

/** What a job may ask for. `auto`: the best that loads. */
export const BACKEND_CHOICES = ['auto', ...BACKEND_NAMES] as const

export type BackendChoice = (typeof BACKEND_CHOICES)[number]

/** What tfjs calls them. */
export const TFJS_BACKENDS = { native: 'tensorflow', wasm: 'wasm', js: 'cpu' } as const satisfies Record<
  BackendName,
  string
>
