/** Puts a table that every codec thread reads into shared memory: one copy for all, not sent with each task. */
export function inSharedMemory<Table extends Int32Array | Uint8Array>(table: Table): Table {
  const Kind = table.constructor as new (buffer: SharedArrayBuffer) => Table;
  const shared = new Kind(new SharedArrayBuffer(table.byteLength));
  shared.set(table);
  return shared;
}
