// What is used of WebAssembly, with types: TypeScript declares it together with the whole DOM only.

export const PAGE_BYTES = 2 ** 16

/** The most pages that 32-bit offsets reach: 4 GiB. */
export const MAX_PAGES = 2 ** 16

/** A shared `WebAssembly.Memory`: `buffer` is another object after it has grown, over the same bytes. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer
  /** Adds pages of zeros and returns how many there were. @throws RangeError beyond the maximum or what there is */
  grow(pages: number): number
}

/** A compiled module. */
export type WasmModule = object

interface WebAssemblyApi {
  readonly Memory: new (shape: { initial: number; maximum: number; shared: true }) => SharedMemory
  readonly Module: new (bytes: Uint8Array) => WasmModule
  readonly Instance: new (
    module: WasmModule,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: unknown }
  validate(bytes: Uint8Array): boolean
}

const api = (globalThis as unknown as { readonly WebAssembly: WebAssemblyApi }).WebAssembly

/** Memory that kernels can work on, in pages of {@link PAGE_BYTES}; only what is touched costs anything. */
export function sharedMemory(initialPages: number, maximumPages: number = MAX_PAGES): SharedMemory {
  return new api.Memory({ initial: initialPages, maximum: maximumPages, shared: true })
}

/** The compiled module, or undefined where the engine lacks something that it uses. */
export function compileWasm(bytes: Uint8Array): WasmModule | undefined {
  return api.validate(bytes) ? new api.Module(bytes) : undefined
}

/** The module's exports, over this memory. */
export function instantiateWasm(module: WasmModule, memory: SharedMemory): unknown {
  return new api.Instance(module, { env: { memory } }).exports
}
